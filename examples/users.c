/* Four users; the third may take three seconds at most, then its default stands; the
 * others go on.
 *
 * Prints:
 *     ok: user_1
 *     ok: user_2
 *     timed_out: timeout
 *     ok: user_4
 */
#include <kin.h>

struct user {
    int id;
    const char *name;
    char buffer[16];
};

/* Stands for a request that takes its time; the third takes far too long. */
static int fetch_user(void *arg)
{
    struct user *user = arg;
    int rc = kin_sleep(user->id == 3 ? KIN_S(60) : KIN_MS(10 * user->id));

    if (rc < 0)
        return rc;
    snprintf(user->buffer, sizeof user->buffer, "user_%d", user->id);
    user->name = user->buffer;      /* the result is published last: a default stays */
    return 0;
}

static int fetch_all(void *arg)
{
    struct user user[4] = { { 1, "?", "" }, { 2, "?", "" }, { 3, "timeout", "" }, { 4, "?", "" } };
    kin_task task[4];
    kin_group g = kin_group_open(.name = "users", .policy = KIN_KEEP_GOING);

    (void)arg;
    for (int i = 0; i < 4; i++)
        kin_spawn(&g, fetch_user, &user[i], .task = &task[i], .name = "user", .index = i + 1,
                  .timeout = i == 2 ? KIN_S(3) : KIN_FOREVER, .optional = true);
    kin_group_close(&g, 0);
    for (int i = 0; i < 4; i++)
        printf("%s: %s\n", kin_status_name(task[i].status), user[i].name);
    return 0;
}

int main(void)
{
    return kin_main(fetch_all, NULL, .virtual_clock = true);     /* three seconds, at once */
}
