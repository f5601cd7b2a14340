/* Being cancelled, at every blocking call there is: what it may cost, and what never. */
#include "tls_test.h"

#include "tls/tls.h"

#include <stdlib.h>

/* ------------------------------------------------------------------ reading */

/* The bytes of records that the stream would send, taken away from it. */
static size_t records_of(kin_stream *stream, const char *text, char *into, size_t size)
{
    struct kin__tls *tls = stream->arg;
    size_t n;

    CHECK_INT(SSL_write(tls->ssl, text, (int)strlen(text)), (int)strlen(text));
    n = tls->out.end;
    CHECK(n <= size);
    memcpy(into, tls->out.data, n);
    kin__tls_bytes_free(&tls->out);
    return n;
}

TLS_TEST(a_read_cancelled_within_a_record_loses_nothing)
{
    struct pair pair = { 0 };
    char records[4096], buffer[64];
    size_t n;
    int rc;

    make_pair(&pair);
    n = records_of(&pair.client, "first and last", records, sizeof records);
    for (size_t i = 0; i < n - 1; i++) {
        CHECK_CODE(kin_write_all(fd_of(&pair.client), records + i, 1, NULL), 0);
        KIN_SCOPE(rc, s, .timeout = KIN_US(10))
            rc = (int)kin_stream_read(&pair.server, buffer, sizeof buffer);
        CHECK_CODE(rc, KIN_ETIMEDOUT);
    }
    CHECK_CODE(kin_write_all(fd_of(&pair.client), records + n - 1, 1, NULL), 0);
    CHECK_INT(kin_stream_read(&pair.server, buffer, sizeof buffer), 14);
    CHECK(memcmp(buffer, "first and last", 14) == 0);
    say(&pair.client, &pair.server, "and so on");
    say(&pair.server, &pair.client, "and so on");
    close_pair(&pair);
}

/* Also where it would not have had to wait. */
TLS_TEST(a_cancelled_task_neither_reads_nor_writes_nor_ends)
{
    struct pair pair = { 0 };
    size_t done = 7;
    kin_scope scope;
    char c;

    make_pair(&pair);
    CHECK_CODE(kin_stream_write(&pair.client, "x", 1, NULL), 0);
    CHECK_CODE(kin_stream_flush(&pair.client), 0);
    scope = kin_scope_open(.cancelled = true);
    CHECK_CODE(pair.server.transport->read(pair.server.arg, &c, 1), KIN_ECANCELED);
    CHECK_CODE(pair.server.transport->write_all(pair.server.arg, "x", 1, &done), KIN_ECANCELED);
    CHECK_INT(done, 0);
    CHECK_CODE(pair.server.transport->end(pair.server.arg), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&scope, 0), 0);
    CHECK_CODE(kin_stream_read(&pair.server, &c, 1), 1);
    say(&pair.server, &pair.client, "nothing has happened");
    close_pair(&pair);
}

/* ------------------------------------------------------------------ writing */

struct reader {
    kin_stream *stream;
    size_t total;
};

static int read_to_end(void *arg)
{
    struct reader *reader = arg;
    static char buffer[65536];
    ssize_t n;

    while ((n = kin_stream_read(reader->stream, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < n; i++, reader->total++)
            CHECK(buffer[i] == (char)(reader->total / 1000));
    return (int)n;
}

/* What the cancelled one has taken goes out before all else, wherever it was cut off. */
TLS_TEST(a_cancelled_write_is_gone_on_with)
{
    struct pair pair = { 0 };
    struct reader reader = { .stream = &pair.server };
    size_t size = sizeof more_than_fits, done, total = 0;
    kin_group g = kin_group_open();
    int rc;

    for (size_t i = 0; i < size; i++)
        more_than_fits[i] = (char)(i / 1000);
    make_unix_pair(&pair);
    KIN_SCOPE(rc, s, .timeout = KIN_MS(20))
        rc = kin_stream_write(&pair.client, more_than_fits, size, &total);
    CHECK_CODE(rc, KIN_ETIMEDOUT);
    CHECK(total > 0 && total < size);
    KIN_SCOPE(rc, s, .timeout = KIN_MS(5))
        rc = kin_stream_flush(&pair.client);
    CHECK_CODE(rc, KIN_ETIMEDOUT);                      /* it knows that not all is out */
    CHECK_CODE(kin_spawn(&g, read_to_end, &reader), 0);
    CHECK_CODE(kin_stream_flush(&pair.client), 0);
    CHECK_CODE(kin_stream_write(&pair.client, more_than_fits + total, size - total, &done), 0);
    CHECK_CODE(kin_stream_end(&pair.client), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(reader.total, size);
    close_pair(&pair);
}

TLS_TEST(closing_says_that_a_cancelled_write_has_not_gone_out)
{
    struct pair pair = { 0 };
    kin_scope scope;
    size_t done;
    int rc;

    make_unix_pair(&pair);
    KIN_SCOPE(rc, s, .timeout = KIN_MS(20))
        rc = kin_stream_write(&pair.client, more_than_fits, sizeof more_than_fits, &done);
    CHECK_CODE(rc, KIN_ETIMEDOUT);
    scope = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_stream_close(&pair.client), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&scope, 0), 0);
    close_pair(&pair);
}

/* An end that could not be sent is not forgotten. */
TLS_TEST(a_cancelled_end_can_be_made_again)
{
    struct pair pair = { 0 };
    struct reader reader = { .stream = &pair.server };
    kin_group g = kin_group_open();
    size_t done;
    int rc;

    memset(more_than_fits, 0, sizeof more_than_fits);
    make_unix_pair(&pair);
    fill_up(fd_of(&pair.client));                       /* of which the peer makes no sense … */
    KIN_SCOPE(rc, s, .timeout = KIN_MS(5))
        rc = kin_stream_end(&pair.client);
    CHECK_CODE(rc, KIN_ETIMEDOUT);
    CHECK_CODE(pair.client.transport->write_all(pair.client.arg, "x", 1, &done), KIN_ECLOSED);
    drain(fd_of(&pair.server));                         /* … and never sees */
    CHECK_CODE(kin_spawn(&g, read_to_end, &reader), 0);
    CHECK_CODE(kin_stream_end(&pair.client), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(reader.total, 0);
    close_pair(&pair);
}

/* An alert must not make a reader wait for a peer that does not read. */
TLS_TEST(a_reader_does_not_wait_to_send)
{
    struct pair pair = { 0 };
    struct kin__tls *tls;
    size_t done;
    char c;
    int rc;

    make_unix_pair(&pair);
    KIN_SCOPE(rc, s, .timeout = KIN_MS(20))
        rc = kin_stream_write(&pair.server, more_than_fits, sizeof more_than_fits, &done);
    CHECK_CODE(rc, KIN_ETIMEDOUT);
    fill_up(fd_of(&pair.server));
    CHECK_CODE(kin_write_all(fd_of(&pair.client), "not TLS", 7, NULL), 0);
    CHECK_CODE(kin_stream_read(&pair.server, &c, 1), KIN_ETLS_PROTOCOL);
    tls = pair.server.arg;
    CHECK(tls->sending.first < tls->sending.end && tls->out.end > 0);
    kin_stream_close(&pair.client);
    CHECK(kin_stream_close(&pair.server) < 0);          /* all that is lost now */
    close_pair(&pair);
}

/* ------------------------------------------------------------------- sweeps */

enum { TALK = 150000 };

struct talk {
    kin_stream *stream;
    kin_scope shield;
    bool shielded;
    int code;
};

/* Once cancelled, it goes on under a shield, from where it was. */
static bool again(struct talk *talk, int rc)
{
    if (rc != KIN_ECANCELED || talk->shielded)
        return false;
    talk->shield = kin_scope_open(.shield = KIN_FOREVER);
    talk->shielded = true;
    return true;
}

static int talk(void *arg)
{
    struct talk *t = arg;
    char *data = malloc(TALK), *got = calloc(1, TALK);
    size_t written = 0, read = 0, n;
    ssize_t m;
    int rc;

    CHECK(data && got);
    for (size_t i = 0; i < TALK; i++)
        data[i] = (char)(i * 7 / 5);
    do {
        rc = kin_stream_write(t->stream, data + written, TALK - written, &n);
        written += n;
    } while (again(t, rc) || (rc == 0 && written < TALK));
    CHECK_CODE(rc, 0);
    while (again(t, rc = kin_stream_end(t->stream)))
        ;
    CHECK_CODE(rc, 0);
    while ((m = kin_stream_read(t->stream, got + read, TALK - read + 1)) > 0 || again(t, (int)m))
        read += m > 0 ? (size_t)m : 0;
    CHECK_CODE(m, 0);
    CHECK_INT(read, TALK);
    CHECK(memcmp(data, got, TALK) == 0);
    if (t->shielded)
        CHECK_CODE(kin_scope_close(&t->shield, 0), 0);
    free(data);
    free(got);
    return 0;
}

static int listen_first(void *arg)
{
    struct talk *t = arg;
    static char got[TALK];

    CHECK_CODE(kin_stream_read_exactly(t->stream, got, TALK, NULL), 0);
    CHECK_CODE(kin_stream_write(t->stream, got, TALK, NULL), 0);
    return kin_stream_end(t->stream);
}

static struct pair swept;

/* Small buffers: many waits. TCP would make them long ones. */
static void small_sockets(int fds[2])
{
    const int size = 4096;

    unix_pair(fds);
    for (int i = 0; i < 2; i++)
        CHECK_INT(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
}

static int whole_talk(void *arg)
{
    struct talk caller = { .stream = &swept.client }, listener = { .stream = &swept.server };
    kin_group g = kin_group_open();
    int fds[2];

    (void)arg;
    small_sockets(fds);
    shake_hands(&swept, fds[0], fds[1]);
    CHECK_CODE(swept.client_code, 0);
    CHECK_CODE(swept.server_code, 0);
    CHECK_CODE(kin_spawn(&g, talk, &caller, .name = "talk"), 0);
    CHECK_CODE(kin_spawn(&g, listen_first, &listener), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_stream_close(&swept.client), 0);
    CHECK_CODE(kin_stream_close(&swept.server), 0);
    return 0;
}

/* Contexts are shared by all runs of a sweep. */
static void begin_sweep(void)
{
    pki_begin();
    swept = (struct pair){ .client_context = client_context(),
                           .server_context = server_context() };
}

static void end_sweep(void)
{
    kin_tls_context_free(swept.client_context);
    kin_tls_context_free(swept.server_context);
    pki_end();
}

TEST_LIMIT(a_task_cancelled_at_any_call_loses_nothing_of_a_talk, 120)
{
    struct kin_faults faults;
    uint64_t step = tap_instrumented() ? 5 : 1;

    begin_sweep();
    for (uint64_t k = 1; ; k += step) {
        tap_note("call %llu", (unsigned long long)k);
        faults = (struct kin_faults){ .task = "talk", .cancel_call = k };
        CHECK_CODE(kin_run(whole_talk, NULL, .faults = &faults), 0);
        if (faults.calls < k)
            break;
    }
    end_sweep();
}

TEST_LIMIT(a_task_cancelled_in_any_wait_loses_nothing_of_a_talk, 120)
{
    struct kin_faults faults;
    uint64_t step = tap_instrumented() ? 5 : 1;

    begin_sweep();
    for (uint64_t k = 1; ; k += step) {
        tap_note("wait %llu", (unsigned long long)k);
        faults = (struct kin_faults){ .task = "talk", .cancel_wait = k };
        CHECK_CODE(kin_run(whole_talk, NULL, .faults = &faults), 0);
        if (faults.waits < k)
            break;
    }
    end_sweep();
}

/* Of a whole connection, whoever is cancelled: all ends, nothing is left. */
static int client_life(void *arg)
{
    kin_stream stream;
    char answer[8];
    int rc = kin_tls_connect(&stream, *(int *)arg, swept.client_context, .host = "localhost");

    if (rc == 0)
        rc = kin_stream_printf(&stream, "hello");
    if (rc == 0)
        rc = kin_stream_end(&stream);
    if (rc == 0)
        rc = kin_stream_read_exactly(&stream, answer, 5, NULL);
    if (rc == 0)
        rc = (int)kin_stream_read(&stream, answer, sizeof answer);
    kin_stream_close(&stream);
    return rc;
}

static int server_life(void *arg)
{
    kin_stream stream;
    char question[8];
    int rc = kin_tls_accept(&stream, *(int *)arg, swept.server_context);

    if (rc == 0)
        rc = kin_stream_read_exactly(&stream, question, 5, NULL);
    if (rc == 0)
        rc = kin_stream_write(&stream, question, 5, NULL);
    if (rc == 0)
        rc = kin_stream_end(&stream);
    kin_stream_close(&stream);
    return rc;
}

static int two_lives(void *arg)
{
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    int before = open_descriptors(), fds[2];
    kin_task *task = arg;

    tcp_pair(fds);
    CHECK_CODE(kin_spawn(&g, client_life, &fds[0], .task = &task[0], .name = "client"), 0);
    CHECK_CODE(kin_spawn(&g, server_life, &fds[1], .task = &task[1], .name = "server"), 0);
    (void)kin_group_close(&g, 0);
    CHECK_INT(open_descriptors(), before);
    return 0;
}

/* What the other side may make of it. */
static bool is_told(int code)
{
    return code == 0 || code == KIN_ETLS_TRUNCATED || code == -ECONNRESET || code == -EPIPE;
}

static void sweep_lives(const char *victim, bool waits)
{
    struct kin_faults faults;
    kin_task task[2];
    int v = strcmp(victim, "server") == 0;

    begin_sweep();
    for (uint64_t k = 1; ; k++) {
        tap_note("%s: %llu", victim, (unsigned long long)k);
        faults = (struct kin_faults){ .task = victim, .cancel_call = waits ? 0 : k,
                                      .cancel_wait = waits ? k : 0 };
        CHECK_CODE(kin_run(two_lives, task, .faults = &faults), 0);
        if ((waits ? faults.waits : faults.calls) < k)
            break;
        if (!waits || task[v].code != 0) {      /* what the kernel has done by then is done */
            CHECK_CODE(task[v].code, KIN_ECANCELED);
            CHECK_INT(task[v].status, KIN_CANCELLED);
        }
        CHECK(is_told(task[!v].code));
    }
    CHECK_CODE(task[0].code, 0);
    CHECK_CODE(task[1].code, 0);
    end_sweep();
}

TEST_LIMIT(a_client_cancelled_at_any_call_ends, 60) { sweep_lives("client", false); }
TEST_LIMIT(a_client_cancelled_in_any_wait_ends, 60) { sweep_lives("client", true); }
TEST_LIMIT(a_server_cancelled_at_any_call_ends, 60) { sweep_lives("server", false); }
TEST_LIMIT(a_server_cancelled_in_any_wait_ends, 60) { sweep_lives("server", true); }

/* Reads and writes of the system that fail, at each place. */
static void fails_at(const char *site, int error)
{
    int fds[2], code, n = 0;

    do {
        kin_task task[2];
        kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

        tap_note("%s %d", site, n);
        tcp_pair(fds);
        fail_later(site, error, n++, 1);
        CHECK_CODE(kin_spawn(&g, client_life, &fds[0], .task = &task[0]), 0);
        CHECK_CODE(kin_spawn(&g, server_life, &fds[1], .task = &task[1]), 0);
        code = kin_group_close(&g, 0);
        for (int i = 0; i < 2; i++)
            CHECK(is_told(task[i].code) || task[i].code == -error);
        CHECK(failed_so_far() == 0 || task[0].code == -error || task[1].code == -error);
    } while (failed_so_far() > 0);
    CHECK_CODE(code, 0);
    CHECK(on_uring() || n > 3);         /* there the kernel does it, out of reach */
}

TLS_TEST(a_system_that_fails_is_passed_on)
{
    swept = (struct pair){ .client_context = client_context(),
                           .server_context = server_context() };
    fails_at("read", EIO);
    fails_at("write", ENOBUFS);
    kin_tls_context_free(swept.client_context);
    kin_tls_context_free(swept.server_context);
}
