/* Starting a task and waiting until it is ready (kin_start, kin_ready).
 *
 * The task begins its life in a group of its own inside of the caller, who closes
 * that group at once: so the caller's cancellation reaches the task, and its failure
 * comes out of the call, by what groups do anyway. When the task says that it is
 * ready, it moves to the group it was meant for, with all that it has open, and
 * leaves an empty group behind, whose close then returns.
 *
 * The place in the group is taken beforehand (the count of the accepted, and a slot
 * under a limit), so the group cannot end meanwhile. Not so for what one of its own
 * services starts: the group must be able to end, and then cancels the service, and
 * with it the start; who is ready in spite of that, behind a shield, comes too late. Who
 * is cancelled when he says that he is ready stays where he is, to end there.
 */
#include "core/core.h"

#include <errno.h>

struct kin__start {
    struct kin__group *home;        /* where it goes */
    bool held;                      /* home is held open */
    bool slot;                      /* there is a limit, and this has its place */
    bool ready;
    int value;
};

/* ------------------------------------------------------------------ the place */

/* 0 with the group that it goes to, services included, or a refusal. */
static int find_home(struct kin__runtime *rt, const struct kin_spawn_options *options,
                     struct kin__group **home)
{
    struct kin__group *group = kin__group_find(rt, options->group);
    int code;

    if (!group)
        return kin__spawn_nowhere(options);
    code = kin__spawn_refusal(rt, group, options);
    if (code == 0 && options->service && !kin__services(rt, group))
        code = -ENOMEM;
    *home = options->service ? group->services : group;
    return code < 0 ? kin__spawn_refuse(rt, group, options, code) : 0;
}

/* A slot, for which a task of the group itself must not wait. Waiting, the world may
 * change. */
static int take_place(struct kin__runtime *rt, const struct kin_spawn_options *options,
                      struct kin__start *start)
{
    bool inside = kin__task_inside(rt->current, start->home);
    int room = kin__group_take_slot(start->home, inside || options->dont_wait), code;

    start->slot = room == 0;
    code = find_home(rt, options, &start->home);
    if (code == 0 && room < 0)
        code = kin__spawn_refuse(rt, start->home, options, room);
    if (code < 0 && start->slot && kin__group_find(rt, options->group))
        kin__group_give_slot(rt, start->home);
    return code;
}

const struct kin__group *kin__start_home(const struct kin__start *start)
{
    return start->home;
}

static void hold(struct kin__runtime *rt, struct kin__start *start)
{
    const struct kin__group *services = start->home->services;

    start->held = !services || !kin__scope_within(&rt->current->base, &services->scope);
    start->home->accepted += start->held;
}

static void give_place_back(struct kin__runtime *rt, struct kin__start *start)
{
    if (start->slot)
        kin__group_give_slot(rt, start->home);
    if (start->held)
        kin__group_lost_one(rt, start->home);
}

/* -------------------------------------------------------------------- the start */

/* It has ended without a word, and without a failure: perhaps because its starter is
 * cancelled. */
static int not_ready(const struct kin_spawn_options *options)
{
    if (kin_check() < 0)
        return KIN_ECANCELED;
    return kin_fail_at(options->at, KIN_ENOTREADY, "%s: %s",
                       options->name ? options->name : "the task", kin_code_text(KIN_ENOTREADY));
}

/* Runs the task under the caller until it is ready or has ended. */
static int start(struct kin__runtime *rt, const struct kin_spawn_options *options,
                 struct kin__start *start)
{
    struct kin_group_options inner = { .at = options->at, .name = "start",
                                       .keep_whole = start->home->keep_whole };
    struct kin__group *group = kin__group_new(rt, &inner);
    int refused, code;

    if (!group)
        return kin__spawn_refuse(rt, start->home, options, -ENOMEM);
    group->stacks = start->home->stacks;
    group->locals = start->home->locals;
    group->start = start;
    refused = kin__spawn(rt, group, options);
    kin__group_join(rt, group);
    code = kin__group_finish(rt, group, 0);
    if (refused < 0)
        return kin__spawn_refuse(rt, start->home, options, refused);
    if (start->ready)
        return start->value;
    if (code == KIN_ECANCELED)
        kin__told(rt->current->scope);
    if (code >= 0)
        return not_ready(options);
    kin__error_unwrap(rt);
    return code;
}

static int start_task(struct kin__runtime *rt, const struct kin_spawn_options *options)
{
    struct kin__start state = { .value = 0 };
    int code = find_home(rt, options, &state.home);

    if (code == 0 && state.home->limit)
        code = take_place(rt, options, &state);
    if (code < 0)
        return code;
    hold(rt, &state);
    code = start(rt, options, &state);
    if (!state.ready)
        give_place_back(rt, &state);
    return code;
}

/* While this waits for room, the group may end, and with it the caller's handle. */
int kin_start_with(const struct kin_spawn_options *options)
{
    struct kin_spawn_options own = *options;
    kin_group handle;
    int code = kin__call_begin();

    if (code < 0 && own.task)
        *own.task = (kin_task){ .status = KIN_REFUSED, .code = code };
    if (code < 0)
        return code;
    if (own.group) {
        handle = *own.group;
        own.group = &handle;
    }
    return start_task(kin__rt, &own);
}

/* ------------------------------------------------------------------ being ready */

static void move_home(struct kin__runtime *rt, struct kin__task *task, struct kin__start *state)
{
    struct kin__group *from = kin__group_of(task->base.parent), *home = state->home;

    kin__scope_unlink(&task->base);
    kin__scope_link(&task->base, &home->scope);
    rt->cancellations++;                    /* it sees others now */
    home->accepted += !state->held;
    task->base.flags |= KIN__READY | kin__group_traits(home) | (state->slot ? KIN__SLOT : 0);
    kin__group_lost_one(rt, from);
    if (home->scope.flags & KIN__REACHED)
        kin__reach(rt, &task->base);
    else
        kin__tell_softly(&task->base);
}

int kin_ready(int value)
{
    struct kin__runtime *rt = kin__rt;
    struct kin__task *task = rt ? rt->current : NULL;
    struct kin__start *state;

    if (!task || value < 0)
        return task ? KIN_EINVAL : kin__no_run();
    if (task->base.flags & KIN__READY)
        return KIN_ESTALE;
    state = task == &rt->host ? NULL : kin__group_of(task->base.parent)->start;
    if (!state)
        return 0;
    if (task->base.flags & KIN__REACHED) {
        kin__told(&task->base);
        return KIN_ECANCELED;
    }
    if (!state->held && (state->home->scope.flags & KIN__ENDING))
        return KIN_ECLOSED;
    state->ready = true;
    state->value = value;
    move_home(rt, task, state);
    return 0;
}
