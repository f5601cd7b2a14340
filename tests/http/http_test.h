/* Shared by the tests of libkin-http: a run around each test, URLs of the servers
 * that fixture.py has started, and checks that print codes by name.
 *
 * HTTP_TEST(name) { … } runs its body as the root task, on the real clock and the
 * backend of KIN_BACKEND. Reports that nobody asked for are failures.
 */
#ifndef HTTP_TEST_H
#define HTTP_TEST_H

#include "kin_http.h"
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HTTP_TEST(name)                 \
    static void name##_body(void);      \
    TEST_LIMIT(name, 60)                \
    {                                   \
        test_body(name##_body);         \
    }                                   \
    static void name##_body(void)

void test_body(void (*body)(void));

/* "http://127.0.0.1:PORT/path" of a server: NGINX, PYTHON, HOSTILE, …; https for
 * those that speak it. One of 16 buffers, used in turn. */
const char *url(const char *server, const char *path, ...) __attribute__((format(printf, 2, 3)));
int port_of(const char *server);
/* A file of the fixture's directory: "ca.pem", "www/big.bin". */
const char *file(const char *name);

#define CHECK_CODE(got, wanted) test_check_code(__FILE__, __LINE__, #got, (got), (wanted))
void test_check_code(const char *file, int line, const char *text, int got, int wanted);

/* The message in the running task's error slot. */
const char *last_message(void);

/* Seconds since start, on the real clock; whether less than so many have passed,
 * on a machine that may be slow. */
int64_t now(void);
#define CHECK_WITHIN(start, seconds) CHECK(now() - (start) < KIN_S(tap_scaled(seconds)))

/* What the hostile server has sent under a key, and whether its peer has gone. */
long sent_bytes(const char *key, bool *gone);

/* Descriptors of this process. */
int open_files(void);

/* A temporary file, already unlinked. */
int scratch_file(void);

#endif
