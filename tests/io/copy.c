/* Copying between streams: nothing is lost, whatever ends it (docs/semantics.md C2). */
#include "io_test.h"

#include "core/core.h"
#include "kin_io.h"

#include <stdlib.h>
#include <unistd.h>

enum { SOME = 1500000 };

static char *pattern(void)
{
    static char data[SOME];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 + i / 1000);
    return data;
}

/* A file with so much of the pattern, open, at its beginning. */
static int file_of(size_t size)
{
    FILE *file = tmpfile();
    int fd;

    CHECK(file && fwrite(pattern(), 1, size, file) == size && fflush(file) == 0);
    fd = dup(fileno(file));
    fclose(file);
    CHECK(fd >= 0 && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

struct copying {
    kin_stream *to, *from;
    uint64_t most, copied;
};

/* Copies, and lets the end of the reader be the end of the writer. */
static int copy_and_end(void *arg)
{
    struct copying *c = arg;
    int rc = kin_stream_copy(c->to, c->from, c->most, &c->copied);

    return rc < 0 ? rc : kin_stream_end(c->to);
}

static int write_and_end(void *arg)
{
    const int *fd = arg;
    int rc = kin_write_all(*fd, pattern(), SOME, NULL);

    shutdown(*fd, SHUT_WR);
    return rc;
}

/* Runs the copy and checks that the far end hears the part of the pattern. */
static void check_copied(struct copying *c, int far, size_t from, size_t size)
{
    kin_stream heard;
    kin_group g = kin_group_open();
    size_t got;
    char *data;

    kin_stream_open(&heard, far, .keep_open = true);
    kin_spawn(&g, copy_and_end, c);
    CHECK_CODE(kin_stream_read_all(&heard, SOME, &data, &got), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c->copied, size);
    CHECK_INT(got, size);
    CHECK(memcmp(data, pattern() + from, size) == 0);
    free(data);
    CHECK_CODE(kin_stream_close(&heard), 0);
}

static void between(void (*make)(int[2]))
{
    struct copying c = { .most = UINT64_MAX };
    int in[2], out[2];
    kin_stream from, to;
    kin_group g = kin_group_open();

    make(in);
    make(out);
    kin_stream_open(&from, in[1]);
    kin_stream_open(&to, out[0]);
    c.from = &from;
    c.to = &to;
    kin_spawn(&g, write_and_end, &in[0]);
    check_copied(&c, out[1], 0, SOME);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_stream_close(&from), 0);
    CHECK_CODE(kin_stream_close(&to), 0);
    CHECK_CODE(kin_close(in[0]), 0);
    CHECK_CODE(kin_close(out[1]), 0);
}

IO_TEST(from_socket_to_socket)
{
    between(unix_pair);
    between(tcp_pair);
}

/* ------------------------------------------------------------------------- files */

/* From a file of that size, from an offset, to a new socket of the kind. */
static void check_file(void (*make)(int[2]), size_t size, off_t offset, uint64_t most)
{
    struct copying c = { .most = most };
    size_t wanted = size - (size_t)offset < most ? size - (size_t)offset : (size_t)most;
    kin_stream from, to;
    int out[2], fd = file_of(size);

    make(out);
    kin_stream_open(&from, fd);
    kin_stream_open(&to, out[0]);
    c.from = &from;
    c.to = &to;
    CHECK_INT(lseek(fd, offset, SEEK_SET), offset);
    check_copied(&c, out[1], (size_t)offset, wanted);
    CHECK_INT(lseek(fd, 0, SEEK_CUR) - (off_t)(from.in_end - from.in_first),
              offset + (off_t)wanted);
    CHECK_CODE(kin_stream_close(&from), 0);
    CHECK_CODE(kin_stream_close(&to), 0);
    CHECK_CODE(kin_close(out[1]), 0);
}

static void foreign_pair(int fds[2])
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

IO_TEST(from_files_of_all_sizes_to_sockets)
{
    static const size_t sizes[] = { 0, 1, 4096, 65537, SOME };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_file(tcp_pair, sizes[i], 0, UINT64_MAX);
        check_file(unix_pair, sizes[i], (off_t)sizes[i] / 3, UINT64_MAX);
        check_file(foreign_pair, sizes[i], 0, UINT64_MAX);
        check_file(tcp_pair, sizes[i], 0, 10000);
    }
}

/* Every way of not being able to send it at once, at every piece. */
IO_TEST(a_file_that_the_kernel_does_not_send_goes_through_the_buffer)
{
    static const char *const sites[] = { "sendfile", "preadv2", "lseek", "file_status" };

    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++)
        for (int skip = 0; skip < 4; skip++) {
            fail_later(sites[i], EINVAL, skip, 1);
            check_file(tcp_pair, SOME, 0, UINT64_MAX);
            CHECK_INT(failed_so_far(), 1);
        }
    fail_later("sendfile", EINTR, 1, 3);
    check_file(tcp_pair, SOME, 0, UINT64_MAX);
    CHECK_INT(failed_so_far(), 3);
}

IO_TEST(from_a_socket_to_a_file)
{
    struct copying c = { .most = UINT64_MAX };
    int in[2], fd = file_of(0);
    kin_stream from, to;
    kin_group g = kin_group_open();
    char *data = malloc(SOME);

    unix_pair(in);
    kin_stream_open(&from, in[1]);
    kin_stream_open(&to, fd, .keep_open = true);
    kin_spawn(&g, write_and_end, &in[0]);
    CHECK_CODE(kin_stream_copy(&to, &from, c.most, &c.copied), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.copied, SOME);
    CHECK_INT(pread(fd, data, SOME, 0), SOME);
    CHECK(memcmp(data, pattern(), SOME) == 0);
    free(data);
    CHECK_CODE(kin_stream_close(&from), 0);
    CHECK_CODE(kin_stream_close(&to), 0);
    CHECK_CODE(kin_close(in[0]), 0);
    CHECK_CODE(kin_close(fd), 0);
}

/* ------------------------------------------------------------------ what goes first */

IO_TEST(what_is_in_the_buffers_goes_first)
{
    int in[2], out[2];
    kin_stream from, to;
    uint64_t copied;
    char *line, text[64] = "";

    unix_pair(in);
    unix_pair(out);
    kin_stream_open(&from, in[1]);
    kin_stream_open(&to, out[0]);
    CHECK_CODE(kin_write_all(in[0], "head\nbody, and more", 19, NULL), 0);
    CHECK_CODE(kin_stream_read_line(&from, &line, NULL), 1);
    CHECK_CODE(kin_stream_printf(&to, "%s: ", line), 0);
    CHECK_CODE(kin_stream_copy(&to, &from, 0, &copied), 0);
    CHECK_INT(copied, 0);
    CHECK_CODE(kin_stream_copy(&to, &from, 4, &copied), 0);
    CHECK_INT(copied, 4);
    CHECK_INT(kin_read(out[1], text, sizeof text), 10);
    CHECK_STR(text, "head: body");
    CHECK_CODE(kin_stream_read_exactly(&from, text, 10, NULL), 0);
    CHECK(memcmp(text, ", and more", 10) == 0);
    CHECK_CODE(kin_stream_close(&from), 0);
    CHECK_CODE(kin_stream_close(&to), 0);
    CHECK_CODE(kin_close(in[0]), 0);
    CHECK_CODE(kin_close(out[1]), 0);
}

IO_TEST(a_stream_can_be_copied_to_itself)
{
    struct copying c = { .most = UINT64_MAX };
    kin_stream s;
    kin_group g = kin_group_open();
    int fds[2];

    unix_pair(fds);
    kin_stream_open(&s, fds[1]);
    c.to = c.from = &s;
    kin_spawn(&g, write_and_end, &fds[0]);
    check_copied(&c, fds[0], 0, SOME);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_stream_close(&s), 0);
    CHECK_CODE(kin_close(fds[0]), 0);
}

/* ------------------------------------------------------------------- cut off, failed */

/* Cut off again and again while the far end does not read, and gone on with. */
static void check_cut_off(int fd, void (*make)(int[2]))
{
    size_t heard_size = 0;
    uint64_t copied = 0, total = 0;
    char *heard = malloc(SOME);
    kin_stream from, to;
    int out[2], rc;

    make(out);
    kin_stream_open(&from, fd);
    kin_stream_open(&to, out[0]);
    do {
        kin_scope s = kin_scope_open(.timeout = KIN_MS(1));
        ssize_t n;

        rc = kin_scope_close(&s, kin_stream_copy(&to, &from, UINT64_MAX, &copied));
        CHECK(rc == 0 || rc == KIN_ETIMEDOUT);
        total += copied;
        while ((n = recv(out[1], heard + heard_size, SOME - heard_size, MSG_DONTWAIT)) > 0)
            heard_size += (size_t)n;
    } while (rc < 0);
    for (ssize_t n; heard_size < total; heard_size += (size_t)n)
        CHECK((n = kin_read(out[1], heard + heard_size, SOME - heard_size)) > 0);
    CHECK_INT(total, SOME);
    CHECK(memcmp(heard, pattern(), SOME) == 0);
    free(heard);
    CHECK_CODE(kin_stream_close(&from), 0);
    CHECK_CODE(kin_stream_close(&to), 0);
    CHECK_CODE(kin_close(out[1]), 0);
}

IO_TEST(C2_a_copy_that_is_cut_off_can_be_gone_on_with)
{
    int in[2];
    kin_group g = kin_group_open();

    unix_pair(in);
    kin_spawn(&g, write_and_end, &in[0]);
    check_cut_off(in[1], unix_pair);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_close(in[0]), 0);
    check_cut_off(file_of(SOME), unix_pair);
    check_cut_off(file_of(SOME), tcp_pair);
}

/* The far end is gone: what has not gone out is still there. */
static void check_gone(int fd)
{
    char *rest;
    size_t size;
    uint64_t copied;
    kin_stream from, to;
    int out[2];

    unix_pair(out);
    kin_stream_open(&from, fd);
    kin_stream_open(&to, out[0]);
    CHECK_CODE(kin_close(out[1]), 0);
    CHECK_CODE(kin_stream_copy(&to, &from, UINT64_MAX, &copied), -EPIPE);
    CHECK_CODE(kin_stream_copy(&to, &from, UINT64_MAX, NULL), -EPIPE);
    CHECK_INT(copied, 0);
    CHECK_CODE(kin_stream_read_all(&from, SOME, &rest, &size), 0);
    CHECK_INT(size, SOME);
    CHECK(memcmp(rest, pattern(), SOME) == 0);
    free(rest);
    CHECK_CODE(kin_stream_close(&from), 0);
    CHECK_CODE(kin_stream_close(&to), -EPIPE);
}

IO_TEST(what_cannot_be_written_can_still_be_read)
{
    int in[2];
    kin_group g = kin_group_open();

    unix_pair(in);
    kin_spawn(&g, write_and_end, &in[0]);
    check_gone(in[1]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_close(in[0]), 0);
    check_gone(file_of(SOME));
}

IO_TEST(a_copy_needs_both_ends_for_itself)
{
    struct copying c = { .most = UINT64_MAX };
    kin_stream from, to;
    int in[2], out[2];
    kin_group g = kin_group_open();
    char byte;

    unix_pair(in);
    unix_pair(out);
    kin_stream_open(&from, in[1]);
    kin_stream_open(&to, out[0]);
    c.from = &from;
    c.to = &to;
    kin_spawn(&g, copy_and_end, &c);
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_stream_read(&from, &byte, 1), KIN_EBUSY);
    CHECK_CODE(kin_stream_write(&to, "x", 1, NULL), KIN_EBUSY);
    CHECK_CODE(kin_stream_copy(&to, &from, 1, NULL), KIN_EBUSY);
    CHECK_CODE(kin_stream_copy(&to, &to, 1, NULL), KIN_EBUSY);
    CHECK_CODE(kin_stream_write(&from, "x", 1, NULL), 0);
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_stream_close(&from), 0);
    CHECK_CODE(kin_stream_close(&to), 0);
    CHECK_CODE(kin_close(in[0]), 0);
    CHECK_CODE(kin_close(out[1]), 0);
}

/* ------------------------------------------------------------------ under all faults */

enum { PART = 600000 };

static struct {
    bool file;
    int far;
    char *heard;
    size_t heard_size;
} sweep;

static int hear(void *arg)
{
    kin_stream s;
    int rc;

    (void)arg;
    kin_stream_open(&s, sweep.far);
    rc = kin_stream_read_all(&s, PART, &sweep.heard, &sweep.heard_size);
    kin_stream_close(&s);
    return rc;
}

static int feed(void *arg)
{
    const int *fd = arg;
    int rc = kin_write_all(*fd, pattern(), PART, NULL);

    kin_close(*fd);
    return rc;
}

static int only_copy(void *arg)
{
    struct copying *c = arg;

    return kin_stream_copy(c->to, c->from, c->most, &c->copied);
}

/* What was copied has been heard, and the rest is where it was. */
static void check_balance(struct copying *c)
{
    size_t rest;
    char *data;

    CHECK_CODE(kin_stream_read_all(c->from, PART, &data, &rest), 0);
    CHECK_INT(c->copied + rest, PART);
    CHECK(memcmp(data, pattern() + c->copied, rest) == 0);
    free(data);
}

static int copy_under_fault(void *arg)
{
    struct copying c = { .most = UINT64_MAX };
    kin_stream from, to;
    int out[2], in[2] = { -1, -1 };
    kin_task copying, *wanted = &copying;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    (void)arg;
    unix_pair(out);                     /* it holds less than is copied */
    if (!sweep.file)
        unix_pair(in);
    kin_stream_open(&from, sweep.file ? file_of(PART) : in[1]);
    kin_stream_open(&to, out[0]);
    sweep.far = out[1];
    c.from = &from;
    c.to = &to;
    kin_spawn(&g, hear, NULL);
    if (!sweep.file)
        kin_spawn(&g, feed, &in[0]);
    kin_spawn(&g, only_copy, &c, .task = &copying, .name = "copy");
    CHECK_CODE(kin_wait_tasks(&wanted, 1, KIN_ALL_COMPLETED), 1);
    CHECK(copying.code == 0 || copying.code == KIN_ECANCELED || copying.code == -ENOMEM);
    check_balance(&c);
    CHECK_CODE(kin_stream_close(&to), 0);
    CHECK_CODE(kin_stream_close(&from), 0);
    kin_group_close(&g, 0);
    CHECK_INT(sweep.heard_size, c.copied);
    CHECK(memcmp(sweep.heard, pattern(), c.copied) == 0);
    free(sweep.heard);
    return 0;
}

static void sweep_copies(size_t what, size_t counted, uint64_t least)
{
    uint64_t k = 0, count;

    do {
        struct kin_faults faults = { .task = "copy" };
        int before = open_descriptors();

        tap_note("fault %llu", (unsigned long long)++k);
        memcpy((char *)&faults + what, &k, sizeof k);
        CHECK_CODE(kin_run(copy_under_fault, NULL, .faults = &faults,
                           .backend = test_backend()), 0);
        CHECK_INT(open_descriptors(), before);
        memcpy(&count, (char *)&faults + counted, sizeof count);
    } while (count >= k);
    CHECK(k > least);
}

static void sweep_all(bool file)
{
    sweep.file = file;
    sweep_copies(offsetof(struct kin_faults, cancel_call), offsetof(struct kin_faults, calls), 4);
    sweep_copies(offsetof(struct kin_faults, cancel_wait), offsetof(struct kin_faults, waits), 1);
    sweep_copies(offsetof(struct kin_faults, fail_request),
                 offsetof(struct kin_faults, requests), 1);
}

TEST_LIMIT(Q4_a_copy_between_sockets_under_every_fault, 60)
{
    sweep_all(false);
}

TEST_LIMIT(Q4_a_copy_of_a_file_under_every_fault, 60)
{
    sweep_all(true);
}
