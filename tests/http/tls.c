/* TLS, HTTP/2 and proxies. */
#include "http_test.h"

HTTP_TEST(https_with_a_ca_of_ones_own)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .ca_file = file("ca.pem")), 0);
    CHECK_STR(r.body, "hello, kin\n");
    kin_http_response_free(&r);
}

HTTP_TEST(https_refuses_whom_it_does_not_know)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HTTPS", "/hello.txt"), &r), KIN_EHTTP(60));
    CHECK_STR(kin_code_name(KIN_EHTTP(60)), "CURLE_PEER_FAILED_VERIFICATION");
    CHECK_HAS(last_message(), "SSL certificate problem");
    CHECK_INT(r.status, 0);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .ca_file = file("other.pem")),
               KIN_EHTTP(60));
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .ca_file = file("absent.pem")),
               KIN_EHTTP(77));
    kin_http_response_free(&r);
}

HTTP_TEST(https_refuses_a_name_that_is_not_the_certificates)
{
    kin_http_response r;
    char address[64];

    snprintf(address, sizeof address, "https://ip6-localhost:%d/", port_of("HTTPS"));
    CHECK(kin_http(&r, .url = address, .ca_file = file("ca.pem")) < 0);
    kin_http_response_free(&r);
    snprintf(address, sizeof address, "https://localhost:%d/hello.txt", port_of("HTTPS"));
    CHECK_CODE(kin_http(&r, .url = address, .ca_file = file("ca.pem")), 0);
    kin_http_response_free(&r);
}

HTTP_TEST(https_insecure_when_asked)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .insecure = true), 0);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt")), KIN_EHTTP(60));
    kin_http_response_free(&r);
}

HTTP_TEST(http2_by_alpn)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/seen"), .ca_file = file("ca.pem")), 0);
    CHECK_INT(r.http_version, 20);
    CHECK_HAS(r.body, "GET|HTTP/2.0|");
    CHECK_HAS(kin_http_header(&r, "Server"), "nginx");
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/seen"), .ca_file = file("ca.pem"),
                        .http1 = true), 0);
    CHECK_INT(r.http_version, 11);
    CHECK_HAS(r.body, "GET|HTTP/1.1|");
    kin_http_response_free(&r);
}

struct page {
    const char *address;
    size_t size;
    bool http1;
};

static int get_page(void *arg)
{
    struct page *p = arg;
    kin_http_response r;
    int rc = kin_http(&r, .url = p->address, .ca_file = file("ca.pem"), .http1 = p->http1);

    p->size = r.body_size;
    kin_http_response_free(&r);
    return rc;
}

HTTP_TEST(http2_many_at_once)
{
    static struct page pages[200];
    const char *address = url("HTTPS", "/long.txt");
    kin_group g = kin_group_open();

    for (size_t i = 0; i < 200; i++) {
        pages[i].address = address;
        CHECK_CODE(kin_spawn(&g, get_page, &pages[i]), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (size_t i = 0; i < 200; i++)
        CHECK_INT(pages[i].size, 21 * 5000);
}

/* Curl 7.88 would send the HTTP/2 requests over the busy connections of the others. */
HTTP_TEST(trap_http1_and_http2_to_one_host)
{
    struct page slow[3];
    kin_group g = kin_group_open();
    kin_http_response r;

    for (int i = 0; i < 3; i++) {
        slow[i] = (struct page){ url("HTTPS", "/slow/1000"), 0, .http1 = true };
        CHECK_CODE(kin_spawn(&g, get_page, &slow[i]), 0);
    }
    CHECK_CODE(kin_sleep(KIN_MS(200)), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/seen"), .ca_file = file("ca.pem")), 0);
        CHECK_HAS(r.body, "GET|HTTP/2.0|");
        kin_http_response_free(&r);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(slow[i].size, 4);
}

/* The CA bundle is parsed once: it can be gone by the second connection. */
HTTP_TEST(trap_ca_cache)
{
    char copy[600], command[1300];
    kin_http_response r;

    snprintf(copy, sizeof copy, "%s.copy", file("ca.pem"));
    snprintf(command, sizeof command, "cp %s %s", file("ca.pem"), copy);
    CHECK_INT(system(command), 0);
    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .ca_file = copy), 0);
    kin_http_response_free(&r);
    CHECK_INT(unlink(copy), 0);
    CHECK_CODE(kin_http(&r, .url = url("HOSTILE_TLS", "/echo"), .ca_file = copy), 0);
    kin_http_response_free(&r);
}

/* ----------------------------------------------------------------- proxies */

static const char *proxy(void)
{
    return url("PROXY", "/");
}

HTTP_TEST(proxy_for_http)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = "http://nowhere.invalid/x", .proxy = proxy()), 0);
    CHECK_STR(r.body, "proxied http://nowhere.invalid/x");
    CHECK_STR(kin_http_header(&r, "X-Proxy"), "plain");
    kin_http_response_free(&r);
}

HTTP_TEST(proxy_for_https)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = url("HTTPS", "/hello.txt"), .proxy = proxy(),
                        .ca_file = file("ca.pem")), 0);
    CHECK_STR(r.body, "hello, kin\n");
    CHECK(kin_http_header(&r, "X-Proxy") == NULL);
    kin_http_response_free(&r);
}

HTTP_TEST(proxy_that_refuses)
{
    kin_http_response r;

    CHECK_CODE(kin_http(&r, .url = "https://localhost:1/", .proxy = proxy()), KIN_EHTTP(56));
    CHECK_HAS(last_message(), "403");
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/"), .proxy = url("REFUSED", "/")), KIN_EHTTP(7));
    kin_http_response_free(&r);
}

HTTP_TEST(proxy_as_the_environment_says)
{
    kin_http_response r;

    setenv("http_proxy", proxy(), 1);
    CHECK_CODE(kin_http_get("http://nowhere.invalid/x", &r), 0);
    CHECK_STR(kin_http_header(&r, "X-Proxy"), "plain");
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/hello.txt"), .proxy = ""), 0);
    CHECK(kin_http_header(&r, "X-Proxy") == NULL);
    kin_http_response_free(&r);
    setenv("no_proxy", "127.0.0.1", 1);
    CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), 0);
    CHECK(kin_http_header(&r, "X-Proxy") == NULL);
    kin_http_response_free(&r);
    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/hello.txt"), .proxy = proxy()), 0);
    CHECK_STR(kin_http_header(&r, "X-Proxy"), "plain");
    kin_http_response_free(&r);
    unsetenv("http_proxy");
    unsetenv("no_proxy");
}
