/* Shared by the tests of servers: a server of the test's, guests, clients. */
#ifndef SERVER_TEST_H
#define SERVER_TEST_H

#include "io_test.h"

#include <errno.h>
#include <unistd.h>

#include "kin_io.h"

/* A server as a task of a group of the test's, with what its connections do and see. */
struct site {
    struct sockaddr_in address;
    int listener;
    uint32_t limit;
    int64_t drain;
    int (*fn)(int fd, void *arg);
    void (*failed)(const kin_error *error, void *arg);
    struct kin_serve_counts counts;
    int fails_with;             /* what fail() returns */
    uint32_t here, most;        /* connections now; at once */
    uint64_t entered;           /* in all */
    bool saw_drain, saw_end;
    kin_error error;            /* what failed was told last */
    int told;
    kin_task task;
    int result;
    bool ended;
};

static inline int serve(void *arg)
{
    struct site *site = arg;

    site->result = kin_serve(site->listener, site->fn, site, .name = "guest", .limit = site->limit,
                             .drain = site->drain, .failed = site->failed,
                             .counts = &site->counts);
    site->ended = true;
    return site->result;
}

static inline void open_site(struct site *site, int (*fn)(int fd, void *arg))
{
    site->fn = fn;
    site->listener = tcp_listener(&site->address, 0);
}

static inline void begin(kin_group *g, struct site *site, int (*fn)(int fd, void *arg))
{
    open_site(site, fn);
    CHECK_CODE(kin_spawn(g, serve, site, .name = "serve", .task = &site->task), 0);
}

static inline void end(struct site *site)
{
    CHECK_CODE(kin_cancel(&site->task, NULL), 0);
}

/* --------------------------------------------------------------- what guests do */

static inline void enter(struct site *site)
{
    site->here++;
    site->entered++;
    if (site->here > site->most)
        site->most = site->here;
}

static inline int echo(int fd, void *arg)
{
    struct site *site = arg;
    char text[64];
    ssize_t n = 0;
    int rc;

    enter(site);
    while ((rc = kin_serve_idle(fd)) == 1 && (n = kin_read(fd, text, sizeof text)) > 0 &&
           (rc = kin_write_all(fd, text, (size_t)n, NULL)) == 0)
        ;
    site->here--;
    return rc < 0 ? rc : (int)n < 0 ? (int)n : 0;
}

/* One byte in, one out, nothing more. */
static inline int answer_one(int fd, void *arg)
{
    struct site *site = arg;
    char c;
    ssize_t n;

    enter(site);
    n = kin_read(fd, &c, 1);
    site->saw_drain = kin_cancelled() && kin_cancelled()->soft;
    site->here--;
    return n > 0 ? kin_write_all(fd, &c, 1, NULL) : (int)n;
}

/* Does not look whether the server is to end. */
static inline int stay(int fd, void *arg)
{
    struct site *site = arg;
    int rc;

    (void)fd;
    enter(site);
    rc = kin_sleep(KIN_FOREVER);
    site->saw_end = kin_cancelled() && !kin_cancelled()->soft;
    site->here--;
    return rc;
}

/* --------------------------------------------------------------- what clients do */

static inline int client(const struct site *site)
{
    int fd = kin_connect((const struct sockaddr *)&site->address, sizeof site->address);

    CHECK(fd >= 0);
    return fd;
}

static inline void ask(int fd)
{
    CHECK_CODE(kin_write_all(fd, "x", 1, NULL), 0);
}

static inline void check_answer(int fd)
{
    char c = 0;

    CHECK_CODE(kin_read(fd, &c, 1), 1);
    CHECK_INT(c, 'x');
}

static inline void check_end(int fd)
{
    char c;

    CHECK_CODE(kin_read(fd, &c, 1), 0);
    CHECK_CODE(kin_close(fd), 0);
}

/* Until it is so; what is waited for is what happens, and no time. */
#define AWAIT(condition)                                                                  \
    do                                                                                    \
        CHECK_CODE(kin_sleep(KIN_US(200)), 0);                                            \
    while (!(condition))

/* Time in which what must not happen could. */
static inline void linger(void)
{
    for (int i = 0; i < 20; i++)
        CHECK_CODE(kin_sleep(KIN_US(500)), 0);
}

static inline void check_refused(const struct site *site)
{
    CHECK_CODE(kin_connect((const struct sockaddr *)&site->address, sizeof site->address),
               -ECONNREFUSED);
}

/* So many come, and go without a word. */
static inline void visit(struct site *site, int times)
{
    uint64_t wanted = site->counts.accepted + (uint64_t)times;

    for (int i = 0; i < times; i++)
        CHECK_CODE(kin_close(client(site)), 0);
    AWAIT(site->counts.accepted == wanted && site->here == 0);
    linger();
}

#endif
