/* Reading from a stream: bytes, pieces, all.
 *
 * What has come lies in the buffer from in_first to in_end. A piece is looked for there,
 * and while it is not complete the transport is read once more, behind it; nothing is taken
 * before it is complete, so whatever ends the call leaves all where it was. The buffer has
 * a byte more than its size says, for the 0 that ends a piece; elsewhere that 0 takes the
 * place of the delimiter, which nobody reads again.
 *
 * Long reads do not need the buffer: what it holds is taken first, then the transport
 * reads into the caller's memory.
 *
 * Everything until the end is collected in the buffer, too, which then becomes the
 * caller's: nothing is copied, and a call that fails has nothing to put back.
 */
#include "io/stream.h"

#include <limits.h>
#include <string.h>

/* ------------------------------------------------------------------- the buffer */

static int resize_in(kin_stream *stream, size_t size)
{
    char *in = size < SIZE_MAX ? kin__os_resize(stream->in, size + 1) : NULL;

    if (!in)
        return -ENOMEM;
    stream->in = in;
    stream->in_size = size;
    return 0;
}

/* An empty buffer: large while reads fill it, else small. Without memory for a larger one
 * the one that is there will do. */
static int choose_in(kin_stream *stream, size_t size)
{
    if (stream->full && size < KIN__STREAM_LARGE)
        size = KIN__STREAM_LARGE;
    stream->in_first = stream->in_end = 0;
    if (stream->in_size > size && !stream->full) {
        kin__os_free(stream->in);
        stream->in = NULL;
        stream->in_size = 0;
    }
    if (stream->in_size >= size || resize_in(stream, size) == 0)
        return 0;
    return stream->in_size > 0 ? 0 : -ENOMEM;
}

/* Room behind what is there: by moving it where that is little, else by growing. */
static int make_room_in(kin_stream *stream, size_t size)
{
    size_t waiting = kin__stream_waiting(stream);

    if (waiting == 0)
        return choose_in(stream, size);
    if (stream->in_first >= stream->in_size / 2) {
        memmove(stream->in, stream->in + stream->in_first, waiting);
        stream->in_first = 0;
        stream->in_end = waiting;
    }
    if (stream->in_end < stream->in_size)
        return 0;
    size = stream->in_size < KIN__STREAM_LARGE / 2 ? KIN__STREAM_LARGE : 2 * stream->in_size;
    return resize_in(stream, size);
}

ssize_t kin__stream_fill(kin_stream *stream, size_t size)
{
    int rc = make_room_in(stream, size);
    size_t room;
    ssize_t n;

    if (rc < 0)
        return rc;
    room = stream->in_size - stream->in_end;
    n = stream->transport->read(stream->arg, stream->in + stream->in_end, room);
    if (n > 0)
        stream->in_end += (size_t)n;
    stream->full = n > 0 && (size_t)n == room;
    return n;
}

static ssize_t fill_small(kin_stream *stream)
{
    return kin__stream_fill(stream, KIN__STREAM_SMALL);
}

/* ------------------------------------------------------------------------- bytes */

static size_t take_bytes(kin_stream *stream, void *buffer, size_t size)
{
    size_t waiting = kin__stream_waiting(stream), n = size < waiting ? size : waiting;

    if (n > 0)
        memcpy(buffer, stream->in + stream->in_first, n);
    stream->in_first += n;
    return n;
}

static ssize_t read_or_take(kin_stream *stream, void *buffer, size_t size)
{
    ssize_t n;

    if (kin__stream_waiting(stream) > 0 || size == 0)
        return (ssize_t)take_bytes(stream, buffer, size);
    if (size >= KIN__STREAM_LARGE)
        return stream->transport->read(stream->arg, buffer, size);
    n = fill_small(stream);
    return n > 0 ? (ssize_t)take_bytes(stream, buffer, size) : n;
}

ssize_t kin_stream_read(kin_stream *stream, void *buffer, size_t size)
{
    ssize_t n = kin__stream_begin_read(stream);

    if (n < 0)
        return n;
    n = read_or_take(stream, buffer, size < SSIZE_MAX ? size : SSIZE_MAX);
    kin__stream_end_read(stream, 0);
    return n;
}

static int take_exactly(kin_stream *stream, char *buffer, size_t size, size_t *taken)
{
    while (*taken < size) {
        ssize_t n = read_or_take(stream, buffer + *taken, size - *taken);

        if (n <= 0)
            return n < 0 ? (int)n : KIN_EEOF;
        *taken += (size_t)n;
    }
    return 0;
}

int kin_stream_read_exactly(kin_stream *stream, void *buffer, size_t size, size_t *got)
{
    size_t taken = 0;
    int rc = kin__stream_begin_read(stream);

    if (rc == 0)
        rc = kin__stream_end_read(stream, take_exactly(stream, buffer, size, &taken));
    if (got)
        *got = taken;
    return rc;
}

/* ------------------------------------------------------------------------ pieces */

static bool delimiter_within(const kin_stream *stream, const void *delimiter, size_t length,
                             size_t from, size_t *at)
{
    const char *first = stream->in + stream->in_first;
    const char *found = memmem(first + from, kin__stream_waiting(stream) - from, delimiter, length);

    if (found)
        *at = (size_t)(found - first);
    return found != NULL;
}

/* Where the delimiter is, among what waits: 1 and *at; 0: the stream has ended without it.
 * It stands behind at most so many bytes. */
static int find_delimiter(kin_stream *stream, const void *delimiter, size_t length, size_t most,
                          size_t *at)
{
    size_t seen = 0;

    for (;;) {
        size_t waiting = kin__stream_waiting(stream);
        ssize_t n;

        if (waiting > seen && delimiter_within(stream, delimiter, length, seen, at))
            return *at > most ? -EMSGSIZE : 1;
        *at = waiting;
        if (waiting >= length)
            seen = waiting - length + 1;        /* its beginning may be there */
        n = seen > most ? -EMSGSIZE : fill_small(stream);
        if (n <= 0)
            return (int)n;
    }
}

/* Takes so many bytes, and the delimiter behind them. */
static void take_piece(kin_stream *stream, size_t size, size_t behind, char **piece, size_t *length)
{
    *piece = stream->in + stream->in_first;
    (*piece)[size] = '\0';
    stream->in_first += size + behind;
    if (length)
        *length = size;
}

static int take_line(kin_stream *stream, char **line, size_t *size)
{
    size_t most = stream->most, length;
    int rc = find_delimiter(stream, "\n", 1, most < SIZE_MAX ? most + 1 : most, &length);
    bool carriage = rc == 1 && length > 0 && stream->in[stream->in_first + length - 1] == '\r';

    if (rc < 0 || (rc == 0 && length == 0))
        return rc;
    if (length - carriage > most)
        return -EMSGSIZE;
    take_piece(stream, length - carriage, carriage + (size_t)rc, line, size);
    return 1;
}

int kin_stream_read_line(kin_stream *stream, char **line, size_t *size)
{
    int rc = kin__stream_begin_read(stream);

    return rc < 0 ? rc : kin__stream_end_read(stream, take_line(stream, line, size));
}

static int take_until(kin_stream *stream, const void *delimiter, size_t length, char **piece,
                      size_t *size)
{
    size_t at;
    int rc = find_delimiter(stream, delimiter, length, stream->most, &at);

    if (rc == 1) {
        take_piece(stream, at, length, piece, size);
    } else if (rc == 0 && at > 0) {
        *piece = stream->in + stream->in_first;
        *size = at;
        rc = KIN_EEOF;
    }
    return rc;
}

int kin_stream_read_until(kin_stream *stream, const void *delimiter, size_t length, char **piece,
                          size_t *size)
{
    int rc = length == 0 || length > stream->most ? KIN_EINVAL : kin__stream_begin_read(stream);

    if (rc < 0)
        return rc;
    return kin__stream_end_read(stream, take_until(stream, delimiter, length, piece, size));
}

/* --------------------------------------------------------------------------- all */

static int fill_to_end(kin_stream *stream, size_t most)
{
    ssize_t n = 1;

    while (n > 0 && kin__stream_waiting(stream) <= most)
        n = fill_small(stream);
    return n > 0 ? -EMSGSIZE : (int)n;
}

/* The buffer becomes the caller's, no larger than what it holds. */
static void hand_over_all(kin_stream *stream, char **data, size_t *size)
{
    size_t waiting = kin__stream_waiting(stream);
    char *fitting;

    if (waiting > 0)
        memmove(stream->in, stream->in + stream->in_first, waiting);
    fitting = kin__os_resize(stream->in, waiting + 1);
    *data = fitting ? fitting : stream->in;
    (*data)[waiting] = '\0';
    if (size)
        *size = waiting;
    stream->in = NULL;
    stream->in_first = stream->in_end = stream->in_size = 0;
}

int kin_stream_read_all(kin_stream *stream, size_t most, char **data, size_t *size)
{
    int rc = kin__stream_begin_read(stream);

    if (rc < 0)
        return rc;
    rc = fill_to_end(stream, most ? most : KIN__WHOLE_MOST);
    if (rc == 0)
        hand_over_all(stream, data, size);
    return kin__stream_end_read(stream, rc);
}
