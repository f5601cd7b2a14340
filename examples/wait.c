/* Waiting for some of a set, two seconds at most each time: what is done is handled, by
 * name; of what is pending then, one is cancelled and one kept.
 *
 * Prints:
 *     thumbnail is ok
 *     nothing new in two seconds
 *     transcode is cancelled
 *     upload is ok
 */
#include <kin.h>

struct job {
    const char *name;
    int64_t time;
    kin_task task;
};

/* Stands for work that takes its time. */
static int work(void *arg)
{
    const struct job *job = arg;

    return kin_sleep(job->time);
}

/* Tells who has ended, and forgets them; how many are left. */
static size_t tell_ended(struct job *job, kin_task **pending)
{
    size_t left = 0;

    for (int i = 0; i < 3; i++) {
        if (job[i].name && job[i].task.status == KIN_PENDING) {
            pending[left++] = &job[i].task;
        } else if (job[i].name) {
            printf("%s is %s\n", job[i].name, kin_status_name(job[i].task.status));
            job[i].name = NULL;
        }
    }
    return left;
}

static int wait_patiently(struct job *job)
{
    kin_task *pending[3] = { &job[0].task, &job[1].task, &job[2].task };
    int rc = 0;

    for (size_t left = 3; left > 0 && rc >= 0; left = tell_ended(job, pending)) {
        kin_scope s = kin_scope_open(.timeout = KIN_S(2));

        rc = kin_scope_close(&s, kin_wait_tasks(pending, left, KIN_FIRST_COMPLETED));
        if (rc == KIN_ETIMEDOUT) {          /* by this scope's limit: the tasks run on */
            printf("nothing new in two seconds\n");
            rc = kin_cancel(&job[1].task, "takes too long");
        }
    }
    return rc;
}

static int run(void *arg)
{
    struct job job[3] = { { .name = "thumbnail", .time = KIN_S(1) },
                          { .name = "transcode", .time = KIN_S(60) },
                          { .name = "upload", .time = KIN_S(4) } };
    kin_group g = kin_group_open(.name = "jobs");

    (void)arg;
    for (int i = 0; i < 3; i++)
        kin_spawn(&g, work, &job[i], .task = &job[i].task, .name = job[i].name);
    return kin_group_close(&g, wait_patiently(job));
}

int main(void)
{
    return kin_main(run, NULL, .virtual_clock = true);       /* seconds, at once */
}
