/* The timer wheel beside the simplest model of it, and the sorting of queues beside
 * qsort: random, seeded (docs/semantics.md D1, C8). */
#include "kin_test.h"
#include "core/core.h"

#include <stdlib.h>

enum { TIMERS = 200, STEPS = 20000 };

static uint64_t state;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

struct subject {
    struct kin__group scope;            /* fired() sees its flag */
    int64_t when;
    bool armed;
};

static struct subject subject[TIMERS];

static int64_t some_time(int64_t now)
{
    int64_t far = (int64_t)(draw() >> (1 + draw() % 62));

    if (draw() % 8 == 0)
        return now;
    return far > INT64_MAX - now ? INT64_MAX - 1 : now + far;
}

static void fresh_subject(struct subject *s, struct kin__runtime *rt)
{
    memset(s, 0, sizeof *s);
    s->scope.scope.kind = KIN__TASK;
    s->scope.scope.owner = &rt->host;
    s->scope.scope.parent = &rt->host.base;
    s->scope.scope.timer.kind = KIN__TIMER_SCOPE;
}

static void check_fired(struct kin__runtime *rt, int64_t now)
{
    int64_t earliest = KIN_FOREVER;

    for (int i = 0; i < TIMERS; i++) {
        bool fired = subject[i].scope.scope.flags & KIN__EXPIRED;

        if (subject[i].armed && fired != (subject[i].when <= now))
            FAIL("timer for %lld at %lld: %s", (long long)subject[i].when, (long long)now,
                 fired ? "early" : "late");
        if (fired)
            fresh_subject(&subject[i], rt);
        if (subject[i].armed && subject[i].when < earliest)
            earliest = subject[i].when;
    }
    CHECK_INT(kin__timers_next(rt, true), earliest);
    CHECK(kin__timers_next(rt, false) <= earliest);
}

static void wheel_against_model(uint64_t seed)
{
    struct kin__runtime fake, *rt = &fake;
    int64_t now;

    state = seed;
    memset(rt, 0, sizeof *rt);
    rt->virtual_clock = true;
    rt->virtual_now = now = (int64_t)(draw() >> (1 + draw() % 62));
    CHECK(kin__timers_open(rt));
    for (int i = 0; i < TIMERS; i++)
        fresh_subject(&subject[i], rt);
    for (int step = 0; step < STEPS; step++) {
        struct subject *s = &subject[draw() % TIMERS];

        if (s->armed) {
            kin__timer_disarm(rt, &s->scope.scope.timer);
            s->armed = false;
        }
        if (draw() % 4) {
            s->when = some_time(now);
            s->armed = true;
            if (draw() % 2)
                kin__timer_arm_at(rt, &s->scope.scope.timer, s->when);
            else
                kin__timer_arm(rt, &s->scope.scope.timer, s->when - now);
        }
        if (draw() % 4)
            continue;
        kin__timers_settle(rt, now);
        now = draw() % 3 ? kin__timers_next(rt, draw() % 2) : some_time(now) / 2 + now / 2;
        if (now < rt->virtual_now)
            now = rt->virtual_now;
        if (now > INT64_MAX / 2)
            break;
        rt->virtual_now = now;
        kin__timers_expire(rt, now);
        check_fired(rt, now);
    }
    for (int i = 0; i < TIMERS; i++)
        kin__timer_disarm(rt, &subject[i].scope.scope.timer);
    kin__timers_close(rt);
}

KIN_TEST_LIMIT(D1_the_wheel_does_what_its_model_does, 60)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        tap_note("seed %llu", (unsigned long long)seed);
        wheel_against_model(seed * 0x9e3779b97f4a7c15);
    }
}

/* ------------------------------------------------------------------ in a crowd */

enum { CROWD = 4000 };

static struct kin__task sleeper[CROWD];
static int64_t due[CROWD];
static uint64_t armed_as[CROWD];        /* the how many-th arming; 0: not armed */

/* Fired are those that are due, by time, and by arming where that is equal. */
static void check_crowd(struct kin__runtime *rt, int64_t now)
{
    int64_t earliest = KIN_FOREVER, last = 0;
    uint64_t last_as = 0;

    for (struct kin__task *t; (t = kin__queue_pop(&rt->ready));) {
        ptrdiff_t i = t - sleeper;

        CHECK(armed_as[i] && due[i] <= now);
        CHECK(due[i] > last || (due[i] == last && armed_as[i] > last_as));
        last = due[i];
        last_as = armed_as[i];
        armed_as[i] = 0;
    }
    for (int i = 0; i < CROWD; i++)
        if (armed_as[i] && due[i] < earliest)
            earliest = due[i];
    CHECK(earliest > now);
    CHECK_INT(kin__timers_next(rt, true), earliest);
    CHECK(kin__timers_next(rt, false) <= earliest);
}

static void change_one(struct kin__runtime *rt, int64_t now, unsigned scale, uint64_t number)
{
    size_t i = draw() % CROWD;

    kin__timer_disarm(rt, &sleeper[i].sleep);
    armed_as[i] = 0;
    if (draw() % 8 == 0)
        return;
    due[i] = ((now + (int64_t)(draw() >> (64 - scale))) | 0xff) + 1;
    armed_as[i] = number;
    kin__timer_arm_at(rt, &sleeper[i].sleep, due[i]);
}

/* Slots are split ahead of their time, sometimes all of one, sometimes a part. */
static void crowd_against_model(uint64_t seed, unsigned scale)
{
    struct kin__runtime fake, *rt = &fake, *real = kin__rt;
    uint64_t number = 1;

    state = seed;
    memset(rt, 0, sizeof *rt);
    rt->virtual_clock = true;
    rt->virtual_now = (int64_t)(draw() >> 8);
    CHECK(kin__timers_open(rt));
    for (int i = 0; i < CROWD; i++) {
        kin__task_construct(&sleeper[i]);
        armed_as[i] = 0;
    }
    for (int step = 0; step < 300; step++) {
        for (uint64_t n = draw() % CROWD; n > 0; n--)
            change_one(rt, rt->virtual_now, scale, number++);
        for (uint64_t n = draw() % 3 ? draw() % 40 : 0; n > 0; n--)
            kin__timers_split_ahead(rt, rt->virtual_now);
        rt->virtual_now = draw() % 3 ? kin__timers_next(rt, draw() % 2)
                                     : rt->virtual_now + (int64_t)(draw() >> (66 - scale));
        kin__rt = rt;
        kin__timers_expire(rt, rt->virtual_now);
        kin__rt = real;
        check_crowd(rt, rt->virtual_now);
    }
    for (int i = 0; i < CROWD; i++)
        kin__timer_disarm(rt, &sleeper[i].sleep);
    kin__timers_close(rt);
}

KIN_TEST_LIMIT(D1_the_wheel_in_a_crowd_does_what_its_model_does, 60)
{
    for (unsigned scale = 12; scale < 44; scale++) {
        tap_note("scale %u", scale);
        crowd_against_model(scale * 0x9e3779b97f4a7c15, scale);
    }
}

/* -------------------------------------------------------------------- queues */

static void sort_against_model(size_t n)
{
    struct kin__task *tasks = aligned_alloc(64, (n + 1) * sizeof *tasks);
    struct kin__task_queue queue = { NULL, NULL };
    size_t seen = 0;

    memset(tasks, 0, (n + 1) * sizeof *tasks);
    for (size_t i = 0; i < n; i++)
        tasks[i].base.id = i + 1;
    for (size_t i = 0, part = 1 + draw() % (n + 1); i + 1 < n; i++) {
        size_t j = i + draw() % (i + part < n ? part : n - i);
        uint64_t id = tasks[i].base.id;

        tasks[i].base.id = tasks[j].base.id;
        tasks[j].base.id = id;
    }
    for (size_t i = 0; i < n; i++)
        kin__queue_push(&queue, &tasks[i]);
    kin__queue_sort(&queue);
    for (struct kin__task *t = queue.head; t; t = t->next) {
        CHECK_INT(t->base.id, ++seen);
        CHECK(t->next || t == queue.tail);
    }
    CHECK_INT(seen, n);
    free(tasks);
}

KIN_TEST(C8_queues_are_sorted_whatever_their_order)
{
    state = 88172645463325252;
    for (size_t n = 0; n < 200; n++)
        for (int i = 0; i < 20; i++)
            sort_against_model(n);
    sort_against_model(20000);
}
