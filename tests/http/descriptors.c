/* Fewer descriptors than requests: they wait for one another, and none fails. */
#include "http_test.h"

#include <fcntl.h>
#include <sys/resource.h>

static int get(void *arg)
{
    kin_http_response r;
    int rc = kin_http_get(arg, &r);

    CHECK_INT(r.status, rc == 0 ? 200 : 0);
    kin_http_response_free(&r);
    return rc;
}

static void set_limit(rlim_t most)
{
    struct rlimit files;

    CHECK_INT(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = most;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &files), 0);
}

static int many(void *arg)
{
    kin_group g = kin_group_open();
    const char *address = url("HOSTILE", "/later/20");

    (void)arg;
    for (int i = 0; i < 200; i++)
        CHECK_CODE(kin_spawn(&g, get, (void *)(uintptr_t)address), 0);
    return kin_group_close(&g, 0);
}

TEST_LIMIT(thirty_two_descriptors_are_enough, 60)
{
    set_limit(32);
    CHECK_CODE(kin_run(many, NULL), 0);
}

/* The limit falls when the run is under way: sockets are refused. */
static int many_of_few(void *arg)
{
    kin_http_response r;

    CHECK_CODE(kin_http_get(url("HTTP", "/hello.txt"), &r), 0);
    kin_http_response_free(&r);
    set_limit((rlim_t)open_files() + 3 + 4);
    return many(arg);
}

HTTP_TEST(sockets_that_are_refused_are_tried_again)
{
    CHECK_CODE(many_of_few(NULL), 0);
}

/* Idle connections to other servers give way. */
HTTP_TEST(idle_connections_give_way)
{
    static const char *const servers[] = { "HTTP", "PYTHON", "HOSTILE" };
    kin_http_response r;

    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_http_get(url(servers[i], i < 2 ? "/hello.txt" : "/echo"), &r), 0);
        kin_http_response_free(&r);
        if (i == 1) {
            int next = dup(0);

            set_limit((rlim_t)next);
            close(next);
            while (dup(0) >= 0)
                ;
        }
    }
}

HTTP_TEST(no_descriptor_at_all_is_an_error)
{
    int next = dup(0);
    kin_http_response r;

    close(next);
    CHECK_CODE(kin_http_get(url("REFUSED", "/"), &r), KIN_EHTTP(7));
    kin_http_response_free(&r);
    while (next >= 0)
        next = dup(0) < 0 ? -1 : next;
    CHECK_CODE(kin_http_get(url("HTTP", "/"), &r), -EMFILE);
    CHECK_HAS(last_message(), "Too many open files");
    kin_http_response_free(&r);
}

/* Nothing of ours goes to a program that is started meanwhile. */
static int check_close_on_exec(void *arg, const void *data, size_t size)
{
    (void)data, (void)size;
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_storage a;
        socklen_t length = sizeof a;

        if (getsockname(fd, (struct sockaddr *)&a, &length) == 0 && a.ss_family == AF_INET) {
            CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            ++*(int *)arg;
        }
    }
    return 0;
}

HTTP_TEST(connections_are_close_on_exec)
{
    kin_http_response r;
    int found = 0;

    CHECK_CODE(kin_http(&r, .url = url("HTTP", "/hello.txt"), .sink = check_close_on_exec,
                        .sink_arg = &found), 0);
    CHECK_INT(found, 1);
    kin_http_response_free(&r);
}
