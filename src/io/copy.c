/* Copying from one stream to another: what one has read, the other writes from where it lies. */
#include "io/stream.h"

enum { COPY_SIZE = 1 << 16 };       /* four times as much costs as much */

static int copy_waiting(kin_stream *to, kin_stream *from, uint64_t most, uint64_t *total)
{
    size_t size = kin__stream_waiting(from), done;
    int rc;

    if (size > most - *total)
        size = (size_t)(most - *total);
    rc = kin__stream_send(to, from->in + from->in_first, size, &done);
    from->in_first += done;
    *total += done;
    return rc;
}

static int copy(kin_stream *to, kin_stream *from, uint64_t most, uint64_t *total)
{
    ssize_t n = kin__stream_send_buffer(to);

    while (n >= 0 && *total < most) {
        if (kin__stream_waiting(from) == 0 && (n = kin__stream_fill(from, COPY_SIZE)) <= 0)
            break;
        n = copy_waiting(to, from, most, total);
    }
    return (int)n;
}

int kin_stream_copy(kin_stream *to, kin_stream *from, uint64_t most, uint64_t *copied)
{
    uint64_t total = 0;
    int rc = kin__stream_begin_read(from);

    if (rc == 0) {
        rc = kin__stream_begin_write(to);
        if (rc == 0)
            rc = kin__stream_end_write(to, copy(to, from, most, &total));
        kin__stream_end_read(from, rc);
    }
    if (copied)
        *copied = total;
    return rc;
}
