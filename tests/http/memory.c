/* Every allocation fails once: first those of kin and libkin-http (through the
 * linker's --wrap), then those of libcurl (through curl_global_init_mem). A request
 * then succeeds or fails, with -ENOMEM where the memory was ours; it neither
 * crashes nor hangs, and under the sanitizers it leaks nothing. */
#include "http_test.h"

#include <curl/curl.h>

static long fail_at, allocations;           /* the fail_at-th from now on; 0: none */
static bool sweeping_curl, in_curl, curl_fails;

static bool fails(void)
{
    return fail_at > 0 && !in_curl && ++allocations == fail_at;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return fails() ? NULL : __real_strndup(text, size);
}

/* What curl 7.88 allocates in here is left alone: it does not survive all of that.
 * Where it does, it says so. */
CURLMcode __real_curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int mask, int *running);
CURLMcode __wrap_curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int mask, int *running);

CURLMcode __wrap_curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int mask, int *running)
{
    bool fail = curl_fails;
    CURLMcode rc;

    in_curl = sweeping_curl;
    rc = __real_curl_multi_socket_action(multi, fd, mask, running);
    in_curl = false;
    curl_fails = false;
    return fail ? CURLM_OUT_OF_MEMORY : rc;
}

static int sink(void *arg, const void *data, size_t size)
{
    (void)arg, (void)data, (void)size;
    return 0;
}

static ssize_t source(void *arg, void *buffer, size_t size)
{
    bool *given = arg;

    (void)size;
    if (*given)
        return 0;
    *given = true;
    memcpy(buffer, "given", 5);
    return 5;
}

struct sweep {
    long k;
    int rc;
};

static int three_requests(void *arg)
{
    static const char *const headers[] = { "X-Empty: ", "X-Full: x", NULL };
    struct sweep *s = arg;
    bool given = false;
    kin_http_response r;
    int rc[3];

    allocations = 0;
    fail_at = s->k;
    rc[0] = kin_http(&r, .url = url("HTTP", "/long.txt"), .headers = headers);
    kin_http_response_free(&r);
    rc[1] = kin_http(&r, .url = url("HTTP", "/gzip/long.txt"), .sink = sink,
                    .ca_file = file("ca.pem"));
    kin_http_response_free(&r);
    rc[2] = kin_http(&r, .url = url("HOSTILE", "/echo"), .source = source, .source_arg = &given);
    kin_http_response_free(&r);
    fail_at = 0;
    for (int i = 0; i < 3; i++)
        s->rc = rc[i] < 0 ? rc[i] : s->rc;
    return 0;
}

static long sweep(bool (*allowed)(int rc))
{
    long k, failed = 0;

    for (k = 1; k == 1 || allocations >= k - 1; k++) {
        struct sweep s = { .k = k };
        int rc = kin_run(three_requests, &s);

        if (rc < 0 || s.rc < 0)
            failed++;
        if (!allowed(rc) || !allowed(s.rc))
            FAIL("allocation %ld: the run %s, a request %s", k, kin_code_name(rc),
                 kin_code_name(s.rc));
    }
    return failed;
}

static bool is_no_memory(int rc)
{
    return rc == 0 || rc == -ENOMEM;
}

TEST_LIMIT(memory_of_ours_runs_out_anywhere, 120)
{
    CHECK(sweep(is_no_memory) >= 10);
}

/* Curl does not always say that it was memory. */
static bool is_a_failure(int rc)
{
    return is_no_memory(rc) || kin_class(rc) == KIN_CLASS_HTTP;
}

TEST_LIMIT(memory_of_curl_runs_out_while_it_is_set_up, 120)
{
    sweeping_curl = true;
    CHECK_INT(curl_global_init_mem(CURL_GLOBAL_DEFAULT, __wrap_malloc, free, __wrap_realloc,
                                   __wrap_strdup, __wrap_calloc), 0);
    CHECK(sweep(is_a_failure) >= 30);
}

static int stall(void *arg)
{
    kin_http_response r;
    int rc = kin_http_get(arg, &r);

    kin_http_response_free(&r);
    return rc == -ENOMEM ? 0 : KIN_EINVAL;
}

/* Curl says that it could not do what it had to, and not for whom: all fail, none
 * hangs, and the next request is a new beginning. */
HTTP_TEST(memory_of_curl_runs_out_in_the_middle)
{
    const char *address = url("HOSTILE", "/stall");
    kin_group g = kin_group_open();
    kin_http_response r;

    for (int i = 0; i < 10; i++)
        CHECK_CODE(kin_spawn(&g, stall, (void *)(uintptr_t)address), 0);
    CHECK_CODE(kin_sleep(KIN_MS(200)), 0);
    curl_fails = true;
    CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), -ENOMEM);
    kin_http_response_free(&r);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), 0);
    kin_http_response_free(&r);
}
