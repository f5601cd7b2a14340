/* Counts, and the closing summary.
 *
 * A million items may fail, so only the first few of each outcome are kept by
 * name, in the order of the list as far as they are known; the others are
 * counted by kind, which is their outcome and code. The outcomes add up to the
 * number of items: fetch.c asserts it at the end of every run.
 */
#include "tally.h"
#include "duration.h"
#include "text.h"
#include "url.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

uint64_t tally_ended(const struct tally *tally)
{
    uint64_t sum = 0;

    for (int i = 0; i < OUTCOME_COUNT; i++)
        sum += tally->outcomes[i];
    return sum;
}

/* An item's message, without its own URL in front of it, which kin-http may have
 * shortened. After "GET" stands the item's, else the one that redirects led to. */
static const char *reason_of(const struct item *item)
{
    const char *message = item->message, *end = NULL;

    if (message[0] == '\0')
        return kin_code_text(item->code);
    if (strncmp(message, "GET ", 4) == 0 ||
        (item->url == NULL && strncasecmp(message, "http", 4) == 0))
        end = strstr(message, ": ");
    return end != NULL ? end + 2 : message;
}

static void note_loser(struct tally *tally, const struct item *item)
{
    uint64_t *count = &tally->lost[item->outcome];
    struct loser *losers = tally->losers[item->outcome];
    uint64_t at = *count < TALLY_LISTED ? (*count)++ : TALLY_LISTED - 1;

    if (at == TALLY_LISTED - 1 && losers[at].name[0] != '\0' && losers[at].index < item->index)
        return;                 /* full of earlier ones */
    for (; at > 0 && losers[at - 1].index > item->index; at--)
        losers[at] = losers[at - 1];
    losers[at].index = item->index;
    url_printable(losers[at].name, sizeof losers[at].name, item->text, item->length);
    const char *why = reason_of(item);
    text_printable(losers[at].why, sizeof losers[at].why, why, strlen(why));
}

static void note_kind(struct tally *tally, const struct item *item)
{
    struct kind *kind = tally->kinds, *end = kind + tally->kind_count;

    while (kind < end && (kind->outcome != item->outcome || kind->code != item->code))
        kind++;
    if (kind == end && tally->kind_count == TALLY_KINDS) {
        tally->other_kinds++;
        return;
    }
    if (kind == end) {
        tally->kind_count++;
        kind->outcome = item->outcome;
        kind->code = item->code;
        snprintf(kind->text, sizeof kind->text, "%s", kin_code_text(item->code));
    }
    kind->count++;
}

void tally_count(struct tally *tally, const struct item *item)
{
    tally->outcomes[item->outcome]++;
    if (item->outcome == OUTCOME_OK)
        return;
    note_loser(tally, item);
    note_kind(tally, item);
}

/* Outcomes in the order of the summary: the worst are nearest to the prompt. */
static const enum outcome order[] = { OUTCOME_OK,        OUTCOME_DEFAULTED, OUTCOME_SKIPPED,
                                      OUTCOME_CANCELLED, OUTCOME_TIMED_OUT, OUTCOME_FAILED };
#define ORDER (sizeof order / sizeof order[0])

static const char *colour_of(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_OK:
        return TEXT_GREEN;
    case OUTCOME_FAILED:
        return TEXT_RED;
    case OUTCOME_TIMED_OUT:
    case OUTCOME_DEFAULTED:
        return TEXT_YELLOW;
    default:
        return TEXT_DIM;
    }
}

static void print_counts(const struct tally *tally, const char *prefix, int64_t wall, FILE *out)
{
    char time[32];
    uint64_t total = tally_ended(tally);
    const char *comma = "";

    fprintf(out, "%s%" PRIu64 " %s in %s: ", prefix, total, total == 1 ? "item" : "items",
            duration_print(wall, time, sizeof time));
    for (size_t i = 0; i < ORDER; i++) {
        uint64_t count = tally->outcomes[order[i]];
        if (count == 0)
            continue;
        fprintf(out, "%s%s%" PRIu64 " %s%s", comma, text_colour(out, colour_of(order[i])), count,
                outcome_text(order[i]), text_colour(out, TEXT_PLAIN));
        comma = ", ";
    }
    fputs(total == 0 ? "nothing was read\n" : "\n", out);
}

/* All that failed, by kind; the other outcomes know but one. */
static void print_kinds(const struct tally *tally, FILE *out)
{
    const char *before = "; in all ";

    for (size_t i = 0; i < tally->kind_count; i++) {
        const struct kind *kind = &tally->kinds[i];
        if (kind->outcome != OUTCOME_FAILED)
            continue;
        fprintf(out, "%s%" PRIu64 " × %s", before, kind->count, kind->text);
        before = ", ";
    }
    if (tally->other_kinds > 0)
        fprintf(out, " and %" PRIu64 " of other kinds", tally->other_kinds);
}

/* How many of an outcome have no line of their own. */
static void print_rest(const struct tally *tally, enum outcome outcome, FILE *out)
{
    if (tally->outcomes[outcome] <= tally->lost[outcome])
        return;
    fprintf(out, "  %-13s … and %" PRIu64 " more", "",
            tally->outcomes[outcome] - tally->lost[outcome]);
    if (outcome == OUTCOME_FAILED)
        print_kinds(tally, out);
    fputc('\n', out);
}

static void print_losers(const struct tally *tally, enum outcome outcome, FILE *out)
{
    for (uint64_t i = 0; i < tally->lost[outcome]; i++)
        fprintf(out, "  %s%-13s%s %s: %s\n", text_colour(out, colour_of(outcome)),
                outcome_text(outcome), text_colour(out, TEXT_PLAIN),
                tally->losers[outcome][i].name, tally->losers[outcome][i].why);
    print_rest(tally, outcome, out);
}

void tally_print(const struct tally *tally, const char *prefix, int64_t wall, FILE *out)
{
    print_counts(tally, prefix, wall, out);
    for (size_t i = 1; i < ORDER; i++)
        print_losers(tally, order[i], out);
}
