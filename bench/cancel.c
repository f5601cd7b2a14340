/* What cancelling many blocked tasks costs: until the call returns, and until the
 * group is joined.
 *
 *     bench_cancel TASKS [cancel]     half wait for an event, half sleep for an hour
 *     bench_cancel TASKS receive      each reads from a socket of its own
 *
 * The clock starts when the last of them has parked, and in the end each must have
 * ended because of the cancellation. Before anybody is joined, a witness is woken,
 * who stands outside of the group. When he runs, everyone who was runnable when the
 * call returned has run, and nobody else: so he sees whether the call has put all on
 * the run queue. They must also run in the order of spawning. Neither is promised of
 * reads on io_uring, which the kernel has to give back first.
 *
 * The sockets are connections that nobody has accepted. They wait for data like any
 * other, and take one descriptor each.
 */
#include "bench.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { QUEUE = 1000 };                  /* connections that wait in one listener */

static long tasks, arrived, ended, cancelled, seen_by_witness;
static bool parked, in_order = true;
static kin_event never, called;
static kin_task *record;
static int *sockets;                    /* of the tasks, then the listeners; NULL: none */

/* ---------------------------------------------------------------- the tasks */

static int came_back(long index, int rc)
{
    in_order = in_order && index == ended;
    ended++;
    cancelled += rc == KIN_ECANCELED;
    return rc;
}

static int blocked(void *arg)
{
    long index = (intptr_t)arg;

    arrived++;
    return came_back(index, index % 2 ? kin_sleep(KIN_S(3600)) : kin_event_wait(&never));
}

static int receiver(void *arg)
{
    long index = (intptr_t)arg;
    char byte;

    arrived++;
    return came_back(index, (int)kin_read(sockets[index], &byte, sizeof byte));
}

static int witness(void *arg)
{
    int rc = kin_event_wait(&called);

    (void)arg;
    seen_by_witness = ended;
    return rc;
}

/* -------------------------------------------------------------- the sockets */

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int connect_one(long index, struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    long listener = tasks + index / QUEUE;

    if (index % QUEUE == 0) {
        address->sin_port = 0;
        sockets[listener] = kin_listen((struct sockaddr *)address, length, QUEUE);
        if (sockets[listener] < 0)
            return sockets[listener];
        kin_sleep(1);           /* ends the turn: thousands of connections in one are reported */
        getsockname(sockets[listener], (struct sockaddr *)address, &length);
    }
    sockets[index] = kin_connect((struct sockaddr *)address, length);
    return sockets[index] < 0 ? sockets[index] : 0;
}

static int connect_all(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int rc = 0;

    for (long i = 0; i < tasks && rc == 0; i++)
        rc = connect_one(i, &address);
    if (rc < 0)
        fprintf(stderr, "sockets: %s\n", kin_code_text(rc));
    return rc;
}

/* ---------------------------------------------------------- the measurement */

/* Each task holds the stack that it has parked on. */
static bool all_parked(void)
{
    struct kin_facts facts;

    while (arrived < tasks)
        kin_yield();
    return kin_facts(&facts) == 0 && facts.stacks > (uint64_t)tasks && ended == 0;
}

static int cancel_and_join(void)
{
    kin_group g = kin_group_open(.name = "waiting");

    for (long i = 0; i < tasks; i++)
        kin_spawn(&g, sockets ? receiver : blocked, (void *)(intptr_t)i,
                  .name = sockets ? "receiver" : "blocked", .index = (int)i, .task = &record[i]);
    parked = all_parked();
    int64_t began = bench_now();
    kin_cancel(&g, "enough");
    int64_t returned = bench_now();
    kin_event_set(&called);
    int rc = kin_group_close(&g, 0);
    bench_print_ns("joined", began, tasks);
    bench_print("call", (double)(returned - began) / (double)tasks);
    return rc;
}

static bool all_recorded(void)
{
    for (long i = 0; i < tasks; i++)
        if (record[i].status != KIN_CANCELLED)
            return false;
    return true;
}

/* Whether all of these waits can be abandoned at once. */
static bool abandoned_at_once(void)
{
    struct kin_facts facts;

    return !sockets || (kin_facts(&facts) == 0 && strcmp(facts.backend, "uring") != 0);
}

static int body(void *arg)
{
    bool *at_once = arg;
    kin_group outside = kin_group_open(.name = "outside");

    *at_once = abandoned_at_once();
    kin_spawn(&outside, witness, NULL, .name = "witness");
    int rc = sockets ? connect_all() : 0;
    return kin_group_close(&outside, rc == 0 ? cancel_and_join() : rc);
}

int main(int argc, char **argv)
{
    bool at_once;

    tasks = bench_size(argc, argv, 100000);
    record = calloc((size_t)tasks, sizeof *record);
    bench_require(record != NULL, "memory");
    if (argc > 2 && strcmp(argv[2], "receive") == 0) {
        raise_descriptor_limit();
        sockets = calloc((size_t)(tasks + tasks / QUEUE + 1), sizeof *sockets);
        bench_require(sockets != NULL, "memory");
    }
    bench_require(kin_run(body, &at_once) == 0, "the run");
    bench_require(parked, "not all had parked");
    bench_require(ended == tasks && cancelled == tasks, "not all were cancelled");
    bench_require(all_recorded(), "not all records say so");
    bench_require(!at_once || (in_order && seen_by_witness == tasks),
                  "not all were runnable, in order, when the call returned");
    free(sockets);
    free(record);
    return 0;
}
