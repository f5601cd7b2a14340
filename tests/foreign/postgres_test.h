/* Shared by the tests of examples/foreign/pg.c. */
#ifndef POSTGRES_TEST_H
#define POSTGRES_TEST_H

#include "foreign_test.h"
#include "pg.h"

extern struct pg_pool pool;     /* of the server that servers.py has started */
void open_pool(size_t connections);
void close_pool(void);          /* nobody has kept a connection */

/* A task with up to four queries in one pipeline; the first may have a parameter. */
struct work {
    const char *sql[4];
    const char *value;          /* of $1 in the first */
    char got[4][64];            /* first field of each result */
    char sqlstate[6];
    int code;
    bool ended;
};
int work(void *arg);            /* with a connection of the pool */
int work_on(struct pg *pg, struct work *work);

/* One query, in the caller's task; its first field. */
const char *ask(const char *sql);
int ask_number(const char *sql);

/* Waits until the server works on so many queries, besides the one that asks. */
void await_busy(int wanted);

#endif
