/* The condition: a wait ends with the mutex held, whatever it returns, and a
 * notification reaches somebody (docs/semantics.md S2; asyncio's Condition tests,
 * T04, T42, T43). */
#include "kin_test.h"

struct waiter {
    kin_condition *condition;
    kin_mutex *mutex;
    int number;
    int rc;                 /* what the wait said */
    int after;              /* what the next blocking call said */
};

static int wait_once(void *arg)
{
    struct waiter *w = arg;

    CHECK_CODE(kin_mutex_lock(w->mutex), 0);
    w->rc = kin_condition_wait(w->condition, w->mutex);
    CHECK_INT(w->mutex->owner, kin_task_id());
    trace("%d", w->number);
    w->after = kin_check();
    CHECK_CODE(kin_mutex_unlock(w->mutex), 0);
    return w->rc;
}

struct fixture {
    kin_mutex mutex;
    kin_condition condition;
    struct waiter waiter[5];
    kin_task task[5];
    kin_group group;
};

static void begin(struct fixture *f, int n)
{
    *f = (struct fixture){ .group = kin_group_open() };
    for (int i = 0; i < n; i++) {
        f->waiter[i] = (struct waiter){ &f->condition, &f->mutex, i + 1, 99, 99 };
        CHECK_CODE(kin_spawn(&f->group, wait_once, &f->waiter[i], .task = &f->task[i]), 0);
    }
    settle();
}

static void end(struct fixture *f)
{
    CHECK_CODE(kin_group_close(&f->group, 0), 0);
    CHECK_INT(f->mutex.owner, 0);
    CHECK(!f->mutex.waiters.first && !f->mutex.waiters.last);
    CHECK(!f->condition.waiters.first && !f->condition.waiters.last);
}

KIN_TEST(condition_wait)
{
    struct fixture f;

    begin(&f, 4);
    CHECK_CODE(kin_mutex_lock(&f.mutex), 0);    /* all of them have given it up */
    kin_condition_notify(&f.condition, 2);
    settle();
    CHECK_TRACE("");                            /* they wait for the mutex now */
    CHECK_CODE(kin_mutex_unlock(&f.mutex), 0);
    settle();
    CHECK_TRACE("1 2");
    kin_condition_notify(&f.condition, 1);
    settle();
    CHECK_TRACE("3");
    kin_condition_notify(&f.condition, 9);
    end(&f);
    CHECK_TRACE("4");
    for (int i = 0; i < 4; i++)
        CHECK_CODE(f.waiter[i].rc, 0);
}

KIN_TEST(condition_notify)
{
    struct fixture f;

    begin(&f, 3);
    kin_condition_notify(&f.condition, 0);
    settle();
    CHECK_TRACE("");
    kin_condition_notify(&f.condition, 1);
    kin_condition_notify(&f.condition, 1);
    settle();
    CHECK_TRACE("1 2");
    kin_condition_notify(&f.condition, 2048);
    end(&f);
    CHECK_TRACE("3");
    kin_condition_notify(&f.condition, 1);      /* nobody there: not remembered */
    CHECK_CODE(kin_mutex_lock(&f.mutex), 0);
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));
    CHECK_CODE(kin_condition_wait(&f.condition, &f.mutex), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_mutex_unlock(&f.mutex), 0);
}

KIN_TEST(condition_notify_all)
{
    struct fixture f;

    begin(&f, 5);
    kin_condition_notify_all(&f.condition);
    end(&f);
    CHECK_TRACE("1 2 3 4 5");
}

KIN_TEST(condition_wait_cancel)
{
    struct fixture f;

    begin(&f, 2);
    kin_cancel(&f.task[0], NULL);
    settle();
    CHECK_CODE(f.waiter[0].rc, KIN_ECANCELED);
    CHECK_TRACE("1");
    kin_condition_notify(&f.condition, 1);
    end(&f);
    CHECK_CODE(f.waiter[1].rc, 0);
    CHECK_TRACE("2");
}

/* Notified, and cancelled while it goes for the mutex: it ends with the mutex held,
 * and has been notified. */
KIN_TEST(condition_wait_cancel_contested)
{
    struct fixture f;

    begin(&f, 1);
    CHECK_CODE(kin_mutex_lock(&f.mutex), 0);
    kin_condition_notify(&f.condition, 1);
    settle();
    kin_cancel(&f.task[0], NULL);
    settle();
    CHECK_INT(f.task[0].status, KIN_PENDING);
    CHECK_CODE(kin_mutex_unlock(&f.mutex), 0);
    end(&f);
    CHECK_CODE(f.waiter[0].rc, 0);
    CHECK_CODE(f.waiter[0].after, KIN_ECANCELED);
}

KIN_TEST(T43_a_cancellation_while_the_mutex_is_taken_again_is_not_swallowed)
{
    struct fixture f;

    begin(&f, 2);
    CHECK_CODE(kin_mutex_lock(&f.mutex), 0);
    kin_condition_notify(&f.condition, 1);
    kin_cancel(&f.task[0], NULL);       /* on its way to the mutex */
    kin_cancel(&f.task[1], NULL);       /* waiting still */
    settle();
    CHECK_INT(f.mutex.owner, kin_task_id());
    CHECK_CODE(kin_mutex_unlock(&f.mutex), 0);
    end(&f);
    CHECK_CODE(f.waiter[0].rc, 0);
    CHECK_CODE(f.waiter[0].after, KIN_ECANCELED);
    CHECK_CODE(f.waiter[1].rc, KIN_ECANCELED);
    CHECK_CODE(f.waiter[1].after, KIN_ECANCELED);
    CHECK_TRACE("1 2");
}

KIN_TEST(condition_wait_cancel_after_notify)
{
    struct fixture f;

    begin(&f, 1);
    kin_condition_notify(&f.condition, 1);      /* it has the mutex now, but has not run */
    CHECK_INT(f.mutex.owner, f.task[0].id);
    kin_cancel(&f.task[0], NULL);
    end(&f);
    CHECK_CODE(f.waiter[0].rc, 0);
    CHECK_CODE(f.waiter[0].after, KIN_ECANCELED);
}

KIN_TEST(condition_wait_unacquired)
{
    kin_mutex mutex = { 0 };
    kin_condition condition = { 0 };

    CHECK_CODE(kin_condition_wait(&condition, &mutex), KIN_EOWNER);
    kin_scope s = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_condition_wait(&condition, &mutex), KIN_EOWNER);
    kin_scope_close(&s, 0);
}

/* asyncio refuses these; here a notifier need not hold the mutex. */
KIN_TEST(condition_notify_unacquired)
{
    struct fixture f;

    begin(&f, 2);
    kin_condition_notify(&f.condition, 1);
    settle();
    CHECK_TRACE("1");
    kin_condition_notify_all(&f.condition);
    end(&f);
    CHECK_TRACE("2");
}

/* The predicate in a loop, as everybody writes it. */
struct counter {
    kin_mutex mutex;
    kin_condition changed;
    int value;
};

static int wait_for_three(void *arg)
{
    struct counter *c = arg;
    int rc, woken = 0;

    KIN_LOCKED(rc, &c->mutex)
    {
        while (rc == 0 && c->value < 3) {
            rc = kin_condition_wait(&c->changed, &c->mutex);
            woken++;
        }
    }
    trace("%d", woken);
    return rc;
}

KIN_TEST(condition_wait_for)
{
    struct counter c = { .value = 0 };
    kin_group g = kin_group_open();

    kin_spawn(&g, wait_for_three, &c);
    for (int i = 0; i < 3; i++) {
        settle();
        CHECK_TRACE("");
        c.value++;
        kin_condition_notify_all(&c.changed);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("3");
}

/* One mutex for several conditions. */
KIN_TEST(condition_explicit_lock)
{
    struct fixture f;
    kin_condition other = { 0 };
    struct waiter w = { &other, &f.mutex, 9, 99, 99 };

    begin(&f, 1);
    kin_spawn(&f.group, wait_once, &w);
    settle();
    kin_condition_notify_all(&other);
    settle();
    CHECK_TRACE("9");
    kin_condition_notify_all(&f.condition);
    end(&f);
    CHECK_TRACE("1");
}

KIN_TEST(condition_context_manager)
{
    kin_mutex mutex = { 0 };
    kin_condition condition = { 0 };
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));
    int rc;

    KIN_LOCKED(rc, &mutex)
    {
        rc = kin_condition_wait(&condition, &mutex);
        CHECK_INT(mutex.owner, kin_task_id());
    }
    CHECK_CODE(kin_scope_close(&s, rc), KIN_ETIMEDOUT);
    CHECK_INT(mutex.owner, 0);
}

/* asyncio's timeout_in_block. */
KIN_TEST(T04_a_timed_out_wait_leaves_the_mutex_held)
{
    struct fixture f;

    begin(&f, 0);
    CHECK_CODE(kin_mutex_lock(&f.mutex), 0);
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));
    CHECK_CODE(kin_condition_wait(&f.condition, &f.mutex), KIN_ECANCELED);
    CHECK_INT(f.mutex.owner, kin_task_id());
    CHECK_CODE(kin_condition_wait(&f.condition, &f.mutex), KIN_ECANCELED);  /* on entry */
    CHECK_INT(f.mutex.owner, kin_task_id());
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), KIN_ETIMEDOUT);
    CHECK_CODE(kin_mutex_unlock(&f.mutex), 0);
    end(&f);
}

static int hold_for_a_second(void *arg)
{
    int rc;

    KIN_LOCKED(rc, arg)
        rc = kin_sleep(KIN_S(1));
    return rc;
}

KIN_TEST(T04_a_timed_out_wait_stays_until_the_mutex_is_free)
{
    struct fixture f;
    int64_t start = kin_now();

    begin(&f, 0);
    CHECK_CODE(kin_mutex_lock(&f.mutex), 0);
    kin_spawn(&f.group, hold_for_a_second, &f.mutex);
    kin_scope s = kin_scope_open(.timeout = KIN_MS(10));
    CHECK_CODE(kin_condition_wait(&f.condition, &f.mutex), KIN_ECANCELED);
    CHECK_INT(f.mutex.owner, kin_task_id());
    CHECK(kin_now() - start >= KIN_S(1));
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), KIN_ETIMEDOUT);
    CHECK_CODE(kin_mutex_unlock(&f.mutex), 0);
    end(&f);
}

/* gh-112202: one is notified and cancelled, in either order, in one turn. */
KIN_TEST(T42_cancelled_then_notified_the_next_one_gets_it)
{
    struct fixture f;

    begin(&f, 2);
    kin_cancel(&f.task[0], NULL);
    kin_condition_notify(&f.condition, 1);
    end(&f);
    CHECK_CODE(f.waiter[0].rc, KIN_ECANCELED);
    CHECK_CODE(f.waiter[1].rc, 0);
}

KIN_TEST(T42_cancelled_with_the_mutex_taken_then_notified_the_next_one_gets_it)
{
    struct fixture f;

    begin(&f, 2);
    CHECK_CODE(kin_mutex_lock(&f.mutex), 0);
    kin_cancel(&f.task[0], NULL);
    kin_condition_notify(&f.condition, 1);
    CHECK_CODE(kin_mutex_unlock(&f.mutex), 0);
    end(&f);
    CHECK_CODE(f.waiter[0].rc, KIN_ECANCELED);
    CHECK_CODE(f.waiter[1].rc, 0);
    CHECK_TRACE("1 2");
}

/* asyncio's cancelled_wakeup and cancelled_wakeup_relock. */
KIN_TEST(T42_notified_then_cancelled_it_was_notified)
{
    struct fixture f;

    begin(&f, 2);
    kin_condition_notify(&f.condition, 1);
    kin_cancel(&f.task[0], NULL);
    settle();
    CHECK_CODE(f.waiter[0].rc, 0);
    CHECK_INT(f.task[1].status, KIN_PENDING);
    kin_condition_notify(&f.condition, 1);
    end(&f);
    CHECK_CODE(f.waiter[1].rc, 0);
}

/* A mutex's other users and the notified ones are served in one line. */
static int lock_once(void *arg)
{
    struct waiter *w = arg;

    CHECK_CODE(kin_mutex_lock(w->mutex), 0);
    trace("%d", w->number);
    return kin_mutex_unlock(w->mutex);
}

KIN_TEST(S2_the_notified_stand_in_the_mutex_s_line)
{
    struct fixture f;
    struct waiter a = { .mutex = &f.mutex, .number = 8 }, b = { .mutex = &f.mutex, .number = 9 };

    begin(&f, 2);
    CHECK_CODE(kin_mutex_lock(&f.mutex), 0);
    kin_spawn(&f.group, lock_once, &a);
    settle();
    kin_condition_notify_all(&f.condition);
    kin_spawn(&f.group, lock_once, &b);
    settle();
    CHECK_CODE(kin_mutex_unlock(&f.mutex), 0);
    end(&f);
    CHECK_TRACE("8 1 2 9");
}

KIN_TEST(C4_notify_lets_nobody_run)
{
    struct fixture f;

    begin(&f, 3);
    kin_condition_notify_all(&f.condition);
    CHECK_TRACE("");
    end(&f);
    CHECK_TRACE("1 2 3");
}

KIN_TEST(Q3_a_waiter_that_cannot_get_the_mutex_back_is_named)
{
    struct fixture f;

    begin(&f, 1);
    CHECK_CODE(kin_mutex_lock(&f.mutex), 0);
    kin_condition_notify_all(&f.condition);
    CHECK_CODE(kin_sleep(KIN_FOREVER), KIN_ECANCELED);
    CHECK_HAS(test_reports(), "waits for: mutex of a condition, ");
    CHECK_REPORTED("held by main");
    CHECK_CODE(kin_mutex_unlock(&f.mutex), 0);
    CHECK_CODE(kin_group_close(&f.group, 0), KIN_ECANCELED);
    CHECK_TRACE("1");
}
