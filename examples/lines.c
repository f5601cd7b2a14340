/* A server that keeps numbers by name, and its client, over a pair of sockets: lines in
 * both directions. Each end is a stream; writes wait in its buffer until they are flushed.
 *
 * Prints:
 *     > set apples 3
 *     < ok
 *     > get apples
 *     < 3
 *     > get pears
 *     < what is pears?
 *     > set pears many
 *     < what is many?
 *     server: 4 requests
 */
#include <errno.h>
#include <kin.h>
#include <kin_io.h>
#include <string.h>
#include <sys/socket.h>

struct entry {
    char name[16];
    int value;
};

/* One request; the answer goes into the stream's buffer. */
static int answer(kin_stream *s, const char *line, struct entry *entry)
{
    struct entry given;
    char name[16], value[16];

    if (sscanf(line, "get %15s", name) == 1)
        return strcmp(name, entry->name) == 0 ? kin_stream_printf(s, "%d\n", entry->value)
                                              : kin_stream_printf(s, "what is %s?\n", name);
    if (sscanf(line, "set %15s %d", given.name, &given.value) == 2) {
        *entry = given;
        return kin_stream_printf(s, "ok\n");
    }
    if (sscanf(line, "set %15s %15s", name, value) == 2)
        return kin_stream_printf(s, "what is %s?\n", value);
    return kin_stream_printf(s, "what?\n");
}

static int serve(void *arg)
{
    struct entry entry = { .name = "" };
    int rc, closed, requests = 0;
    kin_stream s;
    char *line;

    kin_stream_open(&s, *(int *)arg, .most = 80);       /* a longer line ends it: -EMSGSIZE */
    while ((rc = kin_stream_read_line(&s, &line, NULL)) > 0) {
        requests++;
        rc = answer(&s, line, &entry);
        if (rc == 0)
            rc = kin_stream_flush(&s);
        if (rc < 0)
            break;
    }
    printf("server: %d requests\n", requests);
    closed = kin_stream_close(&s);
    return rc < 0 ? rc : closed;
}

static int ask(kin_stream *s, const char *request)
{
    char *line;
    int rc = kin_stream_printf(s, "%s\n", request);

    if (rc == 0)
        rc = kin_stream_flush(s);
    if (rc == 0)
        rc = kin_stream_read_line(s, &line, NULL);
    if (rc > 0)
        printf("> %s\n< %s\n", request, line);
    return rc == 0 ? KIN_EEOF : rc;                     /* it hung up */
}

static int client(void *arg)
{
    static const char *const requests[] = { "set apples 3", "get apples", "get pears",
                                            "set pears many" };
    int rc = 1, closed;
    kin_stream s;

    kin_stream_open(&s, *(int *)arg);
    for (size_t i = 0; rc > 0 && i < sizeof requests / sizeof requests[0]; i++)
        rc = ask(&s, requests[i]);
    closed = kin_stream_close(&s);
    return rc < 0 ? rc : closed;
}

static int run(void *arg)
{
    int fds[2], rc;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return kin_fail(-errno, "no sockets");
    KIN_GROUP(rc, g, .timeout = KIN_S(5)) {
        kin_spawn(&g, serve, &fds[0], .name = "server");
        kin_spawn(&g, client, &fds[1], .name = "client");
    }
    return rc;
}

int main(void)
{
    return kin_main(run, NULL);
}
