/* The lock for many readers or one writer: nobody overtakes, and whoever gives up
 * lets those behind it in (docs/semantics.md S1 to S3). */
#include "kin_test.h"

#include <stdio.h>

struct user {
    kin_rwlock *lock;
    bool write;
    int number;
    int64_t hold;
    int rc;
};

static int readers_inside, writers_inside;

static void check_inside(void)
{
    CHECK(writers_inside == 0 || (writers_inside == 1 && readers_inside == 0));
}

static int use(void *arg)
{
    struct user *u = arg;
    int *inside = u->write ? &writers_inside : &readers_inside;

    u->rc = u->write ? kin_rwlock_write(u->lock) : kin_rwlock_read(u->lock);
    if (u->rc < 0)
        return u->rc;
    trace("%c%d", u->write ? 'w' : 'r', u->number);
    ++*inside;
    check_inside();
    int rc = kin_sleep(u->hold);
    check_inside();
    --*inside;
    CHECK_CODE(kin_rwlock_unlock(u->lock), 0);
    return rc;
}

struct fixture {
    kin_rwlock lock;
    struct user user[8];
    kin_task task[8];
    kin_group group;
};

/* One task a letter, in this order: "rrw" is two readers and a writer. */
static void begin(struct fixture *f, const char *who)
{
    *f = (struct fixture){ .group = kin_group_open() };
    readers_inside = writers_inside = 0;
    for (int i = 0; who[i]; i++) {
        f->user[i] = (struct user){ &f->lock, who[i] == 'w', i + 1, KIN_S(1), 99 };
        CHECK_CODE(kin_spawn(&f->group, use, &f->user[i], .task = &f->task[i], .name = "user",
                             .index = i + 1), 0);
        settle();
    }
}

static void end(struct fixture *f)
{
    CHECK_CODE(kin_group_close(&f->group, 0), 0);
    CHECK_INT(f->lock.writer, 0);
    CHECK_INT(f->lock.readers, 0);
    CHECK(!f->lock.waiters.first && !f->lock.waiters.last);
}

KIN_TEST(S1_many_readers_at_once)
{
    struct fixture f;

    begin(&f, "rrrr");
    CHECK_TRACE("r1 r2 r3 r4");
    CHECK_INT(f.lock.readers, 4);
    end(&f);
}

KIN_TEST(S1_one_writer_at_once)
{
    struct fixture f;

    begin(&f, "www");
    CHECK_TRACE("w1");
    CHECK_INT(f.lock.writer, f.task[0].id);
    end(&f);
    CHECK_TRACE("w2 w3");
}

KIN_TEST(S2_a_reader_does_not_pass_a_waiting_writer)
{
    struct fixture f;

    begin(&f, "rwrrwr");
    CHECK_TRACE("r1");
    CHECK_CODE(kin_rwlock_try_read(&f.lock), KIN_EAGAIN);
    kin_sleep(KIN_S(1));
    CHECK_TRACE("w2");
    kin_sleep(KIN_S(1));
    CHECK_TRACE("r3 r4");
    kin_sleep(KIN_S(1));
    CHECK_TRACE("w5");
    end(&f);
    CHECK_TRACE("r6");
}

KIN_TEST(S2_the_last_reader_hands_the_lock_to_the_writer)
{
    struct fixture f;

    begin(&f, "w");
    kin_sleep(KIN_S(1));
    CHECK_TRACE("w1");
    CHECK_CODE(kin_rwlock_read(&f.lock), 0);
    CHECK_CODE(kin_rwlock_read(&f.lock), 0);
    f.user[1] = (struct user){ &f.lock, true, 2, 0, 99 };
    kin_spawn(&f.group, use, &f.user[1], .task = &f.task[1]);
    settle();
    CHECK_CODE(kin_rwlock_unlock(&f.lock), 0);
    CHECK_INT(f.lock.writer, 0);
    CHECK_CODE(kin_rwlock_unlock(&f.lock), 0);
    CHECK_INT(f.lock.writer, f.task[1].id);     /* before it has run */
    CHECK_CODE(kin_rwlock_try_read(&f.lock), KIN_EAGAIN);
    CHECK_CODE(kin_rwlock_try_write(&f.lock), KIN_EAGAIN);
    end(&f);
    CHECK_TRACE("w2");
}

KIN_TEST(S2_a_cancelled_writer_at_the_head_lets_the_readers_behind_it_in)
{
    struct fixture f;

    begin(&f, "rwrrwr");
    CHECK_TRACE("r1");
    kin_cancel(&f.task[1], NULL);
    CHECK_INT(f.lock.readers, 3);               /* at once, not when it runs */
    settle();
    CHECK_TRACE("r3 r4");
    CHECK_CODE(f.user[1].rc, KIN_ECANCELED);
    end(&f);
    CHECK_TRACE("w5 r6");
}

KIN_TEST(S2_a_cancelled_writer_further_back_lets_nobody_in)
{
    struct fixture f;

    begin(&f, "rwwr");
    kin_cancel(&f.task[2], NULL);
    CHECK_INT(f.lock.readers, 1);
    end(&f);
    CHECK_TRACE("r1 w2 r4");
}

KIN_TEST(S2_a_cancelled_waiter_behind_a_writer_lets_nobody_in)
{
    struct fixture f;

    begin(&f, "wrwr");
    kin_cancel(&f.task[2], NULL);
    kin_cancel(&f.task[1], NULL);
    CHECK_INT(f.lock.readers, 0);
    settle();
    CHECK_TRACE("w1");
    end(&f);
    CHECK_TRACE("r4");
}

KIN_TEST(T38_a_writer_cancelled_after_it_was_given_the_lock_has_it)
{
    struct fixture f;

    begin(&f, "");
    CHECK_CODE(kin_rwlock_read(&f.lock), 0);
    f.user[0] = (struct user){ &f.lock, true, 1, 0, 99 };
    f.user[1] = (struct user){ &f.lock, false, 2, 0, 99 };
    kin_spawn(&f.group, use, &f.user[0], .task = &f.task[0]);
    kin_spawn(&f.group, use, &f.user[1]);
    settle();
    CHECK_CODE(kin_rwlock_unlock(&f.lock), 0);
    kin_cancel(&f.task[0], NULL);
    end(&f);
    CHECK_CODE(f.user[0].rc, 0);
    CHECK_TRACE("w1 r2");
}

/* All waiters are cancelled at once: the walk lets some in whose turn comes next. */
KIN_TEST(C2_all_waiters_cancelled_at_once)
{
    struct fixture f;

    begin(&f, "wrwrrw");
    kin_cancel(&f.group, NULL);
    end(&f);
    CHECK_TRACE("w1");
    for (int i = 1; i < 6; i++)
        CHECK_CODE(f.user[i].rc, KIN_ECANCELED);
}

KIN_TEST(T49_a_writer_that_locks_again_is_told)
{
    kin_rwlock lock = { 0 };

    CHECK_CODE(kin_rwlock_write(&lock), 0);
    CHECK_CODE(kin_rwlock_write(&lock), KIN_EDEADLK);
    CHECK_CODE(kin_rwlock_read(&lock), KIN_EDEADLK);
    CHECK_CODE(kin_rwlock_try_write(&lock), KIN_EDEADLK);
    CHECK_CODE(kin_rwlock_try_read(&lock), KIN_EDEADLK);
    CHECK_CODE(kin_rwlock_unlock(&lock), 0);
    CHECK_CODE(kin_rwlock_unlock(&lock), KIN_EOWNER);
}

KIN_TEST(S3_unlocking_another_s_write_lock_is_refused)
{
    struct fixture f;

    begin(&f, "w");
    CHECK_CODE(kin_rwlock_unlock(&f.lock), KIN_EOWNER);
    CHECK_INT(f.lock.writer, f.task[0].id);
    end(&f);
    CHECK_TRACE("w1");
}

KIN_TEST(S1_try_locks)
{
    kin_rwlock lock = { 0 };

    CHECK_CODE(kin_rwlock_try_read(&lock), 0);
    CHECK_CODE(kin_rwlock_try_read(&lock), 0);
    CHECK_CODE(kin_rwlock_try_write(&lock), KIN_EAGAIN);
    CHECK_CODE(kin_rwlock_unlock(&lock), 0);
    CHECK_CODE(kin_rwlock_unlock(&lock), 0);
    CHECK_CODE(kin_rwlock_try_write(&lock), 0);
    CHECK_INT(lock.writer, kin_task_id());
    CHECK_CODE(kin_rwlock_unlock(&lock), 0);
}

/* A reader that reads again behind a waiting writer: found as a deadlock, by name. */
static int read_twice(void *arg)
{
    kin_rwlock *lock = arg;

    CHECK_CODE(kin_rwlock_read(lock), 0);
    kin_sleep(KIN_S(1));
    int rc = kin_rwlock_read(lock);
    if (rc == 0)
        kin_rwlock_unlock(lock);
    kin_rwlock_unlock(lock);
    return rc;
}

KIN_TEST(Q3_a_deadlock_report_says_who_holds_an_rwlock)
{
    struct fixture f;

    begin(&f, "");
    f.user[0] = (struct user){ &f.lock, true, 1, 0, 99 };
    kin_spawn(&f.group, read_twice, &f.lock, .name = "twice");
    settle();
    kin_spawn(&f.group, use, &f.user[0], .name = "writer");
    CHECK_CODE(kin_group_close(&f.group, 0), KIN_ECANCELED);
    CHECK_HAS(test_reports(), "waits for: rwlock read, ");
    CHECK_HAS(test_reports(), "waits for: rwlock write, ");
    CHECK_REPORTED("held by 1 reader");
    CHECK_INT(f.lock.readers, 0);
}

KIN_TEST(S1_a_dump_says_who_writes)
{
    struct fixture f;
    char text[4096];
    FILE *out = fmemopen(text, sizeof text, "w");

    begin(&f, "wr");
    kin_dump(out);
    fclose(out);
    CHECK_HAS(text, "held by user[1]");
    end(&f);
    CHECK_TRACE("w1 r2");
}

static int read_in_a_run(void *arg)
{
    return kin_rwlock_read(arg);
}

static int refused_in_a_run(void *arg)
{
    CHECK_CODE(kin_rwlock_read(arg), KIN_EFOREIGN);
    CHECK_CODE(kin_rwlock_try_write(arg), KIN_EFOREIGN);
    CHECK_CODE(kin_rwlock_unlock(arg), KIN_EFOREIGN);
    return 0;
}

TEST(S3_an_rwlock_that_an_earlier_run_left_locked_is_refused)
{
    kin_rwlock lock = { 0 };

    CHECK_CODE(kin_rwlock_read(&lock), KIN_ENORUN);
    CHECK_CODE(kin_rwlock_unlock(&lock), KIN_ENORUN);
    CHECK_CODE(test_run(read_in_a_run, &lock), 0);
    CHECK_CODE(test_run(refused_in_a_run, &lock), 0);
}
