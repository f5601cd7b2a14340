/* A cancellation stays: every later call that waits fails, too, so none can be missed by
 * accident. A task sees why, puts things right behind a shield, and passes the code on.
 *
 * Prints:
 *     stubborn: try 1: cancelled
 *     stubborn: try 2: cancelled
 *     stubborn: try 3: cancelled
 *     careful: main: the user has closed the window
 *     hasty: done all the same
 *     careful: 2 steps saved
 *     stubborn: cancelled
 *     careful: cancelled
 *     hasty: ok
 */
#include <kin.h>

/* Takes the cancellation for a hiccup, and tries again. It gets nowhere. */
static int stubborn(void *arg)
{
    int rc = 0;

    (void)arg;
    for (int try = 1; try <= 3; try++) {
        rc = kin_sleep(KIN_S(60));
        printf("stubborn: try %d: %s\n", try, rc < 0 ? kin_code_text(rc) : "ok");
    }
    return rc;
}

static int save(int steps)
{
    int rc = kin_sleep(KIN_MS(100));    /* stands for writing it down */

    if (rc == 0)
        printf("careful: %d steps saved\n", steps);
    return rc;
}

/* What a well-behaved task does. */
static int careful(void *arg)
{
    int rc = 0, saved, steps = 0;
    const kin_reason *why;
    kin_scope s;

    (void)arg;
    while ((rc = kin_sleep(KIN_MS(400))) == 0)      /* stands for a step of its work */
        steps++;
    why = kin_cancelled();
    if (why)
        printf("careful: %s: %s\n", why->name, why->message);
    s = kin_scope_open(.name = "save", .shield = KIN_S(1));
    saved = kin_scope_close(&s, save(steps));
    return saved < 0 ? saved : rc;
}

/* A result in spite of a cancellation is a result. */
static int hasty(void *arg)
{
    (void)arg;
    if (kin_sleep(KIN_S(2)) < 0)
        printf("hasty: done all the same\n");
    return 0;
}

static int run(void *arg)
{
    kin_task task[3];
    kin_group g = kin_group_open(.name = "window");
    int rc;

    (void)arg;
    kin_spawn(&g, stubborn, NULL, .task = &task[0], .name = "stubborn");
    kin_spawn(&g, careful, NULL, .task = &task[1], .name = "careful");
    kin_spawn(&g, hasty, NULL, .task = &task[2], .name = "hasty");
    rc = kin_sleep(KIN_S(1));
    kin_cancel(&g, "the user has closed the window");
    rc = kin_group_close(&g, rc);
    printf("stubborn: %s\n", kin_status_name(task[0].status));
    printf("careful: %s\n", kin_status_name(task[1].status));
    printf("hasty: %s\n", kin_status_name(task[2].status));
    return rc;
}

int main(void)
{
    return kin_main(run, NULL, .virtual_clock = true);       /* seconds, at once */
}
