/* What the works of bench_grow share: how much, a clock, a scale. See grow.c. */
#ifndef BENCH_GROW_H
#define BENCH_GROW_H

#include "bench.h"

extern long size;                       /* so many of them … */
extern long items;                      /* … and at least so many operations */

/* The clock runs for so many operations. */
void clock_start(void);
void clock_stop(int64_t done);
void clock_share(int64_t among);        /* each of them was so many */
/* All of them are there now. */
void weigh(void);
/* Memory of the program's own, touched before anything is weighed; zero. */
void *owned(size_t count, size_t of);

/* A work: a round of it, and what it needs. */
struct work {
    const char *name;
    int (*round)(void);
    bool steady;                        /* runs its operations in one round */
};
extern const struct work steady_works[], built_works[];     /* the last has no name */

#endif
