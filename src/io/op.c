/* Operations: the blocking calls on descriptors.
 *
 * Each goes the same way: look at cancellation (before any effect), claim the descriptor's
 * reading or writing side, let the backend do it or park until it has, release. What was
 * completed is never turned into a cancellation: it is handed over when it completes.
 *
 * A regular file is never ready or not ready: a call of file_call.c reads it, while the
 * descriptor stays claimed.
 */
#include "io/file.h"

#include <sys/stat.h>

static bool op_abort(struct kin_wait *wait)
{
    struct kin__op *op = kin__container(wait, struct kin__op, wait);

    if (op->verdict)                    /* kin_close has asked already */
        return false;
    if (!kin__io_backend()->abort(op)) {
        op->verdict = KIN_ECANCELED;
        return false;
    }
    kin__rt->outside--;
    kin__io()->waiting--;
    op->waiting = false;
    if (!op->keep)
        kin__fd_release(op);
    return true;
}

static void op_describe(const struct kin_wait *wait, char *text, size_t size)
{
    static const char *const what[] = { "nothing", "readable", "writable", "readable or writable" };
    const struct kin__op *op = kin__container(wait, struct kin__op, wait);

    snprintf(text, size, "fd %d %s", op->fd, what[op->events & 3]);
}

static const struct kin_wait_ops op_waits[] = {
    [KIN__OP_POLL] = { "wait_fd", op_abort, op_describe },
    [KIN__OP_READ] = { "read", op_abort, op_describe },
    [KIN__OP_WRITE] = { "write", op_abort, op_describe },
    [KIN__OP_ACCEPT] = { "accept", op_abort, op_describe },
    [KIN__OP_RECEIVE_MESSAGE] = { "receive", op_abort, op_describe },
    [KIN__OP_SEND_MESSAGE] = { "send", op_abort, op_describe },
    [KIN__OP_FILE] = { "file", op_abort, NULL },
};

static int prepare(struct kin__op *op)
{
    return kin_wait_prepare(&op->wait, &op_waits[op->kind], NULL);
}

/* Before another step on a descriptor that stays claimed: it may have been closed while
 * somebody else ran. */
static int prepare_again(struct kin__op *op)
{
    int rc = prepare(op);

    return rc < 0 ? rc : op->verdict;
}

static bool is_message(const struct kin__op *op)
{
    return op->kind == KIN__OP_RECEIVE_MESSAGE || op->kind == KIN__OP_SEND_MESSAGE;
}

/* For messages alone it matters of what kind a socket is. */
static kin__cold int examine_for_message(struct kin__op *op, const struct stat *status)
{
    int type;

    if (!S_ISSOCK(status->st_mode))
        return -ENOTSOCK;
    type = kin__socket_fact(op->fd, SO_TYPE);
    if (type < 0)
        return type;
    op->fd_kind = type == SOCK_DGRAM ? KIN__FD_DATAGRAM : KIN__FD_SOCKET;
    return 0;
}

/* What kind of thing it is this time. */
static int examine(struct kin__op *op, uint8_t kind)
{
    struct stat status;

    op->fd_kind = kind;
    if (kind != KIN__FD_FOREIGN || op->kind == KIN__OP_POLL || op->kind == KIN__OP_ACCEPT)
        return 0;
    if (kin__io_fails("fstat", ENOMEM) || fstat(op->fd, &status) < 0)
        return -errno;
    if (kin__unlikely(is_message(op)))
        return examine_for_message(op, &status);
    if (S_ISSOCK(status.st_mode))
        op->fd_kind = KIN__FD_SOCKET;
    else if (kin__is_disk(status.st_mode))
        op->fd_kind = KIN__FD_FILE;
    else
        op->fd_kind = KIN__FD_STREAM;
    return 0;
}

static int claim(struct kin__op *op)
{
    struct kin__io *io = kin__io();
    struct kin__fd *slot;
    int rc;

    if (kin__unlikely(!io))
        return -ENOSYS;
    rc = kin__fd_reserve(io, op->fd);
    if (rc < 0)
        return rc;
    slot = &io->fds[op->fd];
    if (kin__unlikely(slot->closing))
        return -EBADF;
    if ((op->events & KIN_READABLE && slot->reader) || (op->events & KIN_WRITABLE && slot->writer))
        return KIN_EBUSY;
    rc = examine(op, slot->kind);
    if (rc < 0)
        return rc;
    if (op->events & KIN_READABLE)
        slot->reader = op;
    if (op->events & KIN_WRITABLE)
        slot->writer = op;
    return 0;
}

static int park(struct kin__op *op)
{
    op->waiting = true;
    kin__rt->outside++;
    kin__io()->waiting++;
    return kin_wait_park(&op->wait);
}

static int start_or_park(struct kin__op *op)
{
    if (!kin__io_backend()->start(op))
        return park(op);
    kin_wait_skip();
    return op->result;
}

void kin__op_finish(struct kin__op *op, int result)
{
    assert(op->waiting);
    kin__rt->outside--;
    kin__io()->waiting--;
    op->waiting = false;
    kin_wait_wake(&op->wait, result);
    if (!op->keep)
        kin__fd_release(op);
}

void kin__op_dismiss(struct kin__op *op, int code)
{
    bool off;

    if (!op->waiting || op->verdict)
        return;
    off = kin__io_backend()->abort(op);
    op->verdict = code;
    if (off)
        kin__op_finish(op, code);
}

/* Sockets disagree on what reading nothing means when there is nothing. */
static bool moves_nothing(const struct kin__op *op)
{
    return op->size == 0 && (op->kind == KIN__OP_READ || op->kind == KIN__OP_WRITE);
}

static bool is_for_files(const struct kin__op *op)
{
    return op->fd_kind == KIN__FD_FILE &&
           (op->kind == KIN__OP_READ || op->kind == KIN__OP_WRITE);
}

/* At the file's position. */
static int transfer(const struct kin__op *op)
{
    struct kin__file_call call = {
        .what = op->kind == KIN__OP_READ ? KIN__FILE_READ : KIN__FILE_WRITE,
        .fd = op->fd, .into = op->into, .size = op->size, .offset = -1,
    };

    return kin__file_call(&call);
}

static int transfer_and_release(struct kin__op *op)
{
    int rc = transfer(op);

    kin__fd_release(op);
    return rc;
}

int kin__op_perform_unclaimed(struct kin__op *op)
{
    int rc = prepare(op);

    if (rc < 0)
        return rc;
    op->keep = true;
    return start_or_park(op);
}

int kin__op_perform(struct kin__op *op)
{
    int rc = prepare(op);

    if (rc < 0)
        return rc;
    rc = claim(op);
    if (rc == 0) {
        if (is_for_files(op) && !moves_nothing(op))
            return transfer_and_release(op);
        if (!moves_nothing(op) && !kin__io_backend()->start(op))
            return park(op);
        rc = op->result;
        kin__fd_release(op);
    }
    kin_wait_skip();
    return rc;
}

int kin__io_pause(int64_t *pause)
{
    *pause = *pause == 0 ? KIN_MS(1) : *pause < KIN_MS(64) ? *pause * 2 : *pause;
    return kin_sleep(*pause);
}

static void cut_pause_short(struct kin__op *op)
{
    kin__sleep_cut_short(op->wait.task);
}

static int pause_between(struct kin__op *op, int64_t *pause)
{
    int rc;

    op->evicted = cut_pause_short;
    rc = kin__io_pause(pause);
    op->evicted = NULL;
    return rc == 0 ? op->verdict : rc;  /* closed while somebody else ran */
}

static int insist(struct kin__op *op)
{
    int64_t pause = 0;
    int rc = start_or_park(op);

    while (rc == -ENOBUFS) {
        rc = pause_between(op, &pause);
        if (rc == 0)
            rc = prepare(op);           /* cancelled between the pause's end and now */
        if (rc == 0)
            rc = start_or_park(op);
    }
    return rc;
}

/* The descriptor stays claimed, so that nobody overtakes, and nobody gets the number. */
int kin__op_insist(struct kin__op *op)
{
    int rc = prepare(op);

    if (rc < 0)
        return rc;
    rc = kin__op_hold(op);
    if (rc < 0) {
        kin_wait_skip();
        return rc;
    }
    rc = insist(op);
    kin__fd_release(op);
    return rc;
}

int kin__op_hold(struct kin__op *op)
{
    op->keep = true;
    return claim(op);
}

int kin__op_step(struct kin__op *op)
{
    int rc = prepare_again(op);

    return rc < 0 ? rc : start_or_park(op);
}

/* ----------------------------------------------------------------- the calls */

int kin_wait_fd(int fd, unsigned events)
{
    struct kin__op op = { .kind = KIN__OP_POLL, .fd = fd, .events = events };

    if (events == 0 || (events & ~(KIN_READABLE | KIN_WRITABLE)))
        return KIN_EINVAL;
    return kin__op_perform(&op);
}

ssize_t kin_read(int fd, void *buffer, size_t size)
{
    struct kin__op op = { .kind = KIN__OP_READ, .fd = fd, .events = KIN_READABLE,
                          .into = buffer, .size = kin__io_portion(size) };

    return kin__op_perform(&op);
}

ssize_t kin_write(int fd, const void *buffer, size_t size)
{
    struct kin__op op = { .kind = KIN__OP_WRITE, .fd = fd, .events = KIN_WRITABLE,
                          .from = buffer, .size = kin__io_portion(size) };

    return kin__op_perform(&op);
}

static int write_rest(struct kin__op *op, const char *from, size_t size, size_t *sent)
{
    int rc = 0;

    while (rc == 0 && *sent < size) {
        op->from = from + *sent;
        op->size = kin__io_portion(size - *sent);
        rc = is_for_files(op) ? transfer(op) : start_or_park(op);
        if (rc < 0)
            return rc;
        *sent += (size_t)rc;
        if (*sent < size)
            rc = prepare_again(op);
    }
    return rc < 0 ? rc : 0;
}

int kin_write_all(int fd, const void *buffer, size_t size, size_t *done)
{
    struct kin__op op = { .kind = KIN__OP_WRITE, .fd = fd, .events = KIN_WRITABLE, .keep = true };
    size_t sent = 0;
    int rc = prepare(&op);

    if (rc == 0) {
        rc = claim(&op);
        if (rc == 0) {
            rc = write_rest(&op, buffer, size, &sent);
            kin__fd_release(&op);
        } else {
            kin_wait_skip();
        }
    }
    if (done)
        *done = sent;
    return rc;
}
