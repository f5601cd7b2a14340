/* The contract once more (docs/semantics.md), as a model of tasks, groups and scopes.
 *
 * The interpreter of random programs keeps a shadow of each. It tells the model what it
 * does, when it does it, and asks what must come of it. Nothing here is ever told that
 * time has passed: whether a deadline has fired, a grace or a shield is over, and whom
 * a cancellation reaches, follows from the times alone, since on the virtual clock
 * everything happens exactly when it is due. So the model needs no timers, no queues
 * and no walks, and has nothing in common with the code but the rules. One thing it has
 * to ask: whether a closer has gone on to the services, which may be any time after the
 * last task has ended. */
#ifndef RANDOM_MODEL_H
#define RANDOM_MODEL_H

#include "kin_test.h"

enum shadow_kind { SHADOW_TASK, SHADOW_GROUP, SHADOW_SCOPE };

struct failure {
    int code, index;        /* the index of the task that failed */
};

enum { FAILURES = 320 };

/* Those who wait for something, in the order in which they came. Whoever hands something
 * over gives it to the first whom no cancellation has reached. */
struct waiter {
    struct waiter *next;
    struct shadow *at;
    bool served;
    int item;
    struct shadow *task;    /* the next to end, handed over */
    struct set *set;        /* of tasks that it waits for */
};

struct line {
    struct waiter *first;
};

struct set {
    struct shadow *task[3];
    int count;
    kin_until until;
};

void line_add(struct line *line, struct waiter *w, struct shadow *at);
void line_remove(struct line *line, const struct waiter *w);
struct waiter *line_serve(struct line *line);

struct shadow {
    enum shadow_kind kind;
    int index;              /* of a task: as spawned */
    struct shadow *parent;
    uint8_t node;
    bool told, ended;
    int64_t opened, deadline, grace, shield;
    int64_t cancelled_at;   /* not by its deadline */
    kin_reason_kind why;

    kin_group group;        /* a group: */
    kin_policy policy;
    uint32_t quorum, limit, max_queued;
    bool keep_whole, decided, closing, collect;
    int failed_with;        /* the earliest failure */
    uint32_t accepted, over, ok, failed, timed_out, cancelled, skipped;
    uint32_t running;       /* between first step and end */
    uint32_t may_skip;      /* tasks whose end will not be seen, should they be skipped */
    uint32_t waiting;       /* spawners outside */
    struct shadow *services, *serves;   /* its inner group of services; whose that is */
    bool (*is_ending)(const struct shadow *services);
    struct line takers;     /* those who wait for the next to end */
    struct shadow *ended_first, *ended_last;    /* not taken yet */
    struct shadow *first, *last;        /* its tasks, as spawned */
    uint32_t failures;
    struct failure failure[FAILURES];

    kin_scope scope;        /* a scope */

    kin_task task;          /* a task: */
    struct shadow *next;    /* of the same group */
    struct shadow *ended_next;
    struct shadow *home;    /* it is being started for this group; NULL once it is there */
    int64_t since;          /* … when it came */
    int64_t timeout;
    bool spawned, refused, started, optional, may_be_skipped, by_limit, was_cancelled;
    kin_status status;      /* KIN_PENDING until it has ended */
    int code;
    kin_reason_kind reason;
    uint64_t order;
};

#define NEVER INT64_MAX

void model_begin(struct shadow *s, enum shadow_kind kind, struct shadow *parent);
int64_t model_later(int64_t time, int64_t duration);

/* What is visible from inside. Reached: calls return KIN_ECANCELED (since when). */
int64_t model_reached_at(const struct shadow *s);
bool model_reached(const struct shadow *s);
int64_t model_visible_at(const struct shadow *s);       /* softly or not */
bool model_expired(const struct shadow *s);
bool model_own(const struct shadow *s);         /* its own cancellation, softly or not */
const struct shadow *model_outermost(const struct shadow *s);   /* cancelled, softly or not */
kin_reason_kind model_reason(const struct shadow *s);           /* of its own cancellation */

/* What happens to it. */
void model_cancel(struct shadow *s, kin_reason_kind why);
void model_move_deadline(struct shadow *s, int64_t deadline);
void model_told(struct shadow *s);
void model_start(struct shadow *task);
void model_end(struct shadow *task, int code);
void model_skipped(struct shadow *task);
bool model_custom_decides(const struct shadow *group);

/* Spawning: what the state of the group alone says, then what comes of a refusal, which
 * tells both the group and whoever wanted to spawn. */
int model_refusal(const struct shadow *group, bool limit_past);
void model_accept(struct shadow *group, struct shadow *task);
void model_refuse(struct shadow *group, struct shadow *at, int index, int code, bool no_failure);
bool model_inside(const struct shadow *task, const struct shadow *group);

/* Waiting for tasks: those who do, and what is to be over for them. */
extern struct line model_sets;
int model_ended_of(const struct set *set);
bool model_is_over(const struct set *set);

/* G10: a place in the group is kept for the task, until it is ready, or has ended. */
void model_hold_place(struct shadow *group);
void model_move_home(struct shadow *task);
void model_give_place_back(struct shadow *group);

/* Closing: what the body gives before everybody has ended, and the result afterwards. */
void model_body(struct shadow *group, const struct shadow *by, int rc);
int model_close_group(struct shadow *group, int rc);
int model_close_scope(struct shadow *scope, int rc);

#endif
