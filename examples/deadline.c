/* A limit for a whole group: after three seconds everybody in it is cancelled, and close
 * says "timed out". What had been finished by then is kept.
 *
 * Prints:
 *     page 1: ok
 *     page 2: ok
 *     page 3: cancelled (deadline)
 *     page 4: cancelled (deadline)
 *     page 5: refused: timed out
 *     after 3.0 s: timed out
 */
#include <kin.h>

/* Stands for a page that takes a second longer than the one before. */
static int fetch(void *arg)
{
    const int *number = arg;

    return kin_sleep(*number * KIN_MS(1400));
}

static int fetch_all(void *arg)
{
    int page[5] = { 1, 2, 3, 4, 5 }, rc;
    kin_task task[5];
    int64_t start = kin_now();
    kin_group g = kin_group_open(.name = "pages", .limit = 2, .timeout = KIN_S(3));

    (void)arg;
    for (int i = 0; i < 5; i++)     /* waits for room; refused once the time is over */
        kin_spawn(&g, fetch, &page[i], .task = &task[i], .name = "page", .index = i + 1);
    rc = kin_group_close(&g, 0);
    for (int i = 0; i < 5; i++) {
        printf("page %d: %s", page[i], kin_status_name(task[i].status));
        if (task[i].status == KIN_CANCELLED)
            printf(" (%s)", kin_reason_name(task[i].reason.kind));
        if (task[i].status == KIN_REFUSED)
            printf(": %s", kin_code_text(task[i].code));
        printf("\n");
    }
    printf("after %.1f s: %s\n", (double)(kin_now() - start) / 1e9, kin_code_text(rc));
    return rc;
}

int main(void)
{
    return kin_run(fetch_all, NULL, .virtual_clock = true) != KIN_ETIMEDOUT;    /* at once */
}
