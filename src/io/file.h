/* Calls of files: what file.c, file_whole.c, directory.c and inotify.c ask for, and
 * file_call.c and file_uring.c do. */
#ifndef KIN__FILE_H
#define KIN__FILE_H

#include "io/io.h"
#include "kin_io.h"

#include <limits.h>

enum kin__file_what {
    KIN__FILE_OPEN, KIN__FILE_READ, KIN__FILE_WRITE, KIN__FILE_SYNC, KIN__FILE_TRUNCATE,
    KIN__FILE_STAT, KIN__FILE_RENAME, KIN__FILE_UNLINK, KIN__FILE_MKDIR, KIN__FILE_LIST,
    KIN__FILE_WATCH
};

enum { KIN__FILE_PATH = INT_MIN };  /* no descriptor: a path alone */

/* One call: on the caller's stack, where a thread or the kernel finds it. */
struct kin__file_call {
    struct kin__op op;          /* the ring's */
    enum kin__file_what what;
    int fd;                     /* held meanwhile; or KIN__FILE_PATH */
    const char *path, *to;
    int flags;                  /* open's; unlink: AT_REMOVEDIR; sync: true for data only;
                                 * list: true to find the types out */
    mode_t mode;
    uint32_t mask;              /* watch */
    union {
        void *into;             /* read, list */
        const void *from;       /* write */
        struct stat *status;
    };
    size_t size;
    int64_t offset;             /* read, write: -1: the file's position; truncate: the size */
    void *ring;                 /* the ring's own */
};

/* It has offsets, and no readiness. */
static inline bool kin__is_disk(mode_t mode)
{
    return S_ISREG(mode) || S_ISBLK(mode) || S_ISDIR(mode);
}

/* What the system call returns, or -errno; or why it was not made. Blocks. */
int kin__file_call(struct kin__file_call *call);
/* A blocking call begins, which may turn out to have all that it needs. */
int kin__file_enter(void);

#endif
