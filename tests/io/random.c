/* Random traffic: connections and pipes that are written, read, cancelled, closed, moved to
 * other numbers and opened again by many tasks, as chance has it, while the kernel's queues
 * are full and its calls are interrupted now and then.
 *
 *     RANDOM_SEED=17 ./io_random           one seed
 *     RANDOM_SEEDS=10000 ./io_random       more of them; RANDOM_FROM=n: from the n-th on
 *
 * Each direction of a line carries the bytes of one table, from a place of its own on, so that
 * whoever reads knows what has to come: a byte that is lost, that comes twice, too early, or
 * from another line, shows. A writer and a reader work at each end until all has come. The
 * disturbers cancel them, close a descriptor under them, take it over again, send it through a
 * socket so that it has another number, watch it, wait beside them, and fork.
 *
 * There is always somebody who could go on. So a call that lasts for long has missed its
 * wake-up: each has a limit far off, and that must never be reached. */
#include "random_lines.h"

#include "core/core.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static uint64_t the_seed, chance_state;

unsigned chance(unsigned n)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return (unsigned)(chance_state >> 33) % n;
}

void wrong(const char *what, int64_t got)
{
    kin_dump(stderr);
    FAIL("RANDOM_SEED=%llu: %s: %lld (%s)", (unsigned long long)the_seed, what, (long long)got,
         got < 0 && got > INT32_MIN ? kin_code_name((int)got) : "a count");
}

/* ---------------------------------------------------------------------- the runs */

/* What the kernel may do at any time. */
static bool fail_by_chance(const char *site)
{
    static const char *const sites[] = { "uring_full", "uring_enter", "uring_submit",
                                         "uring_cancel", "epoll_wait", "epoll_pwait2" };

    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++)
        if (strcmp(site, sites[i]) == 0)
            return chance(10) == 0;
    return strcmp(site, "uring_multishot") == 0 && chance(2);
}

static int root(void *arg)
{
    kin_group g = kin_group_open();

    (void)arg;
    lines_left = LINES;
    for (int i = 0; i < LINES; i++)
        lines[i].open = false;
    for (int i = 0; i < LINES; i++)
        CHECK_CODE(kin_spawn(&g, live, &lines[i], .name = "line", .index = i + 1), 0);
    for (int i = 0; i < DISTURBERS; i++)
        CHECK_CODE(kin_spawn(&g, disturb_all, NULL, .name = "disturber"), 0);
    return kin_group_close(&g, 0);
}

static void take_report(const char *line, void *arg)
{
    (void)arg;
    if (!strstr(line, "kept the others waiting") && !strstr(line, "although it is cancelled"))
        FAIL("RANDOM_SEED=%llu: reported: %s", (unsigned long long)the_seed, line);
}

static void run_inside(uint64_t order)
{
    CHECK_CODE(kin_run(root, NULL, .seed = order, .on_report = take_report), 0);
}

/* The loop is one that goes by the descriptor alone. */
static void run_stepped(uint64_t order)
{
    kin_host *host;
    int rc = 0;

    CHECK_CODE(kin_host_open(&host, root, NULL, .seed = order, .on_report = take_report), 0);
    while (rc >= 0) {
        struct pollfd pollfd = { .fd = kin_host_fd(host), .events = POLLIN };

        if (poll(&pollfd, 1, (int)(FAR * 2000 * tap_scaled(1))) == 0)
            wrong("the loop was not called back", 0);
        rc = kin_host_step(host);
    }
    CHECK_CODE(rc, KIN_ESTALE);
    CHECK_CODE(kin_host_close(host), 0);
}

static void run_seed(uint64_t seed, void (*run)(uint64_t order))
{
    int before = open_descriptors();

    the_seed = seed;
    chance_state = seed * 0x9E3779B97F4A7C15u + 1;
    for (int i = 0; i < 10; i++)
        chance(2);
    kin__os_fault = chance(2) ? fail_by_chance : NULL;
    run(chance(2) ? seed : 0);
    kin__os_fault = NULL;
    while (waitpid(-1, NULL, 0) > 0)
        ;
    if (open_descriptors() != before)
        wrong("descriptors left open", open_descriptors() - before);
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void run_seeds(void (*run)(uint64_t order))
{
    uint64_t first = number_from("RANDOM_FROM", 1), many = number_from("RANDOM_SEEDS", 10);

    if (getenv("RANDOM_SEED")) {
        first = number_from("RANDOM_SEED", 1);
        many = 1;
    }
    make_bytes();
    for (uint64_t seed = first; seed < first + many; seed++)
        run_seed(seed, run);
}

TEST_LIMIT(random_traffic_arrives, 3600)
{
    run_seeds(run_inside);
}

TEST_LIMIT(random_traffic_arrives_under_a_foreign_loop, 3600)
{
    run_seeds(run_stepped);
}
