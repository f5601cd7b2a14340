#ifndef KIN_CLI_DEMO_H
#define KIN_CLI_DEMO_H

#include "kin.h"
#include "options.h"

struct demo;
struct item;

/* The run that a user sees who gives no URLs: a small server of our own, and a
 * hundred pages of it as the list. Opens the server and completes the options,
 * which must not have sources. 0 or a code. Inside of a run. */
int demo_open(struct demo **demo, struct fetch_options *options);
void demo_close(struct demo *demo);

/* Starts the server's tasks in the group; they end by being cancelled. */
int demo_start(struct demo *demo, kin_group *group);

/* What is about to be seen. */
void demo_introduce(const struct fetch_options *options, FILE *out);
/* Notes what became of an item, and shows all of them: NULL without memory,
 * else the caller frees it. */
void demo_note(struct demo *demo, const struct item *item);
char *demo_report(const struct demo *demo);

#endif
