/* Datagrams get lost, so who asks has to ask again: a limit on the wait for each answer, and
 * so many attempts. The server answers whoever has sent a question; it is a service, which
 * ends when nobody is left to ask. Here it does not hear the first question.
 *
 * Prints:
 *     attempt 1: no answer
 *     attempt 2: 42
 */
#include <errno.h>
#include <kin.h>
#include <kin_io.h>
#include <stdlib.h>

struct server {
    int fd, deaf;       /* so many questions are lost */
    kin_address address;
};

static int answer(int fd, int number, const kin_address *to)
{
    char text[16];
    int size = snprintf(text, sizeof text, "%d", 6 * number);

    return (int)kin_send_to(fd, text, (size_t)size, to);
}

static int serve(void *arg)
{
    struct server *server = arg;
    char question[16];
    kin_address from;
    ssize_t n;

    for (;;) {
        n = kin_receive_from(server->fd, question, sizeof question - 1, &from, NULL);
        if (n < 0 && n != -EMSGSIZE)
            return (int)n;
        if (n < 0 || server->deaf-- > 0)
            continue;
        question[n] = '\0';
        n = answer(server->fd, atoi(question), &from);
        if (n < 0)
            return (int)n;
    }
}

/* KIN_ETIMEDOUT where none comes. */
static int ask_once(int fd, char *text, size_t size)
{
    kin_scope limit = kin_scope_open(.timeout = KIN_MS(250));
    ssize_t n = kin_send_to(fd, "7", 1, NULL);

    if (n > 0)
        n = kin_receive_from(fd, text, size, NULL, NULL);
    return kin_scope_close(&limit, (int)n);
}

static int ask(void *arg)
{
    const struct server *server = arg;
    char text[16];
    int rc = KIN_ETIMEDOUT, fd = kin_datagram_at(NULL, &server->address);

    if (fd < 0)
        return fd;
    for (int i = 1; i <= 3 && rc == KIN_ETIMEDOUT; i++) {
        rc = ask_once(fd, text, sizeof text);
        if (rc == KIN_ETIMEDOUT)
            printf("attempt %d: no answer\n", i);
        else if (rc >= 0)
            printf("attempt %d: %.*s\n", i, rc, text);
    }
    kin_close(fd);
    return rc == KIN_ETIMEDOUT ? kin_fail(-EHOSTUNREACH, "nobody answers") : rc;
}

static int run(void *arg)
{
    kin_address any = { .v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
                        .length = sizeof any.v4 };
    struct server server = { .fd = kin_datagram_at(&any, NULL), .deaf = 1 };
    kin_group g = kin_group_open(.name = "datagrams");
    int rc = server.fd < 0 ? server.fd : kin_local_address(server.fd, &server.address);

    (void)arg;
    if (rc == 0) {
        kin_spawn(&g, serve, &server, .name = "server", .service = true);
        kin_spawn(&g, ask, &server, .name = "client");
    }
    rc = kin_group_close(&g, rc);
    kin_close(server.fd);
    return rc;
}

int main(void)
{
    return kin_main(run, NULL);
}
