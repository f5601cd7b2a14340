/* The helpers of io_test.h. */
#include "io_test.h"

#include "core/core.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    CHECK(dir != NULL);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* On a busy machine a step may take long by the clock: no fault of the library. */
static void drop_slow_steps(void)
{
    char *lines = strdup(test_reports()), *rest = lines, *line;

    while ((line = strsep(&rest, "\n")) && (!*line || strstr(line, "kept the others waiting")))
        ;
    if (!line)
        drop_reports();
    free(lines);
}

/* The run's bell, which jobs on threads need, lives as long as the run. */
static void hang_bell(void)
{
    kin_remote remote = { .state = 0 };

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    kin_remote_close(&remote);
}

void io_body(void (*body)(void))
{
    int before;

    hang_bell();
    before = open_descriptors();
    body();
    kin__os_fault = NULL;
    CHECK_INT(open_descriptors(), before);
    drop_slow_steps();
}

bool on_uring(void)
{
    struct kin_facts facts;

    CHECK_CODE(kin_facts(&facts), 0);
    return strcmp(facts.backend, "uring") == 0;
}

int tcp_listener(struct sockaddr_in *address, int backlog)
{
    socklen_t length = sizeof *address;
    int fd;

    *address = (struct sockaddr_in){ .sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    fd = kin_listen((struct sockaddr *)address, sizeof *address, backlog);
    CHECK(fd >= 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

/* In the abstract name space: no file to be removed. */
int unix_listener(struct sockaddr_un *address, socklen_t *length, int backlog)
{
    static int number;
    int fd;

    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "kin-test-%d-%d", getpid(),
             number++);
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                          strlen(address->sun_path + 1));
    fd = kin_listen((struct sockaddr *)address, *length, backlog);
    CHECK(fd >= 0);
    return fd;
}

void tcp_pair(int fds[2])
{
    struct sockaddr_in address;
    int listener = tcp_listener(&address, 0);

    fds[0] = kin_connect((struct sockaddr *)&address, sizeof address);
    fds[1] = kin_accept(listener);
    CHECK(fds[0] >= 0 && fds[1] >= 0);
    CHECK_CODE(kin_close(listener), 0);
}

void unix_pair(int fds[2])
{
    struct sockaddr_un address;
    socklen_t length;
    int listener = unix_listener(&address, &length, 0);

    fds[0] = kin_connect((struct sockaddr *)&address, length);
    fds[1] = kin_accept(listener);
    CHECK(fds[0] >= 0 && fds[1] >= 0);
    CHECK_CODE(kin_close(listener), 0);
}

void close_both(const int fds[2])
{
    CHECK_CODE(kin_close(fds[0]), 0);
    CHECK_CODE(kin_close(fds[1]), 0);
}

size_t fill_up(int fd)
{
    static char block[65536];
    size_t total = 0;
    ssize_t n;

    while ((n = write(fd, block, sizeof block)) > 0 || (n = write(fd, block, 1)) > 0)
        total += (size_t)n;
    return total;
}

size_t drain(int fd)
{
    static char block[65536];
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };
    size_t total = 0;
    ssize_t n;

    while (poll(&pollfd, 1, 0) > 0 && (n = read(fd, block, sizeof block)) > 0)
        total += (size_t)n;
    return total;
}

char more_than_fits[64 << 20];

int call(void *arg)
{
    struct call *c = arg;

    if (!c->buffer) {
        c->buffer = c->own;
        c->size = sizeof c->own;
    }
    switch (c->what) {
    case CALL_READ: c->result = kin_read(c->fd, c->buffer, c->size); break;
    case CALL_WRITE: c->result = kin_write(c->fd, c->buffer, c->size); break;
    case CALL_WRITE_ALL: c->result = kin_write_all(c->fd, c->buffer, c->size, &c->done); break;
    case CALL_ACCEPT: c->result = kin_accept(c->fd); break;
    case CALL_WAIT: c->result = kin_wait_fd(c->fd, c->events); break;
    case CALL_CONNECT: c->result = kin_connect(c->address, c->length); break;
    }
    c->ended = true;
    return 0;
}

void begin_call(kin_group *group, struct call *c, kin_task *task, bool submitted)
{
    CHECK_CODE(kin_spawn(group, call, c, .task = task, .name = "call"), 0);
    CHECK_CODE(submitted ? kin_sleep(KIN_MS(1)) : kin_yield(), 0);
}

/* ------------------------------------------------------------------ faults */

static const char *fault_site;
static int fault_error, fault_skip, fault_count, faults;

static bool fault(const char *site)
{
    if (strcmp(site, fault_site) != 0 || fault_skip-- > 0 || fault_count <= 0)
        return false;
    fault_count--;
    faults++;
    errno = fault_error;
    return true;
}

void fail_later(const char *site, int error, int skip, int n)
{
    fault_site = site;
    fault_error = error;
    fault_skip = skip;
    fault_count = n;
    faults = 0;
    kin__os_fault = fault;
}

void fail_next(const char *site, int error, int n)
{
    fail_later(site, error, 0, n);
}

int left_to_skip(void)
{
    return fault_skip;
}

int failed_so_far(void)
{
    return faults;
}
