/* Leaving a request early, in every phase: the caller goes on only when curl has
 * let go, nothing of the caller's is touched afterwards, and what had ended has
 * its result (docs/semantics.md C2, C7, T54). And libcurl's traps that have to do with
 * limits and with who may touch what. */
#include "http_test.h"

#include <netinet/in.h>

struct fetch {
    const char *address;
    kin_http_sink *sink;
    kin_http_source *source;
    int rc;
    bool ended;
    kin_http_response r;
};

/* What the request borrows lies in memory that is given back at once. */
static int fetch(void *arg)
{
    struct fetch *f = arg;
    char *address = strdup(f->address), *body = calloc(1, 1 << 20);

    CHECK(address && body);
    f->rc = kin_http(&f->r, .url = address, .insecure = true, .sink = f->sink,
                     .source = f->source, .sink_arg = f, .source_arg = f,
                     .body = f->source ? NULL : body, .body_size = f->source ? 0 : 1 << 20,
                     .method = "POST");
    memset(address, '!', strlen(address));
    memset(body, '!', 1 << 20);
    free(address);
    free(body);
    f->ended = true;
    kin_http_response_free(&f->r);
    return f->rc;
}

static void check_cancelled_after(int64_t time, struct fetch *f)
{
    kin_group g = kin_group_open();
    int64_t start;

    CHECK_CODE(kin_spawn(&g, fetch, f), 0);
    CHECK_CODE(kin_sleep(time), 0);
    CHECK(!f->ended);
    start = now();
    CHECK_CODE(kin_cancel(&g, "test"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_WITHIN(start, 5);
    CHECK_CODE(f->rc, KIN_ECANCELED);
}

static int block(void *arg, const void *data, size_t size)
{
    (void)arg, (void)data, (void)size;
    return kin_sleep(KIN_S(100));
}

static int ignore_all(void *arg, const void *data, size_t size)
{
    (void)arg, (void)data, (void)size;
    kin_sleep(KIN_S(100));
    return 0;
}

static ssize_t block_source(void *arg, void *buffer, size_t size)
{
    (void)arg, (void)buffer, (void)size;
    return kin_sleep(KIN_S(100));
}

static ssize_t endless_source(void *arg, void *buffer, size_t size)
{
    (void)arg;
    memset(buffer, 'x', size);
    return (ssize_t)size;
}

HTTP_TEST(C7_cancelled_while_waiting_for_the_head)
{
    check_cancelled_after(KIN_MS(100), &(struct fetch){ .address = url("HOSTILE", "/stall") });
}

HTTP_TEST(C7_cancelled_in_the_middle_of_the_body)
{
    check_cancelled_after(KIN_MS(100), &(struct fetch){ .address = url("HOSTILE", "/half") });
    check_cancelled_after(KIN_MS(100), &(struct fetch){ .address = url("HOSTILE", "/drip") });
}

HTTP_TEST(C7_cancelled_in_a_handshake)
{
    char address[64];

    snprintf(address, sizeof address, "https://127.0.0.1:%d/", port_of("MUTE"));
    check_cancelled_after(KIN_MS(100), &(struct fetch){ .address = address });
}

HTTP_TEST(C7_cancelled_in_the_sink)
{
    check_cancelled_after(KIN_MS(200), &(struct fetch){ .address = url("HOSTILE", "/huge"),
                                                        .sink = block });
    check_cancelled_after(KIN_MS(200), &(struct fetch){ .address = url("HOSTILE", "/huge"),
                                                        .sink = ignore_all });
    check_cancelled_after(KIN_MS(200), &(struct fetch){ .address = url("HOSTILE", "/half"),
                                                        .sink = block });
}

HTTP_TEST(C7_cancelled_while_sending)
{
    check_cancelled_after(KIN_MS(200), &(struct fetch){ .address = url("HOSTILE", "/never_reads"),
                                                        .source = block_source });
    check_cancelled_after(KIN_MS(200), &(struct fetch){ .address = url("HOSTILE", "/never_reads"),
                                                        .source = endless_source });
    check_cancelled_after(KIN_MS(200), &(struct fetch){ .address = url("HOSTILE", "/stall") });
}

HTTP_TEST(C7_cancelled_before_the_driver_has_seen_it)
{
    check_cancelled_after(0, &(struct fetch){ .address = url("HOSTILE", "/stall") });
}

HTTP_TEST(C1_cancelled_before_it_began)
{
    kin_scope s = kin_scope_open(.cancelled = true);
    kin_http_response r;

    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), KIN_ECANCELED);
        CHECK_INT(r.status, 0);
        kin_http_response_free(&r);
    }
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), 0);
    kin_http_response_free(&r);
}

/* A sink that has taken all of a body that has ended: cancelled or not, it is a
 * success. */
static int cancel_self(void *arg, const void *data, size_t size)
{
    kin_scope *s = arg;

    (void)data, (void)size;
    CHECK_CODE(kin_sleep(KIN_MS(300)), 0);
    return kin_cancel(s, "too late");
}

HTTP_TEST(C2_what_has_ended_is_not_turned_into_a_cancellation)
{
    kin_http_response r;
    kin_scope s = kin_scope_open();

    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/hello.txt"), .sink = cancel_self,
                        .sink_arg = &s), 0);
    CHECK_INT(r.status, 200);
    CHECK_INT(r.body_size, 11);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

HTTP_TEST(a_cancelled_request_s_connection_is_closed)
{
    struct fetch f = { .address = url("HOSTILE", "/huge/leaver"), .sink = block };
    bool gone = false;

    check_cancelled_after(KIN_MS(200), &f);
    for (int i = 0; i < 100 && !gone; i++) {
        sent_bytes("leaver", &gone);
        CHECK_CODE(kin_sleep(KIN_MS(20)), 0);
    }
    CHECK(gone);
}

/* Whatever the moment, it is either the whole page or a cancellation. */
HTTP_TEST(cancelled_at_any_moment)
{
    int ok = 0, cancelled = 0;

    for (int i = 0; i < 400; i++) {
        kin_scope s = kin_scope_open(.timeout = KIN_US(20 * i));
        kin_http_response r;
        int rc = kin_http_get(url("HOSTILE", "/later/2"), &r);

        if (rc == 0) {
            ok++;
            CHECK_STR(r.body, "2");
        } else {
            cancelled++;
            CHECK_CODE(rc, KIN_ECANCELED);
        }
        kin_http_response_free(&r);
        rc = kin_scope_close(&s, rc);
        CHECK(rc == 0 || rc == KIN_ETIMEDOUT);
    }
    CHECK_INT(ok + cancelled, 400);
    CHECK(cancelled > 0 && ok > 0);
}

HTTP_TEST(a_deadline_over_a_thousand_in_flight)
{
    static struct fetch f[1000];
    const char *address = url("HOSTILE", "/stall");
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING, .timeout = KIN_S(3));
    int64_t start = now(), late;

    for (size_t i = 0; i < 1000; i++) {
        f[i].address = address;
        f[i].source = block_source;
        CHECK_CODE(kin_spawn(&g, fetch, &f[i]), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    late = now() - start - KIN_S(3);
    CHECK(late >= 0);
    CHECK(late < KIN_S(tap_scaled(2)));
    for (size_t i = 0; i < 1000; i++)
        CHECK_CODE(f[i].rc, KIN_ECANCELED);
}

/* ------------------------------------------------------------ libcurl's traps */

static int get(void *arg)
{
    kin_http_response r;
    int rc = kin_http_get(arg, &r);

    kin_http_response_free(&r);
    return rc;
}

/* A limit counts from the start of a task: three pages of 0.7 s, one at a time, with a
 * two seconds for each, and 2.1 s for all. Curl's own limit would have run while they
 * queued. */
HTTP_TEST(trap_limits_do_not_run_while_queued)
{
    const char *address = url("HOSTILE", "/later/700");
    kin_group g = kin_group_open(.limit = 1);
    kin_task task[3];

    for (int i = 0; i < 3; i++)
        CHECK_CODE(kin_spawn(&g, get, (void *)(uintptr_t)address, .task = &task[i],
                             .timeout = KIN_MS(2000)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 3; i++)
        CHECK(task[i].status == KIN_OK);
}

/* Curl has an idle connection to the server, and a second request there: with
 * PIPEWAIT it would wait for the first one's handshake to say whether it can be
 * shared, which here never comes. */
HTTP_TEST(trap_no_pipewait)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    kin_group g = kin_group_open();
    socklen_t length = sizeof a;
    char address[64];
    int listener, fds[2];

    listener = kin_listen((struct sockaddr *)&a, sizeof a, 16);
    CHECK(listener >= 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&a, &length), 0);
    snprintf(address, sizeof address, "https://127.0.0.1:%d/", ntohs(a.sin_port));
    CHECK_CODE(kin_spawn(&g, get, address), 0);
    CHECK_CODE(kin_spawn(&g, get, address), 0);
    for (int i = 0; i < 2; i++) {
        kin_scope s = kin_scope_open(.timeout = KIN_S(tap_scaled(5)));

        fds[i] = kin_accept(listener);
        CHECK_CODE(kin_scope_close(&s, 0), 0);
        CHECK(fds[i] >= 0);
    }
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_close(fds[0]), 0);
    CHECK_CODE(kin_close(fds[1]), 0);
    CHECK_CODE(kin_close(listener), 0);
}

/* A sink, running in the middle of a transfer, makes requests of its own: a
 * callback of curl's could not. */
static int nested(void *arg, const void *data, size_t size)
{
    int *count = arg;
    kin_http_response r;

    (void)data, (void)size;
    if (++*count > 5)
        return 0;
    CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), 0);
    CHECK_INT(r.body_size, 11);
    kin_http_response_free(&r);
    return 0;
}

HTTP_TEST(trap_only_the_driver_enters_curl)
{
    kin_http_response r;
    int count = 0;

    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/big.bin"), .sink = nested, .sink_arg = &count),
               0);
    CHECK(count >= 5);
    kin_http_response_free(&r);
}

/* A server that goes away in the middle of a TLS upload must not end the process. */
HTTP_TEST(trap_sigpipe)
{
    kin_http_response r;

    for (int i = 0; i < 5; i++) {
        int rc = kin_http(&r, .url = url("HOSTILE_TLS", "/silent"), .insecure = true,
                          .source = endless_source);

        CHECK(rc < 0 && kin_class(rc) == KIN_CLASS_HTTP);
        kin_http_response_free(&r);
    }
}

/* With no request under way a run looks blocked, though connections are kept. */
static int deadlock(void *arg)
{
    kin_event never = { 0 };

    (void)get(arg);
    return kin_event_wait(&never);
}

static void ignore(const char *line, void *arg)
{
    (void)line, (void)arg;
}

TEST(trap_kept_connections_hide_no_deadlock)
{
    const char *address = url("HTTP", "/hello.txt");

    CHECK_CODE(kin_run(deadlock, (void *)(uintptr_t)address, .on_report = ignore), KIN_ECANCELED);
}
