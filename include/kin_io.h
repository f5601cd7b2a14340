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

/* ------------------------------------------------- 5  Files and directories */

/* -------------------------------------------------------- 6  Watching files */

#ifdef __cplusplus
}
#endif
#endif
