/* The threads that run jobs: one pool for the process, since threads are the process's.
 *
 * A thread takes the first job in line, runs it, wakes the run that it came from through the
 * job's remote, and looks for the next; after some idle seconds it ends. How many jobs there
 * may be at once is a matter of each run (thread.c), so that one cannot starve another, and
 * here a thread is made whenever a job finds none idle.
 *
 * A job owns all its memory and touches nothing of the run but its remote, which can be
 * asked whether the run is still there. So a run may end while jobs that it has abandoned
 * go on, and the process may end while they do: the threads are detached.
 *
 * The threads block all signals, so that a handler of the process never runs in a job, but
 * for the one that its caller wants it to be interrupted by.
 */
#include "io/thread.h"

#include <signal.h>
#include <time.h>

enum { IDLE_SECONDS = 5, STACK = 1024 * 1024 };

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pool_work = PTHREAD_COND_INITIALIZER;
static struct kin__job *first_job, *last_job;           /* in line */
static unsigned pool_threads, idle_threads, queued_jobs;

/* ----------------------------------------------------------------- the line */

static void line_add(struct kin__job *job)
{
    job->next = NULL;
    job->prev = last_job;
    if (last_job)
        last_job->next = job;
    else
        first_job = job;
    last_job = job;
    job->queued = true;
    queued_jobs++;
}

static void line_remove(struct kin__job *job)
{
    if (job->prev)
        job->prev->next = job->next;
    else
        first_job = job->next;
    if (job->next)
        job->next->prev = job->prev;
    else
        last_job = job->prev;
    job->queued = false;
    queued_jobs--;
}

/* ------------------------------------------------------- interrupting a system call */

static unsigned interruptible[NSIG];            /* running jobs that want it */
static struct sigaction disposition[NSIG];      /* before the first of them */

static void interrupted(int signal)
{
    (void)signal;
}

static const struct sigaction interrupting = { .sa_handler = interrupted };

/* Only a disposition that would kill is replaced, and without SA_RESTART. */
static void catch_signal(int signo)
{
    if (interruptible[signo]++ > 0)
        return;
    sigaction(signo, NULL, &disposition[signo]);
    if (!(disposition[signo].sa_flags & SA_SIGINFO) &&
        (disposition[signo].sa_handler == SIG_DFL || disposition[signo].sa_handler == SIG_IGN))
        sigaction(signo, &interrupting, NULL);
}

static void release_signal(int signo)
{
    if (--interruptible[signo] == 0)
        kin__os_signal_back(signo, &interrupting, &disposition[signo]);
}

static void allow_signal(int signo, int how)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, signo);
    pthread_sigmask(how, &set, NULL);
}

/* ------------------------------------------------------------------ the threads */

static void begin_job(struct kin__job *job)
{
    job->running = true;
    job->thread = pthread_self();
    if (job->signal)
        catch_signal(job->signal);
}

static void end_job(struct kin__job *job, int code)
{
    if (job->signal)
        release_signal(job->signal);
    job->code = code;
    job->running = false;
}

static void run_job(struct kin__job *job)
{
    bool abandoned;
    int code;

    if (job->signal)
        allow_signal(job->signal, SIG_UNBLOCK);
    code = job->fn(job->arg);
    if (job->signal)
        allow_signal(job->signal, SIG_BLOCK);
    pthread_mutex_lock(&pool_lock);
    end_job(job, code);
    abandoned = job->abandoned;
    pthread_mutex_unlock(&pool_lock);
    if (abandoned && job->drop)
        job->drop(job->arg);
    if (kin_remote_wake(&job->remote) < 0)
        kin__os_free(job);              /* its run has ended */
}

/* False: none came for so long that the thread may go. Called with the lock held. */
static bool await_job(void)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_SECONDS;
    idle_threads++;
    while (!first_job && rc == 0)
        rc = pthread_cond_timedwait(&pool_work, &pool_lock, &until);
    idle_threads--;
    return first_job != NULL;
}

static void *serve_jobs(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&pool_lock);
    while (first_job || await_job()) {
        struct kin__job *job = first_job;

        line_remove(job);
        begin_job(job);
        pthread_mutex_unlock(&pool_lock);
        run_job(job);
        pthread_mutex_lock(&pool_lock);
    }
    pool_threads--;
    pthread_mutex_unlock(&pool_lock);
    return NULL;
}

int kin__thread_start(void *(*fn)(void *arg), void *arg)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    int rc;

    if (kin__io_fails("thread", EAGAIN))
        return -errno;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, &attributes, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -rc;
}

/* --------------------------------------------------------------------- forks */

static void pool_fork_begin(void)
{
    pthread_mutex_lock(&pool_lock);
}

static void pool_fork_end(void)
{
    pthread_mutex_unlock(&pool_lock);
}

/* The child has none of the threads, and the jobs are its parent's. */
static void pool_forked(void)
{
    first_job = last_job = NULL;
    pool_threads = idle_threads = queued_jobs = 0;
    for (int i = 1; i < NSIG; i++)
        if (interruptible[i] > 0) {
            interruptible[i] = 1;
            release_signal(i);
        }
    pthread_cond_init(&pool_work, NULL);        /* waiters that are no more */
    pool_fork_end();
}

static int pool_hook_failed;

static void pool_hook_forks(void)
{
    pool_hook_failed = pthread_atfork(pool_fork_begin, pool_fork_end, pool_forked);
}

/* ------------------------------------------------------------- for the run's side */

int kin__pool_submit(struct kin__job *job)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int rc = 0;

    pthread_once(&once, pool_hook_forks);
    if (pool_hook_failed)
        return -ENOMEM;
    pthread_mutex_lock(&pool_lock);
    line_add(job);
    if (queued_jobs > idle_threads) {
        rc = kin__thread_start(serve_jobs, NULL);
        pool_threads += rc == 0;
    }
    if (rc < 0 && pool_threads > 0)
        rc = 0;                         /* it waits for one of those that there are */
    if (rc < 0)
        line_remove(job);
    pthread_mutex_unlock(&pool_lock);
    if (rc == 0)
        pthread_cond_signal(&pool_work);
    return rc;
}

bool kin__pool_withdraw(struct kin__job *job)
{
    bool was_queued;

    pthread_mutex_lock(&pool_lock);
    was_queued = job->queued;
    if (was_queued)
        line_remove(job);
    job->withdrawn = was_queued;
    pthread_mutex_unlock(&pool_lock);
    return was_queued;
}

bool kin__pool_abandon(struct kin__job *job)
{
    bool running;

    pthread_mutex_lock(&pool_lock);
    running = job->running;
    job->abandoned = running;
    pthread_mutex_unlock(&pool_lock);
    return running;
}

void kin__pool_signal(struct kin__job *job)
{
    pthread_mutex_lock(&pool_lock);
    if (job->running)
        pthread_kill(job->thread, job->signal);
    pthread_mutex_unlock(&pool_lock);
}
