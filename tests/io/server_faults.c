/* Servers, when something goes wrong: connections that fail, what the system has too little
 * of, signals, faults everywhere (docs/semantics.md F4, G14, G15, Q4). */
#include "server_test.h"

#include "core/core.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "kin_os.h"

/* ------------------------------------------------------------------- failures */

static int fail(int fd, void *arg)
{
    struct site *site = arg;

    (void)fd;
    return site->fails_with;
}

static int explain_and_fail(int fd, void *arg)
{
    struct site *site = arg;

    (void)fd;
    return kin_fail(site->fails_with, "no such thing");
}

static void note_failure(const kin_error *error, void *arg)
{
    struct site *site = arg;

    site->error = *error;
    site->told++;
}

IO_TEST(a_connections_failure_is_reported_and_ends_nothing_else)
{
    struct site site = { .fails_with = -EILSEQ };
    kin_group g = kin_group_open();

    begin(&g, &site, fail);
    visit(&site, 1);
    CHECK_REPORTED("lost error (a connection's): guest: ");
    visit(&site, 40);
    CHECK_HAS(test_reports(), "EILSEQ");
    drop_reports();
    site.fails_with = -ECONNRESET;      /* a peer that has just gone away */
    visit(&site, 1);
    site.fails_with = KIN_EEOF;
    visit(&site, 1);
    CHECK_STR(test_reports(), "");
    CHECK_INT(site.counts.failed, 41);
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(site.result, KIN_ECANCELED);
    CHECK(!kin_error_last() || kin_error_last()->child == NULL);
}

IO_TEST(a_callback_is_told_why_a_connection_failed)
{
    struct site site = { .fails_with = -ENOENT, .failed = note_failure };
    kin_group g = kin_group_open();

    begin(&g, &site, explain_and_fail);
    visit(&site, 2);
    visit(&site, 1);
    CHECK_INT(site.told, 3);
    CHECK_CODE(site.error.code, -ENOENT);
    CHECK_STR(site.error.message, "no such thing");
    CHECK_STR(site.error.name, "guest");
    CHECK_INT(site.error.index, 3);
    site.fn = NULL;                     /* serving goes on with what it was given */
    site.fails_with = -EPIPE;           /* its peer's affair */
    visit(&site, 1);
    CHECK_INT(site.told, 3);
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(site.counts.failed, 3);
}

/* An old message does not explain a new failure. */
static int fail_twice(int fd, void *arg)
{
    (void)arg;
    kin_fail(-ENOENT, "the first");
    return kin_wait_fd(fd, 77) < 0 ? -EDOM : 0;
}

IO_TEST(E2_what_was_said_of_another_failure_is_left_out)
{
    struct site site = { .failed = note_failure };
    kin_group g = kin_group_open();

    begin(&g, &site, fail_twice);
    visit(&site, 1);
    CHECK_CODE(site.error.code, -EDOM);
    CHECK_STR(site.error.message, "");
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* G14: who says that he is cancelled, and is not, has failed. */
IO_TEST(G14_cancelled_by_nobody_is_a_failure)
{
    struct site site = { .fails_with = KIN_ECANCELED, .failed = note_failure };
    kin_group g = kin_group_open();

    begin(&g, &site, fail);
    visit(&site, 1);
    CHECK_INT(site.told, 1);
    CHECK_INT(site.counts.failed, 1);
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(site.counts.cut, 0);
}

/* ------------------------------------------------------------------ shortages */

/* Four errors that pass; one line for all, and everybody is served in the end. */
IO_TEST(a_shortage_is_waited_out_and_reported_once)
{
    static const int errors[] = { EMFILE, ENFILE, ENOMEM, ENOBUFS };
    struct site site = { .limit = 4 };
    kin_group g = kin_group_open();

    begin(&g, &site, echo);
    for (int i = 0; i < 4; i++) {
        fail_next("serve", errors[i], 2);
        visit(&site, 2);                /* the second has waited */
        CHECK_INT(failed_so_far(), 2);
    }
    CHECK_HAS(test_reports(), "connections have to wait: ");
    CHECK_HAS(test_reports(), "EMFILE");
    CHECK(!strchr(strchr(test_reports(), '\n') + 1, '\n'));
    drop_reports();
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(site.counts.accepted, 8);
}

IO_TEST(a_new_shortage_is_reported_again)
{
    struct site site = { 0 };
    kin_group g = kin_group_open();

    for (int i = 0; i < 2; i++) {
        if (i == 0)
            begin(&g, &site, fail);
        fail_next("serve", EMFILE, 1);
        visit(&site, 2);
        CHECK_INT(failed_so_far(), 1);
        CHECK_REPORTED("EMFILE");
        if (i == 0)
            CHECK_CODE(kin_sleep(KIN_MS(2100)), 0);
    }
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(fd);
    return fd;
}

/* For real: no descriptor is left. It looks again when one of its own has ended, long
 * before the pause, which has grown by then, is over. */
IO_TEST(EMFILE_is_over_when_a_connection_has_ended)
{
    struct rlimit before, limit;
    struct site site = { 0 };
    kin_group g = kin_group_open();
    int fd[4];

    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
    begin(&g, &site, echo);
    for (int i = 0; i < 4; i++)
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    limit = before;
    limit.rlim_cur = (rlim_t)lowest_free() + 2;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < 4; i++)
        connect(fd[i], (struct sockaddr *)&site.address, sizeof site.address);
    AWAIT(site.here == 2);
    CHECK_CODE(kin_sleep(KIN_MS(100)), 0);
    CHECK_INT(site.counts.accepted, 2);
    CHECK_CODE(kin_close(fd[0]), 0);
    CHECK_CODE(kin_close(fd[1]), 0);
    AWAIT(site.counts.accepted == 4);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 2; i < 4; i++) {
        ask(fd[i]);
        CHECK_INT(kin_wait_fd(fd[i], KIN_READABLE), KIN_READABLE);
        CHECK_CODE(kin_close(fd[i]), 0);
    }
    CHECK_REPORTED("EMFILE");
    AWAIT(site.here == 0);
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* It rests when it is cancelled. */
IO_TEST(a_shortage_does_not_keep_it_from_ending)
{
    struct site site = { 0 };
    kin_group g = kin_group_open();

    fail_next("serve", ENFILE, 1000);
    begin(&g, &site, echo);
    AWAIT(failed_so_far() >= 3);
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_REPORTED("ENFILE");
    CHECK_CODE(site.result, KIN_ECANCELED);
}

IO_TEST(a_listener_closed_during_a_shortage_is_noticed)
{
    struct site site = { 0 };
    kin_group g = kin_group_open();

    begin(&g, &site, echo);
    fail_next("serve", ENFILE, 3);
    AWAIT(true);
    CHECK_CODE(kin_close(client(&site)), 0);
    AWAIT(failed_so_far() == 3 || site.counts.accepted);
    CHECK_CODE(kin_close(site.listener), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(site.result, 0);
    drop_reports();
}

/* ------------------------------------------------------------------ signal, sweeps */

static int end_by_signal(void *arg)
{
    struct site *site = arg;
    kin_group g = kin_group_open();
    int busy, idle;

    CHECK_CODE(kin_end_on_signals(), 0);
    begin(&g, site, echo);
    busy = client(site);
    idle = client(site);
    kin_scope s = kin_scope_open(.shield = KIN_S(60));
    AWAIT(site->here == 2);
    CHECK_INT(write(busy, "x", 1), 1);
    raise(SIGTERM);
    check_end(idle);
    check_answer(busy);
    check_end(busy);
    kin_scope_close(&s, 0);
    return kin_group_close(&g, 0);
}

TEST(F4_a_signal_lets_a_server_finish)
{
    struct site site = { .drain = KIN_FOREVER };

    CHECK_CODE(kin_run(end_by_signal, &site, .backend = test_backend()), KIN_ECANCELED);
    CHECK_CODE(site.result, KIN_ECANCELED);
    CHECK_INT(site.counts.accepted, 2);
    CHECK_INT(site.counts.cut + site.counts.failed, 0);
}

/* Shields are lifted by the second signal: nobody is waited for any more. */
static int end_by_two(void *arg)
{
    struct site *site = arg;
    kin_group g = kin_group_open();
    int fd;

    CHECK_CODE(kin_end_on_signals(), 0);
    begin(&g, site, stay);
    fd = client(site);
    AWAIT(site->here == 1);
    raise(SIGTERM);
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    kin_sleep(KIN_MS(5));
    CHECK_INT(site->here, 1);
    raise(SIGTERM);
    CHECK_CODE(kin_scope_close(&s, kin_sleep(KIN_S(60))), KIN_ECANCELED);
    close(fd);
    return kin_group_close(&g, 0);
}

TEST(F4_the_second_signal_cuts_all_off)
{
    struct site site = { .drain = KIN_FOREVER };

    CHECK_CODE(kin_run(end_by_two, &site, .backend = test_backend()), KIN_ECANCELED);
    CHECK_INT(site.counts.cut, 1);
}

static int converse(const struct site *site)
{
    char c;
    int rc, fd = kin_connect((const struct sockaddr *)&site->address, sizeof site->address);

    if (fd < 0)
        return fd;
    rc = kin_write_all(fd, "x", 1, NULL);
    if (rc == 0)
        rc = kin_read(fd, &c, 1) < 0 ? -EIO : 0;
    kin_close(fd);
    return rc;
}

/* A whole life, in which something goes wrong somewhere. */
static int live(void *arg)
{
    struct site *site = arg;
    int rc;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    rc = kin_spawn(&g, serve, site, .name = "serve");
    if (rc < 0)
        kin_close(site->listener);
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = converse(site);
    kin_cancel(&g, NULL);
    return kin_group_close(&g, rc);
}

static void ignore(const char *line, void *arg)
{
    (void)arg;
    if (strstr(line, "misuse") || strstr(line, "deadlock"))
        FAIL("%s", line);
}

/* Out of the run, so that each has one of its own. */
static int listen_outside(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *address = (struct sockaddr_in){ .sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    CHECK_INT(bind(fd, (struct sockaddr *)address, length), 0);
    CHECK_INT(listen(fd, 10), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

/* Each ends by itself, with its descriptors closed, however it goes. */
static void sweep(size_t offset, const char *what, const char *task)
{
    int before = open_descriptors();
    uint64_t k = 0, counted;

    do {
        struct kin_faults faults = { .task = task };
        struct site site = { .fn = echo, .limit = 1, .drain = KIN_MS(1) };

        *(uint64_t *)((char *)&faults + offset) = ++k;
        tap_note("%s %llu", what, (unsigned long long)k);
        site.listener = listen_outside(&site.address);
        kin_run(live, &site, .backend = test_backend(), .faults = &faults, .on_report = ignore);
        if (fcntl(site.listener, F_GETFD) >= 0)     /* the run did not even begin */
            close(site.listener);
        CHECK_INT(site.here, 0);
        CHECK_INT(site.counts.accepted, site.entered);      /* none was lost */
        CHECK_INT(open_descriptors(), before);
        counted = offset == offsetof(struct kin_faults, fail_request) ? faults.requests
                  : offset == offsetof(struct kin_faults, cancel_call) ? faults.calls
                                                                       : faults.waits;
    } while (k <= counted || k < 4);
    printf("%s: %llu places\n", what, (unsigned long long)k - 1);
}

TEST(Q4_whichever_call_is_cancelled_it_ends_well)
{
    sweep(offsetof(struct kin_faults, cancel_call), "call", NULL);
}

TEST(Q4_whichever_wait_is_cancelled_it_ends_well)
{
    sweep(offsetof(struct kin_faults, cancel_wait), "wait", NULL);
}

TEST(Q4_whichever_request_for_memory_fails_it_ends_well)
{
    sweep(offsetof(struct kin_faults, fail_request), "request", NULL);
}

/* Out of memory for a task: what was accepted waits for some, and is served. */
IO_TEST(G15_an_accepted_connection_is_not_lost_for_want_of_memory)
{
    enum { N = 300 };                   /* more than a slab of task records holds */
    struct site site = { .drain = KIN_FOREVER };
    kin_group g = kin_group_open();
    static int fd[N];
    int lacked = 0;

    begin(&g, &site, echo);
    for (int i = 0; i < N; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK_INT(connect(fd[i], (struct sockaddr *)&site.address, sizeof site.address), 0);
        fail_next("alloc", ENOMEM, 2);
        AWAIT(site.counts.accepted == (uint64_t)i + 1);
        kin__os_fault = NULL;
        lacked += failed_so_far();
    }
    for (int i = 0; i < N; i++)
        CHECK_INT(write(fd[i], "x", 1), 1);
    for (int i = 0; i < N; i++) {
        CHECK_INT(kin_wait_fd(fd[i], KIN_READABLE), KIN_READABLE);
        close(fd[i]);
    }
    CHECK_INT(site.counts.accepted, N);
    CHECK(lacked > 0);
    AWAIT(site.here == 0);
    end(&site);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(site.result, KIN_ECANCELED);
    drop_reports();
}
