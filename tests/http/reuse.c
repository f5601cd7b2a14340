/* Easy handles are used again, and where only the URL is another not even reset: nothing
 * of one request may be seen in the next. One task after another uses the same handle. */
#include "http_test.h"

/* A plain request, of which only what it asks for itself may be seen. */
static void check_plain(void)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HOSTILE", "/echo"), &r), 0);
    CHECK_INT(r.status, 200);
    CHECK_INT(r.redirects, 0);
    CHECK_HAS(r.body, "GET /echo\n");
    CHECK_HAS(r.body, "User-Agent: kin/" KIN_VERSION "\n");
    CHECK_HAS(r.body, "Accept-Encoding: ");
    CHECK(strstr(r.body, "Authorization") == NULL);
    CHECK(strstr(r.body, "X-Mine") == NULL);
    CHECK(strstr(r.body, "Content-Length") == NULL);
    kin_http_response_free(&r);
}

#define BETWEEN_PLAIN_ONES(code, ...)                  \
    do {                                               \
        kin_http_response r;                           \
        check_plain();                                 \
        check_plain();                                 \
        CHECK_CODE(kin_http(&r, __VA_ARGS__), (code)); \
        kin_http_response_free(&r);                    \
        check_plain();                                 \
        check_plain();                                 \
    } while (0)

HTTP_TEST(nothing_is_left_of_what_the_last_request_asked_for)
{
    static const char *const headers[] = { "X-Mine: yes", NULL };

    BETWEEN_PLAIN_ONES(0, .url = url("HOSTILE", "/echo"), .headers = headers);
    BETWEEN_PLAIN_ONES(0, .url = url("HOSTILE", "/echo"), .body = "text", .body_size = 4);
    BETWEEN_PLAIN_ONES(0, .url = url("HOSTILE", "/echo"), .method = "PUT", .body = "x",
                       .body_size = 1);
    BETWEEN_PLAIN_ONES(0, .url = url("HTTP", "/hello.txt"), .method = "HEAD");
    BETWEEN_PLAIN_ONES(0, .url = url("HOSTILE", "/echo"), .user_agent = "me");
    BETWEEN_PLAIN_ONES(0, .url = url("HOSTILE", "/echo"), .no_compression = true);
    BETWEEN_PLAIN_ONES(0, .url = url("HTTP", "/moved"), .max_redirects = -1);
    BETWEEN_PLAIN_ONES(0, .url = url("HOSTILE", "/hops/3"));
    BETWEEN_PLAIN_ONES(0, .url = "http://nowhere.invalid/x", .proxy = url("PROXY", "/"));
    BETWEEN_PLAIN_ONES(KIN_EHTTP(7), .url = url("REFUSED", "/"));
    BETWEEN_PLAIN_ONES(KIN_EHTTP_TOO_LARGE, .url = url("HTTP", "/long.txt"), .max_body = 10);
}

HTTP_TEST(whether_redirects_are_followed_is_asked_each_time)
{
    const char *address = url("HTTP", "/moved");
    kin_http_response r;

    for (int i = 0; i < 6; i++) {
        CHECK_CODE(kin_http(&r, .url = address, .max_redirects = i % 2 ? -1 : 0), 0);
        CHECK_INT(r.status, i % 2 ? 302 : 200);
        kin_http_response_free(&r);
        CHECK_CODE(kin_http(&r, .url = url("HTTP", "/hello.txt"),
                            .max_redirects = i % 2 ? 0 : -1), 0);
        kin_http_response_free(&r);
    }
}

HTTP_TEST(whether_to_compress_is_asked_each_time)
{
    kin_http_response r;

    for (int i = 0; i < 6; i++) {
        CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/echo"), .no_compression = i % 2), 0);
        CHECK((strstr(r.body, "Accept-Encoding") == NULL) == (i % 2 == 1));
        kin_http_response_free(&r);
    }
}

HTTP_TEST(no_password_is_left_of_the_last_url)
{
    char address[80];
    kin_http_response r;

    snprintf(address, sizeof address, "http://user:secret@127.0.0.1:%d/echo", port_of("HOSTILE"));
    for (int i = 0; i < 3; i++) {
        check_plain();
        CHECK_CODE(kin_http_get(address, &r), 0);
        CHECK_HAS(r.body, "Authorization: Basic ");
        kin_http_response_free(&r);
        check_plain();
    }
}

HTTP_TEST(a_failed_request_shows_nothing_of_the_last)
{
    kin_http_response r;

    check_plain();
    check_plain();
    CHECK_CODE(kin_http_get(url("REFUSED", "/"), &r), KIN_EHTTP(7));
    CHECK_INT(r.status, 0);
    CHECK_INT(r.header_count, 0);
    CHECK_INT(r.http_version, 0);
    CHECK(r.remote == NULL && r.type == NULL);
    kin_http_response_free(&r);
}

/* The file may change where its name stands, and the trust with it. */
HTTP_TEST(who_is_trusted_is_looked_at_each_time)
{
    char ca[600], other[600];
    kin_http_response r;

    snprintf(ca, sizeof ca, "%s", file("ca.pem"));
    snprintf(other, sizeof other, "%s", file("other.pem"));
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .ca_file = ca), 0);
        kin_http_response_free(&r);
        CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .ca_file = ca), 0);
        kin_http_response_free(&r);
        memcpy(ca, other, sizeof ca);
        CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .ca_file = ca), KIN_EHTTP(60));
        kin_http_response_free(&r);
        CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .ca_file = ca,
                            .insecure = true), 0);
        kin_http_response_free(&r);
        CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .ca_file = ca), KIN_EHTTP(60));
        kin_http_response_free(&r);
        CHECK_CODE(kin_http_get(url("HTTPS", "/hello.txt"), &r), KIN_EHTTP(60));
        kin_http_response_free(&r);
        snprintf(ca, sizeof ca, "%s", file("ca.pem"));
    }
}
