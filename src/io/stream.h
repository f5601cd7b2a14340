/* Streams: what reading, writing and copying share. stream.c has the essay. */
#ifndef KIN__STREAM_H
#define KIN__STREAM_H

#include "io/io.h"

#include "kin_io.h"

enum {
    KIN__STREAM_SMALL = 1 << 10,        /* a buffer of an idle stream */
    KIN__STREAM_LARGE = 1 << 14,        /* a busy one's; pieces as long go around it */
    KIN__STREAM_MOST = 1 << 16          /* the longest line, where nothing else is said */
};

extern const struct kin_transport kin__descriptor_transport;

/* A call that reads, or writes, begins: 0, and it must be ended; KIN_ECANCELED, KIN_ENORUN,
 * KIN_ECLOSED, KIN_EBUSY, the failure of an earlier write. Ending gives rc back, after a yield
 * now and then. */
int kin__stream_begin_read(kin_stream *stream);
int kin__stream_end_read(kin_stream *stream, int rc);
int kin__stream_begin_write(kin_stream *stream);
int kin__stream_end_write(kin_stream *stream, int rc);

static inline size_t kin__stream_waiting(const kin_stream *stream)
{
    return stream->in_end - stream->in_first;
}

/* Reads once, behind what is there, into a buffer of at least so many bytes: how many came,
 * 0 at the end, or a code. Within a read. */
ssize_t kin__stream_fill(kin_stream *stream, size_t size);
/* These go out at once; the buffer is empty. Within a write. */
int kin__stream_send(kin_stream *stream, const char *data, size_t size, size_t *done);
/* All that is in the buffer does. Within a write. */
int kin__stream_send_buffer(kin_stream *stream);

#endif
