/* Descriptors of others: their flags stay, they may be of any kind, and they come and
 * go without asking. */
#include "io_test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

static void blocking_pipe(int fds[2])
{
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
}

static void blocking_socket(int fds[2])
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void use_as_standard(const int fds[2])
{
    char buffer[8];

    CHECK_INT(kin_wait_fd(fds[1], KIN_WRITABLE), KIN_WRITABLE);
    CHECK_CODE(kin_write_all(fds[1], "text", 4, NULL), 0);
    CHECK_INT(kin_wait_fd(fds[0], KIN_READABLE), KIN_READABLE);
    CHECK_INT(kin_read(fds[0], buffer, sizeof buffer), 4);
}

/* Standard input and output of the kind that a shell makes. */
static void flags_stay(void (*make)(int[2]))
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    int fds[2], flags[2];

    make(fds);
    for (int i = 0; i < 2; i++)
        flags[i] = fcntl(fds[i], F_GETFL);
    use_as_standard(fds);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, true);
    CHECK(!c.ended);
    for (int i = 0; i < 2; i++)
        CHECK_INT(fcntl(fds[i], F_GETFL), flags[i]);
    CHECK_CODE(kin_write_all(fds[1], "more", 4, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.result, 4);
    for (int i = 0; i < 2; i++)
        CHECK_INT(fcntl(fds[i], F_GETFL), flags[i]);
    close_both(fds);
}

IO_TEST(F2_a_shared_pipe_stays_blocking)
{
    flags_stay(blocking_pipe);
}

IO_TEST(F2_a_shared_socket_stays_blocking)
{
    flags_stay(blocking_socket);
}

static void terminal(int fds[2])
{
    struct termios raw;

    fds[1] = posix_openpt(O_RDWR | O_NOCTTY);
    if (fds[1] < 0)
        SKIP("no pseudo-terminals here");
    CHECK_INT(grantpt(fds[1]), 0);
    CHECK_INT(unlockpt(fds[1]), 0);
    fds[0] = open(ptsname(fds[1]), O_RDWR | O_NOCTTY);
    CHECK(fds[0] >= 0);
    CHECK_INT(tcgetattr(fds[0], &raw), 0);
    cfmakeraw(&raw);
    CHECK_INT(tcsetattr(fds[0], TCSANOW, &raw), 0);
}

IO_TEST(F2_a_terminal_stays_blocking)
{
    flags_stay(terminal);
}

/* The flags belong to the file that the shell shares with others. */
IO_TEST(F2_standard_input_and_output_stay_as_they_were)
{
    int fds[2], kept[2] = { dup(0), dup(1) };

    blocking_pipe(fds);
    CHECK_INT(dup2(fds[0], 0), 0);
    CHECK_INT(dup2(fds[1], 1), 1);
    use_as_standard((int[]){ 0, 1 });
    CHECK(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
    CHECK(!(fcntl(fds[1], F_GETFL) & O_NONBLOCK));
    for (int i = 0; i < 2; i++) {
        CHECK_INT(dup2(kept[i], i), i);
        CHECK_INT(close(kept[i]), 0);
    }
    close_both(fds);
}

static int tick(void *arg)
{
    int *ticks = arg;

    while (kin_sleep(KIN_MS(1)) == 0)
        ++*ticks;
    return 0;
}

/* A full pipe in blocking mode must not stop the thread. */
IO_TEST(a_blocking_pipe_does_not_block_the_others)
{
    struct call writer = { .what = CALL_WRITE_ALL, .buffer = more_than_fits, .size = 1 << 20 };
    kin_group g = kin_group_open();
    int fds[2], ticks = 0;
    size_t got = 0;

    blocking_pipe(fds);
    writer.fd = fds[1];
    CHECK_CODE(kin_spawn(&g, tick, &ticks), 0);
    begin_call(&g, &writer, NULL, true);
    while (ticks < 5)
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    CHECK(!writer.ended);
    while (!writer.ended) {
        static char block[3000];
        ssize_t n = kin_read(fds[0], block, sizeof block);

        CHECK(n > 0);
        got += (size_t)n;
    }
    got += drain(fds[0]);
    CHECK_INT(got, 1 << 20);
    CHECK_CODE(kin_cancel(&g, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(writer.result, 0);
    close_both(fds);
}

IO_TEST(wait_fd_reports_what_is_ready)
{
    int fds[2];

    blocking_socket(fds);
    CHECK_INT(kin_wait_fd(fds[0], KIN_WRITABLE), KIN_WRITABLE);
    CHECK_INT(kin_wait_fd(fds[0], KIN_READABLE | KIN_WRITABLE), KIN_WRITABLE);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_INT(kin_wait_fd(fds[0], KIN_READABLE), KIN_READABLE);
    CHECK_INT(kin_wait_fd(fds[0], KIN_READABLE), KIN_READABLE);
    CHECK_INT(kin_wait_fd(fds[0], KIN_READABLE | KIN_WRITABLE), KIN_READABLE | KIN_WRITABLE);
    CHECK_INT(close(fds[1]), 0);
    CHECK_INT(kin_wait_fd(fds[0], KIN_READABLE), KIN_READABLE);
    CHECK_INT(kin_wait_fd(fds[0], KIN_WRITABLE), KIN_WRITABLE);
    CHECK_INT(close(fds[0]), 0);
}

static void parked_wait(int fd, unsigned events, int other, unsigned wanted)
{
    struct call c = { .what = CALL_WAIT, .fd = fd, .events = events };
    kin_group g = kin_group_open();

    begin_call(&g, &c, NULL, true);
    CHECK(!c.ended);
    if (wanted == KIN_WRITABLE)
        drain(other);
    else
        CHECK_INT(write(other, "12345678", 8), 8);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.result, wanted);
}

IO_TEST(wait_fd_waits_on_any_kind)
{
    int fds[2], event = eventfd(0, EFD_CLOEXEC);

    parked_wait(event, KIN_READABLE, event, KIN_READABLE);
    CHECK_INT(close(event), 0);
    for (int own = 0; own < 2; own++) {
        if (own)
            CHECK_CODE(kin_pipe(fds), 0);
        else
            blocking_pipe(fds);
        parked_wait(fds[0], KIN_READABLE, fds[1], KIN_READABLE);
        drain(fds[0]);
        parked_wait(fds[0], KIN_READABLE, fds[1], KIN_READABLE);
        drain(fds[0]);
        CHECK_INT(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
        fill_up(fds[1]);
        parked_wait(fds[1], KIN_WRITABLE, fds[0], KIN_WRITABLE);
        close_both(fds);
    }
}

/* Both ends of one descriptor, each with its own waiter; one is served first. */
IO_TEST(two_waiters_on_a_foreign_descriptor)
{
    struct call reader = { .what = CALL_WAIT, .events = KIN_READABLE };
    struct call writer = { .what = CALL_WAIT, .events = KIN_WRITABLE };
    kin_group g = kin_group_open();
    int fds[2];

    blocking_socket(fds);
    CHECK_INT(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    fill_up(fds[0]);
    reader.fd = writer.fd = fds[0];
    begin_call(&g, &reader, NULL, true);
    begin_call(&g, &writer, NULL, true);
    CHECK(!reader.ended && !writer.ended);
    CHECK_INT(write(fds[1], "x", 1), 1);
    while (!reader.ended)
        CHECK_CODE(kin_sleep(KIN_US(100)), 0);
    CHECK(!writer.ended);
    drain(fds[1]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(reader.result, KIN_READABLE);
    CHECK_INT(writer.result, KIN_WRITABLE);
    close_both(fds);
}

/* The owner closes, and the number is another file's when we wait again. */
IO_TEST(a_number_that_changes_hands_is_waited_for_anew)
{
    int fds[2], number = -1;

    for (int i = 0; i < 5; i++) {
        (i & 1 ? blocking_pipe : blocking_socket)(fds);
        CHECK(number < 0 || fds[0] == number);
        number = fds[0];
        parked_wait(fds[0], KIN_READABLE, fds[1], KIN_READABLE);
        CHECK_INT(close(fds[0]), 0);
        CHECK_INT(close(fds[1]), 0);
    }
}

/* It was kin's own before, and was closed with plain close. */
IO_TEST(wait_fd_does_not_trust_an_old_number)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    int fds[2], more[2];

    CHECK_CODE(kin_pipe(fds), 0);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, true);         /* registers it */
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(close(fds[0]), 0);
    CHECK_INT(close(fds[1]), 0);
    blocking_socket(more);
    CHECK_INT(more[0], fds[0]);
    parked_wait(more[0], KIN_READABLE, more[1], KIN_READABLE);
    close_both(more);
}

IO_TEST(a_foreign_listener_can_be_accepted_from)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    struct call c = { .what = CALL_ACCEPT };
    kin_group g = kin_group_open();
    int client;

    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(c.fd, (struct sockaddr *)&address, length), 0);
    CHECK_INT(listen(c.fd, 5), 0);
    CHECK_INT(getsockname(c.fd, (struct sockaddr *)&address, &length), 0);
    begin_call(&g, &c, NULL, true);
    CHECK(!c.ended);
    client = kin_connect((struct sockaddr *)&address, length);
    CHECK(client >= 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(c.result >= 0);
    CHECK_INT(kin_write(client, "x", 1), 1);
    CHECK_CODE(kin_close(client), 0);
    CHECK_CODE(kin_close((int)c.result), 0);
    CHECK_CODE(kin_close(c.fd), 0);
}
