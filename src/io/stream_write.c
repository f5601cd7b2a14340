/* Writing to a stream: a buffer that goes out when it is full or told to.
 *
 * What does not fit makes the buffer grow up to 16 KiB, then go out first. As long as
 * nothing of a piece has gone out, the call can be called off without effect; that is why
 * a full buffer is not topped up with the beginning of what follows. Pieces that are as long
 * as a full buffer go around it, and a count says how far they came.
 *
 * The buffer is not sent by a timer or at the end of a step: only the program knows where
 * a message ends. It keeps its size while it is filled again and again; a flush says
 * that there is a pause, and gives a large one back.
 */
#include "io/stream.h"

#include <stdarg.h>
#include <string.h>

/* These say how much they have written, and no more is amiss; any other failure is one of
 * the stream. */
static bool may_go_on(int code)
{
    return code >= 0 || code == KIN_ECANCELED || code == KIN_EBUSY || code == -ENOMEM;
}

int kin__stream_send(kin_stream *stream, const char *data, size_t size, size_t *done)
{
    int rc;

    *done = 0;
    if (size == 0 && !stream->cut)
        return 0;
    rc = stream->transport->write_all(stream->arg, data, size, done);
    stream->cut = rc < 0;
    if (!may_go_on(rc))
        stream->failed = rc;
    return rc;
}

int kin__stream_send_buffer(kin_stream *stream)
{
    size_t done;
    int rc = kin__stream_send(stream, stream->out, stream->out_end, &done);

    stream->out_end -= done;
    if (done > 0 && stream->out_end > 0)
        memmove(stream->out, stream->out + done, stream->out_end);
    return rc;
}

/* ------------------------------------------------------------------- the buffer */

static int resize_out(kin_stream *stream, size_t needed)
{
    size_t size = KIN__STREAM_SMALL;
    char *out;

    while (size < needed && size <= SIZE_MAX / 2)
        size *= 2;
    out = size < needed ? NULL : kin__os_resize(stream->out, size);
    if (!out)
        return -ENOMEM;
    stream->out = out;
    stream->out_size = size;
    return 0;
}

/* Room for so many bytes: as it is, by growing, or when what is there has gone out. */
static int make_room_out(kin_stream *stream, size_t size)
{
    int rc;

    if (size <= stream->out_size - stream->out_end)
        return 0;
    if (stream->out_end > 0 && stream->out_end + size > KIN__STREAM_LARGE) {
        rc = kin__stream_send_buffer(stream);
        if (rc < 0 || size <= stream->out_size)
            return rc;
    }
    return resize_out(stream, stream->out_end + size);
}

/* ---------------------------------------------------------------------- the calls */

static int write_small(kin_stream *stream, const void *data, size_t size, size_t *taken)
{
    int rc = make_room_out(stream, size);

    if (rc < 0 || size == 0)
        return rc;
    memcpy(stream->out + stream->out_end, data, size);
    stream->out_end += size;
    *taken = size;
    return 0;
}

static int write_large(kin_stream *stream, const void *data, size_t size, size_t *taken)
{
    int rc = kin__stream_send_buffer(stream);

    return rc < 0 ? rc : kin__stream_send(stream, data, size, taken);
}

int kin_stream_write(kin_stream *stream, const void *data, size_t size, size_t *done)
{
    size_t taken = 0;
    int rc = kin__stream_begin_write(stream);

    if (rc == 0) {
        rc = size < KIN__STREAM_LARGE ? write_small(stream, data, size, &taken)
                                      : write_large(stream, data, size, &taken);
        kin__stream_end_write(stream, rc);
    }
    if (done)
        *done = taken;
    return rc;
}

/* The first try says how long it becomes. */
static int print_out(kin_stream *stream, const char *format, va_list arguments)
{
    size_t room = stream->out_size - stream->out_end;
    va_list again;
    int n, rc;

    va_copy(again, arguments);
    n = vsnprintf(room ? stream->out + stream->out_end : NULL, room, format, arguments);
    if (n >= 0 && (size_t)n >= room) {
        rc = make_room_out(stream, (size_t)n + 1);
        room = stream->out_size - stream->out_end;
        n = rc < 0 ? rc : vsnprintf(stream->out + stream->out_end, room, format, again);
    } else if (n < 0) {
        n = -errno;
    }
    va_end(again);
    if (n > 0)
        stream->out_end += (size_t)n;
    return n < 0 ? n : 0;
}

int kin_stream_printf(kin_stream *stream, const char *format, ...)
{
    va_list arguments;
    int rc = kin__stream_begin_write(stream);

    if (rc < 0)
        return rc;
    va_start(arguments, format);
    rc = print_out(stream, format, arguments);
    va_end(arguments);
    return kin__stream_end_write(stream, rc);
}

static int flush_out(kin_stream *stream)
{
    int rc = kin__stream_send_buffer(stream);

    if (rc == 0 && stream->out_size > KIN__STREAM_SMALL) {
        kin__os_free(stream->out);
        stream->out = NULL;
        stream->out_size = 0;
    }
    return rc;
}

int kin_stream_flush(kin_stream *stream)
{
    int rc = kin__stream_begin_write(stream);

    return rc < 0 ? rc : kin__stream_end_write(stream, flush_out(stream));
}

int kin_stream_end(kin_stream *stream)
{
    int rc = kin__stream_begin_write(stream);

    if (rc < 0)
        return rc;
    rc = flush_out(stream);
    if (rc == 0)
        rc = stream->transport->end(stream->arg);
    stream->ended = rc == 0;
    return kin__stream_end_write(stream, rc);
}
