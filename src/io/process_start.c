/* Starting a process: vfork and exec.
 *
 * A fork copies the page tables, which takes a tenth of a second where there are many stacks;
 * vfork copies nothing: until it executes something else, the child borrows the parent's
 * memory, and the parent stands still. So the child does nothing but system calls, and
 * puts its failure where the parent finds it. Signals are blocked around it, so that no
 * handler runs in borrowed memory. (posix_spawn does the same, but knows no credentials.)
 */
#include "io/process.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct plan {
    const char *const *argv;
    const struct kin_process_options *options;
    int fds[3];
    sigset_t mask;              /* of the child's program */
    volatile int error;         /* the child writes it, in memory that is ours, too */
};

/* What is ignored stays ignored, so that nohup works; but who ignores these two does it
 * for himself. */
static void reset_signals(void)
{
    struct sigaction action, usual = { .sa_handler = SIG_DFL };

    for (int number = 1; number < NSIG; number++) {
        if (sigaction(number, NULL, &action) < 0)
            continue;
        if ((action.sa_flags & SA_SIGINFO) || action.sa_handler != SIG_IGN ||
            number == SIGPIPE || number == SIGXFSZ)
            sigaction(number, &usual, NULL);
    }
}

/* First out of the way of each other, then to their places. */
static int place_descriptors(int fds[3])
{
    for (int i = 0; i < 3; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD, 3);
        if (fds[i] < 0)
            return -1;
    }
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            return -1;
    return 0;
}

static void close_others(void)
{
    long most;

    if (syscall(SYS_close_range, 3u, UINT_MAX, 0u) == 0)
        return;
    most = sysconf(_SC_OPEN_MAX);               /* kernels before 5.9 */
    for (long fd = 3; fd < most && fd <= INT_MAX; fd++)
        close((int)fd);
}

/* By system calls of the thread: the library's would change all threads of the parent. */
static int change_credentials(uid_t uid, gid_t gid)
{
    if (syscall(SYS_setgroups, (size_t)0, NULL) < 0 ||
        syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
        return -1;
    return 0;
}

static int prepare_child(struct plan *plan)
{
    const struct kin_process_options *options = plan->options;

    reset_signals();
    if (options->session ? setsid() < 0 : options->group && setpgid(0, 0) < 0)
        return -1;
    if (place_descriptors(plan->fds) < 0)
        return -1;
    close_others();
    if (options->dir && chdir(options->dir) < 0)
        return -1;
    return options->credentials ? change_credentials(options->uid, options->gid) : 0;
}

static __attribute__((noinline, noreturn)) void be_child(struct plan *plan)
{
    const char *const *env = plan->options->env;

    if (prepare_child(plan) == 0) {
        sigprocmask(SIG_SETMASK, &plan->mask, NULL);
        execvpe(plan->argv[0], (char *const *)(uintptr_t)plan->argv,
                env ? (char *const *)(uintptr_t)env : environ);
    }
    plan->error = errno;
    _exit(127);
}

pid_t kin__process_fork(const char *const argv[], const struct kin_process_options *options,
                        const int fds[3])
{
    struct plan plan = { .argv = argv, .options = options };
    sigset_t all, before;
    pid_t pid;

    memcpy(plan.fds, fds, sizeof plan.fds);
    sigemptyset(&plan.mask);
    sigfillset(&all);
    if (kin__io_fails("vfork", EAGAIN))
        return -errno;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = vfork();
    if (pid == 0)
        be_child(&plan);
    if (pid < 0)
        plan.error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (plan.error == 0)
        return pid;
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return -plan.error;
}
