#ifndef KIN_CLI_LIST_H
#define KIN_CLI_LIST_H

#include "glob.h"
#include "item.h"
#include "options.h"

/* The items, as a stream: arguments, patterns, files, standard input. */
struct list {
    struct fetch *fetch;
    const struct source *sources;
    size_t count, at;           /* of the sources, and the one being read */
    int *fds;                   /* of the files among them, all open from the start */
    bool globoff;
    bool arguments_only;        /* files are not read (any further) */
    struct glob glob;           /* of the argument being expanded */
    bool expanding;
    uint64_t next_index;        /* = items read */
    uint64_t total;             /* items there will be; 0: nobody knows */
    char *buffer;               /* of a file: what was read and not yet used */
    size_t begin, end;
    bool fresh;                 /* nothing of this file was used yet */
};

/* Opens every file and tries every argument, so that what is wrong with the
 * command line is said before anything starts. 0, or a negated exit status with
 * the message written. */
int list_open(struct list *list, struct fetch *fetch, const struct fetch_options *options);
/* The next item: 1, 0 at the end, or a code. Blocks. */
int list_next(struct list *list, struct item **item);
void list_close(struct list *list);

#endif
