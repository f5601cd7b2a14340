#ifndef KIN_CLI_GLOB_H
#define KIN_CLI_GLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A URL pattern, as curl's: http://{a,b}/[1-10:2]/[a-z]. It is expanded one URL
 * at a time, the last part running fastest; nothing grows with its size. */
struct glob {
    struct glob_part *parts;
    size_t count;
    uint64_t total;             /* URLs it stands for */
    bool started, ended;
    char problem[120];          /* after a failure of open: what, and where */
};

/* Parses a pattern, which must live as long as the glob. 0, -EINVAL with a
 * problem, -ENOMEM. Either way the glob may be closed. */
int glob_open(struct glob *glob, const char *pattern);
/* The next URL, which the caller frees: 1, 0 at the end, -ENOMEM. */
int glob_next(struct glob *glob, char **url);
void glob_close(struct glob *glob);

#endif
