/* Fifty tasks over five connections to PostgreSQL, each with a limit of its own. A task sends
 * its three queries at once; two tasks ask for something that takes an hour, and are over
 * their limit: then their queries are cancelled at the server, and their connections serve
 * the others.
 *
 *     example-postgres "host=/run/postgresql dbname=postgres"
 *
 * Prints:
 *     task 8: timed_out
 *     task 24: timed_out
 *     the others: 48 ok, 0 of them wrong
 *     5 connections were made, and the server is busy with 0 queries
 */
#include "pg.h"

#include <stdlib.h>
#include <string.h>

enum { TASKS = 50, CONNECTIONS = 5 };

struct report {
    struct pg_pool *pool;
    int number, square, process;
};

static int number_in(const PGresult *result)
{
    return atoi(PQgetvalue(result, 0, 0));
}

/* Three queries in one go. */
static int ask(struct pg *pg, struct report *report)
{
    bool slow = report->number == 8 || report->number == 24;
    char number[12];
    const char *const values[] = { number }, *const pause[] = { slow ? "3600" : "0.01" };
    struct pg_query query[] = {
        { .sql = "select pg_backend_pid()" },
        { .sql = "select $1::int * $1::int", .values = values, .count = 1 },
        { .sql = "select pg_sleep($1::float)", .values = pause, .count = 1 },
    };
    int rc;

    snprintf(number, sizeof number, "%d", report->number);
    rc = pg_run(pg, query, 3);
    if (rc == 0) {
        report->process = number_in(query[0].result);
        report->square = number_in(query[1].result);
    }
    for (int i = 0; i < 3; i++)
        PQclear(query[i].result);
    return rc;
}

static int make_report(void *arg)
{
    struct report *report = arg;
    struct pg *pg;
    int rc = pg_take(report->pool, &pg);

    if (rc < 0)
        return rc;
    rc = ask(pg, report);
    pg_give(pg);
    return rc;
}

/* The others that the server works for, by this pool's name. */
static int look_at_server(struct pg_pool *pool)
{
    struct pg_query query = { .sql = "select count(*), count(*) filter (where state <> 'idle')"
                              "  from pg_stat_activity"
                              " where application_name = current_setting('application_name')"
                              "   and pid <> pg_backend_pid()" };
    struct pg *pg;
    int rc = pg_take(pool, &pg);

    if (rc < 0)
        return rc;
    rc = pg_run(pg, &query, 1);
    if (rc == 0)
        printf("%d connections were made, and the server is busy with %s queries\n",
               number_in(query.result) + 1, PQgetvalue(query.result, 0, 1));
    PQclear(query.result);
    pg_give(pg);
    return rc;
}

static void print(const struct report *report, const kin_task *task)
{
    int ok = 0, wrong = 0;

    for (int i = 0; i < TASKS; i++) {
        if (task[i].status != KIN_OK)
            printf("task %d: %s\n", report[i].number, kin_status_name(task[i].status));
        else if (++ok && report[i].square != report[i].number * report[i].number)
            wrong++;
    }
    printf("the others: %d ok, %d of them wrong\n", ok, wrong);
}

static int make_reports(struct pg_pool *pool)
{
    struct report report[TASKS];
    kin_task task[TASKS];
    kin_group g = kin_group_open(.name = "reports");
    int rc;

    for (int i = 0; i < TASKS; i++) {
        bool hasty = i + 1 == 8 || i + 1 == 24;

        report[i] = (struct report){ .pool = pool, .number = i + 1 };
        kin_spawn(&g, make_report, &report[i], .task = &task[i], .name = "report", .index = i + 1,
                  .timeout = hasty ? KIN_S(1) : KIN_S(30), .optional = hasty);
    }
    rc = kin_group_close(&g, 0);
    if (rc == 0)
        print(report, task);
    return rc < 0 ? rc : look_at_server(pool);
}

static int run(void *arg)
{
    struct pg_pool pool;
    int rc = pg_pool_open(&pool, arg, CONNECTIONS);

    if (rc < 0)
        return rc;
    rc = make_reports(&pool);
    pg_pool_close(&pool);
    return rc;
}

int main(int argc, char **argv)
{
    char conninfo[512];

    snprintf(conninfo, sizeof conninfo, "application_name=kin-example %s",
             argc > 1 ? argv[1] : "");
    return kin_main(run, conninfo);
}
