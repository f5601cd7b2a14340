/* The backend on io_uring: readiness, submissions, and the one call that does both.
 *
 * poll() hands over what has gathered and fetches completions with one system call. Three
 * kinds of things are under way in the kernel:
 *
 * Polls of kin's own descriptors, which belong to the descriptor and not to who waits: the
 * waiter is noted in the table alone. When the poll says something, the system call is made
 * here (ready.c). So nothing in the kernel knows the caller's memory, an idle connection
 * holds no buffer, a waiter is sent away at once, and what he did not take is still there for
 * whoever reads next, with kin or without. The first polls of a descriptor are for once;
 * then comes one that stays until the descriptor is closed. A poll holds the file open,
 * so kin_close has it called off, and waits for its end; a short connection never needs that.
 *
 * Sends, which never wait: those of all tasks that run in a turn go with one call. That is
 * where io_uring is faster. A send that has nobody to go with is made at once, and
 * saves a switch. One that finds no room is made again when a poll says that there is some. A
 * send under way cannot be called back, and need not be: it is over by the next turn.
 *
 * What the kernel does in the background (files, see file_uring.c), or waits for on behalf of
 * one call alone (kin_wait_fd, foreign descriptors, watches). These it knows by the operation's
 * address, so nobody resumes before the completion is there: aborting is slow. It only links the
 * operation, by its own wait record, to a list; poll() turns the list into requests
 * behind the submissions they are for. The answer to a request says little, the operation's
 * own completion says all, with one exception: if the kernel did not find what is still
 * under way, it is asked again.
 *
 * Why not have the kernel receive, too: a receive for one call has its memory, so that
 * giving up is slow; one that stays, with buffers of the ring's, takes data that nobody has
 * asked for, which a cancelled reader would owe to whoever reads the descriptor next. Polling
 * first costs the same (docs/design.md).
 *
 * A watch is a one-shot poll that is submitted again after each call of ready();
 * that is level-triggered, since a poll looks before it waits. Its record is the
 * backend's own and lives until its last completion; changing the events replaces it.
 */
#include "io/file_uring.h"
#include "io/uring.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { PEEK = 64 };

struct record {
    struct kin__op op;                  /* KIN__OP_WATCH */
    struct kin_watch *watch;            /* NULL: stopped */
    bool calling;
};

static struct kin__uring *uring(void)
{
    return kin__rt->backend_state;
}

static struct record *record_of(struct kin__op *op)
{
    return kin__container(op, struct record, op);
}

/* ------------------------------------------------------------------ set-up */

static int uring_open(struct kin__runtime *rt)
{
    struct kin__uring *u = kin__os_alloc(sizeof *u);
    int rc = -ENOMEM;

    if (!u)
        return rc;
    if (!kin__pool_open(&u->records, sizeof(struct record), NULL))
        goto no_pool;
    rc = kin__uring_open(&u->ring);
    if (rc < 0)
        goto no_ring;
    u->bell = -1;
    /* that of the kernel that brought these polls; no other says it */
    u->multishot = (u->ring.features & IORING_FEAT_RSRC_TAGS) &&
                   !kin__io_fails("uring_multishot", EINVAL);
    rt->backend_state = u;
    return 0;

no_ring:
    kin__pool_close(&u->records);
no_pool:
    kin__os_free(u);
    return rc;
}

/* -------------------------------------------------------------- operations */

static bool is_send(const struct kin__op *op)
{
    return op->kind == KIN__OP_WRITE &&
           (op->fd_kind == KIN__FD_TCP || op->fd_kind == KIN__FD_SOCKET);
}

/* It is the kernel's to do. Of the rest only the readiness is: what EAGAIN means for datagrams
 * and messages is known to syscall.c alone, and a terminal would occupy a kernel thread. */
static bool is_submitted(const struct kin__fd *slot, const struct kin__op *op)
{
    if (op->kind == KIN__OP_POLL)
        return !op->sure || slot->kind == KIN__FD_FOREIGN;
    return is_send(op);
}

/* Nobody else has, or will have, anything to submit this turn. */
static bool is_alone(const struct kin__uring *u)
{
    const struct kin__runtime *rt = kin__rt;

    return !rt->ready.head && !rt->ahead.head && !rt->fresh.head && !io_uring_sq_ready(&u->ring);
}

/* Whoever reads again mostly waits: that is submitted first. The first call is made, since
 * nobody has seen yet that the descriptor takes it at all; a new connection's has often
 * something to read by then. */
static bool waits_first(const struct kin__fd *slot, const struct kin__op *op)
{
    return slot->asked > 0 && !(slot->armed & POLLIN) && (op->events & KIN_READABLE) &&
           op->kind != KIN__OP_ACCEPT && slot->kind != KIN__FD_FOREIGN;
}

static bool uring_start(struct kin__op *op)
{
    struct kin__uring *u = uring();
    struct kin__fd *slot = op->kind == KIN__OP_FILE ? NULL : &u->io.fds[op->fd];

    op->direct = slot && (!is_submitted(slot, op) || (is_send(op) && is_alone(u)));
    if (op->direct && !waits_first(slot, op) && !kin__ready_dry(slot, op)) {
        op->result = kin__ready_attempt(slot, op);
        if (op->result != -EAGAIN)
            return true;
    }
    kin__uring_send(u, op);
    return false;
}

static bool abort_op(struct kin__uring *u, struct kin__op *op)
{
    if (op->place == KIN__UNSENT)
        kin_wait_list_remove(&u->unsent, &op->wait);
    if (op->place <= KIN__LISTED) {
        op->place = KIN__NOWHERE;
        return true;
    }
    assert(op->place == KIN__SENT);
    if (op->direct || !is_send(op))     /* a send is over by the next turn */
        kin__uring_move(op, NULL, &u->to_abort, KIN__TO_ABORT);
    return false;
}

static bool uring_abort(struct kin__op *op)
{
    return abort_op(uring(), op);
}

static bool uring_forget(int fd)
{
    struct kin__uring *u = uring();
    bool asked = kin__uring_send_forget(u, fd);

    u->forget_again |= !asked;
    return asked;
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
        op->direct = true;              /* no room: that is waited for */
    return result == -EINTR ? -EAGAIN : result;
}

static void watch_completed(struct kin__uring *u, struct kin__op *op, int result)
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
        kin__uring_send(u, op);         /* else its owner has closed it: it stays silent */
}

static void completed(struct kin__uring *u, struct kin__op *op, int result)
{
    assert(op->place >= KIN__SENT);
    if (op->place == KIN__TO_ABORT)
        kin_wait_list_remove(&u->to_abort, &op->wait);
    else if (op->place == KIN__ABORTING)
        kin_wait_list_remove(&u->aborting, &op->wait);
    op->place = KIN__NOWHERE;
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
        kin__uring_send(u, op);
    else
        kin__op_finish(op, result);
}

/* A descriptor's own poll says something, and goes on if there is more to come. */
static void polled(struct kin__uring *u, const struct io_uring_cqe *cqe)
{
    unsigned of = cqe->user_data & KIN__OF_BITS;
    int fd = kin__uring_poll_fd(cqe->user_data);
    struct kin__fd *slot = &u->io.fds[fd];
    struct kin__op *op = of == KIN__OF_READABLE ? slot->reader : slot->writer;

    if (kin__uring_poll_data(u, fd, of) != cqe->user_data)
        return;                         /* a former owner's of the number */
    if (!(cqe->flags & IORING_CQE_F_MORE))
        slot->armed &= ~kin__uring_polled(of);
    kin__ready_note(slot, cqe->res < 0 ? 0 : (uint32_t)cqe->res);
    if (slot->closing) {
        kin__fd_settle(slot, fd);
    } else if (op && op->place == KIN__LISTED) {
        op->place = KIN__NOWHERE;
        if (cqe->res < 0 && cqe->res != -ECANCELED)
            kin__op_finish(op, cqe->res);
        else if (!kin__ready_retry(slot, op))
            kin__uring_send(u, op);
    }
}

/* -------------------------------------------------------------------- poll */

static bool kernel_has_more(const struct kin__uring *u)
{
    return IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static void enter(struct kin__uring *u, int64_t timeout)
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

static void take(struct kin__uring *u, const struct io_uring_cqe *cqe)
{
    if ((cqe->user_data & KIN__OF_BITS) == KIN__OF_OP)
        completed(u, io_uring_cqe_get_data(cqe), cqe->res);
    else if (cqe->user_data != KIN__OF_CANCEL)
        polled(u, cqe);
    else
        u->missed |= cqe->res == -ENOENT;
}

/* As much as the ring holds, so that what completes meanwhile keeps nobody waiting. */
static void reap(struct kin__uring *u)
{
    struct io_uring_cqe *cqes[PEEK];
    unsigned n, taken = 0;

    do {
        n = io_uring_peek_batch_cqe(&u->ring, cqes, PEEK);
        for (unsigned i = 0; i < n; i++)
            take(u, cqes[i]);
        io_uring_cq_advance(&u->ring, n);
        taken += n;
    } while (n > 0 && taken < KIN__COMPLETIONS);
}

/* Something found no room. */
static bool is_behind(const struct kin__uring *u)
{
    return u->unsent.first || u->to_abort.first || u->forget_again;
}

static void quieten(struct kin__uring *u)
{
    eventfd_t times;

    eventfd_read(u->bell, &times);
}

/* The next poll may be long in coming, and comes only if the bell rings: what completions
 * have made to be submitted goes now, and for what is left over the bell is rung. */
static void settle_for_host(struct kin__uring *u)
{
    if (io_uring_sq_ready(&u->ring))
        kin__uring_submit(u);
    if (is_behind(u) || io_uring_sq_ready(&u->ring) ||
        io_uring_cq_ready(&u->ring) || kernel_has_more(u))
        eventfd_write(u->bell, 1);
}

static void uring_poll(struct kin__runtime *rt, int64_t timeout)
{
    struct kin__uring *u = rt->backend_state;

    if (kin__unlikely(u->bell >= 0))
        quieten(u);
    kin__uring_send_unsent(u);
    kin__uring_send_aborts(u);
    if (kin__unlikely(u->forget_again))
        kin__uring_forget_again(u);
    enter(u, is_behind(u) ? 0 : timeout);
    u->io.polling = true;
    reap(u);
    u->io.polling = false;
    if (u->missed)
        kin__uring_ask_again(u);
    if (kin__unlikely(u->bell >= 0))
        settle_for_host(u);
}

/* A ring of deferred work never turns its own descriptor readable. An eventfd is rung
 * when there is work, which the next poll then lets the kernel do. */
static int uring_descriptor(struct kin__runtime *rt)
{
    struct kin__uring *u = rt->backend_state;
    int rc;

    u->bell = kin__io_fails("eventfd", EMFILE) ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (u->bell < 0)
        return -errno;
    rc = kin__io_fails("uring_eventfd", ENOMEM) ? -errno
                                                 : io_uring_register_eventfd(&u->ring, u->bell);
    return rc < 0 ? rc : u->bell;
}

/* Polls and stopped watches may be under way still: they are called off, so that the files
 * are let go now; whatever the kernel says of them later, nobody listens. */
static void uring_close(struct kin__runtime *rt)
{
    struct kin__uring *u = rt->backend_state;

    kin__uring_send_aborts(u);
    for (int fd = 0; fd < u->io.count; fd++)
        kin__uring_send_forget(u, fd);
    kin__uring_submit(u);
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
    struct kin__uring *u = uring();
    struct record *record = watch->backend;

    assert(record->watch == watch);
    record->watch = NULL;
    if (record->op.place == KIN__SENT)
        abort_op(u, &record->op);
    else if (record->op.place == KIN__UNSENT && abort_op(u, &record->op))
        kin__pool_put(&u->records, record);
    else if (!record->calling)
        kin__pool_put(&u->records, record);
}

static int uring_watch_set(struct kin_watch *watch)
{
    struct kin__uring *u = uring();
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
    kin__uring_send(u, &record->op);
    return 0;
}

const struct kin__io_backend kin__backend_uring = {
    .base = { "uring", uring_open, uring_close, uring_poll },
    .start = uring_start,
    .abort = uring_abort,
    .forget = uring_forget,
    .watch_set = uring_watch_set,
    .watch_stop = uring_watch_stop,
    .descriptor = uring_descriptor,
    .file_call = kin__file_in_ring,
};
