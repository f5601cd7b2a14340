/* Which backend.
 *
 * Whether io_uring is there shows only when it is used: kernels lack it, sysctls
 * switch it off, containers forbid it, limits on memory refuse it. So the best is
 * found by opening one; a backend that was asked for by name is it, or an error.
 */
#include "io/io.h"

#include "kin_config.h"

#include <stdlib.h>
#include <string.h>

static int open_best(struct kin__runtime *rt)
{
#if KIN_HAVE_URING
    rt->backend = &kin__backend_uring.base;
    if (rt->backend->open(rt) == 0)
        return 0;
#endif
    rt->backend = &kin__backend_epoll.base;
    return rt->backend->open(rt);
}

static const struct kin__backend best = { .name = "best", .open = open_best };

const struct kin__backend *kin__backend_pick(const char *name, int *error)
{
    static const struct kin__backend *const backends[] = {
#if KIN_HAVE_URING
        &kin__backend_uring.base,
#endif
        &kin__backend_epoll.base,
        &kin__backend_virtual,
    };

    *error = 0;
    if (!name)
        name = getenv("KIN_BACKEND");
    if (!name || !*name)
        return &best;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        if (strcmp(name, backends[i]->name) == 0)
            return backends[i];
    *error = strcmp(name, "uring") == 0 ? -ENOSYS : KIN_EINVAL;
    return NULL;
}
