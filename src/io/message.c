/* Messages: datagrams with their addresses, and all that sendmsg() and recvmsg() can do.
 *
 * They are operations like reading and writing, made when the descriptor is ready. Sending
 * has one more way of having to wait: the system is out of buffers, or the queue of a Unix
 * receiver that the socket is not connected to is full, and nothing will say when that
 * is over. Then it is asked again, less and less often (op.c).
 *
 * ENOBUFS has another meaning, that never changes, with more control data than the system
 * allows: where there is that much, it is not waited for.
 */
#include "io/io.h"
#include "kin_io.h"

#define RECEIVE_FLAGS (MSG_PEEK | MSG_TRUNC | MSG_CMSG_CLOEXEC)
#define SEND_FLAGS (MSG_CONFIRM | MSG_DONTROUTE | MSG_EOR | MSG_MORE | MSG_OOB | MSG_NOSIGNAL)

enum { MUCH_CONTROL = 4096 };

ssize_t kin_receive_message(int fd, struct msghdr *message, int flags)
{
    struct kin__op op = { .kind = KIN__OP_RECEIVE_MESSAGE, .fd = fd, .events = KIN_READABLE,
                          .message = message, .flags = flags };

    return flags & ~RECEIVE_FLAGS ? KIN_EINVAL : kin__op_perform(&op);
}

ssize_t kin_send_message(int fd, const struct msghdr *message, int flags)
{
    struct kin__op op = { .kind = KIN__OP_SEND_MESSAGE, .fd = fd, .events = KIN_WRITABLE,
                          .message = (struct msghdr *)(uintptr_t)message, .flags = flags };

    if (flags & ~SEND_FLAGS)
        return KIN_EINVAL;
    return message->msg_controllen > MUCH_CONTROL ? kin__op_perform(&op) : kin__op_insist(&op);
}

ssize_t kin_receive_from(int fd, void *buffer, size_t size, kin_address *from, bool *cut)
{
    struct iovec piece = { buffer, size };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    ssize_t n;

    if (from) {
        *from = (kin_address){ .length = 0 };
        message.msg_name = &from->storage;
        message.msg_namelen = sizeof from->storage;
    }
    n = kin_receive_message(fd, &message, 0);
    if (n < 0)
        return n;
    if (from)
        from->length = message.msg_namelen;
    if (!cut)
        return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
    *cut = message.msg_flags & MSG_TRUNC;
    return n;
}

ssize_t kin_send_to(int fd, const void *buffer, size_t size, const kin_address *to)
{
    struct iovec piece = { (void *)(uintptr_t)buffer, size };
    const struct msghdr message = {
        .msg_name = to ? (void *)(uintptr_t)&to->any : NULL, .msg_namelen = to ? to->length : 0,
        .msg_iov = &piece, .msg_iovlen = 1,
    };

    return kin_send_message(fd, &message, 0);
}
