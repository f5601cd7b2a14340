/* The first mirror to answer wins; the others are cancelled, and have ended, too, when the
 * call returns. A mirror that fails loses nothing but its own chance.
 *
 * Prints:
 *     near: failed
 *     far: ok
 *     farther: cancelled
 *     far has it: "kin-0.1.tar.gz"
 */
#include <errno.h>
#include <kin.h>

struct mirror {
    const char *name;
    int64_t time;
    bool broken;
    char file[32];
};

/* Stands for a download that takes its time. */
static int download(void *arg)
{
    struct mirror *mirror = arg;
    int rc = kin_sleep(mirror->time);

    if (rc < 0)
        return rc;
    if (mirror->broken)
        return kin_fail(-ECONNRESET, "mirror %s hung up", mirror->name);
    snprintf(mirror->file, sizeof mirror->file, "kin-0.1.tar.gz");
    return 0;
}

static int first_of_three(void *arg)
{
    struct mirror mirror[3] = { { "near", KIN_MS(100), true, "" },
                                { "far", KIN_MS(300), false, "" },
                                { "farther", KIN_MS(500), false, "" } };
    kin_call call[3];
    int winner;

    (void)arg;
    for (int i = 0; i < 3; i++)
        call[i] = (kin_call){ download, &mirror[i], .name = mirror[i].name };
    winner = kin_race(call, 3, .timeout = KIN_S(5));
    for (int i = 0; i < 3; i++)
        printf("%s: %s\n", mirror[i].name, kin_status_name(call[i].task.status));
    if (winner < 0)
        return winner;          /* nobody: why the first of them failed, or timed out */
    printf("%s has it: \"%s\"\n", mirror[winner].name, mirror[winner].file);
    return 0;
}

int main(void)
{
    return kin_main(first_of_three, NULL, .virtual_clock = true);    /* at once */
}
