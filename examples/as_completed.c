/* Results as they complete; when three are there, the rest is cancelled.
 *
 * Prints:
 *     europe answers: 17
 *     asia answers: 19
 *     america answers: 15
 *     africa: cancelled
 *     oceania: cancelled
 */
#include <kin.h>

struct region {
    kin_task task;              /* first, so that kin_next gives us the region */
    const char *name;
    int64_t time;
    int answer;
};

/* Stands for a request that takes its time. */
static int ask(void *arg)
{
    struct region *region = arg;
    int rc = kin_sleep(region->time);

    return rc < 0 ? rc : region->answer;
}

static int take_three(kin_group *g)
{
    kin_task *task;
    int rc = 1;

    for (int taken = 0; taken < 3 && (rc = kin_next(g, &task)) > 0; taken++)
        printf("%s answers: %d\n", ((struct region *)task)->name, task->code);
    kin_cancel(g, "three are enough");
    return rc;                  /* negative: we are cancelled ourselves */
}

static int ask_all(void *arg)
{
    struct region region[5] = {
        { .name = "africa", .time = KIN_S(9), .answer = 18 },
        { .name = "america", .time = KIN_S(3), .answer = 15 },
        { .name = "asia", .time = KIN_S(2), .answer = 19 },
        { .name = "europe", .time = KIN_S(1), .answer = 17 },
        { .name = "oceania", .time = KIN_S(8), .answer = 16 },
    };
    kin_group g = kin_group_open(.name = "regions", .collect = true);
    int rc;

    (void)arg;
    for (int i = 0; i < 5; i++)
        kin_spawn(&g, ask, &region[i], .task = &region[i].task, .name = region[i].name);
    rc = kin_group_close(&g, take_three(&g));
    for (int i = 0; i < 5; i++)
        if (region[i].task.status != KIN_OK)
            printf("%s: %s\n", region[i].name, kin_status_name(region[i].task.status));
    return rc;
}

int main(void)
{
    return kin_main(ask_all, NULL, .virtual_clock = true);       /* seconds, at once */
}
