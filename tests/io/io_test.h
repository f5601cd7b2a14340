/* Shared by the tests of descriptors: each runs as the root task on the backend that
 * KIN_BACKEND names, and must leave as many descriptors open as it found. */
#ifndef IO_TEST_H
#define IO_TEST_H

#include "kin_test.h"

#include <netinet/in.h>
#include <sys/un.h>

#define IO_TEST(name) IO_TEST_LIMIT(name, TAP_LIMIT)
#define IO_TEST_LIMIT(name, seconds)                                                      \
    static void name##_io(void);                                                          \
    static void name##_body(void)                                                         \
    {                                                                                     \
        io_body(name##_io);                                                               \
    }                                                                                     \
    TEST_LIMIT(name, seconds)                                                             \
    {                                                                                     \
        test_body_real(name##_body);                                                      \
    }                                                                                     \
    static void name##_io(void)

void io_body(void (*body)(void));
int open_descriptors(void);
bool on_uring(void);

/* Kin's own, connected. */
void tcp_pair(int fds[2]);
void unix_pair(int fds[2]);
int tcp_listener(struct sockaddr_in *address, int backlog);
int unix_listener(struct sockaddr_un *address, socklen_t *length, int backlog);
void close_both(const int fds[2]);
/* Writes until there is no more room, in a pipe; how much that was. */
size_t fill_up(int fd);
/* Reads without kin what is there now; how much that was. */
size_t drain(int fd);
extern char more_than_fits[64 << 20];   /* in what TCP will buffer */

enum call_kind { CALL_READ, CALL_WRITE, CALL_WRITE_ALL, CALL_ACCEPT, CALL_WAIT, CALL_CONNECT };

/* One blocking call as a task, which never fails by itself. */
struct call {
    enum call_kind what;
    int fd;
    unsigned events;
    const void *address;
    socklen_t length;
    char *buffer;
    size_t size, done;
    ssize_t result;
    bool ended;
    char own[64];               /* the buffer where none is given */
};
int call(void *arg);
/* Spawns it, and lets it park: in the kernel's hands, or only just submitted. */
void begin_call(kin_group *group, struct call *c, kin_task *task, bool submitted);

/* The next n requests at this site of the library fail with error, after skip. */
void fail_next(const char *site, int error, int n);
void fail_later(const char *site, int error, int skip, int n);
int failed_so_far(void);
int left_to_skip(void);

#endif
