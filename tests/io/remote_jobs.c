/* Remotes as asyncio's run_coroutine_threadsafe and Trio's TrioToken are used: threads
 * that give a run work to do. */
#include "remote_test.h"

/* --------------------------------------------------------------------- asyncio */

/* A job for the run, handed over by a thread: the list and the outcome are behind a mutex,
 * the remote tells the run that there is something in it. */
struct job {
    struct job *next;
    int (*fn)(void *arg);
    kin_task *task;             /* the run's: it is written after the job is done */
    int code;
    bool done;
};

static struct office {
    kin_remote remote;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct job *first;
    bool refuse, over;
} office = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void finish_job(struct job *job, int code)
{
    pthread_mutex_lock(&office.mutex);
    job->code = code;
    job->done = true;
    pthread_cond_broadcast(&office.changed);
    pthread_mutex_unlock(&office.mutex);
}

static int do_job(void *arg)
{
    struct job *job = arg;
    int rc = job->fn(job);

    finish_job(job, rc);
    return rc;
}

static struct job *next_job(bool *over)
{
    struct job *job;

    pthread_mutex_lock(&office.mutex);
    job = office.first;
    if (job)
        office.first = job->next;
    *over = office.over;
    pthread_mutex_unlock(&office.mutex);
    return job;
}

static void serve(kin_group *g)
{
    static kin_task task[8];
    struct job *job;
    bool over = false;
    int jobs = 0;

    while (!over) {
        CHECK_CODE(kin_remote_wait(&office.remote), 0);
        while ((job = next_job(&over))) {
            job->task = &task[jobs++ % 8];
            int rc = kin_spawn(g, do_job, job, .task = job->task, .name = "job",
                               .timeout = office.refuse ? -1 : 0, .optional = true);

            if (rc < 0)
                finish_job(job, rc);
        }
    }
}

static void submit_job(struct job *job)
{
    pthread_mutex_lock(&office.mutex);
    job->next = office.first;
    office.first = job;
    pthread_mutex_unlock(&office.mutex);
    CHECK_CODE(kin_remote_wake(&office.remote), 0);
}

static int await_job(struct job *job)
{
    pthread_mutex_lock(&office.mutex);
    while (!job->done)
        pthread_cond_wait(&office.changed, &office.mutex);
    pthread_mutex_unlock(&office.mutex);
    return job->code;
}

static void close_office(void)
{
    pthread_mutex_lock(&office.mutex);
    office.over = true;
    pthread_mutex_unlock(&office.mutex);
    CHECK_CODE(kin_remote_wake(&office.remote), 0);
}

/* Runs the thread beside a run that serves its jobs. */
static void with_office(void *(*thread_fn)(void *arg))
{
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    CHECK_CODE(kin_remote_open(&office.remote, &g), 0);
    pthread_t thread = begin_thread(thread_fn, NULL);
    serve(&g);
    CHECK_INT(pthread_join(thread, NULL), 0);
    kin_group_close(&g, 0);
    kin_remote_close(&office.remote);
}

static int give_three(void *arg)
{
    (void)arg;
    return kin_sleep(KIN_MS(1)) < 0 ? -EIO : 3;
}

static int fail_plainly(void *arg)
{
    (void)arg;
    return -EIO;
}

static int within_a_limit(void *arg)
{
    kin_scope s = kin_scope_open(.timeout = KIN_MS(2));

    (void)arg;
    return kin_scope_close(&s, kin_sleep(KIN_S(100)));
}

static int cancel_itself(void *arg)
{
    struct job *job = arg;

    CHECK_CODE(kin_cancel(job->task, "itself"), 0);
    return kin_sleep(KIN_S(100));
}

static bool sleeping;

static int sleep_long(void *arg)
{
    (void)arg;
    __atomic_store_n(&sleeping, true, __ATOMIC_RELEASE);
    return kin_sleep(KIN_S(100));
}

static void *submit_one_of_each(void *arg)
{
    struct { int (*fn)(void *arg); int code; } const row[] = {
        { give_three, 3 }, { fail_plainly, -EIO }, { within_a_limit, KIN_ETIMEDOUT },
        { cancel_itself, KIN_ECANCELED },
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct job job = { .fn = row[i].fn };

        submit_job(&job);
        CHECK_CODE(await_job(&job), row[i].code);
    }
    close_office();
    return arg;
}

REMOTE_TEST(run_coroutine_threadsafe)
{
    with_office(submit_one_of_each);
}

static void *submit_refused(void *arg)
{
    struct job job = { .fn = give_three };

    submit_job(&job);
    CHECK_CODE(await_job(&job), KIN_ETIMEDOUT);
    close_office();
    return arg;
}

REMOTE_TEST(run_coroutine_threadsafe_task_factory_exception)
{
    office.refuse = true;
    with_office(submit_refused);
}

static void *submit_and_cancel(void *arg)
{
    struct job job = { .fn = sleep_long };

    submit_job(&job);
    while (!__atomic_load_n(&sleeping, __ATOMIC_ACQUIRE))
        sleep_ms(1);
    CHECK_CODE(kin_remote_cancel(&office.remote, "changed my mind"), 0);
    CHECK_CODE(await_job(&job), KIN_ECANCELED);
    return arg;
}

REMOTE_TEST(run_coroutine_threadsafe_cancelled_by_the_thread)
{
    kin_group g = kin_group_open();
    struct job *job = NULL;
    bool over;

    CHECK_CODE(kin_remote_open(&office.remote, &g), 0);
    pthread_t thread = begin_thread(submit_and_cancel, NULL);
    while (!job) {
        CHECK_CODE(kin_remote_wait(&office.remote), 0);
        job = next_job(&over);
    }
    CHECK_CODE(kin_spawn(&g, do_job, job), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    kin_remote_close(&office.remote);
}

/* ------------------------------------------------------------------------ Trio */

/* Trio's run_sync_soon: what is asked from outside, in which order, and how late. */
enum { MANY = 1000 };

static kin_remote many[MANY];
static int order[MANY], ended;

static int note_order(void *arg)
{
    int rc = kin_remote_wait(arg);

    order[ended++] = (int)((kin_remote *)arg - many);
    return rc;
}

static void *wake_many(void *arg)
{
    for (int i = 0; i < MANY; i++)
        CHECK_CODE(kin_remote_wake(&many[i]), 0);
    return arg;
}

/* One remote is asked for at most once at a time; different ones in the order of asking. */
REMOTE_TEST(TrioToken_run_sync_soon_massive_queue)
{
    kin_group g = kin_group_open();

    for (int i = 0; i < MANY; i++)
        CHECK_CODE(kin_remote_open(&many[i], NULL), 0);
    for (int i = 0; i < MANY; i++)
        kin_spawn(&g, note_order, &many[MANY - 1 - i]);     /* parked in another order */
    CHECK_CODE(kin_yield(), 0);
    CHECK_INT(pthread_join(begin_thread(wake_many, NULL), NULL), 0);
    CHECK_INT(ended, 0);                                    /* the run has not looked yet */
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < MANY; i++) {
        CHECK_INT(order[i], i);
        kin_remote_close(&many[i]);
    }
}

static int close_soon(void *remote)
{
    int rc = kin_remote_open(remote, NULL);

    kin_remote_close(remote);
    return rc;
}

TEST(TrioToken_run_sync_soon_too_late)
{
    static kin_remote remote;

    CHECK_CODE(kin_run(close_soon, &remote), 0);
    CHECK_CODE(kin_remote_wake(&remote), KIN_ESTALE);
    CHECK_CODE(kin_remote_cancel(&remote, "too late"), KIN_ESTALE);
    CHECK_CODE(kin_run(close_soon, &remote), 0);
}

static int ask_again(void *arg)
{
    kin_remote *remote = arg;

    for (int i = 0; i < 100; i++) {
        CHECK_CODE(kin_remote_wait(remote), 0);
        CHECK_CODE(kin_remote_wake(remote), 0);
    }
    return 0;
}

/* Asked for again by whoever is served. */
REMOTE_TEST(TrioToken_run_sync_soon_requeue)
{
    kin_remote remote = { 0 };
    kin_group g = kin_group_open();

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    kin_spawn(&g, ask_again, &remote);
    CHECK_CODE(kin_remote_wake(&remote), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    kin_remote_close(&remote);
}

static void *wake_now(void *remote)
{
    CHECK_CODE(kin_remote_wake(remote), 0);
    return NULL;
}

static int crash(void *arg)
{
    int rc = kin_remote_open(arg, NULL);

    pthread_t thread = begin_thread(wake_now, arg);
    CHECK_INT(pthread_join(thread, NULL), 0);
    kin_remote_close(arg);
    return rc < 0 ? rc : -EIO;
}

TEST(TrioToken_run_sync_soon_after_main_crash)
{
    static kin_remote remote;

    CHECK_CODE(kin_run(crash, &remote), -EIO);
    CHECK_CODE(kin_remote_wake(&remote), KIN_ESTALE);
}

static kin_remote stormed;
static bool calm;

static void *storm(void *arg)
{
    while (!__atomic_load_n(&calm, __ATOMIC_RELAXED))
        CHECK_CODE(kin_remote_wake(&stormed), 0);
    return arg;
}

static int yield_often(void *arg)
{
    for (int i = 0; i < 5000; i++)
        CHECK_CODE(kin_yield(), 0);
    *(bool *)arg = true;
    return 0;
}

/* Threads that never cease to call do not starve the tasks, nor timers. */
REMOTE_TEST(TrioToken_run_sync_soon_starvation_resistance)
{
    pthread_t thread[CALLERS];
    bool done = false;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_remote_open(&stormed, NULL), 0);
    for (int i = 0; i < CALLERS; i++)
        thread[i] = begin_thread(storm, NULL);
    kin_spawn(&g, yield_often, &done);
    while (!done)
        CHECK_CODE(kin_remote_wait(&stormed), 0);
    CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    __atomic_store_n(&calm, true, __ATOMIC_RELAXED);
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(pthread_join(thread[i], NULL), 0);
    kin_remote_close(&stormed);
}

enum { STRESS = 20000 };
static unsigned said;

static void *say_often(void *remote)
{
    for (int i = 0; i < STRESS; i++) {
        __atomic_fetch_add(&said, 1, __ATOMIC_RELAXED);
        CHECK_CODE(kin_remote_wake(remote), 0);
    }
    return NULL;
}

/* After the last call of each thread somebody is woken: nothing is lost. */
REMOTE_TEST(TrioToken_run_sync_soon_threaded_stress_test)
{
    pthread_t thread[CALLERS];
    kin_remote remote = { 0 };
    unsigned heard = 0;

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    for (int i = 0; i < CALLERS; i++)
        thread[i] = begin_thread(say_often, &remote);
    while (heard < CALLERS * STRESS) {
        CHECK_CODE(kin_remote_wait(&remote), 0);
        heard = __atomic_load_n(&said, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(pthread_join(thread[i], NULL), 0);
    kin_remote_close(&remote);
}
