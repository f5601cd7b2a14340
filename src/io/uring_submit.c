/* What is submitted to io_uring, and called off.
 *
 * No submission can be lost: what finds no room (the kernel is short of memory) waits in a
 * list for the next poll. Completions that find no room the kernel keeps.
 *
 * A descriptor's polls are known to the kernel by its number and generation; which of them are
 * armed stands in the table, from the submission to the last completion.
 */
#include "io/file_uring.h"
#include "io/uring.h"

enum { ABORTS = 256 };
enum { ONE_BY_ONE = 2 };        /* polls of a descriptor before one that stays */

void kin__uring_submit(struct kin__uring *u)
{
    int rc = kin__io_fails("uring_submit", EAGAIN) ? -errno : io_uring_submit(&u->ring);

    if (rc < 0 && rc != -EAGAIN && rc != -EBUSY && rc != -EINTR && rc != -ENOMEM)
        kin__io_broken("io_uring_submit", -rc);
}

static struct io_uring_sqe *room(struct kin__uring *u)
{
    struct io_uring_sqe *sqe;

    if (kin__io_fails("uring_full", EAGAIN))
        return NULL;
    sqe = io_uring_get_sqe(&u->ring);
    if (sqe)
        return sqe;
    kin__uring_submit(u);
    return io_uring_get_sqe(&u->ring);
}

static void fill(struct io_uring_sqe *sqe, const struct kin__op *op)
{
    if (op->kind == KIN__OP_FILE)
        kin__file_fill(sqe, op);
    else if (op->direct || op->kind == KIN__OP_POLL || op->kind == KIN__OP_WATCH)
        io_uring_prep_poll_add(sqe, op->fd, kin__io_poll_mask(op->events));
    else
        io_uring_prep_send(sqe, op->fd, op->from, op->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    io_uring_sqe_set_data(sqe, (void *)(uintptr_t)op);
}

/* A poll of the descriptor itself, whoever waits there. Urgent data that nobody takes would
 * end polls for once again and again, and concerns the other kind alone (see ready.c). */
static bool arm(struct kin__uring *u, int fd, unsigned of)
{
    struct kin__fd *slot = &u->io.fds[fd];
    struct io_uring_sqe *sqe = room(u);

    if (!sqe)
        return false;
    if (of == KIN__OF_READABLE && slot->asked == ONE_BY_ONE && u->multishot)
        io_uring_prep_poll_multishot(sqe, fd, kin__uring_polled(of));
    else
        io_uring_prep_poll_add(sqe, fd, kin__uring_polled(of) & ~(unsigned)POLLPRI);
    if (of == KIN__OF_READABLE && slot->asked < ONE_BY_ONE)
        slot->asked++;
    io_uring_sqe_set_data64(sqe, kin__uring_poll_data(u, fd, of));
    slot->armed |= kin__uring_polled(of);
    return true;
}

static bool is_listed(const struct kin__uring *u, const struct kin__op *op)
{
    return op->direct && u->io.fds[op->fd].kind != KIN__FD_FOREIGN;
}

static bool list_polled(struct kin__uring *u, struct kin__op *op)
{
    unsigned of = op->events & KIN_READABLE ? KIN__OF_READABLE : KIN__OF_WRITABLE;

    if (!(u->io.fds[op->fd].armed & kin__uring_polled(of)) && !arm(u, op->fd, of))
        return false;
    op->place = KIN__LISTED;
    return true;
}

static bool send_one(struct kin__uring *u, struct kin__op *op)
{
    struct io_uring_sqe *sqe;

    if (is_listed(u, op))
        return list_polled(u, op);
    sqe = room(u);
    if (!sqe)
        return false;
    fill(sqe, op);
    op->place = KIN__SENT;
    return true;
}

void kin__uring_send(struct kin__uring *u, struct kin__op *op)
{
    if (kin__unlikely(!send_one(u, op))) {
        op->place = KIN__UNSENT;
        kin_wait_list_add(&u->unsent, &op->wait);
    }
}

void kin__uring_send_unsent(struct kin__uring *u)
{
    struct kin_wait *wait;

    while ((wait = u->unsent.first) && send_one(u, kin__uring_op(wait)))
        kin_wait_list_remove(&u->unsent, wait);
}

void kin__uring_move(struct kin__op *op, struct kin_wait_list *from, struct kin_wait_list *to,
                     uint8_t place)
{
    if (from)
        kin_wait_list_remove(from, &op->wait);
    kin_wait_list_add(to, &op->wait);
    op->place = place;
}

/* A request that succeeds says nothing: the completion of what it is for does. */
static bool send_cancel(struct kin__uring *u, uint64_t data)
{
    struct io_uring_sqe *sqe = room(u);

    if (!sqe)
        return false;
    if (kin__io_fails("uring_cancel", ENOENT))
        data = KIN__OF_CANCEL;
    io_uring_prep_cancel64(sqe, data, 0);
    io_uring_sqe_set_flags(sqe, u->ring.features & IORING_FEAT_CQE_SKIP ? IOSQE_CQE_SKIP_SUCCESS
                                                                        : 0);
    io_uring_sqe_set_data64(sqe, KIN__OF_CANCEL);
    return true;
}

/* The last first: the kernel finds an operation in chains that begin with the newest. Not
 * all at once: their completions would not fit into the ring, which costs dearly. */
void kin__uring_send_aborts(struct kin__uring *u)
{
    struct kin_wait *wait;

    for (int n = 0; n < ABORTS && (wait = u->to_abort.last); n++) {
        if (!send_cancel(u, (uintptr_t)kin__uring_op(wait)))
            return;
        kin__uring_move(kin__uring_op(wait), &u->to_abort, &u->aborting, KIN__ABORTING);
    }
}

static bool call_off(struct kin__uring *u, int fd, unsigned of)
{
    return !(u->io.fds[fd].armed & kin__uring_polled(of)) ||
           send_cancel(u, kin__uring_poll_data(u, fd, of));
}

bool kin__uring_send_forget(struct kin__uring *u, int fd)
{
    return call_off(u, fd, KIN__OF_READABLE) && call_off(u, fd, KIN__OF_WRITABLE);
}

/* There was no room for that, or it missed. */
void kin__uring_forget_again(struct kin__uring *u)
{
    u->forget_again = false;
    if (u->io.closing == 0)
        return;
    for (int fd = 0; fd < u->io.count; fd++)
        if (u->io.fds[fd].closing && !kin__uring_send_forget(u, fd))
            u->forget_again = true;
}

void kin__uring_ask_again(struct kin__uring *u)
{
    struct kin_wait *wait;

    u->missed = false;
    while ((wait = u->aborting.first))
        kin__uring_move(kin__uring_op(wait), &u->aborting, &u->to_abort, KIN__TO_ABORT);
    kin__uring_forget_again(u);
}
