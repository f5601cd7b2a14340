/* examples/foreign/pg.c against a PostgreSQL: what tasks get, and how they are cancelled. */
#include "postgres_test.h"

#include <stdlib.h>

/* ------------------------------------------------------------ what they get */

FOREIGN_TEST(fifty_tasks_share_five_connections_and_each_gets_its_own)
{
    static struct work w[50];
    static char numbers[50][8];
    kin_group g = kin_group_open();
    int processes[5], n = 0;

    open_pool(5);
    for (int i = 0; i < 50; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%d", i);
        w[i] = (struct work){ .sql = { "select $1::int * 7", "select pg_sleep(0.005)",
                                       "select pg_backend_pid()" }, .value = numbers[i] };
        kin_spawn(&g, work, &w[i], .timeout = KIN_S(30));
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 50; i++) {
        int process = atoi(w[i].got[2]), k = 0;

        CHECK_INT(atoi(w[i].got[0]), i * 7);
        while (k < n && processes[k] != process)
            k++;
        CHECK(k < 5);
        processes[k] = process;
        n += k == n;
    }
    close_pool();
}

FOREIGN_TEST(nulls_go_in_and_come_out)
{
    const char *values[] = { NULL, "x" };
    struct pg_query query = { .sql = "select $1::text, $2::text", .values = values, .count = 2 };
    struct pg *pg;

    open_pool(1);
    CHECK_CODE(pg_take(&pool, &pg), 0);
    CHECK_CODE(pg_run(pg, &query, 1), 0);
    CHECK_INT(PQgetisnull(query.result, 0, 0), 1);
    CHECK_STR(PQgetvalue(query.result, 0, 1), "x");
    PQclear(query.result);
    pg_give(pg);
    close_pool();
}

/* Both sides' buffers are full: who only wrote would wait for ever. */
FOREIGN_TEST(more_goes_to_and_fro_than_the_socket_holds)
{
    enum { QUERIES = 12, SIZE = 1 << 20 };
    static char text[SIZE + 1];
    const char *value = memset(text, 'a', SIZE);
    struct pg_query query[QUERIES];
    struct pg *pg;

    open_pool(1);
    CHECK_CODE(pg_take(&pool, &pg), 0);
    for (int i = 0; i < QUERIES; i++)
        query[i] = (struct pg_query){ .sql = "select $1::text", .values = &value, .count = 1 };
    CHECK_CODE(pg_run(pg, query, QUERIES), 0);
    for (int i = 0; i < QUERIES; i++) {
        CHECK_INT(PQgetlength(query[i].result, 0, 0), SIZE);
        PQclear(query[i].result);
    }
    pg_give(pg);
    close_pool();
}

/* ---------------------------------------------------------------- cancelling */

/* One goes over its limit while the server sleeps for it, between others who do not. */
FOREIGN_TEST(a_limit_ends_the_query_at_the_server_and_nobody_elses)
{
    struct work slow = { .sql = { "select 1", "select pg_sleep(3600)", "select 2" } };
    struct work other[20];
    kin_task task;
    kin_group g = kin_group_open();
    int processes;

    open_pool(2);
    kin_spawn(&g, work, &slow, .task = &task, .timeout = KIN_MS(300), .optional = true);
    for (int i = 0; i < 20; i++) {
        other[i] = (struct work){ .sql = { "select pg_sleep(0.05)", "select 3" } };
        kin_spawn(&g, work, &other[i], .timeout = KIN_S(30));
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_TIMED_OUT);
    for (int i = 0; i < 20; i++)
        CHECK_STR(other[i].got[1], "3");
    await_busy(0);
    processes = ask_number("select count(*) from pg_stat_activity"
                           " where backend_type = 'client backend'");
    CHECK_INT(processes, 2);            /* none was closed, as none had to be */
    close_pool();
}

static void cancel_while_it_sleeps(struct work *w)
{
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, work, w, .task = &task);
    await_busy(1);
    CHECK_CODE(kin_cancel(&task, "enough"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_CODE(w->code, KIN_ECANCELED);
}

FOREIGN_TEST(C2_a_cancelled_pipeline_has_done_nothing)
{
    struct work w = { .sql = { "insert into kept values (1)", "select pg_sleep(3600)",
                               "insert into kept values (2)" } };

    open_pool(2);
    ask("drop table if exists kept");
    ask("create table kept (n int)");
    cancel_while_it_sleeps(&w);
    await_busy(0);
    CHECK_INT(ask_number("select count(*) from kept"), 0);
    ask("drop table kept");
    close_pool();
}

/* The server drops a request that comes before the query, or between two: whenever it comes,
 * the query ends, its connection is kept, and the next query on that is not hit. */
FOREIGN_TEST(a_query_can_be_cancelled_at_any_moment)
{
    static char big[1 << 20];
    const char *process;
    char before[64];
    struct work probe = { .sql = { "select pg_sleep(0.001)", "select pg_backend_pid()" } };

    open_pool(1);
    memset(big, 'x', sizeof big - 1);
    snprintf(before, sizeof before, "%s", ask("select pg_backend_pid()"));
    for (int i = 0; i < 60; i++) {
        struct work w = { .sql = { i % 3 ? "select 1" : "select length($1)", "select 2",
                                   "select pg_sleep(3600)" }, .value = i % 3 ? NULL : big };
        kin_task task;
        kin_group g = kin_group_open();

        tap_note("round %d", i);
        kin_spawn(&g, work, &w, .task = &task);
        CHECK_CODE(i % 2 ? kin_yield() : kin_sleep(KIN_US(i * 20)), 0);
        kin_cancel(&task, NULL);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(w.code, KIN_ECANCELED);
        CHECK_CODE(work(&probe), 0);
        process = probe.got[1];
        CHECK_STR(process, before);
    }
    close_pool();
}

/* Five at the server, the others in line. */
FOREIGN_TEST(cancelling_a_group_ends_all_of_its_queries)
{
    static struct work w[50];
    kin_group g = kin_group_open();

    open_pool(6);
    for (int i = 0; i < 50; i++) {
        w[i] = (struct work){ .sql = { "select pg_sleep(3600)" } };
        kin_spawn(&g, work, &w[i]);
        if (i == 4)
            await_busy(5);              /* with the sixth connection */
    }
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_cancel(&g, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 50; i++)
        CHECK_CODE(w[i].code, KIN_ECANCELED);
    await_busy(0);
    close_pool();
}

/* Its results are there when it is cancelled, but it has not seen them. */
FOREIGN_TEST(C2_a_pipeline_that_was_done_is_not_called_cancelled)
{
    struct work w = { .sql = { "select 41", "select 42" } };
    kin_task task;
    kin_group g = kin_group_open();
    pid_t process;

    open_pool(1);
    process = ask_number("select pg_backend_pid()");
    CHECK_INT(kill(process, SIGSTOP), 0);
    kin_spawn(&g, work, &w, .task = &task);
    CHECK_CODE(kin_yield(), 0);
    CHECK(!w.ended);
    CHECK_INT(kill(process, SIGCONT), 0);
    sleep_outside(300);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(w.code, 0);
    CHECK_STR(w.got[1], "42");
    CHECK_INT(task.status, KIN_OK);
    close_pool();
}

FOREIGN_TEST(who_is_cancelled_already_sends_nothing)
{
    struct work w = { .sql = { "select 1" } };
    kin_scope s;
    struct pg *pg;

    open_pool(1);
    CHECK_CODE(pg_take(&pool, &pg), 0);
    s = kin_scope_open(.cancelled = true);
    CHECK_CODE(work_on(pg, &w), KIN_ECANCELED);
    CHECK_INT(PQtransactionStatus(pg->conn), PQTRANS_IDLE);
    kin_scope_leave(&s);
    pg_give(pg);
    close_pool();
}

FOREIGN_TEST(who_waits_for_a_connection_can_be_cancelled)
{
    struct work w = { .sql = { "select 1" } };
    kin_group g = kin_group_open();
    struct pg *pg;

    open_pool(1);
    CHECK_CODE(pg_take(&pool, &pg), 0);
    kin_spawn(&g, work, &w, .timeout = KIN_MS(20), .optional = true);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(w.code, KIN_ECANCELED);
    pg_give(pg);
    close_pool();
}

/* The server is stopped: it does not take requests to cancel, either. */
FOREIGN_TEST(a_server_that_does_not_answer_is_given_up)
{
    struct work w = { .sql = { "select pg_sleep(3600)" } };
    kin_task task;
    kin_group g = kin_group_open();
    int64_t began;

    open_pool(2);
    kin_spawn(&g, work, &w, .task = &task);
    await_busy(1);
    CHECK_INT(kill(server_pid(), SIGSTOP), 0);
    began = kin_now();
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kill(server_pid(), SIGCONT), 0);
    CHECK_CODE(w.code, KIN_ECANCELED);
    CHECK(kin_now() - began >= KIN_S(2));
    CHECK(kin_now() - began < KIN_S(tap_scaled(10)));
    await_busy(0);                      /* the request that nobody waits for has come in */
    close_pool();
}
