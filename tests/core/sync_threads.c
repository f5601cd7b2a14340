/* What is used in one thread's run is refused in another's (docs/semantics.md S3, T64):
 * the first thread holds everything and has a task waiting on it; the second touches
 * it all, and changes nothing. Run under ThreadSanitizer too. */
#include "kin_test.h"

#include <pthread.h>

static struct {
    pthread_barrier_t meeting;
    kin_mutex mutex, given_up;
    kin_condition condition;
    kin_rwlock read, write;
    kin_once once;
    kin_barrier barrier;
    kin_limiter limiter;
    kin_queue queue, selected;
    void *slot[1];
    kin_event go_on;
} shared;

static int wait_mutex(void *arg)
{
    int rc = kin_mutex_lock(&shared.mutex);

    (void)arg;
    return rc < 0 ? rc : kin_mutex_unlock(&shared.mutex);
}

static int wait_condition(void *arg)
{
    int rc;

    (void)arg;
    KIN_LOCKED(rc, &shared.given_up)
        rc = kin_condition_wait(&shared.condition, &shared.given_up);
    return rc;
}

static int wait_write(void *arg)
{
    kin_rwlock *lock = arg;
    int rc = kin_rwlock_write(lock);

    return rc < 0 ? rc : kin_rwlock_unlock(lock);
}

static int wait_event(void *arg)
{
    return kin_event_wait(arg);
}

static int wait_once(void *arg)
{
    (void)arg;
    return kin_once_run(&shared.once, wait_event, &shared.go_on);
}

static int wait_barrier(void *arg)
{
    int rc = kin_barrier_wait(arg);

    return rc < 0 ? rc : 0;
}

static int wait_limiter(void *arg)
{
    return kin_limiter_acquire(arg);
}

static int wait_join(void *arg)
{
    return kin_queue_join(arg);
}

static int wait_select(void *arg)
{
    kin_case one = { .queue = arg };
    int rc = kin_select(&one, 1);

    return rc < 0 ? rc : one.code;
}

static void spawn_waiters(kin_group *g)
{
    kin_spawn(g, wait_mutex, NULL);
    kin_spawn(g, wait_condition, NULL);
    kin_spawn(g, wait_write, &shared.read);
    kin_spawn(g, wait_write, &shared.write);
    kin_spawn(g, wait_once, NULL);
    kin_spawn(g, wait_barrier, &shared.barrier);
    kin_spawn(g, wait_limiter, &shared.limiter);
    kin_spawn(g, wait_join, &shared.queue);
    kin_spawn(g, wait_select, &shared.selected);
}

static int own(void *arg)
{
    kin_group g = kin_group_open();

    (void)arg;
    CHECK_CODE(kin_mutex_lock(&shared.mutex), 0);
    CHECK_CODE(kin_rwlock_read(&shared.read), 0);
    CHECK_CODE(kin_rwlock_write(&shared.write), 0);
    CHECK_CODE(kin_limiter_acquire(&shared.limiter), 0);
    CHECK_CODE(kin_queue_put(&shared.queue, NULL), 0);
    spawn_waiters(&g);
    kin_yield();
    pthread_barrier_wait(&shared.meeting);      /* the other one looks now */
    pthread_barrier_wait(&shared.meeting);
    CHECK_CODE(kin_mutex_unlock(&shared.mutex), 0);
    CHECK_CODE(kin_rwlock_unlock(&shared.read), 0);
    CHECK_CODE(kin_rwlock_unlock(&shared.write), 0);
    kin_condition_notify_all(&shared.condition);
    kin_event_set(&shared.go_on);
    CHECK_CODE(kin_barrier_wait(&shared.barrier), 1);
    CHECK_CODE(kin_queue_done(&shared.queue), 0);
    CHECK_CODE(kin_queue_put(&shared.selected, NULL), 0);
    return kin_group_close(&g, 0);
}

static void *run_own(void *arg)
{
    return (void *)(intptr_t)kin_run(own, arg, .virtual_clock = true, .backend = test_backend());
}

static void touch_locks(void)
{
    CHECK_CODE(kin_mutex_lock(&shared.mutex), KIN_EFOREIGN);
    CHECK_CODE(kin_mutex_try_lock(&shared.mutex), KIN_EFOREIGN);
    CHECK_CODE(kin_mutex_unlock(&shared.mutex), KIN_EFOREIGN);
    CHECK_CODE(kin_rwlock_read(&shared.read), KIN_EFOREIGN);
    CHECK_CODE(kin_rwlock_try_write(&shared.write), KIN_EFOREIGN);
    CHECK_CODE(kin_rwlock_unlock(&shared.read), KIN_EFOREIGN);
    CHECK_CODE(kin_rwlock_unlock(&shared.write), KIN_EFOREIGN);
    CHECK_CODE(kin_once_run(&shared.once, nothing, NULL), KIN_EFOREIGN);
    CHECK_CODE(kin_limiter_acquire(&shared.limiter), KIN_EFOREIGN);
    CHECK_CODE(kin_limiter_try_acquire(&shared.limiter), KIN_EFOREIGN);
}

static void touch_condition(void)
{
    kin_mutex mine = { 0 };

    CHECK_CODE(kin_mutex_lock(&mine), 0);
    CHECK_CODE(kin_condition_wait(&shared.condition, &mine), KIN_EFOREIGN);
    CHECK_INT(mine.owner, kin_task_id());
    CHECK_CODE(kin_mutex_unlock(&mine), 0);
    kin_condition_notify_all(&shared.condition);
    CHECK_REPORTED("a condition notified outside of its waiters' runtime");
}

static void touch_barrier(void)
{
    CHECK_CODE(kin_barrier_wait(&shared.barrier), KIN_EFOREIGN);
    kin_barrier_break(&shared.barrier);
    CHECK_REPORTED("a barrier broken or reset outside of its waiters' runtime");
    kin_barrier_reset(&shared.barrier);
    CHECK_REPORTED("a barrier broken or reset outside of its waiters' runtime");
    CHECK(!shared.barrier.broken);
    CHECK_INT(shared.barrier.waiting, 1);
}

static void touch_queues(void)
{
    kin_case mine[2] = { { .queue = &shared.selected, .put = true }, { .queue = NULL } };

    CHECK_CODE(kin_queue_join(&shared.queue), KIN_EFOREIGN);
    CHECK_CODE(kin_queue_done(&shared.queue), KIN_EFOREIGN);
    CHECK_CODE(kin_select(mine, 2), KIN_EFOREIGN);
    CHECK_CODE(kin_try_select(mine, 2), KIN_EFOREIGN);
    kin_queue_shutdown_now(&shared.queue);
    CHECK_REPORTED("a queue shut down outside of its waiters' runtime");
    kin_queue_shutdown_now(&shared.selected);
    CHECK_REPORTED("a queue shut down outside of its waiters' runtime");
    CHECK(!shared.queue.closed && !shared.selected.closed);
    CHECK_INT(shared.queue.count, 1);
}

static int touch(void *arg)
{
    (void)arg;
    touch_locks();
    touch_condition();
    touch_barrier();
    touch_queues();
    return 0;
}

TEST(S3_T64_what_waits_in_another_thread_s_run_is_refused)
{
    pthread_t owner;
    void *rc;

    shared.barrier.parties = 2;
    shared.limiter.interval = KIN_MS(1);
    shared.queue = (kin_queue)KIN_QUEUE(shared.slot);
    pthread_barrier_init(&shared.meeting, NULL, 2);
    CHECK_INT(pthread_create(&owner, NULL, run_own, NULL), 0);
    pthread_barrier_wait(&shared.meeting);
    CHECK_CODE(test_run(touch, NULL), 0);
    pthread_barrier_wait(&shared.meeting);
    CHECK_INT(pthread_join(owner, &rc), 0);
    CHECK_CODE((intptr_t)rc, 0);
}
