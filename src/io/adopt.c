/* Descriptors that others have made, taken over as kin's own: one by one, or those that
 * systemd opened before the program was started.
 *
 * Being kin's own means that the descriptor does not block, is closed on exec, and that
 * what kin knows of it stays true, since nobody else closes it. Not to block belongs to
 * the open file, which other processes may share: so nothing is taken over that was not
 * handed to us. Only sockets and pipes gain by it; a terminal or a device does not.
 *
 * The protocol of sd_listen_fds(3) is three variables: LISTEN_PID says for whom they are,
 * LISTEN_FDS how many descriptors there are, from 3 on, and LISTEN_FDNAMES their names
 * with colons between. They are read each time and left in place: children that inherit
 * them see that they are for somebody else, and changing the environment is not safe
 * beside other threads.
 */
#include "io/io.h"
#include "kin_io.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_PASSED = 3 };

static int kind_of_foreign_socket(int fd)
{
    int type = kin__socket_fact(fd, SO_TYPE), protocol = kin__socket_fact(fd, SO_PROTOCOL);

    if (type < 0 || protocol < 0)
        return type < 0 ? type : protocol;
    if (type == SOCK_STREAM && protocol == IPPROTO_TCP)
        return KIN__FD_TCP;
    return type == SOCK_STREAM || type == SOCK_SEQPACKET ? KIN__FD_SOCKET : KIN__FD_DATAGRAM;
}

static int kind_of_foreign(int fd)
{
    struct stat status;

    if (kin__io_fails("fstat", ENOMEM) || fstat(fd, &status) < 0)
        return -errno;
    if (S_ISSOCK(status.st_mode))
        return kind_of_foreign_socket(fd);
    return S_ISFIFO(status.st_mode) ? KIN__FD_PIPE : KIN_EINVAL;
}

static int close_on_exec(int fd)
{
    int flags = kin__io_fails("fcntl", EBADF) ? -1 : fcntl(fd, F_GETFD);

    if (flags < 0 || kin__io_fails("fcntl", EBADF) || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
        return -errno;
    return 0;
}

static int unblock(int fd)
{
    int flags = kin__io_fails("fcntl", EBADF) ? -1 : fcntl(fd, F_GETFL);

    if (flags < 0 || kin__io_fails("fcntl", EBADF) || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

int kin_adopt(int fd)
{
    int rc, kind = kin__io_without_world() ? -ENOSYS : kind_of_foreign(fd);

    if (kind < 0)
        return kind;
    if (kin__fd_in_use(fd))
        return KIN_EBUSY;
    if (!kin__fd_forget(fd))            /* else the old poll would keep the file open */
        return -ENOMEM;
    rc = close_on_exec(fd);
    if (rc == 0)
        rc = unblock(fd);
    if (rc < 0)
        return rc;
    kin__fd_adopt(fd, (enum kin__fd_kind)kind);
    return fd;
}

/* ------------------------------------------------------- passed at the start */

/* A number from the environment, all of it; 0 where there is none. */
static long number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    long number;

    if (!text || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    number = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' ? number : 0;
}

static int passed_at_start(void)
{
    long count = number_of("LISTEN_FDS");

    if (number_of("LISTEN_PID") != (long)getpid())
        return 0;
    return count > 0 && count <= INT_MAX - FIRST_PASSED ? (int)count : 0;
}

/* Is the first of the names this one, or any (NULL)? *names goes on to the next. */
static bool is_named(const char **names, const char *name)
{
    size_t length = strcspn(*names, ":");
    bool same = !name || (strlen(name) == length && memcmp(*names, name, length) == 0);

    *names += length + ((*names)[length] == ':');
    return same;
}

/* What kin has no kind for is handed out as it is; so is what is in use already, because
 * the caller has asked before. Connections are to send small writes at once. */
static int take_over(int fd)
{
    const int on = 1;
    int rc = kin_adopt(fd);

    if (rc == KIN_EINVAL)
        return close_on_exec(fd);
    if (rc < 0 && rc != KIN_EBUSY)
        return rc;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return 0;
}

int kin_activated(const char *name, int *fds, size_t count)
{
    const char *names = getenv("LISTEN_FDNAMES");
    int passed = passed_at_start(), found = 0;

    if (!names)
        names = "";
    for (int fd = FIRST_PASSED; fd < FIRST_PASSED + passed; fd++) {
        bool wanted = is_named(&names, name), taken = wanted && (size_t)found < count;
        int rc = taken ? take_over(fd) : close_on_exec(fd);

        if (rc < 0)
            return rc;
        if (taken)
            fds[found] = fd;
        found += wanted;
    }
    return found;
}
