/* An echo server. On SIGTERM it takes nobody new, sends home at once who is idle, and lets
 * those that are in the middle of something finish for five seconds.
 *
 *     server [PORT]
 *
 * Prints the port, and at the end how many there were:
 *
 *     port 7777
 *     3 connections, 0 failed, 1 cut off
 */
#include <kin.h>
#include <kin_io.h>
#include <kin_os.h>

static int echo(int fd, void *arg)
{
    char text[4096];
    ssize_t n;
    int rc;

    (void)arg;
    while ((rc = kin_serve_idle(fd)) > 0) {     /* 0: the server is to end */
        n = kin_read(fd, text, sizeof text);
        if (n <= 0)
            return (int)n;
        rc = kin_write_all(fd, text, (size_t)n, NULL);
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int listen_on(const char *port)
{
    kin_address address;
    int fd = kin_listen_on("127.0.0.1", port);

    if (fd < 0)
        return kin_fail(fd, "port %s", port);
    kin_local_address(fd, &address);
    printf("port %d\n", ntohs(address.v4.sin_port));
    fflush(stdout);
    return fd;
}

static int serve(void *arg)
{
    struct kin_serve_counts counts;
    int rc, fd = listen_on(arg);

    if (fd < 0)
        return fd;
    rc = kin_end_on_signals();
    if (rc < 0)
        return rc;
    rc = kin_serve(fd, echo, NULL, .limit = 10000, .drain = KIN_S(5), .counts = &counts);
    printf("%llu connections, %llu failed, %llu cut off\n", (unsigned long long)counts.accepted,
           (unsigned long long)counts.failed, (unsigned long long)counts.cut);
    return rc == KIN_ECANCELED ? 0 : rc;        /* as it was meant to end */
}

int main(int argc, char **argv)
{
    return kin_main(serve, argc > 1 ? argv[1] : "0");
}
