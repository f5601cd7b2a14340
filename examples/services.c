/* A server with two services beside its requests: a heartbeat, and a log rotation that
 * fails once and is started again. Whatever a service throws is logged. They end last,
 * when there is nobody left to serve.
 *
 * Prints:
 *     heartbeat: 0 served
 *     heartbeat: 1 served
 *     log: service rotation (services.c:69) failed: no room for the old log (ENOSPC); it is \
 *         started again in 100 ms
 *     heartbeat: 2 served
 *     heartbeat: 3 served
 *     log rotated
 *     heartbeat: 4 served
 *     all served: ok
 */
#include <errno.h>
#include <kin.h>

struct server {
    int served;
    bool full;      /* the disk, at first */
};

static int heartbeat(void *arg)
{
    const struct server *server = arg;
    int rc;

    do
        printf("heartbeat: %d served\n", server->served);
    while ((rc = kin_sleep(KIN_S(1))) == 0);
    return rc;
}

static int rotate(void *arg)
{
    struct server *server = arg;
    int rc;

    while ((rc = kin_sleep(KIN_MS(1600))) == 0) {
        if (server->full) {
            server->full = false;
            return kin_fail(-ENOSPC, "no room for the old log");
        }
        printf("log rotated\n");
    }
    return rc;
}

/* Stands for a request that takes its time. */
static int serve(void *arg)
{
    struct server *server = arg;
    int rc = kin_sleep(KIN_MS(900));

    if (rc == 0)
        server->served++;
    return rc;
}

static int run_server(void *arg)
{
    struct server server = { .full = true };
    kin_group g = kin_group_open(.name = "server", .limit = 1);     /* one after the other */
    int rc;

    (void)arg;
    kin_spawn(&g, heartbeat, &server, .name = "heartbeat", .service = true);
    kin_spawn(&g, rotate, &server, .name = "rotation", .service = true, .restart = true);
    for (int i = 0; i < 5; i++)
        kin_spawn(&g, serve, &server, .name = "request", .index = i + 1);
    rc = kin_group_close(&g, 0);
    printf("all served: %s\n", rc < 0 ? kin_code_text(rc) : "ok");
    return rc;
}

static void log_line(const char *line, void *arg)
{
    (void)arg;
    printf("log: %s\n", line);
}

int main(void)      /* seconds, at once */
{
    return kin_main(run_server, NULL, .virtual_clock = true, .on_report = log_line);
}
