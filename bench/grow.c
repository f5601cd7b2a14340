/* How the cost of one item grows with how many of them there are.
 *
 *     bench_grow WORK SIZE [ITEMS]
 *
 * Prints what an item took ("ns"), what it took in the first round ("first"), and what it
 * weighs while all are there ("kib": VmRSS + VmPTE beyond what the process held before).
 *
 * In the steady works (grow_steady.c) SIZE tasks, places, channels or scopes are there all
 * the time and do the same again and again, until ITEMS have been done. The others
 * (grow_built.c) make SIZE of something and take it down again. Their first round finds all
 * memory untouched, and is told apart from the others, which are repeated until ITEMS have
 * been done.
 */
#include "grow.h"

long size, items;

/* ------------------------------------------------------------------- the measure */

static int64_t began, spent, counted, clock_cost;
static double kib_before, kib_weighed;
static bool weighed;

static double kib_now(void)
{
    return bench_status_kib("VmRSS", "VmPTE");
}

/* Once: it takes longer than many of the rounds. */
void weigh(void)
{
    if (!weighed)
        kib_weighed = kib_now() - kib_before;
    weighed = true;
}

void clock_start(void)
{
    began = bench_now();
}

void clock_stop(int64_t done)
{
    spent += bench_now() - began - clock_cost;
    counted += done;
}

void clock_share(int64_t among)
{
    counted *= among;
}

/* Reading this clock is a system call, which is as much as a round of ten. */
static void clock_calibrate(void)
{
    int64_t least = INT64_MAX;

    for (int i = 0; i < 1000; i++) {
        int64_t from = bench_now(), took = bench_now() - from;
        least = took < least ? took : least;
    }
    clock_cost = least;
}

void *owned(size_t count, size_t of)
{
    char *memory = malloc(count * of);

    bench_require(memory != NULL, "memory");
    memset(memory, 0, count * of);
    kib_before = kib_now();
    return memory;
}

/* ------------------------------------------------------------------------- a run */

static const struct work *work_in(const struct work *works, const char *name)
{
    while (works->name && strcmp(works->name, name) != 0)
        works++;
    return works->name ? works : NULL;
}

static const struct work *work_named(const char *name)
{
    const struct work *work = work_in(steady_works, name);

    return work ? work : work_in(built_works, name);
}

static int rounds_of(const struct work *work)
{
    int rc = work->round();

    if (work->steady || rc < 0)
        return rc;
    bench_print("first", (double)spent / (double)counted);
    for (spent = counted = 0; rc == 0 && (counted == 0 || counted < items);)
        rc = work->round();
    return rc;
}

static int body(void *arg)
{
    const struct work *work = *(const struct work **)arg;

    kib_before = kib_now();
    clock_calibrate();
    int rc = rounds_of(work);
    bench_require(rc < 0 || counted > 0, "none was done");
    bench_print("ns", (double)spent / (double)counted);
    bench_print("kib", kib_weighed / (double)size);
    return rc;
}

/* That a million spawns at once keep others waiting is what is measured here. */
static void report(const char *line, void *arg)
{
    (void)arg;
    if (!strstr(line, "kept the others waiting"))
        fprintf(stderr, "kin: %s\n", line);
}

int main(int argc, char **argv)
{
    const struct work *work = argc > 1 ? work_named(argv[1]) : NULL;

    bench_require(work != NULL, "there is no such work");
    size = bench_argument(argc, argv, 2, 10000);
    items = bench_argument(argc, argv, 3, 2000000);
    bench_require(kin_run(body, &work, .on_report = report) == 0, work->name);
    return 0;
}
