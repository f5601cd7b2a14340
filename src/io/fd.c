/* File descriptors: the blocking calls, and the table of who waits for what.
 *
 * Each call goes the same way: look at cancellation (before any effect), claim the
 * descriptor's reading or writing side, let the backend do it or park until it has,
 * release. What was completed is never turned into a cancellation: it is handed
 * over when it completes. The table is an array, because the numbers are small and
 * dense by POSIX's rule of the lowest free one.
 *
 * Close sends who waits away with KIN_ECLOSED. Where the kernel still holds an
 * operation (io_uring), the number stays taken until that has come back, so that
 * nothing under way can touch its next owner; close waits for that, as it would for a
 * system call, and cannot be cancelled meanwhile. What must not park (a hook called
 * from poll, a task on a borrowed stack) does not wait: the descriptor is closed when
 * the operation comes back.
 *
 * A regular file is never ready or not ready: a call of file_call.c reads it, while the
 * descriptor stays claimed, and is held: close waits for that as well.
 */
#include "io/file.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* --------------------------------------------------------------- the table */

int kin__fd_reserve(struct kin__io *io, int fd)
{
    int count = io->count ? io->count : 64;
    struct kin__fd *fds;

    if (kin__likely(fd < io->count))
        return fd < 0 ? -EBADF : 0;
    if (fcntl(fd, F_GETFD) < 0)         /* before memory is spent on a senseless number */
        return -errno;
    while (count <= fd)
        count = count > INT_MAX / 2 ? INT_MAX : count * 2;
    fds = kin__os_alloc((size_t)count * sizeof *fds);
    if (!fds)
        return -ENOMEM;
    if (io->count)
        memcpy(fds, io->fds, (size_t)io->count * sizeof *fds);
    kin__os_free(io->fds);
    io->fds = fds;
    io->count = count;
    return 0;
}

void kin__io_end(struct kin__io *io)
{
    assert(io->waiting == 0);
    for (int fd = 0; fd < io->count; fd++)
        if (io->fds[fd].closing)        /* by a hook */
            kin__fd_close(fd);
    kin__os_free(io->fds);
}

static void detach(struct kin__fd *slot, const struct kin__op *op)
{
    if (slot->reader == op)
        slot->reader = NULL;
    if (slot->writer == op)
        slot->writer = NULL;
}

static bool in_use(const struct kin__fd *slot)
{
    return slot->reader || slot->writer || slot->holds;
}

static bool is_held(const struct kin__fd *slot)
{
    return in_use(slot) || slot->armed;
}

static int close_now(struct kin__fd *slot, int fd)
{
    slot->generation++;
    return kin__fd_close(fd);
}

static void tell_closer(struct kin__fd *slot, int rc)
{
    struct kin_wait *closer = slot->closer;

    kin__io()->closing--;
    slot->closing = false;
    slot->closer = NULL;
    if (!closer)
        return;
    kin__rt->outside--;
    kin_wait_wake(closer, rc);
}

void kin__fd_settle(struct kin__fd *slot, int fd)
{
    if (kin__unlikely(slot->closing) && !is_held(slot))
        tell_closer(slot, close_now(slot, fd));
}

static void release(struct kin__op *op)
{
    struct kin__fd *slot = &kin__io()->fds[op->fd];

    detach(slot, op);
    kin__fd_settle(slot, op->fd);
}

int kin__fd_hold(int fd)
{
    int rc = kin__fd_reserve(kin__io(), fd);
    struct kin__fd *slot = rc == 0 ? &kin__io()->fds[fd] : NULL;

    if (rc == 0 && slot->closing)
        rc = -EBADF;
    if (rc == 0)
        slot->holds++;
    return rc;
}

void kin__fd_let_go(int fd)
{
    struct kin__fd *slot = &kin__io()->fds[fd];

    if (slot->holds > 0)                /* else closed without kin, and adopted again */
        slot->holds--;
    kin__fd_settle(slot, fd);
}

/* Somebody else closes the descriptor under this operation, or its side. */
static void evict(struct kin__fd *slot, struct kin__op *op, int code)
{
    if (!op)
        return;
    if (!op->waiting) {                 /* between two steps, or a file's */
        op->verdict = code;
        detach(slot, op);
        if (op->evicted)
            op->evicted(op);
    } else if (!op->verdict && kin__io_backend()->abort(op)) {
        op->verdict = code;
        detach(slot, op);
        kin__op_finish(op, code);
    } else if (!op->verdict) {
        op->verdict = code;
    }
}

/* Sends everybody away, and forgets what was known about it. */
static void vacate(struct kin__fd *slot, int fd)
{
    evict(slot, slot->reader, KIN_ECLOSED);
    evict(slot, slot->writer, KIN_ECLOSED);
    if (slot->watch)
        kin_watch_stop(slot->watch);
    if (slot->armed)
        kin__io_backend()->forget(fd);
    slot->kind = KIN__FD_FOREIGN;
    slot->asked = slot->dry = 0;
    slot->ended = false;
}

/* A new descriptor of kin's own. Where there is no memory to note that, it is treated
 * as a foreign one: slower, but right. Somebody can be found here only if the
 * former owner of the number was not closed with kin_close. */
void kin__fd_adopt(int fd, enum kin__fd_kind kind)
{
    struct kin__io *io = kin__rt ? kin__io() : NULL;
    struct kin__fd *slot;

    if (!io || kin__fd_reserve(io, fd) < 0)
        return;
    slot = &io->fds[fd];
    vacate(slot, fd);
    slot->reader = slot->writer = NULL;
    slot->holds = 0;
    slot->armed = 0;
    slot->generation++;
    if (slot->closing)
        tell_closer(slot, -EBADF);
    slot->kind = (uint8_t)kind;
}

bool kin__fd_in_use(int fd)
{
    const struct kin__fd *slot = kin__fd_known(fd);

    return slot && (in_use(slot) || slot->watch || slot->closing);
}

/* The kernel wakes nobody whose buffer is full, as long as that is so. */
void kin__fd_end_writer(int fd)
{
    struct kin__fd *slot = kin__fd_known(fd);
    struct kin__op *op = slot ? slot->writer : NULL;

    if (op && (op->kind == KIN__OP_WRITE || op->kind == KIN__OP_SEND_MESSAGE))
        evict(slot, op, -EPIPE);
}

/* ---------------------------------------------------------- the operations */

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
        release(op);
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
        release(op);
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

    release(op);
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
        release(op);
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
    release(op);
    return rc;
}

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
        if (*sent < size && (rc = prepare(op)) == 0)
            rc = op->verdict;           /* closed while somebody else ran */
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
            release(&op);
        } else {
            kin_wait_skip();
        }
    }
    if (done)
        *done = sent;
    return rc;
}

int kin__op_hold(struct kin__op *op)
{
    op->keep = true;
    return claim(op);
}

int kin__op_step(struct kin__op *op)
{
    int rc = prepare(op);

    if (rc == 0)
        rc = op->verdict;               /* closed while somebody else ran */
    return rc < 0 ? rc : start_or_park(op);
}

void kin__op_let_go(struct kin__op *op)
{
    release(op);
}

static void closer_describe(const struct kin_wait *wait, char *text, size_t size)
{
    snprintf(text, size, "fd %d, which the kernel still holds", *(const int *)wait->object);
}

static const struct kin_wait_ops closer_waits = { "close", NULL, closer_describe };

static bool may_park(const struct kin__runtime *rt)
{
    return !kin__io()->polling && !(rt->current->base.flags & KIN__BORROWED);
}

static int await_release(int fd)
{
    struct kin_wait wait;

    kin__wait_init(&wait, &closer_waits, &fd);
    kin__io()->fds[fd].closer = &wait;
    kin__rt->outside++;
    return kin_wait_park(&wait);
}

int kin_close(int fd)
{
    struct kin__fd *slot = kin__fd_known(fd);

    if (!slot)
        return kin__fd_close(fd);
    if (slot->closing)
        return -EBADF;
    vacate(slot, fd);
    if (!is_held(slot))
        return close_now(slot, fd);
    slot->closing = true;
    kin__io()->closing++;
    return may_park(kin__rt) ? await_release(fd) : 0;
}
