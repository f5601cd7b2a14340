/* The helpers of postgres_test.h. */
#include "postgres_test.h"

#include <stdlib.h>

struct pg_pool pool;

void open_pool(size_t connections)
{
    CHECK_CODE(pg_pool_open(&pool, server_address("POSTGRES"), connections), 0);
}

void close_pool(void)
{
    CHECK_INT(pool.idle.count, pool.idle.capacity);
    pg_pool_close(&pool);
}

/* ------------------------------------------------------- tasks with queries */

static size_t count_queries(const struct work *work)
{
    size_t n = 0;

    while (n < 4 && work->sql[n])
        n++;
    return n;
}

static void take_results(struct work *work, struct pg_query *query, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CHECK((query[i].result != NULL) == (work->code == 0));
        if (query[i].result && PQntuples(query[i].result) > 0)
            snprintf(work->got[i], sizeof work->got[i], "%s",
                     PQgetvalue(query[i].result, 0, 0));
        PQclear(query[i].result);
    }
}

int work_on(struct pg *pg, struct work *work)
{
    struct pg_query query[4] = { 0 };
    size_t n = count_queries(work);

    for (size_t i = 0; i < n; i++)
        query[i].sql = work->sql[i];
    if (work->value) {
        query[0].values = &work->value;
        query[0].count = 1;
    }
    work->code = pg_run(pg, query, n);
    take_results(work, query, n);
    memcpy(work->sqlstate, pg->sqlstate, sizeof work->sqlstate);
    return work->code;
}

int work(void *arg)
{
    struct work *work = arg;
    struct pg *pg;

    work->code = pg_take(&pool, &pg);
    if (work->code == 0) {
        work_on(pg, work);
        pg_give(pg);
    }
    work->ended = true;
    return work->code;
}

const char *ask(const char *sql)
{
    static struct work one;

    one = (struct work){ .sql = { sql } };
    CHECK_CODE(work(&one), 0);
    return one.got[0];
}

int ask_number(const char *sql)
{
    return atoi(ask(sql));
}

void await_busy(int wanted)
{
    int busy = -1;

    for (int i = 0; i < 1000 && busy != wanted; i++) {
        busy = ask_number("select count(*) from pg_stat_activity"
                          " where backend_type = 'client backend' and state <> 'idle'"
                          "   and pid <> pg_backend_pid()");
        if (busy != wanted)
            CHECK_CODE(kin_sleep(KIN_MS(10)), 0);
    }
    CHECK_INT(busy, wanted);
}
