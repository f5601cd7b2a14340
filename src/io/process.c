/* Processes: what becomes of one that was started.
 *
 * Its end is a descriptor that turns readable (a pidfd), so waiting for it is waiting for a
 * descriptor, and a signal never meets another process that has got the same number. A
 * process that has ended is reaped by the first wait that sees it.
 *
 * To end one is no cancellation point: who is being cancelled must still wait for the
 * process to be gone.
 */
#include "io/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { OUTPUT_FIRST = 4096 };

/* ----------------------------------------------------------------- descriptors */

/* The child's ends, and ours. */
struct ends {
    int child[3], ours[3];
    bool opened[3];             /* the child's end is ours to be closed */
};

static int open_end(struct ends *ends, int number, int wish)
{
    int pipe[2], rc;

    if (wish == KIN_PIPE) {
        rc = kin_pipe(pipe);
        if (rc < 0)
            return rc;
        ends->child[number] = pipe[number == 0 ? 0 : 1];
        ends->ours[number] = pipe[number == 0 ? 1 : 0];
        /* the child's program expects to be made to wait */
        fcntl(ends->child[number], F_SETFL, fcntl(ends->child[number], F_GETFL) & ~O_NONBLOCK);
    } else if (wish == KIN_NULL) {
        ends->child[number] = kin__io_fails("open", EMFILE) ? -1
                                                            : open("/dev/null", O_RDWR | O_CLOEXEC);
        if (ends->child[number] < 0)
            return -errno;
    } else {
        ends->child[number] = wish == 0 ? number : wish;
        return wish < 0 ? KIN_EINVAL : 0;
    }
    ends->opened[number] = true;
    return 0;
}

static void close_child_ends(struct ends *ends)
{
    for (int i = 0; i < 3; i++)
        if (ends->opened[i])
            kin_close(ends->child[i]);
}

static void close_all_ends(struct ends *ends)
{
    close_child_ends(ends);
    for (int i = 0; i < 3; i++)
        if (ends->ours[i] >= 0)
            kin_close(ends->ours[i]);
}

static int open_ends(struct ends *ends, const struct kin_process_options *options)
{
    int rc;

    *ends = (struct ends){ .ours = { -1, -1, -1 } };
    rc = open_end(ends, 0, options->in);
    if (rc == 0)
        rc = open_end(ends, 1, options->out);
    if (rc == 0 && options->err == KIN_TO_OUT)
        ends->child[2] = ends->child[1];
    else if (rc == 0)
        rc = open_end(ends, 2, options->err);
    if (rc < 0)
        close_all_ends(ends);
    return rc;
}

/* -------------------------------------------------------------------- starting */

/* The process is there, but nothing to wait for it with: it is ended at once. */
static int give_up(pid_t pid)
{
    int error = errno;

    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return -error;
}

static int start_process(kin_process *process, const char *const argv[],
                 const struct kin_process_options *options, const struct ends *ends)
{
    pid_t pid = kin__process_fork(argv, options, ends->child);
    int fd;

    if (pid < 0)
        return pid;
    fd = kin__io_fails("pidfd", EMFILE) ? -1 : (int)syscall(SYS_pidfd_open, pid, 0u);
    if (fd < 0)
        return give_up(pid);
    *process = (kin_process){ .pid = pid, .pidfd = fd, .group = options->group || options->session,
                              .in = ends->ours[0], .out = ends->ours[1], .err = ends->ours[2] };
    return 0;
}

int kin_process_start_with(kin_process *process, const char *const argv[],
                           const struct kin_process_options *options)
{
    struct ends ends;
    int rc;

    *process = (kin_process){ .pidfd = -1, .in = -1, .out = -1, .err = -1, .ended = true };
    if (!kin__rt)
        return kin__no_run();
    if (!argv || !argv[0])
        return KIN_EINVAL;
    if (!kin__io())
        return -ENOSYS;                         /* nothing could wait for it */
    rc = open_ends(&ends, options);
    if (rc < 0)
        return rc;
    rc = start_process(process, argv, options, &ends);
    if (rc < 0)
        close_all_ends(&ends);
    else
        close_child_ends(&ends);
    return rc;
}

/* ---------------------------------------------------------------------- its end */

static int reap_process(kin_process *process)
{
    siginfo_t info = { .si_pid = 0 };
    int rc;

    do
        rc = kin__io_fails("waitid", EIO)
                 ? -1 : waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return -errno;
    if (info.si_pid == 0)
        return -EAGAIN;
    process->ended = true;
    process->exit_code = info.si_code == CLD_EXITED ? info.si_status : -1;
    process->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    close(process->pidfd);
    process->pidfd = -1;
    return 0;
}

int kin_process_wait(kin_process *process)
{
    int rc = kin_check();

    while (rc == 0 && !process->ended) {
        rc = kin_wait_fd(process->pidfd, KIN_READABLE);
        if (rc > 0)
            rc = reap_process(process);
        if (rc == -EAGAIN)
            rc = 0;
    }
    return rc;
}

int kin_process_signal(kin_process *process, int signal)
{
    long rc;

    if (process->ended)
        return KIN_ESTALE;
    rc = process->group ? kill(-process->pid, signal)
                        : syscall(SYS_pidfd_send_signal, process->pidfd, signal, NULL, 0u);
    return rc < 0 ? -errno : 0;
}

static void close_pipes(kin_process *process)
{
    int *ends[] = { &process->in, &process->out, &process->err };

    for (int i = 0; i < 3; i++) {
        if (*ends[i] >= 0)
            kin_close(*ends[i]);
        *ends[i] = -1;
    }
}

/* Not reaped: as long as it is not, its number, and its group's, are nobody else's. */
static void await_end(kin_process *process, int64_t time)
{
    kin_scope s = kin_scope_open(.timeout = time);

    kin_scope_close(&s, kin_wait_fd(process->pidfd, KIN_READABLE));
}

/* The rest of a group is killed also where its leader has ended. */
static int end_behind_shield(kin_process *process, int64_t grace)
{
    if (grace > 0) {
        kin_process_signal(process, SIGTERM);
        await_end(process, grace);
    }
    kin_process_signal(process, SIGKILL);
    return kin_process_wait(process);
}

int kin_process_end(kin_process *process, int64_t grace)
{
    int rc = 0;

    close_pipes(process);
    if (!process->ended) {
        kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
        rc = end_behind_shield(process, grace);
        rc = kin_scope_close(&s, rc);
    }
    return rc;
}

/* ------------------------------------------------------------------- communicate */

struct feed {
    kin_process *process;
    const void *input;
    size_t size;
};

/* A process that does not want all of its input is its own business. */
static int feed_in(void *arg)
{
    struct feed *feed = arg;
    int rc = feed->size ? kin_write_all(feed->process->in, feed->input, feed->size, NULL) : 0;

    kin_close(feed->process->in);
    feed->process->in = -1;
    return rc == -EPIPE ? 0 : rc;
}

struct collect {
    int fd;
    struct kin_output *output;
};

static int grow_output(struct kin_output *output, size_t *room)
{
    size_t more = *room ? *room * 2 : OUTPUT_FIRST;
    char *data = kin__io_fails("realloc", ENOMEM) ? NULL : realloc(output->data, more + 1);

    if (!data)
        return -ENOMEM;
    output->data = data;
    *room = more;
    return 0;
}

static int collect_out(void *arg)
{
    struct collect *collect = arg;
    struct kin_output *output = collect->output;
    size_t most = output->most ? output->most : KIN__WHOLE_MOST, room = 0;
    ssize_t n = 1;

    while (n > 0) {
        if (output->size == room && grow_output(output, &room) < 0)
            return -ENOMEM;
        n = kin_read(collect->fd, output->data + output->size, room - output->size);
        if (n > 0)
            output->size += (size_t)n;
        if (output->size > most)
            n = -EMSGSIZE;
    }
    output->size = output->size > most ? most : output->size;
    if (output->data)
        output->data[output->size] = '\0';
    return (int)n;
}

static int exchange(struct feed *feed, struct collect collect[2])
{
    kin_process *process = feed->process;
    kin_group g = kin_group_open(.name = "communicate");

    if (process->in >= 0)
        kin_spawn(&g, feed_in, feed, .name = "in");
    for (int i = 0; i < 2; i++)
        if (collect[i].fd >= 0 && collect[i].output)
            kin_spawn(&g, collect_out, &collect[i], .name = i == 0 ? "out" : "err");
    return kin_group_close(&g, 0);
}

int kin_process_communicate(kin_process *process, const void *input, size_t size,
                            struct kin_output *out, struct kin_output *err, int64_t grace)
{
    struct feed feed = { process, input, size };
    struct collect collect[2] = { { process->out, out }, { process->err, err } };
    int rc, end;

    rc = exchange(&feed, collect);
    if (rc == 0)
        rc = kin_process_wait(process);
    end = kin_process_end(process, rc == 0 ? 0 : grace);
    return rc < 0 ? rc : end;
}
