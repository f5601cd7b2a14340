/* kin: structured concurrency for C.
 *
 *   1  Time and places            6  Scopes, shields, cancellation
 *   2  Codes and classes          7  Waiting and yielding
 *   3  Errors                     8  Event, semaphore, queue
 *   4  Running                    9  File descriptors
 *   5  Groups and tasks          10  Looking inside
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
    X(KIN_EBUSY,       REFUSED,  6, "another task is already doing that")             \
    X(KIN_EINVAL,      MISUSE,   1, "invalid argument")                               \
    X(KIN_ESTALE,      MISUSE,   2, "the group, scope or task has already ended")     \
    X(KIN_EORDER,      MISUSE,   3, "closed out of order")                            \
    X(KIN_EDEADLK,     MISUSE,   4, "would wait for itself")                          \
    X(KIN_ENORUN,      MISUSE,   5, "not inside kin_run")                             \
    X(KIN_EFOREIGN,    MISUSE,   6, "belongs to another runtime")

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

/* Writes the tree as an indented report, a line an error. */
KIN_API void kin_error_print(const kin_error *tree, FILE *out);

/* ---------------------------------------------------------- 4  Running */

struct kin_run_options {
    const char *at;             /* set by the macro */
    const char *backend;        /* "uring", "epoll", "virtual"; NULL: KIN_BACKEND or the best */
    bool virtual_clock;         /* time stands still, and jumps when every task is blocked */
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

/* kin_run for a main function: prints the error tree on standard error, and
 * returns 0 on success, 124 when the code is KIN_ETIMEDOUT, else 1. */
KIN_API int kin_main(int (*fn)(void *arg), void *arg);

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
    KIN_ANY             /* the first success decides, and cancels the rest */
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
    KIN_BY_SHUTDOWN     /* the run is ending */
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
typedef struct kin_task {
    kin_status status;
    int code;               /* what the function returned (KIN_ETIMEDOUT where its own limit
                             * ended it), or why spawn refused */
    bool timed_out;         /* its own limit fired and it was told, whatever it returned */
    bool cancelled;         /* it was cancelled (whoever by), whatever it returned */
    void *state;
    uint64_t id;
    kin_reason reason;      /* by whom, where .cancelled */
} kin_task;

struct kin_group_options {
    const char *at;         /* set by the macro */
    const char *name;       /* borrowed until the group has closed */
    kin_policy policy;
    uint32_t limit;         /* at most so many tasks at once; 0: any number */
    uint32_t max_queued;    /* tasks spawned from within that wait behind the limit; 0: any */
    int64_t timeout;        /* relative, from now */
    int64_t deadline;       /* absolute */
    int64_t grace;          /* between soft and hard cancellation */
    size_t stack;           /* bytes of address space for each task; 0: the run's */
    bool keep_whole;        /* its tasks refuse to be cancelled singly (KIN_EBUSY) */
    bool cancelled;         /* open it already cancelled */
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
 *   the earliest failure; of a KIN_ANY group that is decided, 0
 *   KIN_ECANCELED if an outer scope is cancelled and a call in the group said so
 *   KIN_ETIMEDOUT if its own deadline fired and a call in the group said so
 *   KIN_ENOQUORUM of a KIN_ANY group; rc where that is 0 or more; 0
 * Misuse: KIN_ESTALE, KIN_EORDER, KIN_EDEADLK from one of its own tasks. */
KIN_API int kin_group_close(kin_group *group, int rc);

/* Cancels the group (reason: left) and waits for its tasks; no-op when closed. */
KIN_API void kin_group_leave(kin_group *group);

#if defined __GNUC__ && !defined __cplusplus
/* A group that is left when its variable goes out of scope. Declare it after
 * everything that its tasks use. */
#define kin_scoped_group __attribute__((cleanup(kin_group_leave), unused)) kin_group
/* KIN_GROUP(rc, g, .limit = 5) { … kin_spawn(&g, …) … }: reaching the end closes
 * with 0 and stores the result in rc; break, return and goto leave it. */
#define KIN_GROUP(...) KIN_GROUP_(__VA_ARGS__, )
#define KIN_GROUP_(rc, g, ...)                                                    \
    for (kin_scoped_group g = kin_group_open(__VA_ARGS__); !kin_group_ended(&g);  \
         (rc) = kin_group_close(&g, 0))
#endif

/* Counts, readable from anywhere in the run until the group has closed. */
struct kin_group_counts {
    uint64_t accepted, ok, failed, cancelled, timed_out, skipped;   /* since it opened */
    uint64_t live;              /* not ended yet */
    uint64_t queued;            /* those of them that wait behind the limit */
};
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
};

/* Starts fn(arg) as a task of the group: kin_spawn(&g, fn, arg, .name = "n").
 * 0, and fn runs exactly once, or a refusal, and it never runs: KIN_ECANCELED,
 * KIN_ETIMEDOUT, KIN_EDECIDED, KIN_ESTALE, -ENOMEM, KIN_EFULL, KIN_EAGAIN, KIN_EINVAL.
 * Blocks only when called from outside the group's tasks (its body, or what that has
 * open) while .limit are under way. A refusal for want of memory or room fails the group. */
#define kin_spawn(...) kin_spawn_with(&(struct kin_spawn_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_spawn_with(const struct kin_spawn_options *options);

/* The running task: its name and id. "" and 0 outside. */
KIN_API const char *kin_task_name(void);
KIN_API uint64_t kin_task_id(void);

/* ------------------------------- 6  Scopes, shields, cancellation */

struct kin_scope_options {
    const char *at;         /* set by the macro */
    const char *name;       /* borrowed until it closes */
    int64_t timeout, deadline, grace;
    int64_t shield;         /* keeps outer cancellation out for so long, once there is one;
                             * KIN_FOREVER: for ever */
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
    for (kin_scoped_scope s = kin_scope_open(__VA_ARGS__); !kin_scope_ended(&s);  \
         (rc) = kin_scope_close(&s, 0))
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

/* ---------------------------------------------- 7  Waiting and yielding */

/* Sleeps for so long; at 0 and below it yields. Blocks. 0 or KIN_ECANCELED. */
KIN_API int kin_sleep(int64_t duration);
KIN_API int kin_sleep_until(int64_t time);
/* Lets every runnable task run once. Blocks. 0 or KIN_ECANCELED. */
KIN_API int kin_yield(void);
/* KIN_ECANCELED if the running task is cancelled, else 0. */
KIN_API int kin_check(void);

/* --------------------------------------------- 8  Event, semaphore, queue */

/* All zeroed are ready to use, belong to the caller, and stay where they are
 * while somebody waits. Waiters are served first in, first out. An object is
 * for one runtime: elsewhere calls return KIN_EFOREIGN. */
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
KIN_API int kin_event_wait(kin_event *event);       /* blocks; 0 or KIN_ECANCELED */
KIN_API void kin_event_set(kin_event *event);       /* wakes all that wait */
KIN_API void kin_event_clear(kin_event *event);

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

/* A bounded queue of pointers over an array of the caller's:
 *   void *slot[16]; kin_queue q = KIN_QUEUE(slot);
 * Without an array each put waits for its get. */
typedef struct kin_queue {
    struct kin_wait_list getters, putters;
    void **slots;
    uint32_t capacity, count, first;
    bool closed;
} kin_queue;
#define KIN_QUEUE(array) { .slots = (array), .capacity = sizeof(array) / sizeof((array)[0]) }
/* Put and get block; a queue shut down returns KIN_ECLOSED (get: once it is empty).
 * A cancelled put has put nothing, a cancelled get has taken nothing. */
KIN_API int kin_queue_put(kin_queue *queue, void *item);
KIN_API int kin_queue_get(kin_queue *queue, void **item);
KIN_API int kin_queue_try_put(kin_queue *queue, void *item);    /* also KIN_EAGAIN */
KIN_API int kin_queue_try_get(kin_queue *queue, void **item);
/* Refuses further puts, also those waiting; items within can still be taken. */
KIN_API void kin_queue_shutdown(kin_queue *queue);

/* --------------------------------------------------- 9  File descriptors */

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
/* Closes; whoever waits on it gets KIN_ECLOSED. 0 or -errno. */
KIN_API int kin_close(int fd);

/* ------------------------------------------------------- 10  Looking inside */

/* Writes the tree of groups and tasks with what each waits for, and where. */
KIN_API void kin_dump(FILE *out);

/* Facts of the run: "uring", "epoll" or "virtual"; "madvise", "mprotect" or "canary". */
struct kin_facts {
    const char *backend, *guard;
    uint64_t tasks, stacks;     /* live now */
};
KIN_API int kin_facts(struct kin_facts *facts);

#ifdef __cplusplus
}
#endif
#endif
