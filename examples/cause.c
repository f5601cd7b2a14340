/* An error that says what it means here, and what it came from: for a user "cannot start",
 * for who has to repair it the file, the line of the program and the code of the system.
 *
 * Prints:
 *     program: Invalid argument (EINVAL, cause.c:37)
 *       start: cannot start without its configuration (EINVAL, cause.c:32)
 *         caused by files: 2 of 2 tasks failed (ENOENT, cause.c:25)
 *           hosts.conf does not exist (ENOENT, cause.c:18)
 *           users.conf does not exist (ENOENT, cause.c:18)
 *     some file does not exist
 */
#include <errno.h>
#include <kin.h>

/* Stands for reading a file. */
static int read_file(void *arg)
{
    return kin_fail(-ENOENT, "%s does not exist", (const char *)arg);
}

/* The group's errors become the cause of what is said after its close. */
static int configure(void *arg)
{
    char hosts[] = "hosts.conf", users[] = "users.conf";
    kin_group g = kin_group_open(.name = "files", .policy = KIN_KEEP_GOING);
    int rc;

    (void)arg;
    kin_spawn(&g, read_file, hosts, .name = "hosts");
    kin_spawn(&g, read_file, users, .name = "users");
    rc = kin_group_close(&g, 0);
    return rc < 0 ? kin_fail(-EINVAL, "cannot start without its configuration") : 0;
}

static int start(void *arg)
{
    kin_group g = kin_group_open(.name = "program");
    const kin_error *error;

    (void)arg;
    kin_spawn(&g, configure, NULL, .name = "start");
    if (kin_group_close(&g, 0) == 0)
        return 0;
    kin_error_print(kin_error_last(), stdout);
    error = kin_error_find(kin_error_last(), kin_match_code(-EINVAL));
    if (error && kin_error_find(error->cause, kin_match_code(-ENOENT)))
        printf("some file does not exist\n");
    return 0;
}

int main(void)
{
    return kin_main(start, NULL);
}
