#ifndef KIN_CLI_DEMO_SERVER_H
#define KIN_CLI_DEMO_SERVER_H

#include "kin.h"

/* Serves the demonstration's pages to whoever connects; each connection is a task
 * of the group. Blocks until cancelled. A code. */
int demo_server(int listener, kin_group *group);

#endif
