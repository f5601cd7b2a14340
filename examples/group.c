/* A group: in together, out together. One task fails; that cancels the others, and close
 * returns when all three have ended, with the code and the error of the one that failed.
 *
 * Prints:
 *     profile: ok
 *     prices: Permission denied
 *     orders: cancelled
 *     closed after 2 s
 *     page: 1 of 3 tasks failed (EACCES, group.c:39)
 *       prices: the list of prices cannot be read (EACCES, group.c:28)
 */
#include <errno.h>
#include <kin.h>

struct part {
    const char *name;
    int64_t time;
    bool broken;
};

/* Stands for a request that takes its time. */
static int load(void *arg)
{
    struct part *part = arg;
    int rc = kin_sleep(part->time);

    if (rc == 0 && part->broken)
        rc = kin_fail(-EACCES, "the list of prices cannot be read");
    printf("%s: %s\n", part->name, rc < 0 ? kin_code_text(rc) : "ok");
    return rc;
}

static int load_page(void *arg)
{
    struct part part[3] = {
        { "profile", KIN_S(1), false }, { "prices", KIN_S(2), true }, { "orders", KIN_S(3), false }
    };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.name = "page");
    int rc;

    (void)arg;
    for (int i = 0; i < 3; i++)
        kin_spawn(&g, load, &part[i], .name = part[i].name);    /* a refusal fails the group */
    rc = kin_group_close(&g, 0);    /* here nobody is left, whatever happened */
    printf("closed after %d s\n", (int)((kin_now() - start) / KIN_S(1)));
    kin_error_print(kin_error_last(), stdout);
    return rc;
}

int main(void)
{
    return kin_run(load_page, NULL, .virtual_clock = true) != -EACCES;     /* seconds, at once */
}
