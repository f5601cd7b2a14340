/* What random programs wait for, beside a model of it: for each object the line of those
 * who wait, in the order in which they came. Whoever hands something over gives it to the
 * first in line whom no cancellation has reached; that one, and nobody else, must come
 * back with it, even if it is cancelled before it goes on. Everybody else comes back only
 * because a cancellation has reached him, at the very time at which that happened. */
#include "random_sync.h"

enum { UNITS = 2, ROOM = 2 };

static kin_semaphore units;
static kin_mutex mutex;
static kin_event event;
static kin_queue queue;
static void *slots[ROOM];

static struct {
    struct line units, mutex, event, getters, putters;
    uint32_t free_units;
    bool locked;
    int item[ROOM], items, last_item;
} model;

/* ------------------------------------------------------------------- outcomes */

void sync_check_time(struct shadow *at, int64_t began, int rc)
{
    int64_t reached = model_reached_at(at);

    if (rc != KIN_ECANCELED)
        return;
    if (reached > kin_now())
        FAIL("cancelled at %lld although nothing had reached it", (long long)kin_now());
    if (kin_now() != (reached > began ? reached : began))
        FAIL("a call begun at %lld and cancelled at %lld returned at %lld", (long long)began,
             (long long)reached, (long long)kin_now());
    model_told(at);
}

static void check_code(const char *what, int got, int wanted)
{
    if (got != wanted)
        FAIL("%s returned %d (%s), wanted %d (%s)", what, got, kin_code_name(got), wanted,
             kin_code_name(wanted));
}

/* The outcome of a call that could not be done at once. */
static void check_waited(const char *what, struct line *line, struct waiter *w, int got)
{
    line_remove(line, w);
    check_code(what, got, w->served ? 0 : KIN_ECANCELED);
}

/* ------------------------------------------------------------------- sleeping */

int sync_sleep(struct shadow *at, int64_t duration)
{
    int64_t began = kin_now(), due = model_later(began, duration);
    int rc;

    if (duration <= 0)
        return sync_yield(at);
    rc = kin_sleep(duration);
    sync_check_time(at, began, rc);
    if (rc == 0 && kin_now() != due)
        FAIL("slept until %lld instead of %lld", (long long)kin_now(), (long long)due);
    if (rc == 0 && model_reached_at(at) < due)
        FAIL("slept on, until %lld, cancelled at %lld", (long long)due,
             (long long)model_reached_at(at));
    if (rc != 0)
        check_code("sleep", rc, KIN_ECANCELED);
    return rc;
}

int sync_yield(struct shadow *at)
{
    int64_t began = kin_now();
    int rc = kin_yield();

    sync_check_time(at, began, rc);
    check_code("yield", rc, model_reached(at) ? KIN_ECANCELED : 0);
    CHECK_INT(kin_now(), began);
    return rc;
}

/* ----------------------------------------------------------- semaphore and mutex */

static int acquire(struct shadow *at)
{
    struct waiter w = { .item = 0 };
    int64_t began = kin_now();
    int wanted = 0, rc;

    if (model_reached(at))
        wanted = KIN_ECANCELED;
    else if (model.free_units > 0)
        model.free_units--;
    else
        line_add(&model.units, &w, at);
    rc = kin_semaphore_acquire(&units);
    sync_check_time(at, began, rc);
    if (w.at)
        check_waited("acquire", &model.units, &w, rc);
    else
        check_code("acquire", rc, wanted);
    return rc;
}

int sync_acquire(struct shadow *at, int64_t hold)
{
    int rc = acquire(at);

    if (rc < 0)
        return rc;
    rc = sync_sleep(at, hold);
    if (!line_serve(&model.units))
        model.free_units++;
    check_code("release", kin_semaphore_release(&units), 0);
    return rc;
}

static int lock(struct shadow *at)
{
    struct waiter w = { .item = 0 };
    int64_t began = kin_now();
    int wanted = 0, rc;

    if (model_reached(at))
        wanted = KIN_ECANCELED;
    else if (!model.locked)
        model.locked = true;
    else
        line_add(&model.mutex, &w, at);
    rc = kin_mutex_lock(&mutex);
    sync_check_time(at, began, rc);
    if (w.at)
        check_waited("lock", &model.mutex, &w, rc);
    else
        check_code("lock", rc, wanted);
    return rc;
}

int sync_lock(struct shadow *at, int64_t hold)
{
    int rc = lock(at);

    if (rc < 0) {
        check_code("unlock of what is not held", kin_mutex_unlock(&mutex), KIN_EOWNER);
        return rc;
    }
    CHECK_INT(mutex.owner, kin_task_id());
    rc = sync_sleep(at, hold);
    model.locked = line_serve(&model.mutex) != NULL;
    check_code("unlock", kin_mutex_unlock(&mutex), 0);
    return rc;
}

/* ----------------------------------------------------------------------- queue */

/* What a put does at once: 0 or KIN_EAGAIN. */
static int model_put(int item)
{
    struct waiter *getter = line_serve(&model.getters);

    if (getter)
        getter->item = item;
    else if (model.items < ROOM)
        model.item[model.items++] = item;
    else
        return KIN_EAGAIN;
    return 0;
}

static int model_get(int *item)
{
    struct waiter *putter;

    if (model.items == 0)
        return KIN_EAGAIN;
    *item = model.item[0];
    memmove(model.item, model.item + 1, (ROOM - 1) * sizeof model.item[0]);
    model.items--;
    putter = line_serve(&model.putters);
    if (putter)
        model.item[model.items++] = putter->item;
    return 0;
}

static void *as_item(int number)
{
    return (void *)(intptr_t)number;
}

static void check_item(const void *got, int wanted)
{
    if (got != as_item(wanted))
        FAIL("got item %d instead of %d", (int)(intptr_t)got, wanted);
}

int sync_put(struct shadow *at)
{
    struct waiter w = { .item = ++model.last_item };
    int64_t began = kin_now();
    int wanted = model_reached(at) ? KIN_ECANCELED : model_put(w.item), rc;

    if (wanted == KIN_EAGAIN)
        line_add(&model.putters, &w, at);
    rc = kin_queue_put(&queue, as_item(w.item));
    sync_check_time(at, began, rc);
    if (w.at)
        check_waited("put", &model.putters, &w, rc);
    else
        check_code("put", rc, wanted);
    return rc;
}

int sync_get(struct shadow *at)
{
    struct waiter w = { .item = 0 };
    int64_t began = kin_now();
    int wanted = model_reached(at) ? KIN_ECANCELED : model_get(&w.item), rc;
    void *item = NULL;

    if (wanted == KIN_EAGAIN)
        line_add(&model.getters, &w, at);
    rc = kin_queue_get(&queue, &item);
    sync_check_time(at, began, rc);
    if (w.at)
        check_waited("get", &model.getters, &w, rc);
    else
        check_code("get", rc, wanted);
    check_item(item, rc == 0 ? w.item : 0);
    return rc;
}

int sync_try_put(void)
{
    int item = ++model.last_item, wanted = model_put(item);
    int rc = kin_queue_try_put(&queue, as_item(item));

    check_code("try_put", rc, wanted);
    return rc;
}

int sync_try_get(void)
{
    int wanted_item = 0, wanted = model_get(&wanted_item);
    void *item = NULL;
    int rc = kin_queue_try_get(&queue, &item);

    check_code("try_get", rc, wanted);
    check_item(item, wanted_item);
    return rc;
}

/* ----------------------------------------------------------------------- event */

int sync_wait_event(struct shadow *at)
{
    struct waiter w = { .item = 0 };
    int64_t began = kin_now();
    int wanted = model_reached(at) ? KIN_ECANCELED : 0, rc;

    if (wanted == 0 && !event.set)
        line_add(&model.event, &w, at);
    rc = kin_event_wait(&event);
    sync_check_time(at, began, rc);
    if (w.at)
        check_waited("wait", &model.event, &w, rc);
    else
        check_code("wait", rc, wanted);
    return rc;
}

void sync_set_event(void)
{
    while (line_serve(&model.event))
        ;
    kin_event_set(&event);
    CHECK(event.set);
}

void sync_clear_event(void)
{
    kin_event_clear(&event);
    CHECK(!event.set);
}

/* ---------------------------------------------------------- beginning and end */

void sync_begin(void)
{
    units = (kin_semaphore)KIN_SEMAPHORE_BOUNDED(UNITS);
    mutex = (kin_mutex){ .owner = 0 };
    event = (kin_event){ .set = false };
    queue = (kin_queue)KIN_QUEUE(slots);
    memset(&model, 0, sizeof model);
    model.free_units = UNITS;
}

void sync_check_all_is_back(void)
{
    void *item;

    CHECK_INT(units.count, UNITS);
    CHECK(!units.waiters.first && !event.waiters.first);
    CHECK(!mutex.waiters.first && mutex.owner == 0);
    CHECK(!queue.getters.first && !queue.putters.first);
    CHECK_INT(queue.count, model.items);
    for (int i = 0; i < model.items; i++) {
        CHECK_CODE(kin_queue_try_get(&queue, &item), 0);
        check_item(item, model.item[i]);
    }
}
