/* A lock held for a block, a condition, a barrier, and a thing done once. A waiter that is
 * cancelled leaves each of them as if it had never come.
 *
 * Prints:
 *     logged in
 *     phase 1: all 3 are there
 *     phase 2: all 3 are there
 *     all have worked: 60 saved
 */
#include <kin.h>

struct bank {
    kin_once logged_in;
    kin_barrier phase;
    kin_mutex mutex;
    kin_condition done;
    int working;
    int saved;              /* under the mutex */
};

static int log_in(void *arg)
{
    int rc = kin_sleep(KIN_MS(100));    /* stands for doing so; the others wait */

    (void)arg;
    if (rc == 0)
        printf("logged in\n");
    return rc;
}

static int deposit(struct bank *bank, int amount)
{
    int rc, saved;

    KIN_LOCKED(rc, &bank->mutex) {      /* unlocked however the block is left */
        saved = bank->saved;
        rc = kin_sleep(KIN_MS(10));     /* meanwhile nobody else gets in */
        if (rc == 0)
            bank->saved = saved + amount;
    }
    return rc;
}

static int work(void *arg)
{
    struct bank *bank = arg;
    int rc = kin_once_run(&bank->logged_in, log_in, NULL);

    for (int phase = 1; phase <= 2 && rc == 0; phase++) {
        rc = kin_barrier_wait(&bank->phase);
        if (rc == 2)                    /* the last to come */
            printf("phase %d: all %d are there\n", phase, rc + 1);
        if (rc >= 0)
            rc = deposit(bank, 10);
    }
    if (rc < 0)
        kin_barrier_break(&bank->phase);    /* nobody shall wait for us */
    bank->working--;
    kin_condition_notify_all(&bank->done);
    return rc;
}

static int count_savings(void *arg)
{
    struct bank *bank = arg;
    int rc;

    KIN_LOCKED(rc, &bank->mutex) {
        while (rc == 0 && bank->working > 0)
            rc = kin_condition_wait(&bank->done, &bank->mutex);
        if (rc == 0)
            printf("all have worked: %d saved\n", bank->saved);
    }
    return rc;
}

static int run(void *arg)
{
    struct bank bank = { .phase = { .parties = 3 }, .working = 3 };
    kin_group g = kin_group_open(.name = "bank");

    (void)arg;
    kin_spawn(&g, count_savings, &bank, .name = "saver");
    for (int i = 0; i < 3; i++)
        kin_spawn(&g, work, &bank, .name = "worker", .index = i + 1);
    return kin_group_close(&g, 0);
}

int main(void)
{
    return kin_main(run, NULL, .virtual_clock = true);
}
