#ifndef KIN_CLI_DESCRIPTORS_H
#define KIN_CLI_DESCRIPTORS_H

#include <stdint.h>

/* How many pages may be under way at once: at most wanted, at least 1, and what
 * the limit on file descriptors has room for, where each takes so many of them. The
 * limit is raised if need be. */
uint32_t descriptors_jobs(uint32_t wanted, unsigned each);

#endif
