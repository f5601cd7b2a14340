/* Services: tasks that work for the others of a group (a heartbeat, a log rotation).
 *
 * They live in an inner group that is made with the first of them, behind a shield:
 * whatever cancels the group does not reach them as long as somebody they serve may
 * be alive. When the body has closed and the last ordinary task has ended, the inner
 * group is cancelled and joined, and from then on nothing can be spawned.
 *
 * A service that fails is reported at once, since its group may live for ever, and
 * then is a failure of the group like a task's; or it is started again, after a
 * pause that grows while it keeps failing soon.
 */
#include "core/core.h"

#include <errno.h>

static const int64_t first_pause = KIN_MS(100), longest_pause = KIN_S(30);

struct kin__group *kin__services(struct kin__runtime *rt, struct kin__group *group)
{
    struct kin_group_options options = { .policy = KIN_KEEP_GOING,
                                         .keep_whole = group->keep_whole };
    struct kin__group *services = group->services;

    if (services || !(services = kin__pool_get(&rt->groups)))
        return services;
    kin__scope_init(rt, services, KIN__GROUP, group->scope.owner, group->scope.at, "services");
    kin__group_init(services, &options);
    services->scope.flags = KIN__SHIELD;
    services->shield = KIN_FOREVER;
    services->stacks = group->stacks;
    services->locals = group->locals;
    services->serves = group;
    kin__scope_link(&services->scope, &group->scope);
    group->services = services;
    return services;
}

int kin__service_spawn(struct kin__runtime *rt, struct kin__group *group,
                       const struct kin_spawn_options *options)
{
    struct kin__group *services = kin__services(rt, group);

    return services ? kin__spawn(rt, services, options)
                    : kin__spawn_refuse(rt, group, options, -ENOMEM);
}

/* ------------------------------------------------------------------- restarting */

static void report_failure(struct kin__task *task, int code, int64_t pause)
{
    const kin_error *said = kin_error_last();
    char label[128], then[64] = "it is being ended";

    kin__task_label(task, label, sizeof label);
    if (!kin__cancel_visible(&task->base))
        snprintf(then, sizeof then, "it is started again in %lld ms",
                 (long long)(pause / KIN_MS(1)));
    kin_report("service %s (%s) failed: %s (%s); %s", label, task->base.at,
               said && said->code == code && said->message[0] ? said->message
                                                            : kin_code_text(code),
               kin_code_name(code), then);
}

/* A first run that fails before it was ready comes out of kin_start. */
static bool is_wanted(const struct kin__task *task, int code)
{
    return !kin__group_of(task->base.parent)->start && !kin__scope_absorbs(&task->base, code);
}

/* The service has returned. Runs it again as long as it fails and is wanted; the last
 * code. Each run may say that it is ready. */
int kin__service_again(struct kin__runtime *rt, struct kin__task *task, int code)
{
    int64_t pause = first_pause, began;

    while (code < 0 && is_wanted(task, code)) {
        if (task->base.first)
            kin__leave_open(rt, task);
        task->unopened = 0;
        task->base.flags &= ~(uint32_t)KIN__READY;
        report_failure(task, code, pause);
        kin__error_drop(rt, task);
        if (kin_sleep(pause) < 0)
            return KIN_ECANCELED;
        began = kin__clock(rt);
        code = task->fn(task->arg);
        if (kin__clock(rt) - began >= longest_pause)
            pause = first_pause;
        else
            pause = pause * 2 < longest_pause ? pause * 2 : longest_pause;
    }
    return code;
}

/* ---------------------------------------------------------------------- the end */

void kin__services_end(struct kin__runtime *rt, struct kin__group *group)
{
    struct kin__group *services = group->services;

    group->scope.flags |= KIN__ENDING;
    kin__cancel_because(rt, services, KIN_BY_SHUTDOWN, NULL, group->scope.at,
                        "those it served have ended");
    kin__group_join(rt, services);
    kin__scope_unlink(&services->scope);
    services->scope.id = 0;
    services->scope.reason = NULL;
    kin__pool_put(&rt->groups, services);
    group->services = NULL;
}
