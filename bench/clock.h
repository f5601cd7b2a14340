/* What all measuring programs in C share, kin's and the peers': a clock, a way to say
 * the result, and to refuse one.
 *
 * The clock is the processor time of the process: what others run on the machine
 * meanwhile is not its. Each program measures so many rounds that a run takes some
 * tenths of a second, checks that the work was really done, and prints lines
 * "name value". Comparing, repeating and judging are bench/run's.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline int64_t bench_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

static inline int64_t bench_now(void)
{
    return bench_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* For those who wait: the time of day, more or less. */
static inline int64_t bench_wall(void)
{
    return bench_clock(CLOCK_MONOTONIC);
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

/* The sum of two fields of /proc/self/status, in KiB. */
static inline double bench_status_kib(const char *first, const char *second)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256], name[32];
    long value, sum = 0;

    while (status && fgets(line, sizeof line, status)) {
        if (sscanf(line, "%31[^:]: %ld", name, &value) == 2 &&
            (strcmp(name, first) == 0 || strcmp(name, second) == 0))
            sum += value;
    }
    if (status)
        fclose(status);
    return (double)sum;
}

/* The most that the process has ever held, page tables too. */
static inline double bench_peak_kib(void)
{
    return bench_status_kib("VmHWM", "VmPTE");
}

#endif
