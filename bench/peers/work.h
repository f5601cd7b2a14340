/* What the peers' programs in C and C++ share: WORK SIZE [OF], looked up in a table. */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "../clock.h"

enum { GROUP = 1000, CHILDREN = 10, BELT = 128, UNITS = 5, MOST_CHANNELS = 64 };

struct work {
    const char *name;
    void (*run)(long size, long of);
};

static inline int run_work(int argc, char **argv, const struct work *works)
{
    long size = argc > 2 ? strtol(argv[2], NULL, 10) : 0;

    bench_require(size > 0, "usage: peer WORK SIZE [OF]");
    for (const struct work *w = works; w->name; w++) {
        if (strcmp(w->name, argv[1]) == 0) {
            w->run(size, argc > 3 ? strtol(argv[3], NULL, 10) : 0);
            return 0;
        }
    }
    bench_require(false, "there is no such work here");
    return 1;
}

static inline void print_sleepers(int64_t began, int64_t began_wall, long tasks)
{
    bench_print_ns("sleepers", began, tasks);
    bench_print("sleepers_s", (double)(bench_wall() - began_wall) / 1e9);
    bench_print("sleepers_peak_kib", bench_peak_kib() / (double)tasks);
}

#endif
