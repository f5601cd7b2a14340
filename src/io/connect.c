/* Connecting to a name: Happy Eyeballs (RFC 8305), as a group whose first success decides.
 *
 * Each address is tried by a task of its own. The body starts one after the other, and gives
 * each a head start of 250 ms, which ends early when one fails: a dead address costs a
 * quarter of a second, not the minutes that TCP takes to give up. The families alternate, so
 * that a network where one of them leads nowhere costs it once.
 *
 * That the first to connect cancels the others, that they have ended and closed their
 * sockets when the call returns, that the caller's own limit or cancellation reaches
 * all of them, and that a failure is a tree with each address in it: that is what a group
 * with KIN_ANY is. What is left for this file is that two may connect in the same turn,
 * before the first has cancelled the second: that one closes what it has.
 */
#include "io/io.h"
#include "kin_io.h"

static const int64_t head_start = KIN_MS(250);      /* RFC 8305, section 8 */

struct eyeballs {
    const char *at;             /* the caller's place */
    const char *name;
    int fd;                     /* of who was first; -1: nobody yet */
    kin_event failed;           /* somebody has */
};

struct eyeball {
    struct eyeballs *all;
    const kin_address *address;
    char name[KIN_ADDRESS_TEXT];
};

static int connect_one(void *arg)
{
    struct eyeball *one = arg;
    struct eyeballs *all = one->all;
    int fd = kin_connect(&one->address->any, one->address->length);

    if (fd < 0) {
        kin_event_set(&all->failed);
        return fd == KIN_ECANCELED
                   ? fd : kin_fail_at(all->at, fd, "%s: %s", one->name, kin_code_text(fd));
    }
    if (all->fd < 0)
        all->fd = fd;
    else
        kin_close(fd);
    return 0;
}

static int until_one_fails(void *arg)
{
    struct eyeballs *all = arg;

    return kin_event_wait(&all->failed);
}

/* Refused spawns are the group's to tell. */
static int start_one_by_one(kin_group *group, struct eyeball *ones, size_t count)
{
    struct eyeballs *all = ones->all;
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        kin_event_clear(&all->failed);
        if (kin_spawn_with(&(struct kin_spawn_options){ .at = all->at, .group = group,
                                                        .fn = connect_one, .arg = &ones[i],
                                                        .name = ones[i].name }) < 0)
            break;
        rc = kin_within_or(head_start, 0, until_one_fails, all);
    }
    return rc;
}

/* The next address of the first one's family, or of another. */
static size_t next_of(bool first_family, const kin_address *addresses, size_t count, size_t from)
{
    while (from < count &&
           (addresses[from].any.sa_family == addresses[0].any.sa_family) != first_family)
        from++;
    return from;
}

/* Each family in its order, and the two by turns as long as there are both. */
static void alternate(struct eyeball *ones, const kin_address *addresses, size_t count)
{
    size_t next[2] = { 0, next_of(false, addresses, count, 0) };

    for (size_t i = 0; i < count; i++) {
        size_t turn = next[i % 2] < count ? i % 2 : 1 - i % 2;

        ones[i].address = &addresses[next[turn]];
        next[turn] = next_of(turn == 0, addresses, count, next[turn] + 1);
    }
}

/* A success decides the group, so there is a descriptor if and only if it closes with 0. */
static int connect_all(struct eyeballs *all, struct eyeball *ones, size_t count)
{
    kin_group g = kin_group_open_with(&(struct kin_group_options){
        .at = all->at, .name = all->name, .policy = KIN_ANY });
    int rc = start_one_by_one(&g, ones, count);

    rc = kin_group_close(&g, rc);
    assert((rc == 0) == (all->fd >= 0));
    return rc < 0 ? rc : all->fd;
}

static int connect_any(const char *at, const char *name, const kin_address *addresses,
                       size_t count)
{
    struct eyeballs all = { .at = at, .name = name, .fd = -1 };
    struct eyeball *ones;
    int rc;

    if (!addresses || count == 0)
        return KIN_EINVAL;
    rc = kin_check();
    if (rc < 0)
        return rc;
    ones = kin__os_alloc(count * sizeof *ones);
    if (!ones)
        return -ENOMEM;
    alternate(ones, addresses, count);
    for (size_t i = 0; i < count; i++) {
        ones[i].all = &all;
        kin_address_text(ones[i].address, ones[i].name, sizeof ones[i].name);
    }
    rc = connect_all(&all, ones, count);
    kin__os_free(ones);
    return rc;
}

int kin_connect_any_at(const char *at, const kin_address *addresses, size_t count)
{
    return connect_any(at, "connect", addresses, count);
}

int kin_connect_host_at(const char *at, const char *host, const char *service)
{
    const struct kin_resolve_options options = { .at = at };
    kin_address *addresses;
    char name[128];
    int rc = kin_resolve_with(host, service, &addresses, &options);

    if (rc < 0)
        return rc;
    snprintf(name, sizeof name, "%s%s%s", host ? host : "", service ? ":" : "",
             service ? service : "");
    rc = connect_any(at, name, addresses, (size_t)rc);
    kin__os_free(addresses);
    return rc;
}
