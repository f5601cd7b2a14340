#ifndef KIN_CLI_JSON_H
#define KIN_CLI_JSON_H

#include "item.h"

/* One line of JSON each, without its newline, which the caller frees; NULL when
 * there is no memory for it. fetch.schema.json describes them. */
char *json_of_item(const struct item *item);
char *json_of_summary(const struct fetch *fetch);
char *json_of_progress(const struct fetch *fetch);

#endif
