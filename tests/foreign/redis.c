/* examples/foreign/rd.c against a Redis that servers.py has started. */
#include "foreign_test.h"
#include "rd.h"

#include <stdlib.h>

static struct rd rd;

/* The service of a group of its own, in which the body's other tasks are as well. */
static kin_group connected(bool restart)
{
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING, .name = "redis");

    signal(SIGPIPE, SIG_IGN);
    rd = (struct rd){ .path = server_address("REDIS") };
    CHECK_CODE(kin_start(&g, rd_serve, &rd, .name = "connection", .service = true,
                         .restart = restart), 0);
    return g;
}

/* A task with one command that has a string in it and a string or number as its reply. */
struct ask {
    const char *format, *value;
    char got[64];
    int code;
    bool ended;
};

static int ask(void *arg)
{
    struct ask *a = arg;
    redisReply *reply = NULL;

    a->code = rd_command(&rd, &reply, a->format, a->value);
    a->ended = true;
    if (a->code < 0)
        return a->code;
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(a->got, sizeof a->got, "%lld", reply->integer);
    else
        snprintf(a->got, sizeof a->got, "%s", reply->str ? reply->str : "(none)");
    freeReplyObject(reply);
    return 0;
}

/* --------------------------------------------------------------------- replies */

FOREIGN_TEST(a_thousand_tasks_on_one_connection_get_their_own_replies)
{
    enum { TASKS = 1000 };
    static struct ask a[TASKS];
    static char numbers[TASKS][8];
    kin_group service = connected(false);
    kin_group g = kin_group_open();

    for (int i = 0; i < TASKS; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%d", i);
        a[i] = (struct ask){ .format = "ECHO %s", .value = numbers[i] };
        kin_spawn(&g, ask, &a[i]);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < TASKS; i++)
        CHECK_STR(a[i].got, numbers[i]);
    CHECK_CODE(kin_group_close(&service, 0), 0);
}

FOREIGN_TEST(replies_of_every_kind)
{
    kin_group g = connected(false);
    redisReply *reply;

    CHECK_CODE(rd_command(&rd, &reply, "GET kin-test:none"), 0);
    CHECK_INT(reply->type, REDIS_REPLY_NIL);
    freeReplyObject(reply);
    CHECK_CODE(rd_command(&rd, &reply, "EVAL %s 0", "return {1, 'two', {3, 'four'}}"), 0);
    CHECK_INT(reply->type, REDIS_REPLY_ARRAY);
    CHECK_INT(reply->elements, 3);
    CHECK_INT(reply->element[0]->integer, 1);
    CHECK_STR(reply->element[2]->element[1]->str, "four");
    freeReplyObject(reply);
    CHECK_CODE(rd_command(&rd, &reply, "PING"), 0);
    CHECK_INT(reply->type, REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    CHECK_CODE(rd_command(&rd, NULL, "EVAL %s 0", "return {1, {2}}"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

FOREIGN_TEST(an_error_is_a_code_with_the_servers_words)
{
    kin_group g = connected(false);
    redisReply *reply = NULL;

    CHECK_CODE(rd_command(&rd, NULL, "SET kin-test:text %s", "no number"), 0);
    CHECK_CODE(rd_command(&rd, &reply, "INCR kin-test:text"), RD_EREPLY);
    CHECK(reply == NULL);
    CHECK_HAS(kin_error_last()->message, "not an integer");
    CHECK_STR(kin_code_name(RD_EREPLY), "RD_EREPLY");
    CHECK_STR(kin_class_name(RD_CLASS), "redis");
    CHECK_CODE(rd_command(&rd, NULL, "DEL kin-test:text"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

FOREIGN_TEST(more_than_the_socket_holds)
{
    enum { SIZE = 8 << 20 };
    static char big[SIZE];
    kin_group g = connected(false);
    redisReply *reply;

    memset(big, 'b', sizeof big);
    CHECK_CODE(rd_command(&rd, &reply, "ECHO %b", big, sizeof big), 0);
    CHECK_INT(reply->len, SIZE);
    CHECK(memcmp(reply->str, big, SIZE) == 0);
    freeReplyObject(reply);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

FOREIGN_TEST(what_does_not_have_one_reply_is_refused)
{
    static const char *const commands[] = { "SUBSCRIBE a", "Unsubscribe a", "PSUBSCRIBE a",
                                            "PUNSUBSCRIBE", "monitor" };
    kin_group g = connected(false);

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        CHECK_CODE(rd_command(&rd, NULL, commands[i]), KIN_EINVAL);
    CHECK_CODE(rd_command(&rd, NULL, "GET %!", 1), KIN_EINVAL);
    CHECK_CODE(rd_command(&rd, NULL, "PING"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* ------------------------------------------------------------------- cancelling */

/* The server makes the connection wait; who gives up is not served in another's place. */
FOREIGN_TEST(a_reply_that_was_given_up_goes_to_nobody)
{
    struct ask slow = { .format = "BLPOP kin-test:%s 0.5", .value = "nothing" };
    struct ask other[10];
    kin_task task;
    kin_group service = connected(false);
    kin_group g = kin_group_open();
    char numbers[10][4];

    kin_spawn(&g, ask, &slow, .task = &task, .timeout = KIN_MS(50), .optional = true);
    for (int i = 0; i < 10; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%d", i);
        other[i] = (struct ask){ .format = "ECHO %s", .value = numbers[i] };
        kin_spawn(&g, ask, &other[i]);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_TIMED_OUT);
    for (int i = 0; i < 10; i++)
        CHECK_STR(other[i].got, numbers[i]);
    CHECK_CODE(kin_group_close(&service, 0), 0);
}

FOREIGN_TEST(a_command_can_be_cancelled_at_any_moment)
{
    kin_group service = connected(false);

    for (int i = 0; i < 200; i++) {
        struct ask a = { .format = "ECHO %s", .value = "mine" }, next = a;
        kin_task task;
        kin_group g = kin_group_open();

        tap_note("round %d", i);
        next.value = "next";
        kin_spawn(&g, ask, &a, .task = &task);
        CHECK_CODE(i % 2 ? kin_sleep(KIN_US(i)) : kin_yield(), 0);
        kin_cancel(&task, NULL);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK(a.code == KIN_ECANCELED || strcmp(a.got, "mine") == 0);
        CHECK_CODE(ask(&next), 0);
        CHECK_STR(next.got, "next");
    }
    CHECK_CODE(kin_group_close(&service, 0), 0);
}

FOREIGN_TEST(limits_are_obeyed_while_the_server_sleeps)
{
    struct ask sleep = { .format = "DEBUG SLEEP %s", .value = "0.6" };
    struct ask hasty[5], patient = { .format = "ECHO %s", .value = "there" };
    kin_group service = connected(false);
    kin_group g = kin_group_open();
    kin_group in_time = kin_group_open();
    int64_t began = kin_now();

    kin_spawn(&g, ask, &sleep);
    kin_spawn(&g, ask, &patient);
    CHECK_CODE(kin_sleep(KIN_MS(20)), 0);
    for (int i = 0; i < 5; i++) {
        hasty[i] = (struct ask){ .format = "ECHO %s", .value = "late" };
        kin_spawn(&in_time, ask, &hasty[i], .timeout = KIN_MS(30), .optional = true);
    }
    CHECK_CODE(kin_group_close(&in_time, 0), 0);
    CHECK(!sleep.ended || kin_now() - began >= KIN_MS(600));
    for (int i = 0; i < 5; i++)
        CHECK_CODE(hasty[i].code, KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_STR(patient.got, "there");
    CHECK_CODE(kin_group_close(&service, 0), 0);
}

/* Its replies never come; the service ends, and frees what nobody will get. */
FOREIGN_TEST(the_connection_can_end_while_replies_are_due)
{
    struct ask a[5];
    kin_group service = connected(false);
    kin_group g = kin_group_open();

    for (int i = 0; i < 5; i++) {
        a[i] = (struct ask){ .format = "BLPOP kin-test:%s 60", .value = "nothing" };
        kin_spawn(&g, ask, &a[i]);
    }
    CHECK_CODE(kin_sleep(KIN_MS(20)), 0);
    CHECK_CODE(kin_cancel(&g, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&service, 0), 0);
    CHECK(rd.redis == NULL);
}

FOREIGN_TEST(who_is_cancelled_already_sends_nothing)
{
    kin_group service = connected(false);
    kin_scope s = kin_scope_open(.cancelled = true);
    redisReply *reply;

    CHECK_CODE(rd_command(&rd, NULL, "SET kin-test:sent 1"), KIN_ECANCELED);
    kin_scope_leave(&s);
    CHECK_CODE(rd_command(&rd, &reply, "EXISTS kin-test:sent"), 0);
    CHECK_INT(reply->integer, 0);
    freeReplyObject(reply);
    CHECK_CODE(kin_group_close(&service, 0), 0);
}

/* Its reply has come in, but it has not run yet. */
FOREIGN_TEST(C2_what_was_woken_is_not_cancelled)
{
    struct ask a = { .format = "ECHO %s", .value = "here" };
    kin_task task;
    kin_group service = connected(false);
    kin_group g = kin_group_open();

    kin_spawn(&g, ask, &a, .task = &task);
    CHECK_CODE(kin_yield(), 0);
    while (!a.ended && rd.redis->replies.head) {
        sleep_outside(1);
        CHECK_CODE(kin_yield(), 0);
    }
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(a.code, 0);
    CHECK_STR(a.got, "here");
    CHECK_CODE(kin_group_close(&service, 0), 0);
}

/* --------------------------------------------------- connections that break */

FOREIGN_TEST(no_server_comes_out_of_start)
{
    kin_group g = kin_group_open();

    rd = (struct rd){ .path = "/nonexistent/socket" };
    CHECK_CODE(kin_start(&g, rd_serve, &rd, .service = true, .restart = true), RD_ECONNECTION);
    CHECK_HAS(kin_error_last()->message, "/nonexistent/socket: No such file or directory");
    CHECK_CODE(rd_command(&rd, NULL, "PING"), RD_ECONNECTION);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static void hang(kin_group *g, struct ask *a, int n)
{
    for (int i = 0; i < n; i++) {
        a[i] = (struct ask){ .format = "BLPOP kin-test:%s 60", .value = "nothing" };
        kin_spawn(g, ask, &a[i], .timeout = KIN_S(40));
    }
    CHECK_CODE(kin_sleep(KIN_MS(20)), 0);
}

static void check_lost(kin_group *g, const struct ask *a, int n)
{
    CHECK_CODE(kin_group_close(g, 0), RD_ECONNECTION);
    for (int i = 0; i < n; i++)
        CHECK_CODE(a[i].code, RD_ECONNECTION);
}

static void await_connection(void)
{
    int rc = -1;

    for (int i = 0; i < 1000 && rc < 0; i++) {
        rc = rd_command(&rd, NULL, "PING");
        if (rc < 0)
            CHECK_CODE(kin_sleep(KIN_MS(20)), 0);
    }
    CHECK_CODE(rc, 0);
}

/* All that wait are told; the service comes back, and so does the server. */
FOREIGN_TEST_LIMIT(a_server_that_is_killed_wakes_all_and_is_found_again, 100)
{
    struct ask a[20];
    kin_group service = connected(true);
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    hang(&g, a, 20);
    CHECK_INT(kill(server_pid(), SIGKILL), 0);
    check_lost(&g, a, 20);
    CHECK_CODE(rd_command(&rd, NULL, "PING"), RD_ECONNECTION);
    await_connection();
    CHECK_REPORTED("it is started again in");
    CHECK_CODE(kin_group_close(&service, 0), 0);
}

/* It is gone before they send; and it may seem that they can. */
FOREIGN_TEST_LIMIT(who_sends_to_a_server_that_is_gone_is_told, 100)
{
    struct ask a[20];
    kin_group service = connected(true);
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    for (int i = 0; i < 20; i++) {
        a[i] = (struct ask){ .format = "ECHO %s", .value = "there" };
        kin_spawn(&g, ask, &a[i], .timeout = KIN_S(40));
    }
    CHECK_INT(kill(server_pid(), SIGKILL), 0);
    sleep_outside(100);
    check_lost(&g, a, 20);
    await_connection();
    CHECK_REPORTED("it is started again in");
    CHECK_CODE(kin_group_close(&service, 0), 0);
}

/* The server closes this one, by another's command. */
FOREIGN_TEST(a_service_that_is_not_restarted_fails_its_group)
{
    struct ask a[3];
    kin_group service = connected(false);
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    hang(&g, a, 3);
    CHECK_INT(system("redis-cli -s \"$REDIS\" client kill type normal >/dev/null"), 0);
    check_lost(&g, a, 3);
    CHECK_CODE(kin_group_close(&service, 0), RD_ECONNECTION);
    CHECK_HAS(test_error_text(kin_error_last()), "Server closed the connection");
    CHECK_REPORTED("Server closed the connection");
}

/* ----------------------------------------------------------------------- sweeps */

static int sweep_root(void *arg)
{
    struct ask a[4];
    kin_group service = kin_group_open(.name = "redis");
    kin_group g;
    int rc;

    (void)arg;
    rd = (struct rd){ .path = server_address("REDIS") };
    rc = kin_start(&service, rd_serve, &rd, .service = true);
    if (rc < 0)
        return kin_group_close(&service, rc);
    g = kin_group_open(.policy = KIN_KEEP_GOING);
    for (int i = 0; i < 4; i++) {
        a[i] = (struct ask){ .format = i % 2 ? "ECHO %s" : "BLPOP %s 0.01", .value = "x" };
        kin_spawn(&g, ask, &a[i], .timeout = i == 2 ? KIN_MS(1) : KIN_S(30), .optional = i == 2);
    }
    rc = kin_group_close(&g, 0);
    for (int i = 0; i < 4; i++)
        if (a[i].ended && a[i].code == 0)
            CHECK_STR(a[i].got, i % 2 ? "x" : "(none)");
    return kin_group_close(&service, rc);
}

TEST_LIMIT(Q4_each_call_can_be_cancelled, 200)
{
    CHECK(SWEEP(sweep_root, cancel_call, calls) > 8);
}

TEST_LIMIT(Q4_each_wait_can_be_cancelled, 200)
{
    CHECK(SWEEP(sweep_root, cancel_wait, waits) > 5);
}

TEST_LIMIT(Q4_each_request_for_memory_can_fail, 200)
{
    CHECK(SWEEP(sweep_root, fail_request, requests) > 5);
}

TEST_LIMIT(Q2_any_order_will_do, 200)
{
    in_many_orders(sweep_root);
}
