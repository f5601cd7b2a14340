/* Timers: a wheel with nanosecond slots on 11 levels of 64.
 *
 * A timer lies on the level of the highest six-bit digit in which its time
 * differs from the wheel's own time, in the slot of that digit. Arming and
 * disarming is a few instructions whatever the number of others, allocates
 * nothing and cannot fail. When the wheel's time comes into a slot, the slot's
 * timers move to lower levels; timers of the same nanosecond always share a slot
 * and so keep their order. (A heap would cost a cache miss a level for each of a
 * million sleepers, and memory that can run out.)
 *
 * Most limits are lifted again before anything has happened, so reading the clock
 * for each would cost more than the rest: a relative timer first goes to a list
 * of fresh ones, and those that are still there when the turn ends get their time
 * by one reading. A relative time therefore counts from the end of the turn in
 * which it was given, and nothing is ever early.
 */
#include "core/core.h"

enum { DIGIT = 6, SLOTS = 1 << DIGIT, LEVELS = 11, LOOK_AT = 16 };

struct list {
    struct kin__timer *first, *last;
};

struct kin__timers {
    int64_t now;                /* the wheel's time: no armed timer lies before it */
    uint64_t armed;
    struct list fresh;
    uint16_t levels;            /* a bit a level that is not empty */
    uint64_t slots[LEVELS];     /* a bit a slot that is not empty */
    struct list list[LEVELS * SLOTS];
};

static void list_add(struct list *list, struct kin__timer *timer)
{
    timer->next = NULL;
    timer->prev = list->last;
    if (list->last)
        list->last->next = timer;
    else
        list->first = timer;
    list->last = timer;
}

static void list_remove(struct list *list, struct kin__timer *timer)
{
    if (timer->prev)
        timer->prev->next = timer->next;
    else
        list->first = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    else
        list->last = timer->prev;
}

static unsigned level_of(int64_t now, int64_t when)
{
    uint64_t difference = (uint64_t)(now ^ when);

    return difference ? (unsigned)(63 - __builtin_clzll(difference)) / DIGIT : 0;
}

static void wheel_add(struct kin__timers *timers, struct kin__timer *timer)
{
    int64_t when = timer->when > timers->now ? timer->when : timers->now;
    unsigned level = level_of(timers->now, when);
    unsigned slot = (unsigned)((uint64_t)when >> (level * DIGIT)) % SLOTS;

    timer->slot = (uint16_t)(level * SLOTS + slot);
    timer->state = KIN__TIMER_ARMED;
    list_add(&timers->list[timer->slot], timer);
    timers->slots[level] |= 1ull << slot;
    timers->levels |= (uint16_t)(1u << level);
    timers->armed++;
}

static void wheel_remove(struct kin__timers *timers, struct kin__timer *timer)
{
    unsigned level = timer->slot / SLOTS;

    list_remove(&timers->list[timer->slot], timer);
    if (!timers->list[timer->slot].first) {
        timers->slots[level] &= ~(1ull << (timer->slot % SLOTS));
        if (!timers->slots[level])
            timers->levels &= (uint16_t)~(1u << level);
    }
    timer->state = KIN__TIMER_IDLE;
    timers->armed--;
}

bool kin__timers_open(struct kin__runtime *rt)
{
    rt->timers = kin__os_alloc(sizeof *rt->timers);
    if (rt->timers)
        rt->timers->now = kin__clock(rt);
    return rt->timers != NULL;
}

void kin__timers_close(struct kin__runtime *rt)
{
    assert(!rt->timers || (rt->timers->armed == 0 && !rt->timers->fresh.first));
    kin__os_free(rt->timers);
}

void kin__timer_arm(struct kin__runtime *rt, struct kin__timer *timer, int64_t duration)
{
    if (duration == KIN_FOREVER)
        return;
    timer->when = duration > 0 ? duration : 0;
    timer->state = KIN__TIMER_FRESH;
    list_add(&rt->timers->fresh, timer);
}

void kin__timer_arm_at(struct kin__runtime *rt, struct kin__timer *timer, int64_t when)
{
    if (when == KIN_FOREVER)
        return;
    timer->when = when;
    wheel_add(rt->timers, timer);
}

void kin__timer_disarm(struct kin__runtime *rt, struct kin__timer *timer)
{
    if (timer->state == KIN__TIMER_ARMED)
        wheel_remove(rt->timers, timer);
    else if (timer->state == KIN__TIMER_FRESH)
        list_remove(&rt->timers->fresh, timer);
    timer->state = KIN__TIMER_IDLE;
}

static void settle(struct kin__timers *timers, struct kin__timer *timer, int64_t now)
{
    list_remove(&timers->fresh, timer);
    if (__builtin_add_overflow(timer->when, now, &timer->when))
        timer->state = KIN__TIMER_IDLE;         /* later than time itself */
    else
        wheel_add(timers, timer);
}

void kin__timers_settle(struct kin__runtime *rt, int64_t now)
{
    while (rt->timers->fresh.first)
        settle(rt->timers, rt->timers->fresh.first, now);
}

/* Who asks a fresh timer for its time gives it one. */
int64_t kin__timer_when(struct kin__runtime *rt, struct kin__timer *timer)
{
    if (timer->state == KIN__TIMER_FRESH)
        settle(rt->timers, timer, kin__clock(rt));
    return timer->state == KIN__TIMER_ARMED ? timer->when : KIN_FOREVER;
}

/* The first slot that holds a timer, on the lowest level that has one: times on
 * lower levels come before all of those on higher levels. */
static unsigned first_slot(const struct kin__timers *timers)
{
    unsigned level = (unsigned)__builtin_ctz(timers->levels);

    return level * SLOTS + (unsigned)__builtin_ctzll(timers->slots[level]);
}

static int64_t slot_start(const struct kin__timers *timers, unsigned slot)
{
    unsigned shift = slot / SLOTS * DIGIT;
    uint64_t below = shift + DIGIT < 64 ? (1ull << (shift + DIGIT)) - 1 : UINT64_MAX;

    return (int64_t)(((uint64_t)timers->now & ~below) | (uint64_t)(slot % SLOTS) << shift);
}

/* The exact time of the earliest timer takes a look at all of its slot; if that
 * is crowded, the start of the slot will do, where the crowd is then split. */
int64_t kin__timers_next(struct kin__runtime *rt, bool exact)
{
    struct kin__timers *timers = rt->timers;
    int64_t earliest = KIN_FOREVER;
    unsigned slot, looked = 0;

    if (!timers->armed)
        return KIN_FOREVER;
    slot = first_slot(timers);
    for (struct kin__timer *t = timers->list[slot].first; t; t = t->next) {
        if (!exact && ++looked > LOOK_AT)
            return slot_start(timers, slot);
        if (t->when < earliest)
            earliest = t->when;
    }
    return earliest;
}

static void fire(struct kin__runtime *rt, struct kin__timer *timer)
{
    switch ((enum kin__timer_kind)timer->kind) {
    case KIN__TIMER_SCOPE:
        kin__scope_expire(rt, kin__container(timer, struct kin__scope, timer));
        break;
    case KIN__TIMER_SHIELD:
        kin__shield_lift(rt, kin__container(timer, struct kin__group, shield_timer));
        break;
    case KIN__TIMER_SLEEP:
        kin__sleep_fire(timer);
        break;
    }
}

/* Empties a slot whose time has come. On the lowest level all of it is due at one
 * nanosecond; above, the timers move down, which keeps them in order of time. */
static void open_slot(struct kin__runtime *rt, unsigned slot)
{
    struct kin__timers *timers = rt->timers;
    struct kin__timer *timer;

    timers->now = slot_start(timers, slot);
    while ((timer = timers->list[slot].first)) {
        wheel_remove(timers, timer);
        if (slot < SLOTS)
            fire(rt, timer);
        else
            wheel_add(timers, timer);
    }
}

void kin__timers_expire(struct kin__runtime *rt, int64_t now)
{
    struct kin__timers *timers = rt->timers;

    while (timers->armed) {
        unsigned slot = first_slot(timers);

        if (slot_start(timers, slot) > now)
            break;
        open_slot(rt, slot);
    }
    if (now > timers->now)
        timers->now = now;
}
