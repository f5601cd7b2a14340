/* A million tasks asleep at the same time, and what each of them weighs.
 *
 * They wake at times spread over a second, but not before all of them sleep: the
 * last to come looks at the process while everybody is there. Should the
 * machine be so slow that the first has woken by then, nothing was measured.
 * Weighed is everything that the process holds, page tables too.
 */
#include "bench.h"

static const int64_t all_asleep_by = KIN_S(8);
static long tasks, asleep, awake;
static int64_t start;
static double kib;

/* The sum of two fields of /proc/self/status, in KiB. */
static double process_kib(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long value, sum = 0;

    while (status && fgets(line, sizeof line, status)) {
        if (sscanf(line, "VmRSS: %ld", &value) == 1 || sscanf(line, "VmPTE: %ld", &value) == 1)
            sum += value;
    }
    if (status)
        fclose(status);
    return (double)sum;
}

static int sleeper(void *arg)
{
    int64_t spread = KIN_MS(1 + (intptr_t)arg % 1000);

    if (++asleep == tasks && awake == 0)
        kib = process_kib();
    int rc = kin_sleep_until(start + all_asleep_by + spread);
    awake++;
    return rc;
}

static int body(void *arg)
{
    (void)arg;
    start = kin_now();
    kin_group g = kin_group_open(.name = "dormitory");
    for (long i = 0; i < tasks; i++)
        kin_spawn(&g, sleeper, (void *)(intptr_t)i, .name = "sleeper");
    int rc = kin_group_close(&g, 0);
    bench_print("sleepers_late_ms",
                (double)(kin_now() - start - all_asleep_by - KIN_S(1)) / (double)KIN_MS(1));
    return rc;
}

int main(int argc, char **argv)
{
    tasks = bench_size(argc, argv, 1000000);
    int rc = kin_run(body, NULL);
    bench_require(rc == 0 && awake == tasks, "sleepers");
    bench_require(kib > 0, "their memory: some woke before all slept");
    bench_print("sleepers_kib", kib / (double)tasks);
    return 0;
}
