/* examples/foreign/pg.c against a PostgreSQL: queries that fail, connections that break, a server
 * that is killed, and faults at every place. */
#include "postgres_test.h"

#include <stdlib.h>

/* ------------------------------------------------------------------ failures */

FOREIGN_TEST(a_query_that_fails_says_why_and_undoes_the_others)
{
    struct work w = { .sql = { "insert into kept values (1)", "select 1 / 0", "select 2" } };

    open_pool(1);
    ask("drop table if exists kept");
    ask("create table kept (n int)");
    CHECK_CODE(work(&w), PG_EQUERY);
    CHECK_STR(w.sqlstate, "22012");
    CHECK_STR(kin_error_last()->message, "query 2: division by zero (22012)");
    CHECK_STR(kin_code_name(PG_EQUERY), "PG_EQUERY");
    CHECK_STR(kin_class_name(PG_CLASS), "postgres");
    CHECK_INT(ask_number("select count(*) from kept"), 0);
    ask("drop table kept");
    close_pool();
}

/* Each query was fine; the transaction is not. */
FOREIGN_TEST(what_fails_at_the_end_has_failed)
{
    struct work w = { .sql = { "insert into child values (5)", "select 1" } };

    open_pool(1);
    ask("drop table if exists child, parent");
    ask("create table parent (n int primary key)");
    ask("create table child (n int references parent deferrable initially deferred)");
    CHECK_CODE(work(&w), PG_EQUERY);
    CHECK_STR(w.sqlstate, "23503");
    CHECK_INT(ask_number("select count(*) from child"), 0);
    ask("drop table child, parent");
    close_pool();
}

FOREIGN_TEST(an_open_transaction_is_not_handed_on)
{
    struct work w = { .sql = { "begin" } };
    char before[64];

    open_pool(1);
    snprintf(before, sizeof before, "%s", ask("select pg_backend_pid()"));
    CHECK_CODE(work(&w), 0);
    CHECK(strcmp(ask("select pg_backend_pid()"), before) != 0);
    close_pool();
}

FOREIGN_TEST(a_transaction_over_several_pipelines)
{
    struct work begin = { .sql = { "begin", "select txid_current()" } };
    struct work end = { .sql = { "select txid_current()", "commit" } };
    struct pg *pg;

    open_pool(1);
    CHECK_CODE(pg_take(&pool, &pg), 0);
    CHECK_CODE(work_on(pg, &begin), 0);
    CHECK_CODE(work_on(pg, &end), 0);
    CHECK_STR(begin.got[1], end.got[0]);
    pg_give(pg);
    CHECK(pg->conn != NULL);
    close_pool();
}

static int use(void *arg)
{
    struct work w = { .sql = { "select pg_sleep(0.1)" } };

    return work_on(arg, &w);
}

FOREIGN_TEST(a_connection_is_for_one_task_at_a_time)
{
    struct work w = { .sql = { "select 1" } };
    kin_group g = kin_group_open();
    struct pg *pg;

    open_pool(1);
    CHECK_CODE(pg_take(&pool, &pg), 0);
    kin_spawn(&g, use, pg);
    CHECK_CODE(kin_sleep(KIN_MS(10)), 0);
    CHECK_CODE(work_on(pg, &w), KIN_EBUSY);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(work_on(pg, &w), 0);
    pg_give(pg);
    close_pool();
}

/* ------------------------------------------------- connections that break */

FOREIGN_TEST(no_server_is_a_code_for_each)
{
    struct work w[10] = { 0 };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    CHECK_CODE(pg_pool_open(&pool, "host=/nonexistent user=kin", 2), 0);
    for (int i = 0; i < 10; i++) {
        w[i].sql[0] = "select 1";
        kin_spawn(&g, work, &w[i]);
    }
    CHECK_CODE(kin_group_close(&g, 0), PG_ECONNECTION);
    CHECK_HAS(test_error_text(kin_error_last()), "No such file or directory");
    for (int i = 0; i < 10; i++)
        CHECK_CODE(w[i].code, PG_ECONNECTION);
    close_pool();
}

FOREIGN_TEST(a_pool_has_one_to_so_many_connections)
{
    CHECK_CODE(pg_pool_open(&pool, "", 0), KIN_EINVAL);
    CHECK_CODE(pg_pool_open(&pool, "", PG_POOL_MOST + 1), KIN_EINVAL);
}

static void terminate(int process)
{
    char sql[80];

    snprintf(sql, sizeof sql, "select pg_terminate_backend(%d, 5000)", process);
    CHECK_STR(ask(sql), "t");
}

/* The last that was given back is taken first. */
FOREIGN_TEST(a_connection_that_broke_while_idle_is_replaced_unseen)
{
    struct work before = { .sql = { "select pg_backend_pid()" } }, after = before;
    struct pg *pg;

    open_pool(2);
    CHECK_CODE(pg_take(&pool, &pg), 0);
    CHECK_CODE(work_on(pg, &before), 0);
    terminate(atoi(before.got[0]));
    pg_give(pg);
    CHECK_CODE(work(&after), 0);
    CHECK(strcmp(before.got[0], after.got[0]) != 0);
    close_pool();
}

/* Whoever goes on with it is told, and it is replaced when it has been given back. */
FOREIGN_TEST(a_connection_that_broke_stays_broken_for_its_owner)
{
    struct work w = { .sql = { "select pg_terminate_backend(pg_backend_pid())" } };
    struct pg *pg;

    open_pool(1);
    CHECK_CODE(pg_take(&pool, &pg), 0);
    CHECK_CODE(work_on(pg, &w), PG_ECONNECTION);
    CHECK_CODE(work_on(pg, &w), PG_ECONNECTION);
    pg_give(pg);
    CHECK_STR(ask("select 1"), "1");
    close_pool();
}

FOREIGN_TEST(a_connection_that_breaks_under_a_query_is_that_tasks_alone)
{
    struct work w = { .sql = { "select pg_backend_pid()", "select pg_sleep(3600)" } };
    struct work other = { .sql = { "select pg_sleep(0.3)", "select 5" } };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    open_pool(3);
    kin_spawn(&g, work, &w);
    await_busy(1);
    kin_spawn(&g, work, &other);
    CHECK_STR(ask("select bool_and(pg_terminate_backend(pid)) from pg_stat_activity"
                  " where query like 'select pg_sleep(3600)%'"), "t");
    CHECK_CODE(kin_group_close(&g, 0), PG_ECONNECTION);
    CHECK_HAS(test_error_text(kin_error_last()), "terminating connection");
    CHECK_CODE(w.code, PG_ECONNECTION);
    CHECK_STR(other.got[1], "5");
    close_pool();
}

/* The file with the process id changes when there is a new server. */
static void await_server(void)
{
    struct work w = { .sql = { "select 1" } };

    for (int i = 0; i < 1000 && work(&w) < 0; i++)
        CHECK_CODE(kin_sleep(KIN_MS(20)), 0);
    CHECK_CODE(w.code, 0);
}

static bool settled(const struct work *work)
{
    return work->ended && (work->code == 0 || work->code == KIN_ECANCELED ||
                           work->code == PG_ECONNECTION);
}

static void kill_under_tasks(int signal)
{
    struct work w[30] = { 0 };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    int lost = 0;

    for (int i = 0; i < 30; i++) {
        w[i].sql[0] = "select pg_sleep(0.2)";
        w[i].sql[1] = "select 1";
        kin_spawn(&g, work, &w[i], .timeout = KIN_S(40));
    }
    CHECK_CODE(kin_sleep(KIN_MS(300)), 0);
    CHECK_INT(kill(server_pid(), signal), 0);
    kin_group_close(&g, 0);
    for (int i = 0; i < 30; i++) {
        CHECK(settled(&w[i]) && w[i].code != KIN_ECANCELED);
        lost += w[i].code != 0;
    }
    CHECK(lost >= 1);
    await_server();
}

FOREIGN_TEST_LIMIT(a_server_that_is_killed_fails_all_and_hangs_none, 100)
{
    open_pool(5);
    kill_under_tasks(SIGKILL);
    close_pool();
}

FOREIGN_TEST_LIMIT(so_does_one_that_is_shut_down, 100)
{
    open_pool(5);
    kill_under_tasks(SIGINT);
    close_pool();
}

/* -------------------------------------------------------------------- sweeps */

enum { SWEPT = 6 };     /* the last two have very little time */

static struct work swept[SWEPT];

static int sweep_body(void *arg)
{
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    int rc = 0;

    (void)arg;
    for (int i = 0; i < SWEPT; i++) {
        bool hasty = i >= SWEPT - 2;

        swept[i] = (struct work){ .sql = { "select 1", "select pg_sleep(0.01)", "select 2" } };
        kin_spawn(&g, work, &swept[i], .optional = hasty,
                  .timeout = hasty ? KIN_MS(4 * (i - SWEPT + 3)) : KIN_S(30));
    }
    rc = kin_group_close(&g, 0);
    for (int i = 0; i < SWEPT; i++)
        if (swept[i].ended && swept[i].code == 0)
            CHECK_STR(swept[i].got[2], "2");
    return rc;
}

static int sweep_root(void *arg)
{
    int rc = pg_pool_open(&pool, server_address("POSTGRES"), 2);

    if (rc < 0)
        return rc;
    rc = sweep_body(arg);
    close_pool();
    return rc;
}

/* Nothing is left at the server either. */
static int nothing_is_left(void *arg)
{
    (void)arg;
    open_pool(1);
    await_busy(0);
    close_pool();
    return 0;
}

TEST_LIMIT(Q4_each_call_can_be_cancelled, 200)
{
    CHECK(SWEEP(sweep_root, cancel_call, calls) > 12);
    CHECK_CODE(kin_run(nothing_is_left, NULL), 0);
}

TEST_LIMIT(Q4_each_wait_can_be_cancelled, 200)
{
    CHECK(SWEEP(sweep_root, cancel_wait, waits) > 8);
    CHECK_CODE(kin_run(nothing_is_left, NULL), 0);
}

TEST_LIMIT(Q4_each_request_for_memory_can_fail, 200)
{
    CHECK(SWEEP(sweep_root, fail_request, requests) > 5);
    CHECK_CODE(kin_run(nothing_is_left, NULL), 0);
}

TEST_LIMIT(Q2_any_order_will_do, 200)
{
    in_many_orders(sweep_root);
    CHECK_CODE(kin_run(nothing_is_left, NULL), 0);
}
