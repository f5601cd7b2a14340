/* Descriptors that are passed over Unix sockets (SCM_RIGHTS).
 *
 * What arrives has been opened in this process by the time the call is back, wanted or
 * not. So there is always room for the most that a message can carry: only then it is
 * known which descriptors there are, and that none is lost sight of. If not all could be
 * handed to the caller, none is: half of them would mean something else.
 *
 * They are not made kin's own: not to block belongs to the open file, which the sender
 * has, too.
 */
#include "io/io.h"
#include "kin_io.h"

#include <string.h>

enum { MOST_PASSED = 253, OTHER_CONTROL = 512 };   /* the kernel's; credentials and labels */

union control {
    struct cmsghdr align;
    char space[CMSG_SPACE(MOST_PASSED * sizeof(int)) + OTHER_CONTROL];
};

static bool is_passing(const struct cmsghdr *header)
{
    return header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;
}

static size_t passed_in(const struct cmsghdr *header)
{
    return (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

static int passed(const struct cmsghdr *header, size_t i)
{
    int fd;

    memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
    return fd;
}

/* How many there are; as many as there is room for are stored. */
static size_t collect(struct msghdr *message, int *fds, size_t room)
{
    size_t found = 0;

    for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h))
        for (size_t i = 0; is_passing(h) && i < passed_in(h); i++, found++)
            if (found < room)
                fds[found] = passed(h, i);
    return found;
}

static void close_passed(struct msghdr *message)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h))
        for (size_t i = 0; is_passing(h) && i < passed_in(h); i++)
            kin__fd_close(passed(h, i));
}

ssize_t kin_receive_fds(int fd, void *buffer, size_t size, int *fds, size_t *count)
{
    union control control;
    struct iovec piece = { buffer, size };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1,
                              .msg_control = control.space, .msg_controllen = sizeof control };
    ssize_t n = kin_receive_message(fd, &message, 0);
    size_t found, room = *count;

    *count = 0;
    if (n < 0)
        return n;
    found = collect(&message, fds, room);
    if (found <= room && !(message.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
        *count = found;
        return n;
    }
    close_passed(&message);
    return message.msg_flags & MSG_CTRUNC ? -EMFILE : -EMSGSIZE;
}

/* ------------------------------------------------------------------- sending */

/* Others take the bytes and drop the descriptors, without a word. */
static int check_unix_socket(int fd)
{
    int domain = kin__socket_fact(fd, SO_DOMAIN);

    if (domain < 0)
        return domain;
    return domain == AF_UNIX ? 0 : -EOPNOTSUPP;
}

static void pack(struct msghdr *message, union control *control, const int *fds, size_t count)
{
    struct cmsghdr *header;

    memset(control, 0, CMSG_SPACE(count * sizeof *fds));
    message->msg_control = control->space;
    message->msg_controllen = CMSG_SPACE(count * sizeof *fds);
    header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof *fds);
    memcpy(CMSG_DATA(header), fds, count * sizeof *fds);
}

ssize_t kin_send_fds(int fd, const void *buffer, size_t size, const int *fds, size_t count)
{
    union control control;
    struct iovec piece = { (void *)(uintptr_t)buffer, size };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    int rc;

    if (size == 0 || count > MOST_PASSED)
        return KIN_EINVAL;
    rc = check_unix_socket(fd);
    if (rc < 0)
        return rc;
    if (count > 0)
        pack(&message, &control, fds, count);
    return kin_send_message(fd, &message, 0);
}
