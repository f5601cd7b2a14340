/* A condition: tasks give a mutex up and wait until somebody notifies them.
 *
 * A waiter's record moves twice. It begins in the condition's list, where it can be
 * cancelled. Notified, or cancelled, it goes for the mutex, at the end of the
 * mutex's line or straight to the owner's place if that is free. In that line
 * nothing reaches it any more: its operations have no abort, and its .value is the
 * result that it will be woken with. So a wait ends with the mutex held in every
 * case; a notification that has been given is received; and the choice between
 * "notified" and "cancelled" is made once, by what came first.
 *
 * A waiter is not woken before it has the mutex: nobody runs only to wait again.
 */
#include "sync/sync.h"

static const struct kin_wait_ops relock_ops = { "mutex of a condition", NULL,
                                                kin__mutex_describe };

/* True if the task may run: the mutex was free, or another runtime has taken it since,
 * in whose line nobody from here may stand. */
static bool go_for_mutex(struct kin_wait *wait, int result)
{
    kin_mutex *mutex = wait->value;

    if (kin__claim(&mutex->waiters, mutex->owner != 0) < 0 || kin__mutex_take_for(mutex, wait))
        return true;
    wait->ops = &relock_ops;
    wait->object = mutex;
    wait->value = (void *)(intptr_t)result;
    kin_wait_list_add(&mutex->waiters, wait);
    return false;
}

static bool condition_abort(struct kin_wait *wait)
{
    kin_condition *condition = wait->object;

    kin_wait_list_remove(&condition->waiters, wait);
    return go_for_mutex(wait, KIN_ECANCELED);
}

static void condition_describe(const struct kin_wait *wait, char *text, size_t size)
{
    snprintf(text, size, "%p to be notified", wait->object);
}

static const struct kin_wait_ops condition_ops = { "condition", condition_abort,
                                                   condition_describe };

/* The owner is looked at before a cancellation is: whoever gets KIN_ECANCELED has the
 * mutex, without exception. */
int kin_condition_wait(kin_condition *condition, kin_mutex *mutex)
{
    struct kin_wait wait;
    int rc;

    if (kin__rt && mutex->owner != kin_task_id())
        return KIN_EOWNER;
    rc = kin_wait_prepare(&wait, &condition_ops, condition);
    if (rc == 0)
        rc = kin_wait_list_claim(&condition->waiters);
    if (rc < 0)
        return rc;
    wait.value = mutex;
    kin_wait_list_add(&condition->waiters, &wait);
    kin__mutex_pass_on(mutex);
    rc = kin__wait_park(&wait);
    return mutex->owner == kin_task_id() ? rc : KIN_EFOREIGN;
}

void kin_condition_notify(kin_condition *condition, size_t count)
{
    struct kin_wait *wait;

    if (condition->waiters.first && kin_wait_list_claim(&condition->waiters) < 0) {
        kin__misuse(NULL, "a condition notified outside of its waiters' runtime");
        return;
    }
    while (count-- > 0 && (wait = kin_wait_list_take(&condition->waiters)))
        if (go_for_mutex(wait, 0))
            kin_wait_wake(wait, 0);
}

void kin_condition_notify_all(kin_condition *condition)
{
    kin_condition_notify(condition, SIZE_MAX);
}
