#ifndef KIN_CLI_OUT_H
#define KIN_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>

/* A descriptor that was there before us, and that others may share: standard
 * output, standard error. It is written through a small buffer. */
struct out {
    int fd;
    bool regular;               /* a file: always ready */
    size_t used;
    char buffer[16 << 10];
};

void out_init(struct out *out, int fd);
/* Both block, and may be cancelled. 0, -errno, or KIN_ECANCELED. */
int out_write(struct out *out, const void *data, size_t size);
int out_flush(struct out *out);

#endif
