/* A limit around one call inside a task, and the group's own cancellation: neither is ever
 * taken for the other. A download tries again when a try takes too long; when it is
 * cancelled, it does not.
 *
 * Prints:
 *     small: try 1: ok
 *     large: try 1: timed out
 *     large: try 2: cancelled
 *     small: ok
 *     large: cancelled
 *     group: ok
 */
#include <kin.h>

struct file {
    const char *name;
    int64_t time;
};

/* Stands for a download that takes its time. */
static int load(void *arg)
{
    const struct file *file = arg;

    return kin_sleep(file->time);
}

static int load_patiently(void *arg)
{
    struct file *file = arg;
    int rc = KIN_ETIMEDOUT;

    for (int try = 1; try <= 3 && rc == KIN_ETIMEDOUT; try++) {
        rc = kin_within(KIN_S(1), load, file);      /* timed out: this limit, no other */
        printf("%s: try %d: %s\n", file->name, try, rc < 0 ? kin_code_text(rc) : "ok");
    }
    return rc;
}

static int load_all(void *arg)
{
    struct file small = { "small", KIN_MS(500) }, large = { "large", KIN_S(60) };
    kin_task task[2];
    kin_group g = kin_group_open(.name = "files");
    int rc;

    (void)arg;
    kin_spawn(&g, load_patiently, &small, .task = &task[0], .name = small.name);
    kin_spawn(&g, load_patiently, &large, .task = &task[1], .name = large.name);
    rc = kin_sleep(KIN_MS(1500));
    if (rc == 0)
        kin_cancel(&g, "no longer needed");         /* in the middle of the second try */
    rc = kin_group_close(&g, rc);
    printf("small: %s\n", kin_status_name(task[0].status));
    printf("large: %s\n", kin_status_name(task[1].status));
    printf("group: %s\n", rc < 0 ? kin_code_text(rc) : "ok");
    return rc;
}

int main(void)
{
    return kin_main(load_all, NULL, .virtual_clock = true);      /* seconds, at once */
}
