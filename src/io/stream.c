/* Streams: buffers in front of a transport, which is most often a descriptor.
 *
 * A stream adds to read and write what every protocol needs: pieces (lines, so many bytes,
 * up to a delimiter), and one system call for many small writes. It knows nothing of
 * sockets: the transport has four functions, so that a program is the same over TLS.
 *
 * Cancellation loses nothing, because bytes move in steps that are whole or not at all. A
 * transport's read puts what has come into the buffer, from where a piece is taken only
 * when it is complete. A transport's write tells how much went out, and the rest stays in
 * the buffer. So a call that was cut off can be made again. That is not so of a write that
 * failed: the peer is gone, or part of a record is out, and whatever would follow it
 * makes no sense. Its code stays, and is returned until the stream is closed.
 *
 * A reader and a writer have nothing in common but the transport. A second reader is refused
 * also where it could be served from the buffer: two that take turns by accident each get
 * parts of a message. Close is refused while somebody is within, since what that task
 * holds would be freed: cancel it first, as its group does.
 *
 * Memory: an idle connection must not hold a large buffer. A stream begins with a small one
 * and uses a large one while reads fill the small; once one did not, there is no more
 * for the time being, and the next to wait is given a small one again. 9,900 tasks that
 * wait for lines take 6.5 KB each, stacks included, whatever went through before; with large
 * buffers for all it was 10 to 22. The price is a second read for a message between the two
 * sizes: 4 to 10 % of an echo. Buffers are not shared between streams: that would need a wait
 * without a buffer before each read, which costs two system calls on epoll.
 */
#include "io/stream.h"

/* ------------------------------------------------------------------ descriptors */

static int descriptor_of(void *arg)
{
    return (int)(intptr_t)arg;
}

static ssize_t descriptor_read(void *arg, void *buffer, size_t size)
{
    return kin_read(descriptor_of(arg), buffer, size);
}

static int descriptor_write_all(void *arg, const void *buffer, size_t size, size_t *done)
{
    return kin_write_all(descriptor_of(arg), buffer, size, done);
}

static int descriptor_end(void *arg)
{
    return kin_shutdown(descriptor_of(arg), SHUT_WR);
}

static int descriptor_close(void *arg)
{
    return kin_close(descriptor_of(arg));
}

const struct kin_transport kin__descriptor_transport = {
    .name = "descriptor",
    .read = descriptor_read,
    .write_all = descriptor_write_all,
    .end = descriptor_end,
    .close = descriptor_close,
};

/* ------------------------------------------------------------- opening, closing */

void kin_stream_open_on_with(kin_stream *stream, const struct kin_transport *transport,
                             void *arg, const struct kin_stream_options *options)
{
    *stream = (kin_stream){ .transport = transport, .arg = arg, .keep_open = options->keep_open,
                            .most = options->most ? options->most : KIN__STREAM_MOST };
}

void kin_stream_open_with(kin_stream *stream, int fd, const struct kin_stream_options *options)
{
    kin_stream_open_on_with(stream, &kin__descriptor_transport, (void *)(intptr_t)fd, options);
}

/* What was written before is not lost in silence: it goes out, or there is a code. */
static int send_the_last(kin_stream *stream)
{
    int rc = stream->failed;

    if (rc == 0 && (stream->out_end > 0 || stream->cut))
        rc = kin__call_begin();
    return rc < 0 ? rc : kin__stream_send_buffer(stream);
}

int kin_stream_close(kin_stream *stream)
{
    int rc, closed = 0;

    if (!stream->transport)
        return 0;
    if (stream->reading || stream->writing)
        return KIN_EBUSY;
    stream->reading = stream->writing = true;       /* nobody comes in any more */
    rc = send_the_last(stream);
    if (!stream->keep_open)
        closed = stream->transport->close(stream->arg);
    kin__os_free(stream->in);
    kin__os_free(stream->out);
    *stream = (kin_stream){ .transport = NULL };
    return rc < 0 ? rc : closed;
}

/* ------------------------------------------------------------ one of each at a time */

static int enter_stream(const kin_stream *stream, bool busy)
{
    int rc = kin__call_begin();

    if (rc < 0)
        return rc;
    if (!stream->transport)
        return KIN_ECLOSED;
    return busy ? KIN_EBUSY : 0;
}

int kin__stream_begin_read(kin_stream *stream)
{
    int rc = enter_stream(stream, stream->reading);

    if (rc == 0)
        stream->reading = true;
    return rc;
}

int kin__stream_end_read(kin_stream *stream, int rc)
{
    stream->reading = false;
    kin_wait_skip();
    return rc;
}

int kin__stream_begin_write(kin_stream *stream)
{
    int rc = enter_stream(stream, stream->writing);

    if (rc == 0)
        rc = stream->ended ? KIN_ECLOSED : stream->failed;
    if (rc == 0)
        stream->writing = true;
    return rc;
}

int kin__stream_end_write(kin_stream *stream, int rc)
{
    stream->writing = false;
    kin_wait_skip();
    return rc;
}
