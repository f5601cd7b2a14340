/* The same work on neco: coroutines, joined by a wait group, and channels, of which one
 * with five places is the semaphore. A wait takes a deadline. It is built with stacks from
 * the heap: with those of its own, and their guards, it cannot have ten thousand at once. */
#include "work.h"

#include <neco.h>

static int64_t done;
static long waiting, rounds, tasks, of_all;
static neco_waitgroup group;

static void need(int rc, const char *what)
{
    bench_require(rc == NECO_OK, what);
}

static void start(long count, void (*run)(int argc, void *argv[]))
{
    need(neco_waitgroup_init(&group), "a group");
    need(neco_waitgroup_add(&group, (int)count), "a group");
    for (long i = 0; i < count; i++)
        need(neco_start(run, 1, (void *)(intptr_t)i), "a coroutine");
}

static void join(void)
{
    need(neco_waitgroup_wait(&group), "the group");
}

/* ------------------------------------------------------------------ yield, spawn */

static void yielder(int argc, void *argv[])
{
    (void)argc, (void)argv;
    for (long i = 0; i < rounds; i++) {
        neco_yield();
        done++;
    }
    neco_waitgroup_done(&group);
}

static void yield(long size, long of)
{
    tasks = of ? of : 2;
    rounds = 3;
    start(tasks, yielder);
    join();
    rounds = size;
    done = 0;
    int64_t began = bench_now();
    start(tasks, yielder);
    join();
    bench_print_ns("yield", began, rounds * tasks);
    bench_require(done == rounds * tasks, "yields");
}

static void leaf(int argc, void *argv[])
{
    (void)argc, (void)argv;
    done++;
    neco_waitgroup_done(&group);
}

static void yielding_leaf(int argc, void *argv[])
{
    (void)argc;
    done++;
    if ((intptr_t)argv[0] % 2)
        neco_yield();
    neco_waitgroup_done(&group);
}

static void groups(const char *name, long count, void (*run)(int argc, void *argv[]))
{
    start(GROUP, run);
    join();
    int64_t began = bench_now();
    for (long i = 0; i < count; i++) {
        start(GROUP, run);
        join();
    }
    bench_print_ns(name, began, count * GROUP);
    bench_require(done == (count + 1) * GROUP, "coroutines");
}

static void spawn(long size, long of)
{
    (void)of;
    groups("spawn", size, leaf);
}

static void half(long size, long of)
{
    (void)of;
    groups("half", size, yielding_leaf);
}

static neco_chan *gate;

static void blocked_leaf(int argc, void *argv[])
{
    char none;

    (void)argc, (void)argv;
    waiting++;
    bench_require(neco_chan_recv(gate, &none) == NECO_CLOSED, "a closed channel");
    done++;
    neco_waitgroup_done(&group);
}

/* A channel that is closed wakes all that wait. */
static void blocked_group(void)
{
    waiting = 0;
    need(neco_chan_make(&gate, 0, 0), "a channel");
    start(GROUP, blocked_leaf);
    while (waiting < GROUP)
        neco_yield();
    need(neco_chan_close(gate), "the channel");
    join();
    neco_chan_release(gate);
}

static void blocked(long count, long of)
{
    (void)of;
    blocked_group();
    int64_t began = bench_now();
    for (long i = 0; i < count; i++)
        blocked_group();
    bench_print_ns("blocked", began, count * GROUP);
    bench_require(done == (count + 1) * GROUP, "coroutines");
}

/* -------------------------------------------------------------------------- tree */

struct node {
    int64_t first, leaves, sum;
    neco_waitgroup *parent;
};

static void node(int argc, void *argv[])
{
    struct node *n = argv[0], child[CHILDREN];
    neco_waitgroup wait;

    (void)argc;
    if (n->leaves == 1) {
        n->sum = n->first;
        neco_waitgroup_done(n->parent);
        return;
    }
    neco_waitgroup_init(&wait);
    neco_waitgroup_add(&wait, CHILDREN);
    for (int i = 0; i < CHILDREN; i++) {
        int64_t leaves = n->leaves / CHILDREN;
        child[i] = (struct node){ n->first + i * leaves, leaves, 0, &wait };
        need(neco_start(node, 1, &child[i]), "a coroutine");
    }
    neco_waitgroup_wait(&wait);
    for (int i = 0; i < CHILDREN; i++)
        n->sum += child[i].sum;
    neco_waitgroup_done(n->parent);
}

static void tree(long depth, long of)
{
    struct node root = { .leaves = 1, .parent = &group };

    (void)of;
    while (depth-- > 0)
        root.leaves *= CHILDREN;
    neco_waitgroup_init(&group);
    neco_waitgroup_add(&group, 1);
    int64_t began = bench_now();
    need(neco_start(node, 1, &root), "a coroutine");
    join();
    bench_print_ns("tree", began, root.leaves);
    bench_print("tree_mib", bench_peak_kib() / 1024);
    bench_require(root.sum == root.leaves * (root.leaves - 1) / 2, "sum");
}

/* --------------------------------------------------------------------- channels */

static neco_chan *there, *back, *channel[MOST_CHANNELS];

static void ping(void)
{
    for (long i = 0, item; i < rounds; i++) {
        need(neco_chan_send(there, &i), "send");
        need(neco_chan_recv(back, &item), "receive");
        done += item == i;
    }
}

static void pong(void)
{
    for (long i = 0, item; i < rounds; i++) {
        need(neco_chan_recv(there, &item), "receive");
        need(neco_chan_send(back, &item), "send");
        done++;
    }
}

static void produce(void)
{
    for (long i = 0; i < rounds; i++)
        need(neco_chan_send(there, &i), "send");
}

static void consume(void)
{
    for (long i = 0, item; i < rounds; i++) {
        need(neco_chan_recv(there, &item), "receive");
        done += item == i;
    }
}

static void sender(void)
{
    for (long i = 0; i < rounds; i++)
        need(neco_chan_send(channel[i % of_all], &i), "send");
}

static void selector(void)
{
    for (long i = 0, item; i < rounds; i++) {
        int index = neco_chan_selectv((int)of_all, channel);
        bench_require(index >= 0, "select");
        need(neco_chan_case(channel[index], &item), "the case");
        done += index == i % of_all && item == i;
    }
}

static void limited(void)
{
    for (long i = 0; i < rounds; i++) {
        need(neco_chan_send(there, NULL), "send");
        need(neco_chan_recv_dl(back, NULL, neco_now() + NECO_SECOND), "receive in time");
        done++;
    }
}

static void waker(void)
{
    for (long i = 0; i < rounds; i++) {
        need(neco_chan_recv(there, NULL), "receive");
        need(neco_chan_send(back, NULL), "send");
    }
}

static void (*side[2])(void);

static void one_side(int argc, void *argv[])
{
    (void)argc;
    side[(intptr_t)argv[0]]();
    neco_waitgroup_done(&group);
}

static void two(const char *name, int messages, void (*one)(void), void (*other)(void))
{
    side[0] = one;
    side[1] = other;
    int64_t began = bench_now();
    start(2, one_side);
    join();
    bench_print_ns(name, began, rounds * messages);
    bench_require(done == rounds * messages, "messages");
}

static void pingpong(long size, long of)
{
    (void)of;
    rounds = size;
    need(neco_chan_make(&there, sizeof(long), 1), "a channel");
    need(neco_chan_make(&back, sizeof(long), 1), "a channel");
    two("pingpong", 2, ping, pong);
}

static void queue(long size, long of)
{
    (void)of;
    rounds = size;
    need(neco_chan_make(&there, sizeof(long), BELT), "a channel");
    two("queue", 1, produce, consume);
}

static void measure_select(long size, long of)
{
    rounds = size;
    of_all = of;
    for (long i = 0; i < of; i++)
        need(neco_chan_make(&channel[i], sizeof(long), 0), "a channel");
    two("select", 1, selector, sender);
}

/* ------------------------------------------------------------- limits, semaphore */

static void sleeping(int argc, void *argv[])
{
    (void)argc;
    neco_sleep(NECO_SECOND * (100 + (intptr_t)argv[0] % 1000));
}

static void timeout(long size, long others)
{
    rounds = size;
    for (long i = 0; i < others; i++)
        need(neco_start(sleeping, 1, (void *)(intptr_t)i), "a coroutine");
    need(neco_chan_make(&there, 0, 1), "a channel");
    need(neco_chan_make(&back, 0, 1), "a channel");
    two("timeout", 1, limited, waker);
}

static void worker(int argc, void *argv[])
{
    char token = 0;

    (void)argc, (void)argv;
    for (long i = 0; i < rounds; i++) {
        need(neco_chan_send(there, &token), "acquire");
        neco_yield();
        need(neco_chan_recv(there, &token), "release");
        done++;
    }
    neco_waitgroup_done(&group);
}

static void semaphore(long size, long of)
{
    (void)of;
    need(neco_chan_make(&there, 1, UNITS), "a channel");
    rounds = 2;
    start(GROUP, worker);
    join();
    done = 0;
    rounds = size;
    int64_t began = bench_now();
    start(GROUP, worker);
    join();
    bench_print_ns("semaphore", began, rounds * GROUP);
    bench_require(done == rounds * GROUP, "rounds");
}

/* ------------------------------------------------------------- cancel, sleepers */

static int64_t *ids;

static void cancelled(int argc, void *argv[])
{
    intptr_t i = (intptr_t)argv[0];
    char none;

    (void)argc;
    ids[i] = neco_getid();
    waiting++;
    int rc = i % 2 ? neco_sleep(NECO_HOUR) : neco_chan_recv(gate, &none);
    done += rc == NECO_CANCELED;
    neco_waitgroup_done(&group);
}

static void cancel(long count, long of)
{
    (void)of;
    ids = calloc((size_t)count, sizeof *ids);
    need(neco_chan_make(&gate, 0, 0), "a channel");
    start(count, cancelled);
    while (waiting < count)
        neco_yield();
    int64_t began = bench_now();
    for (long i = 0; i < count; i++)
        need(neco_cancel(ids[i]), "cancel");
    int64_t returned = bench_now();
    join();
    bench_print_ns("joined", began, count);
    bench_print("call", (double)(returned - began) / (double)count);
    bench_require(done == count, "cancelled");
}

static void sleeper(int argc, void *argv[])
{
    (void)argc;
    neco_sleep(NECO_MILLISECOND * (1 + (intptr_t)argv[0] % 1000));
    done++;
    neco_waitgroup_done(&group);
}

static void sleepers(long count, long of)
{
    (void)of;
    int64_t began = bench_now(), began_wall = bench_wall();
    start(count, sleeper);
    join();
    bench_require(done == count, "sleepers");
    print_sleepers(began, began_wall, count);
}

static const struct work works[] = {
    { "yield", yield }, { "spawn", spawn }, { "half", half }, { "blocked", blocked },
    { "tree", tree }, { "pingpong", pingpong }, { "queue", queue }, { "timeout", timeout },
    { "semaphore", semaphore }, { "select", measure_select }, { "cancel", cancel },
    { "sleepers", sleepers }, { NULL, NULL }
};

/* When the first coroutine ends, so does the program: others may still sleep. */
static void first(int argc, void *argv[])
{
    (void)argc;
    run_work(*(int *)argv[0], argv[1], works);
    fflush(stdout);
    exit(0);
}

int main(int argc, char **argv)
{
    neco_env_setcanceltype(NECO_CANCEL_INLINE);
    need(neco_start(first, 2, &argc, argv), "neco");
    return 1;
}
