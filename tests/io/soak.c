/* A soak: very many short connections that end in all the ways in which connections end, on
 * both sides, drawn by chance. At the end no descriptor, no task and no memory may be left.
 *
 *     KIN_SOAK=1000000 KIN_SOAK_SEED=7 soak     how many connections; the suite makes a few */
#include "io_test.h"

#include "core/core.h"
#include "io/io.h"
#include "kin_io.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST = 2000, WORKERS = 200, MOST_BYTES = 3000, HOSTS = 32 };

static uint64_t chance_state;
static unsigned wanted, begun, connected, echoed;
static struct sockaddr_in server;

static unsigned chance(unsigned n)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return (unsigned)(chance_state >> 33) % n;
}

static int64_t moment(void)
{
    return KIN_US(100 + chance(3000));
}

/* Closing then sends a reset. */
static void set_to_reset(int fd)
{
    const struct linger linger = { .l_onoff = 1 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/* -------------------------------------------------------------------- the server */

static int echo_some(int fd, unsigned messages)
{
    char text[512];

    for (; messages > 0; messages--) {
        ssize_t n = kin_read(fd, text, sizeof text);
        int rc = n > 0 ? kin_write_all(fd, text, (size_t)n, NULL) : (int)n;

        if (rc < 0 || n == 0)
            return rc;
    }
    return 0;
}

static int echo_until_cut(void *arg)
{
    return echo_some(*(int *)arg, 1000000);
}

static int half_close(int fd)
{
    char text[512];
    ssize_t n;

    shutdown(fd, SHUT_WR);
    while ((n = kin_read(fd, text, sizeof text)) > 0)
        ;
    return (int)n;
}

static int serve_somehow(int fd, void *arg)
{
    (void)arg;
    switch (chance(8)) {
    case 0:
        return kin_within_or(moment(), 0, echo_until_cut, &fd);
    case 1:
        return echo_some(fd, 1);
    case 2:
        set_to_reset(fd);
        return echo_some(fd, chance(3));
    case 3:
        return half_close(fd);
    default:
        return echo_until_cut(&fd);
    }
}

static void failed(const kin_error *error, void *arg)
{
    (void)arg;
    CHECK(error->code == -ECONNRESET || error->code == -EPIPE);
}

static int run_server(void *arg)
{
    return kin_serve(*(int *)arg, serve_somehow, NULL, .limit = 150, .failed = failed);
}

/* ------------------------------------------------------------------- the clients */

static char message[MOST_BYTES];

/* Sends, and reads what comes; it must be what was sent, or the beginning of that. */
static int converse(int fd, size_t size)
{
    char answer[MOST_BYTES];
    size_t got = 0;
    ssize_t n = kin_write_all(fd, message, size, NULL);

    if (n < 0)
        return (int)n;
    while (got < size && (n = kin_read(fd, answer + got, size - got)) > 0)
        got += (size_t)n;
    CHECK(memcmp(answer, message, got) == 0);
    echoed += got == size;
    return n < 0 ? (int)n : 0;
}

static int converse_at_length(void *arg)
{
    int rc = 0;

    for (int i = 0; i < 100000 && rc == 0; i++)
        rc = converse(*(int *)arg, 1 + chance(MOST_BYTES));
    return rc;
}

static int send_without_reading(void *arg)
{
    int rc = 0;

    for (int i = 0; i < 100000 && rc == 0; i++)
        rc = kin_write_all(*(int *)arg, message, MOST_BYTES, NULL);
    return rc;
}

static int read_until_end(void *arg)
{
    char text[256];
    ssize_t n;

    while ((n = kin_read(*(int *)arg, text, sizeof text)) > 0)
        ;
    return (int)n;
}

static int stall(void *arg)
{
    (void)arg;
    return kin_sleep(moment());
}

/* In a task of its own, which is cancelled in the middle. */
static void be_cancelled(int fd)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, converse_at_length, &fd);
    for (unsigned i = chance(4); i > 0; i--)
        kin_yield();
    kin_cancel(&g, "soaked");
    kin_group_close(&g, 0);
}

static void behave_somehow(int fd)
{
    switch (chance(9)) {
    case 0:
        return;
    case 1:
        set_to_reset(fd);
        kin_write(fd, message, 1 + chance(MOST_BYTES));
        return;
    case 2:
        kin_within(moment(), converse_at_length, &fd);
        return;
    case 3:
        be_cancelled(fd);
        return;
    case 4:
        kin_within(moment(), send_without_reading, &fd);
        return;
    case 5:
        kin_write_all(fd, message, 100, NULL);
        shutdown(fd, SHUT_WR);
        read_until_end(&fd);
        return;
    case 6:
        stall(NULL);
        return;
    default:
        converse(fd, 1 + chance(MOST_BYTES));
    }
}

/* Loopback has many addresses, and each has its own ports: those of connections that have
 * just ended are not free at once. */
static int connect_somewhere(void)
{
    struct sockaddr_in address = server;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + chance(HOSTS));
    return kin_connect((struct sockaddr *)&address, sizeof address);
}

static int work(void *arg)
{
    (void)arg;
    while (begun < wanted) {
        int fd = connect_somewhere();

        if (fd < 0) {
            CHECK(fd == -EADDRNOTAVAIL || fd == -ECONNRESET);
            stall(NULL);
            continue;
        }
        begun++;
        connected++;
        behave_somehow(fd);
        CHECK_CODE(kin_close(fd), 0);
    }
    return 0;
}

/* ------------------------------------------------------------------- what is left */

static size_t memory_in_use(void)
{
    kin_trim();
#if defined __GLIBC__
    return mallinfo2().uordblks;
#else
    return 0;
#endif
}

static void soak(unsigned connections)
{
    kin_group workers = kin_group_open();

    begun = 0;
    wanted = connections;
    for (int i = 0; i < WORKERS; i++)
        kin_spawn(&workers, work, NULL);
    CHECK_CODE(kin_group_close(&workers, 0), 0);
}

static uint64_t tasks_alive(void)
{
    struct kin_facts facts;

    CHECK_CODE(kin_facts(&facts), 0);
    return facts.tasks;
}

/* What the first ones leave behind is what a run keeps for good: the others add nothing. */
IO_TEST_LIMIT(nothing_is_left_of_very_many_connections, 3600)
{
    const char *number = getenv("KIN_SOAK"), *seed = getenv("KIN_SOAK_SEED");
    unsigned total = number ? (unsigned)atoi(number) : 3000;
    uint64_t tasks = tasks_alive();
    socklen_t length = sizeof server;
    kin_group g = kin_group_open();
    kin_task task;
    size_t before;
    int fd;

    chance_state = seed ? strtoull(seed, NULL, 10) : 1;
    server = (struct sockaddr_in){ .sin_family = AF_INET };
    fd = kin_listen((struct sockaddr *)&server, sizeof server, 0);
    CHECK(fd >= 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&server, &length), 0);
    kin_spawn(&g, run_server, &fd, .task = &task, .name = "server");
    soak(FIRST);
    before = memory_in_use();
    soak(total);
    tap_note("%zu bytes in use, then %zu", before, memory_in_use());
    if (!tap_instrumented())
        CHECK(memory_in_use() < before + 256 * 1024);
    kin_cancel(&task, "done");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(tasks_alive(), tasks);
    CHECK_INT(kin__io()->waiting, 0);
    CHECK(echoed > 0);
    CHECK(connected >= total);
}
