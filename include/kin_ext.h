/* kin for those who build new things to wait for, on top of the core.
 *
 * Everything a task can wait for is made of four verbs and a record on the
 * waiter's stack:
 *
 *     int my_wait(struct my *m)
 *     {
 *         struct kin_wait w;
 *         int rc = kin_wait_prepare(&w, &my_ops, m);   // verb 1: cancelled already?
 *         if (rc < 0)
 *             return rc;
 *         if (m->ready)
 *             return kin_wait_skip();                   // had not to park after all
 *         link w to m;
 *         return kin_wait_park(&w);                     // verb 2: others run
 *     }
 *     waker:    unlink w; kin_wait_wake(w, 0);          // verb 3: hand over
 *     my_ops.abort(w): unlink w; return true;           // verb 4: give up
 *
 * A wait that cannot be given up at once (the kernel or another thread holds on
 * to it) returns false from abort, is asked only once, and calls kin_wait_wake
 * when it is over: with KIN_ECANCELED if it had no effect, else with its result.
 *
 * Further down: watched descriptors, helper tasks, running under a foreign event
 * loop, and making things fail for tests.
 */
#ifndef KIN_EXT_H
#define KIN_EXT_H

#include "kin.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kin_wait_ops {
    const char *name;                       /* "semaphore", for dumps and reports */
    /* Called when the waiter is cancelled: true if the record is unlinked and the
     * waiter may go on at once. Must not block, allocate, or switch. */
    bool (*abort)(struct kin_wait *wait);
    /* Writes more about the object ("fd 5 readable"); may be NULL. */
    void (*describe)(const struct kin_wait *wait, char *text, size_t size);
};

struct kin_wait {
    struct kin_wait *next, *prev;           /* for the object's list */
    const struct kin_wait_ops *ops;
    void *object;
    void *task;                             /* the core's */
    void *value;                            /* the object's, to hand over */
    struct kin_wait *also;                  /* the next record of the same wait, or NULL */
    bool woken;                             /* of several: it was this one */
};

/* Prepares the record; KIN_ECANCELED if the running task is cancelled, and
 * KIN_ENORUN outside of a run: then nothing may be waited for. */
KIN_API int kin_wait_prepare(struct kin_wait *wait, const struct kin_wait_ops *ops, void *object);
/* Parks the running task until the record is woken; what the waker said. */
KIN_API int kin_wait_park(struct kin_wait *wait);
/* Makes another prepared record part of the wait that first stands for: whichever is woken
 * first ends it, and the others are aborted then, which must be possible at once. */
KIN_API void kin_wait_also(struct kin_wait *first, struct kin_wait *another);
/* The call did not have to park: returns 0, after a yield now and then (every 64th). */
KIN_API int kin_wait_skip(void);
/* Makes the waiter runnable with a result. From now on it cannot be cancelled
 * out of this wait. Only in the waiter's runtime. */
KIN_API void kin_wait_wake(struct kin_wait *wait, int result);

/* First-in-first-out lists of records. Take unlinks and returns the first, or
 * NULL. Claim checks that the list is of this runtime: 0 or KIN_EFOREIGN. */
KIN_API int kin_wait_list_claim(struct kin_wait_list *list);
KIN_API void kin_wait_list_add(struct kin_wait_list *list, struct kin_wait *wait);
KIN_API void kin_wait_list_remove(struct kin_wait_list *list, struct kin_wait *wait);
KIN_API struct kin_wait *kin_wait_list_take(struct kin_wait_list *list);

/* ------------------------------------------------------- watched descriptors */

/* Calls ready() from the scheduler, on any stack, whenever the descriptor is
 * ready for some of the events (level-triggered), until the watch is stopped.
 * ready() may only wake tasks and start or stop watches. */
struct kin_watch {
    int fd;
    unsigned events;                        /* KIN_READABLE | KIN_WRITABLE */
    void (*ready)(struct kin_watch *watch, unsigned events);
    void *arg;
    void *backend;                          /* the backend's */
};
/* The caller sets fd, ready and arg of a zeroed watch; set starts it or changes
 * the events; stop ends it: ready() is not called again and, once stop has
 * returned, the memory may be reused. 0, -errno, -ENOMEM. */
KIN_API int kin_watch_set(struct kin_watch *watch, unsigned events);
KIN_API void kin_watch_stop(struct kin_watch *watch);

/* ------------------------------------------------------------ system tasks */

/* Starts a helper in the run's hidden system group, on a stack of 512 KiB: no user
 * scope reaches it; it is cancelled and joined after the last user task has ended.
 * 0, KIN_ENORUN or -ENOMEM. */
KIN_API int kin_system_spawn(int (*fn)(void *arg), void *arg, const char *name);

/* One pointer a run for each key (an address of the extension's); destroy is
 * called with it after all tasks have ended. NULL where nothing was set. */
KIN_API void *kin_run_local(const void *key);
KIN_API int kin_run_local_set(const void *key, void *value, void (*destroy)(void *value));

/* ------------------------------------------------------ a foreign event loop */

/* A run that is driven from outside: step it whenever its descriptor is readable, which it
 * is from the beginning, and while step says that there is more to do. A thread may have
 * several, and call kin_run between steps. Only on the thread that opened it (KIN_EFOREIGN). */
typedef struct kin_host kin_host;
#define kin_host_open(...) kin_host_open_with(KIN_HOST_ARGS_(__VA_ARGS__, ))
#define KIN_HOST_ARGS_(host, fn, arg, ...) \
    host, fn, arg, &(struct kin_run_options){ .at = KIN_HERE, __VA_ARGS__ }
/* Sets up a run with fn(arg) as its root task, which starts with the first step, on a stack
 * of the size .stack, as every task. 0 or a code, and then *host is NULL. */
KIN_API int kin_host_open_with(kin_host **host, int (*fn)(void *arg), void *arg,
                               const struct kin_run_options *options);
KIN_API int kin_host_fd(const kin_host *host);      /* to be polled for reading */
/* Lets every runnable task run once; never waits. 1: step again soon, 0: when the
 * descriptor is readable, KIN_ESTALE: the root task has ended. KIN_EDEADLK from inside. */
KIN_API int kin_host_step(kin_host *host);
/* Cancels the root if it has not ended (reason: shutdown), waits for all, and frees the
 * run. Blocks the thread. The root's code; KIN_EDEADLK from inside, and nothing is done. */
KIN_API int kin_host_close(kin_host *host);

/* ------------------------------------------------------------ faults, for tests */

/* Hung into kin_run's .faults, or asked for by KIN_FAULT=cancel_call:17 in the environment
 * of any program, which then reports its counts. The k-th of something (from 1; 0: none) goes
 * wrong; the counts go on, so that a sweep over k ends when they stay below it:
 *     for (k = 1; ; k++) { f = (struct kin_faults){ .cancel_call = k }; kin_run(…);
 *                          if (f.calls < k) break; } */
struct kin_faults {
    const char *task;           /* only calls of tasks of this name; NULL: of all but helpers */
    uint64_t fail_request;      /* kin's k-th request for memory fails */
    uint64_t cancel_call;       /* the task that makes the k-th blocking call is cancelled first */
    uint64_t cancel_wait;       /* … that parks for the k-th time is, as soon as it waits */
    uint64_t requests, calls, waits;    /* written: how many there were */
};

/* Writes a line where misuse is reported. */
KIN_API void kin_report(const char *format, ...) KIN_PRINTF(1, 2);

#ifdef __cplusplus
}
#endif
#endif
