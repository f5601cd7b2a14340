/* Five ways to end, told apart without guessing: ok, failed, timed out, cancelled, skipped.
 *
 * Prints:
 *     quick: ok, 42 rows
 *     broken: failed: Permission denied
 *     slow: timed out
 *     unwanted: cancelled by main: no longer needed
 *     late: never began
 */
#include <errno.h>
#include <kin.h>

struct query {
    const char *name;
    int64_t time, limit;
    int result;
};

/* Stands for a query that takes its time; a task gets a copy. */
static int ask(void *arg)
{
    const struct query *query = arg;
    int rc = kin_sleep(query->time);

    return rc < 0 ? rc : query->result;
}

static void tell(const char *name, const kin_task *task)
{
    printf("%s: ", name);
    switch (task->status) {
    case KIN_OK:
        printf("ok, %d rows\n", task->code);
        break;
    case KIN_FAILED:
        printf("failed: %s\n", kin_code_text(task->code));
        break;
    case KIN_TIMED_OUT:         /* by its own limit, and nobody else's */
        printf("timed out\n");
        break;
    case KIN_CANCELLED:
        printf("cancelled by %s: %s\n", task->reason.name, task->reason.message);
        break;
    case KIN_SKIPPED:
        printf("never began\n");
        break;
    case KIN_REFUSED:
        printf("could not be spawned: %s\n", kin_code_text(task->code));
        break;
    case KIN_PENDING:
        printf("still runs\n");
        break;
    }
}

static int ask_all(void *arg)
{
    struct query query[5] = { { "quick", KIN_S(1), 0, 42 }, { "broken", KIN_S(2), 0, -EACCES },
                              { "slow", KIN_S(60), KIN_S(3), 0 }, { "unwanted", KIN_S(60), 0, 0 },
                              { "late", KIN_S(60), 0, 0 } };
    kin_task task[5];
    kin_group g = kin_group_open(.name = "queries", .policy = KIN_KEEP_GOING);
    int rc;

    (void)arg;
    for (int i = 0; i < 5; i++)
        kin_spawn(&g, ask, &query[i], .copy = sizeof query[i], .skip_cancelled = true,
                  .task = &task[i], .name = query[i].name, .timeout = query[i].limit);
    kin_cancel(&task[4], "no longer needed");       /* before it has begun */
    rc = kin_sleep(KIN_S(1));
    kin_cancel(&task[3], "no longer needed");       /* in the middle of it */
    rc = kin_group_close(&g, rc);
    for (int i = 0; i < 5; i++)
        tell(query[i].name, &task[i]);
    return rc;
}

int main(void)
{
    return kin_run(ask_all, NULL, .virtual_clock = true) != -EACCES;    /* seconds, at once */
}
