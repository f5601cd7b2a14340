/* A small test harness that speaks TAP.
 *
 *     TEST(G2_close_waits_for_all)
 *     {
 *         CHECK_INT(kin_run(...), 0);
 *     }
 *
 * A test registers itself, and runs in a process of its own with a time limit,
 * so that a crash, a hang or a leak is one "not ok" and the others still run.
 * A failed check ends that process at once with _exit(): it may be made on a
 * coroutine's stack, from where neither longjmp nor return would be right.
 * What the process wrote to its standard output and error is shown, as TAP
 * comments, when the test fails.
 *
 *     ./group                   all tests
 *     ./group G2 T16            those whose name contains one of the words
 *     ./group --list            names only
 *     TAP_FORK=0 gdb ./group    all in one process, for a debugger
 *     TAP_SLOW=10               multiplies the time limits (sanitizers, Valgrind)
 *     TAP_VERBOSE=1             shows the output of tests that pass, too
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Seconds that a test gets unless TEST_LIMIT says otherwise. */
#define TAP_LIMIT 20

struct tap_test {
    const char *name;
    void (*run)(void);
    unsigned limit;
    struct tap_test *next;
};

#define TEST(test) TEST_LIMIT(test, TAP_LIMIT)
#define TEST_LIMIT(test, seconds)                                                         \
    static void test(void);                                                               \
    __attribute__((constructor)) static void tap_register_##test(void)                    \
    {                                                                                     \
        static struct tap_test entry = { #test, test, (seconds), NULL };                  \
        tap_register(&entry);                                                             \
    }                                                                                     \
    static void test(void)

#define CHECK(condition)                                                                  \
    ((condition) ? (void)0 : tap_fail(__FILE__, __LINE__, "CHECK(%s)", #condition))
#define CHECK_INT(got, wanted)                                                            \
    tap_check_int(__FILE__, __LINE__, #got, (intmax_t)(got), #wanted, (intmax_t)(wanted))
#define CHECK_STR(got, wanted)                                                            \
    tap_check_str(__FILE__, __LINE__, #got, (got), #wanted, (wanted))
#define CHECK_HAS(text, part) tap_check_has(__FILE__, __LINE__, #text, (text), (part))
#define FAIL(...) tap_fail(__FILE__, __LINE__, __VA_ARGS__)

/* Remembers where the test is (a seed, a row): shown if it fails, crashes or hangs. */
void tap_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the test as skipped. */
#define SKIP(reason) tap_skip(reason)

/* Runs fn(arg) in a process of its own; how it ended and what it printed. */
struct tap_child {
    bool exited;            /* exit status in code */
    bool killed;            /* signal in code */
    int code;
    size_t length;
    char output[64 * 1024]; /* standard output and error, NUL-terminated, cut off */
};
void tap_fork(struct tap_child *child, void (*fn)(void *arg), void *arg);

/* The common cases of it: fn(arg) must die by the signal, having printed text;
 * or end well, having printed text. */
#define CHECK_DIES(signal, text, fn, arg) tap_check_dies(__FILE__, __LINE__, signal, text, fn, arg)
#define CHECK_PRINTS(text, fn, arg) tap_check_prints(__FILE__, __LINE__, text, fn, arg)

/* True under AddressSanitizer, ThreadSanitizer or Valgrind: sizes of stacks and
 * of memory mean nothing there. */
bool tap_instrumented(void);

/* For code outside of tests (servers, threads) that shares the limits: n
 * times TAP_SLOW. */
unsigned tap_scaled(unsigned seconds);

/* What the macros above call. */
void tap_register(struct tap_test *test);
void tap_fail(const char *file, int line, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
void tap_skip(const char *reason) __attribute__((noreturn));
void tap_check_int(const char *file, int line, const char *got_text, intmax_t got,
                   const char *wanted_text, intmax_t wanted);
void tap_check_str(const char *file, int line, const char *got_text, const char *got,
                   const char *wanted_text, const char *wanted);
void tap_check_has(const char *file, int line, const char *name, const char *text,
                   const char *part);
void tap_check_dies(const char *file, int line, int signal, const char *text,
                    void (*fn)(void *arg), void *arg);
void tap_check_prints(const char *file, int line, const char *text, void (*fn)(void *arg),
                      void *arg);

#endif
