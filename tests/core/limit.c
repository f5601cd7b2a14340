/* A group's limit on how many tasks run at once (docs/semantics.md G7). */
#include "kin_test.h"

struct load {
    int now, most, total;
};

static struct load load;

static int carry(void *arg)
{
    int64_t *sleep = arg;

    load.total++;
    if (++load.now > load.most)
        load.most = load.now;
    int rc = kin_sleep(*sleep);
    load.now--;
    return rc;
}

KIN_TEST(G7_at_most_n_tasks_at_once)
{
    int64_t sleep = KIN_S(1), start = kin_now();
    kin_group g = kin_group_open(.limit = 3);

    load = (struct load){ 0 };
    for (int i = 0; i < 10; i++)
        CHECK_CODE(kin_spawn(&g, carry, &sleep), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(load.total, 10);
    CHECK_INT(load.most, 3);
    CHECK_INT(kin_now() - start, KIN_S(4));
}

KIN_TEST(G7_spawning_from_outside_waits_for_room)
{
    int64_t sleep = KIN_S(1), start = kin_now();
    kin_group g = kin_group_open(.limit = 2);

    CHECK_CODE(kin_spawn(&g, carry, &sleep), 0);
    CHECK_CODE(kin_spawn(&g, carry, &sleep), 0);
    CHECK_INT(kin_now() - start, 0);
    CHECK_CODE(kin_spawn(&g, carry, &sleep), 0);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G7_the_try_form_does_not_wait)
{
    int64_t sleep = KIN_S(1), start = kin_now();
    kin_task task;
    kin_group g = kin_group_open(.limit = 1);

    CHECK_CODE(kin_spawn(&g, carry, &sleep, .dont_wait = true), 0);
    CHECK_CODE(kin_spawn(&g, carry, &sleep, .dont_wait = true, .task = &task), KIN_EAGAIN);
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_CODE(task.code, KIN_EAGAIN);
    CHECK_INT(kin_now(), start);
    kin_group_close(&g, 0);
    drop_reports();
}

struct outside {
    kin_group *group;
    int64_t sleep;
    int number;
    int rc;
};

static int spawn_from_outside(void *arg)
{
    struct outside *o = arg;

    o->rc = kin_spawn(o->group, carry, &o->sleep);
    trace("%d", o->number);
    return 0;
}

KIN_TEST(G7_those_who_wait_for_room_get_it_first_in_first_out)
{
    kin_group g = kin_group_open(.limit = 1), spawners = kin_group_open();
    struct outside o[5];

    for (int i = 0; i < 5; i++) {
        o[i] = (struct outside){ &g, KIN_S(1), i, -1 };
        kin_spawn(&spawners, spawn_from_outside, &o[i]);
    }
    CHECK_CODE(kin_group_close(&spawners, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("0 1 2 3 4");
}

KIN_TEST(G7_waiting_for_room_is_a_blocking_call_and_can_be_cancelled)
{
    kin_task task;
    int64_t sleep = KIN_S(5), start = kin_now();
    kin_group g = kin_group_open(.limit = 1, .policy = KIN_KEEP_GOING), h = kin_group_open();
    struct outside o = { &g, KIN_S(1), 1, 0 };

    CHECK_CODE(kin_spawn(&g, carry, &sleep), 0);
    kin_spawn(&h, spawn_from_outside, &o, .task = &task);
    settle();
    load.total = 0;
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&h, 0), 0);
    CHECK_CODE(o.rc, KIN_ECANCELED);
    CHECK(kin_now() - start < KIN_S(1));
    kin_group_close(&g, 0);
    CHECK_INT(load.total, 0);
    CHECK_TRACE("1");
    drop_reports();
}

KIN_TEST(G7_a_cancelled_group_refuses_those_who_wait_for_room)
{
    int64_t sleep = KIN_S(5);
    kin_group h = kin_group_open(), g = kin_group_open(.limit = 1);
    struct outside o = { &g, KIN_S(1), 1, 0 };

    CHECK_CODE(kin_spawn(&g, carry, &sleep), 0);
    kin_spawn(&h, spawn_from_outside, &o);
    settle();
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&h, 0), 0);
    CHECK_CODE(o.rc, KIN_ECANCELED);
    CHECK_TRACE("1");
}

/* Somebody waits for room when the group ends its intake in this way. */
static int refused_while_waiting(struct kin_group_options options, int result)
{
    struct act holder = { .sleep = KIN_S(2), .result = result };
    kin_group g, h = kin_group_open();
    struct outside o = { &g, 0, 1, 0 };

    options.limit = 1;
    g = kin_group_open_with(&options);
    CHECK_CODE(kin_spawn(&g, act, &holder), 0);
    kin_spawn(&h, spawn_from_outside, &o);
    kin_group_close(&g, 0);
    CHECK_CODE(kin_group_close(&h, 0), 0);
    CHECK_TRACE("1");
    drop_reports();
    return o.rc;
}

KIN_TEST(G7_those_who_wait_for_room_are_told_why_they_get_none)
{
    CHECK_CODE(refused_while_waiting((struct kin_group_options){ .policy = KIN_ANY }, 0),
               KIN_EDECIDED);
    CHECK_CODE(refused_while_waiting((struct kin_group_options){ .policy = KIN_ALL }, -EIO),
               KIN_ECANCELED);
    CHECK_CODE(refused_while_waiting((struct kin_group_options){ .timeout = KIN_S(1) }, 0),
               KIN_ETIMEDOUT);
}

struct late {
    struct act act;
    struct outside outside;
};

static int spawn_late(void *arg)
{
    struct late *l = arg;

    l->outside.rc = kin_spawn(l->outside.group, act, &l->act);
    return 0;
}

/* The last task's end makes room and lets the closer go: the one who waits for room
 * is served before, or refused, but never accepted and forgotten. */
KIN_TEST(G7_somebody_waits_for_room_in_a_group_that_is_being_closed)
{
    struct act first = { .sleep = KIN_S(1) };
    struct late late[3];
    int64_t start = kin_now();
    kin_group h = kin_group_open(), g = kin_group_open(.limit = 1);

    kin_spawn(&g, act, &first);
    for (int i = 0; i < 3; i++) {
        late[i] = (struct late){ .act.sleep = KIN_S(1), .outside.group = &g };
        kin_spawn(&h, spawn_late, &late[i]);
    }
    settle();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    int64_t closed = kin_now() - start;
    CHECK_CODE(kin_group_close(&h, 0), 0);
    int accepted = 0;
    for (int i = 0; i < 3; i++) {
        accepted += late[i].outside.rc == 0;
        CHECK_INT(late[i].act.ran, late[i].outside.rc == 0);
    }
    CHECK_INT(closed, KIN_S(1 + accepted));
    drop_reports();
}

/* ------------------------------------------------------------- from within */

struct inside {
    kin_group *group;
    int number;
};

static int say_number(void *arg)
{
    trace("%d", ((struct inside *)arg)->number);
    return kin_sleep(KIN_MS(1));
}

static int spawn_five_from_within(void *arg)
{
    struct inside *self = arg;
    struct inside child = { self->group, 0 };

    for (int i = 1; i <= 5; i++) {
        child.number = i;
        CHECK_CODE(kin_spawn(self->group, say_number, &child, .copy = sizeof child), 0);
    }
    trace("spawned");
    return kin_yield();
}

KIN_TEST(G7_spawning_from_within_queues_first_in_first_out_and_never_waits)
{
    struct kin_group_counts counts;
    kin_group g = kin_group_open(.limit = 1, .max_queued = 5);
    struct inside self = { &g, 0 };

    kin_spawn(&g, spawn_five_from_within, &self);
    kin_yield();
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.live, 6);      /* of which */
    CHECK_INT(counts.queued, 5);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("spawned 1 2 3 4 5");
}

static int spawn_one_too_many(void *arg)
{
    kin_group *g = arg;

    for (int i = 0; i < 3; i++)
        CHECK_CODE(kin_spawn(g, nothing, NULL), 0);
    CHECK_CODE(kin_spawn(g, nothing, NULL), KIN_EFULL);
    return 0;
}

KIN_TEST(G7_no_more_than_max_queued_are_queued)
{
    kin_group g = kin_group_open(.limit = 1, .max_queued = 3);

    kin_spawn(&g, spawn_one_too_many, &g);
    CHECK_CODE(kin_group_close(&g, 0), KIN_EFULL);
}

static int spawn_in_depth(void *arg)
{
    struct inside *self = arg;
    struct inside child = { self->group, self->number - 1 };

    trace("%d", self->number);
    if (self->number > 0)
        CHECK_CODE(kin_spawn(self->group, spawn_in_depth, &child, .copy = sizeof child), 0);
    return kin_sleep(KIN_MS(1));
}

KIN_TEST(G7_no_spawn_can_deadlock_on_its_own_group)
{
    kin_group g = kin_group_open(.limit = 1, .max_queued = 1);
    struct inside self = { &g, 4 };

    kin_spawn(&g, spawn_in_depth, &self, .copy = sizeof self);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("4 3 2 1 0");
}

static int spawn_into_grandparent(void *arg)
{
    struct inside *self = arg;

    CHECK_CODE(kin_spawn(self->group, say_number, self), 0);
    return 0;
}

static int have_inner_group(void *arg)
{
    kin_group inner = kin_group_open();

    kin_spawn(&inner, spawn_into_grandparent, arg);
    return kin_group_close(&inner, 0);
}

/* The task's own task waits for room that only the task can make. */
KIN_TEST(G7_not_even_from_a_task_s_inner_group)
{
    kin_group g = kin_group_open(.limit = 1, .max_queued = 1);
    struct inside self = { &g, 7 };

    kin_spawn(&g, have_inner_group, &self);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("7");
}

KIN_TEST(G7_a_singly_cancelled_task_gives_its_place_back)
{
    int64_t sleep = KIN_S(9), start = kin_now();
    kin_task task;
    kin_group g = kin_group_open(.limit = 1);

    kin_spawn(&g, carry, &sleep, .task = &task);
    kin_yield();
    kin_cancel(&task, NULL);
    sleep = KIN_S(1);
    CHECK_CODE(kin_spawn(&g, carry, &sleep), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(1));
}

KIN_TEST(G7_an_unlimited_stream_of_spawns_needs_no_more_than_the_limit)
{
    struct kin_facts facts;
    int64_t sleep = KIN_MS(1);
    kin_group g = kin_group_open(.limit = 5);

    for (int i = 0; i < 20000; i++) {
        CHECK_CODE(kin_spawn(&g, carry, &sleep), 0);
        CHECK_CODE(kin_facts(&facts), 0);
        CHECK(facts.tasks <= 8);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
}
