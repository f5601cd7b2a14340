/* The same work on State Threads. It has threads, condition variables and a limit on each
 * wait. What it does not have is made of these, as its users do: a channel is a ring with
 * two conditions, a semaphore a counter with one, a yield a sleep of no length. It cannot
 * wait for one of several things, so that there is no select. */
#include "work.h"

#include <st.h>

static int64_t done;
static st_thread_t *threads;

static void start(long count, void *(*run)(void *), long round)
{
    for (long i = 0; i < count; i++) {
        threads[i] = st_thread_create(run, (void *)(intptr_t)(round ? round : i), 1, 0);
        bench_require(threads[i] != NULL, "a thread");
    }
}

static void join(long count)
{
    for (long i = 0; i < count; i++)
        bench_require(st_thread_join(threads[i], NULL) == 0, "a join");
}

static void room_for(long count)
{
    threads = calloc((size_t)count, sizeof *threads);
    bench_require(threads && st_init() == 0, "State Threads");
}

/* ------------------------------------------------------------------ yield, spawn */

static void *yielder(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i > 0; i--) {
        st_usleep(0);
        done++;
    }
    return NULL;
}

static void yield(long rounds, long of)
{
    long tasks = of ? of : 2;

    room_for(tasks);
    start(tasks, yielder, 3);
    join(tasks);
    done = 0;
    int64_t began = bench_now();
    start(tasks, yielder, rounds);
    join(tasks);
    bench_print_ns("yield", began, rounds * tasks);
    bench_require(done == rounds * tasks, "yields");
}

static void *leaf(void *arg)
{
    done++;
    return arg;
}

static void *yielding_leaf(void *arg)
{
    done++;
    if ((intptr_t)arg % 2)
        st_usleep(0);
    return arg;
}

static void groups(const char *name, long count, void *(*run)(void *))
{
    room_for(GROUP);
    start(GROUP, run, 0);
    join(GROUP);
    int64_t began = bench_now();
    for (long i = 0; i < count; i++) {
        start(GROUP, run, 0);
        join(GROUP);
    }
    bench_print_ns(name, began, count * GROUP);
    bench_require(done == (count + 1) * GROUP, "threads");
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

static st_cond_t go;
static long waiting;

static void *blocked_leaf(void *arg)
{
    waiting++;
    st_cond_wait(go);
    done++;
    return arg;
}

static void blocked_group(void)
{
    waiting = 0;
    start(GROUP, blocked_leaf, 0);
    while (waiting < GROUP)
        st_usleep(0);
    st_cond_broadcast(go);
    join(GROUP);
}

static void blocked(long count, long of)
{
    (void)of;
    room_for(GROUP);
    go = st_cond_new();
    blocked_group();
    int64_t began = bench_now();
    for (long i = 0; i < count; i++)
        blocked_group();
    bench_print_ns("blocked", began, count * GROUP);
    bench_require(done == (count + 1) * GROUP, "threads");
}

/* -------------------------------------------------------------------------- tree */

struct node {
    int64_t first, leaves, sum;
};

static void *node(void *arg)
{
    struct node *n = arg, child[CHILDREN];
    st_thread_t thread[CHILDREN];

    if (n->leaves == 1) {
        n->sum = n->first;
        return NULL;
    }
    for (int i = 0; i < CHILDREN; i++) {
        int64_t leaves = n->leaves / CHILDREN;
        child[i] = (struct node){ .first = n->first + i * leaves, .leaves = leaves };
        thread[i] = st_thread_create(node, &child[i], 1, 0);
        bench_require(thread[i] != NULL, "a thread");
    }
    for (int i = 0; i < CHILDREN; i++) {
        st_thread_join(thread[i], NULL);
        n->sum += child[i].sum;
    }
    return NULL;
}

static void tree(long depth, long of)
{
    struct node root = { .leaves = 1 };

    (void)of;
    while (depth-- > 0)
        root.leaves *= CHILDREN;
    room_for(1);
    int64_t began = bench_now();
    node(&root);
    bench_print_ns("tree", began, root.leaves);
    bench_print("tree_mib", bench_peak_kib() / 1024);
    bench_require(root.sum == root.leaves * (root.leaves - 1) / 2, "sum");
}

/* --------------------------------------------------------------------- channels */

struct channel {
    st_cond_t room, items;
    unsigned places, first, count;
    intptr_t item[BELT];
};

static struct channel there, back;

static void prepare(struct channel *c, unsigned places)
{
    *c = (struct channel){ .room = st_cond_new(), .items = st_cond_new(), .places = places };
}

static void put(struct channel *c, intptr_t item)
{
    while (c->count == c->places)
        st_cond_wait(c->room);
    c->item[(c->first + c->count++) % c->places] = item;
    st_cond_signal(c->items);
}

static intptr_t get(struct channel *c)
{
    while (c->count == 0)
        st_cond_wait(c->items);
    intptr_t item = c->item[c->first];
    c->first = (c->first + 1) % c->places;
    c->count--;
    st_cond_signal(c->room);
    return item;
}

static void *ping(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i > 0; i--) {
        put(&there, i);
        done += get(&back) == i;
    }
    return NULL;
}

static void *pong(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i > 0; i--) {
        put(&back, get(&there));
        done++;
    }
    return NULL;
}

static void *produce(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i > 0; i--)
        put(&there, i);
    return NULL;
}

static void *consume(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i > 0; i--)
        done += get(&there) == i;
    return NULL;
}

static void two(const char *name, long rounds, int messages, void *(*one)(void *),
                void *(*other)(void *))
{
    int64_t began = bench_now();

    threads[0] = st_thread_create(one, (void *)(intptr_t)rounds, 1, 0);
    threads[1] = st_thread_create(other, (void *)(intptr_t)rounds, 1, 0);
    join(2);
    bench_print_ns(name, began, rounds * messages);
    bench_require(done == rounds * messages, "messages");
}

static void pingpong(long rounds, long of)
{
    (void)of;
    room_for(2);
    prepare(&there, 1);
    prepare(&back, 1);
    two("pingpong", rounds, 2, ping, pong);
}

static void queue(long rounds, long of)
{
    (void)of;
    room_for(2);
    prepare(&there, BELT);
    two("queue", rounds, 1, produce, consume);
}

/* ------------------------------------------------------------- limits, semaphore */

static st_cond_t wake_waker, wake_limited;
static bool waker_called, limited_called;

static void *limited(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i > 0; i--) {
        waker_called = true;
        st_cond_signal(wake_waker);
        while (!limited_called)
            bench_require(st_cond_timedwait(wake_limited, 1000000) == 0, "in time");
        limited_called = false;
        done++;
    }
    return NULL;
}

static void *waker(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i > 0; i--) {
        while (!waker_called)
            st_cond_wait(wake_waker);
        waker_called = false;
        limited_called = true;
        st_cond_signal(wake_limited);
    }
    return NULL;
}

static void *sleeping(void *arg)
{
    st_usleep(1000000 * (100 + (st_utime_t)(uintptr_t)arg % 1000));
    return NULL;
}

static void timeout(long rounds, long others)
{
    room_for(2);
    wake_waker = st_cond_new();
    wake_limited = st_cond_new();
    for (long i = 0; i < others; i++)
        bench_require(st_thread_create(sleeping, (void *)(intptr_t)i, 0, 0), "a thread");
    st_usleep(0);
    two("timeout", rounds, 1, limited, waker);
}

static st_cond_t free_unit;
static int units = UNITS;

static void *worker(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i > 0; i--) {
        while (units == 0)
            st_cond_wait(free_unit);
        units--;
        st_usleep(0);
        units++;
        st_cond_signal(free_unit);
        done++;
    }
    return NULL;
}

static void semaphore(long rounds, long of)
{
    (void)of;
    room_for(GROUP);
    free_unit = st_cond_new();
    start(GROUP, worker, 2);
    join(GROUP);
    done = 0;
    int64_t began = bench_now();
    start(GROUP, worker, rounds);
    join(GROUP);
    bench_print_ns("semaphore", began, rounds * GROUP);
    bench_require(done == rounds * GROUP, "rounds");
}

/* ------------------------------------------------------------- cancel, sleepers */

static void *interrupted(void *arg)
{
    waiting++;
    int rc = (intptr_t)arg % 2 ? st_sleep(3600) : st_cond_wait(go);
    done += rc < 0 && errno == EINTR;
    return NULL;
}

static void cancel(long count, long of)
{
    (void)of;
    room_for(count);
    go = st_cond_new();
    start(count, interrupted, 0);
    while (waiting < count)
        st_usleep(0);
    int64_t began = bench_now();
    for (long i = 0; i < count; i++)
        st_thread_interrupt(threads[i]);
    int64_t returned = bench_now();
    join(count);
    bench_print_ns("joined", began, count);
    bench_print("call", (double)(returned - began) / (double)count);
    bench_require(done == count, "interrupted");
}

static void *sleeper(void *arg)
{
    st_usleep(1000 * (1 + (st_utime_t)(uintptr_t)arg % 1000));
    done++;
    return NULL;
}

static void sleepers(long count, long of)
{
    (void)of;
    room_for(count);
    int64_t began = bench_now(), began_wall = bench_wall();
    start(count, sleeper, 0);
    join(count);
    bench_require(done == count, "sleepers");
    print_sleepers(began, began_wall, count);
}

static const struct work works[] = {
    { "yield", yield }, { "spawn", spawn }, { "half", half }, { "blocked", blocked },
    { "tree", tree }, { "pingpong", pingpong }, { "queue", queue }, { "timeout", timeout },
    { "semaphore", semaphore }, { "cancel", cancel }, { "sleepers", sleepers }, { NULL, NULL }
};

int main(int argc, char **argv)
{
    return run_work(argc, argv, works);
}
