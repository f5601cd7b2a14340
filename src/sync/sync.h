/* What the primitives of this folder share.
 *
 * All of them follow one rule: whoever lets go of something assigns it to the first
 * in line before that one runs. So what is free has no waiters, a newcomer has
 * nobody to overtake, and a task that is woken owns what it waited for, whatever
 * happens to it afterwards. None of them allocates.
 */
#ifndef KIN_SYNC_H
#define KIN_SYNC_H

#include "core/park.h"

/* May the running task touch the object? Not if tasks of another run wait on it or hold
 * it: whoever takes hold of an object claims its list. 0, KIN_EFOREIGN or KIN_ENORUN. */
static inline int kin__claim(struct kin_wait_list *list, bool held)
{
    if (kin__unlikely(held && kin__rt && list->run != kin__rt->run))
        return KIN_EFOREIGN;
    return kin_wait_list_claim(list);
}

static inline uint64_t kin__waiter_id(const struct kin_wait *wait)
{
    return ((const struct kin__task *)wait->task)->base.id;
}

/* mutex.c */
/* Locks for something that is built on a mutex, and has its own name in dumps. */
int kin__mutex_lock(kin_mutex *mutex, const struct kin_wait_ops *ops);
bool kin__mutex_abort(struct kin_wait *wait);
void kin__mutex_describe(const struct kin_wait *wait, char *text, size_t size);
/* Makes the waiter's task the owner; false if somebody else is. */
bool kin__mutex_take_for(kin_mutex *mutex, const struct kin_wait *wait);
/* The owner gives it up: to the first in line, with what its record has in .value. */
void kin__mutex_pass_on(kin_mutex *mutex);
/* "held by fetch[3]", for dumps and reports of a deadlock. */
void kin__holder_text(uint64_t task, char *text, size_t size);

/* queue.c: the records that select links to a queue's putters and getters. */
extern const struct kin_wait_ops kin__queue_put_ops, kin__queue_get_ops;

#endif
