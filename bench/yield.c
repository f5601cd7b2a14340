/* Two tasks of one group yield to each other. */
#include "bench.h"

static long rounds;
static int64_t yielded;

static int yielder(void *arg)
{
    (void)arg;
    for (long i = 0; i < rounds; i++) {
        int rc = kin_yield();
        if (rc < 0)
            return rc;
        yielded++;
    }
    return 0;
}

static int body(void *arg)
{
    (void)arg;
    kin_group g = kin_group_open();

    kin_spawn(&g, yielder, NULL, .name = "ping");
    kin_spawn(&g, yielder, NULL, .name = "pong");
    return kin_group_close(&g, 0);
}

int main(int argc, char **argv)
{
    rounds = bench_size(argc, argv, 10000000);
    int64_t began = bench_now();
    int rc = kin_run(body, NULL);
    bench_print_ns("yield", began, 2 * (int64_t)rounds);
    bench_require(rc == 0 && yielded == 2 * rounds, "yields");
    return 0;
}
