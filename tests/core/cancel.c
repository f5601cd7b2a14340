/* Cancellation: level-triggered, whole effect or none, never running the target
 * (docs/semantics.md C1 to C4, C9). */
#include "kin_test.h"

/* ---------------------------------------------------------------------- C1 */

static kin_semaphore some = KIN_SEMAPHORE(1);
static kin_event set_event = { .set = true };
static void *slot[2];
static kin_queue half_full;
static kin_group full_group;

#define CALL(name, expression)                                                            \
    static int call_##name(void)                                                          \
    {                                                                                     \
        return expression;                                                                \
    }
CALL(sleep, kin_sleep(KIN_S(1)))
CALL(sleep_zero, kin_sleep(0))
CALL(sleep_past, kin_sleep(-1))
CALL(sleep_until, kin_sleep_until(kin_now() + 1))
CALL(yield, kin_yield())
CALL(check, kin_check())
CALL(event_wait, kin_event_wait(&set_event))
CALL(acquire, kin_semaphore_acquire(&some))
CALL(put, kin_queue_put(&half_full, &some))
CALL(spawn_when_full, kin_spawn(&full_group, nothing, NULL))

static int call_get(void)
{
    void *item = NULL;
    int rc = kin_queue_get(&half_full, &item);

    CHECK(rc == 0 || item == NULL);
    return rc;
}

/* Every blocking call of the core, each in a state in which it need not wait
 * (but for the last, which must). */
static const struct blocking_call {
    const char *name;
    int (*call)(void);
} blocking_call[] = {
    { "kin_sleep", call_sleep },
    { "kin_sleep of 0", call_sleep_zero },
    { "kin_sleep of a negative time", call_sleep_past },
    { "kin_sleep_until", call_sleep_until },
    { "kin_yield", call_yield },
    { "kin_check", call_check },
    { "kin_event_wait", call_event_wait },
    { "kin_semaphore_acquire", call_acquire },
    { "kin_queue_put", call_put },
    { "kin_queue_get", call_get },
    { "kin_spawn into a full group", call_spawn_when_full },
};
#define CALLS (sizeof blocking_call / sizeof blocking_call[0])

static void prepare_objects(void)
{
    some = (kin_semaphore) KIN_SEMAPHORE(1);
    set_event = (kin_event){ .set = true };
    half_full = (kin_queue) KIN_QUEUE(slot);
    CHECK_CODE(kin_queue_try_put(&half_full, slot), 0);
}

static void check_every_call_fails(void)
{
    for (size_t i = 0; i < 3 * CALLS; i++) {
        int rc = blocking_call[i % CALLS].call();

        if (rc != KIN_ECANCELED)
            FAIL("%s, for the %zuth time, gave %d (%s)", blocking_call[i % CALLS].name,
                 1 + i / CALLS, rc, kin_code_name(rc));
    }
}

KIN_TEST(C1_every_blocking_call_fails_again_and_again)
{
    struct act child = { .sleep = KIN_S(1) };
    int64_t start = kin_now();

    prepare_objects();
    full_group = kin_group_open(.limit = 1, .policy = KIN_KEEP_GOING);
    kin_spawn(&full_group, act, &child);
    kin_scope s = kin_scope_open();
    kin_cancel(&s, "level");
    check_every_call_fails();
    CHECK_INT(kin_now(), start);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_yield(), 0);
    kin_group_close(&full_group, 0);
    CHECK_CODE(child.woke, 0);
    drop_reports();
}

KIN_TEST(C2_a_call_that_fails_on_entry_has_had_no_effect)
{
    prepare_objects();
    kin_scope s = kin_scope_open();
    kin_cancel(&s, NULL);
    for (int i = 0; i < 10; i++) {
        CHECK_CODE(call_acquire(), KIN_ECANCELED);
        CHECK_CODE(call_put(), KIN_ECANCELED);
        CHECK_CODE(call_get(), KIN_ECANCELED);
        CHECK_CODE(call_event_wait(), KIN_ECANCELED);
    }
    kin_scope_close(&s, 0);
    CHECK_INT(some.count, 1);
    CHECK_INT(half_full.count, 1);
    CHECK(set_event.set);
}

static int fail_every_wait(void *arg)
{
    int *failed = arg;

    for (int i = 0; i < 10; i++)
        *failed += kin_sleep(KIN_S(1)) == KIN_ECANCELED;
    return kin_check();
}

KIN_TEST(T50_a_task_that_ignores_a_cancel_gets_it_again)
{
    int failed = 0;
    int64_t start = kin_now();
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_every_wait, &failed, .task = &task);
    settle();
    kin_cancel(&task, NULL);
    kin_group_close(&g, 0);
    CHECK_INT(failed, 10);
    CHECK(kin_now() - start < KIN_S(1));
    CHECK_INT(task.status, KIN_CANCELLED);
    drop_reports();
}

KIN_TEST(C1_close_goes_on_waiting)
{
    struct act child = { .sleep = KIN_S(2) };
    int64_t start = kin_now();
    kin_scope s = kin_scope_open();
    kin_group g = kin_group_open();

    kin_spawn(&g, act_stubborn, &child);
    kin_yield();
    kin_cancel(&s, NULL);
    kin_group_close(&g, 0);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_INT(child.ran, 1);
    kin_scope_close(&s, 0);
}

KIN_TEST(T52_cancelling_oneself_hits_the_next_blocking_call)
{
    kin_scope s = kin_scope_open();

    CHECK_CODE(kin_check(), 0);
    CHECK_CODE(kin_cancel(&s, "myself"), 0);
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_INT(kin_cancelled()->by, kin_task_id());
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK(kin_cancelled() == NULL);
}

static int yield_once(void *arg)
{
    struct act *a = arg;

    a->ran++;
    kin_yield();
    a->woke = kin_yield();
    return a->woke;
}

KIN_TEST(T52_cancelling_a_runnable_task_hits_its_next_blocking_call)
{
    struct act child = { .woke = 99 };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, yield_once, &child, .task = &task);
    kin_yield();
    kin_cancel(&task, NULL);
    kin_group_close(&g, 0);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(task.status, KIN_CANCELLED);
}

/* ---------------------------------------------------------------------- C2 */

static kin_semaphore unit;

static int acquire_unit(void *arg)
{
    struct act *a = arg;

    a->ran++;
    a->woke = kin_semaphore_acquire(&unit);
    a->saw = kin_cancelled() != NULL;
    return a->woke;
}

KIN_TEST(T01_a_completed_wait_is_not_turned_into_a_cancel)
{
    struct act child = { 0 };
    kin_task task;
    kin_group g = kin_group_open();

    unit = (kin_semaphore){ 0 };
    kin_spawn(&g, acquire_unit, &child, .task = &task);
    settle();
    CHECK_CODE(kin_semaphore_release(&unit), 0);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, 0);
    CHECK(child.saw);
    CHECK_INT(unit.count, 0);
    CHECK_INT(task.status, KIN_OK);
    CHECK(task.cancelled);
}

KIN_TEST(C2_a_cancelled_wait_has_had_no_effect)
{
    struct act child = { 0 };
    kin_task task;
    kin_group g = kin_group_open();

    unit = (kin_semaphore){ 0 };
    kin_spawn(&g, acquire_unit, &child, .task = &task);
    settle();
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_semaphore_release(&unit), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(unit.count, 1);
}

static int acquire_then_sleep(void *arg)
{
    struct act *a = arg;

    a->ran = kin_semaphore_acquire(&unit);
    a->woke = kin_sleep(KIN_S(1));
    return a->woke;
}

KIN_TEST(T02_the_cancel_is_seen_at_the_next_point)
{
    struct act child = { .ran = 99 };
    kin_task task;
    kin_group g = kin_group_open();

    unit = (kin_semaphore){ 0 };
    kin_spawn(&g, acquire_then_sleep, &child, .task = &task);
    settle();
    kin_semaphore_release(&unit);
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.ran, 0);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(task.status, KIN_CANCELLED);
}

KIN_TEST(T02_a_sleep_that_ended_in_the_turn_of_its_cancel_is_one_or_the_other)
{
    struct act child = { .sleep = KIN_S(1) };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child, .task = &task);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, child.woke == 0 ? KIN_OK : KIN_CANCELLED);
}

/* ---------------------------------------------------------------------- C3 */

static int trace_when_cancelled(void *arg)
{
    kin_sleep(KIN_FOREVER);
    trace("target");
    (void)arg;
    return kin_check();
}

KIN_TEST(T55_cancel_never_runs_the_target)
{
    kin_group g = kin_group_open();

    for (int i = 0; i < 3; i++)
        kin_spawn(&g, trace_when_cancelled, NULL);
    settle();
    trace("before");
    kin_cancel(&g, NULL);
    trace("after");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("before after target target target");
}

static int cancel_named(void *arg)
{
    kin_task *task = arg;

    return kin_cancel(task, "a first reason");
}

KIN_TEST(T60_the_first_reason_is_never_overwritten)
{
    struct act child = { .sleep = KIN_S(9) };
    kin_task task, killer;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child, .task = &task);
    kin_spawn(&g, cancel_named, &task, .name = "killer", .task = &killer);
    kin_yield();
    uint64_t id = killer.id;
    CHECK_CODE(kin_cancel(&task, "a second reason"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(child.why.kind, KIN_BY_HAND);
    CHECK_STR(child.why.message, "a first reason");
    CHECK_STR(child.why.name, "killer");
    CHECK_INT(child.why.by, id);
    CHECK_HAS(child.why.at, "cancel.c:");
    CHECK(!child.why.soft);
    CHECK_STR(task.reason.message, "a first reason");
}

KIN_TEST(C3_the_message_is_copied_and_cut_off)
{
    char message[200];
    kin_scope s = kin_scope_open(), t = kin_scope_open();

    memset(message, 'm', sizeof message);
    message[sizeof message - 1] = '\0';
    kin_cancel(&t, message);
    memset(message, 'x', 20);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    const kin_reason *reason = kin_cancelled();
    CHECK_INT(reason->message[0], 'm');
    CHECK(strlen(reason->message) < sizeof reason->message);
    CHECK(strlen(reason->message) > 50);
    kin_scope_close(&t, 0);
    kin_scope_close(&s, 0);
}

KIN_TEST(C3_of_several_reasons_the_outermost_is_told)
{
    kin_scope outer = kin_scope_open(), inner = kin_scope_open();

    kin_cancel(&inner, "inner");
    CHECK_STR(kin_cancelled()->message, "inner");
    kin_cancel(&outer, "outer");
    CHECK_STR(kin_cancelled()->message, "outer");
    kin_scope_close(&inner, 0);
    CHECK_STR(kin_cancelled()->message, "outer");
    kin_scope_close(&outer, 0);
    CHECK(kin_cancelled() == NULL);
}

KIN_TEST(C3_no_message_is_an_empty_one)
{
    kin_scope s = kin_scope_open();

    kin_cancel(&s, NULL);
    CHECK_STR(kin_cancelled()->message, "");
    kin_scope_close(&s, 0);
}

TEST(C3_every_kind_of_reason_has_a_name)
{
    for (int kind = KIN_BY_NOBODY; kind <= KIN_BY_SHUTDOWN; kind++) {
        const char *name = kin_reason_name((kin_reason_kind)kind);

        CHECK(name != NULL && name[0] != '\0');
        for (int other = KIN_BY_NOBODY; other < kind; other++)
            CHECK(strcmp(name, kin_reason_name((kin_reason_kind)other)) != 0);
    }
}

/* ---------------------------------------------------------------------- C4 */

static int note_switch(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

KIN_TEST(C4_release_and_try_calls_work_when_cancelled_and_never_switch)
{
    bool switched = false;
    void *item, *slots[4];
    kin_event event = { 0 };
    kin_semaphore semaphore = { 0 };
    kin_queue queue = KIN_QUEUE(slots);
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open();

    kin_spawn(&g, note_switch, &switched);
    kin_cancel(&s, NULL);
    for (int i = 0; i < 1000; i++) {
        kin_event_set(&event);
        kin_event_clear(&event);
        CHECK_CODE(kin_semaphore_release(&semaphore), 0);
        CHECK_CODE(kin_semaphore_try_acquire(&semaphore), 0);
        CHECK_CODE(kin_semaphore_try_acquire(&semaphore), KIN_EAGAIN);
        CHECK_CODE(kin_queue_try_put(&queue, &event), 0);
        CHECK_CODE(kin_queue_try_get(&queue, &item), 0);
        CHECK_CODE(kin_queue_try_get(&queue, &item), KIN_EAGAIN);
        CHECK_CODE(kin_check(), KIN_ECANCELED);
    }
    kin_queue_shutdown(&queue);
    CHECK(!switched);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK(!switched);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(switched);
    drop_reports();
}

/* ---------------------------------------------------------------------- C9 */

KIN_TEST(C9_returning_0_although_cancelled_is_success)
{
    struct act child = { .sleep = KIN_S(9), .result = 4 };
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, act_anyway, &child, .task = &task);
    settle();
    kin_cancel(&task, "never mind");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(task.code, 4);
    CHECK(task.cancelled);
    CHECK_STR(task.reason.message, "never mind");
}

KIN_TEST(C9_the_scope_still_says_that_it_was_cancelled)
{
    struct kin_scope_state state;
    kin_group g = kin_group_open();

    kin_cancel(&g, "stop");
    CHECK_CODE(kin_group_look(&g, &state), 0);
    CHECK(state.cancelled && !state.told && !state.timed_out && !state.expired);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_group_look(&g, &state), 0);
    CHECK(state.told);
    CHECK_INT(state.reason.kind, KIN_BY_HAND);
    CHECK_STR(state.reason.message, "stop");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_look(&g, &state), KIN_ESTALE);
    drop_reports();
}

static int cancel_self_and_return(void *arg)
{
    kin_cancel((kin_task *)arg, "too late");
    return 3;
}

KIN_TEST(cancel_at_end)
{
    static kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, cancel_self_and_return, &task, .task = &task);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(task.code, 3);
    CHECK(task.cancelled);
}
