/* An event: a flag that tasks wait for. Setting it wakes all that wait, in the
 * order in which they came; clearing it afterwards takes nothing from them. */
#include "core/park.h"

static bool event_abort(struct kin_wait *wait)
{
    kin_event *event = wait->object;

    kin_wait_list_remove(&event->waiters, wait);
    return true;
}

static const struct kin_wait_ops event_ops = { "event", event_abort, NULL };

int kin_event_wait(kin_event *event)
{
    struct kin_wait wait;
    int rc = kin_wait_prepare(&wait, &event_ops, event);

    if (rc < 0)
        return rc;
    rc = kin_wait_list_claim(&event->waiters);
    if (rc < 0)
        return rc;
    if (event->set)
        return kin_wait_skip();
    kin_wait_list_add(&event->waiters, &wait);
    return kin__wait_park(&wait);
}

void kin_event_set(kin_event *event)
{
    if (event->waiters.first && kin_wait_list_claim(&event->waiters) < 0) {
        kin__misuse(NULL, "an event set outside of its waiters' runtime");
        return;
    }
    event->set = true;
    kin__wake_all(&event->waiters, 0);
}

void kin_event_clear(kin_event *event)
{
    event->set = false;
}
