/* What the files of random.c share: the lines, who works at their ends, and chance. */
#ifndef RANDOM_LINES_H
#define RANDOM_LINES_H

#include "io_test.h"
#include "kin_ext.h"
#include "kin_io.h"

enum { LINES = 6, LIVES = 8, DISTURBERS = 4, PRIME = 65521, MOST = 70000, FAR = 20 };
enum { TCP, UNIX, PIPE, KINDS };

struct flow {                   /* one direction */
    unsigned key;
    uint64_t total, sent, received;
    uint64_t most;              /* sent, with what may be under way */
    bool ended;                 /* the end was read */
    bool may_lose;              /* a reset may have thrown away what was sent */
    bool urgent;                /* a byte went out of band; of two, one could be taken for these */
};

struct doing {                  /* a call that can be cancelled */
    kin_scope scope;
    bool active, hasty;
};

struct end {
    int fd;                     /* -1: closed */
    bool moving;
    unsigned visitors;          /* disturbers that wait there */
    struct end *peer;
    struct flow *in, *out;      /* NULL: a pipe's other direction */
    struct doing reading, writing;
    struct kin_watch watch;
    struct line *line;
};

/* A disturber may also help: who was cancelled looks again, and what is taken over again is
 * asked anew. So some lines are left alone, lest that hides a missed wake-up. */
enum { ANYTHING, NOT_MOVED, NOT_CANCELLED, TREATMENTS };

struct line {
    int kind;
    unsigned treatment;
    struct end end[2];
    struct flow flow[2];
    bool open;
};

extern struct line lines[LINES];
extern unsigned lines_left;

/* random.c: below n; and the end of the test. */
unsigned chance(unsigned n);
void wrong(const char *what, int64_t got);

/* random_lines.c: a task for each line, that opens it again and again. */
int live(void *arg);
void make_bytes(void);
void close_end(struct end *end, bool early);

/* random_disturb.c: a task, until the last line has ended. */
int disturb_all(void *arg);

#endif
