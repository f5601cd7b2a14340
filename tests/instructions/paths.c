/* The hot paths, each by itself, for a count of its instructions.
 *
 *     paths            the compiler, then a line for each path: name, operations in a unit
 *     paths PATH N     so many units of that path
 *
 * check.py counts two sizes of a path under Valgrind; the difference is the path's own.
 * So what a unit does is the same each time: no limit is ever reached, and the clock is the
 * virtual one, because on a busy machine a turn that takes long on the real one is reported,
 * and those after it are watched more closely. The backend is epoll, the only one of the
 * real ones that Valgrind knows. Each path checks that its work was done, and as in every
 * program each task has a name, and a record that is looked at.
 */
#include "kin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FEW = 20, MANY = 100, UNITS = 5, PLACES = 128, CHANNELS = 8 };

static long times;                      /* units */
static long done;                       /* operations that ended as they should */
static kin_task record[MANY];

static bool all_ended(long count, kin_status status)
{
    for (long i = 0; i < count; i++)
        if (record[i].status != status)
            return false;
    return true;
}

/* Two tasks beside each other, to their end. */
static int pair(int (*one)(void *arg), int (*other)(void *arg))
{
    kin_group g = kin_group_open(.name = "pair");

    kin_spawn(&g, one, NULL, .name = "one", .task = &record[0]);
    kin_spawn(&g, other, NULL, .name = "other", .task = &record[1]);
    int rc = kin_group_close(&g, 0);
    return rc == 0 && !all_ended(2, KIN_OK) ? KIN_EINVAL : rc;
}

/* ----------------------------------------------------------- tasks by themselves */

static int yielder(void *arg)
{
    (void)arg;
    for (long i = 0; i < times; i++)
        done += kin_yield() == 0;
    return 0;
}

static int yields(void)
{
    return pair(yielder, yielder);
}

static int trivial(void *arg)
{
    (void)arg;
    done++;
    return 0;
}

static int spawn_and_join(void)
{
    int rc = 0;

    for (long i = 0; i < times && rc == 0; i++) {
        kin_group g = kin_group_open(.name = "group");
        for (int k = 0; k < MANY; k++)
            kin_spawn(&g, trivial, NULL, .name = "trivial", .index = k, .task = &record[k]);
        rc = kin_group_close(&g, 0);
        if (rc == 0 && !all_ended(MANY, KIN_OK))
            rc = KIN_EINVAL;
    }
    return rc;
}

static kin_event never;

static int blocked(void *arg)
{
    int rc = (intptr_t)arg % 2 ? kin_sleep(KIN_S(3600)) : kin_event_wait(&never);

    done += rc == KIN_ECANCELED;
    return rc;
}

static int cancel_and_join(void)
{
    for (long i = 0; i < times; i++) {
        kin_group g = kin_group_open(.name = "group");
        for (int k = 0; k < MANY; k++)
            kin_spawn(&g, blocked, (void *)(intptr_t)k, .name = "blocked", .index = k,
                      .task = &record[k]);
        kin_yield();                    /* each runs until it waits */
        kin_cancel(&g, "enough");
        kin_group_close(&g, 0);
        if (!all_ended(MANY, KIN_CANCELLED))
            return KIN_EINVAL;
    }
    return 0;
}

/* ------------------------------------------------------------------------ limits */

static int arm_and_disarm(void)
{
    for (long i = 0; i < times; i++) {
        kin_scope s = kin_scope_open(.timeout = KIN_S(3600));
        done += kin_scope_close(&s, 0) == 0;
    }
    return 0;
}

static kin_semaphore there = KIN_SEMAPHORE(0), back = KIN_SEMAPHORE(0);

static int waits_under_limit(void *arg)
{
    (void)arg;
    for (long i = 0; i < times; i++) {
        kin_semaphore_release(&there);
        kin_scope s = kin_scope_open(.timeout = KIN_S(3600));
        done += kin_scope_close(&s, kin_semaphore_acquire(&back)) == 0;
    }
    return 0;
}

static int waker(void *arg)
{
    int rc = 0;

    (void)arg;
    for (long i = 0; i < times && rc == 0; i++) {
        rc = kin_semaphore_acquire(&there);
        kin_semaphore_release(&back);
    }
    return rc;
}

static int wait_under_limit(void)
{
    return pair(waits_under_limit, waker);
}

/* --------------------------------------------------------------- synchronisation */

static kin_semaphore units = KIN_SEMAPHORE(UNITS);

static int sharer(void *arg)
{
    int rc = 0;

    (void)arg;
    for (long i = 0; i < times && rc == 0; i++) {
        rc = kin_semaphore_acquire(&units);
        if (rc == 0)
            rc = kin_yield();
        kin_semaphore_release(&units);
        done += rc == 0;
    }
    return rc;
}

static int semaphore(void)
{
    kin_group g = kin_group_open(.name = "sharers");

    for (int k = 0; k < FEW; k++)
        kin_spawn(&g, sharer, NULL, .name = "sharer", .index = k, .task = &record[k]);
    int rc = kin_group_close(&g, 0);
    return rc == 0 && !all_ended(FEW, KIN_OK) ? KIN_EINVAL : rc;
}

static void *belt_slot[PLACES], *ping_slot[1], *pong_slot[1];
static kin_queue belt = KIN_QUEUE(belt_slot), ping = KIN_QUEUE(ping_slot),
                 pong = KIN_QUEUE(pong_slot), channel[CHANNELS];

static int producer(void *arg)
{
    int rc = 0;

    (void)arg;
    for (intptr_t i = 0; i < times && rc == 0; i++)
        rc = kin_queue_put(&belt, (void *)i);
    return rc;
}

static int consumer(void *arg)
{
    void *item;

    (void)arg;
    for (intptr_t i = 0; i < times; i++)
        done += kin_queue_get(&belt, &item) == 0 && item == (void *)i;
    return 0;
}

static int queue(void)
{
    return pair(producer, consumer);
}

static int pinger(void *arg)
{
    void *item;
    int rc = 0;

    (void)arg;
    for (intptr_t i = 0; i < times && rc == 0; i++) {
        rc = kin_queue_put(&ping, (void *)i);
        done += rc == 0 && kin_queue_get(&pong, &item) == 0 && item == (void *)i;
    }
    return rc;
}

static int ponger(void *arg)
{
    void *item;
    int rc = 0;

    (void)arg;
    for (long i = 0; i < times && rc == 0; i++) {
        rc = kin_queue_get(&ping, &item);
        done += rc == 0 && kin_queue_put(&pong, item) == 0;
    }
    return rc;
}

static int ping_pong(void)
{
    return pair(pinger, ponger);
}

static int sender(void *arg)
{
    int rc = 0;

    (void)arg;
    for (intptr_t i = 0; i < times && rc == 0; i++)
        rc = kin_queue_put(&channel[i % CHANNELS], (void *)i);
    return rc;
}

static int selector(void *arg)
{
    kin_case cases[CHANNELS];

    (void)arg;
    for (int i = 0; i < CHANNELS; i++)
        cases[i] = (kin_case){ .queue = &channel[i] };
    for (intptr_t i = 0; i < times; i++) {
        int index = kin_select(cases, CHANNELS);
        done += index == i % CHANNELS && cases[index].item == (void *)i;
    }
    return 0;
}

static int select_over_8(void)
{
    return pair(selector, sender);
}

/* ------------------------------------------------------------------- descriptors */

static int socket_of[2];

/* A byte to and fro: each read has to park until the other side has written. */
static int converse(int fd, bool begins)
{
    char byte = 'k';
    int rc = begins ? kin_write_all(fd, &byte, 1, NULL) : 0;

    for (long i = 0; i < times && rc == 0; i++) {
        done += kin_read(fd, &byte, 1) == 1 && byte == 'k';
        if (!begins || i < times - 1)
            rc = kin_write_all(fd, &byte, 1, NULL);
    }
    return rc;
}

static int one_end(void *arg)
{
    (void)arg;
    return converse(socket_of[0], true);
}

static int other_end(void *arg)
{
    (void)arg;
    return converse(socket_of[1], false);
}

static int park_and_wake(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, socket_of) < 0)
        return KIN_EINVAL;
    int rc = pair(one_end, other_end);
    kin_close(socket_of[0]);
    kin_close(socket_of[1]);
    return rc;
}

/* ---------------------------------------------------------------------- the list */

static const struct path {
    const char *name;
    int operations;                     /* of each unit, and counted in done */
    int (*run)(void);
} paths[] = {
    { "yield", 2, yields },
    { "spawn_join", MANY, spawn_and_join },
    { "cancel_join", MANY, cancel_and_join },
    { "limit", 1, arm_and_disarm },
    { "limit_wait", 1, wait_under_limit },
    { "semaphore", FEW, semaphore },
    { "queue", 1, queue },
    { "ping_pong", 2, ping_pong },
    { "select_8", 1, select_over_8 },
    { "park_wake_epoll", 2, park_and_wake },
};
#define PATHS (sizeof paths / sizeof paths[0])

static int list(void)
{
#if defined __clang__
    printf("clang %d %s\n", __clang_major__,
#else
    printf("gcc %d %s\n", __GNUC__,
#endif
#if defined __x86_64__
           "x86_64");
#else
           "another");
#endif
    for (size_t i = 0; i < PATHS; i++)
        printf("%s %d\n", paths[i].name, paths[i].operations);
    return 0;
}

static int body(void *arg)
{
    const struct path *path = arg;

    return path->run();
}

static int run(const struct path *path)
{
    int rc = kin_run(body, (void *)(uintptr_t)path, .backend = "epoll",
                     .virtual_clock = true);

    if (rc < 0 || done != times * path->operations) {
        fprintf(stderr, "%s: %s, %ld of %ld\n", path->name, rc < 0 ? kin_code_name(rc) : "ended",
                done, times * path->operations);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return list();
    times = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    for (size_t i = 0; i < PATHS; i++)
        if (times > 0 && strcmp(argv[1], paths[i].name) == 0)
            return run(&paths[i]);
    fprintf(stderr, "usage: paths [PATH N]\n");
    return 2;
}
