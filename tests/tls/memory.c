/* Every allocation fails once: OpenSSL's and libkin-tls' own, which come the same way, and those
 * of kin. Contexts and connections then work or fail; they neither crash nor hang, and under
 * the sanitizers leak nothing. TLS_SWEEP=1 leaves none out: a connection needs thousands. */
#include "tls_test.h"

#include "kin_ext.h"

#include <stdio.h>
#include <stdlib.h>

static long fail_at, allocations;               /* the fail_at-th from now on; 0: none */

static bool fails(void)
{
    return ++allocations == fail_at;
}

static void *sweep_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return fails() ? NULL : malloc(size);
}

static void *sweep_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    if (memory && size == 0) {
        free(memory);
        return NULL;
    }
    return fails() ? NULL : realloc(memory, size);
}

static void sweep_free(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    free(memory);
}

/* OpenSSL takes that only before it has allocated anything. */
__attribute__((constructor)) static void take_over(void)
{
    if (CRYPTO_set_mem_functions(sweep_malloc, sweep_realloc, sweep_free) != 1)
        abort();
}

/* Of what may fail, the code of the first that did. */
static int life(const char *certificate, const char *ca)
{
    struct pair pair = { 0 };
    kin_tls_session *session = NULL;
    int fds[2], rc;
    char c;

    rc = kin_tls_client_open(&pair.client_context, .ca_pem = ca,
                             .alpn = (const char *const[]){ "a", "b", NULL });
    if (rc == 0)
        rc = kin_tls_server_open(&pair.server_context, .certificate.pem = certificate,
                                 .more = &(struct kin_tls_certificate){ .pem = certificate },
                                 .more_count = 1, .alpn = (const char *const[]){ "b", NULL });
    if (rc == 0) {
        unix_pair(fds);
        shake_hands(&pair, fds[0], fds[1]);
        rc = pair.client_code < 0 ? pair.client_code : pair.server_code;
    }
    if (rc == 0) {
        rc = kin_stream_write(&pair.client, more_than_fits, 40000, NULL);
        rc = rc < 0 ? rc : kin_stream_end(&pair.client);
        while (rc == 0 && (rc = (int)kin_stream_read(&pair.server, more_than_fits, 30000)) > 0)
            rc = 0;
        rc = rc < 0 ? rc : kin_stream_write(&pair.server, "x", 1, NULL);
        rc = rc < 0 ? rc : kin_stream_end(&pair.server);
        rc = rc < 0 ? rc : (int)kin_stream_read(&pair.client, &c, 1);
        session = kin_tls_session_get(&pair.client);
    }
    kin_tls_session_free(session);
    kin_stream_close(&pair.client);
    kin_stream_close(&pair.server);
    kin_tls_context_free(pair.client_context);
    kin_tls_context_free(pair.server_context);
    return rc;
}

TLS_TEST_LIMIT(each_allocation_of_openssl_may_fail, 200)
{
    const char *certificate = pem(SERVER), *ca = pem(CA);
    int rc, failed = 0, no_memory = 0, survived = 0;
    long k = 1;

    for (int i = 0; i < 3; i++)                 /* what is made once a process */
        CHECK_INT(life(certificate, ca), 1);
    for (;;) {
        tap_note("allocation %ld", k);
        allocations = 0;
        fail_at = k;
        rc = life(certificate, ca);
        fail_at = 0;
        CHECK(rc == 1 || rc < 0);
        failed += rc < 0;
        no_memory += rc == -ENOMEM;
        survived += rc == 1;
        if (allocations < k)
            break;
        k += getenv("TLS_SWEEP") ? 1 : 1 + k / 30;
    }
    allocations = 0;
    CHECK_INT(life(certificate, ca), 1);        /* nothing is broken for good */
    printf("%ld allocations: %d failed, %d of them with ENOMEM, %d did no harm\n", allocations,
           failed, no_memory, survived);
    CHECK(failed > 20 && no_memory > 10);
}

static int run_life(void *arg)
{
    const char *const *text = arg;

    (void)life(text[0], text[1]);
    return 0;
}

TEST_LIMIT(each_request_for_kins_memory_may_fail, 60)
{
    struct kin_faults faults;
    const char *text[2];

    pki_begin();
    text[0] = pem(SERVER);
    text[1] = pem(CA);
    for (uint64_t k = 1; ; k++) {
        tap_note("request %llu", (unsigned long long)k);
        faults = (struct kin_faults){ .fail_request = k };
        (void)kin_run(run_life, text, .faults = &faults, .on_report = NULL);
        if (faults.requests < k)
            break;
    }
    pki_end();
}
