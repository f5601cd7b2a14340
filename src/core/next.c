/* Waiting for tasks: the group's next one to end, or some of a set.
 *
 * A group that collects keeps its ended tasks in a list that runs through the
 * callers' records, until kin_next takes them: each costs the same, however many
 * there are. A task that ends while somebody waits is handed over.
 *
 * A wait for a set hangs a watcher on the record of each task that is still pending,
 * and takes down those that are left when it returns, so that nothing of it remains.
 * Any number of tasks may watch one record.
 */
#include "core/core.h"

#include <errno.h>

/* --------------------------------------------------------------- the next to end */

static bool taker_abort(struct kin_wait *wait)
{
    struct kin__group *group = wait->object;

    kin_wait_list_remove(&group->takers, wait);
    return true;
}

static const struct kin_wait_ops taker_ops = { "the next task to end", taker_abort, NULL };

void kin__collect(struct kin__group *group, kin_task *record)
{
    struct kin_wait *taker = kin_wait_list_take(&group->takers);

    record->next = NULL;
    if (taker) {
        taker->value = record;
        kin_wait_wake(taker, 0);
        return;
    }
    if (group->collected)
        group->collected_last->next = record;
    else
        group->collected = record;
    group->collected_last = record;
}

static kin_task *take_collected(struct kin__group *group)
{
    kin_task *record = group->collected;

    if (record)
        group->collected = record->next;
    return record;
}

int kin_next(kin_group *handle, kin_task **task)
{
    struct kin__group *group = kin__group_find(kin__rt, handle);
    struct kin_wait wait;
    int rc;

    if (!group)
        return kin__rt ? KIN_ESTALE : kin__no_run();
    if (!group->collect)
        return KIN_EINVAL;
    if (kin__task_inside(kin__rt->current, group))
        return KIN_EDEADLK;
    rc = kin_wait_prepare(&wait, &taker_ops, group);
    if (rc < 0)
        return rc;
    wait.value = take_collected(group);
    if (wait.value || kin__group_live(group) == 0) {
        kin_wait_skip();
    } else {
        kin_wait_list_add(&group->takers, &wait);
        rc = kin_wait_park(&wait);
        if (rc < 0)
            return rc;
    }
    *task = wait.value;
    return wait.value != NULL;
}

/* ------------------------------------------------------------------ some of a set */

struct set {
    struct kin_wait wait;
    size_t pending;
    kin_until until;
    bool over;                  /* nobody may wake it again */
};

struct watcher {                /* on one record's list */
    struct watcher *next, *prev;
    kin_task *task;             /* NULL when it is off the list */
    struct set *set;
};

enum { WATCHERS_ON_STACK = 16 };

static bool has_failed(const kin_task *task)
{
    return task->status == KIN_FAILED || task->status == KIN_TIMED_OUT ||
           task->status == KIN_REFUSED;
}

static bool set_abort(struct kin_wait *wait)
{
    kin__container(wait, struct set, wait)->over = true;
    return true;
}

static void set_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const struct set *set = kin__container(wait, struct set, wait);

    snprintf(text, size, "%s of %zu pending",
             set->until == KIN_ALL_COMPLETED ? "all" : "one", set->pending);
}

static const struct kin_wait_ops set_ops = { "tasks", set_abort, set_describe };

static void watch(struct watcher *watcher, kin_task *task, struct set *set)
{
    *watcher = (struct watcher){ .next = task->waiters, .task = task, .set = set };
    if (watcher->next)
        watcher->next->prev = watcher;
    task->waiters = watcher;
    set->pending++;
}

static void unwatch(struct watcher *watcher)
{
    if (!watcher->task)
        return;
    if (watcher->prev)
        watcher->prev->next = watcher->next;
    else
        watcher->task->waiters = watcher->next;
    if (watcher->next)
        watcher->next->prev = watcher->prev;
}

/* The task has ended. Who watched first is told first. */
void kin__watchers_tell(kin_task *record)
{
    struct watcher *watcher = record->waiters, *later;

    record->waiters = NULL;
    while (watcher->next)
        watcher = watcher->next;
    for (; watcher; watcher = later) {
        struct set *set = watcher->set;

        later = watcher->prev;
        watcher->task = NULL;
        set->pending--;
        if (set->over || (set->pending > 0 && set->until == KIN_ALL_COMPLETED) ||
            (set->pending > 0 && set->until == KIN_FIRST_FAILURE && !has_failed(record)))
            continue;
        set->over = true;
        kin_wait_wake(&set->wait, 0);
    }
}

/* May the running task wait for these? */
static int check_set(kin_task *const *tasks, size_t count, kin_until until)
{
    if (count == 0 || count > INT32_MAX || until > KIN_ALL_COMPLETED)
        return KIN_EINVAL;
    for (size_t i = 0; i < count; i++) {
        struct kin__task *task;

        if (!tasks[i])
            return KIN_EINVAL;
        if (tasks[i]->status != KIN_PENDING)
            continue;
        task = kin__task_find(tasks[i]);
        if (!task || task->record != tasks[i])  /* a copy is never written */
            return KIN_ESTALE;
        if (kin__scope_within(kin__rt->current->scope, &task->base))
            return KIN_EDEADLK;
    }
    return 0;
}

static int count_ended(kin_task *const *tasks, size_t count, bool *failed)
{
    int ended = 0;

    for (size_t i = 0; i < count; i++) {
        ended += tasks[i]->status != KIN_PENDING;
        *failed |= has_failed(tasks[i]);
    }
    return ended;
}

static bool is_over(size_t count, int ended, bool failed, kin_until until)
{
    return (size_t)ended == count || (ended > 0 && until == KIN_FIRST_COMPLETED) ||
           (failed && until == KIN_FIRST_FAILURE);
}

/* A task that stands in the set twice is watched twice, and ends twice. The records of
 * those that have ended may be gone when the waiter goes on: they are not looked at. */
static int park_for(struct set *set, kin_task *const *tasks, size_t count)
{
    struct watcher few[WATCHERS_ON_STACK] = { { .task = NULL } }, *watchers = few;
    int rc;

    if (count > WATCHERS_ON_STACK && !(watchers = kin__os_alloc(count * sizeof *watchers)))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (tasks[i]->status == KIN_PENDING)
            watch(&watchers[i], tasks[i], set);
    rc = kin_wait_park(&set->wait);
    for (size_t i = 0; i < count; i++)
        unwatch(&watchers[i]);
    if (watchers != few)
        kin__os_free(watchers);
    return rc < 0 ? rc : (int)(count - set->pending);
}

int kin_wait_tasks(kin_task *const *tasks, size_t count, kin_until until)
{
    struct set set = { .until = until };
    bool failed = false;
    int rc = kin_wait_prepare(&set.wait, &set_ops, NULL), ended;

    if (rc == 0)
        rc = check_set(tasks, count, until);
    if (rc < 0)
        return rc;
    ended = count_ended(tasks, count, &failed);
    if (!is_over(count, ended, failed, until))
        return park_for(&set, tasks, count);
    kin_wait_skip();
    return ended;
}
