#ifndef KIN_CLI_BODY_H
#define KIN_CLI_BODY_H

#include <stddef.h>
#include <stdint.h>

/* Where bodies wait that do not fit in memory: one unlinked file a run. */
struct spool {
    int fd;                     /* -1 until it is needed */
    uint64_t end;               /* the file is used up to here */
    uint64_t spooled;           /* bytes in it that are still wanted */
    size_t held;                /* bytes that bodies hold in memory */
};
#define SPOOL_INIT { .fd = -1 }

/* A body that is kept until its turn to be printed. Zeroed, it is empty. */
struct body {
    char *data;                 /* its tail, in memory */
    size_t size, room;
    struct extent *extents;     /* what comes before, in the spool */
    size_t count;
    uint64_t total;             /* bytes, of both */
};

void spool_close(struct spool *spool);

/* Adds bytes. 0, -ENOMEM, or -errno of the spool. */
int body_append(struct spool *spool, struct body *body, const void *data, size_t size);
/* Called once it is complete: what many finished bodies hold together is bounded. */
int body_settle(struct spool *spool, struct body *body);
/* Hands over all of it, piece by piece. The first code below 0, or 0. */
int body_read(struct spool *spool, const struct body *body,
              int (*take)(void *arg, const void *data, size_t size), void *arg);
/* Forgets it, and gives back its room. */
void body_clear(struct spool *spool, struct body *body);

#endif
