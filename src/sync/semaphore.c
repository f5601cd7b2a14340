/* A counting semaphore. A unit that is released while somebody waits is handed to
 * the first in line and never becomes free in between, so nobody can overtake. */
#include "core/park.h"

static bool semaphore_abort(struct kin_wait *wait)
{
    kin_semaphore *semaphore = wait->object;

    kin_wait_list_remove(&semaphore->waiters, wait);
    return true;
}

static void semaphore_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const kin_semaphore *semaphore = wait->object;

    snprintf(text, size, "%p", (const void *)semaphore);
}

static const struct kin_wait_ops semaphore_ops = { "semaphore", semaphore_abort,
                                                   semaphore_describe };

int kin_semaphore_try_acquire(kin_semaphore *semaphore)
{
    int rc = kin_wait_list_claim(&semaphore->waiters);

    if (rc < 0)
        return rc;
    if (semaphore->count == 0)
        return KIN_EAGAIN;
    semaphore->count--;
    return 0;
}

int kin_semaphore_acquire(kin_semaphore *semaphore)
{
    struct kin_wait wait;
    int rc = kin__call_begin();

    if (rc < 0)
        return rc;
    rc = kin_semaphore_try_acquire(semaphore);
    if (rc == 0)
        return kin_wait_skip();
    if (rc != KIN_EAGAIN)
        return rc;
    kin__wait_init(&wait, &semaphore_ops, semaphore);
    kin_wait_list_add(&semaphore->waiters, &wait);
    return kin__wait_park(&wait);
}

int kin_semaphore_release(kin_semaphore *semaphore)
{
    int rc = kin_wait_list_claim(&semaphore->waiters);
    struct kin_wait *wait;

    if (rc < 0)
        return rc;
    if ((wait = kin_wait_list_take(&semaphore->waiters))) {
        kin_wait_wake(wait, 0);
        return 0;
    }
    if (semaphore->count == UINT32_MAX || (semaphore->most && semaphore->count >= semaphore->most))
        return KIN_EINVAL;
    semaphore->count++;
    return 0;
}

void kin_semaphore_let_go(kin_semaphore **semaphore)
{
    if (*semaphore && kin_semaphore_release(*semaphore) < 0)
        kin__misuse(NULL, "a semaphore was released inside of its KIN_ACQUIRED");
    *semaphore = NULL;
}
