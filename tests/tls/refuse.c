/* Handshakes that fail: whom one does not trust, peers that speak something else, break off,
 * or say nothing more. */
#include "tls_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The client refuses, for this reason, and the server is told. */
static void refused(enum identity who, const char *host, const char *why, const char *alert)
{
    struct pair pair = { .host = host };

    CHECK_CODE(kin_tls_server_open(&pair.server_context, .certificate.pem = pem(who)), 0);
    connect_pair(&pair);
    CHECK_CODE(pair.client_code, KIN_ETLS_CERTIFICATE);
    CHECK_HAS(pair.client_why, "certificate verify failed");
    CHECK_HAS(pair.client_why, why);
    CHECK_HAS(pair.client_why, host);
    CHECK_CODE(pair.server_code, KIN_ETLS_REFUSED);
    CHECK_HAS(pair.server_why, alert);
    CHECK(!pair.client.transport && !pair.server.transport);
    close_pair(&pair);
}

TLS_TEST(an_expired_certificate_is_refused)
{
    refused(EXPIRED, "localhost", "certificate has expired", "alert certificate expired");
}

TLS_TEST(a_certificate_of_an_unknown_ca_is_refused)
{
    refused(FORGED, "localhost", "unable to get local issuer certificate", "alert unknown ca");
}

TLS_TEST(a_certificate_for_another_name_is_refused)
{
    refused(SERVER, "example.com", "hostname mismatch", "alert bad certificate");
    refused(SERVER, "example.org", "hostname mismatch", "alert bad certificate");
    refused(SERVER, "a.b.example.org", "hostname mismatch", "alert bad certificate");
    refused(SERVER, "127.0.0.2", "IP address mismatch", "alert bad certificate");
    refused(SERVER, "::1", "IP address mismatch", "alert bad certificate");
}

TLS_TEST(versions_without_overlap_are_refused)
{
    struct pair pair = { 0 };

    CHECK_CODE(kin_tls_server_open(&pair.server_context, .certificate.pem = pem(SERVER),
                                   .least = 13), 0);
    pair.client_context = client_context();
    SSL_CTX_set_max_proto_version(context_of(pair.client_context), TLS1_2_VERSION);
    connect_pair(&pair);
    CHECK_CODE(pair.client_code, KIN_ETLS_REFUSED);
    CHECK_HAS(pair.client_why, "alert protocol version");
    CHECK_CODE(pair.server_code, KIN_ETLS_HANDSHAKE);
    CHECK_HAS(pair.server_why, "unsupported protocol");
    close_pair(&pair);
}

TLS_TEST(versions_before_12_are_refused)
{
    struct pair pair = { 0 };

    pair.client_context = client_context();
    SSL_CTX_set_security_level(context_of(pair.client_context), 0);
    SSL_CTX_set_min_proto_version(context_of(pair.client_context), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_of(pair.client_context), TLS1_1_VERSION);
    connect_pair(&pair);
    CHECK_CODE(pair.client_code, KIN_ETLS_REFUSED);
    CHECK_CODE(pair.server_code, KIN_ETLS_HANDSHAKE);
    close_pair(&pair);
}

/* -------------------------------------------------- peers that speak no TLS */

struct half {
    kin_tls_context *context;
    int fd, code;
    char why[256];
};

static int shake_alone(void *arg)
{
    struct half *half = arg;
    kin_stream stream;

    half->code = strcmp(kin_task_name(), "client") == 0
                     ? kin_tls_connect(&stream, half->fd, half->context, .host = "localhost")
                     : kin_tls_accept(&stream, half->fd, half->context);
    snprintf(half->why, sizeof half->why, "%s",
             kin_error_last() ? kin_error_last()->message : "");
    return half->code;
}

/* Handshakes as a "client" or "server" with what says text, and then (or not) closes. */
static struct half meets(const char *side, const char *text, size_t size, bool closes)
{
    struct half half = { .context = side[0] == 'c' ? client_context() : server_context() };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    int fds[2];

    tcp_pair(fds);
    half.fd = fds[0];
    CHECK_CODE(kin_spawn(&g, shake_alone, &half, .name = side), 0);
    CHECK_CODE(kin_write_all(fds[1], text, size, NULL), 0);
    if (closes)
        CHECK_CODE(kin_close(fds[1]), 0);
    CHECK(kin_group_close(&g, 0) < 0);
    if (!closes)
        CHECK_CODE(kin_close(fds[1]), 0);
    kin_tls_context_free(half.context);
    return half;
}

TLS_TEST(plain_http_is_told_from_tls)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    struct half half = meets("server", request, strlen(request), false);

    CHECK_CODE(half.code, KIN_ETLS_HANDSHAKE);
    CHECK_HAS(half.why, "http request");
    half = meets("client", answer, strlen(answer), false);
    CHECK_CODE(half.code, KIN_ETLS_HANDSHAKE);
    CHECK_HAS(half.why, "wrong version number");
}

TLS_TEST(garbage_is_no_handshake)
{
    static char garbage[70000];
    struct half half;

    for (unsigned seed = 1; seed <= 20; seed++) {
        tap_note("seed %u", seed);
        srand(seed);
        for (size_t i = 0; i < sizeof garbage; i++)
            garbage[i] = (char)rand();
        garbage[0] = seed % 2 ? garbage[0] : 0x16;      /* half of them begin well */
        garbage[1] = seed % 4 ? garbage[1] : 3;
        half = meets(seed & 4 ? "client" : "server", garbage, seed < 10 ? 50 : sizeof garbage,
                     true);
        CHECK(half.code == KIN_ETLS_HANDSHAKE || half.code == KIN_ETLS_TRUNCATED ||
              half.code == -ECONNRESET || half.code == -EPIPE || half.code == KIN_ETLS_REFUSED);
    }
}

TLS_TEST(a_peer_that_closes_in_the_handshake_has_cut_it_off)
{
    struct half half = meets("server", "\x16\x03\x01", 3, true);

    CHECK_CODE(half.code, KIN_ETLS_TRUNCATED);
    half = meets("server", NULL, 0, true);
    CHECK_CODE(half.code, KIN_ETLS_TRUNCATED);
    CHECK_HAS(half.why, "cut off");
}

TLS_TEST(an_alert_in_the_handshake_is_a_refusal)
{
    struct half half = meets("client", "\x15\x03\x03\x00\x02\x02\x28", 7, false);

    CHECK_CODE(half.code, KIN_ETLS_REFUSED);
    CHECK_HAS(half.why, "alert handshake failure");
    CHECK_HAS(half.why, "TLS with localhost");
    half = meets("client", "\x15\x03\x03\x00\x02\x01\x00", 7, false);
    CHECK_CODE(half.code, KIN_ETLS_TRUNCATED);          /* close_notify */
}

TLS_TEST(a_peer_that_resets_in_the_handshake_is_the_systems_code)
{
    struct half half = { .context = server_context() };
    const struct linger at_once = { 1, 0 };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    int fds[2];

    tcp_pair(fds);
    half.fd = fds[0];
    CHECK_CODE(kin_spawn(&g, shake_alone, &half, .name = "server"), 0);
    CHECK_CODE(kin_yield(), 0);
    CHECK_INT(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    CHECK_CODE(kin_close(fds[1]), 0);
    CHECK_CODE(kin_group_close(&g, 0), -ECONNRESET);
    CHECK_HAS(half.why, "reset");
    kin_tls_context_free(half.context);
}

/* A peer that says nothing, or not all: a limit around the handshake ends it. */
static void times_out(const char *side, const char *text, size_t size)
{
    struct half half = { .context = side[0] == 'c' ? client_context() : server_context() };
    kin_group g;
    int fds[2];

    tcp_pair(fds);
    half.fd = fds[0];
    CHECK_CODE(kin_write_all(fds[1], text, size, NULL), 0);
    g = kin_group_open(.timeout = KIN_MS(20));
    CHECK_CODE(kin_spawn(&g, shake_alone, &half, .name = side), 0);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_CODE(half.code, KIN_ECANCELED);
    CHECK_CODE(kin_close(fds[1]), 0);
    kin_tls_context_free(half.context);
}

TLS_TEST(a_limit_ends_a_handshake_that_stands_still)
{
    times_out("client", NULL, 0);
    times_out("server", NULL, 0);
    times_out("server", "\x16\x03\x01\x01\x00\x01\x00", 7);
}

/* ------------------------------------------------------- wrong use, bad files */

TLS_TEST(the_descriptor_is_closed_whatever_was_wrong)
{
    kin_tls_context *client = client_context(), *server = server_context();
    kin_stream stream;
    kin_scope scope;
    int fds[2];

    tcp_pair(fds);                              /* io_body counts descriptors */
    CHECK_CODE(kin_tls_connect(&stream, fds[0], client), KIN_EINVAL);
    CHECK_CODE(kin_tls_connect(&stream, fds[1], server, .host = "localhost"), KIN_EINVAL);
    CHECK_CODE(kin_stream_close(&stream), 0);
    tcp_pair(fds);
    CHECK_CODE(kin_tls_accept(&stream, fds[0], client), KIN_EINVAL);
    scope = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_tls_accept(&stream, fds[1], server), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&scope, 0), 0);
    CHECK_CODE(kin_tls_connect(&stream, -1, client, .host = "localhost"), -EBADF);
    kin_tls_context_free(client);
    kin_tls_context_free(server);
}

TLS_TEST(a_host_that_cannot_be_one_is_invalid)
{
    kin_tls_context *client = client_context();
    char longer[400];
    kin_stream stream;
    int fds[2];

    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    tcp_pair(fds);
    CHECK_CODE(kin_tls_connect(&stream, fds[0], client, .host = longer), KIN_EINVAL);
    CHECK_CODE(kin_tls_connect(&stream, fds[1], client, .host = ""), KIN_EINVAL);
    kin_tls_context_free(client);
}

static void server_is(int wanted, const char *why, struct kin_tls_options options)
{
    kin_tls_context *context = (void *)&options;

    options.at = KIN_HERE;
    CHECK_CODE(kin_tls_server_open_with(&context, &options), wanted);
    CHECK(!context);
    if (why)
        CHECK_HAS(kin_error_last()->message, why);
}

static void client_is(int wanted, const char *why, struct kin_tls_options options)
{
    kin_tls_context *context = (void *)&options;

    options.at = KIN_HERE;
    CHECK_CODE(kin_tls_client_open_with(&context, &options), wanted);
    CHECK(!context);
    if (why)
        CHECK_HAS(kin_error_last()->message, why);
}

#define OPTIONS(...) (struct kin_tls_options){ __VA_ARGS__ }

TLS_TEST(options_that_make_no_sense_are_invalid)
{
    const struct kin_tls_certificate none[] = { { 0 } };
    const char *pem_of = pem(SERVER);

    server_is(KIN_EINVAL, NULL, OPTIONS(.least = 0));
    server_is(KIN_EINVAL, NULL, OPTIONS(.certificate.pem = pem_of, .least = 11));
    server_is(KIN_EINVAL, NULL, OPTIONS(.certificate.pem = pem_of, .insecure = true));
    server_is(KIN_EINVAL, NULL, OPTIONS(.certificate.pem = pem_of, .ca_pem = pem(CA)));
    server_is(KIN_EINVAL, NULL, OPTIONS(.certificate.pem = pem_of,
                                        .clients = KIN_TLS_CLIENTS_KNOWN));
    server_is(KIN_EINVAL, NULL, OPTIONS(.certificate.pem = pem_of, .more = none, .more_count = 1));
    client_is(KIN_EINVAL, NULL, OPTIONS(.more = none, .more_count = 1));
    client_is(KIN_EINVAL, NULL, OPTIONS(.clients = KIN_TLS_CLIENTS_ASKED));
    client_is(KIN_EINVAL, NULL, OPTIONS(.insecure = true, .ca_pem = pem(CA)));
    client_is(KIN_EINVAL, NULL, OPTIONS(.insecure = true,
                                        .alpn = (const char *const[]){ "", NULL }));
    client_is(KIN_EINVAL, NULL, OPTIONS(.insecure = true, .alpn = (const char *const[]){ NULL }));
}

TLS_TEST(files_that_cannot_be_read_have_the_systems_code)
{
    server_is(-ENOENT, "nowhere.pem", OPTIONS(.certificate.file = "/nowhere.pem"));
    server_is(-ENOENT, "nowhere.key", OPTIONS(.certificate.file = pem_file(SERVER),
                                              .certificate.key_file = "/nowhere.key"));
    server_is(-EISDIR, "/tmp", OPTIONS(.certificate.file = "/tmp"));
    client_is(-ENOENT, "nowhere.pem", OPTIONS(.ca_file = "/nowhere.pem"));
    client_is(-EFBIG, "/dev/zero", OPTIONS(.ca_file = "/dev/zero"));
}

/* OpenSSL would ask for the password on the terminal. */
static char *locked_key(void)
{
    char command[400], *text = calloc(1, 8192);
    FILE *file;

    snprintf(command, sizeof command, "openssl pkey -in %s -aes128 -passout pass:secret -out %s",
             pem_file(SERVER), scratch("locked.pem"));
    CHECK_INT(system(command), 0);
    file = fopen(scratch("locked.pem"), "r");
    CHECK(text && file && fread(text, 1, 8191, file) > 0);
    fclose(file);
    return text;
}

TLS_TEST(pem_that_is_no_good_says_why)
{
    char *locked = locked_key(), broken[4096];

    snprintf(broken, sizeof broken, "%s", pem(SERVER));
    memcpy(strstr(broken, "\n") + 10, "!!!!", 4);
    server_is(KIN_ETLS_SETUP, "no start line", OPTIONS(.certificate.pem = ""));
    server_is(KIN_ETLS_SETUP, "PEM: ", OPTIONS(.certificate.pem = broken));
    server_is(KIN_ETLS_SETUP, NULL, OPTIONS(.certificate.pem = pem(CA)));
    server_is(KIN_ETLS_SETUP, "key values mismatch",
              OPTIONS(.certificate.pem = pem(SERVER), .certificate.key_pem = key_of(CLIENT)));
    server_is(KIN_ETLS_SETUP, "different key types",
              OPTIONS(.certificate.pem = pem(SERVER), .certificate.key_pem = key_of(RSA_SERVER)));
    server_is(KIN_ETLS_SETUP, "password",
              OPTIONS(.certificate.pem = pem(SERVER), .certificate.key_pem = locked));
    client_is(KIN_ETLS_SETUP, "no start line", OPTIONS(.ca_pem = "nothing here"));
    client_is(KIN_ETLS_SETUP, "PEM: ", OPTIONS(.ca_pem = broken));
    free(locked);
}

TLS_TEST(codes_have_names_and_sentences)
{
    CHECK_STR(kin_code_name(KIN_ETLS_TRUNCATED), "KIN_ETLS_TRUNCATED");
    CHECK_HAS(kin_code_text(KIN_ETLS_TRUNCATED), "cut off");
    CHECK_STR(kin_class_name(KIN_CLASS_TLS), "tls");
    for (int i = 1; i <= 6; i++)
        CHECK_HAS(kin_code_name(KIN_CODE(KIN_CLASS_TLS, i)), "KIN_ETLS_");
    CHECK(strstr(kin_code_name(KIN_CODE(KIN_CLASS_TLS, 7)), "KIN_ETLS_") == NULL);
}
