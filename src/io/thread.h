/* Jobs on threads: what the pool (any thread) and the run's side share. */
#ifndef KIN__THREAD_H
#define KIN__THREAD_H

#include "io/io.h"
#include "kin_os.h"

#include <pthread.h>

/* In line, running, ended: that is under the pool's lock. The run's side frees it, in the
 * call or, where that has been abandoned, in the hook; the thread does if the run has gone. */
struct kin__job {
    struct kin__job *next, *prev;       /* in line */
    int (*fn)(void *arg);
    void *arg;
    void (*drop)(void *arg);            /* called by the thread if it was abandoned */
    int code;                           /* what fn returned */
    int signal;                         /* may interrupt it; 0: none */
    bool queued, running, abandoned, withdrawn;
    pthread_t thread;                   /* while running */
    kin_remote remote;                  /* woken when it has ended */
    struct kin_wait *waiter;            /* the run's side; NULL: nobody */
    bool ended;                         /* as far as the run's side knows */
};

/* A detached thread, with all signals blocked. 0 or -errno. */
int kin__thread_start(void *(*fn)(void *arg), void *arg);

/* Hands it to a thread, or to the next that is free. -EAGAIN: there is none at all. */
int kin__pool_submit(struct kin__job *job);
/* True: it had not begun, and never will. */
bool kin__pool_withdraw(struct kin__job *job);
/* False: it has ended. */
bool kin__pool_abandon(struct kin__job *job);
/* Interrupts it, if it runs. */
void kin__pool_signal(struct kin__job *job);

#endif
