/* kin and the operating system: threads for what blocks, processes, signals.
 *
 *   1  Threads      a blocking function, away from the run's own thread
 *   2  Processes    start, feed, collect, end
 *   3  Signals      as something to wait for, or as a cancellation
 *
 * Everything here is part of libkin. The rules are those of kin.h.
 */
#ifndef KIN_OS_H
#define KIN_OS_H

#include "kin.h"

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------- 1  Threads */

/* What becomes of a job whose caller is cancelled. One that has not begun is never begun. */
typedef enum kin_thread_end {
    KIN_THREAD_WAIT,        /* the call returns when the job has ended, and what it returned */
    KIN_THREAD_ABANDON,     /* it returns KIN_ECANCELED at once, and the job goes on alone */
    KIN_THREAD_SIGNAL       /* as wait, but the thread is sent .signal until the job ends */
} kin_thread_end;

struct kin_thread_options {
    const char *at;         /* set by the macro */
    kin_thread_end end;
    void (*drop)(void *arg);        /* with KIN_THREAD_ABANDON: frees arg where *.ran stays false;
                                     * in the job's thread if it has begun, after its end */
    int signal;             /* with KIN_THREAD_SIGNAL. Where its disposition is the default one
                             * it is caught and does nothing, but interrupts system calls. A job
                             * that returns -EINTR when it was signalled: KIN_ECANCELED */
    bool *ran;              /* written: the code is the job's own, and arg the caller's again */
};
/* Runs fn(arg) on a thread and returns what it returned. Blocks. At most 40 jobs of a run at a
 * time, the others wait in line; threads are kept for some seconds and shared by all runs. In
 * the job, kin's calls return KIN_ENORUN. Else KIN_ECANCELED, KIN_ENORUN, -ENOMEM, -EAGAIN
 * (no thread to be had), -ENOSYS without descriptors. Jobs that were abandoned may outlive the
 * run, and touch nothing of it. */
#define kin_thread_run(...) KIN_THREAD_RUN_(__VA_ARGS__, )
#define KIN_THREAD_RUN_(fn, arg, ...) \
    kin_thread_run_with(fn, arg, &(struct kin_thread_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_thread_run_with(int (*fn)(void *arg), void *arg,
                                const struct kin_thread_options *options);

/* Around code that blocks the run's own thread on purpose: what was handed to kin goes out
 * before, and the step is not reported as too long. Neither blocks. */
KIN_API void kin_blocking_begin(void);
KIN_API void kin_blocking_end(void);

/* ----------------------------------------------------------- 2  Processes */

/* What a child's descriptors 0, 1 and 2 are, if not the run's own (0) or a descriptor. */
enum {
    KIN_PIPE = -1,          /* a pipe, whose other end the kin_process holds */
    KIN_NULL = -2,          /* /dev/null */
    KIN_TO_OUT = -3         /* .err only: where .out goes */
};
struct kin_process_options {
    const char *at;         /* set by the macro */
    int in, out, err;
    const char *const *env; /* "NAME=value", NULL at the end; NULL: the run's own */
    const char *dir;        /* to run in; NULL: the run's own */
    bool group;             /* a process group of its own, which is signalled as a whole */
    bool session;           /* … and a session */
    bool credentials;       /* change to .uid and .gid, with no further groups */
    uid_t uid;
    gid_t gid;
};
/* Belongs to the caller. Reads and writes of the pipes are kin_read's and kin_write's. */
typedef struct kin_process {
    pid_t pid;
    int pidfd;
    int in, out, err;       /* this side of pipes; -1: none, or closed */
    bool group;
    bool ended;             /* and has been waited for: */
    int exit_code;          /* -1 if a signal ended it */
    int signal;             /* that one, or 0 */
} kin_process;
/* Starts argv[0], looked for in PATH. Its signals are not blocked and have their default
 * disposition, but for those that the run ignores; all other descriptors are closed. Does not
 * block. 0; -errno, also when it cannot be executed; KIN_EINVAL; KIN_ENORUN; -ENOSYS without
 * descriptors. */
#define kin_process_start(...) KIN_PROCESS_START_(__VA_ARGS__, )
#define KIN_PROCESS_START_(process, argv, ...) \
    kin_process_start_with(process, argv, \
                           &(struct kin_process_options){ .at = KIN_HERE, __VA_ARGS__ })
KIN_API int kin_process_start_with(kin_process *process, const char *const argv[],
                                   const struct kin_process_options *options);
/* Until it has ended; again at once, if it had. Blocks. 0 or a code. */
KIN_API int kin_process_wait(kin_process *process);
/* 0; KIN_ESTALE once it has ended; -errno. */
KIN_API int kin_process_signal(kin_process *process, int signal);
/* SIGTERM; SIGKILL if it lives after the grace, at once if that is 0; waits, also when
 * cancelled; closes the pipes. Its group, where it has one, is killed as well. Blocks. 0 or a
 * code; no-op when there is nothing left to be done. */
KIN_API int kin_process_end(kin_process *process, int64_t grace);

/* Feeds input, closes that, and collects what comes until the pipes are closed; then waits.
 * Each of out and err (may be NULL) gets at most .most bytes: -EMSGSIZE beyond. If it fails or
 * is cancelled, the process is ended as by kin_process_end, with the grace. Blocks. */
struct kin_output {
    char *data;             /* ends with a 0 that is not counted; free it, also after an error */
    size_t size, most;      /* most: 0: 16 MiB */
};
KIN_API int kin_process_communicate(kin_process *process, const void *input, size_t size,
                                    struct kin_output *out, struct kin_output *err,
                                    int64_t grace);

/* ------------------------------------------------------------- 3  Signals */

/* Signals as something to wait for. Belongs to the caller, zeroed, and stays where it is until
 * it is closed. While one is open the run is not deadlocked. */
typedef struct kin_signals {
    kin_remote remote;
    uint64_t wanted, arrived;
} kin_signals;
/* Takes the signals over, in the whole process: the last to close one puts back what was done
 * with it before. Several may be open for the same signal, and each is told. 0, KIN_EINVAL (not
 * a signal, or none that can be taken), KIN_EBUSY (64 are open, or this one is), and the codes of
 * kin_remote_open. */
KIN_API int kin_signals_open(kin_signals *signals, const int *numbers, size_t count);
KIN_API void kin_signals_close(kin_signals *signals);   /* who waits gets KIN_ECLOSED */
/* The number of a signal that has arrived, the lowest first; arriving again before it is waited
 * for counts once. Blocks. Or KIN_ECANCELED, KIN_ECLOSED, KIN_EFOREIGN. */
KIN_API int kin_signals_wait(kin_signals *signals);

/* From now to the end of the run, the first SIGINT or SIGTERM cancels the root, and with it
 * everything, for the reason "signal"; the second lifts all shields; the third does what it did
 * before. 0, or a code; KIN_EBUSY if it was asked for already. */
KIN_API int kin_end_on_signals(void);

#ifdef __cplusplus
}
#endif
#endif
