/* Some functions in one call, and what became of each, in order: first all of them,
 * whatever happens to some; then the first failure cancels the rest, and waits for them.
 *
 * Prints:
 *     all the same:
 *       ok: user_1
 *       failed: no user has the number 2
 *       timed_out: timeout
 *       ok: user_4
 *     all or nothing:
 *       ok: user_1
 *       failed: no user has the number 2
 *       cancelled: timeout
 *       cancelled: ?
 */
#include <errno.h>
#include <kin.h>

struct user {
    int id;
    char name[16];
};

/* Stands for a request; the third takes far too long. */
static int fetch_user(void *arg)
{
    struct user *user = arg;
    int rc = kin_sleep(user->id == 3 ? KIN_S(60) : KIN_MS(100 * user->id));

    if (rc < 0)
        return rc;
    if (user->id == 2)
        return kin_fail(-ENOENT, "no user has the number %d", user->id);
    snprintf(user->name, sizeof user->name, "user_%d", user->id);
    return 0;
}

static void fetch_four(kin_policy policy)
{
    struct user user[4] = { { 1, "?" }, { 2, "?" }, { 3, "timeout" }, { 4, "?" } };
    kin_call call[4];

    for (int i = 0; i < 4; i++)
        call[i] = (kin_call){ fetch_user, &user[i], .name = "user", .index = i + 1 };
    call[2].timeout = KIN_S(3);         /* for this one alone; its default stands */
    call[2].optional = true;
    kin_gather(call, 4, .policy = policy);
    for (int i = 0; i < 4; i++) {
        const kin_error *error = kin_error_find(kin_error_last(),
                                                kin_match_task(&call[i].task));

        printf("  %s: %s\n", kin_status_name(call[i].task.status),
               error ? error->message : user[i].name);
    }
}

static int fetch_twice(void *arg)
{
    (void)arg;
    printf("all the same:\n");
    fetch_four(KIN_KEEP_GOING);
    printf("all or nothing:\n");
    fetch_four(KIN_ALL);
    return 0;
}

int main(void)
{
    return kin_main(fetch_twice, NULL, .virtual_clock = true);   /* seconds, at once */
}
