/* Starting tasks and being ready (G10) in random programs, against the model: the task
 * lives in a group of its own inside of the starter until it is ready. */
#include "random_run.h"

static struct shadow *new_task(struct shadow *inner, struct shadow *home, const struct node *n,
                               uint8_t index)
{
    struct shadow *task = inner ? new_shadow(SHADOW_TASK, inner, index) : NULL;

    if (!task)
        return NULL;
    task->index = world.shadows;
    task->timeout = time_of(n->timeout);
    task->optional = n->flags & OPTIONAL;
    task->home = home;
    return task;
}

static int start(struct shadow *home, struct shadow *task)
{
    return kin_start(&home->group, run_task, task, .name = "task", .index = task->index,
                     .task = &task->task, .timeout = task->timeout, .optional = task->optional,
                     .dont_wait = true);
}

/* Cancelled before, or no: nothing has happened but that. */
static int start_refused(struct place *place, struct shadow *home, struct shadow *task, int wanted)
{
    bool cancelled = model_reached(place->at);
    int rc = start(home, task);

    check_result("start", rc, wanted);
    if (task->task.status != KIN_REFUSED || task->task.code != rc)
        wrong("start gave %s; its record says %s", kin_code_name(rc),
              kin_status_name(task->task.status));
    task->refused = true;
    if (cancelled)
        model_told(place->at);
    else if (!home->ended)
        model_refuse(home, place->at, task->index, rc,
                     rc == KIN_EAGAIN || (rc == KIN_ETIMEDOUT && task->optional));
    return rc;
}

/* It has ended, or has gone home. */
static int start_result(struct place *place, struct shadow *inner, struct shadow *task)
{
    int rc = 0;

    if (!task->home)
        return 7;
    check_outcome(task);
    rc = model_close_group(inner, 0);
    if (rc == 0 && model_reached(place->at))
        rc = KIN_ECANCELED;
    if (rc == KIN_ECANCELED)
        model_told(place->at);
    model_give_place_back(task->home);
    return rc < 0 ? rc : KIN_ENOTREADY;
}

static int start_accepted(struct place *place, struct shadow *home, struct shadow *inner,
                          struct shadow *task)
{
    int rc;

    inner->keep_whole = home->keep_whole;
    inner->closing = true;
    model_hold_place(home);
    model_accept(inner, task);
    rc = start(home, task);
    inner->ended = true;
    check_result("start", rc, start_result(place, inner, task));
    return rc;
}

static bool within(const struct shadow *s, const struct shadow *outer)
{
    while (s && s != outer)
        s = s->parent;
    return s != NULL;
}

/* A service that starts a task for those it serves keeps them from ending, and so itself
 * from being cancelled: for ever, if the task never gets ready. */
static bool keeps_itself_alive(const struct shadow *at, const struct shadow *home)
{
    for (; at; at = at->parent)
        if (at->serves && within(home, at->serves) && !within(home, at))
            return true;
    return false;
}

/* Waiting for room is left to spawns. */
void run_start(struct place *place, const struct node *n, uint8_t index)
{
    struct shadow *home = n->target ? world.latest[n->target] : nearest_group(place->at);
    struct shadow *inner, *task;
    int refusal;

    if (!home || endless(place->at) || keeps_itself_alive(place->at, home) ||
        !has_room_for_certain(home))
        return;
    inner = new_shadow(SHADOW_GROUP, place->at, 0);
    task = new_task(inner, home, n, index);
    if (!task)
        return;
    refusal = model_reached(place->at) ? KIN_ECANCELED
                                       : model_refusal(home, time_of(n->timeout) < 0);
    if (refusal < 0)
        place->last = start_refused(place, home, task, refusal);
    else
        place->last = start_accepted(place, home, inner, task);
}

/* A task that is cancelled stays where it is, to end there. */
int be_ready(struct place *place)
{
    struct shadow *task = place->task;
    int rc = kin_ready(7), wanted = 0;

    if (task->since)
        wanted = KIN_ESTALE;
    else if (task->home && model_reached(task))
        wanted = KIN_ECANCELED;
    check_result("ready", rc, wanted);
    if (rc == KIN_ECANCELED)
        model_told(task);
    else if (rc == 0 && task->home)
        model_move_home(task);
    return rc;
}
