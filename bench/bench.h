/* What the measuring programs share: a clock, an argument, a way to say the result.
 *
 * The clock is the processor time of the process: these programs never wait, and
 * what others run on the machine meanwhile is not theirs.
 *
 * Each program measures one thing over so many rounds that a run takes some
 * tenths of a second, checks that the work was really done, and prints lines
 * "name value". Comparing, repeating and judging are bench/run's.
 */
#ifndef BENCH_H
#define BENCH_H

#include "kin.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline int64_t bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * KIN_S(1) + now.tv_nsec;
}

/* The program's only argument: how much work. */
static inline long bench_size(int argc, char **argv, long usual)
{
    long size = argc > 1 ? strtol(argv[1], NULL, 10) : usual;

    if (size < 1) {
        fprintf(stderr, "usage: %s [SIZE]\n", argv[0]);
        exit(2);
    }
    return size;
}

static inline void bench_print(const char *name, double value)
{
    printf("%s %.4f\n", name, value);
}

/* The time since began, shared out over so many operations. */
static inline void bench_print_ns(const char *name, int64_t began, int64_t operations)
{
    bench_print(name, (double)(bench_now() - began) / (double)operations);
}

static inline void bench_require(bool done, const char *what)
{
    if (!done) {
        fprintf(stderr, "not measured: %s\n", what);
        exit(1);
    }
}

#endif
