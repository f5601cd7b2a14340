/* Waiting: the four verbs of kin_ext.h, and the waits that need nothing else:
 * sleeping, and joining a group.
 *
 * A record is linked to what it waits for by whoever made that; the core knows
 * of it only through task->wait, while the task is parked. Being woken clears
 * that, and from then on a cancellation finds nothing to abort: whoever was
 * handed something owns it.
 */
#include "core/park.h"

int kin_wait_prepare(struct kin_wait *wait, const struct kin_wait_ops *ops, void *object)
{
    int rc = kin__call_begin();

    if (kin__likely(rc == 0))
        kin__wait_init(wait, ops, object);
    return rc;
}

/* The task ends soon, as a rule, and its reason is then copied into the caller's record. */
kin__cold void kin__wait_given_up(struct kin__task *task)
{
    for (size_t line = 0; task->record && line < sizeof *task->record; line += 64)
        __builtin_prefetch((const char *)task->record + line, 1);
    kin__told(task->scope);
}

int kin_wait_park(struct kin_wait *wait)
{
    return kin__wait_park(wait);
}

kin__cold int kin__wait_skip_yields(struct kin__runtime *rt)
{
    rt->skips = 0;
    rt->steps = rt->steps > KIN__SKIPS_COST ? rt->steps - KIN__SKIPS_COST : 0;
    kin__yield(rt);
    return 0;
}

int kin_wait_skip(void)
{
    return kin__wait_skip(kin__rt);
}

void kin_wait_also(struct kin_wait *first, struct kin_wait *another)
{
    another->also = first->also;
    first->also = another;
}

/* One of several records was woken: the others have nothing to wait for any more. */
static kin__cold void abort_others(struct kin_wait *first, struct kin_wait *woken)
{
    woken->woken = true;
    for (struct kin_wait *wait = first; wait; wait = wait->also) {
        bool gone = wait == woken || wait->ops->abort(wait);

        assert(gone);
        (void)gone;
    }
}

void kin_wait_wake(struct kin_wait *wait, int result)
{
    struct kin__task *task = wait->task;

    assert(task->wait == wait || task->wait->also);
    if (kin__unlikely(task->wait->also != NULL))
        abort_others(task->wait, wait);
    task->wait = NULL;
    task->result = result;
    kin__ready(kin__rt, task);
}

/* The scope around a parked task was cancelled, which happens to a scope once. */
void kin__wait_abort(struct kin__task *task)
{
    struct kin_wait *wait = task->wait;

    if (wait && wait->ops->abort && wait->ops->abort(wait))
        kin_wait_wake(wait, KIN_ECANCELED);
}

/* ------------------------------------------------------------------- lists */

static kin__cold int claim_first(struct kin_wait_list *list, uint64_t run)
{
    if (!run)
        return kin__no_run();
    if (list->first)
        return KIN_EFOREIGN;
    list->run = run;
    return 0;
}

int kin_wait_list_claim(struct kin_wait_list *list)
{
    uint64_t run = kin__rt ? kin__rt->run : 0;

    return kin__likely(run && list->run == run) ? 0 : claim_first(list, run);
}

void kin_wait_list_add(struct kin_wait_list *list, struct kin_wait *wait)
{
    wait->next = NULL;
    wait->prev = list->last;
    if (list->last)
        list->last->next = wait;
    else
        list->first = wait;
    list->last = wait;
}

void kin_wait_list_remove(struct kin_wait_list *list, struct kin_wait *wait)
{
    if (wait->prev)
        wait->prev->next = wait->next;
    else
        list->first = wait->next;
    if (wait->next)
        wait->next->prev = wait->prev;
    else
        list->last = wait->prev;
}

struct kin_wait *kin_wait_list_take(struct kin_wait_list *list)
{
    struct kin_wait *wait = list->first;

    if (wait)
        kin_wait_list_remove(list, wait);
    return wait;
}

/* ---------------------------------------------------------------- sleeping */

/* The timer lies in the task's record and not beside the wait: a million sleepers' records
 * are in the cache, or nearly, when they are sorted by time; their stacks are not. */
static bool sleep_abort(struct kin_wait *wait)
{
    kin__timer_disarm(kin__rt, &((struct kin__task *)wait->task)->sleep);
    return true;
}

static void sleep_describe(const struct kin_wait *wait, char *text, size_t size)
{
    int64_t when = kin__timer_when(kin__rt, &((struct kin__task *)wait->task)->sleep);

    if (when == KIN_FOREVER)
        snprintf(text, size, "for ever");
    else
        snprintf(text, size, "for %.3f s more", (double)(when - kin_now()) / 1e9);
}

static const struct kin_wait_ops sleep_ops = { "sleep", sleep_abort, sleep_describe };

/* kin_wait_wake, without a look at the stack. */
void kin__sleep_fire(struct kin__timer *timer)
{
    struct kin__task *task = kin__container(timer, struct kin__task, sleep);

    task->wait = NULL;
    task->result = 0;
    kin__ready(kin__rt, task);
}

/* The task may have been woken already. */
void kin__sleep_cut_short(struct kin__task *task)
{
    struct kin_wait *wait = task->wait;

    if (wait && sleep_abort(wait))
        kin_wait_wake(wait, 0);
}

int kin_sleep(int64_t duration)
{
    struct kin_wait wait;
    int rc;

    if (duration <= 0)
        return kin_yield();
    rc = kin_wait_prepare(&wait, &sleep_ops, NULL);
    if (rc < 0)
        return rc;
    kin__timer_arm(kin__rt, &kin__rt->current->sleep, duration);
    return kin__wait_park(&wait);
}

int kin_sleep_until(int64_t time)
{
    struct kin_wait wait;
    int rc;

    if (time <= kin_now())
        return kin_yield();
    rc = kin_wait_prepare(&wait, &sleep_ops, NULL);
    if (rc < 0)
        return rc;
    kin__timer_arm_at(kin__rt, &kin__rt->current->sleep, time);
    return kin__wait_park(&wait);
}

/* Looks only: no blocking call, however often it is made. */
int kin_check(void)
{
    struct kin__task *task = kin__rt ? kin__rt->current : NULL;

    if (!task)
        return kin__no_run();
    if (!kin__call_is_refused(task))
        return 0;
    kin__told(task->scope);
    return KIN_ECANCELED;
}

/* A task that yields is runnable all the time; a cancellation meanwhile is seen
 * when it goes on. */
int kin_yield(void)
{
    int rc = kin__call_begin();

    if (rc < 0)
        return rc;
    kin__yield(kin__rt);
    return kin_check();
}

/* ------------------------------------------- waiting for one's own cancellation */

/* Nothing to unlink: a soft cancellation looks for those who wait like this. */
static bool cancelled_abort(struct kin_wait *wait)
{
    (void)wait;
    return true;
}

const struct kin_wait_ops kin__wait_cancelled = { "its cancellation", cancelled_abort, NULL };

int kin_wait_cancelled(void)
{
    struct kin_wait wait;
    int rc = kin_wait_prepare(&wait, &kin__wait_cancelled, NULL);

    if (rc < 0)
        return rc;
    if (kin__cancel_visible(kin__rt->current->scope))
        return kin_wait_skip();
    return kin_wait_park(&wait);
}

/* ----------------------------------------------------------------- joining */

/* Closing a group cannot be aborted: its tasks are cancelled, and waited for. */
static void join_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const struct kin__group *group = wait->object;

    snprintf(text, size, "%llu tasks to end", (unsigned long long)kin__group_live(group));
}

const struct kin_wait_ops kin__wait_join = { "join", NULL, join_describe };
