/* A mutex. It knows its owner by the task's id, which is never used again: so a
 * second lock by the owner and an unlock by anybody else are found, and a report of
 * a deadlock can say who holds what.
 *
 * Invariant: a mutex without an owner has no waiters. Unlocking makes the first in
 * line the owner at once; in between the mutex is never free, nobody can barge in,
 * and a waiter that is cancelled afterwards has the mutex all the same.
 *
 * A task that ends without unlocking stays the owner: the data that the mutex
 * guards may be half changed, so nobody is let in.
 */
#include "sync/sync.h"

bool kin__mutex_abort(struct kin_wait *wait)
{
    kin_mutex *mutex = wait->object;

    kin_wait_list_remove(&mutex->waiters, wait);
    return true;
}

/* Looked for in the tree, because only a dump wants to know. */
static const struct kin__task *find_task(struct kin__scope *top, uint64_t id)
{
    for (struct kin__scope *scope = top; scope; scope = kin__scope_after(scope, top))
        if (scope->id == id && scope->kind == KIN__TASK)
            return kin__task_of(scope);
    return NULL;
}

void kin__holder_text(uint64_t task, char *text, size_t size)
{
    const struct kin__task *holder = find_task(&kin__rt->host.base, task);
    char label[128];

    if (!holder)
        holder = find_task(&kin__rt->system->scope, task);
    if (!holder) {
        snprintf(text, size, "held by a task that has ended");
        return;
    }
    kin__task_label(holder, label, sizeof label);
    snprintf(text, size, "held by %s", label);
}

void kin__mutex_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const kin_mutex *mutex = wait->object;
    char holder[160];

    kin__holder_text(mutex->owner, holder, sizeof holder);
    snprintf(text, size, "%p %s", (const void *)mutex, holder);
}

static const struct kin_wait_ops mutex_ops = { "mutex", kin__mutex_abort, kin__mutex_describe };

bool kin__mutex_take_for(kin_mutex *mutex, const struct kin_wait *wait)
{
    if (mutex->owner != 0)
        return false;
    mutex->owner = kin__waiter_id(wait);
    return true;
}

void kin__mutex_pass_on(kin_mutex *mutex)
{
    struct kin_wait *wait = kin_wait_list_take(&mutex->waiters);

    mutex->owner = wait ? kin__waiter_id(wait) : 0;
    if (wait)
        kin_wait_wake(wait, (int)(intptr_t)wait->value);
}

int kin_mutex_try_lock(kin_mutex *mutex)
{
    int rc = kin__claim(&mutex->waiters, mutex->owner != 0);

    if (rc < 0)
        return rc;
    if (mutex->owner != 0)
        return mutex->owner == kin_task_id() ? KIN_EDEADLK : KIN_EAGAIN;
    mutex->owner = kin_task_id();
    return 0;
}

int kin__mutex_lock(kin_mutex *mutex, const struct kin_wait_ops *ops)
{
    struct kin_wait wait;
    int rc = kin_wait_prepare(&wait, ops, mutex);

    if (rc < 0)
        return rc;
    rc = kin_mutex_try_lock(mutex);
    if (rc == 0)
        return kin_wait_skip();
    if (rc != KIN_EAGAIN)
        return rc;
    wait.value = NULL;
    kin_wait_list_add(&mutex->waiters, &wait);
    return kin__wait_park(&wait);
}

int kin_mutex_lock(kin_mutex *mutex)
{
    return kin__mutex_lock(mutex, &mutex_ops);
}

int kin_mutex_unlock(kin_mutex *mutex)
{
    int rc = kin__claim(&mutex->waiters, mutex->owner != 0);

    if (rc < 0)
        return rc;
    if (mutex->owner != kin_task_id())
        return KIN_EOWNER;
    kin__mutex_pass_on(mutex);
    return 0;
}

void kin_mutex_let_go(kin_mutex **mutex)
{
    if (*mutex && kin_mutex_unlock(*mutex) < 0)
        kin__misuse(NULL, "a mutex was unlocked inside of its KIN_LOCKED");
    *mutex = NULL;
}
