/* kin: structured concurrency for C.
 *
 *   1  Time and places            7  Combining: next, wait, gather, race
 *   2  Codes and classes          8  Waiting and yielding
 *   3  Errors                     9  Synchronisation
 *   4  Running                   10  Other threads
 *   5  Groups and tasks          11  File descriptors
 *   6  Scopes, cancellation      12  Looking inside
 *
 * Every task has a parent group; a group is left only when all of its tasks
 * have ended. "Blocks" below means: other tasks run meanwhile, and a
 * cancellation of a scope around the call makes it return KIN_ECANCELED.
 * Functions not said to block never do, and never switch to another task.
 * Results: 0 or more is success, negative is a code of section 2.
 */
#ifndef KIN_H
#define KIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#define KIN_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

#if defined __GNUC__
#define KIN_API __attribute__((visibility("default")))
#define KIN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define KIN_API
#define KIN_PRINTF(fmt, args)
#endif

/* ------------------------------------------------- 1  Time and places */

/* Times are int64_t nanoseconds of the runtime's monotonic clock. In options
 * 0 means "not given" and a negative time lies in the past. */
#define KIN_US(n) ((int64_t)((n) * 1000LL))
#define KIN_MS(n) ((int64_t)((n) * 1000000LL))
#define KIN_S(n) ((int64_t)((n) * 1000000000LL))
#define KIN_FOREVER INT64_MAX

/* The place of a call, as the macros below record it: "file.c:12". */
#define KIN_STRING_(x) #x
#define KIN_STRING(x) KIN_STRING_(x)
#define KIN_HERE __FILE__ ":" KIN_STRING(__LINE__)

/* Now, on the runtime's clock (virtual or real); outside of a run, the real one. */
KIN_API int64_t kin_now(void);

/* ------------------------------------------------ 2  Codes and classes */

/* A code is -errno (class "system"), or -(class << 16 | number). */
#define KIN_CODE(class, number) (-(((class) << 16) | (number)))

enum kin_class {
    KIN_CLASS_SYSTEM = 0,       /* -errno, as the operating system said it */
    KIN_CLASS_CANCEL = 1,
    KIN_CLASS_TIMEOUT = 2,
    KIN_CLASS_REFUSED = 3,      /* full, closed, decided, would have to wait */
    KIN_CLASS_MISUSE = 4,       /* the caller broke a rule */
    KIN_CLASS_HTTP = 5,         /* a transfer failed (kin_http.h) */
    KIN_CLASS_HTTP_STATUS = 6,  /* a server answered 400 or more (kin_http.h) */
    KIN_CLASS_NAME = 7,         /* a name could not be resolved (kin_io.h) */
    KIN_CLASS_STREAM = 8,       /* a stream did not hold what was asked for (kin_io.h) */
    KIN_CLASS_TLS = 9,          /* (kin_tls.h) */
    KIN_CLASS_USER = 64,        /* yours: from here … */
    KIN_CLASS_LAST = 16383      /* … to here */
};

/*      name            class     no  sentence */
#define KIN_CODES(X)                                                                  \
    X(KIN_ECANCELED,   CANCEL,   1, "cancelled")                                      \
    X(KIN_ETIMEDOUT,   TIMEOUT,  1, "timed out")                                      \
    X(KIN_EAGAIN,      REFUSED,  1, "would have to wait")                             \
    X(KIN_EFULL,       REFUSED,  2, "no room: the bound on what may be queued is reached") \
    X(KIN_ECLOSED,     REFUSED,  3, "closed")                                         \
    X(KIN_EDECIDED,    REFUSED,  4, "the group is already decided")                   \
    X(KIN_ENOQUORUM,   REFUSED,  5, "too few tasks succeeded")                        \
    X(KIN_EBUSY,       REFUSED,  6, "in use by another task, or kept whole")          \
    X(KIN_ENOTREADY,   REFUSED,  7, "ended without having said that it is ready")     \
    X(KIN_EBROKEN,     REFUSED,  8, "the barrier is broken")                          \
    X(KIN_EINVAL,      MISUSE,   1, "invalid argument")                               \
    X(KIN_ESTALE,      MISUSE,   2, "the group, scope or task has already ended")     \
    X(KIN_EORDER,      MISUSE,   3, "closed out of order")                            \
    X(KIN_EDEADLK,     MISUSE,   4, "would wait for itself")                          \
    X(KIN_ENORUN,      MISUSE,   5, "not inside kin_run")                             \
    X(KIN_EFOREIGN,    MISUSE,   6, "belongs to another runtime")                     \
    X(KIN_EOWNER,      MISUSE,   7, "not held by the running task")                   \
    X(KIN_EFORK,       MISUSE,   8, "in the child of a fork, where the run does not go on") \
    X(KIN_ENAME,       NAME,     1, "no such name, or it has no address")             \
    X(KIN_ENAMELATER,  NAME,     2, "the name servers gave no answer: try again later") \
    X(KIN_ENAMESERVER, NAME,     3, "the name servers failed")                        \
    X(KIN_EEOF,        STREAM,   1, "the stream ended too early")

enum kin_code {
#define KIN_CODE_(name, class, number, text) name = KIN_CODE(KIN_CLASS_##class, number),
    KIN_CODES(KIN_CODE_)
#undef KIN_CODE_
};

/* A code's class, its name ("KIN_ECANCELED", "ENOENT") and its sentence. The
 * strings are static; a code nobody knows gives "unknown" texts. */
KIN_API int kin_class(int code);
KIN_API const char *kin_class_name(int class_number);
KIN_API const char *kin_code_name(int code);
KIN_API const char *kin_code_text(int code);

/* Gives a class of codes its texts. All strings are borrowed for ever. Any
 * thread; registering a class again replaces it. 0, -ENOMEM or KIN_EINVAL. */
struct kin_class_texts {
    int class_number;
    const char *name;                       /* "http" */
    const char *(*code_name)(int number);   /* "KIN_EHTTP_…"; may be NULL */
    const char *(*code_text)(int number);   /* a sentence; may be NULL */
};
KIN_API int kin_class_register(const struct kin_class_texts *texts);

/* ----------------------------------------------------------- 3  Errors */

/* One failure, or a group's failures (children). Owned by the task in whose
 * slot it lies, until that task's next kin_fail or close; strings are copies. */
typedef struct kin_error kin_error;
struct kin_error {
    int code;
    int32_t index;              /* of the task, 0 where none was given */
    uint64_t task;              /* id of the task that failed */
    const char *at;             /* "file.c:12" of kin_fail, or of the spawn */
    const kin_error *cause;     /* what the task had failed with before, or NULL */
    const kin_error *child;     /* a group's first failure, or NULL */
    const kin_error *next;      /* the next failure of the same group, or NULL */
    const kin_error *parent;    /* whose child or cause this is, or NULL */
    uint64_t dropped;           /* failures of this group that were only counted */
    uint32_t depth;             /* causes below it, one under the other; at 32 the rest is cut */
    char name[104];             /* of the task; cut off with "…" when longer */
    char message[256];          /* "" where none was given */
};

/* Says why the running task is about to fail, in its one error slot, and returns
 * code. What a close has left there becomes the cause. Never allocates. printf's
 * format. */
#define kin_fail(...) kin_fail_at(KIN_HERE, __VA_ARGS__)
KIN_API int kin_fail_at(const char *at, int code, const char *format, ...) KIN_PRINTF(3, 4);

/* The running task's error slot: what kin_fail or the last close left, or NULL. */
KIN_API const kin_error *kin_error_last(void);

/* Which errors: a range of codes, and a predicate where one is given. */
typedef struct kin_match {
    int from, to;                                   /* both included; from <= to */
    bool (*test)(const kin_error *error, void *arg);
    void *arg;
} kin_match;
KIN_API kin_match kin_match_code(int code);
KIN_API kin_match kin_match_class(int class_number);
KIN_API kin_match kin_match_if(bool (*test)(const kin_error *, void *), void *arg);
struct kin_task;
KIN_API kin_match kin_match_task(const struct kin_task *task);  /* what that task failed with */
KIN_API kin_match kin_match_all(void);

/* Leaves are the errors without children. Walk calls visit for each leaf that
 * matches, in order, until it returns non-zero, and returns that, or 0. */
KIN_API int kin_error_walk(const kin_error *tree, kin_match match, void *arg,
                           int (*visit)(const kin_error *leaf, void *arg));
KIN_API size_t kin_error_count(const kin_error *tree, kin_match match);
KIN_API const kin_error *kin_error_find(const kin_error *tree, kin_match match);

/* Copies the tree in two: leaves that match and the rest, each under copies of
 * the groups above them; NULL where there is none. Both belong to the caller,
 * who gives them to kin_error_free. 0 or -ENOMEM (then nothing was made). */
KIN_API int kin_error_split(const kin_error *tree, kin_match match,
                            kin_error **matched, kin_error **rest);
KIN_API void kin_error_free(kin_error *tree);

/* Puts a copy of the tree into the running task's error slot, in place of what is there,
 * frees the caller's, and returns its code: for the rest of a split, that others shall see.
 * Without memory only the code is left. */
KIN_API int kin_error_raise(kin_error *tree);

/* Writes the tree as an indented report, a line an error. */
KIN_API void kin_error_print(const kin_error *tree, FILE *out);

/* ---------------------------------------------------------- 4  Running */

struct kin_run_options {
    const char *at;             /* set by the macro */
    const char *backend;        /* "uring", "epoll", "virtual"; NULL: KIN_BACKEND or the best */
    bool virtual_clock;         /* time stands still, and jumps when every task is blocked */
    uint64_t seed;              /* who runs next is chosen by chance, the same for the same seed;
                                 * 0: KIN_SEED, or in order. A failure reports how to replay it */
    struct kin_faults *faults;  /* what shall go wrong in this run (kin_ext.h), or NULL */
    size_t stack;               /* bytes of address space a task; 0: 128 KiB, half of it guard */
    /* Called with the whole error tree before the run ends with a failure. */
    void (*on_error)(const kin_error *tree, void *arg);
    /* Receives a line for each misuse, and for each error that nobody can reach
     * any more. Must not block. NULL: they go to standard error. */
    void (*on_report)(const char *line, void *arg);
    void *arg;                  /* for both */
};

/* Runs fn(arg) as the root task and returns its code when it and every task
 * below it have ended. Blocks the thread. Not from inside a run (KIN_EBUSY).
 * -ENOMEM, -EMFILE and the like when the run could not be set up. */
#define kin_run(...) kin_run_with(KIN_RUN_ARGS_(__VA_ARGS__, ))
#define KIN_RUN_ARGS_(fn, arg, ...) \
    fn, arg, &(struct kin_run_options){ .at = KIN_HERE, __VA_ARGS__ }
KIN_API int kin_run_with(int (*fn)(void *arg), void *arg, const struct kin_run_options *options);

/* kin_run for a main function: prints the error tree on standard error, unless .on_error is
 * given, and returns 0 on success, 124 when the code is KIN_ETIMEDOUT, else 1. */
#define kin_main(...) kin_main_with(KIN_RUN_ARGS_(__VA_ARGS__, ))
KIN_API int kin_main_with(int (*fn)(void *arg), void *arg, const struct kin_run_options *options);

/* ------------------------------------------------- 5  Groups and tasks */

typedef struct kin_group {      /* a handle; copies are as good as the original */
    void *state;
    uint64_t id;
} kin_group;

typedef struct kin_scope {
    void *state;
    uint64_t id;
} kin_scope;

typedef enum kin_policy {
    KIN_ALL,            /* the first failure, of a task or the body, cancels the rest */
    KIN_KEEP_GOING,     /* failures are collected, nobody is cancelled */
    KIN_ANY,            /* the first success decides, and cancels the rest */
    KIN_QUORUM,         /* so do .quorum successes */
    KIN_CUSTOM          /* so does .decide, asked after each task; failures are collected */
} kin_policy;

typedef enum kin_status {
    KIN_PENDING,        /* not ended yet */
    KIN_OK,
    KIN_FAILED,
    KIN_TIMED_OUT,      /* by its own limit */
    KIN_CANCELLED,
    KIN_SKIPPED,        /* cancelled before it started, and spawned with .skip_cancelled */
    KIN_REFUSED         /* spawn returned .code; the function never runs */
} kin_status;
KIN_API const char *kin_status_name(kin_status status);     /* "ok", "timed_out" … */

typedef enum kin_reason_kind {
    KIN_BY_NOBODY,
    KIN_BY_HAND,        /* kin_cancel */
    KIN_BY_DEADLINE,
    KIN_BY_SIBLING,     /* a task of the group, or its body, failed */
    KIN_BY_DECISION,    /* the group's policy is decided */
    KIN_BY_LEAVING,     /* the group was left without being closed */
    KIN_BY_SIGNAL,
    KIN_BY_DEADLOCK,
    KIN_BY_SHUTDOWN     /* the run is ending, or the group of a service */
} kin_reason_kind;

typedef struct kin_reason {
    kin_reason_kind kind;
    bool soft;              /* a grace is running: blocking calls still work */
    uint64_t by;            /* id of the task that cancelled, 0 for none */
    const char *at;         /* place of the call, or of what was opened with the deadline */
    char name[24];          /* of that task, cut off */
    char message[64];       /* copied, cut off */
} kin_reason;
KIN_API const char *kin_reason_name(kin_reason_kind kind);  /* "deadline" … */

/* The caller's record of one task, written by spawn and at the task's end. It
 * must live until the group closes, and holds nothing that needs freeing. */
typedef struct kin_task kin_task;
struct kin_task {
    kin_status status;
    int code;               /* what the function returned (KIN_ETIMEDOUT where its own limit
                             * ended it), or why spawn refused */
    bool timed_out;         /* its own limit fired and it was told, whatever it returned */
    bool cancelled;         /* it was cancelled, whoever by and whatever it returned; softly
                             * only if it ended because of that */
    void *state;            /* kin's, and so are these: */
    uint64_t id;
    void *waiters;
    struct kin_task *next;
    uint64_t order;         /* it was the order-th task of its group to end; 0: has not ended */
    kin_reason reason;      /* by whom, where .cancelled */
};

/* Counts, readable from anywhere in the run until the group has closed. Services are not
 * among them. */
struct kin_group_counts {
    uint64_t accepted, ok, failed, cancelled, timed_out, skipped;   /* since it opened */
    uint64_t live;              /* not ended yet */
    uint64_t queued;            /* those of them that wait behind the limit */
};

struct kin_ending {             /* a task that has just ended, for .decide */
    const char *name;
    int32_t index;
    kin_status status;
    int code;
    struct kin_group_counts counts;     /* of the group, this task included */
};

struct kin_group_options {
    const char *at;         /* set by the macro */
    const char *name;       /* borrowed until the group has closed */
    kin_policy policy;
    uint32_t quorum;        /* of KIN_QUORUM; 0: 1 */
    bool (*decide)(const struct kin_ending *ending, void *arg); /* KIN_CUSTOM; must not block */
    void *decide_arg;
    uint32_t limit;         /* at most so many tasks at once; 0: any number */
    uint32_t max_queued;    /* tasks spawned from within that wait behind the limit; 0: any */
    int64_t timeout;        /* relative, from now */
    int64_t deadline;       /* absolute */
    int64_t grace;          /* between soft and hard cancellation */
    size_t stack;           /* bytes of address space for each task; 0: the run's */
    bool keep_whole;        /* its tasks refuse to be cancelled singly (KIN_EBUSY) */
    bool cancelled;         /* open it already cancelled */
    bool collect;           /* keep ended tasks that have a .task for kin_next: their records
                             * must not be used again before they were taken */
};

/* Opens a group in the running task. Never fails visibly: a group for which
 * there is no memory refuses every spawn, and says so at close. */
#define kin_group_open(...) \
    kin_group_open_with(&(struct kin_group_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API kin_group kin_group_open_with(const struct kin_group_options *options);

/* Waits until every task of the group has ended, always, and ends the group. Blocks;
 * a cancellation of the closing task reaches the group's, and the wait goes on. rc is
 * the body's own code: a negative one is a failure like a task's. The tree of failures
 * is then in the task's error slot. Returns the first that applies:
 *   0 of a group that is decided (any, quorum, custom); the earliest failure
 *   KIN_ECANCELED if an outer scope is cancelled and a call in the group said so
 *   KIN_ETIMEDOUT if its own deadline fired and a call in the group said so
 *   KIN_ENOQUORUM of KIN_ANY and KIN_QUORUM; rc where that is 0 or more; 0
 * Misuse: KIN_ESTALE, KIN_EORDER, KIN_EDEADLK from one of its own tasks. */
KIN_API int kin_group_close(kin_group *group, int rc);

/* Cancels the group (reason: left) and waits for its tasks; no-op when closed. */
KIN_API void kin_group_leave(kin_group *group);

#if defined __GNUC__ && !defined __cplusplus
/* A group that is left when its variable goes out of scope. Declare it after
 * everything that its tasks use. */
#define kin_scoped_group __attribute__((cleanup(kin_group_leave), unused)) kin_group
/* KIN_GROUP(rc, g, .limit = 5) { … kin_spawn(&g, …) … }: sets rc to 0, closes with rc at
 * the end of the block, and stores the result in rc; break, return and goto leave it. */
#define KIN_GROUP(...) KIN_GROUP_(__VA_ARGS__, )
#define KIN_GROUP_(rc, g, ...)                                                    \
    for (kin_scoped_group g = ((rc) = 0, kin_group_open(__VA_ARGS__));            \
         !kin_group_ended(&g); (rc) = kin_group_close(&g, (rc)))
#endif

KIN_API int kin_group_count(const kin_group *group, struct kin_group_counts *counts);
KIN_API bool kin_group_ended(const kin_group *group);

struct kin_spawn_options {      /* 64 bytes */
    const char *at;             /* set by the macro */
    kin_group *group;
    int (*fn)(void *arg);       /* 0 or more: success; negative: a code */
    void *arg;
    const char *name;           /* borrowed until the task ends */
    kin_task *task;             /* the caller's record, or NULL */
    int64_t timeout;            /* for this task alone, from its first step */
    int32_t index;              /* prints as name[index]; 0: not given */
    uint16_t copy;              /* copy so many bytes (at most 65,535) of *arg into the task */
    bool optional : 1;          /* being timed out by its own limit is no failure */
    bool skip_cancelled : 1;    /* do not run it if cancelled before its start; with .copy only */
    bool dont_wait : 1;         /* KIN_EAGAIN instead of waiting for room; no failure */
    bool service : 1;           /* see below */
    bool restart : 1;           /* start a failed service again, after 100 ms to 30 s */
};

/* Starts fn(arg) as a task of the group: kin_spawn(&g, fn, arg, .name = "n").
 * 0, and fn runs exactly once, or a refusal, and it never runs: KIN_ECANCELED,
 * KIN_ETIMEDOUT, KIN_EDECIDED, KIN_ECLOSED (the services are being ended), KIN_ESTALE,
 * -ENOMEM, KIN_EFULL, KIN_EAGAIN, KIN_EINVAL.
 * Blocks only when called from outside the group's tasks (its body, or what that has
 * open) while .limit are under way. A refusal for want of memory or room fails the group.
 *
 * A .service runs beside the group's ordinary tasks and is cancelled when the body has closed
 * and the last of them has ended, not before, whatever cancels the group. It counts for no
 * limit, policy or kin_next; its failure is reported, and one of the group unless .restart. */
#define kin_spawn(...) kin_spawn_with(&(struct kin_spawn_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_spawn_with(const struct kin_spawn_options *options);

/* Spawns, and waits until the task calls kin_ready: the value given there, or why not.
 * Until then the task shares the caller's cancellation, and its failure comes out here
 * (KIN_ENOTREADY if it just ends) and not in the group; then it moves to the group. Blocks.
 * Refused as kin_spawn is; KIN_EAGAIN where a task of a full group would wait for itself. */
#define kin_start(...) kin_start_with(&(struct kin_spawn_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_start_with(const struct kin_spawn_options *options);
/* 0, also where the task was just spawned; KIN_ESTALE the second time; KIN_EINVAL below 0;
 * KIN_ECANCELED if the starter was cancelled, KIN_ECLOSED if the group has ended around it
 * (a shielded service can see that): the task stays with its starter, to end. */
KIN_API int kin_ready(int value);

/* The running task: its name and id. "" and 0 outside. */
KIN_API const char *kin_task_name(void);
KIN_API uint64_t kin_task_id(void);

/* ------------------------------------------- 6  Scopes, cancellation */

/* A task-local: what kin_local_get(key) gives to all code inside a scope and to the tasks
 * of the groups opened there. The key is any address. Lives until the scope has closed. */
typedef struct kin_local {
    const void *key;
    void *value;
    const struct kin_local *outer;      /* kin's */
} kin_local;
KIN_API void *kin_local_get(const void *key);       /* NULL where not bound */

struct kin_scope_options {
    const char *at;         /* set by the macro */
    const char *name;       /* borrowed until it closes */
    int64_t timeout, deadline, grace;
    int64_t shield;         /* keeps outer cancellation out for so long, once there is one;
                             * KIN_FOREVER: for ever */
    kin_local *local;       /* a value to bind, or NULL */
    bool cancelled;         /* open it already cancelled */
};
#define kin_scope_open(...) \
    kin_scope_open_with(&(struct kin_scope_options){ .at = KIN_HERE, __VA_ARGS__ })
/* Never fails visibly: without memory it is a scope already cancelled whose
 * close returns -ENOMEM. */
KIN_API kin_scope kin_scope_open_with(const struct kin_scope_options *options);

/* Ends the scope; rc is the code of what ran inside. A negative rc is returned as it
 * is unless it just passes on a cancellation or timeout of this scope; then, as for
 * groups, KIN_ECANCELED, KIN_ETIMEDOUT, rc where that is 0 or more, or 0. */
KIN_API int kin_scope_close(kin_scope *scope, int rc);
KIN_API void kin_scope_leave(kin_scope *scope);

#if defined __GNUC__ && !defined __cplusplus
#define kin_scoped_scope __attribute__((cleanup(kin_scope_leave), unused)) kin_scope
#define KIN_SCOPE(...) KIN_SCOPE_(__VA_ARGS__, )
#define KIN_SCOPE_(rc, s, ...)                                                    \
    for (kin_scoped_scope s = ((rc) = 0, kin_scope_open(__VA_ARGS__));            \
         !kin_scope_ended(&s); (rc) = kin_scope_close(&s, (rc)))
#endif
KIN_API bool kin_scope_ended(const kin_scope *scope);

/* What happened to a scope or group; readable until it has closed. */
struct kin_scope_state {
    bool cancelled;         /* its own cancellation, soft or hard */
    bool timed_out;         /* its own deadline fired and a call inside said so */
    bool expired;           /* its own deadline fired */
    bool told;              /* a call inside returned a cancel code */
    int64_t deadline;       /* its own, absolute; KIN_FOREVER where none */
    kin_reason reason;      /* where .cancelled */
};
KIN_API int kin_scope_look(const kin_scope *scope, struct kin_scope_state *state);
KIN_API int kin_group_look(const kin_group *group, struct kin_scope_state *state);

/* Moves a deadline that has not fired: 0, or KIN_ESTALE, KIN_ETIMEDOUT (fired). */
KIN_API int kin_scope_set_deadline(kin_scope *scope, int64_t deadline);
KIN_API int kin_group_set_deadline(kin_group *group, int64_t deadline);
/* The earliest deadline that the running task can see; KIN_FOREVER where none. */
KIN_API int64_t kin_deadline(void);

/* Cancels: every blocking call inside returns KIN_ECANCELED, now and later.
 * Idempotent, the first reason stands; never allocates, never runs the target.
 * 0, KIN_ESTALE when it has ended, KIN_EBUSY when its group keeps whole. */
KIN_API int kin_group_cancel_at(const char *at, kin_group *group, const char *message);
KIN_API int kin_scope_cancel_at(const char *at, kin_scope *scope, const char *message);
KIN_API int kin_task_cancel_at(const char *at, kin_task *task, const char *message);
#ifndef __cplusplus
#define kin_cancel(what, message)                                                 \
    (_Generic((what), kin_group *: kin_group_cancel_at, kin_scope *: kin_scope_cancel_at, \
              kin_task *: kin_task_cancel_at)(KIN_HERE, (what), (message)))
#endif

/* Why the running task is cancelled (softly or not), or NULL. Of several, the
 * outermost. Valid until the next blocking call or kin_cancelled. */
KIN_API const kin_reason *kin_cancelled(void);
/* Waits for that: 0 while a grace still runs. Blocks. 0 or KIN_ECANCELED. */
KIN_API int kin_wait_cancelled(void);

/* ------------------------------- 7  Combining: next, wait, gather, race */

/* The tasks of a group opened with .collect, in the order of their ending, each once.
 * Blocks. 1 and *task; 0 when all have ended and been taken; KIN_ECANCELED, KIN_ESTALE,
 * KIN_EINVAL (without .collect), KIN_EDEADLK from one of the group's tasks. */
KIN_API int kin_next(kin_group *group, kin_task **task);

typedef enum kin_until { KIN_FIRST_COMPLETED, KIN_FIRST_FAILURE, KIN_ALL_COMPLETED } kin_until;

/* Waits for some of these tasks; cancels none of them. Which have ended, their .status says:
 * it is not KIN_PENDING. One that stands there twice counts twice. Blocks. How many of them
 * have ended, or KIN_ECANCELED; KIN_EINVAL for an empty set, KIN_ESTALE for what was never
 * spawned, KIN_EDEADLK for a task that the caller is part of, -ENOMEM. */
KIN_API int kin_wait_tasks(kin_task *const *tasks, size_t count, kin_until until);

typedef struct kin_call {       /* a function to gather, and what became of it */
    int (*fn)(void *arg);
    void *arg;
    const char *name;
    int32_t index;              /* prints as name[index]; 0: not given */
    int64_t timeout;            /* for this one alone; 0: none */
    bool optional;              /* being timed out by that is no failure */
    kin_task task;              /* written */
} kin_call;

/* Runs them all in a group of their own and closes it: kin_gather(calls, n, .limit = 5).
 * Takes the options of a group; returns what close does; each outcome stands in its call.
 * By default a failure cancels, and waits for, the rest; KIN_KEEP_GOING collects. Blocks.
 * KIN_EINVAL, and none is started, if a call has no function. */
#define kin_gather(...) kin_gather_with(KIN_CALLS_(__VA_ARGS__, ))
#define KIN_CALLS_(calls, count, ...) \
    calls, count, &(struct kin_group_options){ .at = KIN_HERE, __VA_ARGS__ }
KIN_API int kin_gather_with(kin_call *calls, size_t count, const struct kin_group_options *options);
/* The same under KIN_ANY: the index of the first to succeed, or a code. */
#define kin_race(...) kin_race_with(KIN_CALLS_(__VA_ARGS__, ))
KIN_API int kin_race_with(kin_call *calls, size_t count, const struct kin_group_options *options);

/* Calls fn(arg) in this task, within a limit; at 0 and below not at all, nor when cancelled
 * already (KIN_ECANCELED). Blocks as fn does. What fn returned, also too late where it is 0
 * or more, or KIN_ETIMEDOUT; in the second form what to return instead of that. */
KIN_API int kin_within(int64_t duration, int (*fn)(void *arg), void *arg);
KIN_API int kin_within_or(int64_t duration, int otherwise, int (*fn)(void *arg), void *arg);

/* ---------------------------------------------- 8  Waiting and yielding */

/* Sleeps for so long; at 0 and below it yields. Blocks. 0 or KIN_ECANCELED. */
KIN_API int kin_sleep(int64_t duration);
KIN_API int kin_sleep_until(int64_t time);
/* Lets every runnable task run once. Blocks. 0 or KIN_ECANCELED. */
KIN_API int kin_yield(void);
/* KIN_ECANCELED if the running task is cancelled, else 0. */
KIN_API int kin_check(void);

/* --------------------------------------------------- 9  Synchronisation */

/* All zeroed are ready to use (unless an initialiser is shown), belong to the caller, and
 * stay where they are while somebody waits. Waiters are served first in, first out; who is
 * woken has been handed what it waited for. An object is for one runtime: elsewhere calls
 * return KIN_EFOREIGN. Those that block return 0 or KIN_ECANCELED, and what is said. */
struct kin_wait;
struct kin_wait_list {
    struct kin_wait *first, *last;
    uint64_t run;
};

/* An event: once set, wait returns at once, until it is cleared. */
typedef struct kin_event {
    struct kin_wait_list waiters;
    bool set;
} kin_event;
KIN_API int kin_event_wait(kin_event *event);       /* blocks */
KIN_API void kin_event_set(kin_event *event);       /* wakes all that wait */
KIN_API void kin_event_clear(kin_event *event);

/* A mutex. Locking it again is KIN_EDEADLK, unlocking another's KIN_EOWNER. */
typedef struct kin_mutex {
    struct kin_wait_list waiters;
    uint64_t owner;         /* id of the task that holds it, or 0 */
} kin_mutex;
KIN_API int kin_mutex_lock(kin_mutex *mutex);       /* blocks */
KIN_API int kin_mutex_try_lock(kin_mutex *mutex);   /* also KIN_EAGAIN */
KIN_API int kin_mutex_unlock(kin_mutex *mutex);

/* A condition. Wait gives the mutex up and has it again when it returns, whatever it
 * returns (that part cannot be cancelled); without the mutex always KIN_EOWNER. A task that was
 * notified returns 0, also if it was cancelled after that. Check the predicate in a loop. */
typedef struct kin_condition {
    struct kin_wait_list waiters;
} kin_condition;
KIN_API int kin_condition_wait(kin_condition *condition, kin_mutex *mutex);     /* blocks */
KIN_API void kin_condition_notify(kin_condition *condition, size_t count);
KIN_API void kin_condition_notify_all(kin_condition *condition);

/* A counting semaphore; a releaser hands its unit to the first in line. */
typedef struct kin_semaphore {
    struct kin_wait_list waiters;
    uint32_t count;         /* free units */
    uint32_t most;          /* releasing beyond is KIN_EINVAL; 0: unbounded */
} kin_semaphore;
#define KIN_SEMAPHORE(n) { .count = (n) }
#define KIN_SEMAPHORE_BOUNDED(n) { .count = (n), .most = (n) }
KIN_API int kin_semaphore_acquire(kin_semaphore *semaphore);    /* blocks */
KIN_API int kin_semaphore_try_acquire(kin_semaphore *semaphore);    /* 0 or KIN_EAGAIN */
KIN_API int kin_semaphore_release(kin_semaphore *semaphore);

#if defined __GNUC__ && !defined __cplusplus
/* KIN_LOCKED(rc, &mutex) { … }, KIN_ACQUIRED(rc, &semaphore) { … }: holds it for the block,
 * however that is left; where rc is negative the block was not entered. */
#define KIN_LOCKED(rc, mutex) KIN_HOLDING_(rc, kin_mutex, kin_mutex_lock, kin_mutex_let_go, mutex)
#define KIN_ACQUIRED(rc, semaphore) KIN_HOLDING_(rc, kin_semaphore, kin_semaphore_acquire, \
                                                 kin_semaphore_let_go, semaphore)
#define KIN_PASTE__(a, b) a##b
#define KIN_PASTE_(a, b) KIN_PASTE__(a, b)
#define KIN_HOLDING_(rc, type, take, let_go, what)                                        \
    for (type *KIN_PASTE_(kin_held_, __LINE__) __attribute__((cleanup(let_go))) =         \
             __extension__ ({                                                             \
                 type *taken_ = (what);                                                   \
                 (rc) = take(taken_);                                                     \
                 (rc) == 0 ? taken_ : NULL;                                               \
             });                                                                          \
         KIN_PASTE_(kin_held_, __LINE__); let_go(&KIN_PASTE_(kin_held_, __LINE__)))
KIN_API void kin_mutex_let_go(kin_mutex **mutex);
KIN_API void kin_semaphore_let_go(kin_semaphore **semaphore);
#endif

/* A lock for many readers or one writer. Nobody overtakes: a reader waits behind a waiting
 * writer. Unlocking what one does not hold is KIN_EOWNER where that can be seen; a writer
 * that locks again gets KIN_EDEADLK. */
typedef struct kin_rwlock {
    struct kin_wait_list waiters;
    uint64_t writer;        /* id of the task, or 0 */
    uint32_t readers;
} kin_rwlock;
KIN_API int kin_rwlock_read(kin_rwlock *lock);      /* blocks */
KIN_API int kin_rwlock_write(kin_rwlock *lock);     /* blocks */
KIN_API int kin_rwlock_try_read(kin_rwlock *lock);  /* also KIN_EAGAIN */
KIN_API int kin_rwlock_try_write(kin_rwlock *lock);
KIN_API int kin_rwlock_unlock(kin_rwlock *lock);

/* Runs fn(arg) for the first caller; the others wait, and get 0. If it fails or is
 * cancelled, its caller gets the code, and the next in line tries. Blocks. */
typedef struct kin_once {
    kin_mutex mutex;
    bool done;
} kin_once;
KIN_API int kin_once_run(kin_once *once, int (*fn)(void *arg), void *arg);

/* A barrier for so many parties: kin_barrier b = { .parties = 3 }. Wait returns the number
 * of those that came before, when all are there; then the next round begins. A cancelled
 * waiter leaves. KIN_EBROKEN for all that wait when it is broken or reset, and for all that
 * come to a broken one; KIN_EINVAL without parties. */
typedef struct kin_barrier {
    struct kin_wait_list waiters;
    uint32_t parties, waiting;
    bool broken;
} kin_barrier;
KIN_API int kin_barrier_wait(kin_barrier *barrier);     /* blocks; 0 to parties - 1 */
KIN_API void kin_barrier_break(kin_barrier *barrier);
KIN_API void kin_barrier_reset(kin_barrier *barrier);   /* as new */

/* A bounded queue, or channel, of pointers over an array of the caller's:
 *   void *slot[16]; kin_queue q = KIN_QUEUE(slot);
 * Without an array each put waits for its get. */
typedef struct kin_queue {
    struct kin_wait_list getters, putters, joiners;
    void **slots;
    uint32_t capacity, count, first;
    bool closed;
    bool lifo;              /* get what was put last */
    int (*compare)(const void *a, const void *b);   /* get the least; of equals, any. This and
                                                     * drop must not block or use the queue */
    void (*drop)(void *item);       /* for what shutdown_now throws away, or NULL */
    uint64_t unfinished;    /* items put, and not yet kin_queue_done */
} kin_queue;
#define KIN_QUEUE(...) KIN_QUEUE_(__VA_ARGS__, )        /* KIN_QUEUE(slot, .lifo = true) */
#define KIN_QUEUE_(array, ...) \
    { .slots = (array), .capacity = sizeof(array) / sizeof((array)[0]), __VA_ARGS__ }
/* Put and get block; a queue shut down returns KIN_ECLOSED (get: once it is empty).
 * A cancelled put has put nothing, a cancelled get has taken nothing. */
KIN_API int kin_queue_put(kin_queue *queue, void *item);
KIN_API int kin_queue_get(kin_queue *queue, void **item);
KIN_API int kin_queue_try_put(kin_queue *queue, void *item);    /* also KIN_EAGAIN */
KIN_API int kin_queue_try_get(kin_queue *queue, void **item);
/* Refuses further puts, also those waiting; items within can still be taken … */
KIN_API void kin_queue_shutdown(kin_queue *queue);
/* … or are dropped. */
KIN_API void kin_queue_shutdown_now(kin_queue *queue);
/* Join waits until each item that was put is done: whoever got it says so (KIN_EINVAL
 * once too often), or it was dropped. */
KIN_API int kin_queue_join(kin_queue *queue);           /* blocks */
KIN_API int kin_queue_done(kin_queue *queue);

/* One of several puts and gets: the first that can be done, in the order given. Blocks.
 * Its index, having done just that one, or KIN_ECANCELED, having done none; its .code is
 * 0 or KIN_ECLOSED. KIN_EINVAL for none; -ENOMEM where more than 16 have to wait. The try
 * form: KIN_EAGAIN instead of waiting. */
typedef struct kin_case {
    kin_queue *queue;       /* NULL: never */
    bool put;               /* put .item; else get it */
    void *item;
    int code;               /* written */
} kin_case;
KIN_API int kin_select(kin_case *cases, size_t count);
KIN_API int kin_try_select(kin_case *cases, size_t count);

/* A rate limiter: at most one acquire an interval in the long run, and .burst at once
 * (0: 1): kin_limiter l = { .interval = KIN_MS(10), .burst = 5 }. */
typedef struct kin_limiter {
    kin_mutex turn;
    int64_t interval;       /* nanoseconds */
    uint32_t burst;
    int64_t full_at;        /* when all of the burst is there again */
} kin_limiter;
KIN_API int kin_limiter_acquire(kin_limiter *limiter);      /* blocks; KIN_EINVAL if the interval
                                                             * is < 0, or burst times it too long */
KIN_API int kin_limiter_try_acquire(kin_limiter *limiter);  /* also KIN_EAGAIN */

/* ----------------------------------------------------- 10  Other threads */

/* A way into a run for other threads and signal handlers. Opened and closed in the run;
 * between, wake and cancel may be called from anywhere: they never wait, and are safe in a
 * signal handler. Belongs to the caller, who zeroes it before it is first opened and leaves
 * it where it is as long as somebody may call. While one is open the run is not deadlocked. */
typedef struct kin_remote {
    void *line;
    uint64_t run;
    uint32_t state;
} kin_remote;
/* group: what kin_remote_cancel cancels and kin_remote_call spawns into, or NULL. 0, KIN_ENORUN,
 * KIN_ESTALE (the group has ended), KIN_EBUSY (open already), -ENOMEM, -errno; -ENOSYS without
 * descriptors. */
KIN_API int kin_remote_open(kin_remote *remote, kin_group *group);
/* What was asked before is still done; then those that wait get KIN_ECLOSED. Calls that are
 * under way in other threads have returned when this does. No-op when closed. */
KIN_API void kin_remote_close(kin_remote *remote);
/* Waits for a wake. One wake ends one wait, first in, first out; where nobody waits it is
 * kept for the next, once. Blocks. 0, KIN_ECANCELED, KIN_ECLOSED, KIN_EFOREIGN. */
KIN_API int kin_remote_wait(kin_remote *remote);
/* Any thread, signal handlers; errno stays as it was. 0; KIN_ESTALE once closed. Wakes of one
 * remote that the run has not looked at yet count as one. Cancel does what kin_cancel does
 * to the group, if that has not ended; why is borrowed for ever. KIN_EINVAL without group. */
KIN_API int kin_remote_wake(kin_remote *remote);
KIN_API int kin_remote_cancel(kin_remote *remote, const char *why);
/* Runs fn(arg) as a task of the group, and returns its code, which is for the caller alone.
 * From any other thread, which is blocked until the task has ended. KIN_ESTALE once closed;
 * KIN_EINVAL without group; KIN_EDEADLK in the run itself; why the group refused, KIN_EAGAIN
 * where it is full. */
KIN_API int kin_remote_call(kin_remote *remote, int (*fn)(void *arg), void *arg);

/* --------------------------------------------------- 11  File descriptors */

#define KIN_READABLE 1u
#define KIN_WRITABLE 2u

/* Waits until a descriptor of any kind is ready for some of the events; an error
 * or hang-up counts as ready. Blocks. The events, or a code. Regular files are
 * always ready. The descriptor's flags are left alone. */
KIN_API int kin_wait_fd(int fd, unsigned events);

/* Sockets and pipes of kin's own: non-blocking, close-on-exec. -errno on failure. */
KIN_API int kin_listen(const struct sockaddr *address, socklen_t length, int backlog);
KIN_API int kin_pipe(int fds[2]);
KIN_API int kin_accept(int fd);                                             /* blocks */
KIN_API int kin_connect(const struct sockaddr *address, socklen_t length);  /* blocks */

/* Some bytes, 0 at the end of the stream; on kin's own descriptors. Block. A
 * cancelled call has moved nothing. One reader and one writer at a time:
 * the next gets KIN_EBUSY. A peer that is gone is -EPIPE, without SIGPIPE. */
KIN_API ssize_t kin_read(int fd, void *buffer, size_t size);
KIN_API ssize_t kin_write(int fd, const void *buffer, size_t size);
/* All of it; 0 or a code. *done (may be NULL) says how much, also when it failed. */
KIN_API int kin_write_all(int fd, const void *buffer, size_t size, size_t *done);
/* Closes; whoever waits on it gets KIN_ECLOSED. Others run meanwhile where the kernel still
 * holds such an operation; no cancellation point. 0 or -errno. */
KIN_API int kin_close(int fd);

/* ---------------------------------------------------- 12  Looking inside */

/* Writes the tree of groups and tasks with what each waits for, and where. */
KIN_API void kin_dump(FILE *out);

/* Facts of the run: "uring", "epoll" or "virtual"; "madvise", "mprotect" or "canary". */
struct kin_facts {
    const char *backend, *guard;
    uint64_t tasks, stacks;     /* live now */
};
KIN_API int kin_facts(struct kin_facts *facts);

/* Gives memory that the run holds unused back to the operating system: after a burst of
 * tasks, their stacks and records; with glibc, what malloc holds as well. Takes some
 * nanoseconds for each record, and a fraction of a microsecond for each stack. By itself,
 * a run gives back only stacks that nobody has needed for a while. Does not block. */
KIN_API void kin_trim(void);

#ifdef __cplusplus
}
#endif
#endif
