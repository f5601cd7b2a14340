/* What the tests of kin_start share (start.c, start_group.c). */
#ifndef START_H
#define START_H

#include "kin_test.h"

/* Sleeps, says that it is ready, sleeps, ends. */
struct helper {
    int64_t before, after;
    int value, result;
    int said, woke;             /* what kin_ready and the last sleep returned */
    bool mute, stubborn;        /* does not say it; ignores a cancelled first sleep */
    int64_t at;                 /* when it ended */
};

static inline int helper(void *arg)
{
    struct helper *h = arg;
    int rc = h->before ? kin_sleep(h->before) : 0;

    if (rc < 0 && !h->stubborn)
        return rc;
    h->said = h->mute ? 0 : kin_ready(h->value);
    h->woke = h->after ? kin_sleep(h->after) : 0;
    h->at = kin_now();
    return h->result < 0 || h->woke >= 0 ? h->result : h->woke;
}

static inline int ready_at_once(void *arg)
{
    return kin_ready(*(int *)arg);
}

static inline int fail_early(void *arg)
{
    kin_sleep(KIN_S(1));
    return kin_fail(*(int *)arg, "cannot bind");
}

/* A task that starts another one into a group that it is not part of. */
struct starter {
    kin_group *home;
    int (*fn)(void *arg);
    void *arg;
    int64_t limit, sleep_before;
    int rc;
    int64_t at;
    kin_task task;
};

static inline int start_it(void *arg)
{
    struct starter *s = arg;

    if (s->sleep_before)
        kin_sleep(s->sleep_before);
    s->rc = kin_start(s->home, s->fn, s->arg, .task = &s->task, .name = "started");
    s->at = kin_now();
    return 0;
}

#endif
