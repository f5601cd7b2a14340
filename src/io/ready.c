/* Readiness of kin's own descriptors, as edges tell of it; for both backends.
 *
 * An own descriptor is registered once with the kernel (epoll: for both directions;
 * io_uring: a poll for each direction that somebody waits for), and the kernel then
 * tells each change once, for all that has changed: whoever finds nothing more (EAGAIN)
 * notes that direction as dry, and until the next event nobody needs to try. Where
 * nothing would tell of the next event, nothing is taken for dry.
 *
 * A read from TCP that got less than it asked for has also seen the end of what is
 * there, unless the peer has half-closed or sent urgent data (then reads end early);
 * that saves one read a message. (On epoll: io_uring tells the mask of the wake-up, which
 * for TCP has urgent data in it whether there is some or not.)
 *
 * At an event the system call is made again, from the backend's poll: the waiter wakes up
 * with the result, so what was completed cannot be cancelled any more. Until then nothing
 * but the table knows of the waiter, who can be sent away at once.
 */
#include "io/io.h"

#include <poll.h>

enum { ENDING_EVENTS = POLLRDHUP | POLLPRI | POLLHUP | POLLERR };

/* kin_wait_fd is for every descriptor, also for one that took over the number of one of
 * kin's that was closed with plain close: it does not trust the table. */
bool kin__ready_told(const struct kin__fd *slot, const struct kin__op *op)
{
    return slot->kind != KIN__FD_FOREIGN && (slot->armed & kin__io_poll_mask(op->events)) &&
           (op->kind != KIN__OP_POLL || op->sure);
}

bool kin__ready_dry(const struct kin__fd *slot, const struct kin__op *op)
{
    return (slot->dry & op->events) && kin__ready_told(slot, op);
}

int kin__ready_attempt(struct kin__fd *slot, struct kin__op *op)
{
    int n = kin__op_try(op);

    if (n == -EAGAIN)
        slot->dry |= (uint8_t)op->events;
    else if (op->kind == KIN__OP_READ && slot->kind == KIN__FD_TCP && n > 0 &&
             (size_t)n < op->size && !slot->ended && kin__ready_told(slot, op))
        slot->dry |= KIN_READABLE;
    return n;
}

void kin__ready_note(struct kin__fd *slot, uint32_t events)
{
    slot->dry = 0;
    if (events & ENDING_EVENTS)
        slot->ended = true;
}

/* Of kin's own, what waits to read needs no look: the event was of this moment. */
bool kin__ready_retry(struct kin__fd *slot, struct kin__op *op)
{
    bool is_so = op->sure && slot->kind != KIN__FD_FOREIGN;
    int n = is_so ? (int)op->events : kin__ready_attempt(slot, op);

    if (n == -EAGAIN)
        return false;
    kin__op_finish(op, n);
    return true;
}
