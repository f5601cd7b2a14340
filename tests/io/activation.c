/* Sockets that systemd has opened for the process: whose they are, which, and that they
 * become kin's own. */
#include "io_sweep.h"
#include "io_test.h"
#include "kin_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* As systemd would hand them over: from 3 on, inherited, in blocking mode. What the harness
 * has there is its output, which is 1 as well. */
static void put_at(int fd, int place)
{
    CHECK(fd >= 0);
    if (fd != place) {
        CHECK_INT(dup2(fd, place), place);
        close(fd);
    }
}

static int plain_listener(int family)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(family, SOCK_STREAM, 0);

    if (family == AF_INET)
        CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    else
        CHECK_INT(bind(fd, (struct sockaddr *)&(struct sockaddr_un){ .sun_family = AF_UNIX },
                       sizeof(sa_family_t)), 0);
    CHECK_INT(listen(fd, 5), 0);
    return fd;
}

static void say(const char *variable, long number)
{
    char text[32];

    snprintf(text, sizeof text, "%ld", number);
    setenv(variable, text, 1);
}

/* 3 and 5 are "http", 4 is "control", 6 has no name and is nothing for kin. */
static void activate(void)
{
    put_at(plain_listener(AF_INET), 3);
    put_at(plain_listener(AF_UNIX), 4);
    put_at(plain_listener(AF_INET), 5);
    put_at(open("/dev/null", O_RDWR), 6);
    say("LISTEN_PID", getpid());
    say("LISTEN_FDS", 4);
    setenv("LISTEN_FDNAMES", "http:control:http:", 1);
}

static void leave(void)
{
    for (int fd = 3; fd <= 6; fd++)
        close(fd);
}

static int accepts(int listener)
{
    struct call c = { .what = CALL_ACCEPT, .fd = listener };
    kin_group g = kin_group_open();
    kin_address address;
    int client;

    begin_call(&g, &c, NULL, true);
    CHECK_CODE(kin_local_address(listener, &address), 0);
    client = kin_connect(&address.any, address.length);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(client >= 0 && c.result >= 0);
    CHECK_CODE(kin_close(client), 0);
    return (int)c.result;
}

static int look_for_names(void *arg)
{
    const int on = 0;
    int fds[4] = { -1, -1, -1, -1 }, accepted, nodelay = 0;
    socklen_t size = sizeof on;

    (void)arg;
    CHECK_INT(kin_activated("nothing", fds, 4), 0);
    CHECK_INT(kin_activated("htt", fds, 4), 0);
    CHECK_INT(kin_activated("http", fds, 1), 2);        /* there are more than were wanted */
    CHECK_INT(fds[0], 3);
    CHECK_INT(fds[1], -1);
    CHECK(fcntl(3, F_GETFL) & O_NONBLOCK);
    CHECK(!(fcntl(4, F_GETFL) & O_NONBLOCK));           /* nobody has asked for it */
    CHECK(!(fcntl(5, F_GETFL) & O_NONBLOCK));
    for (int fd = 3; fd <= 6; fd++)
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);         /* no child shall have them */
    CHECK_INT(kin_activated("control", fds, 4), 1);
    CHECK_INT(fds[0], 4);
    CHECK_INT(kin_activated("http", fds, 4), 2);
    CHECK_INT(fds[0], 3);
    CHECK_INT(fds[1], 5);
    CHECK_INT(kin_activated("", fds, 4), 1);
    CHECK_INT(fds[0], 6);
    CHECK(!(fcntl(6, F_GETFL) & O_NONBLOCK));
    CHECK_INT(kin_activated(NULL, fds, 4), 4);
    for (int fd = 3; fd <= 6; fd++)
        CHECK_INT(fds[fd - 3], fd);
    accepted = accepts(3);
    CHECK_INT(getsockopt(accepted, IPPROTO_TCP, 1 /* TCP_NODELAY */, &nodelay, &size), 0);
    CHECK(nodelay);
    CHECK_CODE(kin_close(accepted), 0);
    CHECK_CODE(kin_close(accepts(4)), 0);
    return 0;
}

TEST(descriptors_are_found_by_name_and_become_kins_own)
{
    activate();
    CHECK_CODE(kin_run(look_for_names, NULL), 0);
    leave();
}

/* Somebody accepts already when it is asked for again. */
static int ask_while_in_use(void *arg)
{
    struct call c = { .what = CALL_ACCEPT };
    kin_group g = kin_group_open();
    kin_task task;
    int fds[2];

    (void)arg;
    CHECK_INT(kin_activated("http", fds, 2), 2);
    c.fd = fds[0];
    begin_call(&g, &c, &task, true);
    CHECK_INT(kin_activated("http", fds, 2), 2);
    CHECK_INT(task.status, KIN_PENDING);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    return kin_group_close(&g, 0);
}

TEST(asking_again_disturbs_nobody)
{
    activate();
    CHECK_CODE(kin_run(ask_while_in_use, NULL), 0);
    leave();
}

static int count_all(void *arg)
{
    int fds[4];

    (void)arg;
    return kin_activated(NULL, fds, 4);
}

TEST(those_of_another_process_are_not_ours)
{
    static const char *const none[] = { "", "0", "-1", "1x", " 4", "99999999999999999999" };

    activate();
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        setenv("LISTEN_FDS", none[i], 1);
        CHECK_CODE(kin_run(count_all, NULL), 0);
    }
    say("LISTEN_FDS", 4);
    say("LISTEN_PID", getpid() + 1);
    CHECK_CODE(kin_run(count_all, NULL), 0);
    CHECK(!(fcntl(3, F_GETFD) & FD_CLOEXEC));
    unsetenv("LISTEN_PID");
    CHECK_CODE(kin_run(count_all, NULL), 0);
    say("LISTEN_PID", getpid());
    unsetenv("LISTEN_FDS");
    CHECK_CODE(kin_run(count_all, NULL), 0);
    say("LISTEN_FDS", 4);
    unsetenv("LISTEN_FDNAMES");
    CHECK_CODE(kin_run(count_all, NULL), 4);
    say("LISTEN_FDS", 60);              /* more than there are */
    CHECK_CODE(kin_run(count_all, NULL), -EBADF);
    leave();
}

/* A failure says so; what was taken over before it is kin's and stays. */
static int take_all(void *arg)
{
    int rc = count_all(arg);

    return rc == 4 ? 0 : rc;
}

TEST(whatever_fails_is_reported)
{
    activate();
    CHECK(sweep_site("fcntl", EBADF, take_all, NULL) >= 3 * 4);
    CHECK_INT(sweep_site("fstat", ENOMEM, take_all, NULL), 4);
    CHECK_INT(sweep_site("getsockopt", ENOMEM, take_all, NULL), 6);
    leave();
}
