/* A barrier: so many parties wait for each other, round after round.
 *
 * The last to come ends the round for all: it wakes them in the order in which they
 * came, each with its number, and goes on without parking. The next round has begun
 * by then. So there is no phase in which a round drains and newcomers have to be
 * held back, and a party that is quick may be in the next round before the slower
 * ones of the last have run.
 *
 * Numbers are given at the end of a round, not on arrival, since a waiter that is
 * cancelled leaves, and those behind it move up.
 */
#include "sync/sync.h"

static bool barrier_abort(struct kin_wait *wait)
{
    kin_barrier *barrier = wait->object;

    kin_wait_list_remove(&barrier->waiters, wait);
    barrier->waiting--;
    return true;
}

static void barrier_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const kin_barrier *barrier = wait->object;

    snprintf(text, size, "%p with %u of %u there", (const void *)barrier, barrier->waiting,
             barrier->parties);
}

static const struct kin_wait_ops barrier_ops = { "barrier", barrier_abort, barrier_describe };

static int end_round(kin_barrier *barrier)
{
    struct kin_wait *wait;
    int number = 0;

    barrier->waiting = 0;
    while ((wait = kin_wait_list_take(&barrier->waiters)))
        kin_wait_wake(wait, number++);
    kin_wait_skip();
    return number;
}

int kin_barrier_wait(kin_barrier *barrier)
{
    struct kin_wait wait;
    int rc = kin_wait_prepare(&wait, &barrier_ops, barrier);

    if (rc == 0)
        rc = kin_wait_list_claim(&barrier->waiters);
    if (rc < 0)
        return rc;
    if (barrier->broken)
        return KIN_EBROKEN;
    if (barrier->parties == 0 || barrier->parties > INT32_MAX)
        return KIN_EINVAL;
    if (barrier->waiting + 1 >= barrier->parties)
        return end_round(barrier);
    barrier->waiting++;
    kin_wait_list_add(&barrier->waiters, &wait);
    return kin__wait_park(&wait);
}

static void send_away(kin_barrier *barrier, bool broken)
{
    if (barrier->waiters.first && kin_wait_list_claim(&barrier->waiters) < 0) {
        kin__misuse(NULL, "a barrier broken or reset outside of its waiters' runtime");
        return;
    }
    barrier->broken = broken;
    barrier->waiting = 0;
    kin__wake_all(&barrier->waiters, KIN_EBROKEN);
}

void kin_barrier_break(kin_barrier *barrier)
{
    send_away(barrier, true);
}

void kin_barrier_reset(kin_barrier *barrier)
{
    send_away(barrier, false);
}
