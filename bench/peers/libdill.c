/* The same work on libdill: coroutines in a bundle, whose waiting and closing are its
 * structured concurrency, and channels. Channels have no places, so that each item of the
 * queue is handed over on its own; there is no semaphore. It is built without guard pages,
 * of which the system allows only some tens of thousands: that makes it faster. */
#include "work.h"

#include <libdill.h>

static int64_t done;
static long waiting;

static void need(int rc, const char *what)
{
    bench_require(rc >= 0, what);
}

/* ------------------------------------------------------------------ yield, spawn */

static coroutine void yielder(long rounds)
{
    while (rounds-- > 0) {
        yield();
        done++;
    }
}

static void all_yield(long rounds, long tasks)
{
    int b = bundle();

    for (long i = 0; i < tasks; i++)
        need(bundle_go(b, yielder(rounds)), "a coroutine");
    need(bundle_wait(b, -1), "the bundle");
    hclose(b);
}

static void measure_yield(long rounds, long of)
{
    long tasks = of ? of : 2;

    all_yield(3, tasks);
    done = 0;
    int64_t began = bench_now();
    all_yield(rounds, tasks);
    bench_print_ns("yield", began, rounds * tasks);
    bench_require(done == rounds * tasks, "yields");
}

static coroutine void leaf(void)
{
    done++;
}

static coroutine void yielding_leaf(long i)
{
    done++;
    if (i % 2)
        yield();
}

static void leaves(void)
{
    int b = bundle();

    for (long i = 0; i < GROUP; i++)
        need(bundle_go(b, leaf()), "a coroutine");
    need(bundle_wait(b, -1), "the bundle");
    hclose(b);
}

static void yielding_leaves(void)
{
    int b = bundle();

    for (long i = 0; i < GROUP; i++)
        need(bundle_go(b, yielding_leaf(i)), "a coroutine");
    need(bundle_wait(b, -1), "the bundle");
    hclose(b);
}

static coroutine void blocked_leaf(int ch)
{
    waiting++;
    need(-chrecv(ch, NULL, 0, -1), "a channel that is done");
    done++;
}

/* A channel that is done wakes all that wait. */
static void blocked_leaves(void)
{
    int b = bundle(), ch[2];

    waiting = 0;
    need(chmake(ch), "a channel");
    for (long i = 0; i < GROUP; i++)
        need(bundle_go(b, blocked_leaf(ch[0])), "a coroutine");
    while (waiting < GROUP)
        yield();
    need(chdone(ch[1]), "the channel");
    need(bundle_wait(b, -1), "the bundle");
    hclose(b);
    hclose(ch[0]);
    hclose(ch[1]);
}

static void groups(const char *name, long count, void (*group)(void))
{
    group();
    int64_t began = bench_now();
    for (long i = 0; i < count; i++)
        group();
    bench_print_ns(name, began, count * GROUP);
    bench_require(done == (count + 1) * GROUP, "coroutines");
}

static void spawn(long size, long of)
{
    (void)of;
    groups("spawn", size, leaves);
}

static void half(long size, long of)
{
    (void)of;
    groups("half", size, yielding_leaves);
}

static void blocked(long size, long of)
{
    (void)of;
    groups("blocked", size, blocked_leaves);
}

/* -------------------------------------------------------------------------- tree */

static coroutine void node(int64_t first, int64_t size, int64_t *sum)
{
    int64_t sums[CHILDREN];

    if (size == 1) {
        *sum = first;
        return;
    }
    int b = bundle();
    for (int i = 0; i < CHILDREN; i++)
        need(bundle_go(b, node(first + i * size / CHILDREN, size / CHILDREN, &sums[i])),
             "a coroutine");
    need(bundle_wait(b, -1), "the bundle");
    hclose(b);
    *sum = 0;
    for (int i = 0; i < CHILDREN; i++)
        *sum += sums[i];
}

static void tree(long depth, long of)
{
    int64_t count = 1, sum;

    (void)of;
    while (depth-- > 0)
        count *= CHILDREN;
    int64_t began = bench_now();
    node(0, count, &sum);
    bench_print_ns("tree", began, count);
    bench_print("tree_mib", bench_peak_kib() / 1024);
    bench_require(sum == count * (count - 1) / 2, "sum");
}

/* --------------------------------------------------------------------- channels */

static coroutine void ping(int there, int back, long rounds)
{
    for (long i = 0, item; i < rounds; i++) {
        need(chsend(there, &i, sizeof i, -1), "send");
        need(chrecv(back, &item, sizeof item, -1), "receive");
        done += item == i;
    }
}

static coroutine void pong(int there, int back, long rounds)
{
    for (long item; rounds > 0; rounds--) {
        need(chrecv(there, &item, sizeof item, -1), "receive");
        need(chsend(back, &item, sizeof item, -1), "send");
        done++;
    }
}

static void pingpong(long rounds, long of)
{
    int there[2], back[2], b = bundle();

    (void)of;
    need(chmake(there), "a channel");
    need(chmake(back), "a channel");
    int64_t began = bench_now();
    need(bundle_go(b, ping(there[0], back[0], rounds)), "a coroutine");
    need(bundle_go(b, pong(there[1], back[1], rounds)), "a coroutine");
    need(bundle_wait(b, -1), "the bundle");
    bench_print_ns("pingpong", began, 2 * rounds);
    bench_require(done == 2 * rounds, "messages");
}

static coroutine void produce(int ch, long rounds)
{
    for (long i = 0; i < rounds; i++)
        need(chsend(ch, &i, sizeof i, -1), "send");
}

static coroutine void consume(int ch, long rounds)
{
    for (long i = 0, item; i < rounds; i++) {
        need(chrecv(ch, &item, sizeof item, -1), "receive");
        done += item == i;
    }
}

static void queue(long rounds, long of)
{
    int ch[2], b = bundle();

    (void)of;
    need(chmake(ch), "a channel");
    int64_t began = bench_now();
    need(bundle_go(b, produce(ch[0], rounds)), "a coroutine");
    need(bundle_go(b, consume(ch[1], rounds)), "a coroutine");
    need(bundle_wait(b, -1), "the bundle");
    bench_print_ns("queue", began, rounds);
    bench_require(done == rounds, "items");
}

static int ends[MOST_CHANNELS][2];

static coroutine void sender(long rounds, long channels)
{
    for (long i = 0; i < rounds; i++)
        need(chsend(ends[i % channels][0], &i, sizeof i, -1), "send");
}

static coroutine void selector(long rounds, long channels)
{
    struct chclause clause[MOST_CHANNELS];
    long item;

    for (long i = 0; i < channels; i++)
        clause[i] = (struct chclause){ CHRECV, ends[i][1], &item, sizeof item };
    for (long i = 0; i < rounds; i++)
        done += choose(clause, (int)channels, -1) == i % channels && item == i;
}

static void measure_select(long rounds, long channels)
{
    int b = bundle();

    for (long i = 0; i < channels; i++)
        need(chmake(ends[i]), "a channel");
    int64_t began = bench_now();
    need(bundle_go(b, selector(rounds, channels)), "a coroutine");
    need(bundle_go(b, sender(rounds, channels)), "a coroutine");
    need(bundle_wait(b, -1), "the bundle");
    bench_print_ns("select", began, rounds);
    bench_require(done == rounds, "what was received");
}

/* ------------------------------------------------------------------------ limits */

static coroutine void limited(int there, int back, long rounds)
{
    for (long i = 0; i < rounds; i++) {
        need(chsend(there, NULL, 0, -1), "send");
        need(chrecv(back, NULL, 0, now() + 1000), "receive in time");
        done++;
    }
}

static coroutine void waker(int there, int back, long rounds)
{
    for (; rounds > 0; rounds--) {
        need(chrecv(there, NULL, 0, -1), "receive");
        need(chsend(back, NULL, 0, -1), "send");
    }
}

static coroutine void sleeping(int64_t until)
{
    msleep(until);
}

static void timeout(long rounds, long others)
{
    int there[2], back[2], b = bundle(), sleeping_ones = bundle();

    need(chmake(there), "a channel");
    need(chmake(back), "a channel");
    for (long i = 0; i < others; i++)
        need(bundle_go(sleeping_ones, sleeping(now() + 1000 * (100 + i % 1000))),
             "a coroutine");
    int64_t began = bench_now();
    need(bundle_go(b, limited(there[0], back[0], rounds)), "a coroutine");
    need(bundle_go(b, waker(there[1], back[1], rounds)), "a coroutine");
    need(bundle_wait(b, -1), "the bundle");
    bench_print_ns("timeout", began, rounds);
    bench_require(done == rounds, "limits");
}

/* ------------------------------------------------------------- cancel, sleepers */

static coroutine void cancelled(int ch, long i)
{
    waiting++;
    int rc = i % 2 ? msleep(now() + 3600000) : chrecv(ch, NULL, 0, -1);
    done += rc < 0 && errno == ECANCELED;
}

/* One call cancels and joins. */
static void cancel(long count, long of)
{
    int ch[2], b = bundle();

    (void)of;
    need(chmake(ch), "a channel");
    for (long i = 0; i < count; i++)
        need(bundle_go(b, cancelled(ch[0], i)), "a coroutine");
    while (waiting < count)
        yield();
    int64_t began = bench_now();
    hclose(b);
    bench_print_ns("joined", began, count);
    bench_require(done == count, "cancelled");
}

static coroutine void sleeper(long i)
{
    need(msleep(now() + 1 + i % 1000), "sleep");
    done++;
}

static void sleepers(long count, long of)
{
    int b = bundle();

    (void)of;
    int64_t began = bench_now(), began_wall = bench_wall();
    for (long i = 0; i < count; i++)
        need(bundle_go(b, sleeper(i)), "a coroutine");
    need(bundle_wait(b, -1), "the bundle");
    bench_require(done == count, "sleepers");
    print_sleepers(began, began_wall, count);
}

static const struct work works[] = {
    { "yield", measure_yield }, { "spawn", spawn }, { "half", half }, { "blocked", blocked },
    { "tree", tree }, { "pingpong", pingpong }, { "queue", queue }, { "timeout", timeout },
    { "select", measure_select }, { "cancel", cancel }, { "sleepers", sleepers },
    { NULL, NULL }
};

int main(int argc, char **argv)
{
    return run_work(argc, argv, works);
}
