/* The harness behind tap.h: registration, a process per test, TAP on standard
 * output.
 *
 * The output of a test goes to an anonymous file rather than a pipe: nobody has
 * to read it meanwhile, a child that is killed loses nothing, and a grandchild
 * that survives does not keep the harness waiting. Success is reported by exit()
 * and so by the sanitizers' own end-of-process checks; failure and skip by
 * _exit() with the two statuses below.
 */
#include "tap.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_FAILED 99
#define EXIT_SKIPPED 77
#define SKIP_MARK "tap-skip: "

static struct tap_test *first_test;
static struct tap_test **last_test = &first_test;

void tap_register(struct tap_test *test)
{
    *last_test = test;
    last_test = &test->next;
}

/* Shared with the children, so that it outlives them. */
static struct note {
    char text[256];
} *note;

void tap_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(note->text, sizeof note->text, format, args);
    va_end(args);
}

static void make_note(void)
{
    note = mmap(NULL, sizeof *note, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (note == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
}

unsigned tap_scaled(unsigned seconds)
{
    const char *slow = getenv("TAP_SLOW");
    int factor = slow ? atoi(slow) : 1;

    return factor > 1 ? seconds * (unsigned)factor : seconds;
}

bool tap_instrumented(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    return true;
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    const char *preload = getenv("LD_PRELOAD");
    return preload && strstr(preload, "vgpreload");
}

/* ------------------------------------------------------------------ checks */

void tap_fail(const char *file, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    fflush(stderr);
    va_end(args);
    _exit(EXIT_FAILED);
}

void tap_skip(const char *reason)
{
    fprintf(stderr, SKIP_MARK "%s\n", reason);
    fflush(stderr);
    _exit(EXIT_SKIPPED);
}

void tap_check_int(const char *file, int line, const char *got_text, intmax_t got,
                   const char *wanted_text, intmax_t wanted)
{
    if (got != wanted)
        tap_fail(file, line, "CHECK_INT(%s, %s): got %jd, wanted %jd", got_text, wanted_text, got,
                 wanted);
}

void tap_check_str(const char *file, int line, const char *got_text, const char *got,
                   const char *wanted_text, const char *wanted)
{
    if (!got || strcmp(got, wanted) != 0)
        tap_fail(file, line, "CHECK_STR(%s, %s): got \"%s\", wanted \"%s\"", got_text, wanted_text,
                 got ? got : "(null)", wanted);
}

void tap_check_has(const char *file, int line, const char *name, const char *text,
                   const char *part)
{
    if (!text || !strstr(text, part))
        tap_fail(file, line, "CHECK_HAS(%s): no \"%s\" in:\n%s", name, part,
                 text ? text : "(null)");
}

/* --------------------------------------------------------------- processes */

static int output_file(void)
{
    int fd = memfd_create("tap-output", MFD_CLOEXEC);

    if (fd < 0) {
        perror("memfd_create");
        exit(1);
    }
    return fd;
}

static size_t read_output(int fd, char *buffer, size_t size)
{
    ssize_t length = pread(fd, buffer, size - 1, 0);

    buffer[length > 0 ? length : 0] = '\0';
    return length > 0 ? (size_t)length : 0;
}

static int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            perror("waitpid");
            exit(1);
        }
    }
    return status;
}

/* The child's side of a fork. In a group of its own, so that what it leaves
 * behind can be ended with it; and it ends when the harness is killed. */
static void become_child(int output, unsigned limit)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    alarm(tap_scaled(limit));
}

/* Forks; the child writes into the file and ends with fn. */
static int run_forked(int output, unsigned limit, void (*fn)(void *arg), void *arg)
{
    fflush(NULL);
    pid_t pid = fork();

    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0) {
        become_child(output, limit);
        fn(arg);
        exit(EXIT_SUCCESS);
    }
    int status = wait_for(pid);

    kill(-pid, SIGKILL);
    return status;
}

void tap_fork(struct tap_child *child, void (*fn)(void *arg), void *arg)
{
    int output = output_file();
    int status = run_forked(output, TAP_LIMIT, fn, arg);

    child->exited = WIFEXITED(status);
    child->killed = WIFSIGNALED(status);
    child->code = child->exited ? WEXITSTATUS(status) : WTERMSIG(status);
    child->length = read_output(output, child->output, sizeof child->output);
    close(output);
}

void tap_check_dies(const char *file, int line, int signal, const char *text,
                    void (*fn)(void *arg), void *arg)
{
    static struct tap_child child;

    tap_fork(&child, fn, arg);
    if (!child.killed || child.code != signal)
        tap_fail(file, line, "wanted death by signal %d, got %s %d with output:\n%s", signal,
                 child.killed ? "signal" : "exit status", child.code, child.output);
    tap_check_has(file, line, "output of the dead process", child.output, text);
}

void tap_check_prints(const char *file, int line, const char *text, void (*fn)(void *arg),
                      void *arg)
{
    static struct tap_child child;

    tap_fork(&child, fn, arg);
    if (!child.exited || child.code != 0)
        tap_fail(file, line, "wanted a good end, got %s %d with output:\n%s",
                 child.killed ? "signal" : "exit status", child.code, child.output);
    tap_check_has(file, line, "output of the process", child.output, text);
}

/* --------------------------------------------------------------------- TAP */

static void call_test(void *arg)
{
    const struct tap_test *test = arg;

    test->run();
}

static void print_comment(const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");

        printf("# %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* The reason of a skip is the last thing that the test wrote. */
static void print_skip(int number, const char *name, char *output)
{
    char *mark = strstr(output, SKIP_MARK);
    char *reason = mark ? mark + strlen(SKIP_MARK) : output;

    reason[strcspn(reason, "\n")] = '\0';
    printf("ok %d - %s # SKIP %s\n", number, name, reason);
}

/* One line for the test, and its output as comments; false if it failed. */
static bool report(int number, const struct tap_test *test, int status, char *output)
{
    bool passed = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;

    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED) {
        print_skip(number, test->name, output);
        return true;
    }
    printf("%s %d - %s\n", passed ? "ok" : "not ok", number, test->name);
    if (!passed || getenv("TAP_VERBOSE"))
        print_comment(output);
    if (!passed && note->text[0])
        printf("# at: %s\n", note->text);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf("# took more than %u s\n", tap_scaled(test->limit));
    else if (WIFSIGNALED(status))
        printf("# died by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (!passed && WEXITSTATUS(status) != EXIT_FAILED)
        printf("# exit status %d\n", WEXITSTATUS(status));
    return passed;
}

static bool run_test(int number, struct tap_test *test)
{
    static char output[256 * 1024];

    if (getenv("TAP_FORK") && strcmp(getenv("TAP_FORK"), "0") == 0) {
        test->run();
        printf("ok %d - %s\n", number, test->name);
        return true;
    }
    int fd = output_file();
    note->text[0] = '\0';
    int status = run_forked(fd, test->limit, call_test, test);

    read_output(fd, output, sizeof output);
    close(fd);
    bool passed = report(number, test, status, output);
    fflush(stdout);
    return passed;
}

static bool selected(const struct tap_test *test, int count, char **words)
{
    for (int i = 0; i < count; i++) {
        if (strstr(test->name, words[i]))
            return true;
    }
    return count == 0;
}

static int list_tests(void)
{
    for (const struct tap_test *test = first_test; test; test = test->next)
        puts(test->name);
    return 0;
}

int main(int argc, char **argv)
{
    int count = 0, number = 0, failed = 0;

    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list_tests();
    make_note();
    for (struct tap_test *test = first_test; test; test = test->next)
        count += selected(test, argc - 1, argv + 1);
    printf("1..%d\n", count);
    for (struct tap_test *test = first_test; test; test = test->next) {
        if (selected(test, argc - 1, argv + 1))
            failed += !run_test(++number, test);
    }
    return failed > 0;
}
