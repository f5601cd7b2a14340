#ifndef KIN_CLI_PROGRESS_H
#define KIN_CLI_PROGRESS_H

#include "fetch.h"

/* The function of the task that shows how far the run is; arg is a struct
 * fetch *. It ends only by being cancelled, or when standard error fails. */
int progress_show(void *fetch);
/* Whether there is anything for it to do. */
bool progress_wanted(const struct fetch *fetch);
/* The last object of --progress json, once the run is over. */
void progress_end(const struct fetch *fetch);

#endif
