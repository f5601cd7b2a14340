/* Bodies to a callback and to a descriptor: order, back-pressure, caps, errors. */
#include "http_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

struct sink {
    size_t bytes, calls;
    uint64_t sum;
    int64_t pause;              /* sleeps so long each time */
    size_t fail_after;
    int result;
};

static int take(void *arg, const void *data, size_t size)
{
    struct sink *s = arg;
    const unsigned char *byte = data;

    s->calls++;
    for (size_t i = 0; i < size; i++)
        s->sum += byte[i] * (uint64_t)(s->bytes + i);
    s->bytes += size;
    if (s->pause) {
        int rc = kin_sleep(s->pause);

        if (rc < 0)
            return rc;
    }
    return s->fail_after && s->bytes >= s->fail_after ? s->result : 0;
}

HTTP_TEST(a_sink_gets_every_byte_in_order)
{
    struct sink streamed = { 0 }, whole = { 0 };
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/big.bin"), .sink = take, .sink_arg = &streamed),
               0);
    CHECK_INT(r.status, 200);
    CHECK(r.body == NULL);
    CHECK_INT(r.body_size, 160 << 16);
    CHECK_INT(streamed.bytes, 160 << 16);
    CHECK(streamed.calls > 10);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http_get(url("HTTP", "/big.bin"), &r), 0);
    take(&whole, r.body, r.body_size);
    CHECK(streamed.sum == whole.sum);
    kin_http_response_free(&r);
}

HTTP_TEST(a_sink_gets_what_was_unpacked)
{
    struct sink s = { 0 };
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/bomb"), .sink = take, .sink_arg = &s), 0);
    CHECK_INT(s.bytes, 100 << 20);
    CHECK_INT(r.body_size, 100 << 20);
    kin_http_response_free(&r);
}

HTTP_TEST(a_sink_gets_what_came_before_an_error)
{
    struct sink s = { 0 };
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/short"), .sink = take, .sink_arg = &s),
               KIN_EHTTP(18));
    CHECK_INT(s.bytes, 10);
    kin_http_response_free(&r);
}

HTTP_TEST(a_sink_that_fails_ends_the_request)
{
    struct sink s = { .fail_after = 100000, .result = KIN_CODE(KIN_CLASS_USER, 3) };
    kin_http_response r;
    bool gone = false;

    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/huge/failing"), .sink = take, .sink_arg = &s),
               KIN_CODE(KIN_CLASS_USER, 3));
    CHECK_INT(r.status, 200);
    kin_http_response_free(&r);
    for (int i = 0; i < 100 && !gone; i++) {
        CHECK_CODE(kin_sleep(KIN_MS(20)), 0);
        sent_bytes("failing", &gone);
    }
    CHECK(gone);
}

/* While the sink blocks the server can send what the buffers between hold, and
 * then nothing more. */
static int slow_reader(void *arg)
{
    struct sink *s = arg;
    kin_http_response r;
    int rc = kin_http(&r, .url = url("HOSTILE", "/huge/slow"), .sink = take, .sink_arg = s);

    kin_http_response_free(&r);
    return rc;
}

HTTP_TEST(a_slow_sink_holds_back_the_sender)
{
    struct sink s = { .pause = KIN_S(100) };
    kin_group g = kin_group_open();
    long before, after;
    int64_t start = now();

    CHECK_CODE(kin_spawn(&g, slow_reader, &s), 0);
    do {
        before = sent_bytes("slow", NULL);
        CHECK_CODE(kin_sleep(KIN_MS(300)), 0);
        after = sent_bytes("slow", NULL);
    } while (before == 0 || before != after);
    CHECK(after < 32 << 20);
    CHECK_INT(s.calls, 1);
    CHECK(s.bytes <= 64 << 10);
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_WITHIN(start, 30);
}

HTTP_TEST(a_slow_sink_delays_nobody_else)
{
    struct sink s = { .pause = KIN_S(100) };
    kin_group g = kin_group_open();
    kin_http_response r;
    int64_t start = now();

    CHECK_CODE(kin_spawn(&g, slow_reader, &s), 0);
    for (int i = 0; i < 200; i++) {
        CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), 0);
        kin_http_response_free(&r);
    }
    CHECK_WITHIN(start, 10);
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int slow_http2_reader(void *arg)
{
    kin_http_response r;
    int rc = kin_http(&r, .url = url("HTTPS", "/big.bin"), .ca_file = file("ca.pem"), .sink = take,
                      .sink_arg = arg);

    kin_http_response_free(&r);
    return rc;
}

/* All requests to one host may share a connection there. */
HTTP_TEST(a_slow_sink_delays_nobody_else_over_http2)
{
    struct sink s = { .pause = KIN_S(100) };
    kin_group g = kin_group_open();
    kin_http_response r;
    int64_t start = now();

    CHECK_CODE(kin_spawn(&g, slow_http2_reader, &s), 0);
    while (s.calls == 0)
        CHECK_CODE(kin_sleep(KIN_MS(10)), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/long.txt"), .ca_file = file("ca.pem")), 0);
        CHECK_INT(r.body_size, 21 * 5000);
        CHECK_INT(r.http_version, 20);
        kin_http_response_free(&r);
    }
    CHECK_WITHIN(start, 10);
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

HTTP_TEST(a_sink_that_dawdles_loses_nothing)
{
    struct sink s = { .pause = KIN_MS(2) };
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/big.bin"), .sink = take, .sink_arg = &s), 0);
    CHECK_INT(s.bytes, 160 << 16);
    kin_http_response_free(&r);
    s = (struct sink){ .pause = KIN_MS(2) };
    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/big.bin"), .sink = take, .sink_arg = &s,
                        .ca_file = file("ca.pem")), 0);
    CHECK_INT(s.bytes, 160 << 16);
    kin_http_response_free(&r);
}

HTTP_TEST(caps_hold_for_streams_too)
{
    struct sink s = { 0 };
    kin_http_response r;
    int fd = scratch_file();

    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/huge"), .sink = take, .sink_arg = &s,
                        .max_body = 100000), KIN_EHTTP_TOO_LARGE);
    CHECK(s.bytes <= 100000);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/huge"), .to_fd = fd, .max_body = 100000),
               KIN_EHTTP_TOO_LARGE);
    CHECK(lseek(fd, 0, SEEK_END) <= 100000);
    kin_http_response_free(&r);
    close(fd);
}

/* ----------------------------------------------------------- to descriptors */

HTTP_TEST(to_a_file)
{
    int fd = scratch_file();
    kin_http_response r;
    char text[32] = "";

    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/hello.txt"), .to_fd = fd), 0);
    CHECK(r.body == NULL);
    CHECK_INT(r.body_size, 11);
    CHECK_INT(pread(fd, text, sizeof text, 0), 11);
    CHECK_STR(text, "hello, kin\n");
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/big.bin"), .to_fd = fd), 0);
    CHECK_INT(lseek(fd, 0, SEEK_END), 11 + (160 << 16));
    kin_http_response_free(&r);
    close(fd);
}

HTTP_TEST(to_a_full_disk)
{
    int fd = open("/dev/full", O_WRONLY);
    kin_http_response r;

    CHECK(fd > 0);
    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/big.bin"), .to_fd = fd), -ENOSPC);
    CHECK_HAS(last_message(), "/big.bin: No space left on device");
    CHECK_INT(r.status, 200);
    kin_http_response_free(&r);
    close(fd);
}

/* A write that is cut short by the limit, and then refused. */
HTTP_TEST(to_a_file_that_may_not_grow)
{
    struct rlimit small = { 1000000, 1000000 };
    int fd = scratch_file();
    kin_http_response r;

    signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/big.bin"), .to_fd = fd), -EFBIG);
    CHECK_INT(lseek(fd, 0, SEEK_END), 1000000);
    kin_http_response_free(&r);
    close(fd);
}

HTTP_TEST(to_a_descriptor_that_cannot_be_written)
{
    int fd = open("/dev/null", O_RDONLY);
    kin_http_response r;

    CHECK(fd > 0);
    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/hello.txt"), .to_fd = fd), -EBADF);
    kin_http_response_free(&r);
    close(fd);
}

struct pipe_reader {
    int fd;
    size_t bytes;
};

static int read_slowly(void *arg)
{
    static char buffer[65536];
    struct pipe_reader *p = arg;
    ssize_t n;

    while ((n = kin_read(p->fd, buffer, sizeof buffer)) > 0) {
        p->bytes += (size_t)n;
        if (p->bytes < 1 << 20)
            kin_sleep(KIN_MS(1));
    }
    return (int)n;
}

static void check_pipe(bool blocking)
{
    kin_group g = kin_group_open();
    struct pipe_reader p = { 0 };
    kin_http_response r;
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    if (blocking)
        CHECK_INT(fcntl(fds[1], F_SETFL, 0), 0);
    p.fd = fds[0];
    CHECK_CODE(kin_spawn(&g, read_slowly, &p), 0);
    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/big.bin"), .to_fd = fds[1]), 0);
    kin_http_response_free(&r);
    CHECK_CODE(kin_close(fds[1]), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(p.bytes, 160 << 16);
    CHECK_CODE(kin_close(fds[0]), 0);
}

HTTP_TEST(to_a_pipe_with_a_slow_reader)
{
    check_pipe(false);
    check_pipe(true);
}
