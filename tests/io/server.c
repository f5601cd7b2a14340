/* Servers: serving, the end, the listener (docs/semantics.md C5, C6, F1). */
#include "server_test.h"

/* ------------------------------------------------------------------------ serving */

IO_TEST(each_connection_is_a_task_and_is_closed_for_it)
{
    enum { N = 50 };
    struct site site = { 0 };
    kin_group g = kin_group_open();
    int fd[N];

    begin(&g, &site, echo);
    for (int i = 0; i < N; i++)
        fd[i] = client(&site);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            ask(fd[i]);
        for (int i = 0; i < N; i++)
            check_answer(fd[i]);
    }
    CHECK_INT(site.most, N);
    for (int i = 0; i < N; i++)
        CHECK_CODE(kin_close(fd[i]), 0);
    AWAIT(site.here == 0);
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(site.result, KIN_ECANCELED);
    CHECK_INT(site.counts.accepted, N);
    CHECK_INT(site.counts.failed, 0);
    CHECK_INT(site.counts.cut, 0);
    check_refused(&site);
}

/* Whoever comes beyond the limit waits in the backlog: nothing is accepted for him. */
IO_TEST(the_limit_is_kept_by_not_accepting)
{
    struct site site = { .limit = 2 };
    kin_group g = kin_group_open();
    int fd[5];

    begin(&g, &site, answer_one);
    for (int i = 0; i < 5; i++)
        fd[i] = client(&site);
    AWAIT(site.here == 2);
    linger();
    CHECK_INT(site.counts.accepted, 2);
    for (int i = 0; i < 5; i++)
        ask(fd[i]);
    for (int i = 0; i < 5; i++) {
        check_answer(fd[i]);
        check_end(fd[i]);
    }
    CHECK_INT(site.most, 2);
    CHECK_INT(site.counts.accepted, 5);
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

IO_TEST(several_servers_share_a_group)
{
    struct site site[3] = { 0 };
    kin_group g = kin_group_open();
    int fd[3];

    for (int i = 0; i < 3; i++) {
        site[i].drain = KIN_FOREVER;
        begin(&g, &site[i], echo);
    }
    for (int i = 0; i < 3; i++)
        ask(fd[i] = client(&site[i]));
    for (int i = 0; i < 3; i++)
        check_answer(fd[i]);
    for (int i = 0; i < 3; i++)
        end(&site[i]);
    for (int i = 0; i < 3; i++)
        check_end(fd[i]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 3; i++)
        CHECK_CODE(site[i].result, KIN_ECANCELED);
}

/* --------------------------------------------------------------------- its end */

IO_TEST(C5_who_is_busy_may_finish_and_sees_the_end)
{
    struct site site = { .drain = KIN_S(60) };
    kin_group g = kin_group_open();
    int fd;

    begin(&g, &site, answer_one);
    fd = client(&site);
    AWAIT(site.here == 1);
    end(&site);
    linger();
    CHECK(!site.ended);
    check_refused(&site);               /* at once, not after the others have gone */
    ask(fd);
    check_answer(fd);
    check_end(fd);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(site.saw_drain);
    CHECK_CODE(site.result, KIN_ECANCELED);
    CHECK_INT(site.counts.accepted, 1);
    CHECK_INT(site.counts.cut, 0);
}

IO_TEST(C6_who_stays_is_cut_off_after_the_drain)
{
    struct site site = { .drain = KIN_MS(30) };
    kin_group g = kin_group_open();
    int64_t began;
    int fd[2];

    begin(&g, &site, stay);
    fd[0] = client(&site);
    fd[1] = client(&site);
    AWAIT(site.here == 2);
    began = kin_now();
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(kin_now() - began >= KIN_MS(30));
    CHECK(site.saw_end);
    CHECK_CODE(site.result, KIN_ECANCELED);
    CHECK_INT(site.counts.cut, 2);
    CHECK_INT(site.counts.failed, 0);
    check_end(fd[0]);
    check_end(fd[1]);
}

IO_TEST(without_a_drain_all_are_cut_off_at_once)
{
    struct site site = { 0 };
    kin_group g = kin_group_open();
    int fd;

    begin(&g, &site, stay);
    fd = client(&site);
    AWAIT(site.here == 1);
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(site.counts.cut, 1);
    check_end(fd);
}

/* Idle in the kernel's hands, or only on the way there. */
IO_TEST(who_is_idle_goes_at_once)
{
    for (int i = 0; i < 2; i++) {
        struct site site = { .drain = KIN_FOREVER };
        kin_group g = kin_group_open();
        int fd[3];

        begin(&g, &site, echo);
        for (int k = 0; k < 3; k++)
            fd[k] = client(&site);
        ask(fd[1]);
        check_answer(fd[1]);
        AWAIT(site.here == 3);
        if (i == 0)
            linger();
        end(&site);
        for (int k = 0; k < 3; k++)
            check_end(fd[k]);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(site.result, KIN_ECANCELED);
        CHECK_INT(site.counts.cut + site.counts.failed, 0);
    }
}

/* The end comes between the request's arrival and the look for it. */
IO_TEST(what_has_come_before_the_end_is_served)
{
    struct site site = { .drain = KIN_FOREVER };
    kin_group g = kin_group_open();
    int fd;

    begin(&g, &site, echo);
    fd = client(&site);
    AWAIT(site.here == 1);
    CHECK_INT(write(fd, "x", 1), 1);    /* without letting others run */
    end(&site);
    check_answer(fd);
    check_end(fd);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int idle_twice(int fd, void *arg)
{
    struct site *site = arg;
    int rc;

    enter(site);
    rc = kin_serve_idle(fd);
    CHECK_CODE(rc, 0);
    rc = kin_serve_idle(fd);            /* nobody waits any more */
    CHECK_CODE(rc, 0);
    site->here--;
    return rc;
}

IO_TEST(idleness_after_the_end_does_not_wait)
{
    struct site site = { .drain = KIN_FOREVER };
    kin_group g = kin_group_open();
    int fd;

    begin(&g, &site, idle_twice);
    fd = client(&site);
    AWAIT(site.here == 1);
    end(&site);
    check_end(fd);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

IO_TEST(outside_of_a_server_idleness_is_a_wait)
{
    int fds[2];

    tcp_pair(fds);
    ask(fds[1]);
    CHECK_CODE(kin_serve_idle(fds[0]), 1);
    check_answer(fds[0]);
    kin_scope s = kin_scope_open(.timeout = KIN_MS(5));
    CHECK_CODE(kin_scope_close(&s, kin_serve_idle(fds[0])), KIN_ETIMEDOUT);
    CHECK_CODE(kin_serve_idle(-1), -EBADF);
    close_both(fds);
}

/* However the end and a new connection meet: who was accepted is served, and all others are
 * refused or reset. */
IO_TEST(nobody_is_lost_who_comes_with_the_end)
{
    uint64_t served = 0;

    for (int turns = 0; turns < 40; turns++) {
        struct site site = { .drain = KIN_FOREVER };
        kin_group g = kin_group_open();
        char c = 0;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        begin(&g, &site, answer_one);
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
        CHECK_INT(connect(fd, (struct sockaddr *)&site.address, sizeof site.address), 0);
        CHECK_INT(write(fd, "x", 1), 1);
        for (int i = 0; i < turns / 8; i++)
            CHECK_CODE(kin_sleep(1), 0);
        end(&site);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_INT(site.counts.accepted, site.entered);
        CHECK_INT(read(fd, &c, 1) == 1, site.entered);
        served += site.entered;
        close(fd);
    }
    CHECK(served > 0);
}

/* A shield of the connection's own outlives the drain; the server waits for it. */
static int stay_shielded(int fd, void *arg)
{
    struct site *site = arg;
    kin_scope s = kin_scope_open(.shield = KIN_MS(20));
    int rc;

    (void)fd;
    enter(site);
    rc = kin_sleep(KIN_S(60));
    site->here--;
    return kin_scope_close(&s, rc);
}

IO_TEST(all_are_joined_also_those_behind_a_shield)
{
    struct site site = { .drain = KIN_MS(1) };
    kin_group g = kin_group_open();
    int fd;

    begin(&g, &site, stay_shielded);
    fd = client(&site);
    AWAIT(site.here == 1);
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(site.here, 0);
    CHECK_INT(site.counts.cut, 1);
    check_end(fd);
}

IO_TEST(a_limit_in_time_ends_a_server_too)
{
    struct site site = { .drain = KIN_S(60) };
    int rc;

    open_site(&site, echo);
    kin_scope s = kin_scope_open(.timeout = KIN_MS(5));
    rc = serve(&site);
    CHECK_CODE(rc, KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, rc), KIN_ETIMEDOUT);
}

/* --------------------------------------------------------------- its listener */

IO_TEST(closing_the_listener_ends_it_with_success)
{
    struct site site = { .drain = KIN_FOREVER };
    kin_group g = kin_group_open();
    int fd;

    begin(&g, &site, answer_one);
    fd = client(&site);
    AWAIT(site.here == 1);
    CHECK_CODE(kin_close(site.listener), 0);
    linger();
    CHECK(!site.ended);
    ask(fd);
    check_answer(fd);
    check_end(fd);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(site.result, 0);
    check_refused(&site);
}

/* Full, it does not accept, and yet learns of it; and does not touch who has the number. */
IO_TEST(F1_the_listeners_number_may_be_used_again_at_once)
{
    struct site site = { .limit = 1, .drain = KIN_FOREVER }, other = { 0 };
    kin_group g = kin_group_open();
    int fd;

    begin(&g, &site, answer_one);
    fd = client(&site);
    AWAIT(site.here == 1);
    linger();
    CHECK_CODE(kin_close(site.listener), 0);
    other.listener = tcp_listener(&other.address, 0);
    CHECK_INT(other.listener, site.listener);
    ask(fd);
    check_answer(fd);
    check_end(fd);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(site.result, 0);
    fd = client(&other);                /* still there */
    CHECK_CODE(kin_close(fd), 0);
    CHECK_CODE(kin_close(other.listener), 0);
}

/* Cancelled and closed in one turn, in either order: the number is given back once. */
IO_TEST(F1_cancelled_and_closed_together_it_is_closed_once)
{
    for (int i = 0; i < 4; i++) {
        struct site site = { 0 };
        kin_group g = kin_group_open();

        begin(&g, &site, echo);
        if (i & 1)
            linger();
        else
            kin_yield();
        fail_later("close", 0, 1000, 0);        /* counts, and lets all pass */
        if (i & 2)
            end(&site);
        CHECK_CODE(kin_close(site.listener), 0);
        if (!(i & 2))
            kin_cancel(&site.task, NULL);       /* it may have ended by now */
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_INT(1000 - left_to_skip(), 1);
        CHECK(site.result == 0 || site.result == KIN_ECANCELED);
        check_refused(&site);
    }
}

IO_TEST(what_cannot_be_served_is_refused)
{
    struct site site = { 0 };
    int fds[2], fd = dup(0);

    close(fd);
    CHECK_CODE(kin_serve(fd, echo, &site), -EBADF);
    CHECK_CODE(kin_serve(-1, echo, &site), -EBADF);
    tcp_pair(fds);
    CHECK_CODE(kin_serve(fds[0], echo, &site), -EINVAL);    /* connected; and closed by it */
    CHECK_CODE(kin_close(fds[0]), -EBADF);
    CHECK_CODE(kin_close(fds[1]), 0);
    open_site(&site, NULL);
    CHECK_CODE(serve(&site), KIN_EINVAL);
    check_refused(&site);
    open_site(&site, echo);
    kin_scope s = kin_scope_open(.cancelled = true);
    CHECK_CODE(serve(&site), KIN_ECANCELED);
    kin_scope_close(&s, 0);
    check_refused(&site);
}

/* Its failure is explained in the caller's slot, without a level that nobody knows of. */
IO_TEST(E2_why_it_cannot_accept_is_in_the_error_slot)
{
    int fds[2];

    tcp_pair(fds);
    CHECK_CODE(kin_serve(fds[0], echo, NULL), -EINVAL);
    CHECK(kin_error_last() != NULL);
    CHECK_CODE(kin_error_last()->code, -EINVAL);
    CHECK_STR(kin_error_last()->name, "accept");
    CHECK(!kin_error_last()->child);
    CHECK_HAS(kin_error_last()->at, "server.c:");
    CHECK_CODE(kin_close(fds[1]), 0);
}

TEST(outside_of_a_run_it_is_refused)
{
    CHECK_CODE(kin_serve(-1, echo, NULL), KIN_ENORUN);
    CHECK_CODE(kin_serve_idle(0), KIN_ENORUN);
}
