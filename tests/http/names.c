/* A name server that never answers. In a network of its own, where the name server
 * of a resolv.conf of its own is a socket that nobody reads. */
#include "http_test.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return written;
}

static bool own_namespaces(void)
{
    char map[64];
    uid_t user = getuid();
    gid_t group = getgid();

    if (unshare(CLONE_NEWNET | CLONE_NEWNS) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
        return false;
    put("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", user);
    if (!put("/proc/self/uid_map", map))
        return false;
    snprintf(map, sizeof map, "0 %u 1", group);
    return put("/proc/self/gid_map", map);
}

static bool loopback_up(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;

    if (fd >= 0)
        close(fd);
    return up;
}

static bool over(const char *path, const char *text)
{
    char name[] = "/tmp/kin-http-conf-XXXXXX";
    int fd = mkstemp(name);
    bool mounted;

    if (fd < 0)
        return false;
    close(fd);
    mounted = put(name, text) && chmod(name, 0644) == 0 &&
              mount(name, path, NULL, MS_BIND, NULL) == 0;
    unlink(name);
    return mounted;
}

static void with_a_deaf_name_server(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd;

    if (!own_namespaces())
        SKIP("no namespaces of one's own here");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !loopback_up() ||
        !over("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:2\n") ||
        !over("/etc/nsswitch.conf", "hosts: dns\n"))
        SKIP("no files of one's own here");
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(fd >= 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
}

static void look_up(const char *address)
{
    kin_http_response r;
    int64_t start = now();
    kin_scope s = kin_scope_open(.timeout = KIN_MS(300));
    int rc = kin_http_get(address, &r);

    CHECK_CODE(rc, KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, rc), KIN_ETIMEDOUT);
    CHECK(now() - start >= KIN_MS(300));
    CHECK_WITHIN(start, 3);
    kin_http_response_free(&r);
}

static int look_up_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        look_up("http://kin.example/");
    return 0;
}

/* Ended in the middle of a look-up, neither the request, nor the run, nor the
 * process waits for it. */
TEST_LIMIT(trap_removal_in_a_look_up_does_not_block, 60)
{
    int64_t start = now();
    int status;
    pid_t child;

    with_a_deaf_name_server();
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        exit(kin_run(look_up_often, NULL) == 0 ? 0 : 1);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    CHECK_WITHIN(start, 15);
}

static int look_up_a_name(void *arg)
{
    kin_http_response r;

    (void)arg;
    (void)kin_http_get("http://kin.example/", &r);
    kin_http_response_free(&r);
    return 0;
}

static int others_go_on(void *arg)
{
    kin_group g = kin_group_open();
    kin_http_response r;
    int64_t start = now();

    (void)arg;
    for (int i = 0; i < 50; i++)
        CHECK_CODE(kin_spawn(&g, look_up_a_name, NULL), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_CODE(kin_http_get("http://127.0.0.1:1/", &r), KIN_EHTTP(7));
        kin_http_response_free(&r);
        CHECK_CODE(kin_sleep(KIN_MS(10)), 0);
    }
    CHECK_WITHIN(start, 5);
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_WITHIN(start, 10);
    return 0;
}

TEST_LIMIT(fifty_look_ups_that_hang_delay_nobody_else, 60)
{
    with_a_deaf_name_server();
    CHECK_CODE(kin_run(others_go_on, NULL), 0);
}

/* No part of a name can be so long, so that nobody is asked for it. */
HTTP_TEST(a_name_that_does_not_exist)
{
    static const char name[] = "http://nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-nowhere/";
    kin_http_response r;

    CHECK_CODE(kin_http_get(name, &r), KIN_EHTTP(6));
    CHECK_STR(kin_code_name(KIN_EHTTP(6)), "CURLE_COULDNT_RESOLVE_HOST");
    CHECK_HAS(last_message(), "nowhere-nowhere");
    kin_http_response_free(&r);
}
