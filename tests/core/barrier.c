/* The barrier: the last to come ends the round for all (docs/semantics.md S1, S2;
 * asyncio's Barrier tests). There is no draining: whoever is woken has its number,
 * and the next round has begun. */
#include "kin_test.h"

struct party {
    kin_barrier *barrier;
    int rounds;
    int number[3];          /* what each wait returned */
};

static int come(void *arg)
{
    struct party *p = arg;

    for (int i = 0; i < p->rounds; i++) {
        p->number[i] = kin_barrier_wait(p->barrier);
        if (p->number[i] < 0)
            return p->number[i] == KIN_EBROKEN ? 0 : p->number[i];
    }
    return 0;
}

struct fixture {
    kin_barrier barrier;
    struct party party[6];
    kin_task task[6];
    kin_group group;
    int n;
};

static void add(struct fixture *f, int n, int rounds)
{
    for (int i = f->n; i < f->n + n; i++) {
        f->party[i] = (struct party){ &f->barrier, rounds, { 99, 99, 99 } };
        CHECK_CODE(kin_spawn(&f->group, come, &f->party[i], .task = &f->task[i]), 0);
    }
    f->n += n;
}

static void begin(struct fixture *f, uint32_t parties, int n, int rounds)
{
    *f = (struct fixture){ .barrier = { .parties = parties }, .group = kin_group_open() };
    add(f, n, rounds);
    settle();
}

static void end(struct fixture *f)
{
    CHECK_CODE(kin_group_close(&f->group, 0), 0);
    CHECK_INT(f->barrier.waiting, 0);
    CHECK(!f->barrier.waiters.first && !f->barrier.waiters.last);
}

KIN_TEST(barrier_parties)
{
    kin_barrier none = { 0 }, one = { .parties = 1 };

    CHECK_CODE(kin_barrier_wait(&none), KIN_EINVAL);
    CHECK_CODE(kin_barrier_wait(&one), 0);      /* filling_one_task */
    CHECK_CODE(kin_barrier_wait(&one), 0);      /* … _twice */
    CHECK_INT(one.waiting, 0);
}

/* check_return_value, context_manager: the numbers of a round are 0 to parties - 1. */
KIN_TEST(barrier_check_return_value)
{
    struct fixture f;

    begin(&f, 4, 3, 1);
    CHECK_INT(f.barrier.waiting, 3);
    CHECK_INT(kin_barrier_wait(&f.barrier), 3);
    CHECK_INT(f.barrier.waiting, 0);
    CHECK_INT(f.party[0].number[0], 99);        /* woken, but has not run: no switch */
    end(&f);
    for (int i = 0; i < 3; i++)
        CHECK_INT(f.party[i].number[0], i);
}

KIN_TEST(barrier_task_by_task)
{
    struct fixture f;

    begin(&f, 3, 1, 1);
    CHECK_INT(f.barrier.waiting, 1);
    add(&f, 1, 1);
    settle();
    CHECK_INT(f.barrier.waiting, 2);
    CHECK_INT(f.task[0].status, KIN_PENDING);
    add(&f, 1, 1);
    settle();
    for (int i = 0; i < 3; i++)
        CHECK_INT(f.party[i].number[0], i);
    end(&f);
}

/* wait_twice, waiting_and_waiting_again: round after round, each with all numbers. */
KIN_TEST(barrier_tasks_wait_twice)
{
    struct fixture f;

    begin(&f, 3, 3, 3);
    end(&f);
    for (int round = 0; round < 3; round++) {
        int seen = 0;

        for (int i = 0; i < 3; i++)
            seen |= 1 << f.party[i].number[round];
        CHECK_INT(seen, 7);
    }
}

/* More tasks than parties: the surplus belongs to the next round (asyncio: blocks
 * while the round drains). */
KIN_TEST(barrier_blocking_tasks_while_draining)
{
    struct fixture f;

    begin(&f, 3, 5, 1);
    CHECK_INT(f.barrier.waiting, 2);
    CHECK_INT(f.party[2].number[0], 2);
    CHECK_INT(f.task[3].status, KIN_PENDING);
    CHECK_INT(kin_barrier_wait(&f.barrier), 2);
    end(&f);
    CHECK_INT(f.party[3].number[0], 0);
    CHECK_INT(f.party[4].number[0], 1);
}

KIN_TEST(barrier_cancel_one)
{
    struct fixture f;

    begin(&f, 4, 3, 1);
    kin_cancel(&f.task[1], NULL);
    CHECK_INT(f.barrier.waiting, 2);            /* at once */
    add(&f, 2, 1);
    end(&f);
    CHECK_CODE(f.party[1].number[0], KIN_ECANCELED);
    CHECK_INT(f.party[0].number[0], 0);
    CHECK_INT(f.party[2].number[0], 1);         /* those behind it have moved up */
    CHECK_INT(f.party[3].number[0], 2);
    CHECK_INT(f.party[4].number[0], 3);
}

/* T38: the round is over, and one of its tasks is cancelled before it has run. */
KIN_TEST(T38_a_party_cancelled_when_the_round_is_over_was_there)
{
    struct fixture f;

    begin(&f, 2, 1, 1);
    CHECK_INT(kin_barrier_wait(&f.barrier), 1);
    kin_cancel(&f.task[0], NULL);
    end(&f);
    CHECK_INT(f.party[0].number[0], 0);
}

KIN_TEST(barrier_reset)
{
    struct fixture f;

    begin(&f, 3, 0, 1);
    kin_barrier_reset(&f.barrier);              /* empty */
    CHECK(!f.barrier.broken);
    add(&f, 2, 1);
    settle();
    kin_barrier_reset(&f.barrier);              /* while tasks wait */
    CHECK_INT(f.barrier.waiting, 0);
    settle();
    CHECK_CODE(f.party[0].number[0], KIN_EBROKEN);
    CHECK_CODE(f.party[1].number[0], KIN_EBROKEN);
    add(&f, 3, 1);                              /* as new */
    end(&f);
    for (int i = 2; i < 5; i++)
        CHECK_INT(f.party[i].number[0], i - 2);
}

/* reset_half_draining, …_half_blocking: those of the ended round keep their numbers. */
KIN_TEST(barrier_reset_tasks_half_draining)
{
    struct fixture f;

    begin(&f, 3, 2, 2);
    CHECK_INT(kin_barrier_wait(&f.barrier), 2);
    kin_barrier_reset(&f.barrier);              /* they are woken, but have not run */
    settle();
    CHECK_INT(f.party[0].number[0], 0);
    CHECK_INT(f.party[1].number[0], 1);
    CHECK_INT(f.barrier.waiting, 2);            /* and wait in the next round */
    kin_barrier_reset(&f.barrier);
    end(&f);
    CHECK_CODE(f.party[0].number[1], KIN_EBROKEN);
    CHECK_CODE(f.party[1].number[1], KIN_EBROKEN);
}

/* …_half_blocking: one is woken and has not run, another waits for the next round. */
static int reset_or_break(void *arg)
{
    struct fixture *f = arg;

    CHECK_INT(f->barrier.waiting, 1);
    CHECK_INT(f->party[1].number[0], 99);
    if (f->n == 3)
        kin_barrier_reset(&f->barrier);
    else
        kin_barrier_break(&f->barrier);
    return 0;
}

static void half_draining_half_blocking(int extra)
{
    struct fixture f;

    begin(&f, 3, 2, 1);
    CHECK_INT(kin_barrier_wait(&f.barrier), 2);
    add(&f, 1, 1);                              /* new tasks and woken ones take turns */
    f.n += extra;
    CHECK_CODE(kin_spawn(&f.group, reset_or_break, &f), 0);
    end(&f);
    CHECK_INT(f.party[0].number[0], 0);
    CHECK_INT(f.party[1].number[0], 1);
    CHECK_CODE(f.party[2].number[0], KIN_EBROKEN);
    CHECK(f.barrier.broken == (extra != 0));
}

KIN_TEST(barrier_reset_tasks_half_draining_half_blocking)
{
    half_draining_half_blocking(0);
}

KIN_TEST(barrier_abort_tasks_half_draining_half_blocking)
{
    half_draining_half_blocking(1);
}

KIN_TEST(barrier_abort)
{
    struct fixture f;

    begin(&f, 3, 0, 1);
    kin_barrier_break(&f.barrier);              /* empty */
    CHECK(f.barrier.broken);
    CHECK_CODE(kin_barrier_wait(&f.barrier), KIN_EBROKEN);
    kin_barrier_reset(&f.barrier);              /* then reset */
    add(&f, 2, 1);
    settle();
    CHECK_INT(kin_barrier_wait(&f.barrier), 2);
    kin_barrier_break(&f.barrier);              /* half draining */
    end(&f);
    CHECK_INT(f.party[0].number[0], 0);
    CHECK_INT(f.party[1].number[0], 1);
    CHECK_CODE(kin_barrier_wait(&f.barrier), KIN_EBROKEN);
}

/* abort_on_error: one of the parties fails and sends the others home. */
static int fail_and_break(void *arg)
{
    kin_barrier_break(arg);
    return 0;
}

KIN_TEST(barrier_abort_tasks_on_error)
{
    struct fixture f;

    begin(&f, 3, 2, 1);
    kin_spawn(&f.group, fail_and_break, &f.barrier);
    end(&f);
    CHECK_CODE(f.party[0].number[0], KIN_EBROKEN);
    CHECK_CODE(f.party[1].number[0], KIN_EBROKEN);
}

KIN_TEST(C1_barrier_looks_at_cancellation_first)
{
    kin_barrier barrier = { .parties = 1 };
    kin_scope s = kin_scope_open(.cancelled = true);

    CHECK_CODE(kin_barrier_wait(&barrier), KIN_ECANCELED);
    kin_scope_close(&s, 0);
    CHECK_CODE(kin_barrier_wait(&barrier), 0);
}
