/* Every system call of the library may fail: each in turn is made to, once, in every job below,
 * and once more each is interrupted by a signal, which no job may notice.
 *
 * The calls are caught where the library calls the C library and liburing (the linker's --wrap:
 * see meson.build), so that none can be forgotten in the code. A job that fails must say so with
 * a code that has a name, in time, and leave no descriptor and no memory behind. */
#include "remote_test.h"

#include "kin_ext.h"
#include "kin_io.h"
#include "kin_os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kin_config.h"

#if KIN_HAVE_URING
#include <liburing.h>
#endif

/* ------------------------------------------------------------------ the calls */

static enum { FAIL, INTERRUPT } how;
static _Atomic unsigned calls;          /* since the job began, in all threads */
static unsigned victim;                 /* the number of the call that fails; 0: none */
static const char *hit;                 /* which that was */
static bool armed;

static bool fails_now(const char *name)
{
    if (!armed || ++calls != victim)
        return false;
    hit = name;
    return true;
}

/* What may be interrupted, and says so without having done anything. */
static bool is_interrupted(const char *name)
{
    return how == INTERRUPT && fails_now(name);
}

static bool is_failed(const char *name)
{
    return how == FAIL && fails_now(name);
}

#define WRAP(result, name, error, interruptible, parameters, arguments) \
    result __real_##name parameters;                                    \
    result __wrap_##name parameters;                                    \
    result __wrap_##name parameters                                     \
    {                                                                   \
        if (interruptible && is_interrupted(#name)) {                   \
            errno = EINTR;                                              \
            return -1;                                                  \
        }                                                               \
        if (is_failed(#name)) {                                         \
            errno = error;                                              \
            return -1;                                                  \
        }                                                               \
        return __real_##name arguments;                                 \
    }

WRAP(int, socket, EMFILE, false, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, bind, EADDRINUSE, false, (int fd, const struct sockaddr *address, socklen_t length),
     (fd, address, length))
WRAP(int, listen, EADDRINUSE, false, (int fd, int backlog), (fd, backlog))
WRAP(int, accept4, EMFILE, true,
     (int fd, struct sockaddr *address, socklen_t *length, int flags), (fd, address, length, flags))
WRAP(int, connect, ENETUNREACH, false, (int fd, const struct sockaddr *address, socklen_t length),
     (fd, address, length))
WRAP(ssize_t, recv, ECONNRESET, true, (int fd, void *buffer, size_t size, int flags),
     (fd, buffer, size, flags))
WRAP(ssize_t, send, ECONNRESET, true, (int fd, const void *buffer, size_t size, int flags),
     (fd, buffer, size, flags))
WRAP(ssize_t, read, EIO, true, (int fd, void *buffer, size_t size), (fd, buffer, size))
WRAP(ssize_t, write, EIO, true, (int fd, const void *buffer, size_t size), (fd, buffer, size))
WRAP(ssize_t, recvmsg, ECONNRESET, true, (int fd, struct msghdr *message, int flags),
     (fd, message, flags))
WRAP(ssize_t, sendmsg, ENETUNREACH, true, (int fd, const struct msghdr *message, int flags),
     (fd, message, flags))
WRAP(int, socketpair, EMFILE, false, (int domain, int type, int protocol, int fds[2]),
     (domain, type, protocol, fds))
WRAP(int, shutdown, ENOTCONN, false, (int fd, int sides), (fd, sides))
WRAP(int, getsockname, ENOBUFS, false, (int fd, struct sockaddr *address, socklen_t *length),
     (fd, address, length))
WRAP(int, getpeername, ENOBUFS, false, (int fd, struct sockaddr *address, socklen_t *length),
     (fd, address, length))
WRAP(int, stat, EACCES, false, (const char *path, struct stat *status), (path, status))
WRAP(int, lstat, EACCES, false, (const char *path, struct stat *status), (path, status))
WRAP(int, lstat64, EACCES, false, (const char *path, struct stat *status), (path, status))
WRAP(int, fchmod, EPERM, false, (int fd, mode_t mode), (fd, mode))
WRAP(int, chmod, EPERM, false, (const char *path, mode_t mode), (path, mode))
WRAP(int, unlink, EACCES, false, (const char *path), (path))
WRAP(int, pipe2, EMFILE, false, (int fds[2], int flags), (fds, flags))
WRAP(int, fstat, ENOMEM, false, (int fd, struct stat *status), (fd, status))
WRAP(int, poll, ENOMEM, true, (struct pollfd *fds, nfds_t count, int timeout),
     (fds, count, timeout))
WRAP(int, getsockopt, ENOMEM, false, (int fd, int level, int name, void *value, socklen_t *size),
     (fd, level, name, value, size))
WRAP(int, setsockopt, ENOMEM, false,
     (int fd, int level, int name, const void *value, socklen_t size),
     (fd, level, name, value, size))
WRAP(int, epoll_create1, EMFILE, false, (int flags), (flags))
WRAP(int, epoll_ctl, ENOSPC, false, (int fd, int what, int target, struct epoll_event *event),
     (fd, what, target, event))
WRAP(int, epoll_wait, EINTR, true, (int fd, struct epoll_event *events, int most, int timeout),
     (fd, events, most, timeout))       /* another error is a bug of the library: it aborts */
WRAP(int, eventfd, EMFILE, false, (unsigned count, int flags), (count, flags))
WRAP(int, timerfd_create, EMFILE, false, (int clock, int flags), (clock, flags))
WRAP(int, waitid, ECHILD, true, (idtype_t type, id_t id, siginfo_t *info, int options),
     (type, id, info, options))
WRAP(int, kill, EPERM, false, (pid_t pid, int number), (pid, number))
WRAP(int, dup2, EBADF, false, (int from, int to), (from, to))

/* With offsets of 64 bits these are what the C library's header makes of open, fstat, … */
WRAP(int, fstat64, ENOMEM, false, (int fd, struct stat *status), (fd, status))
WRAP(int, fstatat64, ENOMEM, false, (int fd, const char *path, struct stat *status, int flags),
     (fd, path, status, flags))
WRAP(int, stat64, EACCES, false, (const char *path, struct stat *status), (path, status))
WRAP(ssize_t, pread64, EIO, true, (int fd, void *buffer, size_t size, off_t at),
     (fd, buffer, size, at))
WRAP(ssize_t, pwrite64, ENOSPC, true, (int fd, const void *buffer, size_t size, off_t at),
     (fd, buffer, size, at))
WRAP(ssize_t, preadv64v2, EAGAIN, true,
     (int fd, const struct iovec *pieces, int count, off_t at, int flags),
     (fd, pieces, count, at, flags))
WRAP(ssize_t, pwritev64v2, EAGAIN, true,
     (int fd, const struct iovec *pieces, int count, off_t at, int flags),
     (fd, pieces, count, at, flags))
WRAP(int, fsync, EIO, true, (int fd), (fd))
WRAP(int, ftruncate64, EIO, true, (int fd, off_t size), (fd, size))
WRAP(int, rename, EXDEV, true, (const char *from, const char *to), (from, to))
WRAP(int, unlinkat, EBUSY, true, (int fd, const char *path, int flags), (fd, path, flags))
WRAP(ssize_t, getrandom, EAGAIN, true, (void *into, size_t size, unsigned flags),
     (into, size, flags))
WRAP(int, inotify_init1, EMFILE, false, (int flags), (flags))
WRAP(int, inotify_add_watch, ENOSPC, true, (int fd, const char *path, uint32_t mask),
     (fd, path, mask))

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    if (strcmp(path, "/dev/null") != 0 && is_interrupted("open64")) {    /* that never waits */
        errno = EINTR;
        return -1;
    }
    errno = EMFILE;
    return is_failed("open64") ? -1 : __real_open64(path, flags, 0600);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    errno = EMFILE;
    return is_failed("open") ? -1 : __real_open(path, flags, 0600);
}

/* It closes all the same, as Linux does. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    int rc = __real_close(fd), error = errno;
    bool interrupted = is_interrupted("close");

    if (rc == 0 && (interrupted || is_failed("close"))) {
        errno = interrupted ? EINTR : EIO;
        return -1;
    }
    errno = error;
    return rc;
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*fn)(void *arg), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*fn)(void *arg), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*fn)(void *arg), void *arg)
{
    return is_failed("pthread_create") ? EAGAIN
                                       : __real_pthread_create(thread, attributes, fn, arg);
}

/* A write to the bell fails only if the pipe is full, when the bell rings already. */
static int error_of_syscall(long number)
{
    switch (number) {
    case SYS_write:
        return 0;
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
        return ENOSYS;
#endif
    case SYS_close_range:
        return ENOSYS;
    default:
        return EMFILE;
    }
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    int error = error_of_syscall(number);

    if (error && is_failed("syscall")) {
        errno = error;
        return -1;
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

#if KIN_HAVE_URING
#define WRAP_RING(name, error, interruptible, parameters, arguments)          \
    int __real_##name parameters;                                             \
    int __wrap_##name parameters;                                             \
    int __wrap_##name parameters                                              \
    {                                                                         \
        if (interruptible && is_interrupted(#name))                           \
            return -EINTR;                                                    \
        return is_failed(#name) ? -(error) : __real_##name arguments;         \
    }

WRAP_RING(io_uring_queue_init_params, EPERM, false,
          (unsigned entries, struct io_uring *ring, struct io_uring_params *params),
          (entries, ring, params))
WRAP_RING(io_uring_submit, EAGAIN, true, (struct io_uring *ring), (ring))
WRAP_RING(io_uring_submit_and_wait_timeout, EBUSY, true,
          (struct io_uring *ring, struct io_uring_cqe **cqe, unsigned count,
           struct __kernel_timespec *limit, sigset_t *mask), (ring, cqe, count, limit, mask))
WRAP_RING(io_uring_submit_and_get_events, ENOMEM, true, (struct io_uring *ring), (ring))
WRAP_RING(io_uring_register_ring_fd, EINVAL, false, (struct io_uring *ring), (ring))
WRAP_RING(io_uring_register_eventfd, ENOMEM, false, (struct io_uring *ring, int fd), (ring, fd))
#endif

/* ------------------------------------------------------------------- the jobs */

static int serve_one(void *arg)
{
    char buffer[64];
    ssize_t n;
    int fd = kin_accept(*(int *)arg), rc, closed;

    if (fd < 0)
        return fd;
    do {
        n = kin_read(fd, buffer, sizeof buffer);
        rc = n > 0 ? kin_write_all(fd, buffer, (size_t)n, NULL) : (int)n;
    } while (rc == 0 && n > 0);
    closed = kin_close(fd);
    return rc < 0 ? rc : closed;
}

static int converse(int fd)
{
    char buffer[6];
    ssize_t n = kin_write_all(fd, "hello", 5, NULL);

    if (n == 0)
        n = kin_read(fd, buffer, sizeof buffer);
    if (n >= 0 && n < 5)
        n = -EPROTO;
    return n < 0 ? (int)n : 0;
}

static int connect_and_talk(struct sockaddr *address, socklen_t length)
{
    int fd = kin_connect(address, length), rc, closed;

    if (fd < 0)
        return fd;
    rc = converse(fd);
    closed = kin_close(fd);
    return rc < 0 ? rc : closed;
}

static int talk(int listener, struct sockaddr *address, socklen_t length)
{
    int rc;

    KIN_GROUP(rc, g) {
        kin_spawn(&g, serve_one, &listener, .name = "server");
        rc = connect_and_talk(address, length);
    }
    return rc;
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd;

    *address = (struct sockaddr_in){ .sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    fd = kin_listen((struct sockaddr *)address, length, 4);
    if (fd >= 0)
        CHECK_INT(__real_getsockname(fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

static int tcp(void)
{
    struct sockaddr_in address;
    int fd = listen_on_loopback(&address), rc;

    if (fd < 0)
        return fd;
    rc = talk(fd, (struct sockaddr *)&address, sizeof address);
    kin_close(fd);
    return rc;
}

static int talk_to_name(int listener, const char *port)
{
    int rc, fd;

    KIN_GROUP(rc, g) {
        kin_spawn(&g, serve_one, &listener, .name = "server");
        fd = kin_connect_host("localhost", port);
        rc = fd < 0 ? fd : converse(fd);
        if (fd >= 0)
            kin_close(fd);
    }
    return rc;
}

static int by_name(void)
{
    struct sockaddr_in address;
    int fd = listen_on_loopback(&address), rc;
    char port[8];

    if (fd < 0)
        return fd;
    snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
    rc = talk_to_name(fd, port);
    kin_close(fd);
    return rc;
}

static int local(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int n = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "kin-calls-%d", getpid());
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) + (socklen_t)n;
    int fd = kin_listen((struct sockaddr *)&address, length, 4), rc;

    if (fd < 0)
        return fd;
    rc = talk(fd, (struct sockaddr *)&address, length);
    kin_close(fd);
    return rc;
}

/* The second finds what the first has left there. */
static int at_a_path(void)
{
    char path[64];
    int fd = 0;

    snprintf(path, sizeof path, "/tmp/kin-calls-%d", getpid());
    for (int i = 0; i < 2 && fd >= 0; i++) {
        fd = kin_listen_unix(path, .mode = 0600);
        if (fd >= 0)
            fd = kin_close(fd);
    }
    __real_unlink(path);
    return fd;
}

static int answer_one(void *arg)
{
    char byte;
    kin_address from;
    ssize_t n = kin_receive_from(*(int *)arg, &byte, 1, &from, NULL);

    return n < 0 ? (int)n : (int)kin_send_to(*(int *)arg, &byte, 1, &from);
}

static int ask(int server, int client)
{
    char byte;
    int rc;

    KIN_GROUP(rc, g) {
        kin_spawn(&g, answer_one, &server, .name = "server");
        rc = (int)kin_send_to(client, "x", 1, NULL);
        if (rc > 0)
            rc = (int)kin_receive_from(client, &byte, 1, NULL, NULL);
    }
    return rc < 0 ? rc : 0;
}

static int datagrams(void)
{
    kin_address address = { .v4 = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
                            .length = sizeof address.v4 };
    int server = kin_datagram_at(&address, NULL), client, rc;

    if (server < 0)
        return server;
    rc = kin_local_address(server, &address);
    client = rc < 0 ? rc : kin_datagram_at(NULL, &address, .v6_only = true);
    rc = client < 0 ? client : ask(server, client);
    if (client >= 0)
        kin_close(client);
    kin_close(server);
    return rc;
}

/* A pair passes a descriptor of its own to itself, and that is taken over. */
static int pass(int fds[2])
{
    char byte;
    size_t count = 1;
    int passed, rc = (int)kin_send_fds(fds[0], "x", 1, fds, 1);

    if (rc > 0)
        rc = (int)kin_receive_fds(fds[1], &byte, 1, &passed, &count);
    if (rc <= 0)
        return rc;
    rc = kin_adopt(passed);
    if (rc >= 0)
        rc = kin_shutdown(passed, SHUT_WR);
    if (rc == 0)
        rc = (int)kin_read(fds[1], &byte, 1);
    kin_close(passed);
    return rc;
}

static int passing(void)
{
    int fds[2], rc = kin_socket_pair(SOCK_STREAM, fds);

    if (rc < 0)
        return rc;
    rc = pass(fds);
    kin_close(fds[0]);
    kin_close(fds[1]);
    return rc;
}

static int write_a_byte(void *arg)
{
    return (int)kin_write(*(int *)arg, "x", 1);
}

static int through_pipe(void)
{
    char byte;
    int fds[2], rc = kin_pipe(fds);

    if (rc < 0)
        return rc;
    KIN_GROUP(rc, g) {
        kin_spawn(&g, write_a_byte, &fds[1], .name = "writer");
        rc = kin_wait_fd(fds[0], KIN_READABLE);
        if (rc > 0)
            rc = (int)kin_read(fds[0], &byte, 1);
    }
    kin_close(fds[0]);
    kin_close(fds[1]);
    return rc < 0 ? rc : 0;
}

static int through_streams(void)
{
    kin_stream from, to, back;
    char *line, bytes[5000];
    int fds[2], rc = kin_pipe(fds), closed;

    if (rc < 0)
        return rc;
    kin_stream_open(&from, __real_open64("/dev/zero", O_RDONLY | O_CLOEXEC));
    kin_stream_open(&to, fds[1]);
    kin_stream_open(&back, fds[0]);
    rc = kin_stream_printf(&to, "a line\n");
    if (rc == 0)
        rc = kin_stream_copy(&to, &from, sizeof bytes, NULL);
    if (rc == 0)
        rc = kin_stream_read_line(&back, &line, NULL);
    if (rc == 1)
        rc = kin_stream_read_exactly(&back, bytes, sizeof bytes, NULL);
    closed = kin_stream_close(&to);
    kin_stream_close(&from);
    kin_stream_close(&back);
    return rc < 0 ? rc : closed;
}

static int collect(kin_process *process)
{
    struct kin_output out = { .most = 64 };
    int rc = kin_process_communicate(process, "hello", 5, &out, NULL, KIN_S(1));

    if (rc == 0 && (out.size != 5 || process->exit_code != 0))
        rc = -EPROTO;
    free(out.data);
    return rc;
}

static int process(void)
{
    const char *const argv[] = { "cat", NULL };
    kin_process cat;
    int rc = kin_process_start(&cat, argv, .in = KIN_PIPE, .out = KIN_PIPE, .err = KIN_NULL);

    return rc < 0 ? rc : collect(&cat);
}

static int answer(void *arg)
{
    (void)arg;
    return 42;
}

static int thread(void)
{
    int rc = kin_thread_run(answer, NULL);

    return rc == 42 ? 0 : rc < 0 ? rc : -EPROTO;
}

static int signals(void)
{
    const int number = SIGUSR2;
    kin_signals waited = { .wanted = 0 };
    int rc = kin_signals_open(&waited, &number, 1);

    if (rc < 0)
        return rc;
    raise(SIGUSR2);
    rc = kin_signals_wait(&waited);
    kin_signals_close(&waited);
    return rc < 0 ? rc : 0;
}

static kin_remote remote;

static int wake_it(void *arg)
{
    (void)arg;
    return kin_remote_wake(&remote);
}

static int from_a_thread(void)
{
    int rc = kin_remote_open(&remote, NULL);

    if (rc < 0)
        return rc;
    rc = kin_thread_run(wake_it, NULL);
    if (rc == 0)
        rc = kin_remote_wait(&remote);
    kin_remote_close(&remote);
    return rc;
}

static void seen(struct kin_watch *watch, unsigned events)
{
    (void)events;
    kin_watch_stop(watch);
    kin_event_set(watch->arg);
}

static int watch(void)
{
    kin_event event = { .set = false };
    struct kin_watch readable = { .ready = seen, .arg = &event };
    int fds[2], rc = kin_pipe(fds);

    if (rc < 0)
        return rc;
    readable.fd = fds[0];
    rc = kin_watch_set(&readable, KIN_READABLE);
    if (rc == 0)
        rc = (int)kin_write(fds[1], "x", 1);
    if (rc > 0)
        rc = kin_event_wait(&event);
    kin_watch_stop(&readable);
    kin_close(fds[0]);
    kin_close(fds[1]);
    return rc;
}

/* Nothing is left of it but the file, whatever has failed. */
static int remove_place(const char *place, const char *file, int rc)
{
    __real_unlink(file);
    CHECK_INT(rmdir(place), 0);
    return rc;
}

static int read_back(const char *file)
{
    char *data;
    size_t size;
    int rc = kin_read_file(file, 100, &data, &size);

    if (rc == 0 && (size != 5 || strcmp(data, "hello") != 0))
        rc = -EPROTO;
    free(data);
    return rc;
}

static int list_place(const char *place)
{
    kin_directory directory;
    struct kin_entry entry;
    int rc = kin_directory_open(&directory, place);

    if (rc < 0)
        return rc;
    rc = kin_directory_next(&directory, &entry);
    if (rc == 1 && !S_ISREG(entry.type))
        rc = -EPROTO;
    kin_directory_close(&directory);
    return rc == 1 ? 0 : rc == 0 ? -EPROTO : rc;
}

static int use_position(const char *file)
{
    char byte;
    int fd = kin_open(file, O_RDWR | O_APPEND, 0), rc, closed;

    if (fd < 0)
        return fd;
    rc = (int)kin_read(fd, &byte, 1);
    if (rc == 1)
        rc = kin_write_all(fd, "!", 1, NULL);
    if (rc == 0)
        rc = kin_ftruncate(fd, 2);
    closed = kin_close(fd);
    return rc < 0 ? rc : closed;
}

static int whole_files(void)
{
    char place[] = "/tmp/kin-calls-XXXXXX", file[40];
    struct stat status;
    int rc;

    CHECK(mkdtemp(place) != NULL);
    snprintf(file, sizeof file, "%s/file", place);
    rc = kin_write_file(file, "hello", 5, 0600);
    if (rc == 0)
        rc = read_back(file);
    if (rc == 0)
        rc = kin_stat(file, &status);
    if (rc == 0)
        rc = list_place(place);
    if (rc == 0)
        rc = use_position(file);
    return remove_place(place, file, rc);
}

static int add_and_hear(kin_file_watch *changes, const char *place)
{
    struct kin_file_event event;
    int rc = kin_file_watch_add(changes, place, IN_ATTRIB);

    if (rc < 0)
        return rc;
    __real_chmod(place, 0500);
    rc = kin_file_watch_next(changes, &event);
    if (rc == 0 && event.mask != (IN_ATTRIB | IN_ISDIR))
        rc = -EPROTO;
    return rc;
}

static int changes(void)
{
    char place[] = "/tmp/kin-calls-XXXXXX";
    kin_file_watch changes;
    int rc;

    CHECK(mkdtemp(place) != NULL);
    rc = kin_file_watch_open(&changes);
    if (rc == 0) {
        int closed;

        rc = add_and_hear(&changes, place);
        closed = kin_file_watch_close(&changes);
        rc = rc < 0 ? rc : closed;
    }
    return remove_place(place, "", rc);
}

/* ------------------------------------------------------------------- the sweep */

static int (*job)(void);

static int limited(void *arg)
{
    int rc;

    (void)arg;
    KIN_SCOPE(rc, s, .timeout = KIN_S(20))
        rc = job();
    return rc;
}

static void silent(const kin_error *error, void *arg)
{
    (void)error;
    (void)arg;
}

/* An epoll descriptor that is not there is a watch that hears nothing: reports do no harm. */
static void unheard(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static int in_a_run(void)
{
    return kin_run(limited, NULL, .on_error = silent, .on_report = unheard);
}

static int in_a_host(void)
{
    kin_host *host;
    struct pollfd ready = { .events = POLLIN };
    int rc = kin_host_open(&host, limited, NULL, .on_error = silent, .on_report = unheard), code;

    if (rc < 0)
        return rc;
    ready.fd = kin_host_fd(host);
    while ((rc = kin_host_step(host)) >= 0)
        if (rc == 0)
            __real_poll(&ready, 1, 20000);
    code = kin_host_close(host);
    return code;
}

static int once(int (*run)(void), unsigned k)
{
    int rc;

    calls = 0;
    victim = k;
    hit = "nothing";
    armed = true;
    rc = run();
    armed = false;
    tap_note("call %u, which was %s", k, hit);
    return rc;
}

static bool clear_code(int rc)
{
    return rc == 0 || (rc < 0 && rc != KIN_ETIMEDOUT && rc != KIN_ECANCELED &&
                       strcmp(kin_code_name(rc), "unknown") != 0);
}

/* A look-up that was abandoned goes on in its thread, and has a file open for a moment. */
static int descriptors_in_the_end(int wanted)
{
    int n = open_descriptors();

    for (int ms = 0; n > wanted && ms < 10000; ms++) {
        sleep_ms(1);
        n = open_descriptors();
    }
    return n;
}

static void sweep(int (*run)(void), int (*fn)(void))
{
    int before;
    unsigned k;

    job = fn;
    CHECK_CODE(once(run, 0), 0);
    CHECK(calls > 0);
    before = open_descriptors();
    for (k = 1; k == 1 || calls >= k - 1; k++) {
        int rc = once(run, k);

        if (how == INTERRUPT)
            CHECK_CODE(rc, 0);
        else
            CHECK(clear_code(rc));
        CHECK_INT(descriptors_in_the_end(before), before);
    }
}

#define SWEEP(fn)                                      \
    TEST_LIMIT(each_call_may_fail_##fn, 120)           \
    {                                                  \
        how = FAIL;                                    \
        sweep(in_a_run, fn);                           \
    }                                                  \
    TEST_LIMIT(each_call_may_be_interrupted_##fn, 120) \
    {                                                  \
        how = INTERRUPT;                               \
        sweep(in_a_run, fn);                           \
    }

SWEEP(tcp)
SWEEP(by_name)
SWEEP(local)
SWEEP(at_a_path)
SWEEP(datagrams)
SWEEP(passing)
SWEEP(through_pipe)
SWEEP(through_streams)
SWEEP(process)
SWEEP(thread)
SWEEP(signals)
SWEEP(from_a_thread)
SWEEP(watch)
SWEEP(whole_files)
SWEEP(changes)

TEST_LIMIT(each_call_may_fail_under_a_host, 120)
{
    how = FAIL;
    sweep(in_a_host, tcp);
}
