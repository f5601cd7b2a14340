/* Datagrams and messages: addresses, what is cut off, what comes back, what has no readiness
 * (docs/semantics.md C2, F1). */
#include "io_sweep.h"
#include "io_test.h"
#include "kin_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of IPv4, one of this process's own: nobody else takes a port that was just given up. */
static kin_address loopback(int family)
{
    kin_address address = { .length = 0 };
    in_addr_t own = INADDR_LOOPBACK + ((in_addr_t)getpid() % 0x7ffff << 4);

    if (family == AF_INET) {
        address.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(own) };
        address.length = sizeof address.v4;
    } else {
        address.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
                                            .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        address.length = sizeof address.v6;
    }
    return address;
}

/* No other process has it: the suite runs several at once. */
static kin_address abstract(const char *name)
{
    kin_address address = { .local = { .sun_family = AF_UNIX } };
    int length = snprintf(address.local.sun_path + 1, sizeof address.local.sun_path - 1, "%s-%d",
                          name, getpid());

    address.length = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)length;
    return address;
}

/* A UDP socket on the loopback interface, and its address. */
static int udp(kin_address *address)
{
    kin_address any = loopback(AF_INET);
    int fd = kin_datagram_at(&any, NULL);

    CHECK(fd >= 0);
    CHECK_CODE(kin_local_address(fd, address), 0);
    return fd;
}

static bool same(const kin_address *a, const kin_address *b)
{
    return a->length == b->length && memcmp(&a->storage, &b->storage, a->length) == 0;
}

static void receives(int fd, const char *text, const kin_address *sender)
{
    kin_address from;
    char buffer[64];
    bool cut;

    CHECK_INT(kin_receive_from(fd, buffer, sizeof buffer, &from, &cut), strlen(text));
    CHECK(memcmp(buffer, text, strlen(text)) == 0 && !cut);
    CHECK(!sender || same(&from, sender));
}

/* ------------------------------------------------------------------- there and back */

IO_TEST(udp_says_who_has_sent)
{
    kin_address a, b;
    int fds[2] = { udp(&a), udp(&b) };

    CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    CHECK_INT(kin_send_to(fds[0], "to b", 4, &b), 4);
    receives(fds[1], "to b", &a);
    CHECK_INT(kin_send_to(fds[1], "back", 4, &a), 4);
    receives(fds[0], "back", &b);
    CHECK_INT(kin_send_to(fds[0], "", 0, &b), 0);       /* an empty one is one, too */
    receives(fds[1], "", &a);
    CHECK_CODE(kin_send_to(fds[0], "x", 1, NULL), -EDESTADDRREQ);
    CHECK_CODE(kin_send_to(fds[0], more_than_fits, 70000, &b), -EMSGSIZE);
    close_both(fds);
}

IO_TEST(a_connected_one_hears_its_peer_only)
{
    kin_address a, b, address;
    int server = udp(&a), other = udp(&b), client = kin_datagram_at(NULL, &a);
    char buffer[8];

    CHECK(client >= 0);
    CHECK_CODE(kin_peer_address(client, &address), 0);
    CHECK(same(&address, &a));
    CHECK_CODE(kin_local_address(client, &address), 0);
    CHECK_INT(kin_write(client, "ask", 3), 3);
    receives(server, "ask", &address);
    CHECK_INT(kin_send_to(other, "intrude", 7, &address), 7);
    CHECK_INT(kin_send_to(server, "tell", 4, &address), 4);
    CHECK_INT(kin_read(client, buffer, sizeof buffer), 4);
    CHECK_INT(kin_send_to(client, "more", 4, NULL), 4);
    receives(server, "more", &address);
    CHECK_CODE(kin_close(client), 0);
    client = kin_datagram_at(&b, &a, .reuse_port = true);
    CHECK_CODE(client, -EADDRINUSE);
    close_both((int[]){ server, other });
}

IO_TEST(udp_of_ipv6_and_shared_ports)
{
    kin_address any = loopback(AF_INET6), address;
    int fds[2] = { kin_datagram_at(&any, NULL, .v6_only = true, .reuse_port = true) };

    if (fds[0] == -EADDRNOTAVAIL || fds[0] == -EAFNOSUPPORT)
        SKIP("no IPv6");
    CHECK_CODE(kin_local_address(fds[0], &address), 0);
    fds[1] = kin_datagram_at(&address, NULL, .reuse_port = true);
    CHECK(fds[1] >= 0);
    CHECK_CODE(kin_datagram_at(&address, NULL), -EADDRINUSE);
    close_both(fds);
}

IO_TEST(what_does_not_fit_is_said)
{
    kin_address a, b;
    int fds[2] = { udp(&a), udp(&b) };
    char buffer[4];
    bool cut;

    for (int i = 0; i < 3; i++)
        CHECK_INT(kin_send_to(fds[0], i < 2 ? "123456" : "1234", i < 2 ? 6 : 4, &b), i < 2 ? 6 : 4);
    CHECK_INT(kin_receive_from(fds[1], buffer, 4, NULL, &cut), 4);
    CHECK(cut && memcmp(buffer, "1234", 4) == 0);
    CHECK_CODE(kin_receive_from(fds[1], buffer, 4, NULL, NULL), -EMSGSIZE);
    CHECK_INT(kin_receive_from(fds[1], buffer, 4, NULL, NULL), 4);
    close_both(fds);
}

IO_TEST(unix_datagrams_at_names_and_paths)
{
    char directory[] = "/tmp/kin-datagram-XXXXXX";
    kin_address name = abstract("kin-test-datagram"), file = { .length = sizeof file.local };
    int fds[2], nobody;
    struct stat status;

    CHECK(mkdtemp(directory) != NULL);
    file.local.sun_family = AF_UNIX;
    snprintf(file.local.sun_path, sizeof file.local.sun_path, "%s/socket", directory);
    for (int i = 0; i < 2; i++) {       /* the second time its file is there */
        kin_address from;
        char buffer[8];

        fds[0] = kin_datagram_at(&name, NULL);
        fds[1] = kin_datagram_at(&file, &name, .mode = 0622);
        CHECK(fds[0] >= 0 && fds[1] >= 0);
        CHECK_INT(stat(file.local.sun_path, &status), 0);
        CHECK_INT(status.st_mode & 07777, 0622);
        CHECK_INT(kin_write(fds[1], "here", 4), 4);
        CHECK_INT(kin_receive_from(fds[0], buffer, sizeof buffer, &from, NULL), 4);
        CHECK_STR(from.local.sun_path, file.local.sun_path);
        CHECK_INT(kin_send_to(fds[0], "there", 5, &from), 5);
        receives(fds[1], "there", &name);
        nobody = kin_datagram_at(NULL, &name);
        CHECK_INT(kin_write(nobody, "who?", 4), 4);
        CHECK_INT(kin_receive_from(fds[0], buffer, sizeof buffer, &from, NULL), 4);
        CHECK_INT(from.length, 0);
        CHECK_CODE(kin_close(nobody), 0);
        close_both(fds);
        CHECK_CODE(kin_datagram_at(NULL, &file), -ECONNREFUSED);
    }
    CHECK_INT(unlink(file.local.sun_path), 0);
    CHECK_INT(rmdir(directory), 0);
}

/* The answer to what was sent: nobody is there. */
IO_TEST(a_refusal_is_reported_once)
{
    kin_address a, b;
    int gone = udp(&a), client = kin_datagram_at(NULL, &a);

    CHECK_CODE(kin_local_address(client, &b), 0);
    CHECK_CODE(kin_close(gone), 0);
    for (int i = 0; i < 3; i++) {
        char byte;

        CHECK_INT(kin_send_to(client, "x", 1, NULL), 1);
        if (i == 0)
            CHECK_CODE(kin_receive_from(client, &byte, 1, NULL, NULL), -ECONNREFUSED);
        else if (i == 1)
            CHECK_CODE(kin_read(client, &byte, 1), -ECONNREFUSED);
        else
            CHECK_CODE(kin_send_to(client, "x", 1, NULL), -ECONNREFUSED);
    }
    gone = kin_datagram_at(&a, NULL);
    CHECK_INT(kin_send_to(client, "x", 1, NULL), 1);
    receives(gone, "x", &b);
    close_both((int[]){ gone, client });
}

/* The receiver is parked when it comes. */
struct receive {
    int fd;
    ssize_t result;
    char buffer[16];
};

static int receive(void *arg)
{
    struct receive *r = arg;

    r->result = kin_receive_from(r->fd, r->buffer, sizeof r->buffer, NULL, NULL);
    return 0;
}

static void begin_receive(kin_group *g, struct receive *r, kin_task *task, bool submitted)
{
    r->result = -1;
    CHECK_CODE(kin_spawn(g, receive, r, .task = task, .name = "receiver"), 0);
    CHECK_CODE(submitted ? kin_sleep(KIN_MS(1)) : kin_yield(), 0);
    CHECK_INT(r->result, -1);
}

IO_TEST(a_parked_receiver_gets_a_datagram_or_a_refusal)
{
    for (int i = 0; i < 4; i++) {
        kin_address a;
        int server = udp(&a), client = kin_datagram_at(NULL, &a);
        struct receive r = { .fd = i < 2 ? server : client };
        kin_group g = kin_group_open();

        begin_receive(&g, &r, NULL, i % 2);
        if (i >= 2)
            CHECK_CODE(kin_close(server), 0);
        CHECK_INT(kin_send_to(client, "x", 1, NULL), 1);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(r.result, i < 2 ? 1 : -ECONNREFUSED);
        if (i < 2)
            CHECK_CODE(kin_close(server), 0);
        CHECK_CODE(kin_close(client), 0);
    }
}

IO_TEST(C2_a_cancelled_receiver_has_received_nothing)
{
    for (int i = 0; i < 4; i++) {
        kin_address a;
        int server = udp(&a), client = kin_datagram_at(NULL, &a);
        struct receive r = { .fd = server };
        kin_group g = kin_group_open();
        kin_task task;

        begin_receive(&g, &r, &task, i & 1);
        if (i & 2)
            CHECK_INT(write(client, "x", 1), 1);        /* it has come, and nobody has looked */
        CHECK_CODE(kin_cancel(&task, NULL), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(r.result, KIN_ECANCELED);
        if (!(i & 2))
            CHECK_INT(write(client, "x", 1), 1);
        receives(server, "x", NULL);
        close_both((int[]){ server, client });
    }
}

IO_TEST(F1_close_wakes_a_receiver_and_the_second_is_busy)
{
    kin_address a;
    struct receive r = { .fd = udp(&a) };
    kin_group g = kin_group_open();
    char byte;

    begin_receive(&g, &r, NULL, true);
    CHECK_CODE(kin_receive_from(r.fd, &byte, 1, NULL, NULL), KIN_EBUSY);
    CHECK_CODE(kin_close(r.fd), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(r.result, KIN_ECLOSED);
    CHECK_CODE(kin_receive_from(r.fd, &byte, 1, NULL, NULL), -EBADF);
    CHECK_CODE(kin_send_to(r.fd, "x", 1, &a), -EBADF);
}

IO_TEST(F2_foreign_sockets_keep_their_flags)
{
    int fds[2], plain[2];
    struct receive r;
    kin_group g = kin_group_open();

    CHECK_INT(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    r.fd = fds[0];
    begin_receive(&g, &r, NULL, true);
    CHECK_INT(kin_send_to(fds[1], "x", 1, NULL), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(r.result, 1);
    g = kin_group_open();
    begin_receive(&g, &r, NULL, true);
    CHECK_CODE(kin_shutdown(fds[0], SHUT_RD), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(r.result, 0);
    CHECK(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
    close_both(fds);
    CHECK_INT(pipe(plain), 0);
    CHECK_CODE(kin_receive_from(plain[0], r.buffer, 1, NULL, NULL), -ENOTSOCK);
    CHECK_CODE(kin_send_to(plain[1], "x", 1, NULL), -ENOTSOCK);
    close_both(plain);
    CHECK_CODE(kin_pipe(plain), 0);
    CHECK_CODE(kin_receive_from(plain[0], r.buffer, 1, NULL, NULL), -ENOTSOCK);
    CHECK_CODE(kin_send_to(plain[1], "x", 1, NULL), -ENOTSOCK);
    close_both(plain);
}

/* ---------------------------------------------------------------------- messages */

IO_TEST(messages_gather_scatter_and_peek)
{
    struct iovec out[] = { { "ab", 2 }, { "cde", 3 } };
    char one[3], two[8];
    struct iovec in[] = { { one, sizeof one }, { two, sizeof two } };
    struct msghdr message = { .msg_iov = out, .msg_iovlen = 2 };
    int fds[2];

    CHECK_CODE(kin_socket_pair(SOCK_SEQPACKET, fds), 0);
    CHECK_INT(kin_send_message(fds[0], &message, MSG_EOR), 5);
    message = (struct msghdr){ .msg_iov = in, .msg_iovlen = 2 };
    CHECK_INT(kin_receive_message(fds[1], &message, MSG_PEEK), 5);
    CHECK(memcmp(one, "abc", 3) == 0 && memcmp(two, "de", 2) == 0);
    message = (struct msghdr){ .msg_iov = in, .msg_iovlen = 1 };
    CHECK_INT(kin_receive_message(fds[1], &message, MSG_TRUNC), 5);
    CHECK(message.msg_flags & MSG_TRUNC);
    CHECK_CODE(kin_receive_message(fds[1], &message, MSG_ERRQUEUE), KIN_EINVAL);
    CHECK_CODE(kin_receive_message(fds[1], &message, MSG_WAITALL), KIN_EINVAL);
    CHECK_CODE(kin_send_message(fds[1], &message, MSG_ZEROCOPY), KIN_EINVAL);
    close_both(fds);
}

IO_TEST(messages_bring_what_was_asked_for)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control;
    const int on = 1;
    char byte;
    struct iovec piece = { &byte, 1 };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    kin_address a;
    int server = udp(&a), client = kin_datagram_at(NULL, &a);

    CHECK_INT(setsockopt(server, IPPROTO_IP, IP_PKTINFO, &on, sizeof on), 0);
    CHECK_INT(kin_write(client, "x", 1), 1);
    CHECK_INT(kin_receive_message(server, &message, 0), 1);
    CHECK(CMSG_FIRSTHDR(&message) != NULL);
    CHECK_INT(CMSG_FIRSTHDR(&message)->cmsg_type, IP_PKTINFO);
    close_both((int[]){ server, client });
}

/* ------------------------------------------------------------------ no readiness */

/* The system says that there is something, and then there is nothing. */
IO_TEST(spurious_readiness_loses_nothing)
{
    enum { TIMES = 20 };
    kin_address a;
    int server = udp(&a), client = kin_datagram_at(NULL, &a), more = 0;
    struct receive r = { .fd = server };
    kin_group g = kin_group_open();

    begin_receive(&g, &r, NULL, true);
    fail_next("recvmsg", EAGAIN, TIMES);
    for (int i = 0; i <= TIMES && r.result < 0; i++) {  /* each is a reason to look again */
        CHECK_INT(write(client, "x", 1), 1);
        CHECK_CODE(kin_sleep(KIN_US(200)), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(r.result, 1);
    CHECK_INT(failed_so_far(), TIMES);
    while (recv(server, r.buffer, 1, MSG_DONTWAIT) == 1)
        more++;
    CHECK(more > 0 || on_uring());
    close_both((int[]){ server, client });
}

struct send {
    int fd;
    const kin_address *to;
    size_t size;
    ssize_t result;
    int64_t took;
};

static int send_one(void *arg)
{
    struct send *s = arg;
    int64_t before = kin_now();

    s->result = kin_send_to(s->fd, more_than_fits, s->size, s->to);
    s->took = kin_now() - before;
    return 0;
}

/* 1 + 2 + 4 + 8 + 16 ms. */
IO_TEST(lack_of_buffers_is_waited_out)
{
    kin_address a, b;
    int fds[2] = { udp(&a), udp(&b) };
    struct send s = { .fd = fds[0], .to = &b, .size = 1, .result = 1 };

    fail_next("sendmsg", ENOBUFS, 5);
    send_one(&s);
    CHECK_INT(s.result, 1);
    CHECK_INT(failed_so_far(), 5);
    CHECK(s.took >= KIN_MS(31));
    CHECK_INT(recv(fds[1], more_than_fits, 2, 0), 1);
    CHECK_INT(recv(fds[1], more_than_fits, 2, MSG_DONTWAIT), -1);
    close_both(fds);
}

IO_TEST(C2_waiting_for_buffers_can_be_cancelled_and_closed)
{
    for (int i = 0; i < 2; i++) {
        kin_address a, b;
        int fds[2] = { udp(&a), udp(&b) };
        struct send s = { .fd = fds[0], .to = &b, .size = 1, .result = -1 };
        kin_group g = kin_group_open();
        kin_task task;

        fail_next("sendmsg", ENOBUFS, 1000);
        kin_spawn(&g, send_one, &s, .task = &task);
        CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
        CHECK_CODE(kin_send_to(fds[0], "x", 1, &b), KIN_EBUSY);     /* nobody overtakes */
        CHECK_CODE(i ? kin_close(fds[0]) : kin_cancel(&task, NULL), 0);
        if (i)                                  /* the number belongs to somebody else now */
            CHECK_INT(dup2(fds[1], fds[0]), fds[0]);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(s.result, i ? KIN_ECLOSED : KIN_ECANCELED);
        CHECK_INT(recv(fds[1], more_than_fits, 1, MSG_DONTWAIT), -1);
        close_both(fds);
    }
}

static int cancel_soon(void *arg)
{
    CHECK_CODE(kin_sleep(KIN_US(500)), 0);
    CHECK_CODE(kin_cancel((kin_task *)arg, NULL), 0);
    return 0;
}

/* The pause is over and its task woken when it is cancelled; then there are buffers, but the
 * socket has no room. */
IO_TEST(C2_cancelled_at_the_end_of_a_pause)
{
    struct send s = { .size = 1, .result = 77 };
    kin_group g = kin_group_open();
    kin_task task;
    int fds[2];
    int64_t begun;

    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
    fill_up(fds[0]);
    s.fd = fds[0];
    fail_next("sendmsg", ENOBUFS, 1);
    kin_spawn(&g, cancel_soon, &task);
    kin_spawn(&g, send_one, &s, .task = &task);
    CHECK_CODE(kin_yield(), 0);
    CHECK_INT(failed_so_far(), 1);
    for (begun = kin_now(); kin_now() - begun < KIN_MS(3);)
        ;                               /* both sleep until now */
    CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    CHECK_CODE(s.result, KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    close_both(fds);
}

/* The pauses have become long, and nobody waits for the end of one. */
IO_TEST(F1_a_pause_ends_when_it_has_no_sense_any_more)
{
    for (int i = 0; i < 2; i++) {
        kin_address a;
        int fds[2] = { udp(&a), kin_datagram_at(NULL, &a) };
        struct send s = { .fd = fds[1], .size = 1, .result = 1 };
        kin_group g = kin_group_open();

        fail_next("sendmsg", ENOBUFS, 1000);
        kin_spawn(&g, send_one, &s);
        while (failed_so_far() < 8)
            CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
        CHECK_CODE(i ? kin_close(fds[1]) : kin_shutdown(fds[1], SHUT_WR), 0);
        CHECK_CODE(kin_yield(), 0);
        CHECK_CODE(s.result, i ? KIN_ECLOSED : -EPIPE);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(kin_close(fds[0]), 0);
        if (i == 0)
            CHECK_CODE(kin_close(fds[1]), 0);
    }
}

/* In pieces of 1,280 bytes it takes more buffers than such a socket may have. */
IO_TEST(a_lack_of_buffers_for_real)
{
    kin_address any = loopback(AF_INET6), address;
    int receiver = kin_datagram_at(&any, NULL), sender, size = 1, mtu = 1280;
    struct send s = { .to = &address, .size = 30000, .result = -1 };
    kin_group g = kin_group_open();

    if (receiver < 0)
        SKIP("no IPv6");
    CHECK_CODE(kin_local_address(receiver, &address), 0);
    s.fd = sender = kin_datagram_at(&any, NULL);
    CHECK_INT(setsockopt(sender, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    CHECK_INT(setsockopt(sender, IPPROTO_IPV6, IPV6_MTU, &mtu, sizeof mtu), 0);
    CHECK_INT(sendto(sender, more_than_fits, s.size, MSG_DONTWAIT, &address.any, address.length),
              -1);
    CHECK_INT(errno, ENOBUFS);
    kin_spawn(&g, send_one, &s);
    CHECK_CODE(kin_sleep(KIN_MS(10)), 0);
    CHECK_INT(s.result, -1);
    size = 1 << 20;
    CHECK_INT(setsockopt(sender, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(s.result, 30000);
    CHECK_INT(kin_receive_from(receiver, more_than_fits, 40000, NULL, NULL), 30000);
    close_both((int[]){ receiver, sender });
}

/* It will never go: nobody waits for that. */
IO_TEST(too_much_control_data_is_an_error)
{
    static char control[4 << 20];
    struct cmsghdr *header = (struct cmsghdr *)control;
    char byte = 'x';
    struct iovec piece = { &byte, 1 };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control,
                              .msg_controllen = sizeof control };
    int fds[2];

    *header = (struct cmsghdr){ .cmsg_len = sizeof control, .cmsg_level = SOL_SOCKET };
    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
    CHECK_CODE(kin_send_message(fds[0], &message, 0), -ENOBUFS);
    close_both(fds);
}

/* Others have filled its queue, and the sender is not connected to it: the system says that
 * there is room, and never when there is. Connected, it does. */
static void receiver_is_behind(bool connected)
{
    enum { PLENTY = 1000000 };
    kin_address name = abstract("kin-test-behind");
    kin_address unnamed = { .any.sa_family = AF_UNIX, .length = sizeof(sa_family_t) };
    int receiver = kin_datagram_at(&name, NULL), filler = kin_datagram_at(NULL, &name);
    int sender = kin_datagram_at(&unnamed, connected ? &name : NULL);
    struct send s = { .fd = sender, .to = connected ? NULL : &name, .size = 1, .result = -1 };
    kin_group g = kin_group_open();
    int queued = 0, received = 0;
    char byte;

    CHECK(receiver >= 0 && sender >= 0 && filler >= 0);
    while (write(filler, "x", 1) == 1)
        queued++;
    CHECK_INT(errno, EAGAIN);
    fail_later("sendmsg", EIO, PLENTY, 0);              /* counts */
    kin_spawn(&g, send_one, &s);
    for (int i = 0; i < 20; i++)
        CHECK_CODE(kin_sleep(KIN_US(500)), 0);
    CHECK_INT(s.result, -1);
    CHECK(PLENTY - left_to_skip() < 100);               /* nobody asks all the time */
    while (recv(receiver, &byte, 1, MSG_DONTWAIT) == 1)
        received++;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(s.result, 1);
    CHECK_INT(received, queued);
    CHECK_INT(kin_receive_from(receiver, &byte, 1, NULL, NULL), 1);
    close_both((int[]){ receiver, sender });
    CHECK_CODE(kin_close(filler), 0);
}

IO_TEST(a_unix_receiver_that_is_behind_is_waited_for)
{
    receiver_is_behind(false);
    receiver_is_behind(true);
}

/* ------------------------------------------------------------------------ sweeps */

enum { ROUNDS = 5, FAILED = KIN_CODE(KIN_CLASS_USER, 1) };

/* Answers with what came, until an empty one comes. */
static int echo(void *arg)
{
    int fd = *(const int *)arg;

    for (;;) {
        kin_address from;
        char buffer[64];
        ssize_t n = kin_receive_from(fd, buffer, sizeof buffer, &from, NULL);

        if (n > 0)
            n = kin_send_to(fd, buffer, (size_t)n, &from);
        if (n <= 0)                     /* cancelled alone it ends the others, too */
            return n == KIN_ECANCELED ? FAILED : (int)n;
    }
}

static int ask(int fd, const kin_address *server)
{
    for (int i = 0; i < ROUNDS; i++) {
        char buffer[64];
        ssize_t n = kin_send_to(fd, "question", 8, server);

        if (n == 8)
            n = kin_receive_from(fd, buffer, sizeof buffer, NULL, NULL);
        if (n < 0)
            return (int)n;
        CHECK_INT(n, 8);
    }
    return (int)kin_send_to(fd, "", 0, server);
}

static int converse(int server, int client)
{
    kin_group g = kin_group_open();
    kin_address address;
    int rc = kin_local_address(server, &address);

    if (rc == 0)
        rc = kin_spawn(&g, echo, &server);
    if (rc == 0)
        rc = ask(client, &address);
    rc = kin_group_close(&g, rc);
    return rc == FAILED ? KIN_ECANCELED : rc;
}

static int conversation(void *arg)
{
    kin_address any = loopback(AF_INET);
    int server = kin_datagram_at(&any, NULL, .reuse_port = true), client, rc;

    (void)arg;
    if (server < 0)
        return server;
    client = kin_datagram_at(&any, NULL);
    rc = client < 0 ? client : converse(server, client);
    if (client >= 0)
        kin_close(client);
    kin_close(server);
    return rc;
}

TEST(C2_cancelled_anywhere_nothing_is_left)
{
    sweep_cancels(conversation, NULL);
    sweep_memory(conversation, NULL);
}

TEST(whatever_fails_is_reported_and_leaves_nothing)
{
    CHECK_INT(sweep_site("socket", EMFILE, conversation, NULL), 2);
    CHECK_INT(sweep_site("setsockopt", ENOMEM, conversation, NULL), 1);
    CHECK_INT(sweep_site("bind", ENOMEM, conversation, NULL), 2);
    CHECK_INT(sweep_site("getsockname", ENOBUFS, conversation, NULL), 1);
    CHECK_INT(sweep_site("sendmsg", EHOSTUNREACH, conversation, NULL), 2 * ROUNDS + 1);
    CHECK(sweep_site("recvmsg", ENOMEM, conversation, NULL) >= 2 * ROUNDS);
    CHECK(sweep_site("recvmsg", EINTR, conversation, NULL) >= 2 * ROUNDS);
    CHECK_INT(sweep_site("sendmsg", ENOBUFS, conversation, NULL), 2 * ROUNDS + 1);
}

static int connected(void *arg)
{
    kin_address address = loopback(AF_INET);
    int fd;

    (void)arg;
    address.v4.sin_port = htons(9);
    fd = kin_datagram_at(NULL, &address);
    return fd < 0 ? fd : kin_close(fd);
}

TEST(whatever_fails_in_connecting_leaves_nothing)
{
    CHECK_INT(sweep_site("connect", ENETUNREACH, connected, NULL), 1);
    CHECK_INT(sweep_site("socket", EMFILE, connected, NULL), 1);
}

TEST(outside_of_a_run_there_is_no_waiting)
{
    kin_address any = loopback(AF_INET);
    int fd = kin_datagram_at(&any, NULL);
    char byte;

    CHECK(fd >= 0);
    CHECK_CODE(kin_receive_from(fd, &byte, 1, NULL, NULL), KIN_ENORUN);
    CHECK_CODE(kin_send_to(fd, "x", 1, &any), KIN_ENORUN);
    CHECK_CODE(kin_close(fd), 0);
}

static int without_descriptors(void *arg)
{
    kin_address any = loopback(AF_INET);
    int fds[2];

    (void)arg;
    CHECK_CODE(kin_datagram_at(&any, NULL), -ENOSYS);
    CHECK_CODE(kin_listen_at(&any), -ENOSYS);
    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), -ENOSYS);
    CHECK_CODE(kin_adopt(0), -ENOSYS);
    return 0;
}

TEST(a_run_without_descriptors_says_so)
{
    CHECK_CODE(kin_run(without_descriptors, NULL, .backend = "virtual"), 0);
}
