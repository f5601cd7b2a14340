/* Plain requests, against servers that none of us wrote: nginx and Python's. */
#include "http_test.h"

HTTP_TEST(get_from_nginx)
{
    kin_http_response r;
    char remote[64];

    CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), 0);
    CHECK_INT(r.status, 200);
    CHECK_STR(r.body, "hello, kin\n");
    CHECK_INT(r.body_size, strlen("hello, kin\n"));
    CHECK_STR(r.type, "text/plain");
    CHECK_INT(r.http_version, 11);
    CHECK_INT(r.redirects, 0);
    CHECK_STR(r.url, url("HTTP", "/hello.txt"));
    snprintf(remote, sizeof remote, "127.0.0.1:%d", port_of("HTTP"));
    CHECK_STR(r.remote, remote);
    CHECK_HAS(kin_http_header(&r, "server"), "nginx");
    CHECK_STR(kin_http_header(&r, "CONTENT-LENGTH"), "11");
    CHECK(kin_http_header(&r, "Content") == NULL);
    CHECK(r.headers[r.header_count] == NULL);
    kin_http_response_free(&r);
    CHECK(r.body == NULL && r.headers == NULL && r.url == NULL);
    kin_http_response_free(&r);
}

HTTP_TEST(get_from_python)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("PYTHON", "/hello.txt"), &r), 0);
    CHECK_STR(r.body, "hello, kin\n");
    CHECK_HAS(kin_http_header(&r, "Server"), "SimpleHTTP");
    kin_http_response_free(&r);
    CHECK_CODE(kin_http_get(url("PYTHON", "/absent"), &r), 0);
    CHECK_INT(r.status, 404);
    kin_http_response_free(&r);
}

HTTP_TEST(get_over_ipv6)
{
    kin_http_response r;
    char address[64];

    snprintf(address, sizeof address, "http://[::1]:%d/hello.txt", port_of("HTTP"));
    CHECK_CODE(kin_http_get(address, &r), 0);
    CHECK_INT(r.status, 200);
    snprintf(address, sizeof address, "[::1]:%d", port_of("HTTP"));
    CHECK_STR(r.remote, address);
    kin_http_response_free(&r);
}

HTTP_TEST(get_a_body_without_bytes)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HTTP", "/empty.txt"), &r), 0);
    CHECK_STR(r.body, "");
    CHECK_INT(r.body_size, 0);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http_get(url("HTTP", "/nothing"), &r), 0);
    CHECK_INT(r.status, 204);
    CHECK_STR(r.body, "");
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/hello.txt"), .method = "HEAD"), 0);
    CHECK_STR(r.body, "");
    CHECK_STR(kin_http_header(&r, "Content-Length"), "11");
    kin_http_response_free(&r);
}

HTTP_TEST(get_ten_megabytes)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HTTP", "/big.bin"), &r), 0);
    CHECK_INT(r.body_size, 160 << 16);
    for (size_t i = 0; i < r.body_size; i++)
        if ((unsigned char)r.body[i] != (i % (1 << 16)) * 7 % 251)
            FAIL("byte %zu differs", i);
    kin_http_response_free(&r);
}

HTTP_TEST(a_bad_status_is_no_failed_transfer)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HTTP", "/teapot"), &r), 0);
    CHECK_STR(r.body, "short and stout");
    CHECK_CODE(kin_http_check(&r), KIN_EHTTP_STATUS(418));
    CHECK_HAS(last_message(), "/teapot");
    CHECK(kin_error_count(kin_error_last(), kin_match_http_client_error()) == 1);
    CHECK(kin_error_count(kin_error_last(), kin_match_http_server_error()) == 0);
    CHECK(kin_error_count(kin_error_last(), kin_match_http()) == 0);
    kin_http_response_free(&r);

    CHECK_CODE(kin_http_get(url("HTTP", "/broken"), &r), 0);
    CHECK_CODE(kin_http_check(&r), KIN_EHTTP_STATUS(503));
    CHECK_HAS(last_message(), "503 Service Unavailable");
    CHECK_HAS(kin_error_last()->at, "get.c:");
    CHECK_STR(kin_code_name(KIN_EHTTP_STATUS(503)), "HTTP_503");
    CHECK(kin_error_count(kin_error_last(), kin_match_http_server_error()) == 1);
    kin_http_response_free(&r);

    CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), 0);
    CHECK_CODE(kin_http_check(&r), 0);
    kin_http_response_free(&r);
}

/* --------------------------------------------------------------- redirects */

HTTP_TEST(redirects_are_followed_and_the_last_hop_is_shown)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HTTP", "/moved"), &r), 0);
    CHECK_INT(r.status, 200);
    CHECK_INT(r.redirects, 1);
    CHECK_STR(r.body, "hello, kin\n");
    CHECK_STR(r.url, url("HTTP", "/hello.txt"));
    CHECK(kin_http_header(&r, "Location") == NULL);
    kin_http_response_free(&r);

    CHECK_CODE(kin_http_get(url("HOSTILE", "/hops/7"), &r), 0);
    CHECK_INT(r.redirects, 7);
    CHECK_HAS(r.body, "GET /hops/0/302");
    CHECK(kin_http_header(&r, "X-Hop") == NULL);
    kin_http_response_free(&r);
}

HTTP_TEST(redirects_can_be_left_alone)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/moved"), .max_redirects = -1), 0);
    CHECK_INT(r.status, 302);
    CHECK_INT(r.redirects, 0);
    CHECK_HAS(kin_http_header(&r, "Location"), "/hello.txt");
    CHECK_CODE(kin_http_check(&r), 0);
    kin_http_response_free(&r);
}

HTTP_TEST(redirects_are_counted)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HOSTILE", "/hops/10"), &r), 0);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http_get(url("HOSTILE", "/hops/11"), &r), KIN_EHTTP(47));
    CHECK_STR(kin_code_name(KIN_EHTTP(47)), "CURLE_TOO_MANY_REDIRECTS");
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HOSTILE", "/hops/3"), .max_redirects = 2), KIN_EHTTP(47));
    CHECK_INT(r.redirects, 2);
    CHECK_INT(r.status, 302);
    CHECK_HAS(last_message(), "/hops/3: Maximum (2) redirects followed");
    kin_http_response_free(&r);
}

/* ------------------------------------------------------------- compression */

HTTP_TEST(a_compressed_body_is_asked_for_and_unpacked)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HTTP", "/gzip/long.txt"), &r), 0);
    CHECK_STR(kin_http_header(&r, "Content-Encoding"), "gzip");
    CHECK_INT(r.body_size, 21 * 5000);
    CHECK(strncmp(r.body, "all work and no play\n", 21) == 0);
    kin_http_response_free(&r);

    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/gzip/long.txt"), .no_compression = true), 0);
    CHECK(kin_http_header(&r, "Content-Encoding") == NULL);
    CHECK_INT(r.body_size, 21 * 5000);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/seen"), .no_compression = true,
                        .user_agent = "me"), 0);
    CHECK_STR(r.body, "GET|HTTP/1.1||me");
    kin_http_response_free(&r);
}

/* ------------------------------------------------------------- connections */

HTTP_TEST(connections_are_kept)
{
    kin_http_response first, second;

    CHECK_CODE(kin_http_get(url("HTTP", "/connection"), &first), 0);
    CHECK_CODE(kin_http_get(url("HTTP", "/connection"), &second), 0);
    CHECK_STR(first.body, second.body);
    kin_http_response_free(&first);
    kin_http_response_free(&second);
}

HTTP_TEST(a_connection_that_the_server_closed_is_replaced)
{
    kin_http_response r;

    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_http_get(url("HOSTILE", "/once"), &r), 0);
        CHECK_STR(r.body, "once");
        kin_http_response_free(&r);
        CHECK_CODE(kin_sleep(i == 0 ? 0 : KIN_MS(300)), 0);
    }
}

struct page {
    const char *address;
    int status;
    size_t size;
};

static int get_page(void *arg)
{
    struct page *p = arg;
    kin_http_response r;
    int rc = kin_http_get(p->address, &r);

    p->status = r.status;
    p->size = r.body_size;
    kin_http_response_free(&r);
    return rc;
}

HTTP_TEST(five_hundred_at_once)
{
    static struct page pages[500];
    const char *address = url("HTTP", "/long.txt");
    kin_group g = kin_group_open(.name = "pages");

    for (size_t i = 0; i < 500; i++) {
        pages[i].address = address;
        CHECK_CODE(kin_spawn(&g, get_page, &pages[i]), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (size_t i = 0; i < 500; i++)
        CHECK(pages[i].status == 200 && pages[i].size == 21 * 5000);
}

HTTP_TEST(five_thousand_five_at_a_time)
{
    static struct page pages[5000];
    const char *address = url("HTTP", "/hello.txt");
    kin_group g = kin_group_open(.limit = 5);

    for (size_t i = 0; i < 5000; i++) {
        pages[i].address = address;
        CHECK_CODE(kin_spawn(&g, get_page, &pages[i]), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (size_t i = 0; i < 5000; i++)
        CHECK(pages[i].status == 200 && pages[i].size == 11);
}

/* A run leaves nothing behind, and the next starts afresh. */
static int one_page(void *arg)
{
    kin_http_response r;
    int rc = kin_http_get(arg, &r);

    kin_http_response_free(&r);
    return rc;
}

TEST(runs_leave_nothing_open)
{
    const char *address = url("HTTP", "/hello.txt");
    int before;

    CHECK_CODE(kin_run(one_page, (void *)(uintptr_t)address), 0);
    before = open_files();
    for (int i = 0; i < 10; i++)
        CHECK_CODE(kin_run(one_page, (void *)(uintptr_t)address), 0);
    CHECK_INT(open_files(), before);
}

TEST(no_request_outside_of_a_run)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), KIN_ENORUN);
    kin_http_response_free(&r);
}

HTTP_TEST(an_error_shows_the_url_short_enough_for_its_reason)
{
    kin_http_response r = { .status = 404 };
    char long_url[600] = "http://user:secret@127.0.0.1/";

    memset(long_url + strlen(long_url), 'x', 500);
    r.url = long_url;
    CHECK_CODE(kin_http_check(&r), KIN_EHTTP_STATUS(404));
    CHECK_HAS(last_message(), "404 Not Found");
    CHECK_HAS(last_message(), "127.0.0.1/xxx");
    CHECK(strstr(last_message(), "secret") == NULL);
}
