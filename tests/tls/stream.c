/* Bytes over TLS: both ways at once, to the end, and what an end is worth. */
#include "tls_test.h"

#include "tls/tls.h"

#include <signal.h>
#include <stdlib.h>

#define BIG ((size_t)8 << 20)

/* ---------------------------------------------------------------- large ones */

struct flow {
    kin_stream *stream;
    size_t size, done;
    size_t piece;               /* after each so many bytes the keys change; 0: never */
    unsigned seed;
};

static char byte_at(unsigned seed, size_t i)
{
    return (char)((i * 2654435761u + seed) >> 13);
}

static int keys_changed;

static int send_flow(void *arg)
{
    struct flow *flow = arg;
    char *data = malloc(flow->size);
    size_t n, piece = flow->piece ? flow->piece : flow->size;
    int rc = 0;

    CHECK(data != NULL);
    for (size_t i = 0; i < flow->size; i++)
        data[i] = byte_at(flow->seed, i);
    while (rc == 0 && flow->done < flow->size) {
        if (flow->piece)
            keys_changed += SSL_key_update(ssl_of(flow->stream), SSL_KEY_UPDATE_REQUESTED);
        n = flow->size - flow->done < piece ? flow->size - flow->done : piece;
        rc = kin_stream_write(flow->stream, data + flow->done, n, &n);
        flow->done += n;
    }
    free(data);
    return rc < 0 ? rc : kin_stream_end(flow->stream);
}

static int receive_flow(void *arg)
{
    struct flow *flow = arg;
    static char buffer[2][50000];
    char *into = buffer[flow->seed % 2];
    ssize_t n;

    while ((n = kin_stream_read(flow->stream, into, sizeof buffer[0])) > 0)
        for (ssize_t i = 0; i < n; i++, flow->done++)
            CHECK(into[i] == byte_at(flow->seed, flow->done));
    CHECK_CODE(n, 0);
    CHECK_INT(flow->done, flow->size);
    return 0;
}

/* Both sides write and read at the same time, much more than sockets hold. */
static void both_ways(struct pair *pair, size_t size, size_t piece)
{
    struct flow flow[] = {
        { .stream = &pair->client, .size = size, .piece = piece, .seed = 1 },
        { .stream = &pair->server, .size = size, .seed = 1 },
        { .stream = &pair->server, .size = size, .piece = piece, .seed = 2 },
        { .stream = &pair->client, .size = size, .seed = 2 },
    };
    kin_group g = kin_group_open();

    for (int i = 0; i < 4; i++)
        CHECK_CODE(kin_spawn(&g, i % 2 ? receive_flow : send_flow, &flow[i], .name = "flow"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

TLS_TEST(much_goes_both_ways_at_once)
{
    struct pair pair = { 0 };

    make_pair(&pair);
    both_ways(&pair, BIG, 0);
    close_pair(&pair);
}

TLS_TEST(sizes_around_a_record_and_a_batch)
{
    static const size_t sizes[] = { 1, 16383, 16384, 16385, 65535, 65536, 65537, 100000 };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct pair pair = { 0 };

        tap_note("%zu", sizes[i]);
        make_pair(&pair);
        both_ways(&pair, sizes[i], 0);
        close_pair(&pair);
    }
}

/* Both write, and want new keys of each other all the time: the answer to that leaves with
 * what is written next. */
TLS_TEST(keys_change_on_the_way)
{
    struct pair pair = { 0 };

    make_pair(&pair);
    keys_changed = 0;
    both_ways(&pair, BIG, 100000);
    CHECK(keys_changed > 100);
    close_pair(&pair);
}

TLS_TEST(a_reader_is_asked_for_new_keys_and_answers_when_it_writes)
{
    struct pair pair = { 0 };

    make_pair(&pair);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(SSL_key_update(ssl_of(&pair.client), SSL_KEY_UPDATE_REQUESTED), 1);
        say(&pair.client, &pair.server, "change");
        say(&pair.client, &pair.server, "again");
    }
    say(&pair.server, &pair.client, "done");
    CHECK_INT(SSL_key_update(ssl_of(&pair.client), SSL_KEY_UPDATE_REQUESTED), 1);
    say(&pair.client, &pair.server, "so be it");
    CHECK_CODE(kin_stream_end(&pair.server), 0);        /* without having written again */
    expect_end(&pair.client);
    close_pair(&pair);
}

TLS_TEST(nobody_renegotiates)
{
    struct pair pair = { 0 };
    char c;

    pair.client_context = client_context();
    SSL_CTX_set_max_proto_version(context_of(pair.client_context), TLS1_2_VERSION);
    SSL_CTX_clear_options(context_of(pair.client_context), SSL_OP_NO_RENEGOTIATION);
    make_pair(&pair);
    CHECK_INT(SSL_renegotiate(ssl_of(&pair.client)), 1);
    CHECK(kin_stream_write(&pair.client, "x", 1, NULL) == 0);
    CHECK(kin_stream_flush(&pair.client) < 0);          /* in the middle of a new handshake */
    kin_stream_close(&pair.client);
    CHECK_CODE(kin_stream_read(&pair.server, &c, 1), KIN_ETLS_TRUNCATED);
    close_pair(&pair);
}

/* --------------------------------------------------------------------- ends */

TLS_TEST(an_end_is_an_end_and_the_other_way_stays_open)
{
    struct pair pair = { 0 };

    make_pair(&pair);
    CHECK_CODE(kin_stream_write(&pair.client, "last words", 10, NULL), 0);
    CHECK_CODE(kin_stream_end(&pair.client), 0);
    CHECK_CODE(kin_stream_write(&pair.client, "x", 1, NULL), KIN_ECLOSED);
    say(&pair.server, &pair.client, "the other way");
    {
        char buffer[16];

        CHECK_CODE(kin_stream_read_exactly(&pair.server, buffer, 10, NULL), 0);
    }
    expect_end(&pair.server);
    expect_end(&pair.server);
    say(&pair.server, &pair.client, "still open");
    CHECK_CODE(kin_stream_end(&pair.server), 0);
    expect_end(&pair.client);
    close_pair(&pair);
}

TLS_TEST(a_cut_is_no_end)
{
    struct pair pair = { 0 };
    char buffer[64];

    make_pair(&pair);
    say(&pair.client, &pair.server, "hello");
    CHECK_CODE(kin_stream_close(&pair.client), 0);
    CHECK_CODE(kin_stream_read(&pair.server, buffer, sizeof buffer), KIN_ETLS_TRUNCATED);
    CHECK_HAS(kin_error_last()->message, "cut off");
    CHECK_CODE(kin_stream_read(&pair.server, buffer, sizeof buffer), KIN_ETLS_TRUNCATED);
    close_pair(&pair);
}

/* Not even where the system's configuration would have it so. */
TLS_TEST(a_cut_is_no_end_with_tls_12_either)
{
    struct pair pair = { 0 };
    char c;

    pair.client_context = client_context();
    SSL_CTX_set_max_proto_version(context_of(pair.client_context), TLS1_2_VERSION);
    make_pair(&pair);
    CHECK_CODE(kin_stream_close(&pair.server), 0);
    CHECK_CODE(kin_stream_read(&pair.client, &c, 1), KIN_ETLS_TRUNCATED);
    close_pair(&pair);
}

TLS_TEST(what_came_before_a_cut_can_be_read)
{
    struct pair pair = { 0 };
    char buffer[5];

    make_pair(&pair);
    CHECK_CODE(kin_stream_write(&pair.client, "hello", 5, NULL), 0);
    CHECK_CODE(kin_stream_close(&pair.client), 0);      /* flushes */
    CHECK_CODE(kin_stream_read_exactly(&pair.server, buffer, 5, NULL), 0);
    CHECK_CODE(kin_stream_read(&pair.server, buffer, 5), KIN_ETLS_TRUNCATED);
    close_pair(&pair);
}

/* The tickets of TLS 1.3 lie unread then: closing the socket over them would be a reset, which
 * takes along what has not arrived yet. */
TLS_TEST(a_client_that_never_reads_is_heard_to_the_end)
{
    struct pair pair = { 0 };
    struct flow flow = { .stream = &pair.server, .size = 3000000, .seed = 5 };
    struct flow out = { .stream = &pair.client, .size = flow.size, .seed = 5 };
    kin_group g = kin_group_open();

    make_pair(&pair);
    CHECK_CODE(kin_spawn(&g, receive_flow, &flow), 0);
    CHECK_CODE(send_flow(&out), 0);
    CHECK_CODE(kin_stream_close(&pair.client), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    close_pair(&pair);
}

TLS_TEST(a_reset_is_the_systems_code)
{
    const struct linger at_once = { 1, 0 };
    struct pair pair = { 0 };
    char c;

    make_pair(&pair);
    CHECK_INT(setsockopt(fd_of(&pair.client), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    CHECK_CODE(kin_stream_close(&pair.client), 0);
    CHECK_CODE(kin_stream_read(&pair.server, &c, 1), -ECONNRESET);
    CHECK(kin_stream_read(&pair.server, &c, 1) < 0);    /* the end of the file comes after it */
    CHECK_CODE(kin_stream_write(&pair.server, "x", 1, NULL), 0);
    CHECK_CODE(kin_stream_flush(&pair.server), -EPIPE);
    CHECK_CODE(kin_stream_write(&pair.server, "x", 1, NULL), -EPIPE);
    CHECK_CODE(kin_stream_close(&pair.server), -EPIPE);
    close_pair(&pair);
}

static void caught(int number)
{
    (void)number;
    FAIL("SIGPIPE");
}

TLS_TEST(a_peer_that_is_gone_raises_no_signal)
{
    static char much[1 << 20];
    struct pair pair = { 0 };
    int rc;

    signal(SIGPIPE, caught);
    make_pair(&pair);
    CHECK_CODE(kin_stream_close(&pair.client), 0);
    do
        rc = kin_stream_write(&pair.server, much, sizeof much, NULL);
    while (rc == 0);
    CHECK(rc == -EPIPE || rc == -ECONNRESET);
    CHECK_CODE(kin_stream_close(&pair.server), rc);
    close_pair(&pair);
}

/* ---------------------------------------------------------- what is not right */

/* Somebody on the way changes a byte, or adds some: the peer is told by an alert. */
static void tampered(const char *bytes, size_t size)
{
    struct pair pair = { 0 };
    char c;

    make_pair(&pair);
    CHECK_CODE(kin_write_all(fd_of(&pair.client), bytes, size, NULL), 0);
    CHECK_CODE(kin_stream_read(&pair.server, &c, 1), KIN_ETLS_PROTOCOL);
    CHECK_HAS(kin_error_last()->message, "TLS: ");
    CHECK_CODE(kin_stream_read(&pair.server, &c, 1), KIN_ETLS_PROTOCOL);
    CHECK_CODE(kin_stream_read(&pair.client, &c, 1), KIN_ETLS_REFUSED);
    close_pair(&pair);
}

TLS_TEST(bytes_that_were_tampered_with_are_found)
{
    tampered("\x17\x03\x03\x00\x20" "01234567890123456789012345678901", 37);
    tampered("GET / HTTP/1.1\r\n\r\n", 18);
    tampered("\x17\x03\x03\xff\xff", 5);
}

TLS_TEST(reading_nothing_is_nothing)
{
    struct pair pair = { 0 };

    make_pair(&pair);
    CHECK_CODE(kin_stream_read(&pair.client, NULL, 0), 0);
    CHECK_CODE(kin_stream_write(&pair.client, NULL, 0, NULL), 0);
    CHECK_CODE(kin_stream_flush(&pair.client), 0);
    say(&pair.client, &pair.server, "still there");
    close_pair(&pair);
}

/* What a busy connection needs, an idle one is not to hold. */
TLS_TEST(an_idle_connection_holds_small_buffers)
{
    struct pair pair = { 0 };
    struct flow flow = { .stream = &pair.client, .size = 300000, .seed = 3 };
    kin_group g = kin_group_open();
    static char into[300000];
    struct kin__tls *tls;

    make_pair(&pair);
    CHECK_CODE(kin_spawn(&g, send_flow, &flow), 0);
    CHECK_CODE(kin_stream_read_exactly(&pair.server, into, sizeof into, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    tls = pair.client.arg;
    CHECK(tls->out.size == 0 && tls->sending.size == 0);
    tls = pair.server.arg;
    CHECK_INT(tls->in.size, KIN__TLS_LARGE);
    expect_end(&pair.server);
    say(&pair.server, &pair.client, "nothing much");
    say(&pair.server, &pair.client, "and that for long");
    tls = pair.client.arg;
    CHECK_INT(tls->in.size, KIN__TLS_SMALL);
    close_pair(&pair);
}
