/* Remotes: how other threads and signal handlers reach into a run (G13, S3).
 *
 * A call from outside notes what is asked in a line, the run's own record of the
 * remote, puts the line on the run's list of pending ones, unless it is there, and
 * writes to a pipe, the run's bell. That is all: atomic operations and one system
 * call, so it may happen anywhere, also in a handler that interrupts another such
 * call. The run watches the bell like any descriptor; when it rings, the run takes
 * the whole list, and does what was asked on its own thread. What comes before the
 * run has looked counts once: neither memory nor time grows with the number of calls.
 *
 * The caller's kin_remote holds no more than the way to the line, and a state: open
 * or not, and how many calls are inside. A call enters only while it is open. Closing
 * shuts it, waits until the last one is out, and then frees the line, so nobody can
 * be left behind with a pointer into a run that has gone. Calls inside never wait for
 * anything, so this takes no longer than their threads need to be scheduled. The
 * line is the run's, and not part of the kin_remote, so that a remote whose memory was
 * given up while it was open does no harm to the run itself.
 *
 * The bell is made with the first remote, and watched while one is open: a run that
 * can be reached from outside is not deadlocked. (An eventfd would do for less, but where
 * a ring has to ring an eventfd in turn, for a foreign loop, the kernel puts that off for
 * many milliseconds: it does not let one eventfd signal another.)
 */
#include "io/io.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* kin_remote.state */
enum { REMOTE_OPEN = 1, REMOTE_CALL = 2 };      /* the rest counts the calls inside */
/* line.asked */
enum { ASKED_WAKE = 1, ASKED_CANCEL = 2, ASKED_CALL = 4, ASKED_LISTED = 8 };

struct line {
    struct line *next, *prev;           /* of the bell's open ones */
    struct line *pending;               /* the next pending one, while ASKED_LISTED */
    struct bell *bell;
    kin_remote *remote;
    const char *why;                    /* of the first to cancel */
    struct kin__remote_call *calls;     /* the last to come first */
    uint32_t asked;
    /* touched only by the run, from here */
    bool woken;                         /* by a wake that found nobody waiting */
    bool on_stack;                      /* the remote does not outlive the run */
    void (*hook)(kin_remote *remote);   /* kin's own: called instead of waking a task */
    kin_group group;
    struct kin_wait_list waiters;
};

struct bell {
    struct kin_watch watch;             /* of the reading end */
    int rope;                           /* the writing end */
    unsigned forks;                     /* it is of the process that was made by so many */
    struct line *pending;               /* the last to come first */
    struct line *lines;
};

static const char bell_key;

/* ------------------------------------------------------- any thread, any handler */

static void go_out(kin_remote *remote)
{
    __atomic_fetch_sub(&remote->state, REMOTE_CALL, __ATOMIC_RELEASE);
}

/* In the child of a fork, the bell is still the parent's. */
static int come_in(kin_remote *remote)
{
    uint32_t state = __atomic_load_n(&remote->state, __ATOMIC_RELAXED);

    do {
        if (!(state & REMOTE_OPEN))
            return KIN_ESTALE;
    } while (!__atomic_compare_exchange_n(&remote->state, &state, state + REMOTE_CALL, true,
                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    if (kin__likely(((struct line *)remote->line)->bell->forks == kin__forks))
        return 0;
    go_out(remote);
    return KIN_EFORK;
}

/* Not write(): a thread that is cancelled there would never leave. Fails only if the
 * pipe is full, and then the bell is ringing. */
static void ring(const struct bell *bell)
{
    int kept = errno;

    syscall(SYS_write, bell->rope, "", (size_t)1);
    errno = kept;
}

static void make_pending(struct line *line)
{
    struct bell *bell = line->bell;
    struct line *first = __atomic_load_n(&bell->pending, __ATOMIC_RELAXED);

    do {
        line->pending = first;
    } while (!__atomic_compare_exchange_n(&bell->pending, &first, line, true, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
}

/* Whoever lists the line rings; the others know that it will be seen. */
static void ask(struct line *line, uint32_t what)
{
    if (__atomic_fetch_or(&line->asked, what | ASKED_LISTED, __ATOMIC_ACQ_REL) & ASKED_LISTED)
        return;
    make_pending(line);
    ring(line->bell);
}

int kin_remote_wake(kin_remote *remote)
{
    int rc = come_in(remote);

    if (rc < 0)
        return rc;
    ask(remote->line, ASKED_WAKE);
    go_out(remote);
    return 0;
}

static int ask_cancel(struct line *line, const char *why)
{
    const char *none = NULL;

    if (!line->group.state)
        return KIN_EINVAL;
    __atomic_compare_exchange_n(&line->why, &none, why ? why : "", false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
    ask(line, ASKED_CANCEL);
    return 0;
}

int kin_remote_cancel(kin_remote *remote, const char *why)
{
    int rc = come_in(remote);

    if (rc < 0)
        return rc;
    rc = ask_cancel(remote->line, why);
    go_out(remote);
    return rc;
}

static int ask_call(struct line *line, struct kin__remote_call *call)
{
    if (!line->group.state)
        return KIN_EINVAL;
    call->next = __atomic_load_n(&line->calls, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&line->calls, &call->next, call, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
        ;
    ask(line, ASKED_CALL);
    return 0;
}

int kin__remote_hand_over(kin_remote *remote, struct kin__remote_call *call)
{
    int rc = come_in(remote);

    if (rc < 0)
        return rc;
    if (kin__rt && kin__rt->run == remote->run)
        rc = KIN_EDEADLK;
    else
        rc = ask_call(remote->line, call);
    go_out(remote);
    return rc;
}

/* ------------------------------------------------------------------ in the run */

static void wake_one(struct line *line)
{
    struct kin_wait *wait = kin_wait_list_take(&line->waiters);

    if (wait)
        kin_wait_wake(wait, 0);
    else
        line->woken = true;
}

static void begin_calls(struct line *line)
{
    kin__remote_calls_begin(__atomic_exchange_n(&line->calls, NULL, __ATOMIC_ACQUIRE),
                            &line->group);
}

static void answer(struct line *line)
{
    uint32_t asked = __atomic_exchange_n(&line->asked, 0, __ATOMIC_ACQ_REL);
    struct kin__group *group = kin__group_find(kin__rt, &line->group);

    if ((asked & ASKED_CANCEL) && group)
        kin__cancel_because(kin__rt, group, KIN_BY_HAND, NULL, NULL,
                            __atomic_load_n(&line->why, __ATOMIC_RELAXED));
    if (asked & ASKED_CALL)
        begin_calls(line);
    if (!(asked & ASKED_WAKE))
        return;
    if (line->hook)
        line->hook(line->remote);       /* may close it */
    else
        wake_one(line);
}

/* All that are pending, the first to come first. */
static struct line *take_pending(struct bell *bell)
{
    struct line *line = __atomic_exchange_n(&bell->pending, NULL, __ATOMIC_ACQUIRE);
    struct line *first = NULL, *after;

    for (; line; line = after) {
        after = line->pending;
        line->pending = first;
        first = line;
    }
    return first;
}

/* Once answered, a line may be listed again at any moment. */
static void answer_all(struct bell *bell)
{
    struct line *next;

    for (struct line *line = take_pending(bell); line; line = next) {
        next = line->pending;
        answer(line);
    }
}

static void rung(struct kin_watch *watch, unsigned events)
{
    char strokes[256];

    (void)events;
    while (read(watch->fd, strokes, sizeof strokes) == sizeof strokes)
        ;
    answer_all(watch->arg);
}

/* From here on nobody comes in, and those inside have left. */
static void shut(kin_remote *remote)
{
    uint32_t state = __atomic_and_fetch(&remote->state, ~(uint32_t)REMOTE_OPEN, __ATOMIC_ACQUIRE);

    while (state) {
        sched_yield();
        state = __atomic_load_n(&remote->state, __ATOMIC_ACQUIRE);
    }
}

static void line_free(struct line *line)
{
    struct bell *bell = line->bell;

    if (line->prev)
        line->prev->next = line->next;
    else
        bell->lines = line->next;
    if (line->next)
        line->next->prev = line->prev;
    kin__os_free(line);
    if (!bell->lines)
        kin_watch_stop(&bell->watch);
}

/* ------------------------------------------------------------ the end of the run */

static void end_line(struct line *line)
{
    if (line->hook) {
        shut(line->remote);
        if (line->asked & ASKED_WAKE)
            line->hook(line->remote);
        line_free(line);
        return;
    }
    kin_report("misuse: a kin_remote was left open%s",
               line->on_stack ? ", and its memory is gone" : "");
    if (!line->on_stack)
        shut(line->remote);
    begin_calls(line);                  /* too late: they are refused */
    line_free(line);
}

static void bell_end(void *value)
{
    struct bell *bell = value;

    while (bell->lines)
        end_line(bell->lines);
    close(bell->watch.fd);
    close(bell->rope);
    kin__os_free(bell);
}

/* ------------------------------------------------------------- opening, closing */

static int bell_new(struct bell **out)
{
    struct bell *bell = kin__os_alloc(sizeof *bell);
    int fds[2], rc = -ENOMEM;

    if (!bell)
        return rc;
    if (kin__io_fails("bell", EMFILE) || pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0) {
        rc = -errno;
        goto no_fd;
    }
    bell->watch = (struct kin_watch){ .fd = fds[0], .ready = rung, .arg = bell };
    bell->rope = fds[1];
    bell->forks = kin__forks;
    rc = kin_run_local_set(&bell_key, bell, bell_end);
    if (rc < 0)
        goto no_local;
    *out = bell;
    return 0;

no_local:
    close(fds[0]);
    close(fds[1]);
no_fd:
    kin__os_free(bell);
    return rc;
}

static int bell_get(struct bell **bell)
{
    *bell = kin_run_local(&bell_key);
    return *bell ? 0 : bell_new(bell);
}

/* On the stack of the running task, or on main's: gone when the run ends. */
static bool lies_on_stack(struct kin__runtime *rt, const void *memory)
{
    const struct kin__task *task = rt->current;
    const char *at = memory, *low = task == &rt->host ? __builtin_frame_address(0) : rt->host.sp;

    if (at >= low && at < (const char *)rt->main_frame)
        return true;
    return task != &rt->host && kin__stack_holds(task->stack, memory);
}

static struct line *line_new(struct bell *bell, kin_remote *remote, const kin_group *group)
{
    struct line *line = kin__os_alloc(sizeof *line);

    if (!line)
        return NULL;
    line->bell = bell;
    line->remote = remote;
    line->on_stack = lies_on_stack(kin__rt, remote);
    if (group)
        line->group = *group;
    line->next = bell->lines;
    if (bell->lines)
        bell->lines->prev = line;
    bell->lines = line;
    return line;
}

static int open_line(kin_remote *remote, const kin_group *group, struct bell *bell)
{
    bool first = !bell->lines;
    struct line *line = line_new(bell, remote, group);
    int rc = line ? 0 : -ENOMEM;

    if (line && first) {
        rc = kin_watch_set(&bell->watch, KIN_READABLE);
        if (rc < 0)
            line_free(line);
    }
    if (rc < 0)
        return rc;
    remote->line = line;
    remote->run = kin__rt->run;
    __atomic_store_n(&remote->state, REMOTE_OPEN, __ATOMIC_RELEASE);
    return 0;
}

static bool is_open(const kin_remote *remote)
{
    return __atomic_load_n(&remote->state, __ATOMIC_ACQUIRE) & REMOTE_OPEN;
}

int kin_remote_open(kin_remote *remote, kin_group *group)
{
    struct bell *bell;
    int rc;

    if (!kin__rt)
        return kin__no_run();
    if (is_open(remote))
        return KIN_EBUSY;
    if (group && !kin__group_find(kin__rt, group))
        return KIN_ESTALE;
    if (!kin__io())
        return -ENOSYS;
    rc = bell_get(&bell);
    return rc < 0 ? rc : open_line(remote, group, bell);
}

int kin__remote_open_hook(kin_remote *remote, void (*hook)(kin_remote *remote))
{
    int rc = kin_remote_open(remote, NULL);

    if (rc == 0)
        ((struct line *)remote->line)->hook = hook;
    return rc;
}

/* What was asked before is still done. */
void kin_remote_close(kin_remote *remote)
{
    struct line *line;

    if (!is_open(remote) || kin__forked())
        return;
    if (!kin__rt || remote->run != kin__rt->run) {
        kin__misuse(NULL, "a kin_remote closed outside of its run");
        return;
    }
    line = remote->line;
    shut(remote);
    answer_all(line->bell);
    kin__wake_all(&line->waiters, KIN_ECLOSED);
    line_free(line);
}

/* --------------------------------------------------------------------- waiting */

static bool remote_abort(struct kin_wait *wait)
{
    struct line *line = wait->object;

    kin_wait_list_remove(&line->waiters, wait);
    return true;
}

static const struct kin_wait_ops remote_ops = { "remote", remote_abort, NULL };

int kin_remote_wait(kin_remote *remote)
{
    struct kin_wait wait;
    struct line *line;
    int rc = kin_wait_prepare(&wait, &remote_ops, NULL);

    if (rc < 0)
        return rc;
    if (!is_open(remote))
        return KIN_ECLOSED;
    if (remote->run != kin__rt->run)
        return KIN_EFOREIGN;
    line = remote->line;
    if (line->woken) {
        line->woken = false;
        return kin_wait_skip();
    }
    wait.object = line;
    kin_wait_list_add(&line->waiters, &wait);
    return kin_wait_park(&wait);
}
