/* Waiting for tasks and for one's own cancellation in random programs, against the model. */
#include "random_run.h"
#include "random_sync.h"

/* ------------------------------------------------------------------ the next to end */

static struct shadow *model_take(struct shadow *g)
{
    struct shadow *t = g->ended_first;

    if (t)
        g->ended_first = t->ended_next;
    return t;
}

/* What is said at once, or KIN_EAGAIN: has to wait. */
static int next_at_once(const struct shadow *at, struct shadow *g, struct shadow **task)
{
    if (g->ended)
        return KIN_ESTALE;
    if (!g->collect)
        return KIN_EINVAL;
    if (model_inside(at, g))
        return KIN_EDEADLK;
    if (model_reached(at))
        return KIN_ECANCELED;
    *task = model_take(g);
    if (*task)
        return 1;
    return g->over == g->accepted ? 0 : KIN_EAGAIN;
}

int wait_for_next(struct place *place, const struct node *n)
{
    struct shadow *g = n->target ? world.latest[n->target] : nearest_group(place->at);
    struct waiter w = { .served = false };
    int64_t began = kin_now();
    kin_task *task = NULL;
    int wanted, rc;

    if (!g)
        return 0;
    wanted = next_at_once(place->at, g, &w.task);
    if (wanted == KIN_EAGAIN)
        line_add(&g->takers, &w, place->at);
    rc = kin_next(&g->group, &task);
    sync_check_time(place->at, began, rc);
    if (wanted == KIN_EAGAIN) {
        line_remove(&g->takers, &w);
        wanted = w.served ? w.task != NULL : KIN_ECANCELED;
    }
    check_result("next", rc, wanted);
    if (rc == 1 && task != &w.task->task)
        wrong("the next to end is not task %d", w.task->index);
    return rc;
}

/* ------------------------------------------------------------------ some of a set */

/* The task and those that were spawned after it, as long as their ends can be seen. */
static void make_set(struct set *set, struct shadow *t, kin_until until)
{
    set->until = until;
    set->count = 0;
    for (; t && set->count < 3 && !t->may_be_skipped; t = t->next)
        set->task[set->count++] = t;
}

static struct shadow *first_live(struct shadow *at)
{
    struct shadow *g = nearest_group(at), *t = g ? g->first : NULL;

    while (t && (t->ended || t->may_be_skipped))
        t = t->next;
    return t;
}

static int tasks_at_once(const struct shadow *at, const struct set *set)
{
    if (model_reached(at))
        return KIN_ECANCELED;
    for (int i = 0; i < set->count; i++) {
        const struct shadow *t = set->task[i], *s = at;

        if (t->ended || t->refused)
            continue;
        if (!t->spawned)
            return KIN_ESTALE;                  /* not yet: its spawner waits for room */
        while (s && s != t)
            s = s->parent;
        if (s)
            return KIN_EDEADLK;
    }
    return model_is_over(set) ? model_ended_of(set) : KIN_EAGAIN;
}

int wait_for_tasks(struct place *place, const struct node *n)
{
    struct shadow *first = n->target ? world.latest[n->target] : first_live(place->at);
    kin_task *task[3];
    struct set set;
    struct waiter w = { .set = &set };
    int64_t began = kin_now();
    int wanted, rc;

    make_set(&set, first, (kin_until)n->policy);
    if (set.count == 0)
        return 0;
    for (int i = 0; i < set.count; i++)
        task[i] = &set.task[i]->task;
    wanted = tasks_at_once(place->at, &set);
    if (wanted == KIN_EAGAIN)
        line_add(&model_sets, &w, place->at);
    rc = kin_wait_tasks(task, (size_t)set.count, set.until);
    sync_check_time(place->at, began, rc);
    if (wanted == KIN_EAGAIN) {
        line_remove(&model_sets, &w);
        wanted = w.served ? model_ended_of(&set) : KIN_ECANCELED;
    }
    check_result("waiting for tasks", rc, wanted);
    return rc;
}

/* ------------------------------------------------------------- one's own cancellation */

int wait_for_cancellation(struct place *place)
{
    int64_t began = kin_now(), visible;
    int rc = kin_wait_cancelled();

    visible = model_visible_at(place->at);
    sync_check_time(place->at, began, rc);
    if (rc == 0 && kin_now() != (visible > began ? visible : began))
        wrong("told at %lld of a cancellation at %lld", (long long)kin_now(), (long long)visible);
    if (rc < 0 && model_reached_at(place->at) > began && visible != model_reached_at(place->at))
        wrong("not told of a soft cancellation at %lld", (long long)visible);
    if (rc != 0)
        check_result("waiting to be cancelled", rc, KIN_ECANCELED);
    return rc;
}
