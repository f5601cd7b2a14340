/* Once: the first caller runs the function, under a mutex; the others wait for that
 * and find it done. Where it failed nothing has been done, and the next in line
 * tries. The mutex gives all the rest: the order, cancellation of those that wait,
 * and KIN_EDEADLK for a function that calls its own once.
 */
#include "sync/sync.h"

static const struct kin_wait_ops once_ops = { "once", kin__mutex_abort, kin__mutex_describe };

int kin_once_run(kin_once *once, int (*fn)(void *arg), void *arg)
{
    int rc;

    if (kin__likely(once->done)) {
        rc = kin_check();
        return rc < 0 ? rc : kin_wait_skip();
    }
    if (!fn)
        return kin__rt ? KIN_EINVAL : kin__no_run();
    rc = kin__mutex_lock(&once->mutex, &once_ops);
    if (rc < 0)
        return rc;
    if (!once->done) {
        rc = fn(arg);
        once->done = rc >= 0;
    }
    kin_mutex_unlock(&once->mutex);
    return rc < 0 ? rc : 0;
}
