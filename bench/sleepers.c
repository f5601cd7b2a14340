/* Tasks that sleep, a million of them, and what each takes.
 *
 *     bench_sleepers TASKS            all at the same time: what each weighs, how late it wakes
 *     bench_sleepers TASKS short      each for 1 to 1000 ms: time, processor time, memory
 *
 * In the first they wake at times spread over a second, but not before all of them sleep:
 * the last to come looks at the process while everybody is there. Should the machine be so
 * slow that the first has woken by then, nothing was measured. Weighed is everything that
 * the process holds, page tables too. In the second a part of them have woken before the
 * last has started, as in a program that starts its tasks when it likes.
 */
#include "bench.h"

#include <sys/mman.h>
#include <sys/resource.h>

static const int64_t all_asleep_by = KIN_S(8);
static long tasks, asleep, awake, fresh_stacks;
static int64_t start, latest;
static double kib;

static int64_t span_of(intptr_t index)
{
    return KIN_MS(1 + index % 1000);
}

static int sleeper(void *arg)
{
    int64_t due = start + all_asleep_by + span_of((intptr_t)arg);

    if (++asleep == tasks && awake == 0)
        kib = bench_status_kib("VmRSS", "VmPTE");
    int rc = kin_sleep_until(due);
    int64_t late = kin_now() - due;
    if (late > latest)
        latest = late;
    awake++;
    return rc;
}

static int short_sleeper(void *arg)
{
    int rc = kin_sleep(span_of((intptr_t)arg));

    awake++;
    return rc;
}

static int all(int (*task)(void *), kin_task *record)
{
    kin_group g = kin_group_open(.name = "dormitory");

    for (long i = 0; i < tasks; i++)
        kin_spawn(&g, task, (void *)(intptr_t)i, .name = "sleeper", .index = (int)i,
                  .task = record ? &record[i] : NULL);
    return kin_group_close(&g, 0);
}

/* ------------------------------------------------------------ all at the same time */

static int dormitory(void *arg)
{
    (void)arg;
    start = kin_now();
    int rc = all(sleeper, NULL);
    bench_require(kib > 0, "their memory: some woke before all slept");
    bench_print("sleepers_late_ms", (double)latest / (double)KIN_MS(1));
    bench_print("sleepers_kib", kib / (double)tasks);
    return rc;
}

/* --------------------------------------------------------------- 1 to 1000 ms each */

/* What the first touch of a page costs: a stack that was never used takes one. */
static double touch_ns(void)
{
    enum { PAGES = 20000, PAGE = 4096 };
    char *pages = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    bench_require(pages != MAP_FAILED, "memory");
    madvise(pages, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE);
    int64_t began = bench_now();
    for (long i = 0; i < PAGES; i++)
        ((volatile char *)pages)[i * PAGE] = 1;
    int64_t took = bench_now() - began;
    munmap(pages, (size_t)PAGES * PAGE);
    return (double)took / PAGES;
}

static long page_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* Pages touched for the first time, but for those of the records: the stacks'. Not every
 * task has a fresh one. */
static void count_stacks(long faults_before)
{
    long records = tasks * (long)(256 + sizeof(kin_task)) / 4096;

    fresh_stacks = page_faults() - faults_before - records;
}

static int shorts(void *arg)
{
    kin_task *record = calloc((size_t)tasks, sizeof *record);
    int64_t began = bench_now(), began_wall = bench_wall();
    long faults = page_faults();

    (void)arg;
    bench_require(record != NULL, "memory");
    int rc = all(short_sleeper, record);
    bench_print_ns("sleepers", began, tasks);
    count_stacks(faults);
    bench_print("sleepers_s", (double)(bench_wall() - began_wall) / 1e9);
    bench_require(bench_all_ok(record, tasks), "their records");
    free(record);
    return rc;
}

int main(int argc, char **argv)
{
    bool is_short = argc > 2 && strcmp(argv[2], "short") == 0;

    tasks = bench_size(argc, argv, 1000000);
    bench_require(kin_run(is_short ? shorts : dormitory, NULL) == 0 && awake == tasks,
                  "sleepers");
    if (is_short) {
        bench_print("sleepers_peak_kib", bench_peak_kib() / (double)tasks);
        bench_print("touch", touch_ns() * (double)fresh_stacks / (double)tasks);
    }
    return 0;
}
