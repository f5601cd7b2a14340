/* A run under a foreign event loop: somebody else's loop polls, and steps the run.
 *
 * The host task is whoever calls step, on the thread's own stack. Main is a task in the
 * host's one group, with a stack of its own, so that it can be left parked when step
 * returns. A step is the host yielding once: everybody who is runnable goes before it.
 * Between steps the thread is not in the run (kin__rt), so it may step others, or call
 * kin_run.
 *
 * What the loop polls is one epoll descriptor over two: the backend's, and a timerfd set
 * to the next timer. While tasks are runnable that timer lies in the past. So the
 * descriptor is readable whenever there is something to do, before the first step too,
 * and a loop that looks at nothing else stays right. The timer is set only when its time
 * changes. Under a virtual clock it is used for that alone: time jumps in step.
 */
#include "io/io.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static const int64_t AT_ONCE = 1;       /* a time of the monotonic clock that has passed */

struct kin_host {
    struct kin__runtime *run;
    pthread_t thread;
    unsigned forks;             /* as kin__forks was: it is of this process */
    bool inside;                /* in step or close */
    int epoll, timer;
    int64_t armed;              /* what the timer is set to */
    kin_group group;            /* of main alone */
    kin_task main;
};

/* -------------------------------------------------------------- the descriptor */

static void set_timer(struct kin_host *host, int64_t when)
{
    struct itimerspec at = { .it_value = { 0, 0 } };

    if (when == host->armed)
        return;
    if (when != KIN_FOREVER)
        at.it_value = (struct timespec){ when / KIN_S(1), when % KIN_S(1) };
    timerfd_settime(host->timer, TFD_TIMER_ABSTIME, &at, NULL);
    host->armed = when;
}

static int poll_too(const struct kin_host *host, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };

    if (fd < 0)
        return fd;
    if (kin__io_fails("host_epoll_ctl", ENOMEM))
        return -errno;
    return epoll_ctl(host->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int polled_open(struct kin_host *host)
{
    int rc;

    host->epoll = kin__io_fails("host_epoll", EMFILE) ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (host->epoll < 0)
        return -errno;
    host->timer = kin__io_fails("timerfd", EMFILE)
                      ? -1 : timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (host->timer < 0)
        return -errno;
    set_timer(host, AT_ONCE);
    rc = poll_too(host, host->timer);
    if (rc < 0 || !kin__io())
        return rc;
    return poll_too(host, kin__io_backend()->descriptor(host->run));
}

static void polled_close(struct kin_host *host)
{
    if (host->timer >= 0)
        close(host->timer);
    if (host->epoll >= 0)
        close(host->epoll);
}

int kin_host_fd(const kin_host *host)
{
    return host->epoll;
}

/* --------------------------------------------------------------------- opening */

static int spawn_main(struct kin_host *host, int (*fn)(void *arg), void *arg, const char *at)
{
    struct kin_group_options group = { .at = at, .name = "host", .policy = KIN_KEEP_GOING };
    struct kin_spawn_options task = { .at = at, .fn = fn, .arg = arg, .name = "main",
                                      .task = &host->main, .group = &host->group };
    int rc;

    host->run->host.base.name = "host";
    host->group = kin_group_open_with(&group);
    rc = kin_spawn_with(&task);
    if (rc < 0)
        kin_group_close(&host->group, 0);
    return rc;
}

/* The thread is in the run then. */
static int host_open(struct kin_host *host, int (*fn)(void *arg), void *arg,
                     const struct kin_run_options *options)
{
    int rc = kin__run_begin(options);

    if (rc < 0)
        return rc;
    host->run = kin__rt;
    rc = polled_open(host);
    if (rc == 0)
        rc = spawn_main(host, fn, arg, options->at);
    if (rc < 0)
        kin__run_end(host->run);
    return rc;
}

int kin_host_open_with(kin_host **out, int (*fn)(void *arg), void *arg,
                       const struct kin_run_options *options)
{
    struct kin__runtime *outer = kin__rt;
    struct kin_host *host;
    int rc;

    *out = NULL;
    if (!fn)
        return KIN_EINVAL;
    host = kin__os_alloc(sizeof *host);
    if (!host)
        return -ENOMEM;
    host->thread = pthread_self();
    host->forks = kin__forks;
    host->epoll = host->timer = -1;
    host->armed = KIN_FOREVER;
    kin__rt = NULL;
    rc = host_open(host, fn, arg, options);
    kin__rt = outer;
    if (rc < 0) {
        polled_close(host);
        kin__os_free(host);
        return rc;
    }
    *out = host;
    return 0;
}

/* -------------------------------------------------------------------- stepping */

static int host_refuses(const struct kin_host *host)
{
    if (host->forks != kin__forks)
        return KIN_EFORK;
    if (!pthread_equal(host->thread, pthread_self()))
        return KIN_EFOREIGN;
    return host->inside ? KIN_EDEADLK : 0;
}

static bool main_ended(const struct kin_host *host)
{
    return host->main.status != KIN_PENDING;
}

static int host_step(struct kin_host *host)
{
    struct kin__runtime *rt = host->run;
    bool more;

    kin__step(rt);
    if (main_ended(host))
        return KIN_ESTALE;
    more = kin__step_settle(rt);
    if (more)
        set_timer(host, AT_ONCE);
    else
        set_timer(host, rt->virtual_clock ? KIN_FOREVER : kin__timers_next(rt, false));
    return more;
}

int kin_host_step(kin_host *host)
{
    struct kin__runtime *outer = kin__rt;
    int rc = host_refuses(host);

    if (rc < 0)
        return rc;
    if (main_ended(host))
        return KIN_ESTALE;
    host->inside = host->run->stepped = true;
    kin__rt = host->run;
    rc = host_step(host);
    kin__rt = outer;
    host->inside = host->run->stepped = false;
    return rc;
}

/* --------------------------------------------------------------------- closing */

/* That main gave up because it was told to is no failure to tell anybody of. */
static bool host_failed(const struct kin_host *host)
{
    const kin_task *task = &host->main;

    return task->code < 0 &&
           !(task->status == KIN_CANCELLED && task->reason.kind == KIN_BY_SHUTDOWN);
}

static void host_end(struct kin_host *host)
{
    struct kin__runtime *rt = host->run;
    struct kin__group *group = kin__group_find(rt, &host->group);
    const kin_error *error;

    kin__host_resumes(rt);
    if (!main_ended(host))
        kin__cancel_because(rt, group, KIN_BY_SHUTDOWN, NULL, NULL, NULL);
    kin__group_join(rt, group);
    error = group->errors.first;        /* main's own; below, it hangs in the group's tree */
    kin_group_close(&host->group, 0);
    if (host_failed(host))
        kin__run_failed(rt, host->main.code, error);
    kin__error_drop(rt, &rt->host);
    kin__run_end(rt);
}

int kin_host_close(kin_host *host)
{
    struct kin__runtime *outer = kin__rt;
    int rc = host_refuses(host);

    if (rc < 0)
        return rc;
    host->inside = true;
    kin__rt = host->run;
    host_end(host);
    kin__rt = outer;
    rc = host->main.code;
    polled_close(host);
    kin__os_free(host);
    return rc;
}
