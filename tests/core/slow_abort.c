/* Waits that cannot be abandoned at once (docs/semantics.md C7), by means of a
 * waitable thing made of kin_ext.h's four verbs: an operation that somebody
 * else holds on to until it is finished. */
#include "kin_test.h"
#include "kin_ext.h"

#include <stdio.h>

/* An operation under way; finish() is what the kernel or a thread would do. */
struct operation {
    struct kin_wait *waiter;
    int aborts;             /* how often its abort was asked for */
    bool at_once;           /* the abort succeeds at once */
};

static bool operation_abort(struct kin_wait *wait)
{
    struct operation *o = wait->object;

    o->aborts++;
    if (o->at_once)
        o->waiter = NULL;
    return o->at_once;
}

static void operation_describe(const struct kin_wait *wait, char *text, size_t size)
{
    snprintf(text, size, "operation number %d", ((struct operation *)wait->object)->aborts);
}

static const struct kin_wait_ops operation_ops = {
    "operation", operation_abort, operation_describe
};

static int operation_run(struct operation *o)
{
    struct kin_wait wait;
    int rc = kin_wait_prepare(&wait, &operation_ops, o);

    if (rc < 0)
        return rc;
    o->waiter = &wait;
    return kin_wait_park(&wait);
}

static void operation_finish(struct operation *o, int result)
{
    struct kin_wait *wait = o->waiter;

    o->waiter = NULL;
    kin_wait_wake(wait, result);
}

/* A task that runs the operation and notes how it went. */
struct runner {
    struct operation operation;
    int result;
    int after;              /* what the next blocking call said */
    int64_t at;
    int64_t shield;
};

static int run_operation(void *arg)
{
    struct runner *r = arg;

    r->result = operation_run(&r->operation);
    r->at = kin_now();
    r->after = kin_yield();
    return r->result < 0 ? r->result : r->after;
}

KIN_TEST(C7_the_four_verbs_hand_a_result_over)
{
    struct runner r = { 0 };
    kin_group g = kin_group_open();

    kin_spawn(&g, run_operation, &r);
    settle();
    CHECK(r.operation.waiter != NULL);
    operation_finish(&r.operation, 42);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(r.result, 42);
    CHECK_INT(r.operation.aborts, 0);
}

KIN_TEST(C7_a_wait_that_can_be_abandoned_is_abandoned_at_once)
{
    struct runner r = { .operation.at_once = true };
    kin_group g = kin_group_open();

    kin_spawn(&g, run_operation, &r);
    settle();
    kin_cancel(&g, NULL);
    CHECK_INT(r.operation.aborts, 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(r.result, KIN_ECANCELED);
    CHECK_CODE(r.after, KIN_ECANCELED);
}

/* Cancelled at 1 s, and again; over at 4 s. */
static void cancel_twice_finish_later(struct runner *r, kin_task *task, int result)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, run_operation, r, .task = task);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_cancel(task, "first"), 0);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_cancel(task, "second"), 0);
    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK_INT(task->status, KIN_PENDING);
    CHECK(r->operation.waiter != NULL);
    CHECK_INT(r->operation.aborts, 1);
    operation_finish(&r->operation, result);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(slow_abort_basic)
{
    struct runner r = { 0 };
    kin_task task;
    int64_t start = kin_now();

    cancel_twice_finish_later(&r, &task, KIN_ECANCELED);
    CHECK_CODE(r.result, KIN_ECANCELED);
    CHECK_INT(r.at - start, KIN_S(4));
    CHECK_INT(task.status, KIN_CANCELLED);
}

KIN_TEST(T54_an_operation_that_completed_all_the_same_keeps_its_result)
{
    struct runner r = { 0 };
    kin_task task;

    cancel_twice_finish_later(&r, &task, 7);
    CHECK_INT(r.result, 7);
    CHECK_CODE(r.after, KIN_ECANCELED);
    CHECK_INT(task.status, KIN_CANCELLED);
}

KIN_TEST(C7_a_group_waits_for_an_operation_that_cannot_be_abandoned)
{
    struct runner r = { 0 };
    kin_group outer = kin_group_open(.timeout = KIN_S(1));
    kin_group g = kin_group_open();
    int64_t start = kin_now();

    kin_spawn(&g, run_operation, &r);
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    kin_sleep(KIN_S(4));
    CHECK_INT(r.operation.aborts, 1);
    operation_finish(&r.operation, KIN_ECANCELED);
    kin_scope_close(&s, 0);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(5));
    CHECK_CODE(kin_group_close(&outer, 0), KIN_ETIMEDOUT);
}

/* Cancelled by three scopes, one after the other: asked once. */
KIN_TEST(slow_abort_edge_cases)
{
    struct runner r = { 0 };
    kin_task task;
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_spawn(&g, run_operation, &r, .task = &task, .timeout = KIN_S(3));
    settle();
    kin_cancel(&task, NULL);
    kin_cancel(&g, NULL);
    kin_cancel(&outer, NULL);
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    CHECK_CODE(kin_sleep(KIN_S(5)), 0);
    CHECK_INT(r.operation.aborts, 1);
    operation_finish(&r.operation, KIN_ECANCELED);
    kin_scope_close(&s, 0);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

/* Finished before the cancel, in the same turn: the cancel is not for it. */
KIN_TEST(C7_no_abort_after_the_wake)
{
    struct runner r = { 0 };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, run_operation, &r, .task = &task);
    settle();
    operation_finish(&r.operation, 5);
    kin_cancel(&task, NULL);
    CHECK_INT(r.operation.aborts, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(r.result, 5);
    CHECK_CODE(r.after, KIN_ECANCELED);
}

static int run_shielded(void *arg)
{
    struct runner *r = arg;
    kin_scope s = kin_scope_open(.shield = r->shield);

    r->result = operation_run(&r->operation);
    r->at = kin_now();
    kin_scope_close(&s, 0);
    r->after = kin_yield();
    return r->after;
}

KIN_TEST(C7_behind_a_shield_no_abort_is_asked_for_until_its_time_is_over)
{
    struct runner r = { .shield = KIN_S(2) };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    kin_task task;

    kin_spawn(&g, run_shielded, &r, .task = &task);
    settle();
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_INT(r.operation.aborts, 0);
    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK_INT(r.operation.aborts, 1);
    operation_finish(&r.operation, KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(r.after, KIN_ECANCELED);
}

static int run_ten_times(void *arg)
{
    struct runner *r = arg;

    for (int i = 0; i < 10; i++)
        CHECK_CODE(operation_run(&r->operation), i == 0 ? r->result : KIN_ECANCELED);
    return 0;
}

KIN_TEST(C7_a_cancelled_task_starts_no_operation)
{
    struct runner r = { .result = 1 };
    kin_group g = kin_group_open();

    kin_spawn(&g, run_ten_times, &r);
    settle();
    kin_cancel(&g, NULL);
    operation_finish(&r.operation, 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(r.operation.aborts, 1);
    CHECK(r.operation.waiter == NULL);
}

/* C8: those who cannot be abandoned at once are asked by the next turn. */
KIN_TEST(C8_slow_operations_are_all_asked_by_the_next_turn)
{
    enum { N = 1000 };
    static struct runner r[N];
    kin_group g = kin_group_open();

    for (int i = 0; i < N; i++)
        kin_spawn(&g, run_operation, &r[i]);
    settle();
    kin_cancel(&g, NULL);
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    settle();
    for (int i = 0; i < N; i++) {
        CHECK_INT(r[i].operation.aborts, 1);
        operation_finish(&r[i].operation, KIN_ECANCELED);
    }
    kin_scope_close(&s, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(C7_a_dump_says_what_is_waited_for)
{
    char text[8192] = "";
    struct runner r = { 0 };
    FILE *out = fmemopen(text, sizeof text, "w");
    kin_group g = kin_group_open();

    kin_spawn(&g, run_operation, &r, .name = "worker");
    settle();
    kin_dump(out);
    fclose(out);
    CHECK_HAS(text, "worker");
    CHECK_HAS(text, "operation number 0");
    operation_finish(&r.operation, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

TEST(C7_nothing_may_be_waited_for_outside_of_a_run)
{
    struct operation o = { 0 };

    CHECK_CODE(operation_run(&o), KIN_ENORUN);
    CHECK(o.waiter == NULL);
}

/* kin_wait_skip looks free, but lets others run now and then. */
KIN_TEST(D4_every_64th_call_that_did_not_park_yields)
{
    int calls = 0;
    struct kin_wait wait;
    struct operation o = { 0 };
    struct act child = { .sleep = 0 };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child);
    while (!child.ran) {
        CHECK_CODE(kin_wait_prepare(&wait, &operation_ops, &o), 0);
        CHECK_CODE(kin_wait_skip(), 0);
        CHECK(++calls <= 64);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
}
