/* A lock for many readers or one writer, with one line for both. Who comes while
 * anybody waits goes to its end, so that a stream of readers cannot keep a writer
 * out, nor writers a reader.
 *
 * Invariant: the first in line cannot be let in. Unlocking lets in from the front as
 * many as fit: one writer, or all readers up to the next writer. So does a waiter
 * that gives up: behind a writer that leaves, readers may fit.
 *
 * The writer is known by its id, readers are only counted. A reader that locks
 * again while a writer waits therefore waits for ever; the report of the deadlock
 * names the lock.
 */
#include "sync/sync.h"

static bool rwlock_abort(struct kin_wait *wait);
static void rwlock_describe(const struct kin_wait *wait, char *text, size_t size);

static const struct kin_wait_ops read_ops = { "rwlock read", rwlock_abort, rwlock_describe };
static const struct kin_wait_ops write_ops = { "rwlock write", rwlock_abort, rwlock_describe };

static void rwlock_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const kin_rwlock *lock = wait->object;
    char holder[160];

    if (lock->writer != 0)
        kin__holder_text(lock->writer, holder, sizeof holder);
    else
        snprintf(holder, sizeof holder, "held by %u %s", lock->readers,
                 lock->readers == 1 ? "reader" : "readers");
    snprintf(text, size, "%p %s", (const void *)lock, holder);
}

static bool rwlock_enter(kin_rwlock *lock, uint64_t task, bool write)
{
    if (lock->writer != 0 || lock->readers > (write ? 0 : UINT32_MAX - 1))
        return false;
    if (write)
        lock->writer = task;
    else
        lock->readers++;
    return true;
}

static void let_in(kin_rwlock *lock)
{
    struct kin_wait *wait;

    while ((wait = lock->waiters.first) &&
           rwlock_enter(lock, kin__waiter_id(wait), wait->ops == &write_ops)) {
        kin_wait_list_remove(&lock->waiters, wait);
        kin_wait_wake(wait, 0);
    }
}

static bool rwlock_abort(struct kin_wait *wait)
{
    kin_rwlock *lock = wait->object;

    kin_wait_list_remove(&lock->waiters, wait);
    let_in(lock);
    return true;
}

static int rwlock_claim(kin_rwlock *lock)
{
    return kin__claim(&lock->waiters, lock->writer != 0 || lock->readers > 0);
}

static int rwlock_try(kin_rwlock *lock, bool write)
{
    int rc = rwlock_claim(lock);

    if (rc < 0)
        return rc;
    if (lock->writer != 0 && lock->writer == kin_task_id())
        return KIN_EDEADLK;
    if (lock->waiters.first || !rwlock_enter(lock, kin_task_id(), write))
        return KIN_EAGAIN;
    return 0;
}

static int rwlock_wait(kin_rwlock *lock, bool write)
{
    struct kin_wait wait;
    int rc = kin_wait_prepare(&wait, write ? &write_ops : &read_ops, lock);

    if (rc < 0)
        return rc;
    rc = rwlock_try(lock, write);
    if (rc == 0)
        return kin_wait_skip();
    if (rc != KIN_EAGAIN)
        return rc;
    kin_wait_list_add(&lock->waiters, &wait);
    return kin__wait_park(&wait);
}

int kin_rwlock_read(kin_rwlock *lock)
{
    return rwlock_wait(lock, false);
}

int kin_rwlock_write(kin_rwlock *lock)
{
    return rwlock_wait(lock, true);
}

int kin_rwlock_try_read(kin_rwlock *lock)
{
    return rwlock_try(lock, false);
}

int kin_rwlock_try_write(kin_rwlock *lock)
{
    return rwlock_try(lock, true);
}

int kin_rwlock_unlock(kin_rwlock *lock)
{
    int rc = rwlock_claim(lock);

    if (rc < 0)
        return rc;
    if (lock->writer != 0 ? lock->writer != kin_task_id() : lock->readers == 0)
        return KIN_EOWNER;
    if (lock->writer != 0)
        lock->writer = 0;
    else
        lock->readers--;
    let_in(lock);
    return 0;
}
