/* What must finish is protected for a while, not for ever. After a second everything is
 * cancelled. The first commit, which needs 200 ms, gets through; the second hangs, and
 * after half a second its shield is gone.
 *
 * Prints:
 *     quick: committed
 *     stuck: rolled back
 *     after 1.5 s: timed out
 */
#include <kin.h>

struct transfer {
    const char *name;
    int64_t commit_time;
};

/* Stands for the last step of a transaction, which should not be torn. */
static int commit(const struct transfer *transfer)
{
    return kin_sleep(transfer->commit_time);
}

static int transfer(void *arg)
{
    const struct transfer *t = arg;
    int rc = kin_sleep(KIN_MS(900));    /* stands for the work: may be cancelled at any time */
    kin_scope s;

    if (rc < 0)
        return rc;
    s = kin_scope_open(.name = "commit", .shield = KIN_MS(500));
    rc = kin_scope_close(&s, commit(t));    /* the half second begins with the cancellation */
    printf("%s: %s\n", t->name, rc < 0 ? "rolled back" : "committed");
    return rc;
}

static int run(void *arg)
{
    struct transfer quick = { "quick", KIN_MS(200) }, stuck = { "stuck", KIN_S(60) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.name = "transfers", .timeout = KIN_S(1));
    int rc;

    (void)arg;
    kin_spawn(&g, transfer, &quick, .name = quick.name);
    kin_spawn(&g, transfer, &stuck, .name = stuck.name);
    rc = kin_group_close(&g, 0);
    printf("after %.1f s: %s\n", (double)(kin_now() - start) / 1e9, kin_code_text(rc));
    return rc;
}

int main(void)
{
    return kin_run(run, NULL, .virtual_clock = true) != KIN_ETIMEDOUT;  /* seconds, at once */
}
