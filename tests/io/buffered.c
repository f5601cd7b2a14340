/* Streams over descriptors: pieces, one reader and one writer, memory, what is not kin's own
 * (docs/semantics.md C2, F2). */
#include "buffered_test.h"

#include "core/core.h"

#include <fcntl.h>

/* ------------------------------------------------------------------------- lines */

IO_TEST(lines_come_without_their_ends)
{
    struct pair p = open_pair(0);
    char *line;

    say_last(&p, "one\ntwo\r\n\n\r\na\rb\r\r\nlast\r");
    CHECK_LINE(&p.s, "one");
    CHECK_LINE(&p.s, "two");
    CHECK_LINE(&p.s, "");
    CHECK_LINE(&p.s, "");
    CHECK_LINE(&p.s, "a\rb\r");
    CHECK_LINE(&p.s, "last\r");
    CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), 0);
    CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), 0);
    close_pair(&p);
}

IO_TEST(lines_may_hold_zeros)
{
    struct pair p = open_pair(0);

    CHECK_CODE(kin_write_all(p.peer, "a\0b\n\0\n", 6, NULL), 0);
    CHECK_LINE(&p.s, "a\0b");
    CHECK_LINE(&p.s, "\0");
    close_pair(&p);
}

/* Byte after byte: each refill goes on looking where the one before ended. */
IO_TEST(a_line_comes_in_many_pieces)
{
    struct pair p = open_pair(0);
    char text[] = "drop after drop\r\nnext\n";
    char *line;

    for (size_t i = 0; i < strlen(text); i++) {
        kin_scope s = kin_scope_open(.timeout = KIN_MS(1));

        if (i == strlen("drop after drop\r\n")) {
            CHECK_CODE(kin_scope_close(&s, 0), 0);
            CHECK_LINE(&p.s, "drop after drop");
        } else {
            CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), KIN_ECANCELED);
            kin_scope_leave(&s);
        }
        CHECK_CODE(kin_write_all(p.peer, text + i, 1, NULL), 0);
    }
    CHECK_LINE(&p.s, "next");
    close_pair(&p);
}

IO_TEST(a_line_longer_than_most_stays_readable)
{
    static const char *const fit[] = { "12345678\n", "12345678\r\n", "1234567\r\n" };
    struct pair p = open_pair(8);
    char *line, text[16];

    for (size_t i = 0; i < sizeof fit / sizeof fit[0]; i++) {
        say(&p, fit[i]);
        CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), 1);
        CHECK(strncmp(line, fit[i], strlen(line)) == 0 && strlen(line) >= 7);
    }
    say(&p, "123456789\nx\n");
    for (int i = 0; i < 2; i++)
        CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), -EMSGSIZE);
    check_readable(&p.s, "123456789\n");
    CHECK_LINE(&p.s, "x");
    say(&p, "12345678\rx");
    CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), -EMSGSIZE);
    CHECK_INT(kin_stream_read(&p.s, text, sizeof text), 10);
    say_last(&p, "123456789");                  /* it has no end, and is too long */
    CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), -EMSGSIZE);
    check_readable(&p.s, "123456789");
    close_pair(&p);
}

IO_TEST(long_lines_make_the_buffer_grow)
{
    enum { LONG = 60000 };
    struct pair p = open_pair(0);
    char *line, *text = malloc(LONG + 2);
    size_t size;
    kin_group g = kin_group_open();
    struct call c = { .what = CALL_WRITE_ALL, .fd = p.peer, .buffer = text, .size = LONG + 1 };

    memset(text, 'x', LONG);
    memcpy(text + LONG, "\n", 2);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_spawn(&g, call, &c), 0);
        CHECK_CODE(kin_stream_read_line(&p.s, &line, &size), 1);
        CHECK_INT(size, LONG);
        CHECK(strspn(line, "x") == LONG);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    close_pair(&p);
    free(text);
}

/* ------------------------------------------------------------------------ pieces */

IO_TEST(pieces_end_at_a_delimiter_that_may_come_in_parts)
{
    struct pair p = open_pair(0);
    char *piece;
    size_t size;
    kin_scope s;

    say(&p, "head\r\n\r\nbody--=-=-==end--");
    check_piece(&p.s, "\r\n\r\n", "head");
    check_piece(&p.s, "-==", "body--=-=");
    s = kin_scope_open(.timeout = KIN_MS(1));
    CHECK_CODE(kin_stream_read_until(&p.s, "--!", 3, &piece, &size), KIN_ECANCELED);
    kin_scope_leave(&s);
    say_last(&p, "!rest");
    check_piece(&p.s, "--!", "end");
    CHECK_CODE(kin_stream_read_until(&p.s, "--!", 3, &piece, &size), KIN_EEOF);
    CHECK_INT(size, 4);
    CHECK(memcmp(piece, "rest", 4) == 0);
    check_readable(&p.s, "rest");
    CHECK_CODE(kin_stream_read_until(&p.s, "--!", 3, &piece, &size), 0);
    close_pair(&p);
}

IO_TEST(a_piece_longer_than_most_stays_readable)
{
    struct pair p = open_pair(4);
    char *piece;
    size_t size;

    CHECK_CODE(kin_stream_read_until(&p.s, "", 0, &piece, &size), KIN_EINVAL);
    CHECK_CODE(kin_stream_read_until(&p.s, "12345", 5, &piece, &size), KIN_EINVAL);
    say(&p, "abcd::abcde::");
    check_piece(&p.s, "::", "abcd");
    CHECK_CODE(kin_stream_read_until(&p.s, "::", 2, &piece, &size), -EMSGSIZE);
    check_readable(&p.s, "abcde::");
    say(&p, "abcdef");
    CHECK_CODE(kin_stream_read_until(&p.s, "::", 2, &piece, &size), -EMSGSIZE);
    check_readable(&p.s, "abcdef");
    close_pair(&p);
}

IO_TEST(exactly_so_many_bytes_through_and_around_the_buffer)
{
    static char big[100000], into[100000];
    struct pair p = open_pair(0);
    struct call c = { .what = CALL_WRITE_ALL, .fd = p.peer, .buffer = big, .size = sizeof big };
    kin_group g = kin_group_open();
    size_t got;

    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 31 + i / 256);
    CHECK_CODE(kin_spawn(&g, call, &c), 0);
    CHECK_CODE(kin_stream_read_exactly(&p.s, into, 3, NULL), 0);
    CHECK_CODE(kin_stream_read_exactly(&p.s, into + 3, 90000, &got), 0);
    CHECK_INT(got, 90000);
    CHECK_CODE(kin_stream_read_exactly(&p.s, into + 90003, 0, &got), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(shutdown(p.peer, SHUT_WR), 0);
    CHECK_CODE(kin_stream_read_exactly(&p.s, into + 90003, 20000, &got), KIN_EEOF);
    CHECK_INT(got, 9997);
    CHECK(memcmp(into, big, sizeof big) == 0);
    close_pair(&p);
}

IO_TEST(all_until_the_end)
{
    struct pair p = open_pair(0);
    char *data;
    size_t size;

    say_last(&p, "line\nand the rest");
    CHECK_LINE(&p.s, "line");
    CHECK_CODE(kin_stream_read_all(&p.s, 11, &data, &size), -EMSGSIZE);
    CHECK_CODE(kin_stream_read_all(&p.s, 12, &data, &size), 0);
    CHECK_INT(size, 12);
    CHECK_STR(data, "and the rest");
    free(data);
    CHECK_CODE(kin_stream_read_all(&p.s, 12, &data, NULL), 0);
    CHECK_STR(data, "");
    free(data);
    close_pair(&p);
}

IO_TEST(all_of_much)
{
    enum { MUCH = 5000000 };
    struct pair p = open_pair(0);
    struct call c = { .what = CALL_WRITE_ALL, .fd = p.peer, .buffer = more_than_fits,
                      .size = MUCH };
    kin_group g = kin_group_open();
    size_t size;
    char *data;

    CHECK_CODE(kin_spawn(&g, call, &c), 0);
    CHECK_CODE(kin_stream_read_all(&p.s, MUCH - 1, &data, &size), -EMSGSIZE);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_close(p.peer), 0);
    p.peer = -1;
    CHECK_CODE(kin_stream_read_all(&p.s, MUCH, &data, &size), 0);
    CHECK_INT(size, MUCH);
    free(data);
    close_pair(&p);
}

/* --------------------------------------------------------------- one of each kind */

static int line_task(void *arg)
{
    char *line;

    return kin_stream_read_line(arg, &line, NULL);
}

static int write_much(void *arg)
{
    int rc = kin_stream_write(arg, more_than_fits, sizeof more_than_fits, NULL);

    return rc == KIN_ECANCELED ? rc : -EIO;
}

IO_TEST(T48_a_second_reader_or_writer_is_refused)
{
    struct pair p = open_pair(0);
    kin_task tasks[2];
    kin_group g = kin_group_open();
    char *line;

    say(&p, "part of a line");
    kin_spawn(&g, line_task, &p.s, .task = &tasks[0]);
    kin_spawn(&g, write_much, &p.s, .task = &tasks[1]);
    CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
    CHECK_INT(tasks[0].status, KIN_PENDING);
    CHECK_INT(tasks[1].status, KIN_PENDING);
    CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), KIN_EBUSY);
    CHECK_CODE(kin_stream_read(&p.s, &line, 1), KIN_EBUSY);
    CHECK_CODE(kin_stream_read_exactly(&p.s, &line, 1, NULL), KIN_EBUSY);
    CHECK_CODE(kin_stream_read_until(&p.s, "x", 1, &line, NULL), KIN_EBUSY);
    CHECK_CODE(kin_stream_read_all(&p.s, 0, &line, NULL), KIN_EBUSY);
    CHECK_CODE(kin_stream_copy(&p.s, &p.s, UINT64_MAX, NULL), KIN_EBUSY);
    CHECK_CODE(kin_stream_write(&p.s, "x", 1, NULL), KIN_EBUSY);
    CHECK_CODE(kin_stream_printf(&p.s, "x"), KIN_EBUSY);
    CHECK_CODE(kin_stream_flush(&p.s), KIN_EBUSY);
    CHECK_CODE(kin_stream_end(&p.s), KIN_EBUSY);
    CHECK_CODE(kin_stream_close(&p.s), KIN_EBUSY);
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    check_readable(&p.s, "part of a line");
    close_pair(&p);
}

enum { TALK = 3000 };

static int talk(void *arg)
{
    for (int i = 0; i < TALK; i++) {
        int rc = kin_stream_printf(arg, "%d%s", i, i % 3 ? "\n" : "\r\n");

        if (rc == 0 && i % 7 == 0)
            rc = kin_stream_flush(arg);
        if (rc < 0)
            return rc;
    }
    return kin_stream_end(arg);
}

static int listen_to(void *arg)
{
    char *line, wanted[16];
    int rc, n = 0;

    while ((rc = kin_stream_read_line(arg, &line, NULL)) == 1) {
        snprintf(wanted, sizeof wanted, "%d", n++);
        CHECK_STR(line, wanted);
    }
    CHECK_INT(n, TALK);
    return rc;
}

IO_TEST(a_reader_and_a_writer_at_the_same_time)
{
    kin_stream ends[2];
    int fds[2];

    for (int i = 0; i < 2; i++) {
        kin_group g = kin_group_open();

        i == 0 ? tcp_pair(fds) : unix_pair(fds);
        for (int k = 0; k < 2; k++) {
            kin_stream_open(&ends[k], fds[k]);
            kin_spawn(&g, talk, &ends[k]);
            kin_spawn(&g, listen_to, &ends[k]);
        }
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(kin_stream_close(&ends[0]), 0);
        CHECK_CODE(kin_stream_close(&ends[1]), 0);
    }
}

/* ------------------------------------------------------------- failures, memory */

IO_TEST(a_failed_read_loses_nothing)
{
    kin_stream s;
    char *line;
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    kin_stream_open(&s, fds[0]);
    CHECK_CODE(kin_write_all(fds[1], "one\ntwo", 7, NULL), 0);
    CHECK_LINE(&s, "one");
    CHECK_CODE(kin_close(fds[1]), 0);
    if (!on_uring()) {                          /* there the kernel reads */
        fail_next("read", EIO, 1);
        CHECK_CODE(kin_stream_read_line(&s, &line, NULL), -EIO);
    }
    CHECK_LINE(&s, "two");
    CHECK_CODE(kin_stream_read_line(&s, &line, NULL), 0);
    CHECK_CODE(kin_stream_close(&s), 0);
}

IO_TEST(without_memory_nothing_is_lost)
{
    struct pair p = open_pair(0);
    char *line, text[2000];
    size_t done;

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\n';
    say(&p, "line\n");
    fail_next("resize", ENOMEM, 1);
    CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), -ENOMEM);
    CHECK_LINE(&p.s, "line");
    CHECK_CODE(kin_write_all(p.peer, text, sizeof text, NULL), 0);
    fail_next("resize", ENOMEM, 1);
    CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), -ENOMEM);
    CHECK_CODE(kin_stream_read_line(&p.s, &line, NULL), 1);
    CHECK_INT(strlen(line), sizeof text - 1);

    fail_next("resize", ENOMEM, 1);
    CHECK_CODE(kin_stream_write(&p.s, "x", 1, &done), -ENOMEM);
    CHECK_INT(done, 0);
    CHECK_CODE(kin_stream_write(&p.s, "one ", 4, NULL), 0);
    fail_next("resize", ENOMEM, 1);
    CHECK_CODE(kin_stream_write(&p.s, text, sizeof text, &done), -ENOMEM);
    CHECK_INT(done, 0);
    fail_next("resize", ENOMEM, 1);
    CHECK_CODE(kin_stream_printf(&p.s, "%2000d", 1), -ENOMEM);
    CHECK_CODE(kin_stream_printf(&p.s, "two"), 0);
    CHECK_CODE(kin_stream_flush(&p.s), 0);
    check_heard(&p, "one two");
    close_pair(&p);
}

IO_TEST(an_idle_stream_holds_small_buffers_only)
{
    static char text[200000];
    struct pair p = open_pair(0);
    struct call c = { .what = CALL_WRITE_ALL, .fd = p.peer, .buffer = text, .size = sizeof text };
    kin_group g = kin_group_open();
    size_t largest = 0;

    CHECK(!p.s.in && !p.s.out);
    memset(text, '\n', sizeof text);
    kin_spawn(&g, call, &c);
    for (size_t i = 0; i < sizeof text; i++) {
        CHECK_LINE(&p.s, "");
        largest = p.s.in_size > largest ? p.s.in_size : largest;
    }
    CHECK(largest >= 16384);
    for (int i = 0; i < 2; i++) {               /* the first may find that it has been full */
        say(&p, "small\n");
        CHECK_LINE(&p.s, "small");
    }
    CHECK(p.s.in_size <= 1024);
    CHECK_CODE(kin_stream_write(&p.s, text, 10000, NULL), 0);
    CHECK(p.s.out_size >= 10000);
    CHECK_CODE(kin_stream_flush(&p.s), 0);
    CHECK(p.s.out_size <= 1024);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    close_pair(&p);
}

/* ---------------------------------------------------------------- foreign descriptors */

static void check_foreign(int in, int out)
{
    int flags[2] = { fcntl(in, F_GETFL), fcntl(out, F_GETFL) };
    kin_stream reader, writer;
    char text[5000];

    kin_stream_open(&reader, in, .keep_open = true);
    kin_stream_open(&writer, out, .keep_open = true);
    memset(text, 'y', sizeof text);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_stream_printf(&writer, "%d: foreign\n", i), 0);
        CHECK_CODE(kin_stream_flush(&writer), 0);
        char *line;
        CHECK_CODE(kin_stream_read_line(&reader, &line, NULL), 1);
        CHECK_STR(line + 1, ": foreign");
    }
    CHECK_INT(fcntl(in, F_GETFL), flags[0]);
    CHECK_INT(fcntl(out, F_GETFL), flags[1]);
    CHECK_CODE(kin_stream_close(&reader), 0);
    CHECK_CODE(kin_stream_close(&writer), 0);
}

IO_TEST(F2_foreign_descriptors_are_left_as_they_are)
{
    int fds[2], master = posix_openpt(O_RDWR | O_NOCTTY), slave;

    CHECK_INT(pipe(fds), 0);
    check_foreign(fds[0], fds[1]);
    close_both(fds);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    check_foreign(fds[0], fds[1]);
    close_both(fds);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    CHECK(slave >= 0);
    check_foreign(slave, master);               /* as a shell's standard input */
    close(slave);
    close(master);
}

TEST(outside_of_a_run_streams_say_so)
{
    kin_stream s;
    char *line;

    kin_stream_open(&s, 0, .keep_open = true);
    CHECK_CODE(kin_stream_read_line(&s, &line, NULL), KIN_ENORUN);
    CHECK_CODE(kin_stream_printf(&s, "x"), KIN_ENORUN);
    CHECK_CODE(kin_stream_close(&s), 0);
}
