/* The limit on file descriptors.
 *
 * A page under way needs a socket, and with -o a file. So many as the limit
 * leaves are run at once, which is slower but fails nobody; that a transfer may
 * for a moment need more (a second address that is tried, a redirect to another
 * host, connections kept open) is met by waiting, in attempt.c. The soft limit
 * exists for programs that use select(); this one does not, so it is raised to
 * the hard limit where it is in the way.
 */
#include "descriptors.h"

#include <stdio.h>
#include <sys/resource.h>

/* Standard streams, the runtime's own, the resolver, the list, the spool. */
#define RESERVED 22

static uint64_t room_for(rlim_t limit, unsigned each)
{
    if (limit == RLIM_INFINITY)
        return UINT64_MAX;
    return limit > RESERVED + each ? (limit - RESERVED) / each : 1;
}

uint32_t descriptors_jobs(uint32_t wanted, unsigned each)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || room_for(limit.rlim_cur, each) >= wanted)
        return wanted;
    if (limit.rlim_cur != limit.rlim_max) {
        struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    uint64_t room = room_for(limit.rlim_cur, each);
    if (room >= wanted)
        return wanted;
    fprintf(stderr,
            "kin fetch: the limit of %llu file descriptors leaves room for %llu at a time\n",
            (unsigned long long)limit.rlim_cur, (unsigned long long)room);
    return (uint32_t)room;
}
