/* libpq under kin. It has calls that never block, and a descriptor that says when to call
 * them again: each wait is a kin_wait_fd, in the task that wants the answer. There is no
 * helper, and no callback.
 *
 * A connection belongs to one task at a time, from pg_take to pg_give. Several tasks could
 * share one by libpq's pipelines, but they could not be cancelled singly: the server takes
 * "cancel what you are doing" for a connection, not for a query, so that a cancellation which
 * comes a moment late would hit the next task's query. So a pipeline is one task's.
 *
 * Where a task is cancelled, or over its limit, while the server works for it:
 *   - The server is asked to stop (PQcancel, on a thread since it blocks), behind a shield, as
 *     the task's own calls fail by now.
 *   - The answers that are under way are taken, to the end of the pipeline: then the connection
 *     is as good as new.
 *   - The server drops a request to cancel when it comes between two queries, or before the
 *     first: so it is asked again, as long as the pipeline does not end.
 *   - PQcancel returns when the server has passed the request on. After that, and after the end
 *     of the pipeline, none is under way which could hit the next task's queries.
 *   - If that takes too long, the connection is closed, and the next task makes a new one.
 *     (What the server is at it then finishes, unless client_connection_check_interval is set.)
 * If the answers turn out to be complete, the call succeeds: what was done is never called
 * cancelled.
 */
#include "pg.h"

#include <kin_os.h>
#include <poll.h>
#include <string.h>

#define LONGEST_END KIN_S(2)            /* to call a pipeline off */
#define ASK_AGAIN KIN_MS(100)           /* after so long without an answer */
#define QUERY_CANCELED "57014"

static const char *code_name(int number)
{
    return number == 1 ? "PG_ECONNECTION" : number == 2 ? "PG_EQUERY" : NULL;
}

static const char *code_text(int number)
{
    return number == 1 ? "no connection to the database" :
           number == 2 ? "the database refused a query" : NULL;
}

/* ------------------------------------------------------------- connections */

static void drop(struct pg *pg)
{
    PQfinish(pg->conn);
    pg->conn = NULL;
}

/* The connection is of no use any more. The server may have said why, before libpq found that
 * it is gone. */
static int broken(struct pg *pg)
{
    const char *why = pg->failed ? pg->why : PQerrorMessage(pg->conn);
    int rc = kin_fail(PG_ECONNECTION, "%.*s", (int)strcspn(why, "\n"), why);

    drop(pg);
    return rc;
}

/* libpq may change the descriptor from one step to the next. */
static int make_connection(struct pg *pg)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    int rc = kin_check();

    if (rc < 0)
        return rc;
    pg->failed = 0;
    pg->conn = PQconnectStart(pg->pool->conninfo);
    if (PQstatus(pg->conn) == CONNECTION_BAD)
        return broken(pg);
    while (rc >= 0 && (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING)) {
        rc = kin_wait_fd(PQsocket(pg->conn),
                         next == PGRES_POLLING_READING ? KIN_READABLE : KIN_WRITABLE);
        if (rc >= 0)
            next = PQconnectPoll(pg->conn);
    }
    if (rc < 0)
        drop(pg);
    else if (next != PGRES_POLLING_OK || PQsetnonblocking(pg->conn, 1) ||
             !PQenterPipelineMode(pg->conn))
        return broken(pg);
    return rc < 0 ? rc : 0;
}

/* The server has ended it while nobody used it. */
static bool hung_up(const struct pg *pg)
{
    struct pollfd fd = { .fd = PQsocket(pg->conn), .events = POLLRDHUP };

    return poll(&fd, 1, 0) > 0;
}

/* -------------------------------------------------------------------- pool */

int pg_pool_open(struct pg_pool *pool, const char *conninfo, size_t connections)
{
    struct kin_class_texts texts = { PG_CLASS, "postgres", code_name, code_text };
    int rc = kin_class_register(&texts);

    if (connections == 0 || connections > PG_POOL_MOST)
        return KIN_EINVAL;
    *pool = (struct pg_pool){ .conninfo = conninfo };
    pool->idle = (kin_queue){ .slots = pool->slots, .capacity = (uint32_t)connections,
                              .lifo = true };
    for (size_t i = 0; i < connections && rc == 0; i++) {
        pool->all[i].pool = pool;
        rc = kin_queue_try_put(&pool->idle, &pool->all[i]);
    }
    return rc;
}

void pg_pool_close(struct pg_pool *pool)
{
    for (size_t i = 0; i < pool->idle.capacity; i++)
        drop(&pool->all[i]);
}

int pg_take(struct pg_pool *pool, struct pg **pg)
{
    void *item;
    int rc = kin_queue_get(&pool->idle, &item);

    if (rc < 0)
        return rc;
    *pg = item;
    if ((*pg)->conn && hung_up(*pg))
        drop(*pg);
    if (!(*pg)->conn)
        rc = make_connection(*pg);
    if (rc < 0)
        pg_give(*pg);
    return rc;
}

void pg_give(struct pg *pg)
{
    if (pg->conn && PQtransactionStatus(pg->conn) != PQTRANS_IDLE)
        drop(pg);
    kin_queue_try_put(&pg->pool->idle, pg);     /* there is room for all of them */
}

/* --------------------------------------------------------------- a pipeline */

static int send_all(struct pg *pg)
{
    for (size_t i = 0; i < pg->count; i++) {
        const struct pg_query *query = &pg->queries[i];

        if (!PQsendQueryParams(pg->conn, query->sql, query->count, NULL, query->values, NULL,
                               NULL, 0))
            return broken(pg);
    }
    return PQpipelineSync(pg->conn) ? 0 : broken(pg);
}

/* The first failure counts: the server passes over the queries after it. */
static void note_failure(struct pg *pg, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *why = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (pg->failed)
        return;
    snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", state ? state : "");
    snprintf(pg->why, sizeof pg->why, "query %zu: %s (%s)", pg->done + 1,
             why ? why : PQresultErrorMessage(result), pg->sqlstate);
    pg->failed = kin_fail(PG_EQUERY, "%s", pg->why);
}

/* What libpq has for us: results, a NULL after those of each query, and a last one after all.
 * True for that. */
static bool is_last(struct pg *pg, PGresult *result)
{
    struct pg_query *query = pg->done < pg->count ? &pg->queries[pg->done] : NULL;
    ExecStatusType status = PQresultStatus(result);

    if (!result) {
        pg->done += query ? 1 : 0;
    } else if (query && (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)) {
        PQclear(query->result);
        query->result = result;
        return false;
    } else if (status != PGRES_PIPELINE_SYNC) {
        note_failure(pg, result);
    }
    PQclear(result);
    return status == PGRES_PIPELINE_SYNC;
}

/* Sends what libpq still holds and takes answers, until the end of the pipeline. If it is
 * cancelled it can be called again, to go on. */
static int receive(void *arg)
{
    struct pg *pg = arg;

    for (;;) {
        int unsent = PQflush(pg->conn), rc;

        while (!PQisBusy(pg->conn)) {
            if (is_last(pg, PQgetResult(pg->conn)))
                return 0;
            if (PQstatus(pg->conn) == CONNECTION_BAD)
                return broken(pg);
        }
        rc = kin_wait_fd(PQsocket(pg->conn), KIN_READABLE | (unsent > 0 ? KIN_WRITABLE : 0));
        if (rc < 0)
            return rc;
        if (!PQconsumeInput(pg->conn))
            return broken(pg);
    }
}

/* -------------------------------------------------------------- calling off */

/* In a thread: it connects to the server, and waits for it. */
static int ask_to_cancel(void *arg)
{
    char why[256];

    return PQcancel(arg, why, sizeof why) ? 0 : PG_ECONNECTION;
}

static void forget(void *arg)
{
    PQfreeCancel(arg);
}

/* When it returns, no request is under way any more, unless the shield's time is up. */
static void cancel_at_server(struct pg *pg)
{
    PGcancel *request = PQgetCancel(pg->conn);
    bool ran = false;

    if (!request)
        return;
    kin_thread_run(ask_to_cancel, request, .end = KIN_THREAD_ABANDON, .drop = forget,
                   .ran = &ran);
    if (ran)
        forget(request);
}

/* Brings the pipeline to its end although the caller may not wait any more: 0 if all was done
 * in spite of that, or the code of why it ended. */
static int call_off(struct pg *pg, int why)
{
    kin_scope shield = kin_scope_open(.shield = LONGEST_END, .timeout = LONGEST_END);
    int rc;

    do {
        cancel_at_server(pg);           /* if that fails, perhaps the next time */
        rc = kin_within(ASK_AGAIN, receive, pg);
    } while (rc == KIN_ETIMEDOUT);
    kin_scope_leave(&shield);
    if (rc < 0 && pg->conn)
        drop(pg);
    if (rc < 0 || (pg->failed && strcmp(pg->sqlstate, QUERY_CANCELED) == 0))
        return why;
    return pg->failed;
}

static int run_pipeline(struct pg *pg)
{
    int rc = send_all(pg);

    if (rc == 0)
        rc = receive(pg);
    if (rc < 0 && pg->conn)
        return call_off(pg, rc);
    return rc < 0 ? rc : pg->failed;
}

int pg_run(struct pg *pg, struct pg_query *queries, size_t count)
{
    int rc = pg->queries ? KIN_EBUSY : kin_check();

    for (size_t i = 0; i < count; i++)
        queries[i].result = NULL;
    if (rc < 0)
        return rc;
    if (!pg->conn)
        return kin_fail(PG_ECONNECTION, "the connection broke under an earlier query");
    pg->queries = queries;
    pg->count = count;
    pg->done = 0;
    pg->failed = 0;
    pg->sqlstate[0] = '\0';
    rc = run_pipeline(pg);
    for (size_t i = 0; i < count && rc < 0; i++) {
        PQclear(queries[i].result);
        queries[i].result = NULL;
    }
    pg->queries = NULL;
    return rc;
}
