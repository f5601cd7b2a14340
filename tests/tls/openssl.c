/* Against other programs: OpenSSL's own server and client, and curl. */
#include "tls_test.h"

#include "kin_os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void start(kin_process *process, const char *const argv[])
{
    CHECK_CODE(kin_process_start(process, argv, .in = KIN_PIPE, .out = KIN_PIPE,
                                 .err = KIN_TO_OUT), 0);
}

static void finish(kin_process *process)
{
    CHECK_CODE(kin_process_end(process, 0), 0);
}

/* -------------------------------------------------------- openssl s_server */

/* It says "ACCEPT 127.0.0.1:34567" once it can be reached. */
static int port_of(kin_stream *output)
{
    const char *colon;
    char *line;

    for (;;) {
        CHECK_CODE(kin_stream_read_line(output, &line, NULL), 1);
        if (strncmp(line, "ACCEPT", 6) == 0) {
            colon = strrchr(line, ':');
            CHECK(colon != NULL);
            return atoi(colon + 1);
        }
    }
}

static int dial(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = kin_connect((struct sockaddr *)&address, sizeof address);

    CHECK(fd >= 0);
    return fd;
}

/* A server that turns lines around, with these further arguments. */
static void turns_around(kin_tls_context *context, int version, const char *const *more)
{
    const char *argv[32] = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-rev",
                             "-cert", pem_file(SERVER), "-CAfile", pem_file(CA) };
    struct kin_tls_facts facts;
    kin_stream output, stream;
    kin_process server;
    int count = 9;
    char *line;

    while (*more)
        argv[count++] = *more++;
    start(&server, argv);
    kin_stream_open(&output, server.out, .keep_open = true);
    CHECK_CODE(kin_tls_connect(&stream, dial(port_of(&output)), context, .host = "localhost"), 0);
    CHECK_CODE(kin_stream_printf(&stream, "stressed\n"), 0);
    CHECK_CODE(kin_stream_flush(&stream), 0);
    CHECK_CODE(kin_stream_read_line(&stream, &line, NULL), 1);
    CHECK_STR(line, "desserts");
    CHECK_CODE(kin_tls_facts(&stream, &facts), 0);
    CHECK_INT(facts.version, version);
    CHECK_STR(facts.peer, "CN=server");
    if (strcmp(argv[count - 1], "mine,yours") == 0)
        CHECK_STR(facts.alpn, "mine");
    CHECK_CODE(kin_stream_end(&stream), 0);
    CHECK_CODE(kin_stream_close(&stream), 0);
    CHECK_CODE(kin_stream_close(&output), 0);
    finish(&server);
}

#define WITH(...) (const char *const[]){ __VA_ARGS__, NULL }

TLS_TEST(a_client_of_s_server)
{
    kin_tls_context *context = client_context();

    turns_around(context, 13, WITH("-tls1_3"));
    turns_around(context, 12, WITH("-tls1_2"));
    turns_around(context, 13, WITH("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"));
    turns_around(context, 12, WITH("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"));
    turns_around(context, 13, WITH("-groups", "P-521"));        /* asked to begin again */
    kin_tls_context_free(context);
}

TLS_TEST(a_client_with_certificate_and_alpn_of_s_server)
{
    kin_tls_context *context;

    CHECK_CODE(kin_tls_client_open(&context, .ca_file = pem_file(CA),
                                   .certificate.file = pem_file(CLIENT),
                                   .alpn = (const char *const[]){ "yours", "mine", NULL }), 0);
    turns_around(context, 13, WITH("-Verify", "2", "-verify_return_error", "-alpn", "mine,yours"));
    turns_around(context, 12, WITH("-Verify", "2", "-verify_return_error", "-tls1_2", "-alpn",
                                   "mine,yours"));
    kin_tls_context_free(context);
}

/* --------------------------------------------- openssl s_client, and curl */

struct service {
    int listener;
    kin_tls_context *context;
    int code, served;
    char host[64], peer[64];
};

/* Answers one line with a page of 200,000 bytes, and ends. */
static int serve(void *arg)
{
    struct service *service = arg;
    struct kin_tls_facts facts;
    kin_stream stream;
    char *line;
    int rc, fd = kin_accept(service->listener);

    CHECK(fd >= 0);
    rc = kin_tls_accept(&stream, fd, service->context);
    if (rc == 0 && (rc = kin_stream_read_line(&stream, &line, NULL)) == 1) {
        kin_tls_facts(&stream, &facts);
        snprintf(service->host, sizeof service->host, "%s", facts.host ? facts.host : "");
        snprintf(service->peer, sizeof service->peer, "%s", facts.peer ? facts.peer : "");
        kin_stream_printf(&stream, "HTTP/1.0 200 OK\r\n\r\n");
        for (int i = 0; i < 10000; i++)
            kin_stream_printf(&stream, "this is line %6d\n", i);
        rc = kin_stream_end(&stream);
    }
    kin_stream_close(&stream);
    service->code = rc;
    return 0;
}

/* Runs the program, with $PORT in its arguments replaced; its exit code and output. */
static int visit(struct service *service, const char *command, struct kin_output *output)
{
    struct sockaddr_in address;
    kin_group g = kin_group_open();
    kin_process process;
    char line[1024];
    int code;

    service->listener = tcp_listener(&address, 0);
    CHECK_CODE(kin_spawn(&g, serve, service), 0);
    snprintf(line, sizeof line, "PORT=%d; %s", ntohs(address.sin_port), command);
    start(&process, (const char *const[]){ "sh", "-c", line, NULL });
    CHECK_CODE(kin_process_communicate(&process, "GET / HTTP/1.0\n", 15, output, NULL, 0), 0);
    code = process.exit_code;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_close(service->listener), 0);
    return code;
}

static void is_visited(struct service *service, const char *format, const char *host,
                       const char *peer)
{
    struct kin_output output = { 0 };
    char command[800];
    int code;

    snprintf(command, sizeof command, format, pem_file(CA), pem_file(CLIENT));
    tap_note("%s", command);
    code = visit(service, command, &output);
    if (code != 0 || service->code != 0)
        FAIL("exit code %d, server %s: %.300s", code, kin_code_name(service->code), output.data);
    CHECK_HAS(output.data, "this is line      0\n");
    CHECK_HAS(output.data, "this is line   9999\n");
    CHECK_STR(service->host, host);
    CHECK_STR(service->peer, peer);
    free(output.data);
}

TLS_TEST(a_server_of_s_client)
{
    struct service service = { .context = server_context() };

    is_visited(&service, "openssl s_client -quiet -verify_return_error -CAfile %s "
               "-connect 127.0.0.1:$PORT -servername localhost", "localhost", "");
    is_visited(&service, "openssl s_client -quiet -verify_return_error -CAfile %s "
               "-connect 127.0.0.1:$PORT -noservername -tls1_2", "", "");
    kin_tls_context_free(service.context);
}

TLS_TEST(a_server_of_s_client_with_certificate)
{
    struct service service = { 0 };

    CHECK_CODE(kin_tls_server_open(&service.context, .certificate.file = pem_file(SERVER),
                                   .clients = KIN_TLS_CLIENTS_KNOWN, .ca_file = pem_file(CA)), 0);
    is_visited(&service, "openssl s_client -quiet -verify_return_error -CAfile %s -cert %s "
               "-connect 127.0.0.1:$PORT -servername www.example.org", "www.example.org",
               "CN=alice");
    kin_tls_context_free(service.context);
}

TLS_TEST(a_server_of_curl)
{
    struct service service = { .context = server_context() };
    struct kin_output output = { 0 };

    if (system("command -v curl >/dev/null") != 0)
        SKIP("no curl");
    is_visited(&service, "curl -sS --noproxy '*' --cacert %s https://localhost:$PORT/", "localhost",
               "");
    CHECK_INT(visit(&service, "curl -sS --noproxy '*' https://localhost:$PORT/", &output), 60);
    CHECK_CODE(service.code, KIN_ETLS_REFUSED);
    free(output.data);
    kin_tls_context_free(service.context);
}
