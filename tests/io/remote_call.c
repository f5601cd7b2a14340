/* kin_remote_call: threads that have the run do something, and wait for it. */
#include "remote_test.h"

#include "kin_os.h"

#include <unistd.h>

static kin_remote remote;
static uint64_t seen_task;
static pthread_t run_thread;

static int ten_times(void *arg)
{
    CHECK(pthread_equal(pthread_self(), run_thread));
    CHECK_CODE(kin_yield(), 0);
    seen_task = kin_task_id();
    return 10 * *(int *)arg;
}

/* A thread that makes one call; what came back. */
struct caller {
    int (*fn)(void *arg);
    int number, code;
};

static int call_from_here(void *arg)
{
    struct caller *caller = arg;

    return caller->code = kin_remote_call(&remote, caller->fn, &caller->number);
}

static int call_from_a_thread(struct caller *caller)
{
    run_thread = pthread_self();
    return kin_thread_run(call_from_here, caller);
}

REMOTE_TEST(a_call_from_a_thread_is_a_task_of_the_group)
{
    kin_group g = kin_group_open();
    struct caller caller = { .fn = ten_times, .number = 7 };
    struct kin_group_counts counts;

    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    CHECK_CODE(call_from_a_thread(&caller), 70);
    CHECK(seen_task != 0 && seen_task != kin_task_id());
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.accepted, 1);
    kin_remote_close(&remote);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int fail(void *arg)
{
    (void)arg;
    return kin_fail(-ENOENT, "of no interest to the group");
}

REMOTE_TEST(a_failure_is_for_the_caller_alone)
{
    kin_group g = kin_group_open();
    struct caller caller = { .fn = fail };

    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    CHECK_CODE(call_from_a_thread(&caller), -ENOENT);
    kin_remote_close(&remote);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

enum { CALLS = 500 };

static int calls_made, next_number;

static int in_turn(void *arg)
{
    (void)arg;
    CHECK_CODE(kin_yield(), 0);
    calls_made++;
    return next_number++;
}

/* Each caller's own calls are done one after the other, so its numbers rise. */
static void *call_many(void *arg)
{
    int last = -1;

    (void)arg;
    for (int i = 0; i < CALLS; i++) {
        int rc = kin_remote_call(&remote, in_turn, NULL);

        CHECK(rc > last);
        last = rc;
    }
    return NULL;
}

static int join(void *arg)
{
    return pthread_join(*(pthread_t *)arg, NULL);
}

REMOTE_TEST(many_threads_call_at_once)
{
    kin_group g = kin_group_open();
    pthread_t threads[CALLERS];

    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    for (int i = 0; i < CALLERS; i++)
        threads[i] = begin_thread(call_many, NULL);
    for (int i = 0; i < CALLERS; i++)
        CHECK_CODE(kin_thread_run(join, &threads[i]), 0);
    CHECK_INT(calls_made, CALLERS * CALLS);
    kin_remote_close(&remote);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int sleep_long(void *arg)
{
    kin_event_set(arg);
    return kin_sleep(KIN_S(100));
}

static kin_event sleeping;

static int begin_to_sleep(void *arg)
{
    (void)arg;
    return sleep_long(&sleeping);
}

static void *call_sleeper(void *arg)
{
    struct caller *caller = arg;

    caller->code = kin_remote_call(&remote, begin_to_sleep, NULL);
    return NULL;
}

REMOTE_TEST(cancelling_the_group_ends_the_call)
{
    kin_group g = kin_group_open();
    struct caller caller = { .code = 1 };
    pthread_t thread;

    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    thread = begin_thread(call_sleeper, &caller);
    CHECK_CODE(kin_event_wait(&sleeping), 0);
    kin_remote_close(&remote);                      /* the call goes on all the same */
    CHECK_CODE(kin_cancel(&g, "enough"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_CODE(caller.code, KIN_ECANCELED);
}

REMOTE_TEST(a_full_or_ended_group_refuses)
{
    kin_group g = kin_group_open(.limit = 1);
    struct caller caller = { .fn = ten_times, .number = 1 };

    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    CHECK_CODE(kin_spawn(&g, begin_to_sleep, NULL), 0);
    CHECK_CODE(kin_event_wait(&sleeping), 0);
    CHECK_CODE(call_from_a_thread(&caller), KIN_EAGAIN);
    CHECK_CODE(kin_cancel(&g, "enough"), 0);
    CHECK_CODE(call_from_a_thread(&caller), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(call_from_a_thread(&caller), KIN_ESTALE);
    kin_remote_close(&remote);
    CHECK_CODE(call_from_a_thread(&caller), KIN_ESTALE);
}

REMOTE_TEST(calls_that_cannot_be)
{
    kin_group g = kin_group_open();
    struct caller caller = { .fn = ten_times, .number = 1 };

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    CHECK_CODE(call_from_a_thread(&caller), KIN_EINVAL);
    kin_remote_close(&remote);
    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    CHECK_CODE(kin_remote_call(&remote, ten_times, &caller.number), KIN_EDEADLK);
    CHECK_CODE(kin_remote_call(&remote, NULL, NULL), KIN_EINVAL);
    kin_remote_close(&remote);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static pthread_t late;
static struct caller late_caller = { .fn = ten_times, .number = 1 };

static void *call_late(void *arg)
{
    (void)arg;
    call_from_here(&late_caller);
    return NULL;
}

/* The thread asks while the run is in its last step, and never comes to spawn it. */
static int end_with_a_call_under_way(void *arg)
{
    kin_group g = kin_group_open();

    (void)arg;
    remote = (kin_remote){ .state = 0 };
    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    late = begin_thread(call_late, NULL);
    sleep_ms(50);       /* blocks the run; were it too short, the answer would be the same */
    CHECK_CODE(kin_group_close(&g, 0), 0);
    return 0;
}

TEST(a_run_that_ends_refuses_the_calls_that_are_left)
{
    CHECK_CODE(test_run(end_with_a_call_under_way, NULL), 0);
    CHECK_REPORTED("a kin_remote was left open");
    CHECK_INT(pthread_join(late, NULL), 0);
    CHECK_CODE(late_caller.code, KIN_ESTALE);
}
