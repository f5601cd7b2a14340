/* The backend without a world: no descriptors, only the clock. Tests of the core
 * run on it, so that nothing outside of the process can disturb them. */
#include "core/core.h"

static int virtual_open(struct kin__runtime *rt)
{
    (void)rt;
    return 0;
}

static void virtual_close(struct kin__runtime *rt)
{
    (void)rt;
}

static void virtual_poll(struct kin__runtime *rt, int64_t timeout)
{
    (void)rt;
    (void)timeout;
}

const struct kin__backend kin__backend_virtual = {
    .name = "virtual",
    .open = virtual_open,
    .close = virtual_close,
    .poll = virtual_poll,
};
