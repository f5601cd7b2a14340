#ifndef KIN_CLI_FETCH_H
#define KIN_CLI_FETCH_H

#include "demo.h"
#include "kin.h"
#include "list.h"
#include "options.h"
#include "results.h"
#include "store.h"
#include "tally.h"

/* One run of kin fetch. */
struct fetch {
    const struct fetch_options *options;
    uint32_t jobs;              /* what the limit on descriptors leaves of --jobs */
    struct list list;
    struct tally tally;
    struct results results;
    struct spool spool;
    struct store store;
    struct demo *demo;          /* NULL: there were URLs */
    int64_t started_at;
    kin_group work;             /* the reader's task and the printer */
    kin_group items;            /* the pages */
    kin_scope reading;          /* of the list, within items */
    bool won;                   /* with --first: an item has ended well */
    kin_reason stopped;         /* why no more items were started, where that is so */
    int signal;                 /* that asks us to end, or 0 */
    int output_error;           /* of standard output, or 0 */
    int fault;                  /* kin's own, or 0 */
};

/* The command, with the arguments after "kin fetch"; its exit status. */
int fetch_main(int argc, char **argv);

/* Ends the reading of the list; stop also cancels the pages under way. */
void fetch_stop_reading(struct fetch *fetch, const char *why);
void fetch_stop(struct fetch *fetch, const char *why);
/* Remembers why items were cancelled, or not started. */
void fetch_note_reason(struct fetch *fetch, const kin_reason *reason);
/* Standard output cannot be written any more. */
void fetch_output_failed(struct fetch *fetch, int code);
/* By what is known now: 0, 1, 124, 125, or 128 and the signal. */
int fetch_exit_status(const struct fetch *fetch);

#endif
