/* kin's input and output for programs, above the descriptors of kin.h.
 *
 *   1  Names and connections      4  Servers
 *   2  Sockets, datagrams         5  Files and directories
 *   3  Streams                    6  Watching files
 *
 * Everything here is part of libkin. The rules are those of kin.h. No call takes a limit in
 * time: they obey the scopes around them.
 */
#ifndef KIN_IO_H
#define KIN_IO_H

#include "kin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------ 1  Names and connections */

/* ----------------------------------------------------- 2  Sockets, datagrams */

/* ------------------------------------------------------------- 3  Streams */

/* What a stream is over: descriptors, or TLS (kin_tls.h), or somebody's own. The calls get
 * the stream's arg, obey the rules of kin_read and kin_write_all, and may be under way in one
 * reader and one writer at the same time. */
struct kin_transport {
    const char *name;                           /* "descriptor", "tls" */
    ssize_t (*read)(void *arg, void *buffer, size_t size);
    int (*write_all)(void *arg, const void *buffer, size_t size, size_t *done);
    int (*end)(void *arg);                      /* nothing more is written: half-close */
    int (*close)(void *arg);                    /* lets go of all, and of arg */
};

/* Belongs to the caller, and is for one reader and one writer at a time. */
typedef struct kin_stream {
    const struct kin_transport *transport;
    void *arg;
    char *in, *out;             /* buffers, made when first needed */
    size_t in_first, in_end, in_size;
    size_t out_end, out_size;
    size_t most;                /* the longest piece that may be read at once */
    int failed;                 /* code of the first write that failed: the others repeat it */
} kin_stream;

/* -------------------------------------------------------------- 4  Servers */

struct kin_serve_counts {       /* kept up to date while it serves */
    uint64_t accepted;
    uint64_t failed;            /* not those whose peer has just gone away */
    uint64_t cut;               /* were still busy when .drain was over */
};
struct kin_serve_options {
    const char *at;             /* set by the macro */
    const char *name;           /* of the connections' tasks: name[1], name[2] …; borrowed */
    uint32_t limit;             /* so many at once; the others wait in the backlog. 0: any */
    int64_t drain;              /* how long connections may go on when the server is to end */
    size_t stack;               /* bytes of address space for each task; 0: the run's */
    /* Told why a connection failed, in its task; arg is the server's. NULL: that is reported. */
    void (*failed)(const kin_error *error, void *arg);
    struct kin_serve_counts *counts;
};
/* Runs fn(fd, arg) in a task for each connection, and closes fd when that has returned; until
 * the caller is cancelled or the listener, which is its own from the call on, closed. Then it
 * accepts no more, and waits for those under way, cancelled softly with .drain as the grace.
 * Where descriptors or memory are short it waits. Blocks. 0 when the listener was closed;
 * KIN_ECANCELED, KIN_EINVAL, KIN_EBUSY (others accept from it), -ENOMEM, -errno of accept. */
#define kin_serve(...) KIN_SERVE_(__VA_ARGS__, )
#define KIN_SERVE_(listener_fd, fn, arg, ...) \
    kin_serve_with(listener_fd, fn, arg, &(struct kin_serve_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_serve_with(int listener_fd, int (*fn)(int fd, void *arg), void *arg,
                           const struct kin_serve_options *options);

/* For a connection between two requests: waits until there is something to read. Blocks.
 * 1; 0 when the server is to end and there is nothing, so that the connection may go; or a
 * code of kin_wait_fd, which it is outside of a server. */
KIN_API int kin_serve_idle(int fd);

/* ------------------------------------------------- 5  Files and directories */

/* -------------------------------------------------------- 6  Watching files */

#ifdef __cplusplus
}
#endif
#endif
