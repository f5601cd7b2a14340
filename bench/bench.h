/* What kin's measuring programs share on top of clock.h: arguments, and a look into the
 * tree of tasks: nothing is switched off for a measurement that a user has on.
 */
#ifndef BENCH_H
#define BENCH_H

#include "clock.h"
#include "kin.h"

/* The n-th argument of the program: how much work, or over how many. */
static inline long bench_argument(int argc, char **argv, int n, long usual)
{
    long value = argc > n ? strtol(argv[n], NULL, 10) : usual;

    if (value < 1) {
        fprintf(stderr, "usage: %s [SIZE [OF]]\n", argv[0]);
        exit(2);
    }
    return value;
}

static inline long bench_size(int argc, char **argv, long usual)
{
    return bench_argument(argc, argv, 1, usual);
}

/* A dump must show so many tasks of that name. Programs look once, in the middle of a
 * round that is not measured, at the same tasks that they measure afterwards. */
static inline void bench_require_in_dump(const char *name, long count)
{
    char *text = NULL;
    size_t size = 0, length = strlen(name);
    FILE *out = open_memstream(&text, &size);

    bench_require(out != NULL, "memory for the dump");
    kin_dump(out);
    fclose(out);
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += strspn(line, " \n");
        count -= strncmp(line, name, length) == 0 && strchr(" [", line[length]);
    }
    free(text);
    bench_require(count == 0, "the dump does not show all tasks");
}

/* All of these ended well. */
static inline bool bench_all_ok(const kin_task *task, long count)
{
    for (long i = 0; i < count; i++)
        if (task[i].status != KIN_OK)
            return false;
    return true;
}

#endif
