/* Who waits for what: asked for while the program runs, and told unasked when everybody
 * waits for somebody else.
 *
 * Prints:
 *     main  running  look.c:77
 *       group table (2 live)  look.c:56
 *         Plato  waits for: sleep, for 1.000 s more  look.c:60
 *         Kant  waits for: sleep, for 1.000 s more  look.c:61
 *     reported: deadlock: every task waits for another one
 *     reported: main  waits for: join, 2 tasks to end  look.c:77
 *     reported:   group table (2 live)  look.c:56
 *     reported:     Plato  waits for: mutex, 0x… held by Kant  look.c:60
 *     reported:     Kant  waits for: mutex, 0x… held by Plato  look.c:61
 *     dinner: cancelled
 */
#include <kin.h>

struct forks {
    kin_mutex left, right;
};

static int think_and_eat(kin_mutex *first, kin_mutex *second)
{
    int rc = kin_sleep(KIN_S(2));   /* thinking */

    if (rc == 0)
        rc = kin_mutex_lock(first);
    if (rc < 0)
        return rc;
    rc = kin_sleep(KIN_MS(1));      /* the other takes his first */
    if (rc == 0)
        rc = kin_mutex_lock(second);
    if (rc == 0)
        kin_mutex_unlock(second);
    kin_mutex_unlock(first);
    return rc;
}

static int plato(void *arg)
{
    struct forks *forks = arg;

    return think_and_eat(&forks->left, &forks->right);
}

static int kant(void *arg)
{
    struct forks *forks = arg;

    return think_and_eat(&forks->right, &forks->left);
}

static int dine(void *arg)
{
    struct forks forks = { 0 };
    kin_group g = kin_group_open(.name = "table");
    int rc;

    (void)arg;
    kin_spawn(&g, plato, &forks, .name = "Plato");
    kin_spawn(&g, kant, &forks, .name = "Kant");
    rc = kin_sleep(KIN_S(1));
    kin_dump(stdout);
    rc = kin_group_close(&g, rc);
    printf("dinner: %s\n", kin_code_text(rc));
    return rc;
}

static void print_report(const char *line, void *arg)
{
    (void)arg;
    printf("reported: %s\n", line);
}

int main(void)
{
    return kin_run(dine, NULL, .virtual_clock = true, .on_report = print_report) != KIN_ECANCELED;
}
