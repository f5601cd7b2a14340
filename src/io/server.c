/* Servers: one task for each connection, and an end that lets them finish.
 *
 * Whoever calls kin_serve opens two groups, one in the other:
 *
 *     the server's            cancelled from outside at once
 *       accept                the task that accepts
 *       shield
 *         connections         kept, until it is cancelled by us, with .drain as its grace
 *           connection[1] …
 *
 * A cancellation from outside ends the task that accepts, and stops at the shield. The
 * caller waits for that task, and then cancels the connections itself: softly, which they
 * can see (kin_cancelled) but which leaves their calls alone, and which becomes hard after
 * .drain. So the shield needs no time of its own. A listener that was closed, or that
 * cannot be accepted from any more, ends in the same way.
 *
 * The listener is claimed as long as it is accepted from: between two connections it may
 * be closed and its number be somebody else's. There is one operation and no queue: as
 * long as the server is full, the kernel's backlog keeps who wants to come.
 *
 * Connections find their server by a task-local, so that a task costs nothing besides
 * itself and kin_serve_idle works wherever they call it from. Who is idle is in a list, to
 * be sent home when the end begins. (Cancelling an idle task instead would need a scope for
 * each; a flag that they look at would not reach who waits.)
 */
#include "io/io.h"
#include "kin_io.h"

#include <errno.h>

static const int64_t shortest_rest = KIN_MS(5), longest_rest = KIN_S(1);
static const char serving_key;

struct serving {
    int (*fn)(int fd, void *arg);
    void *arg;
    const struct kin_serve_options *options;
    const char *name;
    struct kin_serve_counts *counts, own_counts;
    struct kin__op accept;              /* holds the listener */
    kin_task acceptor;
    struct kin_wait *waits_for_acceptor;
    kin_group connections;
    uint64_t live;                      /* of them */
    kin_event changed;                  /* one has ended, or the listener is closed */
    struct idling *idle;
    bool draining;
    int64_t rest, last_shortage;
};

struct idling {                         /* on the stack of who is idle */
    struct kin__op op;
    struct idling *next, **link;
};

/* ----------------------------------------------------------- one connection */

/* The error slot says code, too; what was said of another is its cause. No memory needed. */
static const kin_error *explain_code(const struct serving *serving, int code)
{
    const kin_error *error = kin_error_last();

    if (!error || error->code != code)
        kin_fail_at(serving->options->at, code, "%s", "");
    return kin_error_last();
}

/* No failure: peers do that. */
static bool has_just_gone(int code)
{
    return code == -ECONNRESET || code == -EPIPE || code == -ETIMEDOUT || code == -ECONNABORTED ||
           code == -EHOSTUNREACH || code == -ENETUNREACH || code == KIN_EEOF;
}

static void connection_failed(struct serving *serving, int code)
{
    const kin_error *error = explain_code(serving, code);

    serving->counts->failed++;
    if (serving->options->failed)
        serving->options->failed(error, serving->arg);
    else
        kin__error_report(error, "a connection's");
}

/* What a connection ends with is the server's affair, and never its failure. */
static int serve_connection(void *arg)
{
    struct serving *serving = kin_local_get(&serving_key);
    int fd = (int)(intptr_t)arg, rc = serving->fn(fd, serving->arg);

    kin_close(fd);
    if (kin_class(rc) == KIN_CLASS_CANCEL && kin_cancelled())
        serving->counts->cut += kin_check() < 0;
    else if (rc < 0 && !has_just_gone(rc))
        connection_failed(serving, rc);
    serving->live--;
    kin_event_set(&serving->changed);
    return 0;
}

/* ------------------------------------------------------------------ accepting */

static bool is_shortage(int code)
{
    return code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -ENOBUFS;
}

/* Until a connection has ended, which gives back what it had, or some time has passed. One
 * that ended since the last look counts. */
static int rest_a_while(struct serving *serving)
{
    kin_scope limit = kin_scope_open(.timeout = serving->rest);
    int rc = kin_scope_close(&limit, kin_event_wait(&serving->changed));

    kin_event_clear(&serving->changed);
    if (rc == -ENOMEM)                  /* for the scope */
        rc = kin_sleep(serving->rest);
    if (rc != KIN_ETIMEDOUT)
        return rc;
    serving->rest = serving->rest * 2 < longest_rest ? serving->rest * 2 : longest_rest;
    return 0;
}

/* A server that is full in this way fails again after each connection that has ended:
 * it is one shortage until there was none for a while. */
static int bear_shortage(struct serving *serving, int code)
{
    int64_t now = kin_now();

    if (!serving->last_shortage || now - serving->last_shortage > 2 * longest_rest)
        kin_report("server %s (%s): connections have to wait: %s (%s)", serving->name,
                   serving->options->at, kin_code_text(code), kin_code_name(code));
    serving->last_shortage = now;
    return rest_a_while(serving);
}

/* One that was accepted is not given up for want of memory. */
static int begin_connection(struct serving *serving, int fd)
{
    const struct kin_spawn_options options = {
        .at = serving->options->at, .group = &serving->connections, .fn = serve_connection,
        .arg = (void *)(intptr_t)fd, .name = serving->name,
        .index = (int32_t)(serving->counts->accepted % INT32_MAX + 1),
    };
    int rc;

    do
        rc = kin_spawn_with(&options);
    while (rc == -ENOMEM && (rc = bear_shortage(serving, rc)) == 0);
    if (rc < 0) {
        kin_close(fd);
        return rc;
    }
    serving->live++;
    serving->counts->accepted++;
    return 0;
}

static int accept_one(struct serving *serving)
{
    int fd = kin__io_fails("serve", EMFILE) ? -errno : kin__op_step(&serving->accept);

    if (is_shortage(fd))
        return bear_shortage(serving, fd);
    if (fd < 0)
        return fd;
    serving->rest = shortest_rest;
    kin__fd_adopt_accepted(fd, &serving->accept);
    return begin_connection(serving, fd);
}

static int await_room(struct serving *serving)
{
    int rc = 0;

    while (rc == 0 && serving->options->limit && serving->live >= serving->options->limit &&
           !serving->accept.verdict) {
        rc = kin_event_wait(&serving->changed);
        kin_event_clear(&serving->changed);
    }
    return rc;
}

static void listener_evicted(struct kin__op *op)
{
    kin_event_set(&kin__container(op, struct serving, accept)->changed);
}

static int accept_until_told(struct serving *serving)
{
    int rc = 0;

    while (rc == 0)
        if ((rc = await_room(serving)) == 0)
            rc = accept_one(serving);
    return rc;
}

/* The listener is closed while it is still claimed: if somebody else closes it at the same
 * time, its number may be in use again as soon as we have let go. Who comes from now on is
 * refused, and not kept waiting. */
static int accept_all(void *arg)
{
    struct serving *serving = arg;
    int held = kin__op_hold(&serving->accept);
    int rc = held == 0 ? accept_until_told(serving) : held;

    if (serving->accept.verdict == KIN_ECLOSED)
        rc = 0;                         /* that is how one ends a server, too */
    else
        kin_close(serving->accept.fd);
    if (held == 0)
        kin__fd_release(&serving->accept);
    if (serving->waits_for_acceptor)
        kin_wait_wake(serving->waits_for_acceptor, 0);
    return rc;
}

/* --------------------------------------------------------------------- the end */

static const struct kin_wait_ops acceptor_wait = { "the end of accepting", NULL, NULL };

/* As for a join, no cancellation: what cancels us cancels that task. */
static void await_acceptor(struct serving *serving)
{
    struct kin_wait wait;

    kin__wait_init(&wait, &acceptor_wait, NULL);
    serving->waits_for_acceptor = &wait;
    kin_wait_park(&wait);
}

static void begin_drain(struct serving *serving)
{
    serving->draining = true;
    kin_group_cancel_at(serving->options->at, &serving->connections, "the server is ending");
    for (struct idling *idling = serving->idle; idling; idling = idling->next)
        kin__op_dismiss(&idling->op, KIN_EAGAIN);
}

static int spawn_acceptor(struct serving *serving, kin_group *outer)
{
    return kin_spawn_with(&(struct kin_spawn_options){
        .at = serving->options->at, .group = outer, .fn = accept_all, .arg = serving,
        .name = "accept", .task = &serving->acceptor });
}

/* What may be left in the group of connections are spawns that were refused for want of
 * memory, and made again: nobody's concern. */
static int serve_connections(struct serving *serving, kin_group *outer)
{
    const struct kin_serve_options *options = serving->options;
    struct kin_scope_state state;
    int rc = -ENOMEM;

    serving->connections = kin_group_open_with(&(struct kin_group_options){
        .at = options->at, .name = serving->name, .policy = KIN_KEEP_GOING,
        .grace = options->drain, .stack = options->stack });
    if (kin_group_look(&serving->connections, &state) == 0)
        rc = spawn_acceptor(serving, outer);
    if (rc == 0) {
        await_acceptor(serving);
        begin_drain(serving);
    }
    kin_group_close(&serving->connections, 0);
    return rc;
}

static int serve_shielded(struct serving *serving, kin_group *outer)
{
    kin_local local = { .key = &serving_key, .value = serving };
    struct kin_scope_state state;
    kin_scope shield = kin_scope_open_with(&(struct kin_scope_options){
        .at = serving->options->at, .shield = KIN_FOREVER, .local = &local });
    int rc = -ENOMEM;

    if (kin_scope_look(&shield, &state) == 0)
        rc = serve_connections(serving, outer);
    kin_scope_close(&shield, 0);
    if (rc < 0)
        kin_close(serving->accept.fd);  /* else the acceptor has */
    return rc;
}

static int serve_listener(struct serving *serving)
{
    kin_group outer = kin_group_open_with(&(struct kin_group_options){
        .at = serving->options->at, .name = serving->name });
    int rc = kin_group_close(&outer, serve_shielded(serving, &outer));

    kin__error_unwrap(kin__rt);
    return rc == 0 ? serving->acceptor.code : rc;
}

int kin_serve_with(int listener_fd, int (*fn)(int fd, void *arg), void *arg,
                   const struct kin_serve_options *options)
{
    struct serving serving = {
        .fn = fn, .arg = arg, .options = options, .rest = shortest_rest,
        .name = options->name ? options->name : "connection",
        .accept = { .kind = KIN__OP_ACCEPT, .fd = listener_fd, .events = KIN_READABLE,
                    .evicted = listener_evicted },
    };
    int rc = fn ? kin_check() : KIN_EINVAL;

    serving.counts = options->counts ? options->counts : &serving.own_counts;
    *serving.counts = (struct kin_serve_counts){ .accepted = 0 };
    if (rc == 0)
        return serve_listener(&serving);
    kin_close(listener_fd);
    return rc;
}

/* -------------------------------------------------------------------- idleness */

static int idle_on(struct serving *serving, int fd)
{
    struct idling idling = {
        .op = { .kind = KIN__OP_POLL, .sure = true, .fd = fd, .events = KIN_READABLE },
        .next = serving->idle, .link = &serving->idle,
    };
    int rc;

    if (idling.next)
        idling.next->link = &idling.next;
    serving->idle = &idling;
    rc = kin__op_perform(&idling.op);
    *idling.link = idling.next;
    if (idling.next)
        idling.next->link = idling.link;
    return rc;
}

/* What has come before the end is served. */
static int has_come(int fd)
{
    struct kin__op op = { .kind = KIN__OP_POLL, .fd = fd, .events = KIN_READABLE };
    int rc = kin_check();

    if (rc == 0)
        rc = kin__op_try(&op);
    return rc == -EAGAIN ? 0 : rc;
}

int kin_serve_idle(int fd)
{
    struct serving *serving = kin_local_get(&serving_key);
    int rc = KIN_EAGAIN;

    if (!serving)
        rc = kin_wait_fd(fd, KIN_READABLE);
    else if (!serving->draining)
        rc = idle_on(serving, fd);
    if (rc == KIN_EAGAIN)
        rc = has_come(fd);
    return rc > 0 ? 1 : rc;
}
