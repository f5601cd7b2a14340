/* Shared by the tests of streams over sockets. */
#ifndef BUFFERED_TEST_H
#define BUFFERED_TEST_H

#include "io_test.h"

#include "kin_io.h"

#include <stdlib.h>
#include <unistd.h>

/* A stream, and the other end of its socket. */
struct pair {
    kin_stream s;
    int peer;
};

static inline struct pair open_pair(size_t most)
{
    struct pair p;
    int fds[2];

    unix_pair(fds);
    kin_stream_open(&p.s, fds[0], .most = most);
    p.peer = fds[1];
    return p;
}

static inline void close_pair(struct pair *p)
{
    CHECK_CODE(kin_stream_close(&p->s), 0);
    if (p->peer >= 0)
        CHECK_CODE(kin_close(p->peer), 0);
}

static inline void say(const struct pair *p, const char *text)
{
    CHECK_CODE(kin_write_all(p->peer, text, strlen(text), NULL), 0);
}

static inline void say_last(const struct pair *p, const char *text)
{
    say(p, text);
    CHECK_INT(shutdown(p->peer, SHUT_WR), 0);
}

#define CHECK_LINE(stream, wanted) check_line(stream, wanted, sizeof(wanted) - 1)
static inline void check_line(kin_stream *s, const char *wanted, size_t size)
{
    char *line;
    size_t got;

    CHECK_CODE(kin_stream_read_line(s, &line, &got), 1);
    CHECK_INT(got, size);
    CHECK(memcmp(line, wanted, size + 1) == 0);
}

static inline void check_piece(kin_stream *s, const char *delimiter, const char *wanted)
{
    char *piece;
    size_t got;

    CHECK_CODE(kin_stream_read_until(s, delimiter, strlen(delimiter), &piece, &got), 1);
    CHECK_INT(got, strlen(wanted));
    CHECK_STR(piece, wanted);
}

/* What can still be read, now. */
static inline void check_readable(kin_stream *s, const char *wanted)
{
    char text[64] = "";
    size_t got;

    CHECK_CODE(kin_stream_read_exactly(s, text, strlen(wanted), &got), 0);
    CHECK_INT(got, strlen(wanted));
    CHECK_STR(text, wanted);
}

static inline void check_heard(const struct pair *p, const char *wanted)
{
    char text[128];
    ssize_t n = recv(p->peer, text, sizeof text - 1, MSG_DONTWAIT);

    text[n > 0 ? n : 0] = '\0';
    CHECK_STR(text, wanted);
}

#endif
