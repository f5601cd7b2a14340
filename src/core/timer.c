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
 * A slot that a million timers share takes many milliseconds to split, and then all of
 * them would be late. So the next slot of a crowded level is split ahead of its time,
 * some timers a turn. They go to the other half of the level below, which takes the place
 * of the first when the slot's time has come: then all of that one lies in the past.
 *
 * Most limits are lifted again before anything has happened, so reading the clock
 * for each would cost more than the rest: a relative timer first goes to a list
 * of fresh ones, and those that are still there when the turn ends get their time
 * by one reading. A relative time therefore counts from the end of the turn in
 * which it was given, and nothing is ever early.
 */
#include "core/core.h"

enum { DIGIT = 6, SLOTS = 1 << DIGIT, LEVELS = 11, LOOK_AT = 16 };
enum { CROWD = 512, AHEAD = 256 };      /* timers of a crowded level; split ahead in a turn */
enum { NONE = -1 };

struct list {
    struct kin__timer *first, *last;
};

struct level {
    uint64_t slots[2];          /* of each half: a bit a slot that is not empty */
    struct list list[2][SLOTS];
    uint32_t timers;            /* in both halves */
    uint8_t half;               /* in use; the other one is filled ahead, … */
    int8_t ahead;               /* … from this slot of the level above, or NONE */
};

struct kin__timers {
    int64_t now;                /* the wheel's time: no armed timer lies before it */
    struct list fresh;
    uint16_t levels;            /* a bit a level whose half in use is not empty */
    uint16_t crowded;           /* a bit a level that may have more than CROWD */
    struct level level[LEVELS];
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

/* ------------------------------------------------------------------- the wheel */

static unsigned level_of(int64_t now, int64_t when)
{
    uint64_t difference = (uint64_t)(now ^ when);

    return difference ? (unsigned)(63 - __builtin_clzll(difference)) / DIGIT : 0;
}

static void put(struct kin__timers *timers, struct kin__timer *timer, unsigned number,
                unsigned half, int64_t when)
{
    struct level *level = &timers->level[number];
    unsigned slot = (unsigned)((uint64_t)when >> (number * DIGIT)) % SLOTS;

    timer->slot = (uint16_t)((number * 2 + half) * SLOTS + slot);
    timer->state = KIN__TIMER_ARMED;
    list_add(&level->list[half][slot], timer);
    level->slots[half] |= 1ull << slot;
    if (kin__unlikely(++level->timers > CROWD))
        timers->crowded |= (uint16_t)(1u << number);
}

static void wheel_add(struct kin__timers *timers, struct kin__timer *timer)
{
    int64_t when = timer->when > timers->now ? timer->when : timers->now;
    unsigned number = level_of(timers->now, when);

    put(timers, timer, number, timers->level[number].half, when);
    timers->levels |= (uint16_t)(1u << number);
}

/* Has the slot of the level in use nothing left, not even split ahead? */
static void slot_emptied(struct kin__timers *timers, unsigned number, unsigned slot)
{
    struct level *level = &timers->level[number], *below = level - 1;

    if (level->list[level->half][slot].first)
        return;
    if (number > 0 && below->ahead == (int)slot) {
        if (below->slots[!below->half])
            return;
        below->ahead = NONE;
    }
    level->slots[level->half] &= ~(1ull << slot);
    if (!level->slots[level->half])
        timers->levels &= (uint16_t)~(1u << number);
}

static void wheel_remove(struct kin__timers *timers, struct kin__timer *timer)
{
    unsigned number = timer->slot / SLOTS / 2, half = timer->slot / SLOTS % 2;
    unsigned slot = timer->slot % SLOTS;
    struct level *level = &timers->level[number];

    list_remove(&level->list[half][slot], timer);
    level->timers--;
    timer->state = KIN__TIMER_IDLE;
    if (level->list[half][slot].first)
        return;
    if (half == level->half) {
        slot_emptied(timers, number, slot);
        return;
    }
    level->slots[half] &= ~(1ull << slot);
    if (!level->slots[half])
        slot_emptied(timers, number + 1, (unsigned)level->ahead);
}

bool kin__timers_open(struct kin__runtime *rt)
{
    rt->timers = kin__os_alloc(sizeof *rt->timers);
    if (!rt->timers)
        return false;
    rt->timers->now = kin__clock(rt);
    for (unsigned i = 0; i < LEVELS; i++)
        rt->timers->level[i].ahead = NONE;
    return true;
}

void kin__timers_close(struct kin__runtime *rt)
{
    assert(!rt->timers || (!rt->timers->levels && !rt->timers->fresh.first));
    kin__os_free(rt->timers);
}

/* ------------------------------------------------------------ arming, disarming */

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

/* ------------------------------------------------------------------ what is next */

/* The slot that comes first is on the lowest level that has one: times on lower levels come
 * before all of those on higher levels. */
static unsigned first_level(const struct kin__timers *timers)
{
    return (unsigned)__builtin_ctz(timers->levels);
}

static unsigned first_slot(const struct level *level)
{
    return (unsigned)__builtin_ctzll(level->slots[level->half]);
}

static int64_t slot_start(const struct kin__timers *timers, unsigned number, unsigned slot)
{
    unsigned shift = number * DIGIT;
    uint64_t below = shift + DIGIT < 64 ? (1ull << (shift + DIGIT)) - 1 : UINT64_MAX;

    return (int64_t)(((uint64_t)timers->now & ~below) | (uint64_t)slot << shift);
}

/* False if the list is too long to be looked at. */
static bool look_for_earliest(const struct list *list, bool exact, int64_t *earliest)
{
    unsigned looked = 0;

    for (const struct kin__timer *t = list->first; t; t = t->next) {
        if (!exact && ++looked > LOOK_AT)
            return false;
        if (t->when < *earliest)
            *earliest = t->when;
    }
    return true;
}

/* The exact time of the earliest timer takes a look at all of its slot; if that
 * is crowded, the start of the slot will do, where the crowd is then split. */
int64_t kin__timers_next(struct kin__runtime *rt, bool exact)
{
    const struct kin__timers *timers = rt->timers;
    int64_t earliest = KIN_FOREVER;
    const struct level *level, *below;
    unsigned number, slot;
    bool sure;

    if (!timers->levels)
        return KIN_FOREVER;
    number = first_level(timers);
    level = &timers->level[number];
    below = level - 1;
    slot = first_slot(level);
    sure = look_for_earliest(&level->list[level->half][slot], exact, &earliest);
    if (sure && number > 0 && below->ahead == (int)slot && below->slots[!below->half]) {
        unsigned other = !below->half, first = (unsigned)__builtin_ctzll(below->slots[other]);

        sure = look_for_earliest(&below->list[other][first], exact, &earliest);
    }
    return sure ? earliest : slot_start(timers, number, slot);
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

/* All of them are due at one nanosecond. To fire one may disarm others. */
static void fire_slot(struct kin__runtime *rt, unsigned slot)
{
    struct kin__timers *timers = rt->timers;
    const struct list *list = &timers->level[0].list[timers->level[0].half][slot];
    struct kin__timer *timer;

    while ((timer = list->first)) {
        wheel_remove(timers, timer);
        fire(rt, timer);
    }
}

/* The timers of a slot move to lower levels, and keep their order. */
static void split_slot(struct kin__timers *timers, unsigned number, unsigned slot)
{
    struct level *level = &timers->level[number];
    struct kin__timer *timer = level->list[level->half][slot].first, *next;

    level->list[level->half][slot] = (struct list){ NULL, NULL };
    slot_emptied(timers, number, slot);
    for (; timer; timer = next) {
        next = timer->next;
        level->timers--;
        wheel_add(timers, timer);
    }
}

/* What was split ahead comes into use, and goes before what was not: it is older. */
static void use_ahead(struct kin__timers *timers, unsigned number)
{
    struct level *level = &timers->level[number];

    assert(!level->slots[level->half]);
    level->half = !level->half;
    level->ahead = NONE;
    if (!level->slots[level->half])
        return;
    timers->levels |= (uint16_t)(1u << number);
    if (number > 0 && (level->slots[level->half] & 1))
        split_slot(timers, number, 0);          /* its time has come, too */
}

/* The time of a slot has come. */
static void open_slot(struct kin__runtime *rt, unsigned number, unsigned slot)
{
    struct kin__timers *timers = rt->timers;

    if (number == 0) {
        fire_slot(rt, slot);
        return;
    }
    if (timers->level[number - 1].ahead == (int)slot)
        use_ahead(timers, number - 1);
    split_slot(timers, number, slot);
}

void kin__timers_expire(struct kin__runtime *rt, int64_t now)
{
    struct kin__timers *timers = rt->timers;

    while (timers->levels) {
        unsigned number = first_level(timers), slot = first_slot(&timers->level[number]);
        int64_t start = slot_start(timers, number, slot);

        if (start > now)
            break;
        timers->now = start;
        open_slot(rt, number, slot);
    }
    if (now > timers->now)
        timers->now = now;
}

/* ---------------------------------------------------------------------- ahead */

/* Its next slot, if that is soon enough, and nothing else is being split: a level has one
 * half to spare. */
static int slot_to_split(const struct kin__timers *timers, unsigned number, int64_t now)
{
    const struct level *level = &timers->level[number];
    unsigned slot;

    if (number == 0 || !level->slots[level->half])
        return NONE;
    slot = first_slot(level);
    if ((level[-1].ahead != NONE && level[-1].ahead != (int)slot) ||
        !level->list[level->half][slot].first ||
        slot_start(timers, number, slot) - now > (int64_t)1 << (number * DIGIT))
        return NONE;
    return (int)slot;
}

static void split_some(struct kin__timers *timers, unsigned number, unsigned slot)
{
    struct level *level = &timers->level[number], *below = level - 1;
    struct list *list = &level->list[level->half][slot];
    struct kin__timer *timer;

    below->ahead = (int8_t)slot;
    for (unsigned n = 0; n < AHEAD && (timer = list->first); n++) {
        list_remove(list, timer);
        level->timers--;
        put(timers, timer, number - 1, !below->half, timer->when);
    }
}

bool kin__timers_crowded(const struct kin__runtime *rt)
{
    return rt->timers->crowded;
}

bool kin__timers_split_ahead(struct kin__runtime *rt, int64_t now)
{
    struct kin__timers *timers = rt->timers;

    for (uint32_t crowded = timers->crowded; crowded; crowded &= crowded - 1) {
        unsigned number = (unsigned)__builtin_ctz(crowded);
        int slot;

        if (timers->level[number].timers <= CROWD) {
            timers->crowded &= (uint16_t)~(1u << number);
            continue;
        }
        slot = slot_to_split(timers, number, now);
        if (slot != NONE) {
            split_some(timers, number, (unsigned)slot);
            return true;
        }
    }
    return false;
}
