/* What the servers and clients of the network bench share.
 *
 * A server listens on a port of 127.0.0.1 that the system chooses, prints
 * "port NUMBER", and answers until it is killed. A message is 64 bytes, and the answer is
 * the same bytes. Who measures a server, and who a client, bench/harness/net.py knows.
 */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { NET_MESSAGE = 64, NET_BUFFER = 4096, NET_BACKLOG = 4096 };

#define NET_LIMIT_MS 5000               /* of a short connection */

/* For what sets errno. */
static inline void net_require(bool done, const char *what)
{
    if (!done) {
        perror(what);
        exit(1);
    }
}

static inline void net_check(bool right, const char *what)
{
    if (!right) {
        fprintf(stderr, "not measured: %s\n", what);
        exit(1);
    }
}

static inline struct sockaddr_in net_address(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static inline void net_no_delay(int fd)
{
    net_require(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) == 0, "nodelay");
}

/* As many descriptors as the system lets this process have. */
static inline void net_raise_limit(void)
{
    struct rlimit limit;

    net_require(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    net_require(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

/* Says where the server can be reached. */
static inline void net_announce(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    net_require(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
    printf("port %d\n", ntohs(address.sin_port));
    net_require(fflush(stdout) == 0, "stdout");
}

/* What accepted sockets inherit: no delay. */
static inline int net_listen(int flags)
{
    struct sockaddr_in address = net_address(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    net_require(fd >= 0, "socket");
    net_no_delay(fd);
    net_require(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    net_require(listen(fd, NET_BACKLOG) == 0, "listen");
    net_announce(fd);
    return fd;
}

static inline int64_t net_clock(clockid_t id)
{
    struct timespec now;

    net_require(clock_gettime(id, &now) == 0, "clock_gettime");
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

/* What the process has used since then, for each connection. */
static inline void net_print_short(int64_t began, long connections)
{
    printf("short_ns %.1f\n",
           (double)(net_clock(CLOCK_PROCESS_CPUTIME_ID) - began) / (double)connections);
}

static inline long net_number(int argc, char **argv, int i, long least)
{
    long n = argc > i ? strtol(argv[i], NULL, 10) : least - 1;

    if (n < least) {
        fprintf(stderr, "%s: argument %d must be a number, at least %ld\n", argv[0], i, least);
        exit(2);
    }
    return n;
}

#endif
