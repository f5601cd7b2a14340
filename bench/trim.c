/* What a burst leaves behind.
 *
 *     bench_trim TASKS
 *
 * A thousand tasks have waited at the same time, and ended: so much a program holds that has
 * worked for a while. Then so many do, and end, and kin_trim() is called. What the process
 * holds after that, page tables too, is divided by what it held before ("trimmed"); and by
 * what it would have held before, had it been trimmed then, too ("trimmed_least"). The tasks
 * have no records of the caller's, which would be his to give back.
 */
#include "bench.h"

enum { USUAL = 1000 };

static long blocked_now;
static kin_event go;

static int blocked(void *arg)
{
    (void)arg;
    blocked_now++;
    int rc = kin_event_wait(&go);
    blocked_now--;
    return rc;
}

static int burst(long tasks)
{
    kin_group g = kin_group_open(.name = "burst");

    kin_event_clear(&go);
    for (long i = 0; i < tasks; i++)
        kin_spawn(&g, blocked, NULL, .name = "blocked", .index = (int)i);
    kin_yield();
    bench_require(blocked_now == tasks, "not all were blocked at once");
    kin_event_set(&go);
    return kin_group_close(&g, 0);
}

static double held_kib(void)
{
    return bench_status_kib("VmRSS", "VmPTE");
}

static int body(void *arg)
{
    const long *tasks = arg;
    int rc = burst(USUAL);

    kin_trim();
    double least = held_kib();
    if (rc == 0)
        rc = burst(USUAL);
    double before = held_kib();
    if (rc == 0)
        rc = burst(*tasks);
    double untrimmed = held_kib();
    int64_t began = bench_now();
    kin_trim();
    int64_t took = bench_now() - began;
    double after = held_kib();
    bench_print("untrimmed", untrimmed / before);
    bench_print("trimmed", after / before);
    bench_print("trimmed_least", after / least);
    bench_print("before_kib", before);
    bench_print("trim_ms", (double)took / (double)KIN_MS(1));
    return rc == 0 ? burst(USUAL) : rc;         /* and what is left still works */
}

static void report(const char *line, void *arg)
{
    (void)arg;
    if (!strstr(line, "kept the others waiting"))
        fprintf(stderr, "kin: %s\n", line);
}

int main(int argc, char **argv)
{
    long tasks = bench_size(argc, argv, 1000000);

    bench_require(kin_run(body, &tasks, .on_report = report) == 0, "the burst");
    return 0;
}
