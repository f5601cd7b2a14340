#ifndef KIN_CLI_TALLY_H
#define KIN_CLI_TALLY_H

#include "item.h"

#include <stdio.h>

enum {
    TALLY_LISTED = 10,          /* losers shown by name, for each outcome */
    TALLY_KINDS = 24            /* kinds of failure that are told apart */
};

/* What became of the items. Its size does not depend on their number. */
struct tally {
    uint64_t running;
    uint64_t outcomes[OUTCOME_COUNT];
    uint64_t lost[OUTCOME_COUNT];       /* so many of them are in .losers */
    struct loser {
        uint64_t index;
        char name[120], why[200];
    } losers[OUTCOME_COUNT][TALLY_LISTED];
    struct kind {
        enum outcome outcome;
        int code;
        uint64_t count;
        char text[80];
    } kinds[TALLY_KINDS];
    size_t kind_count;
    uint64_t other_kinds;               /* failures that found no room in .kinds */
};

void tally_count(struct tally *tally, const struct item *item);
uint64_t tally_ended(const struct tally *tally);

/* The closing summary: a line of counts, then who did not make it and why,
 * the failed ones last. prefix: what the line begins with. */
void tally_print(const struct tally *tally, const char *prefix, int64_t wall, FILE *out);

#endif
