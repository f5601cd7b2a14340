/* A task selects over so many channels without places; another sends over them in turn.
 *
 *     bench_select ROUNDS [CHANNELS]
 */
#include "bench.h"

enum { MOST = 64 };

static long rounds, channels, in_place;
static kin_queue channel[MOST];

static int sender(void *arg)
{
    const long *times = arg;
    int rc = 0;

    for (long i = 0; i < *times && rc == 0; i++)
        rc = kin_queue_put(&channel[i % channels], (void *)(intptr_t)i);
    return rc;
}

static int selector(void *arg)
{
    const long *times = arg;
    kin_case cases[MOST];
    int index = 0;

    for (long i = 0; i < channels; i++)
        cases[i] = (kin_case){ .queue = &channel[i] };
    for (long i = 0; i < *times && index >= 0; i++) {
        index = kin_select(cases, (size_t)channels);
        in_place += index == i % channels && cases[index].item == (void *)(intptr_t)i;
    }
    return index < 0 ? index : 0;
}

static int both(long *times, bool look)
{
    kin_group g = kin_group_open(.name = "two");
    kin_task record[2];

    kin_spawn(&g, selector, times, .name = "end", .task = &record[0]);
    kin_spawn(&g, sender, times, .name = "end", .task = &record[1]);
    if (look) {
        kin_yield();
        bench_require_in_dump("end", 2);
    }
    int rc = kin_group_close(&g, 0);
    return rc == 0 && !bench_all_ok(record, 2) ? KIN_EINVAL : rc;
}

static int body(void *arg)
{
    long some = 1000;
    int rc = both(&some, true);

    (void)arg;
    in_place = 0;
    int64_t began = bench_now();
    if (rc == 0)
        rc = both(&rounds, false);
    bench_print_ns("select", began, rounds);
    return rc;
}

int main(int argc, char **argv)
{
    rounds = bench_size(argc, argv, 1000000);
    channels = bench_argument(argc, argv, 2, 2);
    bench_require(channels <= MOST, "at most 64 channels");
    bench_require(kin_run(body, NULL) == 0, "selects");
    bench_require(in_place == rounds, "what was received");
    return 0;
}
