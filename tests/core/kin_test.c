/* The helpers of kin_test.h. */
#include "kin_test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char reports[64 * 1024];
static char traced[16 * 1024];

static void note_report(const char *line, void *arg)
{
    size_t used = strlen(reports);

    (void)arg;
    snprintf(reports + used, sizeof reports - used, "%s\n", line);
}

static uint64_t live_tasks(void)
{
    struct kin_facts facts;

    CHECK_CODE(kin_facts(&facts), 0);
    return facts.tasks;
}

static int root(void *arg)
{
    void (**body)(void) = arg;
    uint64_t before = live_tasks();

    (*body)();
    CHECK_INT(live_tasks(), before);
    return 0;
}

/* On the real clock a busy machine makes turns slow that are not. */
static void forget_slow_turns(void)
{
    char kept[sizeof reports] = "", *rest = reports, *line;

    while ((line = strsep(&rest, "\n")))
        if (*line && !strstr(line, "kept the others waiting"))
            strcat(strcat(kept, line), "\n");
    strcpy(reports, kept);
}

static void check_no_reports(void)
{
    if (reports[0])
        FAIL("reports that nobody asked for:\n%s", reports);
}

const char *test_backend(void)
{
    const char *asked = getenv("KIN_BACKEND");

    return asked ? asked : "virtual";
}

int test_run(int (*fn)(void *arg), void *arg)
{
    return kin_run(fn, arg, .virtual_clock = true, .backend = test_backend(),
                   .on_report = note_report);
}

void test_body(void (*body)(void))
{
    CHECK_CODE(test_run(root, &body), 0);
    check_no_reports();
}

void test_body_real(void (*body)(void))
{
    CHECK_CODE(kin_run(root, &body, .on_report = note_report), 0);
    forget_slow_turns();
    check_no_reports();
}

/* ------------------------------------------------------------------ checks */

static const char *code_text(int64_t code)
{
    return code < 0 && code >= INT32_MIN ? kin_code_name((int)code) : "no failure";
}

void test_check_code(const char *file, int line, const char *text, int64_t got, int64_t wanted)
{
    if (got != wanted)
        tap_fail(file, line, "CHECK_CODE(%s): got %lld (%s), wanted %lld (%s)", text,
                 (long long)got, code_text(got), (long long)wanted, code_text(wanted));
}

const char *test_reports(void)
{
    return reports;
}

void drop_reports(void)
{
    reports[0] = '\0';
}

void test_check_reported(const char *file, int line, const char *text)
{
    tap_check_has(file, line, "reports", reports, text);
    reports[0] = '\0';
}

void trace(const char *format, ...)
{
    size_t used = strlen(traced);
    va_list args;

    if (used > 0 && used + 1 < sizeof traced)
        traced[used++] = ' ';
    va_start(args, format);
    vsnprintf(traced + used, sizeof traced - used, format, args);
    va_end(args);
}

void test_check_trace(const char *file, int line, const char *wanted)
{
    tap_check_str(file, line, "trace", traced, "order of events", wanted);
    memset(traced, 0, sizeof traced);
}

const char *test_error_text(const kin_error *tree)
{
    static char text[16 * 1024];
    FILE *out = fmemopen(text, sizeof text, "w");

    CHECK(out != NULL);
    kin_error_print(tree, out);
    fclose(out);
    text[sizeof text - 1] = '\0';
    return text;
}

/* ------------------------------------------------------------------- tasks */

static void note_end(struct act *a)
{
    const kin_reason *reason = kin_cancelled();

    a->at = kin_now();
    a->saw = reason != NULL;
    if (reason)
        a->why = *reason;
}

int act(void *arg)
{
    struct act *a = arg;

    a->ran++;
    a->woke = kin_sleep(a->sleep);
    note_end(a);
    return a->woke < 0 ? a->woke : a->result;
}

int act_anyway(void *arg)
{
    struct act *a = arg;

    act(a);
    return a->result;
}

static int sleep_shielded(int64_t duration)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    return kin_scope_close(&s, kin_sleep(duration));
}

int act_stubborn(void *arg)
{
    struct act *a = arg;

    a->ran++;
    a->woke = sleep_shielded(a->sleep);
    note_end(a);
    return a->result;
}

int act_cleanup(void *arg)
{
    struct act *a = arg;
    int woke = kin_sleep(KIN_FOREVER);

    act_stubborn(a);
    a->woke = woke;
    return a->result;
}

int nothing(void *arg)
{
    (void)arg;
    return 0;
}

int give(void *arg)
{
    return *(int *)arg;
}

void settle(void)
{
    CHECK_CODE(kin_sleep(KIN_US(1)), 0);
}
