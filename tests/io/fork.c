/* The child of a fork (docs/semantics.md F3). A child answers by its exit status: the number of
 * the first line that was wrong, or 0. */
#include "remote_test.h"

#include "kin_ext.h"
#include "kin_io.h"
#include "kin_os.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(condition)                \
    do {                               \
        if (!(condition))              \
            _exit(__LINE__ % 250 + 1); \
    } while (0)
#define SAYS_FORK(call) MUST((call) == KIN_EFORK)

/* The wait blocks the thread: what is tested is the child. */
static int status_of(pid_t child)
{
    int status = -1;

    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static kin_remote remote;
static int pipe_fds[2];

static void call_everything(kin_group *group, kin_task *task)
{
    static kin_mutex mutex;
    static kin_event event;
    static kin_once once;
    kin_queue queue = { .capacity = 0 };
    kin_scope scope = kin_scope_open();
    kin_signals signals = { .wanted = 0 };
    kin_process process;
    kin_address *addresses;
    const char *const argv[] = { "true", NULL };
    const int number = SIGUSR1;
    struct kin_facts facts;
    kin_host *host;
    char byte;

    SAYS_FORK(kin_sleep(0));
    SAYS_FORK(kin_yield());
    SAYS_FORK(kin_check());
    SAYS_FORK(kin_spawn(group, nothing, NULL));
    SAYS_FORK(kin_start(group, nothing, NULL));
    SAYS_FORK(kin_ready(0));
    SAYS_FORK(kin_wait_tasks(&task, 1, KIN_ALL_COMPLETED));
    SAYS_FORK(kin_next(group, &task));
    SAYS_FORK(kin_within(KIN_S(1), nothing, NULL));
    SAYS_FORK(kin_mutex_lock(&mutex));
    SAYS_FORK(kin_event_wait(&event));
    SAYS_FORK(kin_once_run(&once, nothing, NULL));
    SAYS_FORK(kin_queue_put(&queue, &byte));
    SAYS_FORK(kin_read(pipe_fds[0], &byte, 1));
    SAYS_FORK(kin_write_all(pipe_fds[1], "x", 1, NULL));
    SAYS_FORK(kin_wait_fd(pipe_fds[0], KIN_READABLE));
    SAYS_FORK(kin_remote_wake(&remote));
    SAYS_FORK(kin_remote_cancel(&remote, ""));
    SAYS_FORK(kin_remote_wait(&remote));
    SAYS_FORK(kin_thread_run(nothing, NULL));
    SAYS_FORK(kin_resolve("127.0.0.1", "80", &addresses));
    SAYS_FORK(kin_connect_host("127.0.0.1", "80"));
    SAYS_FORK(kin_process_start(&process, argv));
    SAYS_FORK(kin_signals_open(&signals, &number, 1));
    SAYS_FORK(kin_end_on_signals());
    SAYS_FORK(kin_system_spawn(nothing, NULL, "helper"));
    SAYS_FORK(kin_facts(&facts));
    SAYS_FORK(kin_scope_close(&scope, 0));
    SAYS_FORK(kin_group_close(group, 0));
    SAYS_FORK(kin_run(nothing, NULL));
    SAYS_FORK(kin_host_open(&host, nothing, NULL));
    kin_remote_close(&remote);
    _exit(0);
}

static int fork_in_a_task(void *arg)
{
    kin_group g = kin_group_open();
    kin_task task;
    pid_t child;

    (void)arg;
    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    CHECK_CODE(kin_spawn(&g, nothing, NULL, .task = &task), 0);
    child = fork();
    if (child == 0)
        call_everything(&g, &task);
    CHECK_INT(status_of(child), 0);
    kin_remote_close(&remote);
    return kin_group_close(&g, 0);
}

REMOTE_TEST(F3_every_call_in_the_child_of_a_task_says_so)
{
    char byte;

    CHECK_CODE(kin_pipe(pipe_fds), 0);
    CHECK_CODE(kin_within(KIN_S(10), fork_in_a_task, NULL), 0);
    CHECK_CODE(kin_write_all(pipe_fds[1], "y", 1, NULL), 0);    /* and the run goes on */
    CHECK_CODE(kin_read(pipe_fds[0], &byte, 1), 1);
    CHECK_INT(byte, 'y');
    CHECK_CODE(kin_close(pipe_fds[0]), 0);
    CHECK_CODE(kin_close(pipe_fds[1]), 0);
}

static pid_t forked;

static int fork_and_return(void *arg)
{
    bool *waited = arg;

    if (waited)
        CHECK_CODE(kin_yield(), 0);         /* on a stack of its own, then */
    forked = fork();
    return 0;
}

REMOTE_TEST(F3_a_task_that_comes_back_in_the_child_ends_it)
{
    for (int waits = 0; waits < 2; waits++) {
        kin_group g = kin_group_open();
        bool waited = true;
        pid_t self = getpid();

        CHECK_CODE(kin_spawn(&g, fork_and_return, waits ? &waited : NULL), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_INT(getpid(), self);
        CHECK_INT(status_of(forked), 1);
    }
}

TEST(F3_kin_run_returns_in_the_child_of_main)
{
    pid_t self = getpid();
    int before = open_descriptors(), rc = kin_run(fork_and_return, NULL);

    if (getpid() != self) {
        MUST(rc == KIN_EFORK);
        MUST(kin_run(nothing, NULL) == KIN_EFORK);
        _exit(0);
    }
    CHECK_CODE(rc, 0);
    CHECK_INT(status_of(forked), 0);
    CHECK_INT(open_descriptors(), before);
}

static int use_a_thread(void *arg)
{
    (void)arg;
    return kin_thread_run(nothing, NULL);
}

TEST(F3_the_child_of_a_fork_outside_may_run)
{
    pid_t child;

    CHECK_CODE(kin_run(use_a_thread, NULL), 0);     /* one is idle then, but not in the child */
    child = fork();
    if (child == 0) {
        alarm(10);
        MUST(kin_run(use_a_thread, NULL) == 0);
        _exit(0);
    }
    CHECK_INT(status_of(child), 0);
}

static int with_signals(void *arg)
{
    const int number = SIGUSR1;
    kin_signals signals = { .wanted = 0 };
    struct sigaction now;
    pid_t child;

    (void)arg;
    CHECK_CODE(kin_signals_open(&signals, &number, 1), 0);
    child = fork();
    if (child == 0) {
        sigaction(SIGUSR1, NULL, &now);
        MUST(now.sa_handler == SIG_DFL);
        _exit(0);
    }
    CHECK_INT(status_of(child), 0);
    raise(SIGUSR1);                                 /* the parent still has them */
    CHECK_CODE(kin_signals_wait(&signals), SIGUSR1);
    kin_signals_close(&signals);
    return 0;
}

TEST(F3_signals_do_in_the_child_what_they_did_before)
{
    CHECK_CODE(kin_run(with_signals, NULL), 0);
}

static int wait_for_remote(void *arg)
{
    (void)arg;
    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    CHECK_CODE(kin_remote_wait(&remote), 0);
    kin_remote_close(&remote);
    return 0;
}

TEST(F3_hosts_and_remotes_belong_to_the_parent)
{
    kin_host *host;
    pid_t child;

    CHECK_CODE(kin_host_open(&host, wait_for_remote, NULL), 0);
    while (kin_host_step(host) > 0)
        ;
    child = fork();
    if (child == 0) {
        SAYS_FORK(kin_host_step(host));
        SAYS_FORK(kin_host_close(host));
        SAYS_FORK(kin_remote_wake(&remote));
        MUST(kin_run(nothing, NULL) == 0);          /* the fork was outside of a run */
        _exit(0);
    }
    CHECK_INT(status_of(child), 0);
    CHECK_CODE(kin_host_step(host), 0);             /* the child has woken nobody */
    CHECK_CODE(kin_remote_wake(&remote), 0);
    while (kin_host_step(host) >= 0)
        ;
    CHECK_CODE(kin_host_close(host), 0);
}
