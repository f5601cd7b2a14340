/* libuv has no tasks; it has timers: one armed and disarmed among others, and a million
 * that each fire once. No stack, no task, no limit on anything: only the timer. */
#include "work.h"

#include <uv.h>

static long fired;

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    fired++;
}

static uv_timer_t *timers_of(long count)
{
    uv_timer_t *timers = calloc((size_t)count + 1, sizeof *timers);

    bench_require(timers != NULL, "memory");
    for (long i = 0; i <= count; i++)
        uv_timer_init(uv_default_loop(), &timers[i]);
    return timers;
}

static void timeout(long rounds, long others)
{
    uv_timer_t *timers = timers_of(others);

    for (long i = 1; i <= others; i++)
        uv_timer_start(&timers[i], on_timer, 1000 * (100 + (uint64_t)i % 1000), 0);
    int64_t began = bench_now();
    for (long i = 0; i < rounds; i++) {
        uv_timer_start(&timers[0], on_timer, 1000, 0);
        uv_timer_stop(&timers[0]);
    }
    bench_print_ns("timeout", began, rounds);
    bench_require(fired == 0, "none fires");
}

static void sleepers(long count, long of)
{
    uv_timer_t *timers = timers_of(count);
    int64_t began = bench_now(), began_wall = bench_wall();

    (void)of;
    uv_update_time(uv_default_loop());
    for (long i = 0; i < count; i++)
        uv_timer_start(&timers[i], on_timer, 1 + (uint64_t)i % 1000, 0);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    bench_require(fired == count, "sleepers");
    print_sleepers(began, began_wall, count);
}

static const struct work works[] = {
    { "timeout", timeout }, { "sleepers", sleepers }, { NULL, NULL }
};

int main(int argc, char **argv)
{
    return run_work(argc, argv, works);
}
