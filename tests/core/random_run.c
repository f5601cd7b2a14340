/* Running a random program, and checking at each of its steps that kin says and does
 * what the model of the contract (random_model.h) says. */
#include "random_run.h"
#include "random_sync.h"

#include <stdarg.h>

struct world world;

void note(uint64_t value)
{
    world.trace = (world.trace ^ value) * 0x100000001b3u + (uint64_t)kin_now();
}

void wrong(const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    FAIL("at node %u, time %lld: %s", world.node, (long long)kin_now(), text);
}

void check_result(const char *what, int got, int wanted)
{
    if (got != wanted)
        wrong("%s gave %d (%s), wanted %d (%s)", what, got, kin_code_name(got), wanted,
              kin_code_name(wanted));
}

struct shadow *new_shadow(enum shadow_kind kind, struct shadow *parent, uint8_t node)
{
    struct shadow *s = &world.shadow[world.shadows];

    if (world.shadows == SHADOWS)
        return NULL;
    world.shadows++;
    model_begin(s, kind, parent);
    s->node = node;
    world.latest[node] = s;
    return s;
}

/* -------------------------------------------------------------------- looking */

static int64_t earliest_deadline(const struct shadow *s)
{
    int64_t earliest = NEVER;

    for (; s; s = s->shield > 0 ? NULL : s->parent)
        earliest = s->deadline < earliest ? s->deadline : earliest;
    return earliest;
}

static void look_at_scope(const struct shadow *s)
{
    struct kin_scope_state state;
    int rc = s->kind == SHADOW_GROUP ? kin_group_look(&s->group, &state)
                                     : kin_scope_look(&s->scope, &state);

    check_result("look", rc, 0);
    if (state.cancelled != model_own(s) || state.expired != model_expired(s) ||
        state.told != s->told || state.timed_out != (s->told && model_expired(s)))
        wrong("node %u: cancelled %d, expired %d, told %d, timed out %d; wanted %d, %d, %d, %d",
              s->node, state.cancelled, state.expired, state.told, state.timed_out, model_own(s),
              model_expired(s), s->told, s->told && model_expired(s));
    if (state.cancelled && state.reason.kind != model_reason(s))
        wrong("node %u cancelled by %s instead of %s", s->node, kin_reason_name(state.reason.kind),
              kin_reason_name(model_reason(s)));
}

/* What any task can see at any time. */
static void look(const struct place *place)
{
    const struct shadow *outermost = model_outermost(place->at);
    const kin_reason *reason = kin_cancelled();

    if (!outermost != !reason)
        wrong("kin_cancelled says %s", reason ? "yes" : "no");
    if (reason && reason->kind != model_reason(outermost))
        wrong("cancelled by %s instead of %s", kin_reason_name(reason->kind),
              kin_reason_name(model_reason(outermost)));
    if (reason && reason->soft == model_reached(place->at))
        wrong("%s", reason->soft ? "softly only" : "hard already");
    if (!outermost && kin_deadline() != earliest_deadline(place->at))
        wrong("the deadline is %lld instead of %lld", (long long)kin_deadline(),
              (long long)earliest_deadline(place->at));
    for (const struct shadow *s = place->at; s->kind != SHADOW_TASK; s = s->parent)
        look_at_scope(s);
}

/* -------------------------------------------------------------- small statements */

static int cancel_task(struct shadow *t)
{
    int rc = kin_cancel(&t->task, "at random"), wanted = 0;

    if (t->may_be_skipped && !t->started && model_reached(t))
        return rc;                      /* it may have been skipped by now */
    if (!t->spawned || t->ended)
        wanted = KIN_ESTALE;
    else if (t->parent->keep_whole)
        wanted = KIN_EBUSY;
    check_result("cancel", rc, wanted);
    if (rc == 0)
        model_cancel(t, KIN_BY_HAND);
    return rc;
}

static int cancel(const struct place *place, const struct node *n)
{
    struct shadow *s = n->target ? world.latest[n->target] : place->at;
    int rc;

    if (!s || (s->kind == SHADOW_TASK && s == place->at))
        return 0;
    if (s->kind == SHADOW_TASK)
        return cancel_task(s);
    rc = s->kind == SHADOW_GROUP ? kin_cancel(&s->group, "at random")
                                 : kin_cancel(&s->scope, "at random");
    check_result("cancel", rc, s->ended ? KIN_ESTALE : 0);
    if (rc == 0)
        model_cancel(s, KIN_BY_HAND);
    return rc;
}

static int move_deadline(const struct place *place, const struct node *n)
{
    struct shadow *s = n->target ? world.latest[n->target] : place->at;
    int64_t deadline = model_later(kin_now(), time_of(n->timeout));
    int rc, wanted = 0;

    if (!s || s->kind == SHADOW_TASK)
        return 0;
    rc = s->kind == SHADOW_GROUP ? kin_group_set_deadline(&s->group, deadline)
                                 : kin_scope_set_deadline(&s->scope, deadline);
    if (s->ended)
        wanted = KIN_ESTALE;
    else if (model_expired(s))
        wanted = KIN_ETIMEDOUT;
    check_result("moving a deadline", rc, wanted);
    if (rc == 0)
        model_move_deadline(s, deadline);
    return rc;
}

/* What can last for ever is not for endless shields. */
static int wait_for_something(struct place *place, const struct node *n)
{
    struct shadow *at = place->at;

    if (endless(at))
        return sync_yield(at);
    switch (n->kind) {
    case ACQUIRE:
        return sync_acquire(at, time_of(n->timeout));
    case LOCK:
        return sync_lock(at, time_of(n->timeout));
    case PUT:
        return sync_put(at);
    case GET:
        return sync_get(at);
    case WAIT_EVENT:
        return sync_wait_event(at);
    case NEXT:
        return wait_for_next(place, n);
    case WAIT_TASK:
        return wait_for_tasks(place, n);
    case WAIT_CANCELLED:
        return wait_for_cancellation(place);
    default:
        return sync_sleep(at, time_of(n->timeout));
    }
}

static int run_small(struct place *place, const struct node *n)
{
    switch (n->kind) {
    case YIELD:
        return sync_yield(place->at);
    case READY:
        return be_ready(place);
    case CANCEL:
        return cancel(place, n);
    case MOVE_DEADLINE:
        return move_deadline(place, n);
    case TRY_PUT:
        return sync_try_put();
    case TRY_GET:
        return sync_try_get();
    case SET_EVENT:
        sync_set_event();
        return 0;
    case CLEAR_EVENT:
        sync_clear_event();
        return 0;
    case SLEEP: case ACQUIRE: case LOCK: case PUT: case GET: case WAIT_EVENT: case NEXT:
    case WAIT_TASK: case WAIT_CANCELLED:
        return wait_for_something(place, n);
    default:
        return place->last;
    }
}

static void run_one(struct place *place, uint8_t index)
{
    const struct node *n = &world.program->node[index];

    world.node = index;
    switch (n->kind) {
    case GROUP:
        run_group(place, n, index);
        break;
    case SCOPE:
        run_scope(place, n, index);
        break;
    case TASK:
        run_spawn(place, n, index);
        break;
    case START:
        run_start(place, n, index);
        break;
    case REPEAT:
        for (int i = 0; i < n->times && !place->returning; i++)
            run_statements(place, n->first);
        break;
    case GIVE_UP: case RETURN:
        place->returning = n->kind == RETURN || place->last < 0;
        place->code = n->kind == RETURN ? code_of(n->code, place->last) : place->last;
        break;
    default:
        place->last = run_small(place, n);
    }
    note((uint64_t)index << 32 ^ (uint64_t)(uint32_t)place->last);
    world.node = index;
    look(place);
}

void run_statements(struct place *place, uint8_t index)
{
    for (; index && !place->returning; index = world.program->node[index].next)
        run_one(place, index);
}

/* --------------------------------------------------------------------- programs */

/* All that can last for ever is over after a while. */
static int root(void *arg)
{
    struct kin_facts before, after;
    struct shadow *task = new_shadow(SHADOW_TASK, NULL, 0);
    struct shadow *s = new_shadow(SHADOW_SCOPE, task, 0);
    struct place place = { .task = task, .at = s };

    (void)arg;
    CHECK_CODE(kin_facts(&before), 0);
    s->deadline = kin_now() + KIN_MS(30);
    s->scope = kin_scope_open(.timeout = KIN_MS(30));
    run_statements(&place, world.program->node[0].first);
    kin_scope_leave(&s->scope);
    CHECK_CODE(kin_check(), 0);
    CHECK_CODE(kin_facts(&after), 0);
    CHECK_INT(after.tasks, before.tasks);
    sync_check_all_is_back();
    if (world.lost && !world.reasons_to_report)
        wrong("errors reported as lost, and none were");
    return 0;
}

/* Nobody is in a deadlock, and nothing is misused; who goes on in vain is told so (C10). */
static void take_report(const char *line, void *arg)
{
    (void)arg;
    if (strstr(line, "lost error"))
        world.lost++;
    else if (!strstr(line, "blocking calls although it is cancelled"))
        wrong("reported: %s", line);
}

uint64_t program_run(const struct program *p)
{
    world.program = p;
    world.shadows = 0;
    world.trace = world.lost = 0;
    world.reasons_to_report = false;
    memset(world.latest, 0, sizeof world.latest);
    model_sets.first = NULL;
    sync_begin();
    CHECK_CODE(kin_run(root, NULL, .virtual_clock = true, .backend = test_backend(),
                       .seed = p->order, .on_report = take_report), 0);
    return world.trace;
}
