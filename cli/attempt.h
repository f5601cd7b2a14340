#ifndef KIN_CLI_ATTEMPT_H
#define KIN_CLI_ATTEMPT_H

#include "item.h"

/* Fetches the item's page, trying again as the options say. Blocks. 0, or the
 * code of the last attempt, with the item's message set. */
int attempt_until_done(struct item *item);

/* Gives the item its default result in place of a page. Does not block. 0, or a
 * code with the item's message set. */
int attempt_default(struct item *item);

#endif
