/* The table of descriptors: who reads and writes each, what is known about it, closing.
 *
 * It is an array, because the numbers are small and dense by POSIX's rule of the lowest
 * free one.
 *
 * Close sends who waits away with KIN_ECLOSED. Where the kernel still holds something of the
 * descriptor (io_uring: an operation, or a poll of its own), the number stays taken until that
 * has come back, so that nothing under way can touch its next owner; close waits for that, as
 * it would for a system call, and cannot be cancelled meanwhile. It waits as well for the calls
 * of files (file_call.c), which hold the number. What must not park (a hook called from poll,
 * a task on a borrowed stack) does not wait: the descriptor is closed when the last of them
 * comes back.
 */
#include "io/io.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

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

void kin__fd_release(struct kin__op *op)
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

bool kin__fd_forget(int fd)
{
    struct kin__fd *slot = kin__fd_known(fd);

    if (!slot || !slot->armed)
        return true;
    if (!kin__io_backend()->forget(fd))
        return false;
    slot->armed = 0;
    slot->generation++;
    return true;
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

/* ------------------------------------------------------------------ closing */

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
