/* Servers that lie, stall, cut, flood; each a clear error, none a hang. Limits
 * that end a request are kin's: a scope's deadline. */
#include "http_test.h"

static int get(const char *path, kin_http_response *r)
{
    return kin_http_get(url("HOSTILE", "%s", path), r);
}

static void check_fails(const char *path, int code, const char *words)
{
    kin_http_response r;

    CHECK_CODE(get(path, &r), code);
    CHECK_HAS(last_message(), path);
    CHECK_HAS(last_message(), words);
    CHECK_HAS(kin_error_last()->at, "hostile.c:");
    kin_http_response_free(&r);
}

HTTP_TEST(a_body_shorter_than_its_content_length)
{
    kin_http_response r;

    check_fails("/short", KIN_EHTTP(18), "90 bytes remaining");
    CHECK_STR(kin_code_name(KIN_EHTTP(18)), "CURLE_PARTIAL_FILE");
    CHECK_CODE(get("/short", &r), KIN_EHTTP(18));
    CHECK_INT(r.status, 200);
    CHECK_STR(r.body, "ten bytes.");
    CHECK_STR(kin_http_header(&r, "content-length"), "100");
    kin_http_response_free(&r);
}

HTTP_TEST(a_body_longer_than_its_content_length)
{
    kin_http_response r;

    for (int i = 0; i < 3; i++) {
        CHECK_CODE(get("/long", &r), 0);
        CHECK_STR(r.body, "ten bytes.");
        kin_http_response_free(&r);
    }
}

HTTP_TEST(a_refused_port)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("REFUSED", "/"), &r), KIN_EHTTP(7));
    CHECK_STR(kin_code_name(KIN_EHTTP(7)), "CURLE_COULDNT_CONNECT");
    CHECK_HAS(last_message(), "GET http://127.0.0.1:");
    CHECK_HAS(last_message(), "connect");
    CHECK_INT(r.status, 0);
    CHECK_STR(r.url, url("REFUSED", "/"));
    CHECK(kin_error_count(kin_error_last(), kin_match_http()) == 1);
    kin_http_response_free(&r);
}

HTTP_TEST(a_connection_cut)
{
    check_fails("/cut", KIN_EHTTP(18), "");     /* a head without its end: fine for curl */
    check_fails("/silent", KIN_EHTTP(52), "Empty reply");
    check_fails("/cut_chunk", KIN_EHTTP(18), "outstanding read data");
    check_fails("/bad_chunk", KIN_EHTTP(56), "");
}

HTTP_TEST(a_connection_reset)
{
    check_fails("/reset", KIN_EHTTP(56), "reset");
    CHECK_STR(kin_code_name(KIN_EHTTP(56)), "CURLE_RECV_ERROR");
}

HTTP_TEST(garbage_instead_of_an_answer)
{
    check_fails("/garbage", KIN_EHTTP(1), "HTTP/0.9");
}

HTTP_TEST(a_gigabyte_of_headers)
{
    kin_http_response r;

    check_fails("/headers", KIN_EHTTP_HEADERS, "longer than max_headers");
    check_fails("/tiny_headers", KIN_EHTTP_HEADERS, "");
    check_fails("/early_hints", KIN_EHTTP_HEADERS, "");
    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/headers"), .max_headers = 5000),
               KIN_EHTTP_HEADERS);
    CHECK(r.header_count > 0 && r.header_count < 5);
    kin_http_response_free(&r);
}

HTTP_TEST(one_header_of_a_gigabyte)
{
    check_fails("/one_header", KIN_EHTTP_HEADERS, "");
}

HTTP_TEST(a_redirect_loop)
{
    check_fails("/loop", KIN_EHTTP(47), "Maximum (10) redirects");
}

HTTP_TEST(a_body_without_end)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/huge"), .max_body = 1 << 20),
               KIN_EHTTP_TOO_LARGE);
    CHECK_INT(r.status, 200);
    CHECK(r.body_size <= 1 << 20);
    CHECK_HAS(last_message(), "longer than max_body");
    kin_http_response_free(&r);
    check_fails("/huge", KIN_EHTTP_TOO_LARGE, "");
}

HTTP_TEST(a_cap_is_what_it_says)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/zeros/1000"), .max_body = 1000), 0);
    CHECK_INT(r.body_size, 1000);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/zeros/1001"), .max_body = 1000),
               KIN_EHTTP_TOO_LARGE);
    kin_http_response_free(&r);
}

HTTP_TEST(a_zip_bomb)
{
    check_fails("/bomb", KIN_EHTTP_TOO_LARGE, "");
}

HTTP_TEST(a_broken_compressed_body)
{
    kin_http_response r;

    CHECK(kin_class(get("/bad_gzip", &r)) == KIN_CLASS_HTTP);
    kin_http_response_free(&r);
}

/* ------------------------------------------------------------ old and odd */

HTTP_TEST(http_1_0)
{
    kin_http_response r;

    CHECK_CODE(get("/old", &r), 0);
    CHECK_INT(r.http_version, 10);
    CHECK_STR(r.body, "old");
    CHECK_STR(r.type, "text/old");
    kin_http_response_free(&r);
}

HTTP_TEST(odd_headers)
{
    kin_http_response r;

    CHECK_CODE(get("/folded", &r), 0);
    CHECK_STR(kin_http_header(&r, "X-Folded"), "one two");
    CHECK_STR(kin_http_header(&r, "X-Empty"), "");
    CHECK_STR(kin_http_header(&r, "x-twice"), "1");
    CHECK(r.type == NULL);
    CHECK_INT(r.header_count, 5);
    kin_http_response_free(&r);
    CHECK_CODE(get("/trailers", &r), 0);
    CHECK_STR(r.body, "abc");
    kin_http_response_free(&r);
}

/* ---------------------------------------------------- kin's limit ends them */

static void check_limit(const char *address, int status)
{
    kin_http_response r;
    int64_t start = now();
    kin_scope s = kin_scope_open(.timeout = KIN_MS(200));
    int rc = kin_http(&r, .url = address, .insecure = true);

    CHECK_CODE(rc, KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, rc), KIN_ETIMEDOUT);
    CHECK(now() - start >= KIN_MS(200));
    CHECK_WITHIN(start, 5);
    CHECK_INT(r.status, status);
    kin_http_response_free(&r);
}

HTTP_TEST(a_server_that_stalls)
{
    check_limit(url("HOSTILE", "/stall"), 0);
    check_limit(url("HOSTILE", "/half"), 200);
}

HTTP_TEST(a_server_that_drips)
{
    check_limit(url("HOSTILE", "/drip"), 200);
}

HTTP_TEST(a_server_that_never_shakes_hands)
{
    char address[64];

    check_limit(url("MUTE", "/"), 0);
    snprintf(address, sizeof address, "https://127.0.0.1:%d/", port_of("MUTE"));
    check_limit(address, 0);
}
