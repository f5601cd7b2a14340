/* What random programs wait for: the objects, and a model of who gets what (S2). */
#ifndef RANDOM_SYNC_H
#define RANDOM_SYNC_H

#include "random_model.h"

/* Each does the call, at this scope of the running task, checks its result and its time
 * against the model, and returns the result. */
int sync_sleep(struct shadow *at, int64_t duration);
int sync_yield(struct shadow *at);
int sync_acquire(struct shadow *at, int64_t hold);
int sync_lock(struct shadow *at, int64_t hold);
int sync_put(struct shadow *at);
int sync_get(struct shadow *at);
int sync_try_put(void);
int sync_try_get(void);
int sync_wait_event(struct shadow *at);
void sync_set_event(void);
void sync_clear_event(void);

/* A call that says KIN_ECANCELED returns at the very time of the cancellation. */
void sync_check_time(struct shadow *at, int64_t began, int rc);

void sync_begin(void);
void sync_check_all_is_back(void);

#endif
