/* Select: exactly one of its cases, or none (docs/semantics.md S1, S2). */
#include "kin_ext.h"
#include "kin_test.h"
#include "core/core.h"

static void *item(intptr_t number)
{
    return (void *)number;
}

static void check_idle(const kin_queue *queue)
{
    CHECK(!queue->getters.first && !queue->getters.last);
    CHECK(!queue->putters.first && !queue->putters.last);
}

/* A task that selects once among up to four cases. */
struct chooser {
    kin_case cases[4];
    size_t count;
    int rc;
};

static int choose(void *arg)
{
    struct chooser *c = arg;

    c->rc = kin_select(c->cases, c->count);
    return c->rc < 0 ? c->rc : 0;
}

struct end {
    kin_queue *queue;
    intptr_t number;
    int rc;
};

static int put(void *arg)
{
    struct end *e = arg;

    e->rc = kin_queue_put(e->queue, item(e->number));
    return e->rc;
}

static int get(void *arg)
{
    struct end *e = arg;
    void *got = item(-1);

    e->rc = kin_queue_get(e->queue, &got);
    e->number = (intptr_t)got;
    return e->rc;
}

/* -------------------------------------------------------------- without waiting */

KIN_TEST(S1_select_takes_the_first_case_that_is_ready)
{
    void *slots[3][2];
    kin_queue a = KIN_QUEUE(slots[0]), b = KIN_QUEUE(slots[1]), c = KIN_QUEUE(slots[2]);
    kin_case cases[] = { { .queue = &a }, { .queue = &b }, { .queue = &c, .put = true,
                                                             .item = item(7) } };

    CHECK_INT(kin_select(cases, 3), 2);
    CHECK_CODE(cases[2].code, 0);
    CHECK_INT(c.count, 1);
    kin_queue_try_put(&b, item(5));
    CHECK_INT(kin_select(cases, 3), 1);
    CHECK_INT((intptr_t)cases[1].item, 5);
    kin_queue_try_put(&b, item(6));
    kin_queue_try_put(&a, item(4));
    CHECK_INT(kin_select(cases, 3), 0);
    CHECK_INT((intptr_t)cases[0].item, 4);
    CHECK_INT(b.count, 1);
    CHECK_INT(c.count, 1);
}

KIN_TEST(S1_try_select_does_not_wait)
{
    void *slot[1];
    kin_queue a = KIN_QUEUE(slot), b = { 0 };
    kin_case cases[] = { { .queue = &a }, { .queue = &b, .put = true, .item = item(1) } };

    CHECK_CODE(kin_try_select(cases, 2), KIN_EAGAIN);
    check_idle(&a);
    check_idle(&b);
    kin_queue_try_put(&a, item(3));
    CHECK_INT(kin_try_select(cases, 2), 0);
    CHECK_CODE(kin_try_select(cases, 0), KIN_EINVAL);
    CHECK_CODE(kin_select(cases, 0), KIN_EINVAL);
}

KIN_TEST(S1_select_a_closed_queue_is_ready)
{
    void *slot[2][1];
    kin_queue a = KIN_QUEUE(slot[0]), b = KIN_QUEUE(slot[1]);
    kin_case cases[] = { { .queue = &a }, { .queue = &b, .put = true, .item = item(1) } };

    kin_queue_try_put(&a, item(3));
    kin_queue_shutdown(&a);
    CHECK_INT(kin_select(cases, 2), 0);
    CHECK_CODE(cases[0].code, 0);
    CHECK_INT(kin_select(cases, 2), 0);
    CHECK_CODE(cases[0].code, KIN_ECLOSED);
    cases[0].queue = NULL;                      /* never again */
    CHECK_INT(kin_select(cases, 2), 1);
    CHECK_CODE(cases[1].code, 0);
}

/* ---------------------------------------------------------------------- waiting */

struct fixture {
    void *slots[2][1];
    kin_queue a, b, hand;       /* of one slot each, and without */
    struct chooser chooser;
    kin_task task;
    kin_group group;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){ .group = kin_group_open() };
    f->a = (kin_queue){ .slots = f->slots[0], .capacity = 1 };
    f->b = (kin_queue){ .slots = f->slots[1], .capacity = 1 };
}

static void wait_for(struct fixture *f, const kin_case *cases, size_t count)
{
    f->chooser = (struct chooser){ .count = count, .rc = 99 };
    memcpy(f->chooser.cases, cases, count * sizeof *cases);
    CHECK_CODE(kin_spawn(&f->group, choose, &f->chooser, .task = &f->task), 0);
    settle();
    CHECK_INT(f->chooser.rc, 99);
}

static void end(struct fixture *f)
{
    CHECK_CODE(kin_group_close(&f->group, 0), 0);
    check_idle(&f->a);
    check_idle(&f->b);
    check_idle(&f->hand);
}

#define WAIT_FOR(f, ...)                                                                  \
    wait_for(f, (kin_case[]){ __VA_ARGS__ },                                              \
             sizeof((kin_case[]){ __VA_ARGS__ }) / sizeof(kin_case))

KIN_TEST(S2_select_is_handed_what_comes_first)
{
    struct fixture f;

    begin(&f);
    WAIT_FOR(&f, { .queue = &f.a }, { .queue = &f.b });
    CHECK_CODE(kin_queue_try_put(&f.b, item(8)), 0);
    check_idle(&f.a);                           /* it has left the other line at once */
    CHECK_INT(f.b.count, 0);
    CHECK_CODE(kin_queue_try_put(&f.a, item(9)), 0);
    end(&f);
    CHECK_INT(f.chooser.rc, 1);
    CHECK_CODE(f.chooser.cases[1].code, 0);
    CHECK_INT((intptr_t)f.chooser.cases[1].item, 8);
    CHECK_INT(f.a.count, 1);
}

KIN_TEST(S2_select_puts_when_there_is_room)
{
    struct fixture f;
    void *got;

    begin(&f);
    kin_queue_try_put(&f.a, item(1));
    kin_queue_try_put(&f.b, item(2));
    WAIT_FOR(&f, { .queue = &f.a, .put = true, .item = item(3) },
             { .queue = &f.b, .put = true, .item = item(4) });
    CHECK_CODE(kin_queue_try_get(&f.b, &got), 0);
    CHECK_INT((intptr_t)got, 2);
    end(&f);
    CHECK_INT(f.chooser.rc, 1);
    CHECK_CODE(kin_queue_try_get(&f.b, &got), 0);
    CHECK_INT((intptr_t)got, 4);
    CHECK_INT(f.a.count, 1);
    CHECK_INT(f.a.unfinished, 1);
    CHECK_INT(f.b.unfinished, 2);
}

KIN_TEST(S2_select_stands_in_line_with_the_others)
{
    struct fixture f;
    struct end before = { &f.a, 0, 99 }, after = { &f.a, 0, 99 };

    begin(&f);
    kin_spawn(&f.group, get, &before);
    WAIT_FOR(&f, { .queue = &f.a }, { .queue = &f.b });
    kin_spawn(&f.group, get, &after);
    settle();
    for (intptr_t i = 1; i <= 3; i++)
        CHECK_CODE(kin_queue_try_put(&f.a, item(i)), 0);
    end(&f);
    CHECK_INT(before.number, 1);
    CHECK_INT((intptr_t)f.chooser.cases[0].item, 2);
    CHECK_INT(after.number, 3);
}

KIN_TEST(S2_a_cancelled_select_has_done_nothing)
{
    struct fixture f;

    begin(&f);
    kin_queue_try_put(&f.b, item(1));
    WAIT_FOR(&f, { .queue = &f.a }, { .queue = &f.b, .put = true, .item = item(2) },
             { .queue = &f.hand }, { .queue = NULL });
    kin_cancel(&f.task, NULL);
    check_idle(&f.a);
    check_idle(&f.b);
    check_idle(&f.hand);
    CHECK_CODE(kin_queue_try_put(&f.a, item(3)), 0);
    end(&f);
    CHECK_CODE(f.chooser.rc, KIN_ECANCELED);
    CHECK_INT(f.a.count, 1);
    CHECK_INT(f.b.count, 1);
}

KIN_TEST(T44_an_item_handed_to_a_select_that_is_cancelled_then_is_received)
{
    struct fixture f;

    begin(&f);
    WAIT_FOR(&f, { .queue = &f.a }, { .queue = &f.b });
    CHECK_CODE(kin_queue_try_put(&f.a, item(3)), 0);
    kin_cancel(&f.task, NULL);
    end(&f);
    CHECK_INT(f.chooser.rc, 0);
    CHECK_INT((intptr_t)f.chooser.cases[0].item, 3);
}

KIN_TEST(S1_select_looks_at_cancellation_first)
{
    struct fixture f;
    kin_case one = { .queue = &f.a };

    begin(&f);
    kin_queue_try_put(&f.a, item(1));
    kin_scope s = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_select(&one, 1), KIN_ECANCELED);
    kin_scope_close(&s, 0);
    CHECK_INT(f.a.count, 1);
    end(&f);
}

KIN_TEST(T47_a_shutdown_ends_a_select_of_its_queue_only)
{
    struct fixture f;

    begin(&f);
    WAIT_FOR(&f, { .queue = &f.a }, { .queue = &f.b });
    kin_queue_shutdown(&f.b);
    end(&f);
    CHECK_INT(f.chooser.rc, 1);
    CHECK_CODE(f.chooser.cases[1].code, KIN_ECLOSED);
    begin(&f);
    kin_queue_try_put(&f.a, item(1));
    WAIT_FOR(&f, { .queue = &f.a, .put = true, .item = item(2) }, { .queue = &f.b });
    kin_queue_shutdown_now(&f.a);
    end(&f);
    CHECK_INT(f.chooser.rc, 0);
    CHECK_CODE(f.chooser.cases[0].code, KIN_ECLOSED);
}

KIN_TEST(S1_select_without_queues_waits_to_be_cancelled)
{
    kin_case never[2] = { { 0 } };
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_try_select(never, 2), KIN_EAGAIN);
    CHECK_CODE(kin_select(never, 2), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
}

/* ------------------------------------------------------- one queue several times */

KIN_TEST(S2_select_with_a_queue_twice_is_served_once)
{
    struct fixture f;

    begin(&f);
    WAIT_FOR(&f, { .queue = &f.a }, { .queue = &f.a }, { .queue = &f.a });
    CHECK_CODE(kin_queue_try_put(&f.a, item(1)), 0);
    CHECK_CODE(kin_queue_try_put(&f.a, item(2)), 0);
    end(&f);
    CHECK_INT(f.chooser.rc, 0);
    CHECK_INT((intptr_t)f.chooser.cases[0].item, 1);
    CHECK_INT(f.a.count, 1);
    begin(&f);
    kin_queue_try_put(&f.a, item(1));
    WAIT_FOR(&f, { .queue = &f.a, .put = true, .item = item(2) },
             { .queue = &f.a, .put = true, .item = item(3) });
    kin_queue_shutdown_now(&f.a);
    end(&f);
    CHECK_INT(f.chooser.rc, 0);
    CHECK_CODE(f.chooser.cases[0].code, KIN_ECLOSED);
}

KIN_TEST(S2_select_for_put_and_get_does_not_meet_itself)
{
    struct fixture f;
    void *got;

    begin(&f);
    WAIT_FOR(&f, { .queue = &f.hand, .put = true, .item = item(5) }, { .queue = &f.hand });
    CHECK_CODE(kin_queue_try_get(&f.hand, &got), 0);
    CHECK_INT((intptr_t)got, 5);
    end(&f);
    CHECK_INT(f.chooser.rc, 0);
    begin(&f);
    WAIT_FOR(&f, { .queue = &f.hand, .put = true, .item = item(5) }, { .queue = &f.hand });
    CHECK_CODE(kin_queue_try_put(&f.hand, item(6)), 0);
    end(&f);
    CHECK_INT(f.chooser.rc, 1);
    CHECK_INT((intptr_t)f.chooser.cases[1].item, 6);
}

KIN_TEST(S2_two_selects_for_put_and_get_meet_each_other)
{
    struct fixture f;
    struct chooser other = { .cases = { { .queue = NULL }, { .queue = &f.hand, .put = true,
                                                             .item = item(6) },
                                        { .queue = &f.hand } }, .count = 3, .rc = 99 };

    begin(&f);
    WAIT_FOR(&f, { .queue = &f.hand, .put = true, .item = item(5) }, { .queue = &f.hand });
    kin_spawn(&f.group, choose, &other);
    end(&f);
    CHECK_INT(other.rc, 1);
    CHECK_INT(f.chooser.rc, 1);
    CHECK_INT((intptr_t)f.chooser.cases[1].item, 6);
}

KIN_TEST(S2_a_select_that_gave_is_out_of_all_lines_when_its_slot_is_filled)
{
    struct fixture f;
    struct end e[2] = { { &f.a, 7, 99 }, { &f.a, 8, 99 } };
    void *got;

    begin(&f);
    kin_queue_try_put(&f.a, item(1));
    WAIT_FOR(&f, { .queue = &f.a, .put = true, .item = item(2) },
             { .queue = &f.a, .put = true, .item = item(3) });
    kin_spawn(&f.group, put, &e[0]);
    kin_spawn(&f.group, put, &e[1]);
    settle();
    static const intptr_t order[] = { 1, 2, 7, 8 };
    for (int i = 0; i < 4; i++) {
        CHECK_CODE(kin_queue_try_get(&f.a, &got), 0);
        CHECK_INT((intptr_t)got, order[i]);
    }
    end(&f);
}

/* ------------------------------------------------------------------ many cases */

enum { MANY = 100 };

static int select_many(void *arg)
{
    kin_queue *queue = arg;
    kin_case cases[MANY] = { { 0 } };

    for (int i = 0; i < MANY; i++)
        cases[i].queue = &queue[i];
    int rc = kin_select(cases, MANY);
    if (rc >= 0)
        trace("%d: %d", rc, (int)(intptr_t)cases[rc].item);
    return rc < 0 ? rc : 0;
}

KIN_TEST(S1_select_of_a_hundred)
{
    static kin_queue queue[MANY];
    kin_group g = kin_group_open();

    kin_spawn(&g, select_many, queue);
    settle();
    CHECK_CODE(kin_queue_put(&queue[77], item(4)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("77: 4");
    for (int i = 0; i < MANY; i++)
        check_idle(&queue[i]);
}

KIN_TEST(S2_a_cancelled_select_of_a_hundred_leaves_nothing_behind)
{
    static kin_queue queue[MANY];
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, select_many, queue, .task = &task);
    settle();
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    for (int i = 0; i < MANY; i++)
        check_idle(&queue[i]);
}

static bool fail_all(const char *site)
{
    (void)site;
    return true;
}

KIN_TEST(C2_a_select_without_memory_has_done_nothing)
{
    static kin_queue queue[MANY];

    kin__os_fault = fail_all;
    CHECK_CODE(select_many(queue), -ENOMEM);
    kin__os_fault = NULL;
    for (int i = 0; i < MANY; i++)
        check_idle(&queue[i]);
}

/* -------------------------------------------------------------------- outside */

KIN_TEST(Q3_a_deadlock_report_says_what_a_select_waits_for)
{
    struct fixture f;

    begin(&f);
    WAIT_FOR(&f, { .queue = &f.a }, { .queue = &f.hand, .put = true }, { .queue = NULL });
    CHECK_CODE(kin_group_close(&f.group, 0), KIN_ECANCELED);
    CHECK_REPORTED("waits for: select, one of 1 puts and 1 gets");
}

TEST(S3_select_outside_of_a_run)
{
    kin_queue queue = { 0 };
    kin_case one = { .queue = &queue };

    CHECK_CODE(kin_select(&one, 1), KIN_ENORUN);
    CHECK_CODE(kin_try_select(&one, 1), KIN_ENORUN);
}
