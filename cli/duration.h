#ifndef KIN_CLI_DURATION_H
#define KIN_CLI_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "300ms", "1.5s", "2m", "1h", or a plain number of seconds, into nanoseconds.
 * False for everything else, for negative times, and beyond a hundred years. */
bool duration_parse(const char *text, int64_t *duration);

/* A duration as a person reads it: "12 ms", "1.50 s", "2 min 5 s". Returns text. */
const char *duration_print(int64_t duration, char *text, size_t size);

#endif
