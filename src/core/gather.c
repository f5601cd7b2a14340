/* Combining: some functions as one call, and a function within a limit. All of it is
 * groups, tasks and scopes; what is added is that arguments are looked at before
 * anything is started, and where outcomes are put. */
#include "core/core.h"

static int check_calls(const kin_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!calls[i].fn)
            return KIN_EINVAL;
    return kin__call_begin();
}

/* All of it, or nothing has begun. */
static void refuse_calls(kin_call *calls, size_t count, int code)
{
    for (size_t i = 0; i < count; i++)
        calls[i].task = (kin_task){ .status = KIN_REFUSED, .code = code };
}

static void spawn_call(kin_group *group, kin_call *call, const char *at)
{
    kin_spawn_with(&(struct kin_spawn_options){
        .at = at, .group = group, .fn = call->fn, .arg = call->arg, .task = &call->task,
        .name = call->name, .index = call->index, .timeout = call->timeout,
        .optional = call->optional });
}

int kin_gather_with(kin_call *calls, size_t count, const struct kin_group_options *options)
{
    int rc = check_calls(calls, count);
    kin_group group;

    if (rc < 0) {
        refuse_calls(calls, count, rc);
        return rc;
    }
    group = kin_group_open_with(options);
    for (size_t i = 0; i < count; i++)
        spawn_call(&group, &calls[i], options->at);
    return kin_group_close(&group, 0);
}

int kin_race_with(kin_call *calls, size_t count, const struct kin_group_options *options)
{
    struct kin_group_options any = *options;
    int rc;

    any.policy = KIN_ANY;
    rc = count > INT32_MAX ? KIN_EINVAL : kin_gather_with(calls, count, &any);
    for (size_t i = 0; rc >= 0 && i < count; i++)
        if (calls[i].task.status == KIN_OK &&
            (calls[rc].task.status != KIN_OK || calls[i].task.order < calls[rc].task.order))
            rc = (int)i;
    return rc;
}

/* ----------------------------------------------------------------- within a limit */

/* What has no time left is not begun. A limit further in that has passed, and whose
 * code fn returns, is not this one. A result that comes in spite of it counts (C9). */
static int within(int64_t duration, int (*fn)(void *arg), void *arg, bool *timed_out)
{
    struct kin_scope_state state;
    kin_scope scope;
    int rc = kin__call_begin(), closed;

    if (rc < 0 || !fn)
        return rc < 0 ? rc : KIN_EINVAL;
    *timed_out = duration <= 0;
    if (*timed_out)
        return KIN_ETIMEDOUT;
    scope = kin_scope_open(.name = "within", .timeout = duration);
    rc = fn(arg);
    if (kin_scope_look(&scope, &state) == 0)
        *timed_out = state.expired && (state.told || kin_class(rc) == KIN_CLASS_CANCEL);
    closed = kin_scope_close(&scope, rc);
    return rc >= 0 ? rc : closed;
}

int kin_within(int64_t duration, int (*fn)(void *arg), void *arg)
{
    bool timed_out;

    return within(duration, fn, arg, &timed_out);
}

int kin_within_or(int64_t duration, int otherwise, int (*fn)(void *arg), void *arg)
{
    bool timed_out = false;
    int rc = within(duration, fn, arg, &timed_out);

    return rc == KIN_ETIMEDOUT && timed_out ? otherwise : rc;
}
