/* How far the run is: a status line for people, or JSON for programs.
 *
 * Both go to standard error, at most ten times a second and only when something
 * has changed; JSON once more at the end. The line is for a terminal, no longer
 * than the terminal is wide, and only while results do not go to one too: it would
 * be mixed with them. It is wiped before anything else is written, so nothing of
 * it is left in the end.
 */
#include "progress.h"
#include "json.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define INTERVAL KIN_MS(100)

static bool results_are_shown(const struct fetch *fetch)
{
    bool pages = fetch->demo == NULL && fetch->options->output == NULL;

    return (pages || fetch->options->json) && isatty(STDOUT_FILENO);
}

bool progress_wanted(const struct fetch *fetch)
{
    switch (fetch->options->progress) {
    case PROGRESS_JSON:
        return true;
    case PROGRESS_AUTO:
        return isatty(STDERR_FILENO) && !results_are_shown(fetch);
    case PROGRESS_NEVER:
        break;
    }
    return false;
}

/* How much of a line leaves the cursor on it. */
static size_t columns(void)
{
    struct winsize window;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) < 0 || window.ws_col == 0)
        return SIZE_MAX;
    return window.ws_col - 1u;
}

static int write_line(const struct fetch *fetch, struct out *out)
{
    const struct tally *tally = &fetch->tally;
    uint64_t ended = tally_ended(tally);
    uint64_t bad = tally->outcomes[OUTCOME_FAILED] + tally->outcomes[OUTCOME_TIMED_OUT];
    char line[160], total[32] = "";
    size_t wipe = strlen(TEXT_WIPE);

    if (fetch->list.total > 0)
        snprintf(total, sizeof total, " of %" PRIu64, fetch->list.total);
    snprintf(line, sizeof line, TEXT_WIPE "%" PRIu64 "%s done, %" PRIu64 " running, %" PRIu64
             " lost, %.1f s", ended, total, tally->running, bad,
             (double)(kin_now() - fetch->started_at) / 1e9);
    int rc = out_write(out, line, wipe + strnlen(line + wipe, columns()));
    return rc < 0 ? rc : out_flush(out);
}

static int write_json(const struct fetch *fetch, struct out *out)
{
    char *line = json_of_progress(fetch);
    if (line == NULL)
        return 0;               /* this one is left out */
    int rc = out_write(out, line, strlen(line));
    if (rc == 0)
        rc = out_write(out, "\n", 1);
    free(line);
    return rc < 0 ? rc : out_flush(out);
}

static int show_changes(struct fetch *fetch, struct out *out)
{
    bool json = fetch->options->progress == PROGRESS_JSON;
    uint64_t seen = UINT64_MAX;

    for (;;) {
        uint64_t now = fetch->list.next_index + tally_ended(&fetch->tally);
        int rc = 0;
        if (!json || now != seen)
            rc = json ? write_json(fetch, out) : write_line(fetch, out);
        seen = now;
        if (rc == 0)
            rc = kin_sleep(INTERVAL);
        if (rc < 0)
            return rc;
    }
}

int progress_show(void *arg)
{
    struct fetch *fetch = arg;
    struct out out;

    out_init(&out, STDERR_FILENO);
    int rc = show_changes(fetch, &out);
    if (fetch->options->progress == PROGRESS_AUTO)
        (void)!write(STDERR_FILENO, TEXT_WIPE, strlen(TEXT_WIPE));
    return rc == KIN_ECANCELED ? rc : 0;       /* nobody has to look */
}

void progress_end(const struct fetch *fetch)
{
    char *line = json_of_progress(fetch);

    if (line != NULL)
        fprintf(stderr, "%s\n", line);
    free(line);
}
