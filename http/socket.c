/* What curl waits for: its sockets and its one timer, as watches and a deadline.
 *
 * Curl says which events of which socket it wants (on_socket) and when it wants
 * to be called at the latest (on_timer). A watch that fires only puts its socket
 * on the ready list and wakes the driver, once however often it fires; the
 * driver then hands the listed sockets to curl one by one. A socket leaves the
 * list when curl gives it up, so nothing stale is ever handed over, though the
 * number of a closed descriptor be used again at once.
 *
 * A connection that a request has ended on goes back to curl's cache, and curl
 * gives its socket up, to ask for it again with the next request. Between the
 * two the watch rests: it stays on, since stopping and starting it would be two
 * system calls a request. It stops when it fires (the server has closed, and curl
 * will find out), when curl closes the socket (hence on_close), and, so that a
 * run in which nothing else happens can be seen to be blocked, when no transfer
 * is left. Only sockets that we have opened ourselves may rest: of the others
 * (the resolver's) nobody would tell us that they are closed.
 */
#include "http.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum state { OUT, READY, RESTING };

struct kin__http_socket {
    struct kin_watch watch;
    struct kin__http_sockets *sockets;
    struct kin__http_socket *next, *prev;       /* in the list that state says */
    unsigned watched;                           /* the events that the watch is set to */
    unsigned events;                            /* READY: those that it saw */
    enum state state;
    bool ours;                                  /* made by on_open */
};

/* ----------------------------------------------------------------- records */

static void list_add(struct kin__http_socket_list *list, struct kin__http_socket *s,
                     enum state state)
{
    assert(s->state == OUT);
    s->state = state;
    s->next = NULL;
    s->prev = list->last;
    if (list->last)
        list->last->next = s;
    else
        list->first = s;
    list->last = s;
}

static void list_remove(struct kin__http_socket *s)
{
    struct kin__http_sockets *k = s->sockets;
    struct kin__http_socket_list *list = s->state == READY ? &k->ready : &k->resting;

    if (s->state == OUT)
        return;
    if (s->next)
        s->next->prev = s->prev;
    else
        list->last = s->prev;
    if (s->prev)
        s->prev->next = s->next;
    else
        list->first = s->next;
    s->state = OUT;
}

static struct kin__http_socket *find(const struct kin__http_sockets *k, int fd)
{
    return (size_t)fd < k->capacity ? k->by_fd[fd] : NULL;
}

static int grow(struct kin__http_sockets *k, size_t wanted)
{
    size_t capacity = k->capacity ? k->capacity : 32;
    struct kin__http_socket **by_fd;

    while (capacity < wanted)
        capacity *= 2;
    by_fd = realloc(k->by_fd, capacity * sizeof(struct kin__http_socket *));
    if (!by_fd)
        return -ENOMEM;
    for (size_t i = k->capacity; i < capacity; i++)
        by_fd[i] = NULL;
    k->by_fd = by_fd;
    k->capacity = capacity;
    return 0;
}

static void on_ready(struct kin_watch *watch, unsigned events);

static struct kin__http_socket *add(struct kin__http_sockets *k, int fd, bool ours)
{
    struct kin__http_socket *s;

    assert(fd >= 0 && !find(k, fd));
    if ((size_t)fd >= k->capacity && grow(k, (size_t)fd + 1) < 0)
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->sockets = k;
    s->ours = ours;
    s->watch.fd = fd;
    s->watch.ready = on_ready;
    s->watch.arg = s;
    k->by_fd[fd] = s;
    return s;
}

static void stop(struct kin__http_socket *s)
{
    list_remove(s);
    if (s->watched)
        kin_watch_stop(&s->watch);
    s->watched = 0;
}

static void drop(struct kin__http_socket *s)
{
    stop(s);
    s->sockets->by_fd[s->watch.fd] = NULL;
    free(s);
}

/* Short of memory, curl now and then closes a socket without a word, and the
 * number comes back as another one. */
static void forget(struct kin__http_sockets *k, int fd)
{
    struct kin__http_socket *s = find(k, fd);

    if (s)
        drop(s);
}

/* ------------------------------------------------------ from the scheduler */

static void on_ready(struct kin_watch *watch, unsigned events)
{
    struct kin__http_socket *s = watch->arg;

    if (s->state == RESTING) {
        stop(s);
        return;
    }
    if (s->state == OUT) {
        s->events = 0;
        list_add(&s->sockets->ready, s, READY);
    }
    s->events |= events;
    s->sockets->wake(s->sockets->arg);
}

/* ---------------------------------------------------------------- from curl */

static int watch(struct kin__http_socket *s, int what)
{
    unsigned events = (what & CURL_POLL_IN ? KIN_READABLE : 0) |
                      (what & CURL_POLL_OUT ? KIN_WRITABLE : 0);
    int rc;

    if (s->state == RESTING)
        list_remove(s);
    if (events == s->watched)
        return 0;
    rc = kin_watch_set(&s->watch, events);
    if (rc < 0)
        return rc;
    s->watched = events;
    return 0;
}

static void give_up(struct kin__http_socket *s)
{
    if (!s->ours) {
        drop(s);
        return;
    }
    if (s->watched != KIN_READABLE) {
        stop(s);
        return;
    }
    list_remove(s);
    list_add(&s->sockets->resting, s, RESTING);
}

/* Without a watch the transfer would hang: it fails. An error returned to curl
 * would make every transfer of the multi handle fail. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *sockets, void *unused)
{
    struct kin__http_sockets *k = sockets;
    struct kin__http_socket *s = find(k, fd);
    struct kin__http_transfer *t = NULL;
    int rc;

    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            give_up(s);
        return 0;
    }
    if (!s)
        s = add(k, fd, false);
    rc = s ? watch(s, what) : -ENOMEM;
    if (rc < 0) {
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
        kin__http_fail(t, rc);
    }
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *sockets)
{
    struct kin__http_sockets *k = sockets;

    (void)multi;
    if (timeout_ms < 0)
        k->due = KIN_FOREVER;
    else
        k->due = timeout_ms == 0 ? 0 : kin_now() + KIN_MS(timeout_ms);
    return 0;
}

static curl_socket_t on_open(void *transfer, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct kin__http_transfer *t = transfer;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    if (fd < 0) {
        t->starved = errno == EMFILE || errno == ENFILE;
        return CURL_SOCKET_BAD;
    }
    forget(t->sockets, fd);
    if (!add(t->sockets, fd, true)) {
        kin__http_fail(t, -ENOMEM);     /* curl itself may forget this failure, and wait */
        close(fd);
        return CURL_SOCKET_BAD;
    }
    t->sockets->open++;
    return fd;
}

static int on_close(void *sockets, curl_socket_t fd)
{
    struct kin__http_sockets *k = sockets;

    forget(k, fd);
    k->open--;
    return close(fd);
}

/* ----------------------------------------------------------- from the driver */

bool kin__http_sockets_adopt(struct kin__http_sockets *k, CURLM *multi)
{
    k->multi = multi;
    k->due = KIN_FOREVER;
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, k) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, k) == CURLM_OK;
}

void kin__http_sockets_setup(struct kin__http_sockets *k, struct kin__http_transfer *t)
{
    t->sockets = k;
    curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(t->easy, CURLOPT_CLOSESOCKETDATA, k);
}

static bool act(struct kin__http_sockets *k, curl_socket_t fd, int mask)
{
    int running;

    return curl_multi_socket_action(k->multi, fd, mask, &running) == CURLM_OK;
}

/* A round is bounded by time and not by number: a socket costs a few microseconds,
 * or a millisecond of TLS handshake. */
static bool serve_ready(struct kin__http_sockets *k)
{
    int64_t until = k->ready.first != k->ready.last ? kin_now() + KIN_MS(KIN__HTTP_ROUND_MS) : 0;
    bool ok = true;

    while (k->ready.first) {
        struct kin__http_socket *s = k->ready.first;
        int mask = (s->events & KIN_READABLE ? CURL_CSELECT_IN : 0) |
                   (s->events & KIN_WRITABLE ? CURL_CSELECT_OUT : 0);

        list_remove(s);
        ok &= act(k, s->watch.fd, mask);
        if (k->ready.first && kin_now() > until)
            break;
    }
    return ok;
}

static bool serve_timer(struct kin__http_sockets *k)
{
    if (k->due == KIN_FOREVER || (k->due > 0 && k->due > kin_now()))
        return true;
    k->due = KIN_FOREVER;
    return act(k, CURL_SOCKET_TIMEOUT, 0);
}

bool kin__http_sockets_serve(struct kin__http_sockets *k)
{
    bool ok = serve_ready(k);

    return serve_timer(k) && ok;
}

bool kin__http_sockets_pending(const struct kin__http_sockets *k)
{
    return k->ready.first || k->due == 0;
}

void kin__http_sockets_rest(struct kin__http_sockets *k)
{
    while (k->resting.first)
        stop(k->resting.first);
}

/* Curl has closed its sockets; what is left are the resolver's, whose watches
 * it did not end because their transfers were removed with them. */
void kin__http_sockets_close(struct kin__http_sockets *k)
{
    for (size_t i = 0; i < k->capacity; i++)
        if (k->by_fd[i])
            drop(k->by_fd[i]);
    free(k->by_fd);
    k->by_fd = NULL;
    k->capacity = 0;
}
