/* The helpers of http_test.h. */
#include "http_test.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static char reports[16 * 1024];

/* That a step was long says something about this machine, not about the code. */
static void note_report(const char *line, void *arg)
{
    size_t used = strlen(reports);

    (void)arg;
    if (strstr(line, "kept the others waiting"))
        return;
    snprintf(reports + used, sizeof reports - used, "%s\n", line);
}

static int root(void *arg)
{
    void (**body)(void) = arg;

    (*body)();
    return 0;
}

void test_body(void (*body)(void))
{
    test_check_code(__FILE__, __LINE__, "kin_run", kin_run(root, &body, .on_report = note_report),
                    0);
    if (reports[0])
        FAIL("reports that nobody asked for:\n%s", reports);
}

static const char *setting(const char *name)
{
    char variable[64];
    const char *value;

    snprintf(variable, sizeof variable, "HTTP_%s", name);
    value = getenv(variable);
    if (!value)
        FAIL("%s is not set: run this through fixture.py", variable);
    return value;
}

int port_of(const char *server)
{
    return atoi(setting(server));
}

const char *url(const char *server, const char *path, ...)
{
    static char buffers[16][512];
    static unsigned next;
    char *buffer = buffers[next++ % 16];
    bool tls = strcmp(server, "HTTPS") == 0 || strcmp(server, "HOSTILE_TLS") == 0;
    int used = snprintf(buffer, 512, "http%s://127.0.0.1:%s", tls ? "s" : "", setting(server));
    va_list args;

    va_start(args, path);
    vsnprintf(buffer + used, 512 - (size_t)used, path, args);
    va_end(args);
    return buffer;
}

const char *file(const char *name)
{
    static char buffers[8][512];
    static unsigned next;
    char *buffer = buffers[next++ % 8];

    snprintf(buffer, 512, "%s/%s", setting("DIR"), name);
    return buffer;
}

void test_check_code(const char *source, int line, const char *text, int got, int wanted)
{
    const kin_error *error = got < 0 && got != wanted ? kin_error_last() : NULL;

    if (got != wanted)
        tap_fail(source, line, "%s is %s (%d), not %s (%d); %s", text,
                 got < 0 ? kin_code_name(got) : "success", got,
                 wanted < 0 ? kin_code_name(wanted) : "success", wanted,
                 error ? error->message : "");
}

const char *last_message(void)
{
    const kin_error *error = kin_error_last();

    return error ? error->message : "";
}

int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * KIN_S(1) + t.tv_nsec;
}

long sent_bytes(const char *key, bool *gone)
{
    kin_http_response r;
    long bytes;

    test_check_code(__FILE__, __LINE__, "report",
                    kin_http_get(url("HOSTILE", "/report/%s", key), &r), 0);
    bytes = atol(r.body);
    if (gone)
        *gone = strstr(r.body, "gone") != NULL;
    kin_http_response_free(&r);
    return bytes;
}

int open_files(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = -3;

    CHECK(directory != NULL);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

int scratch_file(void)
{
    char name[] = "/tmp/kin-http-scratch-XXXXXX";
    int fd = mkstemp(name);

    CHECK(fd > 0);
    unlink(name);
    return fd;
}
