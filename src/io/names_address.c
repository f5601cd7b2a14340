/* Addresses as text, as messages and names of tasks show them, and a Unix socket's from text.
 *
 * The form is the one of URLs and of most programs: an address of IPv6 stands in brackets,
 * since its colons are not the one before the port. What kin_resolve takes for a Unix
 * socket, "unix:" and a path, is what is written for one.
 */
#include "io/names.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

static_assert(KIN_ADDRESS_TEXT > sizeof "unix:@" + sizeof ((struct sockaddr_un *)NULL)->sun_path &&
                  KIN_ADDRESS_TEXT > sizeof "[%]:65535" + INET6_ADDRSTRLEN + IF_NAMESIZE,
              "there is room for any address");

static void v4_text(const struct sockaddr_in *v4, char *text, size_t size)
{
    char host[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    snprintf(text, size, "%s:%u", host, ntohs(v4->sin_port));
}

/* Of a link-local address the interface is a part; where that has gone, its number. */
static void v6_text(const struct sockaddr_in6 *v6, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN], zone[1 + IF_NAMESIZE] = "";

    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    if (v6->sin6_scope_id) {
        zone[0] = '%';
        if (!if_indextoname(v6->sin6_scope_id, zone + 1))
            snprintf(zone + 1, sizeof zone - 1, "%u", v6->sin6_scope_id);
    }
    snprintf(text, size, "[%s%s]:%u", host, zone, ntohs(v6->sin6_port));
}

/* A path need not end with a 0; one that begins with it is no file. */
static void local_text(const kin_address *address, char *text, size_t size)
{
    const char *path = address->local.sun_path;
    size_t before = offsetof(struct sockaddr_un, sun_path);
    size_t length = address->length > before ? address->length - before : 0;
    bool abstract = length > 0 && path[0] == '\0';

    path += abstract;
    snprintf(text, size, "unix:%s%.*s", abstract ? "@" : "", (int)(length - abstract), path);
}

const char *kin_address_text(const kin_address *address, char *text, size_t size)
{
    switch (address->any.sa_family) {
    case AF_INET: v4_text(&address->v4, text, size); break;
    case AF_INET6: v6_text(&address->v6, text, size); break;
    case AF_UNIX: local_text(address, text, size); break;
    default: snprintf(text, size, "family %d", address->any.sa_family);
    }
    return text;
}

/* The 0 behind a path is part of the address; behind a name without a file it would be of
 * the name. */
int kin__address_of_path(const char *path, kin_address *address)
{
    size_t length = strlen(path), before = offsetof(struct sockaddr_un, sun_path);
    bool abstract = path[0] == '@';

    if (length == 0)
        return KIN_EINVAL;
    if (length >= sizeof address->local.sun_path)
        return -ENAMETOOLONG;
    *address = (kin_address){ .storage = { .ss_family = AF_UNIX } };
    memcpy(address->local.sun_path, path, length);
    if (abstract)
        address->local.sun_path[0] = '\0';
    address->length = (socklen_t)(before + length + !abstract);
    return 0;
}
