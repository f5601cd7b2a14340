/* One item, from its start to its outcome.
 *
 * The item's limit is a scope around everything that is done for it: all of its
 * attempts and the pauses between them share it. So "-t 3s -r 5" means three
 * seconds, not eighteen, and the limit starts with the item and not in the
 * queue, since there is no task before there is a place for it.
 *
 * Whatever went wrong is a code and a message; end_item() alone turns them into
 * an outcome, by asking the scopes: timed out is what its own limit ended,
 * cancelled is what something else ended, and a transfer that was complete before
 * anybody cancelled it stays ok. With --first only one does: the group hears of the
 * winner at the end of its task, and others may be complete in the same turn.
 */
#include "item.h"
#include "attempt.h"
#include "duration.h"
#include "fetch.h"
#include "kin_http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

const char *outcome_json(enum outcome outcome)
{
    static const char *const names[] = {
#define OUTCOME_(name, json, text) json,
        OUTCOMES(OUTCOME_)
#undef OUTCOME_
    };
    return names[outcome];
}

const char *outcome_text(enum outcome outcome)
{
    static const char *const names[] = {
#define OUTCOME_(name, json, text) text,
        OUTCOMES(OUTCOME_)
#undef OUTCOME_
    };
    return names[outcome];
}

struct item *item_new(struct fetch *fetch, uint64_t index, char *text, size_t length)
{
    struct item *item = calloc(1, sizeof *item);

    if (item == NULL) {
        free(text);
        return NULL;
    }
    item->fetch = fetch;
    item->index = index;
    item->text = text;
    item->length = length;
    item->outcome = OUTCOME_NONE;
    item->read_at = kin_now();
    return item;
}

void item_free(struct item *item)
{
    body_clear(&item->fetch->spool, &item->body);
    free(item->text);
    free(item->type);
    free(item->url);
    free(item->file);
    free(item);
}

/* Why an item was cancelled, or not started: for people. */
static void describe_reason(struct item *item)
{
    static const char *const words[] = {
        [KIN_BY_DEADLINE] = "the deadline passed",
        [KIN_BY_SIBLING] = "another item failed",
        [KIN_BY_DECISION] = "another item was first",
    };
    const kin_reason *reason = &item->reason;
    bool known = (size_t)reason->kind < sizeof words / sizeof words[0] &&
                 words[reason->kind] != NULL;

    snprintf(item->message, sizeof item->message, "%s",
             known ? words[reason->kind] : reason->message);
}

static void end_cancelled(struct item *item, enum outcome outcome, const kin_reason *reason)
{
    item->reason = *reason;
    item->outcome = outcome;
    item->code = KIN_ECANCELED;
    describe_reason(item);
}

static void end_stopped(struct item *item, enum outcome outcome)
{
    struct fetch *fetch = item->fetch;

    fetch_note_reason(fetch, kin_cancelled());
    end_cancelled(item, outcome, &fetch->stopped);
}

/* Its page was complete too, but not the first. */
static void end_beaten(struct item *item)
{
    end_cancelled(item, OUTCOME_CANCELLED, &(kin_reason){ .kind = KIN_BY_DECISION });
}

void item_skip(struct item *item)
{
    end_stopped(item, OUTCOME_SKIPPED);
    item->ended_at = kin_now();
}

static void end_timed_out(struct item *item)
{
    const struct fetch_options *options = item->fetch->options;
    char limit[32], retries[40] = "";

    duration_print(options->timeout, limit, sizeof limit);
    if (item->attempts > 1)
        snprintf(retries, sizeof retries, ", in %u attempts", item->attempts);
    if (item->status == 0)
        snprintf(item->message, sizeof item->message, "no answer within %s%s", limit, retries);
    else
        snprintf(item->message, sizeof item->message,
                 "incomplete after %s%s (status %d, %llu bytes)", limit, retries, item->status,
                 (unsigned long long)item->bytes);
    item->code = KIN_ETIMEDOUT;
    item->outcome = OUTCOME_TIMED_OUT;
    if (options->on_timeout == ON_TIMEOUT_FAIL || options->policy == KIN_ANY)
        return;                 /* a default result does not win a race */
    int rc = attempt_default(item);
    if (rc == 0)
        item->outcome = OUTCOME_DEFAULTED;
}

static void end_item(struct item *item, int rc)
{
    if (rc >= 0)
        item->outcome = OUTCOME_OK;
    else if (rc == KIN_ETIMEDOUT)
        end_timed_out(item);
    else if (rc == KIN_EDECIDED)
        end_beaten(item);
    else if (rc == KIN_ECANCELED && kin_cancelled() != NULL)
        end_stopped(item, OUTCOME_CANCELLED);
    else {
        item->outcome = OUTCOME_FAILED;
        item->code = rc;
    }
    if (item->outcome != OUTCOME_OK && item->outcome != OUTCOME_DEFAULTED)
        body_clear(&item->fetch->spool, &item->body);
    if (item->outcome == OUTCOME_OK && item->fetch->options->policy == KIN_ANY)
        item->fetch->won = true;
    item->ended_at = kin_now();
}

/* What the group's policy gets to see. */
static int result_of(const struct item *item)
{
    bool well = item->outcome == OUTCOME_OK || item->outcome == OUTCOME_DEFAULTED;

    return well ? 0 : item->code;
}

static uint64_t failures(const struct tally *tally)
{
    return tally->outcomes[OUTCOME_FAILED] + tally->outcomes[OUTCOME_TIMED_OUT];
}

/* The policies that the group does not know, and the list, which under a grace it
 * would go on reading. */
static void apply_policy(struct fetch *fetch, int rc)
{
    const struct fetch_options *options = fetch->options;
    char why[48];

    if (options->max_fail > 0 && failures(&fetch->tally) >= options->max_fail) {
        snprintf(why, sizeof why, "%u failed", options->max_fail);
        fetch_stop(fetch, why);
    } else if (options->policy == KIN_ALL && rc < 0) {
        fetch_stop_reading(fetch, "another item failed");
    } else if (options->policy == KIN_ANY && rc >= 0) {
        fetch_stop_reading(fetch, "another item was first");
    }
}

static void run_limited(struct item *item)
{
    const struct fetch_options *options = item->fetch->options;

    item->started_at = kin_now();
    kin_scope limit = kin_scope_open(.name = "item", .timeout = options->timeout,
                                     .grace = options->grace);
    int rc = item->unusable ? KIN_EHTTP(CURLE_URL_MALFORMAT) : attempt_until_done(item);
    end_item(item, kin_scope_close(&limit, rc));
}

int item_run(void *arg)
{
    struct item *item = arg;
    struct fetch *fetch = item->fetch;

    fetch->tally.running++;
    if (kin_cancelled() != NULL)
        item_skip(item);
    else
        run_limited(item);
    fetch->tally.running--;
    int rc = result_of(item);
    results_put(&fetch->results, item);
    apply_policy(fetch, rc);
    return rc;
}
