/* A task cannot be forgotten: it has no life outside of its group. What can still be done
 * wrong is found and named: a group that is never closed, one that is used after its end,
 * and errors that nobody can reach any more.
 *
 * Prints:
 *     reported: misuse in forgetful: ended with a group open: forgotten, leak.c:28
 *     worker: cancelled (leaving)
 *     reported: lost error (left by abandonment): reader: this is not for us (EACCES, leak.c:37)
 *     spawning afterwards: the group, scope or task has already ended
 *     reported: misuse in main: a group closed that is not open
 *     closing twice: the group, scope or task has already ended
 */
#include <errno.h>
#include <kin.h>

static int wait_for_ever(void *arg)
{
    int rc = kin_sleep(KIN_FOREVER);
    const kin_reason *why = kin_cancelled();

    (void)arg;
    printf("%s: cancelled (%s)\n", kin_task_name(), why ? kin_reason_name(why->kind) : "?");
    return rc;
}

static int forget(void *arg)
{
    kin_group g = kin_group_open(.name = "forgotten");

    (void)arg;
    return kin_spawn(&g, wait_for_ever, NULL, .name = "worker");    /* no close */
}

static int fail(void *arg)
{
    (void)arg;
    return kin_fail(-EACCES, "this is not for us");
}

/* Left by return: its tasks are cancelled and joined, but nobody looks at their errors. */
static int look_away(void *arg)
{
    kin_scoped_group g = kin_group_open(.name = "left", .policy = KIN_KEEP_GOING);

    (void)arg;
    kin_spawn(&g, fail, NULL, .name = "reader");
    return kin_yield();
}

static int run(void *arg)
{
    kin_group g = kin_group_open(.name = "careless");
    int rc;

    (void)arg;
    kin_spawn(&g, forget, NULL, .name = "forgetful");
    kin_spawn(&g, look_away, NULL, .name = "careless");
    rc = kin_group_close(&g, 0);
    printf("spawning afterwards: %s\n", kin_code_text(kin_spawn(&g, fail, NULL)));
    printf("closing twice: %s\n", kin_code_text(kin_group_close(&g, 0)));
    return rc;
}

static void print_report(const char *line, void *arg)
{
    (void)arg;
    printf("reported: %s\n", line);
}

int main(void)
{
    return kin_main(run, NULL, .on_report = print_report);
}
