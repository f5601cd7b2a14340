/* Several runtimes at once, one a thread: nothing of theirs is shared, and what
 * belongs to one is refused by the others (S3). Run under ThreadSanitizer too. */
#include "kin.h"
#include "tap.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 4, TASKS = 200 };

struct work {
    kin_semaphore room;
    int done;
};

static int step(void *arg)
{
    struct work *work = arg;
    int rc = kin_semaphore_acquire(&work->room);

    if (rc < 0)
        return rc;
    rc = kin_yield();
    work->done++;
    kin_semaphore_release(&work->room);
    return rc;
}

static int busy(void *arg)
{
    struct work work = { .room = KIN_SEMAPHORE(3) };
    kin_group g = kin_group_open(.name = "busy");
    int rc = 0;

    for (int i = 0; i < TASKS && rc == 0; i++)
        rc = kin_spawn(&g, step, &work, .name = "step", .index = i + 1);
    rc = kin_group_close(&g, rc);
    kin_sleep(KIN_MS(1));
    *(int *)arg = work.done;
    return rc;
}

static void *run_busy(void *arg)
{
    return (void *)(intptr_t)kin_run(busy, arg);
}

TEST(S3_each_thread_has_a_runtime_of_its_own)
{
    pthread_t thread[THREADS];
    int done[THREADS] = { 0 };
    void *rc;

    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&thread[i], NULL, run_busy, &done[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(thread[i], &rc), 0);
        CHECK_INT((intptr_t)rc, 0);
        CHECK_INT(done[i], TASKS);
    }
}

/* The first thread has a task waiting on everything; the second touches it all. */
struct shared {
    pthread_barrier_t barrier;
    kin_semaphore semaphore;
    kin_event event;
    kin_queue queue;
    kin_group group;
    kin_task task;
};

static int wait_semaphore(void *arg)
{
    return kin_semaphore_acquire(&((struct shared *)arg)->semaphore);
}

static int wait_event(void *arg)
{
    return kin_event_wait(&((struct shared *)arg)->event);
}

static int wait_queue(void *arg)
{
    void *item;

    return kin_queue_get(&((struct shared *)arg)->queue, &item);
}

static int own(void *arg)
{
    struct shared *shared = arg;

    shared->group = kin_group_open();
    kin_spawn(&shared->group, wait_semaphore, shared, .task = &shared->task);
    kin_spawn(&shared->group, wait_event, shared);
    kin_spawn(&shared->group, wait_queue, shared);
    kin_yield();
    pthread_barrier_wait(&shared->barrier);     /* the other one looks now */
    pthread_barrier_wait(&shared->barrier);
    kin_semaphore_release(&shared->semaphore);
    kin_event_set(&shared->event);
    kin_queue_try_put(&shared->queue, NULL);
    return kin_group_close(&shared->group, 0);
}

static void *run_own(void *arg)
{
    return (void *)(intptr_t)kin_run(own, arg);
}

static void ignore(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static int touch(void *arg)
{
    struct shared *shared = arg;
    struct kin_scope_state state;
    void *item;

    CHECK_INT(kin_semaphore_acquire(&shared->semaphore), KIN_EFOREIGN);
    CHECK_INT(kin_semaphore_release(&shared->semaphore), KIN_EFOREIGN);
    CHECK_INT(kin_event_wait(&shared->event), KIN_EFOREIGN);
    kin_event_set(&shared->event);              /* wakes nobody of the other runtime */
    CHECK_INT(kin_queue_get(&shared->queue, &item), KIN_EFOREIGN);
    CHECK_INT(kin_queue_put(&shared->queue, NULL), KIN_EFOREIGN);
    CHECK(!shared->event.set);
    kin_queue_shutdown(&shared->queue);
    CHECK(!shared->queue.closed);
    CHECK_INT(kin_spawn(&shared->group, wait_event, shared), KIN_ESTALE);
    CHECK_INT(kin_cancel(&shared->group, NULL), KIN_ESTALE);
    CHECK_INT(kin_cancel(&shared->task, NULL), KIN_ESTALE);
    CHECK_INT(kin_group_close(&shared->group, 0), KIN_ESTALE);
    CHECK_INT(kin_group_look(&shared->group, &state), KIN_ESTALE);
    return 0;
}

TEST(S3_what_belongs_to_another_runtime_is_refused)
{
    static struct shared shared;
    pthread_t owner;
    void *rc;

    pthread_barrier_init(&shared.barrier, NULL, 2);
    CHECK_INT(pthread_create(&owner, NULL, run_own, &shared), 0);
    pthread_barrier_wait(&shared.barrier);
    CHECK_INT(kin_run(touch, &shared, .on_report = ignore), 0);
    pthread_barrier_wait(&shared.barrier);
    CHECK_INT(pthread_join(owner, &rc), 0);
    CHECK_INT((intptr_t)rc, 0);
}
