/* Groups, scopes and tasks of random programs: what opening, spawning, ending and closing
 * give, against the model. */
#include "random_run.h"

#include "core/core.h"

/* ---------------------------------------------------------------------- tasks */

static bool is_failure(const struct shadow *task)
{
    return task->status == KIN_FAILED || (task->status == KIN_TIMED_OUT && !task->optional);
}

int run_task(void *arg)
{
    struct shadow *task = arg;
    const struct node *n = &world.program->node[task->node];
    struct place place = { .task = task, .at = task };

    if (task->started)
        wrong("task %d runs twice", task->index);
    if (task->may_be_skipped && model_reached(task))
        wrong("task %d runs although it was cancelled before", task->index);
    model_start(task);
    if (task->parent->limit && task->parent->running > task->parent->limit)
        wrong("%u tasks run under a limit of %u", task->parent->running, task->parent->limit);
    note((uint64_t)task->index);
    run_statements(&place, n->first);
    if (!place.returning)
        place.code = code_of(n->code, place.last);
    note((uint64_t)place.code);
    model_end(task, place.code);
    if (task->parent->serves && is_failure(task))
        world.reasons_to_report = true;
    return place.code;
}

static int run_copied_task(void *arg)
{
    return run_task(*(struct shadow **)arg);
}

/* Before it has ended, nothing but that is in the record. */
static void check_pending(const struct shadow *task)
{
    if (task->spawned && !task->ended && !task->may_be_skipped && task->task.status != KIN_PENDING)
        wrong("task %d has not ended and is %s", task->index, kin_status_name(task->task.status));
}

static bool may_have_skipped(const struct shadow *g)
{
    for (const struct shadow *t = g->first; t; t = t->next)
        if (t->may_be_skipped)
            return true;
    return false;
}

void check_outcome(struct shadow *task)
{
    const kin_task *record = &task->task;

    if (!task->started && !task->may_be_skipped)
        wrong("task %d never ran", task->index);
    if (!task->started && !model_reached(task))
        wrong("task %d was skipped, and nothing had cancelled it", task->index);
    if (!task->started)
        model_skipped(task);
    if (!task->ended)
        wrong("task %d has not ended, and its group has", task->index);
    if (record->status != task->status || record->code != task->code)
        wrong("task %d is %s with %s, wanted %s with %s", task->index,
              kin_status_name(record->status), kin_code_name(record->code),
              kin_status_name(task->status), kin_code_name(task->code));
    if (!task->may_be_skipped && record->order != task->order && !may_have_skipped(task->parent))
        wrong("task %d ended as number %llu, wanted %llu", task->index,
              (unsigned long long)record->order, (unsigned long long)task->order);
    if (record->timed_out != task->by_limit || record->cancelled != task->was_cancelled)
        wrong("task %d: timed out %d, cancelled %d, wanted %d, %d", task->index, record->timed_out,
              record->cancelled, task->by_limit, task->was_cancelled);
    if (task->reason && record->reason.kind != task->reason)
        wrong("task %d was cancelled by %s, wanted %s", task->index,
              kin_reason_name(record->reason.kind), kin_reason_name(task->reason));
}

/* ------------------------------------------------------------------- spawning */

/* Of a task that is being started, the group that it goes to. */
struct shadow *nearest_group(struct shadow *s)
{
    while (s && s->kind != SHADOW_GROUP)
        s = s->home ? s->home : s->parent;
    return s && s->serves ? s->serves : s;
}

/* A shield for ever outlasts the deadline of the program: nothing in it may last. (That of
 * services goes when their group ends.) */
bool endless(const struct shadow *s)
{
    while (s && (s->shield != KIN_FOREVER || s->serves))
        s = s->parent;
    return s != NULL;
}

struct spawning {
    struct shadow *group, *task;
    bool gone, past, inside, dont_wait, room, full, sure, optional, service;
    int64_t began;
};

/* Of a group with a limit: what else than its refusal may come out. As long as others who
 * wait for room may have been given it already, or tasks may have been skipped, it is not
 * sure how much there is. */
static bool may_say(const struct place *place, const struct spawning *s, int rc)
{
    if (s->room)
        return rc == 0;
    if (s->inside)
        return s->sure ? rc == (s->full ? KIN_EFULL : 0)
                       : rc == 0 || (rc == KIN_EFULL && s->group->max_queued);
    if (s->dont_wait)
        return rc == KIN_EAGAIN || (rc == 0 && !s->sure);
    return rc == 0 || (rc == KIN_ECANCELED && model_reached(place->at) &&
                       (model_reached_at(place->at) <= s->began ||
                        kin_now() == model_reached_at(place->at)));
}

/* Who waits for room is told of a hard cancellation when it comes. */
static void check_refused_at_once(const struct spawning *s)
{
    int64_t reached = model_reached_at(s->group);

    if (reached <= kin_now() && kin_now() != (reached > s->began ? reached : s->began))
        wrong("a spawn begun at %lld into what was cancelled at %lld returned",
              (long long)s->began, (long long)reached);
}

static void spawned(struct place *place, const struct spawning *s, int rc)
{
    int refusal = model_refusal(s->group, s->past);
    bool asked = s->dont_wait && (rc == KIN_EAGAIN || rc == KIN_EFULL);

    if (refusal < 0 ? rc != refusal : !may_say(place, s, rc))
        wrong("spawn gave %s, wanted %s", kin_code_name(rc), kin_code_name(refusal));
    if (s->task->task.status != (rc < 0 ? KIN_REFUSED : KIN_PENDING) || s->task->task.code != rc)
        wrong("spawn gave %s; its record says %s, %s", kin_code_name(rc),
              kin_status_name(s->task->task.status), kin_code_name(s->task->task.code));
    if (refusal < 0 && !s->group->ended)
        check_refused_at_once(s);
    s->task->refused = rc < 0;
    if (rc == 0)
        model_accept(s->task->parent, s->task);
    else if (!s->gone)
        model_refuse(s->group, place->at, s->task->index, rc,
                     asked || (rc == KIN_ETIMEDOUT && s->optional));
}

bool has_room_for_certain(const struct shadow *g)
{
    return g->limit == 0 || g->accepted - g->over + g->waiting < g->limit;
}

static void look_at_room(struct spawning *s, const struct shadow *g)
{
    uint32_t live = g->accepted - g->over;

    s->room = s->service || has_room_for_certain(g);
    s->full = g->max_queued && live >= g->limit + g->max_queued;
    s->sure = g->waiting == 0 && !may_have_skipped(g);
}

static int spawn(const struct spawning *s, const struct node *n)
{
    struct shadow *task = s->task;
    bool copy = task->may_be_skipped;

    return kin_spawn(&s->group->group, copy ? run_copied_task : run_task,
                     copy ? (void *)&task : (void *)task, .name = "task", .index = task->index,
                     .task = &task->task, .timeout = time_of(n->timeout),
                     .copy = copy ? sizeof task : 0, .optional = s->optional,
                     .skip_cancelled = copy, .dont_wait = s->dont_wait, .service = s->service);
}

/* ------------------------------------------------------------------- services */

static bool is_ending(const struct shadow *services)
{
    const struct kin__group *g = services->serves->group.state;

    return !services->serves->ended && g->services && (g->services->scope.flags & KIN__HARD);
}

/* A service of each group that does nothing but see when they end: nobody else may be
 * awake then. */
static int watch_the_end(void *arg)
{
    struct shadow *task = arg;

    model_start(task);
    check_result("a service's sleep", kin_sleep(KIN_FOREVER), KIN_ECANCELED);
    if (!model_reached(task))
        wrong("a service was cancelled before its group had ended");
    model_told(task);
    model_end(task, KIN_ECANCELED);
    return KIN_ECANCELED;
}

/* The inner group in which the services live begins with the first of them. */
static struct shadow *services_of(struct shadow *g)
{
    struct shadow *services, *watcher;

    if (g->services || model_refusal(g, false) < 0)
        return g->services;
    services = new_shadow(SHADOW_GROUP, g, 0);
    watcher = services ? new_shadow(SHADOW_TASK, services, 0) : NULL;
    if (!watcher)
        return NULL;
    services->policy = KIN_KEEP_GOING;
    services->shield = KIN_FOREVER;
    services->keep_whole = g->keep_whole;
    services->serves = g;
    check_result("spawning a service",
                 kin_spawn(&g->group, watch_the_end, watcher, .name = "watcher",
                           .task = &watcher->task, .service = true), 0);
    services->is_ending = is_ending;
    g->services = services;
    model_accept(services, watcher);
    return services;
}

static bool enter_service(struct spawning *s)
{
    struct shadow *services = services_of(s->group);

    if (services)
        s->task->parent = services;
    return services || model_refusal(s->group, false) < 0;
}

/* When a task is skipped cannot be seen, and a quorum, or who waits for the next to end,
 * would depend on it. */
static bool may_skip(const struct shadow *g, const struct node *n)
{
    return (n->flags & (SKIP_CANCELLED | SERVICE)) == SKIP_CANCELLED && g->policy != KIN_ANY && g->policy != KIN_QUORUM &&
           !g->collect;
}

void run_spawn(struct place *place, const struct node *n, uint8_t index)
{
    struct shadow *g = n->target ? world.latest[n->target] : nearest_group(place->at);
    struct shadow *task = g ? new_shadow(SHADOW_TASK, g, index) : NULL;
    struct spawning s = { .group = g, .task = task };

    if (!task)
        return;
    s.began = kin_now();
    s.gone = g->ended;
    s.past = time_of(n->timeout) < 0;
    s.inside = model_inside(place->at, g);
    s.optional = task->optional = n->flags & OPTIONAL;
    s.dont_wait = n->flags & DONT_WAIT || endless(place->at);
    s.service = n->flags & SERVICE;
    look_at_room(&s, g);
    task->index = world.shadows;
    task->timeout = time_of(n->timeout);
    task->may_be_skipped = may_skip(g, n);
    if (s.service && !enter_service(&s))
        return;
    g->waiting += !s.service;
    place->last = spawn(&s, n);
    g->waiting -= !s.service;
    spawned(place, &s, place->last);
}

/* --------------------------------------------------------------- error trees */

/* The first 31 failures and the last, by name and code, and the number of the rest. */
static void check_tree(const struct shadow *g, int rc)
{
    const kin_error *root = kin_error_last(), *child;
    uint32_t kept = g->failures < 32 ? g->failures : 32, n = 0;

    if (!root) {
        if (g->failures || rc < 0)
            wrong("close gave %s, and no error tells why", kin_code_name(rc));
        return;
    }
    if (g->failures == 0 && rc >= 0)
        wrong("an error without a failure: %s", kin_code_name(root->code));
    check_result("the root of the errors", root->code, rc);
    for (child = root->child; child; child = child->next, n++) {
        const struct failure *f = &g->failure[n < 31 ? n : g->failures - 1];

        if (n >= kept || child->code != f->code || child->index != f->index)
            wrong("failure %u is %s of task %d, wanted %s of task %d", n,
                  kin_code_name(child->code), child->index, kin_code_name(f->code), f->index);
    }
    if (n != kept || root->dropped != g->failures - kept)
        wrong("of %u failures %u are in the tree and %llu counted", g->failures, n,
              (unsigned long long)root->dropped);
}

/* --------------------------------------------------------- groups and scopes */

static void give_limits(struct shadow *s, const struct node *n)
{
    int64_t timeout = time_of(n->timeout);

    s->grace = time_of(n->grace);
    s->shield = s->kind == SHADOW_SCOPE ? time_of(n->shield) : 0;
    if (n->flags & CANCELLED)
        model_cancel(s, KIN_BY_HAND);
    else if (timeout)
        s->deadline = timeout < 0 ? kin_now() : model_later(kin_now(), timeout);
}

static bool ask_custom(const struct kin_ending *ending, void *arg)
{
    const struct shadow *g = arg;

    if (ending->counts.ok != g->ok || ending->counts.failed != g->failed)
        wrong("the policy was told %llu ok, %llu failed; wanted %u, %u",
              (unsigned long long)ending->counts.ok, (unsigned long long)ending->counts.failed,
              g->ok, g->failed);
    return model_custom_decides(g);
}

static struct shadow *open_group(struct place *place, const struct node *n, uint8_t index)
{
    struct shadow *g = new_shadow(SHADOW_GROUP, place->at, index);

    if (!g)
        return NULL;
    g->policy = (kin_policy)n->policy;
    g->quorum = n->quorum;
    g->limit = n->limit;
    g->max_queued = n->max_queued;
    g->keep_whole = n->flags & KEEP_WHOLE;
    g->collect = n->flags & COLLECT;
    give_limits(g, n);
    g->group = kin_group_open(.policy = g->policy, .quorum = g->quorum, .limit = g->limit,
                              .max_queued = g->max_queued, .keep_whole = g->keep_whole,
                              .decide = ask_custom, .decide_arg = g, .collect = g->collect,
                              .timeout = time_of(n->timeout), .grace = time_of(n->grace),
                              .cancelled = n->flags & CANCELLED);
    return g;
}

static void check_counts(const struct shadow *g)
{
    struct kin_group_counts counts;

    check_result("count", kin_group_count(&g->group, &counts), 0);
    for (const struct shadow *t = g->first; t; t = t->next) {
        if (t->may_be_skipped && !t->started)
            return;                     /* may have been, without our knowing */
        check_pending(t);
    }
    if (counts.accepted != g->accepted || counts.ok != g->ok || counts.failed != g->failed ||
        counts.timed_out != g->timed_out || counts.cancelled != g->cancelled ||
        counts.skipped != g->skipped || counts.live != g->accepted - g->over)
        wrong("the counts of node %u are wrong", g->node);
}

static void check_all_ended(struct shadow *g)
{
    if (g->services)
        check_all_ended(g->services);
    for (struct shadow *t = g->first; t; t = t->next)
        check_outcome(t);
    if (g->over != g->accepted)
        wrong("%u of %u tasks ended", g->over, g->accepted);
    if (!g->serves && !kin_group_ended(&g->group))
        wrong("closed, and not ended");
    g->ended = true;
}

/* Nobody can reach the failures of a group that was left: they are reported. */
static void leave_group(struct shadow *g)
{
    unsigned lost = world.lost;

    model_cancel(g, KIN_BY_LEAVING);
    kin_group_leave(&g->group);
    check_all_ended(g);
    if (g->failures > 0 && world.lost == lost)
        wrong("left with %u failures, and no report", g->failures);
    world.reasons_to_report |= g->failures > 0;
}

static int close_group(const struct place *place, struct shadow *g, int rc)
{
    int wanted, got;

    model_body(g, place->task, rc);
    got = kin_group_close(&g->group, rc);
    check_all_ended(g);
    wanted = model_close_group(g, rc);
    check_result("close", got, wanted);
    check_tree(g, got);
    if (got == KIN_ECANCELED)
        model_told(g->parent);
    return got;
}

/* The body's own code, or that with which it is on its way out. */
static int end_code(const struct place *place, const struct node *n)
{
    return place->returning ? place->code : code_of(n->code, place->last);
}

static void went_out(struct place *place, struct shadow *inner, int rc)
{
    place->at = inner->parent;
    place->last = rc;
    if (place->returning && rc < 0)
        place->code = rc;
}

void run_group(struct place *place, const struct node *n, uint8_t index)
{
    struct shadow *g = open_group(place, n, index);
    int rc = 0;

    if (!g)
        return;
    place->at = g;
    run_statements(place, n->first);
    world.node = index;
    check_counts(g);
    if (n->flags & LEAVE)
        leave_group(g);
    else
        rc = close_group(place, g, end_code(place, n));
    went_out(place, g, rc);
}

static int close_scope(struct shadow *s, int rc)
{
    int wanted = model_close_scope(s, rc);

    check_result("closing a scope", kin_scope_close(&s->scope, rc), wanted);
    if (wanted == KIN_ECANCELED)
        model_told(s->parent);
    return wanted;
}

void run_scope(struct place *place, const struct node *n, uint8_t index)
{
    struct shadow *s = new_shadow(SHADOW_SCOPE, place->at, index);
    int rc = 0;

    if (!s)
        return;
    give_limits(s, n);
    s->scope = kin_scope_open(.timeout = time_of(n->timeout), .grace = time_of(n->grace),
                              .shield = time_of(n->shield), .cancelled = n->flags & CANCELLED);
    place->at = s;
    run_statements(place, n->first);
    world.node = index;
    if (n->flags & LEAVE)
        kin_scope_leave(&s->scope);
    else
        rc = close_scope(s, end_code(place, n));
    if (!kin_scope_ended(&s->scope))
        wrong("closed, and not ended");
    s->ended = true;
    went_out(place, s, rc);
}
