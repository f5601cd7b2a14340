/* The driver: the one task of a run that enters curl.
 *
 * It is a helper in the run's hidden system group, started by the first request,
 * and owns the multi handle, so connections, TLS sessions, names and the CA
 * bundle are shared by all requests of the run. It goes round: commands from the
 * inbox; sockets and the timer; transfers that have ended; and parks, when there
 * is nothing left, until a command, a watch or curl's timer wakes it.
 *
 * - Removals are done before anything else is asked of curl. So once a caller has
 *   asked for its removal, nothing that it lent us is touched any more, even if
 *   it had no memory left to wait for it (a detached transfer).
 * - A caller goes on only when curl has let go of its transfer. A transfer that
 *   ends in the same round in which its removal is asked has ended: its result
 *   stands.
 * - A round is bounded, in requests that it begins and in time, so that a thousand
 *   of them do not keep the other tasks waiting.
 *
 * Descriptors run out before anything else does. Half of them, or all but a few
 * hundred, may become connections; further requests wait inside curl. Where a
 * socket is refused even so, the request is not failed but tried again when another
 * one has ended, and the bound lowered to what could be opened: curl then closes an
 * idle connection or waits for one. It fails only when none of ours is left to close.
 */
#include "http.h"

#include <stdlib.h>
#include <sys/resource.h>

struct kin__http_driver {
    CURLM *multi;
    CURLSH *share;
    struct kin__http_sockets sockets;
    struct kin__http_transfer *first, *last;    /* the inbox */
    struct kin__http_transfer *idle;
    unsigned idle_count;
    struct kin__http_transfer *entered;         /* transfers that curl has, */
    long running, peak;                         /* … how many, and had at most */
    struct kin__http_transfer *starving;        /* those that were refused a socket … */
    long starved_at;                            /* … when so many others ran */
    struct kin_wait wait;
    int failure;                                /* why curl could not be set up, or 0 */
    bool spawned, parked;
    unsigned lull;                              /* rounds without a transfer */
};

static const char driver_key;                   /* its address is the key */

/* ---------------------------------------------------------------- the inbox */

static void post(struct kin__http_driver *d, struct kin__http_transfer *t, unsigned command)
{
    t->commands |= command;
    if (t->posted)
        return;
    t->posted = true;
    t->next = NULL;
    if (d->last)
        d->last->next = t;
    else
        d->first = t;
    d->last = t;
}

static void wake(void *driver)
{
    struct kin__http_driver *d = driver;

    if (!d->parked)
        return;
    d->parked = false;
    kin_wait_wake(&d->wait, 0);
}

void kin__http_command(struct kin__http_transfer *t, enum kin__http_command command)
{
    post(t->driver, t, command);
    wake(t->driver);
}

void kin__http_notify(struct kin__http_transfer *t)
{
    if (!t->parked)
        return;
    t->parked = false;
    kin_wait_wake(&t->wait, 0);
}

void kin__http_fail(struct kin__http_transfer *t, int code)
{
    if (t->cause == 0)
        t->cause = code;
    kin__http_command(t, KIN__HTTP_REMOVE);
}

/* Not in curl any more: the caller's to take up again, or to be thrown away by
 * the driver (since that, too, is a call of curl's). */
void kin__http_release(struct kin__http_transfer *t)
{
    struct kin__http_driver *d = t->driver;

    kin__http_transfer_clear(t);
    if (d->idle_count >= KIN__HTTP_IDLE) {
        kin__http_command(t, KIN__HTTP_DISCARD);
        return;
    }
    t->next_idle = d->idle;
    d->idle = t;
    d->idle_count++;
}

/* -------------------------------------------------------- in and out of curl */

/* Curl has bounds of its own on a head, 100 KB a line and (from 8.3 on, and in
 * Debian's 7.88) 300 KB in all, and says "out of memory" and "receive error". */
static bool head_too_long(const struct kin__http_transfer *t, CURLcode rc)
{
    return t->in_head && (rc == CURLE_OUT_OF_MEMORY ||
                          (rc == CURLE_RECV_ERROR && t->head_total > KIN__HTTP_CURLS_HEADERS));
}

static int code_of(const struct kin__http_transfer *t, CURLcode rc)
{
    if (rc == CURLE_OK)         /* curl takes a head that is cut off for a whole one */
        return t->in_head ? KIN_EHTTP(CURLE_PARTIAL_FILE) : 0;
    if (t->cause < 0)
        return t->cause;
    if (head_too_long(t, rc))
        return KIN_EHTTP_HEADERS;
    return rc == CURLE_OUT_OF_MEMORY ? -ENOMEM : KIN_EHTTP((int)rc);
}

static void let_go(struct kin__http_driver *d, struct kin__http_transfer *t)
{
    kin__http_list_remove(t);
    if (!t->running)
        return;
    curl_multi_remove_handle(d->multi, t->easy);
    t->running = false;
    d->running--;
}

static void finish(struct kin__http_driver *d, struct kin__http_transfer *t, int code)
{
    assert(!t->over);
    let_go(d, t);
    t->commands = 0;
    t->over = true;
    t->result = code;
    if (t->detached) {
        kin__http_release(t);
        return;
    }
    if (t->set_up) {
        int rc = kin__http_response_fill(t);

        code = code < 0 ? code : rc;
        if (t->response->redirects > 0)         /* perhaps to a URL with a password */
            kin__http_settings_forget(t);
    }
    t->result = code;
    if (t->parked) {
        t->parked = false;
        kin_wait_wake(&t->wait, code == KIN_ECANCELED && !t->withdrawn ? code : 0);
    }
}

/* Curl's default is four connections kept for each transfer it has just then,
 * which closes them as soon as fewer run than before. */
static void widen_cache(struct kin__http_driver *d)
{
    if (d->running <= d->peak)
        return;
    d->peak = d->running < 16 ? 16 : 2 * d->running;
    curl_multi_setopt(d->multi, CURLMOPT_MAXCONNECTS, 2 * d->peak);
}

static CURLcode enter(struct kin__http_driver *d, struct kin__http_transfer *t)
{
    if (curl_multi_add_handle(d->multi, t->easy) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    d->lull = 0;
    kin__http_list_add(&d->entered, t);
    t->running = true;
    d->running++;
    widen_cache(d);
    return CURLE_OK;
}

static CURLcode set_up(struct kin__http_driver *d, struct kin__http_transfer *t)
{
    if (kin__http_is_again(t)) {
        t->set_up = true;
        return kin__http_setup_again(t);
    }
    if (t->easy) {
        curl_easy_reset(t->easy);
    } else {
        t->easy = curl_easy_init();
        if (!t->easy)
            return CURLE_OUT_OF_MEMORY;
        if (curl_easy_setopt(t->easy, CURLOPT_SHARE, d->share) != CURLE_OK)
            return CURLE_OUT_OF_MEMORY;
    }
    t->set_up = true;
    kin__http_sockets_setup(&d->sockets, t);
    return kin__http_setup(t);
}

static void start(struct kin__http_driver *d, struct kin__http_transfer *t)
{
    CURLcode rc;

    if (d->failure < 0) {
        finish(d, t, d->failure);
        return;
    }
    rc = set_up(d, t);
    if (rc == CURLE_OK)
        rc = enter(d, t);
    if (rc != CURLE_OK)
        finish(d, t, code_of(t, rc));
}

static void resume(struct kin__http_driver *d, struct kin__http_transfer *t)
{
    CURLcode rc;

    if (!t->running)
        return;
    rc = curl_easy_pause(t->easy, CURLPAUSE_CONT);
    if (rc != CURLE_OK)
        finish(d, t, code_of(t, rc));
}

/* Lowers the bound to what could be had, and has the transfer wait for another to
 * end. If no other runs, trying again is of use only if an idle connection could be
 * closed since the last time. */
static bool try_again(struct kin__http_driver *d, struct kin__http_transfer *t)
{
    long open = d->sockets.open;

    if (!t->starved)
        return false;
    t->cause = -EMFILE;
    if (open == 0 || (d->running == 1 && t->open_then && open >= t->open_then))
        return false;
    let_go(d, t);
    kin__http_list_add(&d->starving, t);
    t->starved = false;
    t->cause = 0;
    t->open_then = open;
    d->starved_at = d->running;
    curl_multi_setopt(d->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, open);
    return true;
}

static void revive(struct kin__http_driver *d)
{
    struct kin__http_transfer *t;

    if (d->running > 0 && d->running >= d->starved_at)
        return;
    while ((t = d->starving)) {
        CURLcode rc;

        kin__http_list_remove(t);
        rc = enter(d, t);
        if (rc != CURLE_OK)
            finish(d, t, code_of(t, rc));
    }
}

/* --------------------------------------------------------------- the rounds */

static void obey(struct kin__http_driver *d, struct kin__http_transfer *t)
{
    unsigned commands = t->commands;

    t->commands = 0;
    t->posted = false;
    if (commands & KIN__HTTP_DISCARD)
        kin__http_transfer_free(t);
    else if (commands & KIN__HTTP_START)
        start(d, t);
    else if (commands & KIN__HTTP_RESUME)
        resume(d, t);
}

static void take_removals(struct kin__http_driver *d, struct kin__http_transfer *first)
{
    for (struct kin__http_transfer *t = first; t; t = t->next)
        if (t->commands & KIN__HTTP_REMOVE)
            finish(d, t, t->cause < 0 ? t->cause : KIN_ECANCELED);
}

/* What is left after a batch stays in front. */
static void take_commands(struct kin__http_driver *d)
{
    struct kin__http_transfer *first = d->first, *last = d->last, *next;

    d->first = d->last = NULL;
    take_removals(d, first);
    for (int i = 0; first && i < KIN__HTTP_BATCH; i++, first = next) {
        next = first->next;
        obey(d, first);
    }
    if (!first)
        return;
    last->next = d->first;
    d->last = d->first ? d->last : last;
    d->first = first;
}

static void collect(struct kin__http_driver *d)
{
    struct kin__http_transfer *t;
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(d->multi, &left))) {
        CURLcode rc = m->data.result;

        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        if (rc == CURLE_OK || !try_again(d, t))
            finish(d, t, code_of(t, rc));
    }
}

/* Curl lacked the memory to say what it waits for, and does not say for whom: they
 * would wait for ever. */
static void fail_all(struct kin__http_driver *d)
{
    while (d->entered)
        finish(d, d->entered, -ENOMEM);
}

static bool on_abort(struct kin_wait *wait)
{
    struct kin__http_driver *d = wait->object;

    d->parked = false;
    return true;
}

static const struct kin_wait_ops idle_ops = { "http work", on_abort, NULL };

static int park(struct kin__http_driver *d)
{
    int rc = kin_wait_prepare(&d->wait, &idle_ops, d);

    if (rc < 0)
        return rc;
    d->parked = true;
    return kin_wait_park(&d->wait);
}

/* No transfer is left. Whoever waited for the last ones may start the next; only
 * when the others have had a few turns do the kept connections lose their watches.
 * True: look again. */
static bool rest(struct kin__http_driver *d)
{
    if (d->lull++ < KIN__HTTP_LULL)
        return true;
    kin__http_sockets_rest(&d->sockets);
    return false;
}

/* Until there is something to do. KIN_ECANCELED at the end of the run. */
static int wait_for_work(struct kin__http_driver *d)
{
    kin_scope limit;
    int rc;

    if (d->first || kin__http_sockets_pending(&d->sockets))
        return kin_yield();
    if (d->running == 0 && rest(d))
        return kin_yield();
    if (d->sockets.due == KIN_FOREVER)
        return park(d);
    limit = kin_scope_open(.deadline = d->sockets.due);
    rc = kin_scope_close(&limit, park(d));
    if (rc == -ENOMEM)
        return kin_yield();
    return rc == KIN_ETIMEDOUT ? 0 : rc;
}

/* ------------------------------------------------------- beginning and end */

static long connection_bound(void)
{
    struct rlimit files;
    long most;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > 1 << 20)
        return 0;
    most = (long)files.rlim_cur;
    return most > 512 ? most - 256 : most > 2 ? most / 2 : 1;
}

static int open_curl(struct kin__http_driver *d)
{
    int rc = kin__http_global_init();

    if (rc < 0)
        return rc;
    d->multi = curl_multi_init();
    d->share = curl_share_init();
    if (!d->multi || !d->share || !kin__http_sockets_adopt(&d->sockets, d->multi))
        return -ENOMEM;
    curl_share_setopt(d->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(d->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connection_bound());
    return 0;
}

static void close_curl(struct kin__http_driver *d)
{
    while (d->first)
        take_commands(d);
    assert(d->running == 0);
    while (d->idle) {
        struct kin__http_transfer *t = d->idle;

        d->idle = t->next_idle;
        kin__http_transfer_free(t);
    }
    curl_multi_cleanup(d->multi);
    curl_share_cleanup(d->share);
    kin__http_sockets_close(&d->sockets);
}

static int drive(void *arg)
{
    struct kin__http_driver *d = arg;
    bool served;

    d->failure = open_curl(d);
    do {
        take_commands(d);
        if (d->failure < 0)
            continue;
        served = kin__http_sockets_serve(&d->sockets);
        collect(d);
        if (!served)
            fail_all(d);
        revive(d);
    } while (wait_for_work(d) >= 0);
    close_curl(d);
    return 0;
}

/* Stored before its task is started: a driver without a task is tried again by
 * the next request, a task without a driver would be lost. */
static int find_driver(struct kin__http_driver **driver)
{
    struct kin__http_driver *d = kin_run_local(&driver_key);
    int rc;

    if (!d) {
        d = calloc(1, sizeof *d);
        if (!d)
            return -ENOMEM;
        d->sockets.wake = wake;
        d->sockets.arg = d;
        d->sockets.due = KIN_FOREVER;
        rc = kin_run_local_set(&driver_key, d, free);
        if (rc < 0) {
            free(d);
            return rc;
        }
    }
    *driver = d;
    if (d->spawned)
        return 0;
    rc = kin_system_spawn(drive, d, "http driver");
    d->spawned = rc >= 0;
    return rc;
}

int kin__http_acquire(struct kin__http_transfer **transfer)
{
    struct kin__http_driver *d;
    struct kin__http_transfer *t;
    int rc = find_driver(&d);

    if (rc < 0)
        return rc;
    t = d->idle;
    if (t) {
        d->idle = t->next_idle;
        d->idle_count--;
        t->next_idle = NULL;
    } else {
        t = calloc(1, sizeof *t);
        if (!t)
            return -ENOMEM;
        t->driver = d;
    }
    *transfer = t;
    return 0;
}
