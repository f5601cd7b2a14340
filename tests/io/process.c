/* Processes: starting, waiting, ending, talking (docs/semantics.md F3). */
#include "io_test.h"

#include "core/core.h"
#include "kin_os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SH(script) ((const char *const[]){ "sh", "-c", script, NULL })

static void no_children(void)
{
    CHECK(waitpid(-1, NULL, WNOHANG) < 0);
    CHECK_INT(errno, ECHILD);
}

IO_TEST(process_exit_code_and_signal)
{
    kin_process p;

    CHECK_CODE(kin_process_start(&p, SH("exit 7")), 0);
    CHECK_CODE(kin_process_wait(&p), 0);
    CHECK_CODE(kin_process_wait(&p), 0);
    CHECK_INT(p.exit_code, 7);
    CHECK_INT(p.signal, 0);
    CHECK_CODE(kin_process_signal(&p, SIGTERM), KIN_ESTALE);
    CHECK_CODE(kin_process_start(&p, SH("kill -9 $$")), 0);
    CHECK_CODE(kin_process_wait(&p), 0);
    CHECK_INT(p.exit_code, -1);
    CHECK_INT(p.signal, SIGKILL);
    CHECK_CODE(kin_process_end(&p, 0), 0);
    no_children();
}

IO_TEST(process_that_cannot_be_executed)
{
    static const char *const nothing[] = { NULL }, *const none[] = { "no-such-program-at-all", NULL },
                            *const directory[] = { "/", NULL };
    kin_process p;

    CHECK_CODE(kin_process_start(&p, nothing), KIN_EINVAL);
    CHECK_CODE(kin_process_start(&p, none, .out = KIN_PIPE), -ENOENT);
    CHECK_CODE(kin_process_start(&p, directory, .in = KIN_PIPE), -EACCES);
    CHECK_CODE(kin_process_start(&p, SH("true"), .dir = "/no/such/directory"), -ENOENT);
    CHECK_CODE(kin_process_start(&p, SH("true"), .in = 9999), -EBADF);
    CHECK_CODE(kin_process_start(&p, SH("true"), .out = -7), KIN_EINVAL);
    CHECK_CODE(kin_process_end(&p, 0), 0);
    no_children();
}

static struct kin_output run(const char *script, const struct kin_process_options *options,
                             const char *input)
{
    struct kin_output out = { .data = NULL };
    kin_process p;

    CHECK_CODE(kin_process_start_with(&p, SH(script), options), 0);
    CHECK_CODE(kin_process_communicate(&p, input, strlen(input), &out, NULL, 0), 0);
    CHECK_INT(p.exit_code, 0);
    return out;
}

#define CHECK_SAYS(script, wanted, input, ...)                                               \
    do {                                                                                     \
        struct kin_output out_ = run(script,                                                 \
            &(struct kin_process_options){ .out = KIN_PIPE, __VA_ARGS__ }, input);           \
        CHECK_STR(out_.data, wanted);                                                        \
        free(out_.data);                                                                     \
    } while (0)

IO_TEST(process_redirections_environment_directory)
{
    static const char *const env[] = { "WHO=kin", "PATH=/usr/bin:/bin", NULL };

    CHECK_SAYS("cat", "hello", "hello", .in = KIN_PIPE);
    CHECK_SAYS("cat; echo end", "end\n", "", .in = KIN_NULL);
    CHECK_SAYS("echo a; echo b >&2; echo c", "a\nb\nc\n", "", .err = KIN_TO_OUT);
    CHECK_SAYS("echo a; echo b >&2", "a\n", "", .err = KIN_NULL);
    CHECK_SAYS("echo $WHO-$HOME", "kin-\n", "", .env = env);
    CHECK_SAYS("pwd", "/\n", "", .dir = "/");
    CHECK_SAYS("test $(ps -o pgid= -p $$) = $$ && echo leader", "leader\n", "", .group = true);
    no_children();
}

/* T: nothing of the run's is inherited, signals are as usual. */
IO_TEST(process_inherits_no_descriptor_and_no_mask)
{
    int leak = dup(2), fds[2];
    sigset_t usr1, before;

    CHECK_CODE(kin_pipe(fds), 0);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, &before);
    CHECK_SAYS("for f in /proc/$$/fd/*; do test ${f##*/} -gt 2 && test ${f##*/} -ne 10 && "
               "test -e $f && echo ${f##*/}; done; exec grep SigBlk /proc/self/status",
               "SigBlk:\t0000000000000000\n", "", .in = KIN_NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(leak);
    close_both(fds);
}

IO_TEST(process_credentials)
{
    if (geteuid() != 0)
        SKIP("needs root");
    CHECK_SAYS("id -u; id -g; id -G", "65534\n65534\n65534\n", "", .credentials = true,
               .uid = 65534, .gid = 65534);
}

static int start_where_nothing_waits(void *arg)
{
    kin_process p;

    (void)arg;
    CHECK_CODE(kin_process_start(&p, SH("true")), -ENOSYS);
    return 0;
}

TEST(process_not_without_descriptors)
{
    CHECK_CODE(kin_run(start_where_nothing_waits, NULL, .backend = "virtual",
                       .virtual_clock = true), 0);
    no_children();
}

/* More than a pipe holds, both ways. */
IO_TEST(process_communicate_much)
{
    enum { SIZE = 3 << 20 };
    char *input = malloc(SIZE);
    struct kin_output out = { .data = NULL }, err = { .data = NULL };
    kin_process p;

    for (int i = 0; i < SIZE; i++)
        input[i] = (char)(i * 7 + i / 251);
    CHECK_CODE(kin_process_start(&p, SH("tee /dev/stderr"), .in = KIN_PIPE, .out = KIN_PIPE,
                                 .err = KIN_PIPE), 0);
    CHECK_CODE(kin_process_communicate(&p, input, SIZE, &out, &err, 0), 0);
    CHECK_INT(out.size, SIZE);
    CHECK_INT(err.size, SIZE);
    CHECK(memcmp(out.data, input, SIZE) == 0 && memcmp(err.data, input, SIZE) == 0);
    free(out.data);
    free(err.data);
    out = (struct kin_output){ .most = 1000 };
    CHECK_CODE(kin_process_start(&p, SH("yes"), .out = KIN_PIPE), 0);
    CHECK_CODE(kin_process_communicate(&p, NULL, 0, &out, NULL, 0), -EMSGSIZE);
    CHECK_INT(out.size, 1000);
    free(out.data);
    CHECK_CODE(kin_process_start(&p, SH("exec <&-; exit 3"), .in = KIN_PIPE), 0);
    CHECK_CODE(kin_process_communicate(&p, input, SIZE, NULL, NULL, 0), 0);
    CHECK_INT(p.exit_code, 3);          /* it did not want it */
    free(input);
    no_children();
}

/* -------------------------------------------------------------------- its end */

/* Says so when it is ready, so that the signal does not come too early. */
static void start_ready(kin_process *p, const char *script, bool group)
{
    char byte;

    CHECK_CODE(kin_process_start(p, SH(script), .out = KIN_PIPE, .group = group), 0);
    CHECK_INT(kin_read(p->out, &byte, 1), 1);
}

IO_TEST(process_end_terminates_then_kills)
{
    kin_process p;

    start_ready(&p, "trap 'exit 5' TERM; echo; while :; do sleep 0.01; done", false);
    CHECK_CODE(kin_process_end(&p, KIN_S(20)), 0);
    CHECK_INT(p.exit_code, 5);
    start_ready(&p, "trap '' TERM; echo; while :; do sleep 0.01; done", false);
    CHECK_CODE(kin_process_end(&p, KIN_MS(50)), 0);
    CHECK_INT(p.signal, SIGKILL);
    start_ready(&p, "echo; while :; do sleep 0.01; done", false);
    CHECK_CODE(kin_process_end(&p, 0), 0);
    CHECK_INT(p.signal, SIGKILL);
    CHECK_INT(p.out, -1);
    no_children();
}

/* The leader goes at once, and leaves one behind who ignores SIGTERM. */
IO_TEST(process_end_takes_the_group_along)
{
    char text[32] = { 0 };
    kin_process p;
    pid_t left;

    CHECK_CODE(kin_process_start(&p, SH("(trap '' TERM; sleep 1000) & echo $!; exec sleep 1000"),
                                 .out = KIN_PIPE, .group = true), 0);
    CHECK(kin_read(p.out, text, sizeof text - 1) > 0);
    left = (pid_t)atoi(text);
    CHECK(left > 0 && kill(left, 0) == 0);
    CHECK_CODE(kin_process_end(&p, KIN_S(20)), 0);
    CHECK_INT(p.signal, SIGTERM);
    for (int i = 0; i < 2000 && kill(left, 0) == 0; i++)
        kin_sleep(KIN_MS(1));           /* until init has reaped it */
}

static int talk(void *arg)
{
    struct kin_output *out = arg;
    kin_process p;
    int rc = kin_process_start(&p, SH("trap 'echo bye; exit 0' TERM; echo hi; "
                                      "while :; do sleep 0.01; done"), .out = KIN_PIPE);

    return rc < 0 ? rc : kin_process_communicate(&p, NULL, 0, out, NULL, KIN_S(20));
}

IO_TEST(process_cancelled_communication_ends_the_process)
{
    struct kin_output out = { .data = NULL };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, talk, &out, .task = &task);
    while (out.size < 3)
        kin_sleep(KIN_MS(1));
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_STR(out.data, "hi\n");
    free(out.data);
    no_children();
}

/* --------------------------------------------------------------- what cannot be had */

static const char *failing;

static bool fail_at(const char *site)
{
    return failing && strcmp(site, failing) == 0;
}

IO_TEST(process_nothing_is_left_of_one_that_cannot_be_had)
{
    static const char *const sites[] = { "pipe", "open", "vfork", "pidfd" };
    kin_process p;

    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        failing = sites[i];
        kin__os_fault = fail_at;
        CHECK(kin_process_start(&p, SH("sleep 1000"), .in = KIN_NULL, .out = KIN_PIPE) < 0);
        kin__os_fault = NULL;
        CHECK_CODE(kin_process_end(&p, 0), 0);
        no_children();
    }
}
