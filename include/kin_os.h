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
