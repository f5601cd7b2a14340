/* See random_model.h. All that is written here stands in docs/semantics.md; the rules'
 * ids are there. */
#include "random_model.h"

int64_t model_later(int64_t time, int64_t duration)
{
    int64_t sum;

    return __builtin_add_overflow(time, duration, &sum) ? NEVER : sum;
}

/* All but its handle, which tells the shadow of another program from this one's. */
void model_begin(struct shadow *s, enum shadow_kind kind, struct shadow *parent)
{
    memset(s, 0, offsetof(struct shadow, failure));
    memset(&s->scope, 0, sizeof *s - offsetof(struct shadow, scope));
    s->kind = kind;
    s->parent = parent;
    s->opened = kin_now();
    s->deadline = s->cancelled_at = NEVER;
}

/* ------------------------------------------------------------------ S2: waiting */

void line_add(struct line *line, struct waiter *w, struct shadow *at)
{
    struct waiter **last = &line->first;

    w->next = NULL;
    w->at = at;
    while (*last)
        last = &(*last)->next;
    *last = w;
}

void line_remove(struct line *line, const struct waiter *w)
{
    struct waiter **link = &line->first;

    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
}

struct waiter *line_serve(struct line *line)
{
    for (struct waiter *w = line->first; w; w = w->next)
        if (!w->served && !model_reached(w->at)) {
            w->served = true;
            return w;
        }
    return NULL;
}

/* ----------------------------------------------------- C1, C5, C6: who sees what */

static void model_end_services(struct shadow *g)
{
    g->services->cancelled_at = kin_now();
    g->services->why = KIN_BY_SHUTDOWN;
}

static int64_t own_at(const struct shadow *s)
{
    if (s->is_ending && s->cancelled_at == NEVER && s->is_ending(s))
        model_end_services(s->serves);
    return s->deadline < s->cancelled_at ? s->deadline : s->cancelled_at;
}

static int64_t hard_at(const struct shadow *s)
{
    return model_later(own_at(s), s->grace);
}

static int64_t later_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When what is outside comes in: at once, or when the shield is over. */
static int64_t outer_at(const struct shadow *s)
{
    int64_t outside = s->parent ? later_of(model_reached_at(s->parent), s->since) : NEVER;

    if (s->shield == 0 || outside == NEVER)
        return outside;
    return model_later(later_of(outside, s->opened), s->shield);
}

int64_t model_reached_at(const struct shadow *s)
{
    int64_t own = hard_at(s), outer = outer_at(s);

    return own < outer ? own : outer;
}

/* A cancellation that is still soft shows, but not through a shield. */
int64_t model_visible_at(const struct shadow *s)
{
    int64_t own = own_at(s), outer = NEVER;

    if (s->shield > 0)
        outer = outer_at(s);
    else if (s->parent)
        outer = later_of(model_visible_at(s->parent), s->since);
    return own < outer ? own : outer;
}

bool model_reached(const struct shadow *s)
{
    return model_reached_at(s) <= kin_now();
}

bool model_expired(const struct shadow *s)
{
    return s->deadline <= kin_now();
}

bool model_own(const struct shadow *s)
{
    return own_at(s) <= kin_now();
}

static bool shields(const struct shadow *s)
{
    return s->shield > 0 && outer_at(s) > kin_now();
}

const struct shadow *model_outermost(const struct shadow *s)
{
    const struct shadow *outermost = NULL;

    for (; s; s = shields(s) ? NULL : s->parent)
        if (model_own(s))
            outermost = s;
    return outermost;
}

/* Does the outer scope count for what this one reports? An outer grace does not hide
 * what a hard cancellation of its own has said. */
static bool outer_counts(const struct shadow *s)
{
    if (!s->parent || shields(s))
        return false;
    return hard_at(s) <= kin_now() ? model_reached(s->parent) : model_outermost(s->parent) != NULL;
}

kin_reason_kind model_reason(const struct shadow *s)
{
    return s->deadline < s->cancelled_at ? KIN_BY_DEADLINE : s->why;
}

/* ----------------------------------------------------------- C3, D1: what happens */

void model_cancel(struct shadow *s, kin_reason_kind why)
{
    if (model_own(s))
        return;                         /* the first reason stands */
    s->cancelled_at = kin_now();
    s->deadline = NEVER;
    s->why = why;
}

void model_move_deadline(struct shadow *s, int64_t deadline)
{
    if (!model_own(s))
        s->deadline = deadline > kin_now() ? deadline : kin_now();
}

/* A call said "cancelled", or a spawn was refused. */
void model_told(struct shadow *s)
{
    for (; s && model_reached(s); s = shields(s) ? NULL : s->parent)
        s->told = true;
}

/* Somebody says so himself, who may only have looked. */
static void told_by_choice(struct shadow *s)
{
    const struct shadow *outermost = model_outermost(s);

    for (; outermost; s = s->parent) {
        s->told = true;
        if (s == outermost)
            return;
    }
}

/* --------------------------------------------------------- D2, E4: echoes, results */

static bool is_echo(const struct shadow *s, int code)
{
    if (kin_class(code) == KIN_CLASS_CANCEL)
        return model_reached(s) || model_outermost(s);
    if (kin_class(code) == KIN_CLASS_TIMEOUT)
        return model_expired(s) && s->told;
    return code == KIN_EDECIDED && s->decided;
}

/* Lines 3, 4 and 6 of the table. */
static int scope_result(struct shadow *s, int rc)
{
    if (s->told && outer_counts(s))
        return KIN_ECANCELED;
    if (s->told && model_expired(s))
        return KIN_ETIMEDOUT;
    return rc >= 0 ? rc : 0;
}

int model_close_scope(struct shadow *s, int rc)
{
    bool echo = rc < 0 && is_echo(s, rc);

    if (rc < 0 && !echo)
        return rc;
    if (echo && kin_class(rc) == KIN_CLASS_CANCEL)
        told_by_choice(s);
    return scope_result(s, rc);
}

static bool wants_success(const struct shadow *g)
{
    return g->policy == KIN_ANY || g->policy == KIN_QUORUM;
}

int model_close_group(struct shadow *g, int rc)
{
    if (g->decided)
        return 0;
    if (g->failed_with)
        return g->failed_with;
    if (kin_class(rc) == KIN_CLASS_CANCEL)
        told_by_choice(g);
    rc = scope_result(g, rc);
    return wants_success(g) && rc >= 0 ? KIN_ENOQUORUM : rc;
}

/* ---------------------------------------------------------------- G3: policies */

static uint32_t enough(const struct shadow *g)
{
    return g->policy == KIN_ANY || g->quorum == 0 ? 1 : g->quorum;
}

static void group_failed(struct shadow *g, int code, int index)
{
    if (g->serves)
        g = g->serves;                  /* G11 */
    if (g->failures < FAILURES)
        g->failure[g->failures++] = (struct failure){ code, index };
    if (!g->failed_with)
        g->failed_with = code;
    if (g->policy == KIN_ALL)
        model_cancel(g, KIN_BY_SIBLING);
}

static void decide(struct shadow *g)
{
    g->decided = true;
    model_cancel(g, KIN_BY_DECISION);
}

/* Once the body has closed, nobody need go on for a quorum that is out of reach. */
static void give_up(struct shadow *g)
{
    uint32_t live = g->accepted - g->over;

    if (wants_success(g) && g->closing && live > 0 && g->ok + live < enough(g))
        model_cancel(g, KIN_BY_DECISION);
}

bool model_custom_decides(const struct shadow *g)
{
    return g->ok + 2 * g->failed > g->quorum;
}

/* ------------------------------------------------------------- W2: who waits for it */

struct line model_sets;

static bool is_over(const struct shadow *t)
{
    return t->ended || t->refused;
}

int model_ended_of(const struct set *set)
{
    int ended = 0;

    for (int i = 0; i < set->count; i++)
        ended += is_over(set->task[i]);
    return ended;
}

bool model_is_over(const struct set *set)
{
    int ended = model_ended_of(set);
    bool failed = false;

    for (int i = 0; i < set->count; i++)
        failed |= set->task[i]->refused || set->task[i]->status == KIN_FAILED ||
                  set->task[i]->status == KIN_TIMED_OUT;
    return ended == set->count || (ended > 0 && set->until == KIN_FIRST_COMPLETED) ||
           (failed && set->until == KIN_FIRST_FAILURE);
}

static void tell_sets(void)
{
    for (struct waiter *w = model_sets.first; w; w = w->next)
        if (!w->served && !model_reached(w->at) && model_is_over(w->set))
            w->served = true;
}

/* Nobody is left who could end. */
static void send_takers_away(struct shadow *g)
{
    while (g->over == g->accepted && line_serve(&g->takers))
        ;
}

static void collect(struct shadow *g, struct shadow *t)
{
    struct waiter *taker = line_serve(&g->takers);

    if (taker)
        taker->task = t;
    else if (g->ended_first)
        g->ended_last = g->ended_last->ended_next = t;
    else
        g->ended_first = g->ended_last = t;
    send_takers_away(g);
}

/* ---------------------------------------------------------------- G3: outcomes */

static void task_counts(struct shadow *g, struct shadow *t)
{
    bool failed = t->status == KIN_FAILED || (t->status == KIN_TIMED_OUT && !t->optional);

    g->over++;
    g->ok += t->status == KIN_OK;
    g->failed += t->status == KIN_FAILED;
    g->timed_out += t->status == KIN_TIMED_OUT;
    g->cancelled += t->status == KIN_CANCELLED;
    g->skipped += t->status == KIN_SKIPPED;
    t->order = g->over;
    if (failed)
        group_failed(g, t->code, t->index);
    if ((wants_success(g) && g->ok >= enough(g)) ||
        (g->policy == KIN_CUSTOM && model_custom_decides(g)))
        decide(g);
    give_up(g);
    tell_sets();
    if (g->collect)
        collect(g, t);
}

void model_body(struct shadow *g, const struct shadow *by, int rc)
{
    if (rc < 0 && !is_echo(g, rc))
        group_failed(g, rc, by->index);
    g->closing = true;
    give_up(g);
}

/* -------------------------------------------------- G5, D3: the life of a task */

void model_start(struct shadow *t)
{
    t->started = true;
    t->deadline = t->timeout > 0 ? model_later(kin_now(), t->timeout) : NEVER;
    if (model_own(t) && t->cancelled_at < NEVER)
        t->deadline = NEVER;            /* cancelled before it began */
    t->parent->running++;
}

static kin_status status_of(struct shadow *t, int code)
{
    bool cancel = kin_class(code) == KIN_CLASS_CANCEL;

    if (code >= 0)
        return KIN_OK;
    if (!is_echo(t, code))
        return KIN_FAILED;
    if (cancel)
        told_by_choice(t);
    return model_expired(t) && !(cancel && outer_counts(t)) ? KIN_TIMED_OUT : KIN_CANCELLED;
}

void model_end(struct shadow *t, int code)
{
    t->status = status_of(t, code);
    t->code = t->status == KIN_TIMED_OUT ? KIN_ETIMEDOUT : code;
    t->by_limit = model_expired(t) && t->told;
    t->was_cancelled = model_reached(t) || t->status == KIN_CANCELLED;
    if (t->was_cancelled)
        t->reason = model_reason(model_outermost(t));
    t->ended = true;
    t->parent->running--;
    task_counts(t->parent, t);
}

void model_skipped(struct shadow *t)
{
    t->status = KIN_SKIPPED;
    t->code = KIN_ECANCELED;
    t->was_cancelled = t->ended = true;
    t->parent->over++;
    t->parent->skipped++;
}

/* --------------------------------------------------------------- G5, G15: spawning */

int model_refusal(const struct shadow *g, bool limit_past)
{
    if (g->ended)
        return KIN_ESTALE;
    if (g->decided)
        return KIN_EDECIDED;
    if (g->services && model_own(g->services))
        return KIN_ECLOSED;
    if (model_reached(g))
        return model_expired(g) ? KIN_ETIMEDOUT : KIN_ECANCELED;
    return limit_past ? KIN_ETIMEDOUT : 0;
}

static void add_task(struct shadow *g, struct shadow *t)
{
    t->next = NULL;
    if (g->last)
        g->last->next = t;
    else
        g->first = t;
    g->last = t;
}

void model_accept(struct shadow *g, struct shadow *t)
{
    t->spawned = true;
    add_task(g, t);
    g->accepted++;
}

void model_refuse(struct shadow *g, struct shadow *at, int index, int code, bool no_failure)
{
    bool own = code == KIN_ECLOSED || g->ended || g->decided || model_reached(g);

    if (own || code == KIN_ECANCELED)
        model_told(at);
    if (g->ended)
        return;
    model_told(g);
    if (!own && !no_failure && code != KIN_ECANCELED)
        group_failed(g, code, index);
}

bool model_inside(const struct shadow *s, const struct shadow *g)
{
    while (s && !(s->kind == SHADOW_TASK && (s->parent == g || s->home == g)))
        s = s->parent;
    return s != NULL;
}

/* ------------------------------------------------------------------- G10: starting */

void model_hold_place(struct shadow *g)
{
    g->accepted++;
}

/* The group in which it was started is empty then. */
void model_move_home(struct shadow *t)
{
    struct shadow *from = t->parent, *home = t->home;

    from->first = from->last = NULL;
    from->accepted--;
    from->running--;
    add_task(home, t);
    home->running++;
    t->parent = home;
    t->home = NULL;
    t->since = kin_now();
}

void model_give_place_back(struct shadow *g)
{
    g->accepted--;
    give_up(g);
    send_takers_away(g);
}
