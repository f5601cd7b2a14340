/* Select: one of several puts and gets.
 *
 * The cases are tried in their order, each as its `try` form would do. If none can
 * be done, the task waits with one record a case, each in the line of its queue like
 * any putter or getter, all of them parts of one wait: the first that is woken ends
 * it, and the core takes the others out of their lines before anything else can
 * happen. So exactly one case is done, or none if the task is cancelled.
 *
 * The queues' invariants hold, because a record is linked only where the try has just
 * failed. On a queue without slots a select may wait as putter and getter at once; it
 * does not meet itself, since all tries come before the first link, and both records
 * go when either is served.
 *
 * The task is parked on a record of its own in front, which belongs to no queue and
 * is what a cancellation aborts.
 */
#include "sync/sync.h"

#include <errno.h>

enum { CASES_ON_STACK = 16 };       /* with more, a wait takes memory from the heap */

struct selection {
    kin_case *cases;
    size_t count;
};

/* Nothing to unlink: the core aborts the cases' records as well. */
static bool select_abort(struct kin_wait *wait)
{
    (void)wait;
    return true;
}

static void select_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const struct selection *selection = wait->object;
    size_t puts = 0, gets = 0;

    for (size_t i = 0; i < selection->count; i++) {
        puts += selection->cases[i].queue && selection->cases[i].put;
        gets += selection->cases[i].queue && !selection->cases[i].put;
    }
    snprintf(text, size, "one of %zu puts and %zu gets", puts, gets);
}

static const struct kin_wait_ops select_ops = { "select", select_abort, select_describe };

static int try_case(kin_case *one)
{
    if (!one->queue)
        return KIN_EAGAIN;
    return one->put ? kin_queue_try_put(one->queue, one->item)
                    : kin_queue_try_get(one->queue, &one->item);
}

/* The index of the first that could be done, or KIN_EAGAIN, or what else a queue said. */
static int try_cases(kin_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int rc = try_case(&cases[i]);

        if (rc == KIN_EAGAIN)
            continue;
        if (rc < 0 && rc != KIN_ECLOSED)
            return rc;
        cases[i].code = rc;
        return (int)i;
    }
    return KIN_EAGAIN;
}

static void link_case(struct kin_wait *head, struct kin_wait *wait, const kin_case *one)
{
    *wait = (struct kin_wait){
        .ops = one->put ? &kin__queue_put_ops : &kin__queue_get_ops,
        .object = one->queue,
        .task = head->task,
        .value = one->item,
    };
    kin_wait_list_add(one->put ? &one->queue->putters : &one->queue->getters, wait);
    kin_wait_also(head, wait);
}

static int wait_for_cases(struct kin_wait *head, struct kin_wait *waits, kin_case *cases,
                          size_t count)
{
    size_t i = 0;
    int rc;

    for (i = 0; i < count; i++) {
        waits[i].woken = false;
        if (cases[i].queue)
            link_case(head, &waits[i], &cases[i]);
    }
    rc = kin__wait_park(head);
    for (i = 0; i < count && !waits[i].woken; i++)
        ;
    if (i == count)
        return rc;                      /* cancelled */
    cases[i].code = rc;
    if (rc == 0 && !cases[i].put)
        cases[i].item = waits[i].value;
    return (int)i;
}

int kin_try_select(kin_case *cases, size_t count)
{
    if (count == 0 || count > INT32_MAX)
        return KIN_EINVAL;
    return kin__rt ? try_cases(cases, count) : kin__no_run();
}

int kin_select(kin_case *cases, size_t count)
{
    struct kin_wait head, few[CASES_ON_STACK], *waits = few;
    struct selection selection = { cases, count };
    int rc = kin_wait_prepare(&head, &select_ops, &selection);

    if (rc == 0)
        rc = kin_try_select(cases, count);
    if (rc >= 0)
        kin_wait_skip();
    if (rc != KIN_EAGAIN)
        return rc;
    if (count > CASES_ON_STACK)
        waits = kin__os_alloc(count * sizeof *waits);
    if (!waits)
        return -ENOMEM;
    rc = wait_for_cases(&head, waits, cases, count);
    if (waits != few)
        kin__os_free(waits);
    return rc;
}
