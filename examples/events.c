/* Tasks that talk: an event says that the server is there, a queue carries the requests, a
 * channel without room hands over one message at a time, and select waits for either.
 *
 * Prints:
 *     server is up
 *     served: GET /a
 *     served: GET /b
 *     served: GET /c
 *     told to stop: good night
 */
#include <kin.h>

struct server {
    kin_event up;
    void *slot[2];
    kin_queue requests;
    kin_queue control;          /* no slots: each put waits for its get */
};

static int serve(void *arg)
{
    struct server *server = arg;
    kin_case cases[2] = { { .queue = &server->requests }, { .queue = &server->control } };
    int rc;

    kin_event_set(&server->up);
    while ((rc = kin_select(cases, 2)) == 0 && cases[0].code == 0)
        printf("served: %s\n", (const char *)cases[0].item);
    if (rc == 1)
        printf("told to stop: %s\n", (const char *)cases[1].item);
    kin_queue_shutdown(&server->requests);      /* whatever happened: nobody shall wait for us */
    kin_queue_shutdown(&server->control);
    return rc;                                  /* 0: the client has shut the requests down */
}

static int ask(void *arg)
{
    static char request[3][8] = { "GET /a", "GET /b", "GET /c" };
    struct server *server = arg;
    int rc = kin_event_wait(&server->up);

    if (rc == 0)
        printf("server is up\n");
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = kin_queue_put(&server->requests, request[i]);      /* waits while it is full */
    if (rc == 0)
        rc = kin_queue_put(&server->control, "good night");
    kin_queue_shutdown(&server->requests);      /* nor for us */
    return rc;
}

static int run(void *arg)
{
    struct server server = { .requests = KIN_QUEUE(server.slot) };
    kin_group g = kin_group_open(.name = "talk");

    (void)arg;
    kin_spawn(&g, ask, &server, .name = "client");
    kin_spawn(&g, serve, &server, .name = "server");
    return kin_group_close(&g, 0);
}

int main(void)
{
    return kin_main(run, NULL);
}
