/* Sockets that listen: addresses, text, paths; who is dead and who lives there. */
#include "io_sweep.h"
#include "io_test.h"
#include "kin_io.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static kin_address loopback(int family)
{
    kin_address address = { .length = 0 };

    if (family == AF_INET) {
        address.v4 = (struct sockaddr_in){ .sin_family = AF_INET,
                                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        address.length = sizeof address.v4;
    } else {
        address.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
                                            .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        address.length = sizeof address.v6;
    }
    return address;
}

static bool without_ipv6(void)
{
    kin_address address = loopback(AF_INET6);
    int fd = kin_listen_at(&address);

    if (fd >= 0)
        kin_close(fd);
    return fd < 0;
}

static in_port_t port_of(int fd)
{
    kin_address address;

    CHECK_CODE(kin_local_address(fd, &address), 0);
    return address.v4.sin_port;         /* the same place in v6 */
}

static int connect_to(int family, in_port_t port)
{
    kin_address address = loopback(family);

    address.v4.sin_port = port;
    return kin_connect(&address.any, address.length);
}

/* A client comes in and is answered. */
static void serves(int listener, int client)
{
    int accepted = kin_accept(listener);
    char byte = 0;

    CHECK(client >= 0 && accepted >= 0);
    CHECK_INT(kin_write(accepted, "x", 1), 1);
    CHECK_INT(kin_read(client, &byte, 1), 1);
    CHECK(byte == 'x');
    CHECK_CODE(kin_close(client), 0);
    CHECK_CODE(kin_close(accepted), 0);
}

/* --------------------------------------------------------------------- addresses */

IO_TEST(each_side_says_its_address_and_the_other)
{
    kin_address address = loopback(AF_INET), a, b;
    int listener = kin_listen_at(&address, .backlog = 5), client, accepted;

    client = connect_to(AF_INET, port_of(listener));
    accepted = kin_accept(listener);
    CHECK_CODE(kin_local_address(client, &a), 0);
    CHECK_CODE(kin_peer_address(accepted, &b), 0);
    CHECK(a.length == b.length && memcmp(&a.v4, &b.v4, a.length) == 0);
    CHECK_CODE(kin_peer_address(client, &a), 0);
    CHECK_INT(a.v4.sin_port, port_of(listener));
    CHECK_CODE(kin_peer_address(listener, &a), -ENOTCONN);
    CHECK_CODE(kin_local_address(-1, &a), -EBADF);
    close_both((int[]){ client, accepted });
    CHECK_CODE(kin_close(listener), 0);
}

IO_TEST(many_are_accepted)
{
    enum { MANY = 100 };
    kin_address address = loopback(AF_INET);
    int listener = kin_listen_at(&address), client[MANY], accepted[MANY];

    for (int i = 0; i < MANY; i++)
        CHECK((client[i] = connect_to(AF_INET, port_of(listener))) >= 0);
    for (int i = 0; i < MANY; i++)
        CHECK((accepted[i] = kin_accept(listener)) >= 0);
    for (int i = 0; i < MANY; i++)
        close_both((int[]){ client[i], accepted[i] });
    CHECK_CODE(kin_close(listener), 0);
}

IO_TEST(any_address_takes_both_families)
{
    static const char *const any[] = { "", NULL };

    if (without_ipv6())
        SKIP("no IPv6");
    for (int i = 0; i < 2; i++) {
        int listener = kin_listen_on(any[i], "0");

        CHECK(listener >= 0);
        serves(listener, connect_to(AF_INET, port_of(listener)));
        serves(listener, connect_to(AF_INET6, port_of(listener)));
        CHECK_CODE(kin_close(listener), 0);
    }
}

/* Another program may have the same port of IPv4: what comes there says nothing. */
IO_TEST(v6_only_leaves_ipv4_alone)
{
    if (without_ipv6())
        SKIP("no IPv6");
    for (int wanted = 0; wanted < 2; wanted++) {
        int listener = kin_listen_on(NULL, "0", .v6_only = wanted), only = -1;
        socklen_t size = sizeof only;

        CHECK(listener >= 0);
        CHECK_INT(getsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size), 0);
        CHECK_INT(only, wanted);
        serves(listener, connect_to(AF_INET6, port_of(listener)));
        CHECK_CODE(kin_close(listener), 0);
    }
}

IO_TEST(any_address_without_ipv6_is_that_of_ipv4)
{
    kin_address address;
    int listener;

    fail_next("socket", EAFNOSUPPORT, 1);
    listener = kin_listen_on("", "0");
    CHECK(listener >= 0);
    CHECK_CODE(kin_local_address(listener, &address), 0);
    CHECK_INT(address.any.sa_family, AF_INET);
    serves(listener, connect_to(AF_INET, port_of(listener)));
    CHECK_CODE(kin_close(listener), 0);
    fail_next("socket", EAFNOSUPPORT, 1);
    CHECK_CODE(kin_listen_on("", "0", .v6_only = true), -EAFNOSUPPORT);
}

IO_TEST(text_that_is_no_address_is_refused)
{
    CHECK_CODE(kin_listen_on("localhost.invalid", "0"), KIN_ENAME);
    CHECK_CODE(kin_listen_on("localhost", "0"), KIN_ENAME);
    CHECK_CODE(kin_listen_on("127.0.0.1", "no-such-service"), KIN_ENAME);
    CHECK_CODE(kin_listen_on("127.0.0.1", ""), KIN_EINVAL);
    CHECK_CODE(kin_listen_on("127.0.0.1", NULL), KIN_EINVAL);
    CHECK_CODE(kin_listen_on("192.0.2.1", "0"), -EADDRNOTAVAIL);
    CHECK_CODE(kin_listen_at(NULL), KIN_EINVAL);
    CHECK_CODE(kin_listen_at(&(kin_address){ .length = 1 }), KIN_EINVAL);
    CHECK_CODE(kin_listen_unix(""), KIN_EINVAL);
    CHECK_CODE(kin_listen_unix(NULL), KIN_EINVAL);
    CHECK_CODE(kin_datagram_at(NULL, NULL), KIN_EINVAL);
}

IO_TEST(reuse_port_shares_the_address)
{
    kin_address address = loopback(AF_INET);
    int first = kin_listen_at(&address, .reuse_port = true), second;

    CHECK_CODE(kin_local_address(first, &address), 0);
    CHECK_CODE(kin_listen_at(&address), -EADDRINUSE);
    second = kin_listen_at(&address, .reuse_port = true);
    CHECK(second >= 0);
    close_both((int[]){ first, second });
}

/* A name without a file that no other process has, as text and as an address. */
static char *own_name(struct sockaddr_un *address, socklen_t *length)
{
    static char text[32];
    int n = snprintf(text, sizeof text, "@kin-listen-%d", getpid());

    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(address->sun_path + 1, text + 1, (size_t)n - 1);
    *length = (socklen_t)offsetof(struct sockaddr_un, sun_path) + (socklen_t)n;
    return text;
}

IO_TEST(the_backlog_is_as_long_as_was_asked_for)
{
    struct sockaddr_un address;
    socklen_t length;
    int listener = kin_listen_unix(own_name(&address, &length), .backlog = 3), clients[8], n = 0;

    CHECK(listener >= 0);
    for (int i = 0; i < 8; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        n += connect(clients[i], (struct sockaddr *)&address, length) == 0;
    }
    CHECK_INT(n, 4);                    /* one more, as Linux has it */
    for (int i = 0; i < 8; i++)
        close(clients[i]);
    CHECK_CODE(kin_close(listener), 0);
}

/* ------------------------------------------------------------------------- paths */

static char directory[64], path[128];

static void make_directory(void)
{
    strcpy(directory, "/tmp/kin-listen-XXXXXX");
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/socket", directory);
}

static void remove_directory(void)
{
    unlink(path);
    CHECK_INT(rmdir(directory), 0);
}

static int connect_path(const char *to)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    memcpy(address.sun_path, to, strnlen(to, sizeof address.sun_path));
    return kin_connect((struct sockaddr *)&address, sizeof address);
}

static mode_t mode_of(const char *file)
{
    struct stat status;

    CHECK_INT(lstat(file, &status), 0);
    return status.st_mode & 07777;
}

IO_TEST(at_a_path_with_a_mode)
{
    mode_t umask_before = umask(077);
    int listener;

    make_directory();
    listener = kin_listen_unix(path, .mode = 0666);
    CHECK(listener >= 0);
    CHECK_INT(mode_of(path), 0666);
    serves(listener, connect_path(path));
    CHECK_CODE(kin_close(listener), 0);
    listener = kin_listen_unix(path);
    CHECK(listener >= 0);
    CHECK_INT(mode_of(path), 0700);
    CHECK_CODE(kin_close(listener), 0);
    umask(umask_before);
    remove_directory();
}

IO_TEST(the_file_of_a_dead_server_makes_room)
{
    int listener;

    make_directory();
    for (int i = 0; i < 3; i++) {
        listener = kin_listen_unix(path);
        CHECK(listener >= 0);
        serves(listener, connect_path(path));
        CHECK_CODE(kin_close(listener), 0);
        CHECK_INT(access(path, F_OK), 0);
        CHECK_CODE(connect_path(path), -ECONNREFUSED);
    }
    remove_directory();
}

IO_TEST(a_living_server_stays)
{
    int listener, client, accepted;
    char byte;

    make_directory();
    listener = kin_listen_unix(path);
    CHECK_CODE(kin_listen_unix(path), -EADDRINUSE);
    accepted = kin_accept(listener);            /* whoever asked is gone */
    CHECK_INT(kin_read(accepted, &byte, 1), 0);
    CHECK_CODE(kin_close(accepted), 0);
    client = connect_path(path);
    serves(listener, client);
    CHECK_CODE(kin_close(listener), 0);
    remove_directory();
}

/* Its queue is full: it says nothing, and lives. */
IO_TEST(a_server_that_is_behind_stays)
{
    int listener, clients[2];

    make_directory();
    listener = kin_listen_unix(path, .backlog = 1);
    clients[0] = connect_path(path);
    clients[1] = connect_path(path);
    CHECK(clients[0] >= 0 && clients[1] >= 0);
    CHECK_CODE(kin_listen_unix(path), -EADDRINUSE);
    serves(listener, clients[0]);
    CHECK_CODE(kin_close(clients[1]), 0);
    CHECK_CODE(kin_close(listener), 0);
    remove_directory();
}

IO_TEST(what_is_no_dead_socket_is_not_removed)
{
    kin_address address = { .local = { .sun_family = AF_UNIX }, .length = sizeof address.local };
    int fd, datagrams;

    make_directory();
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK_CODE(kin_listen_unix(path), -EADDRINUSE);
    CHECK_INT(access(path, F_OK), 0);
    close(fd);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(symlink("nowhere", path), 0);
    CHECK_CODE(kin_listen_unix(path), -EADDRINUSE);
    CHECK_INT(unlink(path), 0);
    strcpy(address.local.sun_path, path);
    datagrams = kin_datagram_at(&address, NULL);
    CHECK(datagrams >= 0);
    CHECK_CODE(kin_listen_unix(path), -EADDRINUSE);
    CHECK_CODE(kin_datagram_at(&address, NULL), -EADDRINUSE);
    CHECK_CODE(kin_close(datagrams), 0);
    fd = kin_listen_unix(path);
    CHECK(fd >= 0);
    CHECK_CODE(kin_datagram_at(&address, NULL), -EADDRINUSE);
    CHECK_CODE(kin_close(fd), 0);
    remove_directory();
}

/* Without a 0 at its end. */
IO_TEST(a_path_may_fill_the_address)
{
    kin_address address = { .local = { .sun_family = AF_UNIX }, .length = sizeof address.local };
    char full[sizeof address.local.sun_path + 2];
    int listener;

    make_directory();
    snprintf(full, sizeof full, "%s/%0*d", directory, (int)(107 - strlen(directory)), 1);
    CHECK_INT(strlen(full), sizeof address.local.sun_path);
    CHECK_CODE(kin_listen_unix(full), -ENAMETOOLONG);
    memcpy(address.local.sun_path, full, sizeof address.local.sun_path);
    for (int i = 0; i < 2; i++) {
        listener = kin_listen_at(&address);
        CHECK(listener >= 0);
        serves(listener, connect_path(full));
        CHECK_CODE(kin_close(listener), 0);
    }
    CHECK_INT(unlink(full), 0);
    full[sizeof address.local.sun_path - 1] = '\0';
    listener = kin_listen_unix(full);
    CHECK(listener >= 0);
    CHECK_CODE(kin_close(listener), 0);
    CHECK_INT(unlink(full), 0);
    remove_directory();
}

IO_TEST(a_path_may_be_relative)
{
    char before[256];
    int listener;

    make_directory();
    CHECK(getcwd(before, sizeof before) != NULL);
    CHECK_INT(chdir(directory), 0);
    listener = kin_listen_unix("socket");
    CHECK(listener >= 0);
    serves(listener, connect_path(path));
    CHECK_CODE(kin_close(listener), 0);
    CHECK_INT(chdir(before), 0);
    remove_directory();
    CHECK_CODE(kin_listen_unix(path), -ENOENT);
}

IO_TEST(a_name_without_a_file)
{
    struct sockaddr_un address;
    socklen_t length;
    const char *name = own_name(&address, &length);
    int listener = kin_listen_unix(name);

    CHECK(listener >= 0);
    CHECK_CODE(kin_listen_unix(name), -EADDRINUSE);
    serves(listener, kin_connect((struct sockaddr *)&address, length));
    CHECK_CODE(kin_close(listener), 0);
    listener = kin_listen_unix(name);
    CHECK(listener >= 0);
    CHECK_CODE(kin_close(listener), 0);
}

/* ---------------------------------------------------- who comes at the same time */

enum { SERVERS = 4, ROUNDS = 30 };

static int listen_at_path(void *arg)
{
    (void)arg;
    return kin_listen_unix(path);
}

/* Waits for the start, listens, says what came of it, lives until it is told to go. */
static void server(int start, int said, int stop)
{
    char byte;
    int rc;

    if (read(start, &byte, 1) != 0)
        _exit(1);
    rc = kin_run(listen_at_path, NULL);
    if (write(said, &rc, sizeof rc) != sizeof rc || read(stop, &byte, 1) != 0)
        _exit(1);
    _exit(0);
}

static int winners(int said)
{
    int n = 0;

    for (int i = 0; i < SERVERS; i++) {
        int rc;

        CHECK_INT(read(said, &rc, sizeof rc), sizeof rc);
        if (rc >= 0)
            n++;
        else
            CHECK_CODE(rc, -EADDRINUSE);
    }
    return n;
}

static void one_round(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int start[2], said[2], stop[2], client = socket(AF_UNIX, SOCK_STREAM, 0);

    CHECK(pipe(start) == 0 && pipe(said) == 0 && pipe(stop) == 0);
    for (int i = 0; i < SERVERS; i++) {
        if (fork() == 0) {
            close(start[1]);
            close(stop[1]);
            server(start[0], said[1], stop[0]);
        }
    }
    close(start[1]);
    CHECK_INT(winners(said[0]), 1);
    strcpy(address.sun_path, path);
    CHECK_INT(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    close(stop[1]);
    for (int i = 0; i < SERVERS; i++) {
        int status;

        CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    close(client);
    close(start[0]);
    close_both(said);
    close(stop[0]);
}

/* The file of the round before is always there. */
TEST(of_servers_that_start_together_one_lives)
{
    make_directory();
    for (int i = 0; i < ROUNDS; i++)
        one_round();
    remove_directory();
}

/* ------------------------------------------------------------------------ faults */

/* A dead server's file makes room for one with a mode; a client is served. */
static int listen_once(void *arg)
{
    int client, accepted, listener = kin_listen_unix(path, .mode = 0600, .reuse_port = false);

    (void)arg;
    if (listener < 0)
        return listener;
    client = connect_path(path);
    if (client < 0) {
        kin_close(listener);
        return client;
    }
    accepted = kin_accept(listener);
    if (accepted >= 0)
        kin_close(accepted);
    kin_close(client);
    kin_close(listener);
    return accepted < 0 ? accepted : 0;
}

TEST(whatever_fails_at_a_path_nothing_is_left_open)
{
    static const char *const site[] = { "socket", "stat", "lstat", "claim", "bind", "listen",
                                        "fchmod", "chmod", "unlink" };
    make_directory();
    CHECK_CODE(kin_run(listen_once, NULL), 0);
    for (size_t i = 0; i < sizeof site / sizeof *site; i++)
        CHECK(sweep_site(site[i], EMFILE, listen_once, NULL) > 0);
    CHECK_INT(sweep_site("connect", EMFILE, listen_once, NULL), 2);
    sweep_site("accept", EMFILE, listen_once, NULL);    /* on uring the kernel makes the call */
    sweep_cancels(listen_once, NULL);
    sweep_memory(listen_once, NULL);
    remove_directory();
}

static int listen_at_text(void *arg)
{
    int listener = kin_listen_on("127.0.0.1", "0", .reuse_port = true);

    (void)arg;
    return listener < 0 ? listener : kin_close(listener);
}

TEST(whatever_fails_at_an_address_nothing_is_left_open)
{
    CHECK_INT(sweep_site("getaddrinfo", ENOMEM, listen_at_text, NULL), 1);
    CHECK_INT(sweep_site("socket", ENFILE, listen_at_text, NULL), 1);
    CHECK_INT(sweep_site("setsockopt", ENOPROTOOPT, listen_at_text, NULL), 2);
    CHECK_INT(sweep_site("bind", EACCES, listen_at_text, NULL), 1);
    CHECK_INT(sweep_site("listen", EADDRINUSE, listen_at_text, NULL), 1);
}

IO_TEST(a_path_that_others_claim_is_in_use)
{
    make_directory();
    fail_next("claim", EADDRINUSE, 1);
    CHECK_CODE(kin_listen_unix(path), -EADDRINUSE);
    CHECK_INT(access(path, F_OK), -1);
    remove_directory();
}

/* A connection that finds no descriptor waits until there is one. */
IO_TEST(a_lack_of_descriptors_passes)
{
    kin_address address = loopback(AF_INET);
    int listener = kin_listen_at(&address), client = connect_to(AF_INET, port_of(listener));

    fail_next("accept", EMFILE, 2);
    CHECK_CODE(kin_accept(listener), -EMFILE);
    CHECK_CODE(kin_accept(listener), -EMFILE);
    serves(listener, client);
    CHECK_CODE(kin_close(listener), 0);
}
