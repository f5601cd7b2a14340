/* Sockets with an address of their own: those that listen, and those for datagrams.
 *
 * Everything but the plain kin_listen goes through one function that makes a socket, sets its
 * options, binds it and, if it is for connections, listens. SO_REUSEADDR is for those alone:
 * a restarted server must not wait for the old connections to be forgotten, but on UDP the
 * option lets a second program take the datagrams away from the first.
 *
 * "Any" address is the one of IPv6, which takes IPv4 as well, or the one of IPv4 where the
 * system has no IPv6. Whether a socket takes both is set on each, since the default is the
 * administrator's.
 *
 * A host is given as text, but is no name: to look one up takes time, and may give many
 * addresses. getaddrinfo() is asked not to; then it reads no more than /etc/services.
 */
#include "io/names.h"
#include "io/path.h"

static int set_option(int fd, int level, int name, int value)
{
    if (kin__io_fails("setsockopt", ENOMEM) ||
        setsockopt(fd, level, name, &value, sizeof value) < 0)
        return -errno;
    return 0;
}

static int set_options(int fd, int family, int type, const struct kin_socket_options *options)
{
    int rc = 0;

    if (family != AF_UNIX && type == SOCK_STREAM)
        rc = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && options->reuse_port)
        rc = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && family == AF_INET6)
        rc = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->v6_only);
    return rc;
}

static int listen_on(int fd, int backlog)
{
    if (kin__io_fails("listen", EADDRINUSE) || listen(fd, backlog > 0 ? backlog : SOMAXCONN) < 0)
        return -errno;
    return 0;
}

static int bind_and_listen(int fd, const struct sockaddr *address, socklen_t length, int type,
                           int backlog)
{
    if (kin__io_fails("bind", EADDRINUSE) || bind(fd, address, length) < 0)
        return -errno;
    return type == SOCK_STREAM ? listen_on(fd, backlog) : 0;
}

/* The claim is held until it listens: a socket that is bound only looks like a dead one. */
static int bind_path_and_listen(int fd, const char *path, int type,
                                const struct kin_socket_options *options)
{
    int rc, claim = kin__path_claim(path);

    if (claim < 0)
        return claim;
    rc = kin__path_bind(fd, path, type, options->mode);
    if (rc == 0 && type == SOCK_STREAM) {
        rc = listen_on(fd, options->backlog);
        if (rc < 0)
            kin__path_remove(path);
    }
    kin__path_let_go(claim);
    return rc;
}

static int socket_at(const kin_address *address, int type, const struct kin_socket_options *options)
{
    char path[KIN__PATH_SIZE];
    int rc, fd;

    if (!address || address->length < sizeof address->any.sa_family ||
        address->length > sizeof address->storage)
        return KIN_EINVAL;
    fd = kin__socket(address->any.sa_family, type);
    if (fd < 0)
        return fd;
    rc = set_options(fd, address->any.sa_family, type, options);
    if (rc == 0)
        rc = kin__path_of(address, path) ? bind_path_and_listen(fd, path, type, options)
                                         : bind_and_listen(fd, &address->any, address->length, type,
                                                           options->backlog);
    if (rc == 0)
        return fd;
    kin_close(fd);
    return rc;
}

int kin_listen_at_with(const kin_address *address, const struct kin_socket_options *options)
{
    return socket_at(address, SOCK_STREAM, options);
}

/* Sets no other option, and leaves a file alone that is in its way. */
int kin_listen(const struct sockaddr *address, socklen_t length, int backlog)
{
    const int on = 1;
    int rc, fd = kin__stream_socket(address, length);

    if (fd < 0)
        return fd;
    if (address->sa_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    rc = bind_and_listen(fd, address, length, SOCK_STREAM, backlog);
    if (rc == 0)
        return fd;
    kin_close(fd);
    return rc;
}

/* ------------------------------------------------------------------- as text */

int kin_listen_unix_with(const char *path, const struct kin_socket_options *options)
{
    kin_address address;
    int rc = path ? kin__address_of_path(path, &address) : KIN_EINVAL;

    return rc < 0 ? rc : socket_at(&address, SOCK_STREAM, options);
}

/* An address and a port as text; a numeric host has one address. */
static int address_of(const char *host, const char *service, kin_address *address)
{
    const struct kin__question question = {
        .host = host, .service = service,
        .hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM } };
    struct kin__answer answer;

    kin__ask_here(&question, &answer);
    if (answer.code != 0)
        return kin__answer_code(&answer);
    kin__address_of_info(answer.found, address);
    freeaddrinfo(answer.found);
    return 0;
}

static int listen_text(const char *host, const char *service,
                       const struct kin_socket_options *options)
{
    kin_address address;
    int rc = address_of(host, service, &address);

    return rc < 0 ? rc : socket_at(&address, SOCK_STREAM, options);
}

int kin_listen_on_with(const char *host, const char *service,
                       const struct kin_socket_options *options)
{
    int rc;

    if (!service || !*service)
        return KIN_EINVAL;
    if (host && *host)
        return listen_text(host, service, options);
    rc = listen_text("::", service, options);
    if ((rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) && !options->v6_only)
        rc = listen_text("0.0.0.0", service, options);
    return rc;
}

/* ----------------------------------------------------------------- datagrams */

/* Never waits: there is nobody to be asked. */
static int connect_datagrams(int fd, const kin_address *peer)
{
    if (kin__io_fails("connect", ENOBUFS) || connect(fd, &peer->any, peer->length) < 0)
        return -errno;
    return 0;
}

int kin_datagram_at_with(const kin_address *local, const kin_address *peer,
                         const struct kin_socket_options *options)
{
    int rc, fd;

    if (!local && !peer)
        return KIN_EINVAL;
    fd = local ? socket_at(local, SOCK_DGRAM, options)
               : kin__socket(peer->any.sa_family, SOCK_DGRAM);
    if (fd < 0 || !peer)
        return fd;
    rc = connect_datagrams(fd, peer);
    if (rc == 0)
        return fd;
    kin_close(fd);
    return rc;
}
