/* The two ends of a connection: their addresses, and ending one direction of it.
 *
 * shutdown() wakes those who wait on that side, with one exception: who waits for room in
 * a Unix socket goes on waiting, as poll() does, until the other side reads. kin wakes
 * writers itself, all in the same way. Readers are woken by the kernel.
 *
 * A socket that listens is not a connection. Shut down, a Unix one is readable for ever
 * and accepts nothing, without an error: nobody could wait there. It is to be closed.
 */
#include "io/io.h"
#include "kin_io.h"

int kin_local_address(int fd, kin_address *address)
{
    *address = (kin_address){ .length = sizeof address->storage };
    if (kin__io_fails("getsockname", ENOBUFS) ||
        getsockname(fd, &address->any, &address->length) < 0)
        return -errno;
    return 0;
}

int kin_peer_address(int fd, kin_address *address)
{
    *address = (kin_address){ .length = sizeof address->storage };
    if (kin__io_fails("getpeername", ENOBUFS) ||
        getpeername(fd, &address->any, &address->length) < 0)
        return -errno;
    return 0;
}

static int check_connection(int fd)
{
    int listens = kin__socket_fact(fd, SO_ACCEPTCONN);

    return listens > 0 ? KIN_EINVAL : listens;
}

int kin_shutdown(int fd, int how)
{
    int rc = check_connection(fd);

    if (rc < 0)
        return rc;
    if (kin__io_fails("shutdown", ENOTCONN) || shutdown(fd, how) < 0)
        return -errno;
    if (how != SHUT_RD)
        kin__fd_end_writer(fd);
    return 0;
}
