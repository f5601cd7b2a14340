/* A server that is started says when it is ready, and on which port; only then does the
 * caller go on. One that fails before that fails the start, not the group.
 *
 * Prints:
 *     bad: port 80 is not for us (EACCES, ready.c:19)
 *     good: listens on port 8080
 *     good: stopped
 */
#include <errno.h>
#include <kin.h>

/* Stands for a server; port 80 is not for it. */
static int serve(void *arg)
{
    const int *port = arg;
    int rc = kin_sleep(KIN_MS(100));    /* stands for getting ready */

    if (rc == 0 && *port == 80)
        rc = kin_fail(-EACCES, "port %d is not for us", *port);
    if (rc == 0)
        rc = kin_ready(*port);
    if (rc == 0)
        rc = kin_sleep(KIN_FOREVER);    /* stands for serving */
    if (*port != 80)
        printf("%s: stopped\n", kin_task_name());
    return rc;
}

static int run(void *arg)
{
    int bad = 80, good = 8080, rc;
    kin_group g = kin_group_open(.name = "servers");

    (void)arg;
    rc = kin_start(&g, serve, &bad, .name = "bad");
    if (rc < 0)
        kin_error_print(kin_error_last(), stdout);
    rc = kin_start(&g, serve, &good, .name = "good");       /* waits until then */
    if (rc >= 0)
        printf("good: listens on port %d\n", rc);
    kin_cancel(&g, "all clients are gone");
    return kin_group_close(&g, rc);
}

int main(void)
{
    return kin_main(run, NULL, .virtual_clock = true);
}
