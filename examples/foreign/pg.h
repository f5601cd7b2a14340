/* PostgreSQL for the tasks of a run: a pool of connections, over libpq. To be copied, with
 * pg.c.
 *
 *     struct pg_query query[] = { { .sql = "select 1" }, { .sql = "select now()" } };
 *     int rc = pg_take(&pool, &pg);               // waits until one is free
 *
 *     if (rc == 0) {
 *         rc = pg_run(pg, query, 2);              // one round trip, one transaction
 *         pg_give(pg);
 *     }
 */
#ifndef PG_H
#define PG_H

#include <kin.h>
#include <libpq-fe.h>

#define PG_CLASS (KIN_CLASS_USER + 0)
enum {
    PG_ECONNECTION = KIN_CODE(PG_CLASS, 1),     /* there is none, or it broke */
    PG_EQUERY = KIN_CODE(PG_CLASS, 2)           /* the server refused a query: see .sqlstate */
};

#define PG_POOL_MOST 64         /* connections */

struct pg {                     /* a connection */
    struct pg_pool *pool;
    PGconn *conn;               /* NULL: not made yet, or broken; the next to take it makes one */
    char sqlstate[6];           /* why the last pg_run got PG_EQUERY: "40001" */
    struct pg_query *queries;   /* those under way, how many, and how many have been answered */
    size_t count, done;
    int failed;                 /* the first failure among them … */
    char why[256];              /* … in the server's words */
};

struct pg_pool {                /* belongs to the caller, and stays where it is */
    const char *conninfo;       /* borrowed; with hostaddr=, as libpq looks up host= and blocks */
    kin_queue idle;
    void *slots[PG_POOL_MOST];
    struct pg all[PG_POOL_MOST];
};

struct pg_query {
    const char *sql;            /* one statement; no COPY */
    const char *const *values;  /* of its parameters $1, $2 …; NULL among them is NULL */
    int count;                  /* of those */
    PGresult *result;           /* written; PQclear it, which takes NULL as well */
};

/* So many connections, each made when it is first needed. In a run. 0 or KIN_EINVAL. */
int pg_pool_open(struct pg_pool *pool, const char *conninfo, size_t connections);
/* All have been given back. */
void pg_pool_close(struct pg_pool *pool);

/* Waits for a connection, and makes it where there is none. Blocks. 0, KIN_ECANCELED,
 * PG_ECONNECTION. */
int pg_take(struct pg_pool *pool, struct pg **pg);
/* Does not block. One that is in the middle of a transaction is closed instead of kept. */
void pg_give(struct pg *pg);

/* Sends all the queries at once and waits for their results. Blocks. 0, and they have all been
 * done; or a code, and the server has undone what it did of them, as long as none was a BEGIN
 * or COMMIT, and there are no results: KIN_ECANCELED, KIN_EBUSY (another task uses it),
 * PG_EQUERY, and PG_ECONNECTION, after which nobody knows whether they were done.
 * A caller that is cancelled has its query cancelled at the server, and waits for that, for
 * two seconds at most; then the connection is closed. */
int pg_run(struct pg *pg, struct pg_query *queries, size_t count);

#endif
