/* The backend on io_uring: the kernel does the call itself when it can.
 *
 * A started operation becomes a submission; poll() hands over what has gathered and
 * fetches completions with one system call. The kernel reads and writes the
 * caller's memory until the completion is there, so nobody resumes earlier: aborting
 * is slow. It only links the operation, by its own wait record, to a list; poll()
 * turns the list into cancellation requests behind the submissions they are for. The
 * answer to a request says little, the operation's own completion says all, with one
 * exception: if the kernel did not find what is still under way, it is asked again.
 *
 * Not everything is left to the kernel. A non-blocking pipe makes kernels before 6.4
 * say EAGAIN instead of waiting, a write to a pipe raises SIGPIPE where it cannot be
 * held off, a terminal would occupy a kernel thread, and what EAGAIN means for datagrams
 * and messages is known to syscall.c only. Such operations are "direct": uring waits for
 * readiness, the call is made here. Calls of files are filled in by file_uring.c; kin_read
 * and kin_write of one do not come here.
 *
 * A watch is a one-shot poll that is submitted again after each call of ready();
 * that is level-triggered, since a poll looks before it waits. Its record is the
 * backend's own and lives until its last completion; changing the events replaces it.
 *
 * No submission can be lost: what finds no room (the kernel is short of memory) waits
 * in a list for the next poll. Completions that find no room the kernel keeps.
 */
#include "io/file_uring.h"

#include <liburing.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SUBMISSIONS = 256, COMPLETIONS = 4096, PEEK = 64, ABORTS = 256 };
enum place { NOWHERE, UNSENT, SENT, TO_ABORT, ABORTING };

#define CANCEL_DATA ((uint64_t)1)       /* no operation's address */
#define PROBE_DATA ((uint64_t)2)

struct uring {
    struct kin__io io;
    struct io_uring ring;
    struct kin_wait_list unsent, to_abort, aborting;
    struct kin__pool records;
    bool missed;                        /* a cancellation found nothing */
    int bell;                           /* see uring_descriptor; -1: nobody asked */
};

struct record {
    struct kin__op op;                  /* KIN__OP_WATCH */
    struct kin_watch *watch;            /* NULL: stopped */
    bool calling;
};

static struct uring *uring(void)
{
    return kin__rt->backend_state;
}

static struct kin__op *op_of(struct kin_wait *wait)
{
    return kin__container(wait, struct kin__op, wait);
}

static struct record *record_of(struct kin__op *op)
{
    return kin__container(op, struct record, op);
}

/* ------------------------------------------------------------------ set-up */

/* The memory of rings counts against RLIMIT_MEMLOCK of all who are not privileged,
 * and that of rings that have ended is given back some milliseconds later only. */
static int init_ring(struct io_uring *ring, struct io_uring_params *params)
{
    const struct timespec moment = { .tv_nsec = 2000000 };
    int rc = io_uring_queue_init_params(SUBMISSIONS, ring, params);

    for (int i = 0; i < 50 && rc == -ENOMEM; i++) {
        nanosleep(&moment, NULL);
        rc = io_uring_queue_init_params(SUBMISSIONS, ring, params);
    }
    return rc;
}

/* The kernel's newest ways of being asked first: completions are worked off only when
 * we fetch them, by the one thread that submits. */
static int make_ring(struct io_uring *ring)
{
    static const unsigned ways[] = {
        IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
            IORING_SETUP_SUBMIT_ALL,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
        0,
    };
    int rc = -EINVAL;

    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && rc == -EINVAL; i++) {
        struct io_uring_params params = {
            .flags = ways[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
            .cq_entries = COMPLETIONS,
        };

        if (kin__io_fails("uring_setup", EPERM))
            return -errno;
        rc = init_ring(ring, &params);
    }
    return rc;
}

/* A ring that could be made may still be one that does not work. */
static int probe(struct io_uring *ring)
{
    const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
    struct __kernel_timespec limit = { .tv_sec = 1 };
    struct io_uring_cqe *cqe = NULL;
    struct io_uring_sqe *sqe;
    int rc;

    if ((ring->features & needed) != needed)
        return -ENOSYS;
    sqe = io_uring_get_sqe(ring);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data64(sqe, PROBE_DATA);
    do
        rc = kin__io_fails("uring_probe", EPERM)
                 ? -errno : io_uring_submit_and_wait_timeout(ring, &cqe, 1, &limit, NULL);
    while (rc == -EINTR);
    if (rc < 0)
        return rc;
    if (!cqe || cqe->user_data != PROBE_DATA)
        return -ENOSYS;
    io_uring_cqe_seen(ring, cqe);
    return 0;
}

static int uring_open(struct kin__runtime *rt)
{
    struct uring *u = kin__os_alloc(sizeof *u);
    int rc = -ENOMEM;

    if (!u)
        return rc;
    if (!kin__pool_open(&u->records, sizeof(struct record), NULL))
        goto no_pool;
    rc = make_ring(&u->ring);
    if (rc < 0)
        goto no_ring;
    rc = probe(&u->ring);
    if (rc < 0)
        goto no_use;
    u->bell = -1;
    io_uring_register_ring_fd(&u->ring);    /* saves a look-up a call; may fail */
    rt->backend_state = u;
    return 0;

no_use:
    io_uring_queue_exit(&u->ring);
no_ring:
    kin__pool_close(&u->records);
no_pool:
    kin__os_free(u);
    return rc;
}

/* ------------------------------------------------------------- submissions */

static void submit(struct uring *u)
{
    int rc = kin__io_fails("uring_submit", EAGAIN) ? -errno : io_uring_submit(&u->ring);

    if (rc < 0 && rc != -EAGAIN && rc != -EBUSY && rc != -EINTR && rc != -ENOMEM)
        kin__io_broken("io_uring_submit", -rc);
}

static struct io_uring_sqe *room(struct uring *u)
{
    struct io_uring_sqe *sqe;

    if (kin__io_fails("uring_full", EAGAIN))
        return NULL;
    sqe = io_uring_get_sqe(&u->ring);
    if (sqe)
        return sqe;
    submit(u);
    return io_uring_get_sqe(&u->ring);
}

static void fill_read(struct io_uring_sqe *sqe, const struct kin__op *op)
{
    io_uring_prep_read(sqe, op->fd, op->into, (unsigned)op->size, (uint64_t)-1);
    if (op->fd_kind == KIN__FD_PIPE && kin__io_fails("uring_old_pipe", EAGAIN))
        sqe->rw_flags = RWF_NOWAIT;     /* what kernels before 6.4 do by themselves */
}

static void fill(struct io_uring_sqe *sqe, const struct kin__op *op)
{
    const bool socket = op->fd_kind == KIN__FD_TCP || op->fd_kind == KIN__FD_SOCKET;
    const unsigned size = (unsigned)op->size;

    if (op->kind == KIN__OP_FILE)
        kin__file_fill(sqe, op);
    else if (op->direct || op->kind == KIN__OP_POLL || op->kind == KIN__OP_WATCH)
        io_uring_prep_poll_add(sqe, op->fd, kin__io_poll_mask(op->events));
    else if (op->kind == KIN__OP_ACCEPT)
        io_uring_prep_accept(sqe, op->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    else if (op->kind == KIN__OP_READ && socket)
        io_uring_prep_recv(sqe, op->fd, op->into, size, 0);
    else if (op->kind == KIN__OP_READ)
        fill_read(sqe, op);
    else
        io_uring_prep_send(sqe, op->fd, op->from, size, MSG_NOSIGNAL);
    io_uring_sqe_set_data(sqe, (void *)(uintptr_t)op);
}

static bool send_one(struct uring *u, struct kin__op *op)
{
    struct io_uring_sqe *sqe = room(u);

    if (!sqe)
        return false;
    fill(sqe, op);
    op->place = SENT;
    return true;
}

static void send_op(struct uring *u, struct kin__op *op)
{
    if (kin__unlikely(!send_one(u, op))) {
        op->place = UNSENT;
        kin_wait_list_add(&u->unsent, &op->wait);
    }
}

static void send_unsent(struct uring *u)
{
    struct kin_wait *wait;

    while ((wait = u->unsent.first) && send_one(u, op_of(wait)))
        kin_wait_list_remove(&u->unsent, wait);
}

static void move(struct kin__op *op, struct kin_wait_list *from, struct kin_wait_list *to,
                 enum place place)
{
    if (from)
        kin_wait_list_remove(from, &op->wait);
    kin_wait_list_add(to, &op->wait);
    op->place = (uint8_t)place;
}

/* The last first: the kernel finds an operation in chains that begin with the newest. Not
 * all at once: their completions would not fit into the ring, which costs dearly. A
 * request that succeeds says nothing: the operation's completion does. */
static void send_aborts(struct uring *u)
{
    unsigned flags = u->ring.features & IORING_FEAT_CQE_SKIP ? IOSQE_CQE_SKIP_SUCCESS : 0;
    struct kin_wait *wait;
    struct io_uring_sqe *sqe;

    for (int n = 0; n < ABORTS && (wait = u->to_abort.last) && (sqe = room(u)); n++) {
        bool miss = kin__io_fails("uring_cancel", ENOENT);

        io_uring_prep_cancel64(sqe, miss ? CANCEL_DATA : (uintptr_t)op_of(wait), 0);
        io_uring_sqe_set_flags(sqe, flags);
        io_uring_sqe_set_data64(sqe, CANCEL_DATA);
        move(op_of(wait), &u->to_abort, &u->aborting, ABORTING);
    }
}

/* -------------------------------------------------------------- operations */

static bool is_direct(const struct kin__op *op)
{
    return op->fd_kind == KIN__FD_STREAM || op->fd_kind == KIN__FD_DATAGRAM ||
           op->kind == KIN__OP_RECEIVE_MESSAGE || op->kind == KIN__OP_SEND_MESSAGE ||
           (op->fd_kind == KIN__FD_PIPE && op->kind == KIN__OP_WRITE);
}

static bool uring_start(struct kin__op *op)
{
    op->direct = is_direct(op);
    if (op->direct) {
        op->result = kin__op_try(op);
        if (op->result != -EAGAIN)
            return true;
    }
    send_op(uring(), op);
    return false;
}

static bool abort_op(struct uring *u, struct kin__op *op)
{
    if (op->place == UNSENT) {
        kin_wait_list_remove(&u->unsent, &op->wait);
        op->place = NOWHERE;
        return true;
    }
    assert(op->place == SENT);
    move(op, NULL, &u->to_abort, TO_ABORT);
    return false;
}

static bool uring_abort(struct kin__op *op)
{
    return abort_op(uring(), op);
}

static bool gave_up(int result)
{
    return result == -ECANCELED || result == -EINTR || result == -EAGAIN;
}

/* What a completion means for the waiter; -EAGAIN: nothing yet, send it again. */
static int outcome(struct kin__op *op, int result)
{
    if (op->verdict && (gave_up(result) || (op->direct && result >= 0)))
        return op->verdict;
    if (op->direct)
        return result < 0 && result != -EINTR ? result : kin__op_try(op);
    if (op->kind == KIN__OP_POLL && result >= 0)
        return (int)kin__io_events((uint32_t)result, op->events);
    if (result == -EAGAIN)
        op->direct = true;              /* the kernel will not wait for us */
    else if (result == -EINTR || (op->kind == KIN__OP_ACCEPT && kin__accept_again(-result)))
        return op->verdict ? op->verdict : -EAGAIN;
    return result;
}

static void watch_completed(struct uring *u, struct kin__op *op, int result)
{
    struct record *record = record_of(op);
    struct kin_watch *watch = record->watch;

    if (watch && result > 0) {
        record->calling = true;
        watch->ready(watch, kin__io_events((uint32_t)result, op->events));
        record->calling = false;
    }
    if (!record->watch)
        kin__pool_put(&u->records, record);
    else if (result >= 0)
        send_op(u, op);                 /* else its owner has closed it: it stays silent */
}

static void completed(struct uring *u, struct kin__op *op, int result)
{
    assert(op->place >= SENT);
    if (op->place == TO_ABORT)
        kin_wait_list_remove(&u->to_abort, &op->wait);
    else if (op->place == ABORTING)
        kin_wait_list_remove(&u->aborting, &op->wait);
    op->place = NOWHERE;
    if (op->kind == KIN__OP_WATCH) {
        watch_completed(u, op, result);
        return;
    }
    if (op->kind == KIN__OP_FILE) {     /* what to do about EAGAIN is the caller's */
        kin__op_finish(op, kin__file_outcome(op, result));
        return;
    }
    result = outcome(op, result);
    if (result == -EAGAIN)
        send_op(u, op);
    else
        kin__op_finish(op, result);
}

/* -------------------------------------------------------------------- poll */

static bool kernel_has_more(const struct uring *u)
{
    return IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static void enter(struct uring *u, int64_t timeout)
{
    struct __kernel_timespec limit = { timeout / KIN_S(1), timeout % KIN_S(1) };
    struct io_uring_cqe *cqe;
    int rc = 0;

    if (kin__io_fails("uring_enter", EINTR))
        rc = -errno;
    else if (timeout > 0 && !io_uring_cq_ready(&u->ring))
        rc = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1,
                                              timeout == KIN_FOREVER ? NULL : &limit, NULL);
    else if (io_uring_sq_ready(&u->ring) || kernel_has_more(u))
        rc = io_uring_submit_and_get_events(&u->ring);
    if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY && rc != -ENOMEM)
        kin__io_broken("io_uring_enter", -rc);
}

static void take(struct uring *u, const struct io_uring_cqe *cqe)
{
    if (cqe->user_data == CANCEL_DATA)
        u->missed |= cqe->res == -ENOENT;
    else
        completed(u, io_uring_cqe_get_data(cqe), cqe->res);
}

/* As much as the ring holds, so that what completes meanwhile keeps nobody waiting. */
static void reap(struct uring *u)
{
    struct io_uring_cqe *cqes[PEEK];
    unsigned n, taken = 0;

    do {
        n = io_uring_peek_batch_cqe(&u->ring, cqes, PEEK);
        for (unsigned i = 0; i < n; i++)
            take(u, cqes[i]);
        io_uring_cq_advance(&u->ring, n);
        taken += n;
    } while (n > 0 && taken < COMPLETIONS);
}

static void ask_again(struct uring *u)
{
    struct kin_wait *wait;

    u->missed = false;
    while ((wait = u->aborting.first))
        move(op_of(wait), &u->aborting, &u->to_abort, TO_ABORT);
}

static void quieten(struct uring *u)
{
    eventfd_t times;

    eventfd_read(u->bell, &times);
}

/* The next poll may be long in coming, and comes only if the bell rings: what completions
 * have made to be submitted goes now, and for what is left over the bell is rung. */
static void settle_for_host(struct uring *u)
{
    if (io_uring_sq_ready(&u->ring))
        submit(u);
    if (u->unsent.first || u->to_abort.first || io_uring_sq_ready(&u->ring) ||
        io_uring_cq_ready(&u->ring) || kernel_has_more(u))
        eventfd_write(u->bell, 1);
}

static void uring_poll(struct kin__runtime *rt, int64_t timeout)
{
    struct uring *u = rt->backend_state;

    if (kin__unlikely(u->bell >= 0))
        quieten(u);
    send_unsent(u);
    send_aborts(u);
    enter(u, u->unsent.first || u->to_abort.first ? 0 : timeout);
    u->io.polling = true;
    reap(u);
    u->io.polling = false;
    if (u->missed)
        ask_again(u);
    if (kin__unlikely(u->bell >= 0))
        settle_for_host(u);
}

/* A ring of deferred work never turns its own descriptor readable. An eventfd is rung
 * when there is work, which the next poll then lets the kernel do. */
static int uring_descriptor(struct kin__runtime *rt)
{
    struct uring *u = rt->backend_state;
    int rc;

    u->bell = kin__io_fails("eventfd", EMFILE) ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (u->bell < 0)
        return -errno;
    rc = kin__io_fails("uring_eventfd", ENOMEM) ? -errno
                                                 : io_uring_register_eventfd(&u->ring, u->bell);
    return rc < 0 ? rc : u->bell;
}

/* Stopped watches may be under way still: they are called off, so that the files are
 * let go now; whatever the kernel says of them later, nobody listens. */
static void uring_close(struct kin__runtime *rt)
{
    struct uring *u = rt->backend_state;

    send_aborts(u);
    submit(u);
    io_uring_queue_exit(&u->ring);
    if (u->bell >= 0)
        close(u->bell);
    kin__pool_close(&u->records);
    kin__io_end(&u->io);
    kin__os_free(u);
    rt->backend_state = NULL;
}

/* ----------------------------------------------------------------- watches */

static void uring_watch_stop(struct kin_watch *watch)
{
    struct uring *u = uring();
    struct record *record = watch->backend;

    assert(record->watch == watch);
    record->watch = NULL;
    if (record->op.place == SENT)
        abort_op(u, &record->op);
    else if (record->op.place == UNSENT && abort_op(u, &record->op))
        kin__pool_put(&u->records, record);
    else if (!record->calling)
        kin__pool_put(&u->records, record);
}

static int uring_watch_set(struct kin_watch *watch)
{
    struct uring *u = uring();
    struct record *record = kin__pool_get(&u->records);

    if (!record)
        return -ENOMEM;
    *record = (struct record){
        .op = { .kind = KIN__OP_WATCH, .fd = watch->fd, .events = watch->events },
        .watch = watch,
    };
    if (watch->backend)
        uring_watch_stop(watch);
    watch->backend = record;
    send_op(u, &record->op);
    return 0;
}

const struct kin__io_backend kin__backend_uring = {
    .base = { "uring", uring_open, uring_close, uring_poll },
    .start = uring_start,
    .abort = uring_abort,
    .watch_set = uring_watch_set,
    .watch_stop = uring_watch_stop,
    .descriptor = uring_descriptor,
    .file_call = kin__file_in_ring,
};
