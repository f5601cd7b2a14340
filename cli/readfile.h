#ifndef KIN_CLI_READFILE_H
#define KIN_CLI_READFILE_H

#include <stddef.h>

/* Reads a file of at most so many bytes into memory that the caller frees.
 * 0, -errno; -EFBIG when it is longer. */
int read_whole_file(const char *path, size_t most, char **data, size_t *size);

#endif
