/* A value that all code inside a scope can ask for, and all tasks of the groups opened
 * there: the request that a line of the log belongs to.
 *
 * Prints:
 *     [no request] started
 *     [request 1] asks the database
 *     [request 2] asks the database
 *     [request 1] answered
 *     [request 2] answered
 *     [no request] stopped
 */
#include <kin.h>

static const char request_key;      /* the key is its address */

static void say(const char *text)
{
    const char *request = kin_local_get(&request_key);

    printf("[%s] %s\n", request ? request : "no request", text);
}

/* Knows nothing of requests; its log does. */
static int ask_database(void *arg)
{
    (void)arg;
    say("asks the database");
    return kin_yield();
}

static int serve(void *arg)
{
    kin_local request = { .key = &request_key, .value = arg };
    kin_scope s = kin_scope_open(.local = &request);
    kin_group g = kin_group_open(.name = "queries");
    int rc;

    kin_spawn(&g, ask_database, NULL, .name = "query");
    rc = kin_group_close(&g, 0);
    if (rc == 0)
        say("answered");
    return kin_scope_close(&s, rc);
}

static int run(void *arg)
{
    char first[] = "request 1", second[] = "request 2";
    kin_group g = kin_group_open(.name = "server");
    int rc;

    (void)arg;
    say("started");
    kin_spawn(&g, serve, first, .name = first);
    kin_spawn(&g, serve, second, .name = second);
    rc = kin_group_close(&g, 0);
    say("stopped");
    return rc;
}

int main(void)
{
    return kin_main(run, NULL);
}
