/* What breaks around waits: a caller's handle that is gone when the wait is over, a
 * service that goes on behind a shield while its group ends, objects that wander between
 * runtimes, counts at their ends (docs/semantics.md E5, G10, G11, S2, S3). */
#include "core/core.h"
#include "kin_test.h"

#include <stdlib.h>

/* --------------------------------------------- a handle that goes with its group */

/* The owner closes in the very turn in which there is room, and its memory holds
 * another group's handle by the time the waiting spawner goes on. */
struct moved {
    kin_group handle;
    kin_group *other;
    kin_event end;
    int (*spawn)(struct moved *m);
    int spawned, ran;
};

static int end_on_event(void *arg)
{
    return kin_event_wait(arg);
}

static int count_me(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int own_and_close(void *arg)
{
    struct moved *m = arg;

    m->handle = kin_group_open(.limit = 1);
    kin_spawn(&m->handle, end_on_event, &m->end);
    kin_yield();
    CHECK_CODE(kin_event_wait(&m->end), 0);
    CHECK_CODE(kin_group_close(&m->handle, 0), 0);
    m->handle = *m->other;
    return 0;
}

static int spawn_when_there_is_room(void *arg)
{
    struct moved *m = arg;

    m->spawned = m->spawn(m);
    return 0;
}

static int spawn_one(struct moved *m)
{
    return kin_spawn(&m->handle, count_me, &m->ran);
}

static int start_one(struct moved *m)
{
    return kin_start(&m->handle, count_me, &m->ran);
}

static void spawn_into_a_group_that_ends(int (*spawn)(struct moved *m))
{
    kin_group g = kin_group_open(), other = kin_group_open();
    struct moved *m = calloc(1, sizeof *m);

    CHECK(m != NULL);
    m->other = &other;
    m->spawn = spawn;
    kin_spawn(&g, own_and_close, m);
    settle();
    kin_spawn(&g, spawn_when_there_is_room, m);
    settle();
    kin_event_set(&m->end);
    settle();
    CHECK_CODE(m->spawned, KIN_ESTALE);
    CHECK_INT(m->ran, 0);
    CHECK_CODE(kin_group_close(&other, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    free(m);
}

KIN_TEST(G7_E5_a_spawner_that_waits_for_room_does_not_need_the_handle)
{
    spawn_into_a_group_that_ends(spawn_one);
}

KIN_TEST(G10_E5_a_starter_that_waits_for_room_does_not_need_the_handle)
{
    spawn_into_a_group_that_ends(start_one);
}

/* ------------------------------------------------------- a start that comes too late */

struct late {
    kin_group *group;
    int64_t shield;
    int ready, started;
};

static int ready_late(void *arg)
{
    struct late *late = arg;

    CHECK_CODE(kin_sleep(KIN_MS(50)), 0);
    late->ready = kin_ready(1);
    return 0;
}

static int start_behind_a_shield(void *arg)
{
    struct late *late = arg;
    int rc;

    KIN_SCOPE(rc, s, .shield = KIN_FOREVER)
        late->started = kin_start(late->group, ready_late, late, .name = "late");
    return 0;
}

/* The body has closed, the last ordinary task has ended: nobody comes any more. */
KIN_TEST(G10_G11_who_is_ready_behind_a_services_shield_comes_too_late)
{
    struct late late = { .started = 1 };
    kin_group g = kin_group_open();

    late.group = &g;
    kin_spawn(&g, start_behind_a_shield, &late, .service = true);
    settle();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(late.ready, KIN_ECLOSED);
    CHECK_CODE(late.started, KIN_ENOTREADY);
}

/* ----------------------------------------------- a mutex that another runtime takes */

struct shared {
    kin_mutex mutex;
    kin_condition condition;
    int waited, unlocked;
    bool cancel;
};

static int wait_for_notification(void *arg)
{
    struct shared *s = arg;

    CHECK_CODE(kin_mutex_lock(&s->mutex), 0);
    s->waited = kin_condition_wait(&s->condition, &s->mutex);
    s->unlocked = kin_mutex_unlock(&s->mutex);
    return 0;
}

static int notify_or_cancel(void *arg)
{
    struct shared *s = arg;
    kin_group g = kin_group_open();

    kin_spawn(&g, wait_for_notification, s);
    CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
    if (s->cancel)
        kin_cancel(&g, NULL);
    else
        kin_condition_notify(&s->condition, 1);
    return kin_group_close(&g, 0);
}

static int hold_it_elsewhere(void *arg)
{
    struct shared *s = arg;

    CHECK_CODE(kin_mutex_lock(&s->mutex), 0);
    CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
    CHECK_CODE(kin_mutex_unlock(&s->mutex), 0);
    return 0;
}

static void step_until(kin_host *host, int steps)
{
    while (steps-- > 0 && kin_host_step(host) >= 0)
        ;
}

/* Two runs on one thread, by turns. */
static void lose_the_mutex(bool cancel)
{
    struct shared s = { .cancel = cancel };
    kin_host *here, *there;

    CHECK_CODE(kin_host_open(&here, notify_or_cancel, &s, .virtual_clock = true,
                             .backend = test_backend()), 0);
    CHECK_CODE(kin_host_open(&there, hold_it_elsewhere, &s, .virtual_clock = true,
                             .backend = test_backend()), 0);
    while (!s.condition.waiters.first)
        step_until(here, 1);
    while (!s.mutex.owner)
        step_until(there, 1);
    step_until(here, 20);
    CHECK_CODE(s.waited, KIN_EFOREIGN);
    CHECK_CODE(s.unlocked, KIN_EFOREIGN);
    step_until(there, 20);
    CHECK_INT(s.mutex.owner, 0);
    CHECK_CODE(kin_host_close(here), 0);
    CHECK_CODE(kin_host_close(there), 0);
}

TEST(S3_a_notified_task_does_not_queue_for_a_mutex_of_another_runtime)
{
    lose_the_mutex(false);
}

TEST(S3_a_cancelled_task_does_not_queue_for_a_mutex_of_another_runtime)
{
    lose_the_mutex(true);
}

/* ------------------------------------------------------------- handles of nothing */

static bool fail_all(const char *site)
{
    (void)site;
    return true;
}

/* There was no memory for a scope: whoever closes two copies of its handle has closed it
 * once, and may wait again. */
KIN_TEST(E5_a_scope_without_memory_ends_once)
{
    kin_scope scope[100], copy;
    int n = 0;

    kin__os_fault = fail_all;
    do
        scope[n] = kin_scope_open();
    while (scope[n].id != UINT64_MAX && ++n < 100);
    kin__os_fault = NULL;
    CHECK(n < 100);
    copy = scope[n];
    CHECK_CODE(kin_check(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&scope[n], 0), -ENOMEM);
    CHECK_CODE(kin_scope_close(&copy, 0), KIN_ESTALE);
    CHECK(kin_scope_ended(&copy));
    CHECK_REPORTED("a scope closed that is not open");
    CHECK_CODE(kin_check(), 0);
    while (n-- > 0)
        CHECK_CODE(kin_scope_close(&scope[n], 0), 0);
}

static int blocks_outside(void *arg)
{
    int rc, rounds = 0;

    (void)arg;
    KIN_SCOPE(rc, s)
        rounds++;
    CHECK_CODE(rc, KIN_ENORUN);
    KIN_GROUP(rc, g)
        rounds++;
    CHECK_CODE(rc, KIN_ENORUN);
    CHECK_INT(rounds, 2);
    return 0;
}

static void run_blocks_outside(void *arg)
{
    blocks_outside(arg);
}

TEST(E5_blocks_outside_of_a_run_end)
{
    CHECK_PRINTS("outside of a run", run_blocks_outside, NULL);
}

KIN_TEST(E5_no_handle_is_a_stale_one)
{
    CHECK_CODE(kin_cancel((kin_group *)NULL, NULL), KIN_ESTALE);
    CHECK_CODE(kin_cancel((kin_scope *)NULL, NULL), KIN_ESTALE);
    CHECK_CODE(kin_cancel((kin_task *)NULL, NULL), KIN_ESTALE);
    CHECK(kin_group_ended(NULL));
    CHECK(kin_scope_ended(NULL));
    CHECK_CODE(kin_group_close(NULL, 0), KIN_ESTALE);
    CHECK_CODE(kin_scope_close(NULL, 0), KIN_ESTALE);
    CHECK_REPORTED("a scope closed that is not open");
}

/* ------------------------------------------------------------------------- ends */

KIN_TEST(S1_once_without_a_function_is_refused)
{
    kin_once once = { 0 };

    CHECK_CODE(kin_once_run(&once, NULL, NULL), KIN_EINVAL);
    CHECK_CODE(kin_once_run(&once, nothing, NULL), 0);
}

KIN_TEST(S1_there_are_at_most_4294967295_readers)
{
    kin_rwlock lock = { 0 };

    CHECK_CODE(kin_rwlock_read(&lock), 0);
    lock.readers = UINT32_MAX;
    CHECK_CODE(kin_rwlock_try_read(&lock), KIN_EAGAIN);
    CHECK_CODE(kin_rwlock_unlock(&lock), 0);
    CHECK_CODE(kin_rwlock_try_read(&lock), 0);
    lock.readers = 1;
    CHECK_CODE(kin_rwlock_unlock(&lock), 0);
}
