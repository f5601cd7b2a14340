/* Shared by the tests of the core: a root task on the virtual clock around each
 * test, tasks that do what most tests need, and checks that print codes by name.
 *
 * KIN_TEST(name) { … } runs its body as the root task. When it ends, no task may
 * be left, and every report (misuse, errors that nobody could reach) must have
 * been taken with CHECK_REPORTED: a report that was not asked for is a failure.
 */
#ifndef KIN_TEST_H
#define KIN_TEST_H

#include "kin.h"
#include "tap.h"

#include <errno.h>
#include <string.h>

#define KIN_TEST(name) KIN_TEST_LIMIT(name, TAP_LIMIT)
#define KIN_TEST_LIMIT(name, seconds)                                                     \
    static void name##_body(void);                                                        \
    TEST_LIMIT(name, seconds)                                                             \
    {                                                                                     \
        test_body(name##_body);                                                           \
    }                                                                                     \
    static void name##_body(void)

/* The same on the real clock, with the backend that KIN_BACKEND names. */
#define KIN_TEST_REAL(name)                                                               \
    static void name##_body(void);                                                        \
    TEST(name)                                                                            \
    {                                                                                     \
        test_body_real(name##_body);                                                      \
    }                                                                                     \
    static void name##_body(void)

void test_body(void (*body)(void));
void test_body_real(void (*body)(void));

/* The backend of all tests: KIN_BACKEND, or the one without descriptors. */
const char *test_backend(void);

/* Runs fn(arg) on the virtual clock, noting reports; what kin_run returned. */
int test_run(int (*fn)(void *arg), void *arg);

/* ------------------------------------------------------------------ checks */

#define CHECK_CODE(got, wanted) test_check_code(__FILE__, __LINE__, #got, (got), (wanted))
void test_check_code(const char *file, int line, const char *text, int64_t got, int64_t wanted);

/* Some report says text; takes all reports. */
#define CHECK_REPORTED(text) test_check_reported(__FILE__, __LINE__, text)
void test_check_reported(const char *file, int line, const char *text);
const char *test_reports(void);     /* all lines since the last CHECK_REPORTED */
void drop_reports(void);            /* for misuse whose report is another test's matter */

/* Order of events: trace("a"); trace("b%d", 1); CHECK_TRACE("a b1"), which clears. */
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define CHECK_TRACE(wanted) test_check_trace(__FILE__, __LINE__, wanted)
void test_check_trace(const char *file, int line, const char *wanted);

/* The text that kin_error_print gives. Valid until the next call. */
const char *test_error_text(const kin_error *tree);

/* ------------------------------------------------------------------- tasks */

/* What most tasks of these tests do: sleep, note what happened, return. */
struct act {
    int64_t sleep;          /* how long to sleep */
    int result;             /* what to return if the sleep succeeded */
    int ran;                /* how often it was started */
    int woke;               /* what the sleep returned */
    int64_t at;             /* when it ended */
    bool saw;               /* it was cancelled when it ended */
    kin_reason why;         /* by whom */
};
int act(void *arg);             /* a cancelled sleep ends it with the sleep's code */
int act_stubborn(void *arg);    /* sleeps under a shield, and returns result */
int act_cleanup(void *arg);     /* waits to be cancelled, then is act_stubborn */
int act_anyway(void *arg);      /* returns result whatever the sleep returned */

/* Returns 0, at once. */
int nothing(void *arg);
/* Returns *(int *)arg, at once. */
int give(void *arg);

/* Lets every other task run until none can go on without time passing. */
void settle(void);

#endif
