/* Tasks come and go while the group is open: any of them may spawn more, and one alone can
 * be cancelled by its handle. A group can refuse the latter, but says so.
 *
 * Prints:
 *     15 directories read
 *     first: cancelled, second: ok
 *     kept whole: KIN_EBUSY, first: ok, second: ok
 */
#include <kin.h>

struct directory {
    kin_group *group;
    int depth;
    int *read;
};

/* Stands for reading a directory; down to the third level there are two in each. */
static int read_directory(void *arg)
{
    const struct directory *here = arg;
    struct directory below = { here->group, here->depth + 1, here->read };

    ++*here->read;
    for (int i = 0; here->depth < 3 && i < 2; i++)      /* close waits for the newcomers */
        kin_spawn(here->group, read_directory, &below, .copy = sizeof below);
    return 0;
}

static int read_tree(void)
{
    int read = 0, rc;
    kin_group g = kin_group_open(.name = "tree", .limit = 4);
    struct directory top = { &g, 0, &read };

    kin_spawn(&g, read_directory, &top);
    rc = kin_group_close(&g, 0);
    printf("%d directories read\n", read);
    return rc;
}

static int listen_for_a_second(void *arg)
{
    (void)arg;
    return kin_sleep(KIN_S(1));
}

static int cancel_one(bool keep_whole)
{
    kin_task first, second;
    kin_group g = kin_group_open(.name = "listeners", .keep_whole = keep_whole);
    int refused, rc;

    kin_spawn(&g, listen_for_a_second, NULL, .task = &first, .name = "first");
    kin_spawn(&g, listen_for_a_second, NULL, .task = &second, .name = "second");
    refused = kin_cancel(&first, "unsubscribed");
    rc = kin_group_close(&g, 0);
    if (refused)
        printf("kept whole: %s, ", kin_code_name(refused));
    printf("first: %s, second: %s\n", kin_status_name(first.status),
           kin_status_name(second.status));
    return rc;
}

static int run(void *arg)
{
    int rc = read_tree();

    (void)arg;
    if (rc == 0)
        rc = cancel_one(false);
    return rc < 0 ? rc : cancel_one(true);
}

int main(void)
{
    return kin_main(run, NULL, .virtual_clock = true);       /* seconds, at once */
}
