/* What is sent: methods, headers, bodies; and what is refused before it is. The
 * hostile server's /echo answers with the request as it saw it. */
#include "http_test.h"

#define ECHO url("HOSTILE", "/echo")

HTTP_TEST(post_from_memory)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = ECHO, .body = "a=1", .body_size = 3), 0);
    CHECK_HAS(r.body, "POST /echo\n");
    CHECK_HAS(r.body, "Content-Length: 3\n");
    CHECK_HAS(r.body, "\n\na=1");
    CHECK(strstr(r.body, "Content-Type") == NULL);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = ECHO, .method = "POST"), 0);
    CHECK_HAS(r.body, "Content-Length: 0\n");
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = ECHO, .body = ""), 0);
    CHECK_HAS(r.body, "POST /echo\n");
    kin_http_response_free(&r);
}

HTTP_TEST(post_without_waiting_for_permission)
{
    size_t size = 4 << 20;
    char *body = malloc(size);
    kin_http_response r;
    int64_t start = now();

    CHECK(body != NULL);
    memset(body, 'x', size);
    CHECK_CODE(kin_http(&r, .url = ECHO, .body = body, .body_size = size), 0);
    CHECK(r.body_size > size);
    CHECK(strstr(r.body, "Expect") == NULL);
    CHECK(memcmp(r.body + r.body_size - size, body, size) == 0);
    CHECK_WITHIN(start, 10);
    kin_http_response_free(&r);
    free(body);
}

HTTP_TEST(methods)
{
    static const char *const names[] = { "PUT", "PATCH", "DELETE", "OPTIONS", "FROB-2" };
    kin_http_response r;
    char line[64];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CHECK_CODE(kin_http(&r, .url = ECHO, .method = names[i]), 0);
        snprintf(line, sizeof line, "%s /echo\n", names[i]);
        CHECK_HAS(r.body, line);
        kin_http_response_free(&r);
        CHECK_CODE(kin_http(&r, .url = ECHO, .method = names[i], .body = "body", .body_size = 4),
                   0);
        CHECK_HAS(r.body, line);
        CHECK_HAS(r.body, "Content-Length: 4\n");
        CHECK_HAS(r.body, "\n\nbody");
        kin_http_response_free(&r);
    }
    CHECK_CODE(kin_http(&r, .url = ECHO, .method = "GET", .body = "body", .body_size = 4), 0);
    CHECK_HAS(r.body, "GET /echo\n");
    kin_http_response_free(&r);
}

HTTP_TEST(headers_are_sent)
{
    static const char *const headers[] = { "X-One: 1", "X-Empty:", "X-Blank: ", "Accept: text/x",
                                           "Content-Type: a/b", NULL };
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = ECHO, .headers = headers, .body = "x", .body_size = 1,
                        .user_agent = "tester"), 0);
    CHECK_HAS(r.body, "X-One: 1\n");
    CHECK_HAS(r.body, "X-Empty:");
    CHECK_HAS(r.body, "X-Blank:");
    CHECK_HAS(r.body, "Accept: text/x\n");
    CHECK(strstr(r.body, "Accept: */*") == NULL);
    CHECK_HAS(r.body, "Content-Type: a/b\n");
    CHECK_HAS(r.body, "User-Agent: tester\n");
    kin_http_response_free(&r);
    CHECK_CODE(kin_http_get(ECHO, &r), 0);
    CHECK_HAS(r.body, "User-Agent: kin/");
    CHECK_HAS(r.body, "Accept-Encoding: ");
    CHECK_HAS(r.body, "gzip");
    kin_http_response_free(&r);
}

/* ------------------------------------------------------------ from a source */

struct source {
    size_t left, piece;
    int end;                    /* what it returns when nothing is left */
    int64_t pause;
};

static ssize_t give(void *arg, void *buffer, size_t size)
{
    struct source *s = arg;
    size_t n = s->left < s->piece ? s->left : s->piece;

    if (s->pause) {
        int rc = kin_sleep(s->pause);

        if (rc < 0)
            return rc;
    }
    if (n == 0)
        return s->end;
    if (n > size)
        n = size;
    memset(buffer, 's', n);
    s->left -= n;
    return (ssize_t)n;
}

static void check_source(const char *method, size_t size, bool told)
{
    struct source s = { size, 1000, 0, 0 };
    kin_http_response r;
    const char *body;

    CHECK_CODE(kin_http(&r, .url = ECHO, .method = method, .source = give, .source_arg = &s,
                        .source_size = told ? (int64_t)size : 0), 0);
    CHECK_HAS(r.body, method);
    CHECK_HAS(r.body, told ? "Content-Length: " : "Transfer-Encoding: chunked\n");
    body = strstr(r.body, "\n\n");
    CHECK(body != NULL);
    CHECK_INT(strspn(body + 2, "s"), size);
    CHECK_INT(strlen(body + 2), size);
    kin_http_response_free(&r);
}

HTTP_TEST(a_source_of_known_size)
{
    check_source("POST", 1, true);
    check_source("POST", 300 * 1000, true);
    check_source("PUT", 300 * 1000, true);
    check_source("PATCH", 1001, true);
}

HTTP_TEST(a_source_of_unknown_size)
{
    check_source("POST", 0, false);
    check_source("POST", 300 * 1000, false);
    check_source("PUT", 300 * 1000, false);
}

HTTP_TEST(a_source_over_http2)
{
    struct source s = { 200 * 1000, 1 << 20, 0, 0 };
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/echo"), .method = "PUT", .source = give,
                        .source_arg = &s, .ca_file = file("ca.pem")), 0);
    CHECK_INT(r.http_version, 20);
    CHECK_HAS(r.body, "PUT /echo");
    CHECK_INT(strspn(strstr(r.body, "\n\n") + 2, "s"), 200 * 1000);
    kin_http_response_free(&r);
}

HTTP_TEST(a_source_that_blocks)
{
    struct source s = { 3000, 1000, 0, KIN_MS(50) };
    kin_http_response r;
    int64_t start = now();

    CHECK_CODE(kin_http(&r, .url = ECHO, .source = give, .source_arg = &s, .source_size = 3000), 0);
    CHECK(now() - start >= KIN_MS(150));
    kin_http_response_free(&r);
}

HTTP_TEST(a_source_that_fails_ends_the_request)
{
    struct source s = { 3000, 1000, KIN_CODE(KIN_CLASS_USER, 7), 0 };
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = ECHO, .source = give, .source_arg = &s),
               KIN_CODE(KIN_CLASS_USER, 7));
    kin_http_response_free(&r);
}

HTTP_TEST(a_source_that_lies_about_its_size)
{
    struct source s = { 3000, 1000, 0, 0 };
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = ECHO, .source = give, .source_arg = &s, .source_size = 5000),
               KIN_EINVAL);
    CHECK_HAS(last_message(), "ended before its size");
    kin_http_response_free(&r);
    s = (struct source){ 3000, 1000, 0, 0 };
    CHECK_CODE(kin_http(&r, .url = ECHO, .source = give, .source_arg = &s, .source_size = 2500),
               0);
    CHECK_INT(s.left, 500);
    kin_http_response_free(&r);
}

HTTP_TEST(an_answer_before_the_body_was_sent)
{
    struct source s = { 64 << 20, 64 << 10, 0, KIN_MS(1) };
    kin_http_response r;
    int rc = kin_http(&r, .url = url("HOSTILE", "/early"), .source = give, .source_arg = &s,
                      .source_size = 64 << 20);

    /* The connection may be reset before the answer was read, as in any HTTP client. */
    CHECK(rc == 0 ? r.status == 413 : kin_class(rc) == KIN_CLASS_HTTP);
    CHECK(s.left > 0);
    kin_http_response_free(&r);
}

/* ---------------------------------------------------------- after redirects */

static void check_redirect(const char *path, const char *method, const char *then)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "%s", path), .method = method, .body = "kept",
                        .body_size = 4), 0);
    CHECK_INT(r.redirects, 1);
    CHECK(strncmp(r.body, then, strlen(then)) == 0);
    CHECK_INT(strstr(r.body, "\n\nkept") != NULL, strcmp(then, "GET ") != 0);
    kin_http_response_free(&r);
}

HTTP_TEST(methods_after_redirects)
{
    check_redirect("/hops/1/302", "POST", "GET ");
    check_redirect("/hops/1/303", "POST", "GET ");
    check_redirect("/hops/1/307", "POST", "POST ");
    check_redirect("/hops/1/308", "PUT", "PUT ");
    check_redirect("/hops/1/302", "PATCH", "PATCH ");
    check_redirect("/hops/1/303", "PATCH", "GET ");
    check_redirect("/hops/1/303", "PUT", "GET ");
}

HTTP_TEST(a_source_cannot_be_sent_again)
{
    struct source s = { 1000, 1000, 0, 0 };
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/hops/1/307"), .source = give,
                        .source_arg = &s, .source_size = 1000), KIN_EHTTP(65));
    CHECK_STR(kin_code_name(KIN_EHTTP(65)), "CURLE_SEND_FAIL_REWIND");
    kin_http_response_free(&r);
}

/* The server has promised to keep the connection, and is about to close it: curl
 * would have to send the body again over another. */
HTTP_TEST(a_source_is_not_sent_over_a_dying_connection)
{
    struct source s = { 1000, 1000, 0, 0 };
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HOSTILE", "/once"), &r), 0);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = ECHO, .source = give, .source_arg = &s, .source_size = 1000),
               0);
    kin_http_response_free(&r);
}

HTTP_TEST(redirects_stay_with_http)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HOSTILE", "/elsewhere/file"), &r), KIN_EHTTP(1));
    CHECK_STR(kin_code_name(KIN_EHTTP(1)), "CURLE_UNSUPPORTED_PROTOCOL");
    kin_http_response_free(&r);
    CHECK_CODE(kin_http_get(url("HOSTILE", "/elsewhere/gopher"), &r), KIN_EHTTP(1));
    kin_http_response_free(&r);
}

/* ---------------------------------------------------------------- nonsense */

static int sink_nothing(void *arg, const void *data, size_t size)
{
    (void)arg, (void)data, (void)size;
    return 0;
}

HTTP_TEST(nonsense_is_refused)
{
    static const char *const two[] = { "X: y\r\nZ: injected", NULL };
    static const char *const none[] = { "no colon", NULL };
    static const char *const odd[] = { ": value", NULL };
    struct source s = { 1, 1, 0, 0 };
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .method = "GET"), KIN_EINVAL);
    CHECK_CODE(kin_http(NULL, .url = ECHO), KIN_EINVAL);
    CHECK_CODE(kin_http(&r, .url = ECHO, .headers = two), KIN_EINVAL);
    CHECK_CODE(kin_http(&r, .url = ECHO, .headers = none), KIN_EINVAL);
    CHECK_CODE(kin_http(&r, .url = ECHO, .headers = odd), KIN_EINVAL);
    CHECK_CODE(kin_http(&r, .url = ECHO, .method = "GET / HTTP/1.0\r\n"), KIN_EINVAL);
    CHECK_CODE(kin_http(&r, .url = ECHO, .method = ""), KIN_EINVAL);
    CHECK_CODE(kin_http(&r, .url = ECHO, .body_size = 3), KIN_EINVAL);
    CHECK_CODE(kin_http(&r, .url = ECHO, .body = "x", .source = give, .source_arg = &s),
               KIN_EINVAL);
    CHECK_CODE(kin_http(&r, .url = ECHO, .sink = sink_nothing, .to_fd = 1), KIN_EINVAL);
    CHECK_CODE(kin_http(&r, .url = ECHO, .to_fd = -1), KIN_EINVAL);
    CHECK_HAS(last_message(), "/echo");
}

HTTP_TEST(schemes_are_http_and_https)
{
    static const char *const others[] = { "ftp://127.0.0.1/", "file:///etc/passwd", "example.com",
                                          "", "gopher://x", "httpx://x" };
    kin_http_response r;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        CHECK_CODE(kin_http_get(others[i], &r), KIN_EHTTP_SCHEME);
        CHECK_HAS(last_message(), others[i]);
        CHECK_HAS(last_message(), "neither http: nor https:");
    }
    CHECK_STR(kin_code_name(KIN_EHTTP_SCHEME), "KIN_EHTTP_SCHEME");
    CHECK_STR(kin_class_name(kin_class(KIN_EHTTP_SCHEME)), "http");
}

HTTP_TEST(malformed_urls)
{
    static const char *const bad[] = { "http://", "http:///", "http://[::1", "http://a b/",
                                       "http://127.0.0.1:99999/", "http://x/\r\nInjected: 1" };
    kin_http_response r;
    char *endless = malloc(10 << 20);

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_CODE(kin_http_get(bad[i], &r), KIN_EHTTP(3));
        kin_http_response_free(&r);
    }
    CHECK_STR(kin_code_name(KIN_EHTTP(3)), "CURLE_URL_MALFORMAT");
    CHECK(endless != NULL);
    memset(endless, 'x', 10 << 20);
    memcpy(endless, "http://", 7);
    endless[(10 << 20) - 1] = '\0';
    CHECK(kin_http_get(endless, &r) < 0);
    CHECK(strlen(last_message()) < 256);
    kin_http_response_free(&r);
    free(endless);
}

HTTP_TEST(passwords_stay_out_of_errors)
{
    kin_http_response r;
    char address[128];

    snprintf(address, sizeof address, "http://user:secret@127.0.0.1:%d/x?a@b",
             port_of("REFUSED"));
    CHECK_CODE(kin_http_get(address, &r), KIN_EHTTP(7));
    CHECK(strstr(last_message(), "secret") == NULL);
    CHECK_HAS(last_message(), "@127.0.0.1:");
    CHECK_HAS(last_message(), "/x?a@b: ");
    kin_http_response_free(&r);
}
