/* kin_thread_run: a job on a thread, seen from the run.
 *
 * The task parks until the job's remote is woken. What a cancellation does depends on the
 * end that the caller wants. A job still in line is withdrawn: nothing has happened. Else:
 * to wait means that the request to give up is refused, to abandon that the task goes on
 * and the job is left to the hook, and to signal that the task goes on, but only to send
 * the signal and to wait, again and again, until the job has ended: a signal that comes just
 * before the job enters a system call does not interrupt it.
 *
 * A job that has ended before its caller was cancelled is never abandoned: its wake-up is
 * on its way, and brings the result.
 */
#include "io/thread.h"

#include <signal.h>

enum { JOBS = 40, RESEND_MS = 10 };

static const char room_key;

/* The run's room for jobs; NULL without memory. */
static kin_semaphore *room_of_run(void)
{
    kin_semaphore *room = kin_run_local(&room_key);

    if (room)
        return room;
    room = kin__os_alloc(sizeof *room);
    if (!room)
        return NULL;
    *room = (kin_semaphore)KIN_SEMAPHORE(JOBS);
    if (kin_run_local_set(&room_key, room, kin__os_free) == 0)
        return room;
    kin__os_free(room);
    return NULL;
}

/* ----------------------------------------------------------------- the hook */

static void forget(struct kin__job *job)
{
    kin_semaphore *room = kin_run_local(&room_key);

    kin_remote_close(&job->remote);
    kin__os_free(job);
    if (room)                           /* not while the run ends */
        kin_semaphore_release(room);
}

/* The waiter may be on the run queue already: for the signal to be sent again. */
static void job_ended(kin_remote *remote)
{
    struct kin__job *job = kin__container(remote, struct kin__job, remote);
    struct kin_wait *waiter = job->waiter;

    job->ended = true;
    if (!waiter)
        forget(job);
    else if (((struct kin__task *)waiter->task)->wait == waiter)
        kin_wait_wake(waiter, 0);
}

/* ----------------------------------------------------------------- the wait */

static bool wait_abort(struct kin_wait *wait)
{
    return kin__pool_withdraw(wait->object);
}

/* From then on the job may be freed at any moment. */
static bool abandon_abort(struct kin_wait *wait)
{
    struct kin__job *job = wait->object;

    if (kin__pool_withdraw(job))
        return true;
    if (!kin__pool_abandon(job))
        return false;
    job->waiter = NULL;
    wait->object = NULL;
    return true;
}

static bool signal_abort(struct kin_wait *wait)
{
    kin__pool_withdraw(wait->object);
    return true;
}

static const struct kin_wait_ops ops[] = {
    [KIN_THREAD_WAIT] = { "thread", wait_abort, NULL },
    [KIN_THREAD_ABANDON] = { "thread", abandon_abort, NULL },
    [KIN_THREAD_SIGNAL] = { "thread", signal_abort, NULL },
};

static const struct kin_wait_ops signalled = { "thread that was sent a signal", NULL, NULL };

static void interrupt(struct kin__job *job)
{
    struct kin__runtime *rt = kin__rt;
    struct kin__timer *timer = &rt->current->sleep;
    struct kin_wait wait;

    while (!job->ended) {
        kin__pool_signal(job);
        kin__wait_init(&wait, &signalled, job);
        job->waiter = &wait;
        kin__timer_arm(rt, timer, KIN_MS(RESEND_MS));
        kin_wait_park(&wait);
        kin__timer_disarm(rt, timer);
    }
    if (job->code == -EINTR)
        job->code = KIN_ECANCELED;
}

/* Until the job has ended, never begins, or is somebody else's. */
static int follow(struct kin__job *job, kin_thread_end end, bool *ran, bool *left)
{
    struct kin_wait wait;
    int rc;

    kin__wait_init(&wait, &ops[end], job);
    job->waiter = &wait;
    rc = kin_wait_park(&wait);
    *left = !wait.object;
    if (*left)
        return rc;
    if (rc < 0 && !job->withdrawn)
        interrupt(job);
    *ran = job->ended;
    if (*ran)
        rc = job->code;
    forget(job);
    return rc;
}

/* ------------------------------------------------------------------- the call */

static int launch(struct kin__job *job)
{
    int rc = kin__remote_open_hook(&job->remote, job_ended);

    if (rc < 0)
        return rc;
    rc = kin__pool_submit(job);
    if (rc < 0)
        kin_remote_close(&job->remote);
    return rc;
}

static struct kin__job *job_new(int (*fn)(void *arg), void *arg,
                                const struct kin_thread_options *options)
{
    struct kin__job *job = kin__os_alloc(sizeof *job);

    if (!job)
        return NULL;
    job->fn = fn;
    job->arg = arg;
    job->drop = options->drop;
    job->signal = options->end == KIN_THREAD_SIGNAL ? options->signal : 0;
    return job;
}

static int make_and_launch(int (*fn)(void *arg), void *arg,
                           const struct kin_thread_options *options, struct kin__job **job)
{
    kin_semaphore *room = kin__rt ? room_of_run() : NULL;
    int rc = room ? kin_semaphore_acquire(room) : kin__rt ? -ENOMEM : kin__no_run();

    if (rc < 0)
        return rc;
    *job = job_new(fn, arg, options);
    rc = *job ? launch(*job) : -ENOMEM;
    if (rc == 0)
        return 0;
    kin__os_free(*job);
    kin_semaphore_release(room);
    return rc;
}

static bool valid(int (*fn)(void *arg), const struct kin_thread_options *options)
{
    if (!fn || (unsigned)options->end > KIN_THREAD_SIGNAL)
        return false;
    return options->end != KIN_THREAD_SIGNAL || (options->signal > 0 && options->signal < NSIG);
}

int kin_thread_run_with(int (*fn)(void *arg), void *arg, const struct kin_thread_options *options)
{
    struct kin__job *job;
    bool ran = false, left = false;
    int rc = valid(fn, options) ? make_and_launch(fn, arg, options, &job) : KIN_EINVAL;

    if (rc == 0)
        rc = follow(job, options->end, &ran, &left);
    if (!ran && !left && options->end == KIN_THREAD_ABANDON && options->drop)
        options->drop(arg);
    if (options->ran)
        *options->ran = ran;
    return rc;
}

/* ------------------------------------------------------------- blocking sections */

void kin_blocking_begin(void)
{
    struct kin__runtime *rt = kin__rt;

    if (rt && rt->outside > 0)
        rt->backend->poll(rt, 0);
}

void kin_blocking_end(void)
{
    if (kin__rt)
        kin__rt->turn_began = kin__clock(kin__rt);
}
