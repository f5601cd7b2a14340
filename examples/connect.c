/* Connecting where there are several addresses: the first to answer wins, those that refuse
 * cost nothing, and where all fail the error has each of them.
 *
 * Prints:
 *     127.0.0.1:80 is a number, unix:@mail the name of a socket
 *     the server said: welcome
 *     nobody: Connection refused
 *       unix:@kin-example-nobody: Connection refused
 *       unix:@kin-example-nobody-either: Connection refused
 */
#include <errno.h>
#include <kin_io.h>
#include <stdlib.h>

/* The first of the addresses that a name stands for. */
static int resolve_one(kin_address *address, const char *host, const char *service)
{
    kin_address *found;
    int count = kin_resolve(host, service, &found);

    if (count > 0)
        *address = found[0];
    free(found);
    return count < 0 ? count : 0;
}

static int print_addresses(void)
{
    kin_address number, name;
    char a[KIN_ADDRESS_TEXT], b[KIN_ADDRESS_TEXT];
    int rc = resolve_one(&number, "127.0.0.1", "80");

    if (rc == 0)
        rc = resolve_one(&name, "unix:@mail", NULL);
    if (rc == 0)
        printf("%s is a number, %s the name of a socket\n", kin_address_text(&number, a, sizeof a),
               kin_address_text(&name, b, sizeof b));
    return rc;
}

/* On a port that the system chooses, and the address says. */
static int listen_somewhere(kin_address *address)
{
    int fd;

    *address = (kin_address){ .v4 = { .sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
                              .length = sizeof address->v4 };
    fd = kin_listen(&address->any, address->length, 0);
    if (fd >= 0)
        getsockname(fd, &address->any, &address->length);
    return fd;
}

/* One guest; then nobody is listening any more. */
static int serve(void *arg)
{
    int listener = *(int *)arg, fd = kin_accept(listener), rc = fd;

    if (fd >= 0) {
        rc = kin_write_all(fd, "welcome", 7, NULL);
        kin_close(fd);
    }
    kin_close(listener);
    return rc;
}

static int visit(const kin_address *addresses, size_t count)
{
    char said[16];
    int fd = kin_connect_any(addresses, count);
    ssize_t n;

    if (fd < 0)
        return fd;
    n = kin_read(fd, said, sizeof said);
    kin_close(fd);
    if (n > 0)
        printf("the server said: %.*s\n", (int)n, said);
    return n < 0 ? (int)n : 0;
}

/* Nobody listens at the first address, the server at the second. */
static int connect_to_the_second(void)
{
    kin_address addresses[2];
    int rc = resolve_one(&addresses[0], "127.0.0.1", "1"), server;

    if (rc < 0)
        return rc;
    server = listen_somewhere(&addresses[1]);
    if (server < 0)
        return server;
    KIN_GROUP(rc, g, .name = "meeting") {
        if (kin_spawn(&g, serve, &server, .name = "server") < 0)
            kin_close(server);          /* refused, so it is still ours */
        rc = visit(addresses, 2);
    }
    return rc;
}

static int print_failure(const kin_error *error, void *arg)
{
    (void)arg;
    printf("  %s\n", error->message);
    return 0;
}

static int connect_to_nobody(void)
{
    kin_address addresses[2];
    int rc = resolve_one(&addresses[0], "unix:@kin-example-nobody", NULL);

    if (rc == 0)
        rc = resolve_one(&addresses[1], "unix:@kin-example-nobody-either", NULL);
    if (rc < 0)
        return rc;
    rc = kin_connect_any(addresses, 2);
    printf("nobody: %s\n", kin_code_text(rc));
    kin_error_walk(kin_error_last(), kin_match_all(), NULL, print_failure);
    return rc == -ECONNREFUSED ? 0 : rc;
}

static int example(void *arg)
{
    int rc = print_addresses();

    (void)arg;
    if (rc == 0)
        rc = connect_to_the_second();
    return rc < 0 ? rc : connect_to_nobody();
}

int main(void)
{
    return kin_main(example, NULL);
}
