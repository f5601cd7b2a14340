/* Streams over descriptors: writing, ends, closing (docs/semantics.md C2). */
#include "buffered_test.h"

/* ----------------------------------------------------------------------- writing */

IO_TEST(writes_wait_in_the_buffer_for_a_flush)
{
    struct pair p = open_pair(0);
    size_t done;

    CHECK_CODE(kin_stream_write(&p.s, "one ", 4, &done), 0);
    CHECK_INT(done, 4);
    CHECK_CODE(kin_stream_write(&p.s, "", 0, NULL), 0);
    CHECK_CODE(kin_stream_printf(&p.s, "%d %s", 2, "three"), 0);
    check_heard(&p, "");
    CHECK_CODE(kin_stream_flush(&p.s), 0);
    check_heard(&p, "one 2 three");
    CHECK_CODE(kin_stream_flush(&p.s), 0);
    check_heard(&p, "");
    close_pair(&p);
}

IO_TEST(a_writer_waits_for_a_peer_that_does_not_read)
{
    struct pair p = open_pair(0);
    size_t taken = 0;
    kin_scope s = kin_scope_open(.timeout = KIN_MS(20));
    int rc = 0;

    while (rc == 0) {
        rc = kin_stream_write(&p.s, "0123456789", 10, NULL);
        if (rc == 0)
            taken += 10;
    }
    CHECK_CODE(kin_scope_close(&s, rc), KIN_ETIMEDOUT);
    s = kin_scope_open(.timeout = KIN_MS(5));
    CHECK_CODE(kin_scope_close(&s, kin_stream_flush(&p.s)), KIN_ETIMEDOUT);

    for (size_t got = drain(p.peer); got < taken; got += drain(p.peer))
        CHECK_CODE(kin_stream_flush(&p.s), 0);      /* cut off, it goes on where it was */
    CHECK_CODE(kin_stream_flush(&p.s), 0);
    CHECK_INT(p.s.out_end, 0);
    close_pair(&p);
}

struct large {
    kin_stream *stream;
    size_t done;
};

static int write_large(void *arg)
{
    struct large *large = arg;

    return kin_stream_write(large->stream, more_than_fits, sizeof more_than_fits, &large->done);
}

IO_TEST(a_large_write_that_is_cut_off_says_how_far_it_came)
{
    struct pair p = open_pair(0);
    struct large large = { &p.s, 0 };
    char heard[6];
    size_t got = 0;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_stream_write(&p.s, "first", 5, NULL), 0);
    kin_spawn(&g, write_large, &large);
    while (got < sizeof heard)                  /* the buffer has gone out, and some more */
        got += (size_t)kin_read(p.peer, heard + got, sizeof heard - got);
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(large.done > 0 && large.done < sizeof more_than_fits);
    CHECK(memcmp(heard, "first", 5) == 0);
    got += drain(p.peer);
    CHECK_INT(got, large.done + 5);
    close_pair(&p);
}

IO_TEST(a_failed_write_is_repeated)
{
    struct pair p = open_pair(0);
    char byte;

    CHECK_CODE(kin_close(p.peer), 0);
    p.peer = -1;
    CHECK_CODE(kin_stream_write(&p.s, "lost", 4, NULL), 0);
    CHECK_CODE(kin_stream_flush(&p.s), -EPIPE);
    CHECK_CODE(kin_stream_write(&p.s, "x", 1, NULL), -EPIPE);
    CHECK_CODE(kin_stream_printf(&p.s, "x"), -EPIPE);
    CHECK_CODE(kin_stream_flush(&p.s), -EPIPE);
    CHECK_CODE(kin_stream_end(&p.s), -EPIPE);
    CHECK_CODE(kin_stream_copy(&p.s, &p.s, UINT64_MAX, NULL), -EPIPE);
    CHECK_INT(kin_stream_read(&p.s, &byte, 1), 0);      /* reading is another matter */
    CHECK_CODE(kin_stream_close(&p.s), -EPIPE);
    CHECK_CODE(kin_stream_close(&p.s), 0);
}

/* Another failure than being called off; the first one is what close returns. */
IO_TEST(the_first_failure_is_the_one_that_stays)
{
    struct pair p = open_pair(0);

    CHECK_CODE(kin_stream_write(&p.s, "lost", 4, NULL), 0);
    fail_next("close", EIO, 1);
    CHECK_CODE(kin_stream_close(&p.s), -EIO);
    check_heard(&p, "lost");
    CHECK_CODE(kin_close(p.peer), 0);
    p = open_pair(0);
    CHECK_CODE(kin_close(p.peer), 0);
    CHECK_CODE(kin_stream_write(&p.s, "lost", 4, NULL), 0);
    fail_next("close", EIO, 1);
    CHECK_CODE(kin_stream_close(&p.s), -EPIPE);
}

/* -------------------------------------------------------------- ends and closing */

IO_TEST(half_closed_a_stream_is_still_read)
{
    struct pair p = open_pair(0);
    char text[8];

    CHECK_CODE(kin_stream_printf(&p.s, "bye"), 0);
    CHECK_CODE(kin_stream_end(&p.s), 0);
    CHECK_INT(kin_read(p.peer, text, sizeof text), 3);
    CHECK_INT(kin_read(p.peer, text, sizeof text), 0);
    CHECK_CODE(kin_stream_write(&p.s, "x", 1, NULL), KIN_ECLOSED);
    CHECK_CODE(kin_stream_end(&p.s), KIN_ECLOSED);
    say_last(&p, "and bye\n");
    CHECK_LINE(&p.s, "and bye");
    close_pair(&p);
}

IO_TEST(what_cannot_be_half_closed_says_so)
{
    struct pair p = open_pair(0);
    kin_stream s;
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    kin_stream_open(&s, fds[1]);
    CHECK_CODE(kin_stream_printf(&s, "x"), 0);
    CHECK_CODE(kin_stream_end(&s), -ENOTSOCK);
    CHECK_INT(drain(fds[0]), 1);
    CHECK_CODE(kin_stream_close(&s), 0);
    CHECK_CODE(kin_close(fds[0]), 0);
    fail_next("shutdown", ENOBUFS, 1);
    CHECK_CODE(kin_stream_end(&p.s), -ENOBUFS);
    CHECK_CODE(kin_stream_end(&p.s), 0);
    close_pair(&p);
}

IO_TEST(close_sends_what_was_written_or_says_that_it_did_not)
{
    struct pair p = open_pair(0);
    kin_scope s;

    CHECK_CODE(kin_stream_printf(&p.s, "sent"), 0);
    CHECK_CODE(kin_stream_close(&p.s), 0);
    check_heard(&p, "sent");
    CHECK_CODE(kin_close(p.peer), 0);

    p = open_pair(0);
    CHECK_CODE(kin_stream_printf(&p.s, "not sent"), 0);
    s = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_stream_close(&p.s), KIN_ECANCELED);
    kin_scope_leave(&s);
    check_heard(&p, "");
    CHECK_CODE(kin_close(p.peer), 0);

    p = open_pair(0);                           /* nothing to be sent, nothing to be called off */
    s = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_stream_close(&p.s), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_close(p.peer), 0);
}

IO_TEST(a_closed_stream_says_so)
{
    struct pair p = open_pair(0);
    kin_stream none = { .transport = NULL };
    char *line;

    close_pair(&p);
    CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), KIN_ECLOSED);
    CHECK_CODE(kin_stream_write(&p.s, "x", 1, NULL), KIN_ECLOSED);
    CHECK_CODE(kin_stream_close(&p.s), 0);
    CHECK_CODE(kin_stream_close(&none), 0);
    kin_stream_open(&p.s, -1);
    CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), -EBADF);
    CHECK_CODE(kin_stream_close(&p.s), -EBADF);
}

IO_TEST(a_descriptor_that_is_to_stay_open_does)
{
    struct pair p = open_pair(0);
    int fd = (int)(intptr_t)p.s.arg;

    kin_stream_open(&p.s, fd, .keep_open = true);
    CHECK_CODE(kin_stream_printf(&p.s, "kept"), 0);
    CHECK_CODE(kin_stream_close(&p.s), 0);
    check_heard(&p, "kept");
    CHECK_CODE(kin_close(fd), 0);
    CHECK_CODE(kin_close(p.peer), 0);
}
