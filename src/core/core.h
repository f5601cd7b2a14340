/* The core's own view of itself.
 *
 * Everything that can be cancelled is a node of one tree: tasks, groups and
 * plain scopes all begin with a struct kin__scope. A group's children are its
 * tasks and the scopes that its body has open; a task's children are the scopes
 * that it has open outside of any group of its own. A cancellation walks this
 * tree once and marks it; a dump prints it; nothing else keeps a list of tasks.
 *
 * Nodes, errors and the wait records on stacks are touched only by the
 * runtime's own thread.
 */
#ifndef KIN_CORE_H
#define KIN_CORE_H

#include "kin.h"
#include "kin_ext.h"

#include <assert.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define KIN__SANITIZED 1
#else
#define KIN__SANITIZED 0
#endif

#define kin__likely(x) __builtin_expect(!!(x), 1)
#define kin__unlikely(x) __builtin_expect(!!(x), 0)
#define kin__cold __attribute__((cold, noinline))  /* keeps rare code out of hot functions */
#define kin__container(pointer, type, member) \
    ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

enum {
    KIN__TURN_STEPS = 128,          /* task steps before timers and I/O are looked at (D4) */
    KIN__SKIPS = 64,                /* blocking calls without parking before one yields (D4) … */
    KIN__SKIPS_COST = 16,           /* … and counts as so many steps: they were as much work */
    KIN__ERRORS_KEPT = 32,          /* failures a group stores; the rest is counted (G9) */
    KIN__CAUSES_KEPT = 32,          /* causes of causes: a loop may fail for ever (G9) */
    KIN__DRAWN_FROM = 64,           /* runnable tasks of which a seeded run draws the next */
    KIN__SLOW_STEP_MS = 100,        /* a longer step is reported (D4) */
    KIN__RETRIES_BORNE = 1000,      /* calls refused in a row, before it is reported (C10) */
    KIN__SLACK_US = 50,             /* timers that are waited for together, where there are many */
    KIN__CAREFUL_TURNS = 128,       /* so many turns of one step follow it */
    KIN__GUARD = 64 * 1024          /* bytes at the low end of a stack */
};

struct kin__runtime;
struct kin__task;
struct kin__group;

/* ------------------------------------------------------------------ timers */

enum kin__timer_kind { KIN__TIMER_SCOPE, KIN__TIMER_SHIELD, KIN__TIMER_SLEEP };
enum kin__timer_state { KIN__TIMER_IDLE, KIN__TIMER_FRESH, KIN__TIMER_ARMED };

struct kin__timer {
    struct kin__timer *next, *prev;
    int64_t when;                   /* absolute; while fresh, a duration */
    uint16_t slot;
    uint8_t kind, state;
};

struct kin__timers;                 /* timer.c */
bool kin__timers_open(struct kin__runtime *rt);
void kin__timers_close(struct kin__runtime *rt);
void kin__timer_arm(struct kin__runtime *rt, struct kin__timer *timer, int64_t duration);
void kin__timer_arm_at(struct kin__runtime *rt, struct kin__timer *timer, int64_t when);
void kin__timer_disarm(struct kin__runtime *rt, struct kin__timer *timer);
int64_t kin__timer_when(struct kin__runtime *rt, struct kin__timer *timer);
/* Gives the fresh ones their time, now that the turn has ended. */
void kin__timers_settle(struct kin__runtime *rt, int64_t now);
/* The earliest time to look again, KIN_FOREVER where none; exact if asked for. */
int64_t kin__timers_next(struct kin__runtime *rt, bool exact);
void kin__timers_expire(struct kin__runtime *rt, int64_t now);
/* Does some of the work of times to come; false: there is none for now. */
bool kin__timers_split_ahead(struct kin__runtime *rt, int64_t now);
bool kin__timers_crowded(const struct kin__runtime *rt);

/* ------------------------------------------------------------ nodes: scopes */

enum kin__kind { KIN__TASK, KIN__GROUP, KIN__SCOPE };

enum kin__flag {
    KIN__TOLD = 1 << 0,             /* a call inside returned a cancel code */
    KIN__REACHED = 1 << 1,          /* a hard cancellation, own or outer, is visible in here */
    KIN__HARD = 1 << 2,             /* its own cancellation, hard */
    KIN__SOFT = 1 << 3,             /* its own cancellation, while the grace runs */
    KIN__EXPIRED = 1 << 4,          /* its own deadline has fired */
    KIN__SHIELD = 1 << 5,           /* outer cancellation is kept out */
    KIN__DECIDED = 1 << 6,
    /* what only some tasks have; a task without any flag is a plain one */
    KIN__LIMITED = 1 << 7,          /* a .timeout */
    KIN__OPTIONAL = 1 << 8,
    KIN__SKIP_CANCELLED = 1 << 9,
    KIN__COPIED = 1 << 10,          /* arg is the task's own */
    KIN__SLOT = 1 << 11,            /* counts in its group's running */
    KIN__DECIDES = 1 << 12,         /* its success decides its group */
    KIN__BORROWED = 1 << 13,        /* runs on another task's stack: must not park */
    KIN__EXPLAINED = 1 << 14,       /* there may be something in its error slot */
    KIN__COLLECTED = 1 << 15,       /* goes to kin_next when it has ended */
    KIN__RESTART = 1 << 16,         /* a service that is started again when it fails */
    KIN__READY = 1 << 17,           /* was started by kin_start, and has said so */
    KIN__RETRIES = 1 << 18,         /* was reported for ignoring its cancellation */
    /* what only some groups have */
    KIN__CLOSING = 1 << 19,         /* the body has closed: what can come now comes from tasks */
    KIN__ENDING = 1 << 20,          /* the services are being ended: nobody comes any more */
    /* and a task again */
    KIN__UNOPENED = 1 << 21,        /* there was no memory for a scope of its */
    KIN__FORKED = 1 << 22           /* the child of a fork that it made */
};

struct kin__scope {                 /* the first 64 bytes are what spawn and end touch */
    struct kin__scope *parent, *prev, *next, *first;
    uint64_t id;                    /* never used again, 0 when the record is free */
    const char *name, *at;
    uint32_t flags;
    uint8_t kind;
    struct kin__scope *last;
    struct kin__task *owner;        /* the task whose code it is part of */
    const kin_reason *reason;       /* of its own cancellation */
    struct kin__timer timer;        /* its deadline, later its grace */
    uint64_t told_at;               /* as far as that has been said, see cancel.c */
};

struct kin__errors {                /* of a group */
    kin_error *first, *last, *before_last;
    uint64_t dropped;
    uint32_t stored;
};

struct kin__task_queue {
    struct kin__task *head, *tail;
};

struct kin__group {                 /* and, as far as said, a plain scope */
    struct kin__scope scope;
    struct kin__timer shield_timer; /* plain scopes: how long the shield holds */
    int64_t shield, grace;
    kin_reason reason;              /* storage for scope.reason */
    const kin_local *locals;        /* what code in here sees */
    /* groups only, from here */
    struct kin__task *open_to;      /* who may spawn without being checked, or NULL */
    struct kin_wait *closer;        /* waits until ended is accepted */
    uint64_t accepted, ended;       /* tasks */
    uint64_t running;               /* those that hold a slot, where there is a limit */
    uint32_t limit, max_queued;     /* 0: none */
    kin_policy policy;
    uint32_t quorum;                /* successes that decide; 0: none do */
    bool (*decide)(const struct kin_ending *ending, void *arg);
    void *decide_arg;
    bool keep_whole, collect;
    kin_task *collected, *collected_last;   /* ended, and not taken yet */
    struct kin_wait_list takers;    /* tasks in kin_next */
    struct kin__group *services;    /* made with the first one */
    struct kin__group *serves;      /* whose services these are, or NULL */
    struct kin__start *start;       /* its one task is being started, see start.c */
    int failure;                    /* code of the earliest failure, or 0 */
    struct kin__task_queue held;    /* accepted, waiting for a slot */
    uint64_t held_count;
    struct kin_wait_list spawners;  /* outside tasks, waiting for a slot */
    struct kin__stack_pool *stacks;
    struct kin__errors errors;
    struct kin_group_counts counts; /* successes only where they decide, see kin_group_count */
};

/* A free record is a constructed one (task.c): what most tasks never touch keeps its
 * resting value, so that spawn need not write it. Spawning and ending a task that
 * never parks takes two cache lines, the first two. */
struct kin__task {
    int (*fn)(void *arg);
    void *arg;
    struct kin__task *next;         /* in the run queue, or held */
    kin_task *record;               /* the caller's */
    void *sp;                       /* saved stack pointer; NULL: not started, no stack */
    struct kin__stack *stack;
    kin_error *error;               /* the error slot */
    int32_t index;
    struct kin__scope base;         /* base.parent is its group; base.timer its own limit */
    struct kin__scope *scope;       /* innermost open */
    struct kin_wait *wait;          /* what it is parked on */
    int64_t timeout;                /* where limited; armed at the first step */
    int result;                     /* what the wait returned */
    uint32_t unopened;              /* scopes for which there was no memory */
    struct kin__timer sleep;
} __attribute__((aligned(64)));
_Static_assert(sizeof(void *) != 8 || sizeof(struct kin__task) == 256, "four cache lines");

/* -------------------------------------------------------------------- stacks */

struct kin__stack {
    struct kin__stack *next;        /* in its slab's list of free ones */
    struct kin__slab *slab;
    char *low, *top;                /* below top: the error slot, then the frames */
    unsigned valgrind_id;
    bool guarded;
#if KIN__SANITIZED
    void *fiber, *fake;             /* the sanitizers' */
#endif
};

/* --------------------------------------------------------------------- pools */

/* Records of one size, whose addresses stay valid until the run ends */
struct kin__pool {
    void *free;
    struct kin__pool_slab *slabs, *emptied;     /* emptied: with no record in use, not listed */
    size_t size;                    /* of a record */
    uint32_t next_slab;             /* records in the slab to come */
    void (*construct)(void *record);
};

/* ------------------------------------------------------------- the runtime */

/* What the core asks of a backend; io/io.h adds the operations on descriptors. */
struct kin__backend {
    const char *name;
    int (*open)(struct kin__runtime *rt);
    void (*close)(struct kin__runtime *rt);
    /* Hands over what was submitted, completes what is done, and waits for that at
     * most timeout nanoseconds (0: not at all). May return early. */
    void (*poll)(struct kin__runtime *rt, int64_t timeout);
};
extern const struct kin__backend kin__backend_virtual;

struct kin__local {
    struct kin__local *next;
    const void *key;
    void *value;
    void (*destroy)(void *value);
};

struct kin__runtime {
    struct kin__task *current;
    struct kin__task_queue ready;   /* woken, first in first out */
    struct kin__task_queue ahead;   /* not started, the last spawner's first */
    struct kin__task_queue fresh;   /* spawned in this step */
    bool woken_turn;                /* the last step was a woken task's, not one from ahead */
    uint32_t steps;                 /* left in this turn */
    uint32_t careful;               /* turns of one step still to come */
    int64_t turn_began, trimmed;
    uint32_t skips;
    uint32_t refusals;              /* KIN_ECANCELED said to the same task, without a break */
    uint64_t refused;               /* that task */
    uint64_t cancellations;         /* changes of what is cancelled, or of who sees it */
    struct {                        /* what was the outermost cancelled, seen from where, when */
        uint64_t from, cancellations;
        const struct kin__scope *outermost;
    } seen;
    uint64_t run, last_id;          /* ids carry the run's number in their top 16 bits */
    uint64_t outside;               /* operations and watches that the backend has under way */
    uint64_t seed, random;          /* who runs next is drawn; 0: first in, first out */
    int64_t virtual_now;
    kin_reason reason_seen;         /* what kin_cancelled returned last */
    bool virtual_clock, deadlocked;
    bool stepped;                   /* a host steps it now, and must not be kept waiting */
    const struct kin__backend *backend;
    void *backend_state;
    struct kin__timers *timers;
    struct kin__pool tasks, groups, errors;
    struct kin__stack_pool *stacks; /* list by size, the default first */
    struct kin__task_queue starved; /* could get no stack */
    struct kin__group *system;
    struct kin__local *locals;
    struct kin__stack host_stack;
    struct kin__task host;          /* the run call itself, on the thread's own stack */
    const void *main_frame;         /* … and above main's own frames; NULL where a host steps */
    kin_error host_error;
    struct kin_run_options options;
    struct kin_faults faults;       /* where the environment asks for some */
};

extern __thread struct kin__runtime *kin__rt;   /* NULL outside of a run */

/* fork.c: KIN_ENORUN, or KIN_EFORK: the thread was in a run when it forked, and is in the child */
extern __thread int kin__why_no_run;
extern unsigned kin__forks;                     /* that this process comes from */
int kin__fork_watch(void);                      /* from now on; 0 or -ENOMEM */
void kin__end_forked(void) __attribute__((noreturn, cold));
static inline int kin__no_run(void)
{
    return kin__why_no_run;
}

static inline bool kin__forked(void)
{
    return kin__why_no_run == KIN_EFORK;
}

static inline struct kin__group *kin__group_of(struct kin__scope *scope)
{
    return kin__container(scope, struct kin__group, scope);
}

static inline struct kin__task *kin__task_of(struct kin__scope *scope)
{
    return kin__container(scope, struct kin__task, base);
}

/* pool.c */
bool kin__pool_open(struct kin__pool *pool, size_t size, void (*construct)(void *record));
void *kin__pool_grow(struct kin__pool *pool);
void kin__pool_close(struct kin__pool *pool);
void kin__pool_trim(struct kin__pool *pool);    /* takes time for each free record */

/* Constructed when its slab was made; later, as it was given back. The next one is
 * fetched ahead, or each get would wait for the link in a record out of the cache. */
static inline void *kin__pool_get(struct kin__pool *pool)
{
    void **record = pool->free;

    if (kin__unlikely(!record))
        return kin__pool_grow(pool);
    pool->free = *record;
    if (kin__likely(pool->free != NULL))
        __builtin_prefetch(*(void **)pool->free, 1);
    return record;
}

static inline void kin__pool_put(struct kin__pool *pool, void *record)
{
    *(void **)record = pool->free;
    pool->free = record;
}

/* ---------------------------------------- what every spawn, wake and end does */

enum { KIN__RUN_SHIFT = 48 };       /* ids carry the number of their run above it */

static inline uint64_t kin__new_id(struct kin__runtime *rt)
{
    return ++rt->last_id;
}

/* The pointer of a handle is followed only if the id is of this run, whose records
 * stay where they are; then the record's id tells whether it is still the same. */
static inline void *kin__find(const struct kin__runtime *rt, void *state, uint64_t id)
{
    struct kin__scope *scope = state;

    if (!rt || !scope || id >> KIN__RUN_SHIFT != rt->run || scope->id != id)
        return NULL;
    return scope;
}

static inline struct kin__group *kin__group_find(const struct kin__runtime *rt,
                                                 const kin_group *handle)
{
    struct kin__scope *scope = handle ? kin__find(rt, handle->state, handle->id) : NULL;

    if (!scope || scope->kind != KIN__GROUP)
        return NULL;
    return kin__container(scope, struct kin__group, scope);
}

static inline void kin__scope_link(struct kin__scope *scope, struct kin__scope *parent)
{
    scope->parent = parent;
    scope->next = NULL;
    scope->prev = parent->last;
    if (parent->last)
        parent->last->next = scope;
    else
        parent->first = scope;
    parent->last = scope;
}

static inline void kin__scope_unlink(struct kin__scope *scope)
{
    struct kin__scope *parent = scope->parent;

    if (scope->prev)
        scope->prev->next = scope->next;
    else
        parent->first = scope->next;
    if (scope->next)
        scope->next->prev = scope->prev;
    else
        parent->last = scope->prev;
}

static inline void kin__group_attach(struct kin__group *group, struct kin__task *task)
{
    kin__scope_link(&task->base, &group->scope);
    group->accepted++;
}

static inline uint64_t kin__group_live(const struct kin__group *group)
{
    return group->accepted - group->ended;
}

static inline void kin__queue_push(struct kin__task_queue *queue, struct kin__task *task)
{
    task->next = NULL;
    if (queue->tail)
        queue->tail->next = task;
    else
        queue->head = task;
    queue->tail = task;
}

static inline struct kin__task *kin__queue_pop(struct kin__task_queue *queue)
{
    struct kin__task *task = queue->head;

    if (task && !(queue->head = task->next))
        queue->tail = NULL;
    return task;
}

static inline void kin__ready(struct kin__runtime *rt, struct kin__task *task)
{
    kin__queue_push(&rt->ready, task);
}

static inline void kin__fresh(struct kin__runtime *rt, struct kin__task *task)
{
    kin__queue_push(&rt->fresh, task);
}

/* The two halves of kin_wait_prepare, for calls that mostly need not wait: the beginning
 * of every blocking call, and the record. */
int kin__call_examine(struct kin__runtime *rt);

static inline __attribute__((always_inline)) bool kin__call_is_refused(const struct kin__task *task)
{
    return (task->scope->flags & KIN__REACHED) || task->unopened;
}

/* In a run, not cancelled, and no fault is meant for it. */
static inline __attribute__((always_inline)) bool kin__call_is_plain(const struct kin__runtime *rt)
{
    return rt && !kin__call_is_refused(rt->current) && !rt->options.faults;
}

/* kin_wait_skip, inlined. */
int kin__wait_skip_yields(struct kin__runtime *rt);

static inline __attribute__((always_inline)) int kin__wait_skip(struct kin__runtime *rt)
{
    return kin__likely(++rt->skips < KIN__SKIPS) ? 0 : kin__wait_skip_yields(rt);
}

static inline __attribute__((always_inline)) int kin__call_begin(void)
{
    struct kin__runtime *rt = kin__rt;

    if (kin__unlikely(!rt))
        return kin__no_run();
    if (kin__unlikely(kin__call_is_refused(rt->current) || rt->options.faults))
        return kin__call_examine(rt);
    return 0;
}

static inline void kin__wait_init(struct kin_wait *wait, const struct kin_wait_ops *ops,
                                  void *object)
{
    wait->next = wait->prev = wait->also = NULL;
    wait->woken = false;
    wait->ops = ops;
    wait->object = object;
    wait->task = kin__rt->current;
}

/* Wakes all that wait, with one result. */
static inline void kin__wake_all(struct kin_wait_list *list, int result)
{
    struct kin_wait *wait;

    while ((wait = kin_wait_list_take(list)))
        kin_wait_wake(wait, result);
}

/* sched.c: who runs next, and on which stack */
int64_t kin__clock(struct kin__runtime *rt);
void kin__queue_splice(struct kin__task_queue *front, struct kin__task_queue *back);
void kin__queue_sort(struct kin__task_queue *queue);
void kin__park_with_care(struct kin__runtime *rt, struct kin__task *task);   /* see park.h */
void kin__yield(struct kin__runtime *rt);
/* A turn under a foreign loop, by its two halves: what has come and everybody once; then
 * whether anybody is runnable. They never wait. */
void kin__step(struct kin__runtime *rt);
bool kin__step_settle(struct kin__runtime *rt);
/* The host goes on after the thread was elsewhere, perhaps on another stack than before. */
void kin__host_resumes(struct kin__runtime *rt);

/* task.c: the life of one task */
void kin__task_construct(void *record);
void kin__task_run(struct kin__runtime *rt, struct kin__task *task);
void kin__task_run_borrowed(struct kin__runtime *rt, struct kin__task *task);
struct kin__task *kin__task_find(const kin_task *handle);
void kin__task_label(const struct kin__task *task, char *text, size_t size);
void kin__task_free(struct kin__runtime *rt, struct kin__task *task);
void kin__leave_open(struct kin__runtime *rt, struct kin__task *task);

/* spawn.c */
int kin__spawn(struct kin__runtime *rt, struct kin__group *group,
               const struct kin_spawn_options *options);
int kin__spawn_refusal(struct kin__runtime *rt, struct kin__group *group,
                       const struct kin_spawn_options *options);
int kin__spawn_refuse(struct kin__runtime *rt, struct kin__group *group,
                      const struct kin_spawn_options *options, int code);
int kin__spawn_nowhere(const struct kin_spawn_options *options);
bool kin__task_inside(const struct kin__task *task, const struct kin__group *group);

/* service.c, start.c, next.c */
struct kin__group *kin__services(struct kin__runtime *rt, struct kin__group *group);
int kin__service_spawn(struct kin__runtime *rt, struct kin__group *group,
                       const struct kin_spawn_options *options);
int kin__service_again(struct kin__runtime *rt, struct kin__task *task, int code);
void kin__services_end(struct kin__runtime *rt, struct kin__group *group);
const struct kin__group *kin__start_home(const struct kin__start *start);
void kin__collect(struct kin__group *group, kin_task *record);
void kin__watchers_tell(kin_task *record);

/* group.c */
struct kin__group *kin__group_new(struct kin__runtime *rt, const struct kin_group_options *options);
void kin__group_init(struct kin__group *group, const struct kin_group_options *options);
uint32_t kin__group_traits(const struct kin__group *group);
void kin__group_count(struct kin__group *group, kin_status status);
void kin__group_idle(struct kin__group *group);
void kin__group_judge(struct kin__runtime *rt, struct kin__group *group, struct kin__task *task,
                      kin_status status, int code);
void kin__group_lost_one(struct kin__runtime *rt, struct kin__group *group);
int kin__group_finish(struct kin__runtime *rt, struct kin__group *group, int rc);
void kin__group_fail(struct kin__runtime *rt, struct kin__group *group, struct kin__task *by,
                     int code, kin_error *error);
void kin__group_join(struct kin__runtime *rt, struct kin__group *group);
void kin__group_refuse_spawners(struct kin__group *group);
int kin__group_take_slot(struct kin__group *group, bool dont_wait);
void kin__group_give_slot(struct kin__runtime *rt, struct kin__group *group);

/* scope.c: the tree */
/* The node after this one, parents first; NULL after the last below top. */
struct kin__scope *kin__scope_after(const struct kin__scope *scope, const struct kin__scope *top);
bool kin__scope_within(const struct kin__scope *scope, const struct kin__scope *outer);
void kin__scope_arm(struct kin__runtime *rt, struct kin__scope *scope, int64_t timeout,
                    int64_t deadline);
struct kin__group *kin__scope_find(const kin_scope *handle);
void kin__scope_construct(void *record);
void kin__scope_init(struct kin__runtime *rt, struct kin__group *record, enum kin__kind kind,
                     struct kin__task *owner, const char *at, const char *name);
void kin__scope_begin(struct kin__runtime *rt, struct kin__group *record, enum kin__kind kind,
                      const char *at, const char *name);
int kin__scope_may_close(struct kin__runtime *rt, struct kin__scope *scope, const char *what);
/* Leaves what the running task has open inside of outer. */
void kin__leave_inner(struct kin__runtime *rt, struct kin__scope *outer);
void kin__scope_end(struct kin__runtime *rt, struct kin__scope *scope);
/* E4 below the policy's failure: what a scope's close returns. */
int kin__scope_verdict(struct kin__scope *scope, int rc);
bool kin__scope_absorbs(const struct kin__scope *scope, int rc);

/* fault.c: what .faults of a run asks for, at the places where it counts */
void kin__faults_begin(struct kin__runtime *rt);
void kin__faults_end(struct kin__runtime *rt);
void kin__fault_call(struct kin__runtime *rt, struct kin__task *task);
void kin__fault_wait(struct kin__runtime *rt, struct kin__task *task);
bool kin__fault_request(struct kin__runtime *rt);

/* cancel.c */
void kin__cancel(struct kin__runtime *rt, struct kin__scope *scope, const kin_reason *reason);
/* Marks everything in here, and aborts what it waits for. */
void kin__reach(struct kin__runtime *rt, struct kin__scope *top);
/* Wakes those in here who wait for a cancellation that they can see by now. */
void kin__tell_softly(struct kin__scope *top);
/* The same with a reason that is kept in the record. */
void kin__cancel_because(struct kin__runtime *rt, struct kin__group *group, kin_reason_kind kind,
                         struct kin__task *by, const char *at, const char *message);
/* Copies the reason of the outermost cancellation visible to the task as a whole. */
void kin__reason_for(struct kin__task *task, kin_reason *out);
void kin__scope_expire(struct kin__runtime *rt, struct kin__scope *scope);
void kin__shield_begin(struct kin__runtime *rt, struct kin__group *shield);
void kin__shield_lift(struct kin__runtime *rt, struct kin__group *shield);
void kin__shields_lift_all(struct kin__runtime *rt);
void kin__told(struct kin__scope *scope);
void kin__told_by_choice(struct kin__scope *scope);
/* Is a cancellation visible here, soft or hard, own or outer? */
bool kin__cancel_visible(const struct kin__scope *scope);
/* Does a cancellation from outside of the scope count more than its own? */
bool kin__outer_cancelled(const struct kin__scope *scope);
extern const kin_reason kin__reason_deadline, kin__reason_deadlock, kin__reason_memory,
    kin__reason_fault;

/* wait.c */
extern const struct kin_wait_ops kin__wait_join, kin__wait_cancelled;
void kin__sleep_fire(struct kin__timer *timer);
/* Ends the sleep of a task in kin_sleep, as if it had been long enough. */
void kin__sleep_cut_short(struct kin__task *task);
void kin__wait_abort(struct kin__task *task);
void kin__wait_given_up(struct kin__task *task);        /* parking has ended in KIN_ECANCELED */

/* error.c, error_tree.c */
static inline kin_error *kin__mutable(const kin_error *error)
{
    return (kin_error *)(uintptr_t)error;
}
void kin__error_free_trees(kin_error *error,
                           void (*release)(void *context, kin_error *error), void *context);
void kin__error_release(void *context, kin_error *error);   /* to the runtime's pool */
kin_error *kin__error_copy(const kin_error *tree, struct kin__runtime *rt);
void kin__error_unwrap(struct kin__runtime *rt);
kin_error *kin__error_slot(struct kin__runtime *rt, const struct kin__task *task);
kin_error *kin__error_take(struct kin__runtime *rt, struct kin__task *task, int code);
kin_error *kin__error_bare(struct kin__runtime *rt, const struct kin__task *task, int code,
                           const char *message);
void kin__error_drop(struct kin__runtime *rt, struct kin__task *task);
void kin__errors_add(struct kin__runtime *rt, struct kin__errors *errors, kin_error *error);
void kin__errors_to_slot(struct kin__runtime *rt, struct kin__group *group, int code);
void kin__error_report(const kin_error *tree, const char *why);
void kin__error_name(char *out, size_t size, const char *name);

/* stack.c */
struct kin__stack_pool {
    struct kin__stack_pool *next;
    struct kin__slab *available;    /* slabs with stacks in use and free ones, last used first */
    struct kin__slab *full, *empty;
    size_t stride;                  /* address space of a stack, guard included */
    uint32_t next_slab;
    uint32_t empties;               /* slabs with no stack in use, */
    uint32_t spare;                 /* … the fewest of them since the last look, */
    uint32_t excess;                /* … and those of them to be unmapped */
    uint64_t live;
    size_t colour;
};
struct kin__stack_pool *kin__stack_pool_for(struct kin__runtime *rt, size_t size);
struct kin__stack *kin__stack_get(struct kin__stack_pool *pool);
void kin__stack_put(struct kin__stack *stack);
/* Unmaps a slab that nobody has used for a while; false: there is none. Between steps. */
bool kin__stack_pools_trim(struct kin__runtime *rt, int64_t now);
void kin__stack_pools_empty(struct kin__runtime *rt);       /* unmaps all that nobody uses */
void kin__stack_pools_destroy(struct kin__runtime *rt);
struct kin__stack_pool *kin__stack_pool_of(const struct kin__stack *stack);
kin_error *kin__stack_error_slot(const struct kin__stack *stack);
bool kin__stack_holds(const struct kin__stack *stack, const void *pointer);
bool kin__stack_guard_hit(const struct kin__stack *stack, const void *address);
void kin__stack_check_canary(const struct kin__stack *stack, const struct kin__task *task);
const char *kin__stack_guard_name(void);

/* arch/: leaves this stack, with what it takes to come back in *save, for that of load. A
 * new stack starts at entry(), which never returns. */
#if defined __x86_64__ && defined __GNUC__
#include "arch/switch_x86_64.h"
#else
void kin__switch(void **save, void *load);
void *kin__switch_prepare(char *top, void (*entry)(void));
#endif

/* os.c: the few places where the core asks the operating system for something.
 * A test sets kin__os_fault to make the k-th of them fail. */
extern bool (*kin__os_fault)(const char *site);
static inline bool kin__os_fails(const char *site)
{
    return kin__unlikely(kin__os_fault != NULL) && kin__os_fault(site);
}
void *kin__os_alloc(size_t size);               /* zeroed, for a cache line; NULL */
void *kin__os_resize(void *memory, size_t size);    /* as realloc: not zeroed; NULL */
void kin__os_free(void *memory);
void *kin__os_map(size_t size);                 /* NULL; reserved, not touched */
void kin__os_unmap(void *memory, size_t size);
/* Lets go of whole pages inside; they read as zero from then on. */
void kin__os_discard(void *memory, size_t size);
void kin__os_trim(void);                        /* what the allocator holds unused */
int64_t kin__os_now(void);
void kin__os_catch_overflow(void);              /* F5; nested calls are counted */
void kin__os_release_overflow(void);
/* Puts a signal's disposition back, unless somebody has set his own since. */
struct sigaction;
void kin__os_signal_back(int signal, const struct sigaction *ours, const struct sigaction *before);
void kin__os_fork_begin(void);                  /* before, and after in both processes */
void kin__os_fork_end(void);
/* Is the address in a guard? Writes the task's name. Called in a signal handler. */
bool kin__overflow_of(const void *address, const char **name, int32_t *index);

/* run.c: from set-up to tear-down; between, kin__rt is the run */
int kin__run_begin(const struct kin_run_options *options);
void kin__run_failed(struct kin__runtime *rt, int code, const kin_error *error);
void kin__run_end(struct kin__runtime *rt);
void kin__misuse(const char *at, const char *format, ...) KIN_PRINTF(2, 3);
void kin__deadlock(struct kin__runtime *rt);

#endif
