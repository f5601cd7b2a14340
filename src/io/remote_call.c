/* kin_remote_call: a function from another thread, run as a task.
 *
 * The call's record lies on the stack of the thread, which waits for a semaphore in it. The
 * remote's line carries the record into the run; there a task of the remote's group calls the
 * function and posts. Each record that was handed over is answered exactly once: by its task,
 * which runs if it was accepted, by the refusal, or when the run ends with the remote open.
 *
 * A failure is told to the thread that called and to nobody else: it alone knows whether that
 * matters to the group.
 */
#include "io/io.h"

/* From then on the record may be gone. */
static void answer_call(struct kin__remote_call *call, int code)
{
    call->code = code;
    sem_post(&call->over);
}

static int run_call(void *arg)
{
    struct kin__remote_call *call = arg;
    int code = call->fn(call->arg);

    answer_call(call, code);
    return 0;
}

static struct kin__remote_call *first_to_last(struct kin__remote_call *last)
{
    struct kin__remote_call *first = NULL, *before;

    for (; last; last = before) {
        before = last->next;
        last->next = first;
        first = last;
    }
    return first;
}

/* It is spawned by main, who stands outside of every group and does not wait here. */
static int begin_call(struct kin__remote_call *call, kin_group *group)
{
    struct kin__runtime *rt = kin__rt;
    struct kin__task *current = rt->current;
    int rc;

    rt->current = &rt->host;
    rc = kin_spawn(group, run_call, call, .name = "kin_remote_call", .dont_wait = true);
    rt->current = current;
    return rc;
}

void kin__remote_calls_begin(struct kin__remote_call *calls, kin_group *group)
{
    struct kin__remote_call *call, *next;

    for (call = first_to_last(calls); call; call = next) {
        int rc;

        next = call->next;
        rc = begin_call(call, group);
        if (rc < 0)
            answer_call(call, rc);
    }
}

int kin_remote_call(kin_remote *remote, int (*fn)(void *arg), void *arg)
{
    struct kin__remote_call call = { .fn = fn, .arg = arg };
    int rc;

    if (!fn)
        return KIN_EINVAL;
    sem_init(&call.over, 0, 0);
    rc = kin__remote_hand_over(remote, &call);
    while (rc == 0 && sem_wait(&call.over) < 0)
        ;
    sem_destroy(&call.over);
    return rc < 0 ? rc : call.code;
}
