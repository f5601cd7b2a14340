/* Tasks that use objects, in groups of all kinds: spawned, started, services, waited for,
 * cancelled; with a value bound around them. */
#include "random_objects.h"

enum { MOST_CHILDREN = 12, DEEPEST = 3 };

static const char key;

struct children {
    kin_group group;
    struct me me[MOST_CHILDREN];
    kin_task *record;               /* as many */
    bool taken[MOST_CHILDREN];
    int count;
};

static int use_group(struct me *me);

/* --------------------------------------------------------------------- what tasks do */

static int use_local(struct me *me)
{
    kin_local local = { .key = &key, .value = &me->number };
    void *kept = me->local;
    int rc;

    KIN_SCOPE(rc, s, .local = &local) {
        if (s.id != UINT64_MAX)                 /* there was memory for it */
            me->local = &me->number;
        rc = me->depth < DEEPEST ? use_group(me) : use_an_object(me);
        me->local = kept;
    }
    return rc;
}

static int cancel_one(void)
{
    int rc = kin_cancel(&w.record[draw(RECORDS)], "at random");

    CHECK(rc == 0 || rc == KIN_ESTALE || rc == KIN_EBUSY);
    return rc;
}

static int do_something(struct me *me)
{
    switch (draw(16)) {
    case 0:
        return me->depth < DEEPEST ? use_group(me) : 0;
    case 1:
        return use_local(me);
    case 2:
        return draw(3) ? cancel_one() : 0;
    case 3:
        return kin_sleep(KIN_US(draw(20)));
    default:
        return use_an_object(me);
    }
}

/* Nothing waits for ever. */
static int do_within_limits(struct me *me)
{
    int rc;

    check_lines();
    CHECK(kin_local_get(&key) == me->local);
    KIN_SCOPE(rc, s, .timeout = KIN_US(1 + draw(60)), .grace = draw(5) ? 0 : KIN_US(draw(5)),
              .shield = draw(6) ? 0 : KIN_US(1 + draw(20)))
        rc = do_something(me);
    note(me, rc);
    CHECK(kin_local_get(&key) == me->local);
    return rc;
}

/* Mostly it ends when it is cancelled. */
static int work(struct me *me, uint32_t steps)
{
    while (steps-- > 0) {
        do_within_limits(me);
        if (kin_check() < 0 && draw(4))
            return KIN_ECANCELED;
    }
    return draw(20) ? 0 : -EIO;
}

static int task(void *arg)
{
    struct me *me = arg;

    CHECK(!me->ran);
    me->ran = true;
    return work(me, 1 + draw(16));
}

static int started(void *arg)
{
    struct me *me = arg;
    int rc;

    CHECK(!me->ran);
    me->ran = true;
    rc = work(me, draw(3));
    if (rc < 0 || draw(6) == 0)
        return rc;
    rc = kin_ready(7);
    CHECK(rc == 0 || rc == KIN_ECANCELED);
    me->ready = rc == 0;
    return work(me, draw(4));
}

static int service(void *arg)
{
    struct me *me = arg;

    while (kin_sleep(KIN_US(1 + draw(20))) == 0) {
        CHECK(kin_local_get(&key) == me->local);
        if (draw(3) == 0)
            use_an_object(me);
        if (draw(4) == 0 && kin_check() == 0) {
            w.service_failures++;
            return -EIO;
        }
    }
    return KIN_ECANCELED;
}

/* ------------------------------------------------------------------------- groups */

static bool decide(const struct kin_ending *ending, void *arg)
{
    (void)arg;
    CHECK(ending->counts.live < ending->counts.accepted);
    return draw(6) == 0;
}

static struct kin_group_options options(void)
{
    return (struct kin_group_options){
        .at = KIN_HERE, .policy = draw(2) ? KIN_KEEP_GOING : (kin_policy)draw(5),
        .quorum = 1 + draw(6), .decide = decide, .limit = draw(3) ? 0 : 1 + draw(4),
        .timeout = draw(3) ? 0 : KIN_US(1 + draw(400)),
        .grace = draw(5) ? 0 : KIN_US(draw(9)), .keep_whole = draw(8) == 0, .collect = draw(2),
        .cancelled = draw(30) == 0 };
}

/* A service has no bound on the number of its calls but time. */
static void spawn_service(struct children *c, struct me *me)
{
    me->depth = DEEPEST;
    kin_spawn(&c->group, service, me, .service = true, .restart = true, .name = "service");
}

/* Who has said that he is ready has told his starter. */
static void start_one(struct children *c, struct me *me, kin_task *record)
{
    int rc = kin_start(&c->group, started, me, .task = record, .name = "task",
                       .timeout = KIN_US(draw(80)));

    if (me->ready != (rc == 7))
        FAIL("ready %d, and start returned %d (%s)", me->ready, rc, kin_code_name(rc));
}

static void spawn_one(struct children *c, struct me *me, kin_task *record)
{
    int rc = kin_spawn(&c->group, task, me, .task = record, .name = "task", .optional = draw(2),
                       .timeout = draw(3) ? 0 : KIN_US(1 + draw(80)), .dont_wait = draw(4) == 0);

    CHECK((rc < 0) == (record->status == KIN_REFUSED));
}

static void add_child(struct children *c, const struct me *parent)
{
    struct me *me = &c->me[c->count];
    kin_task *record = &c->record[c->count];

    *me = (struct me){ .number = (uint32_t)++w.tasks, .depth = parent->depth + 1,
                       .local = parent->local, .starting = draw(3) == 0 };
    if (!me->starting)
        spawn_one(c, me, record);
    else
        start_one(c, me, record);
    c->count++;
}

/* Each is taken once, when it has ended. */
static int take_next(struct children *c)
{
    kin_task *record;
    int rc;

    begin_call();
    rc = kin_next(&c->group, &record);
    if (rc > 0) {
        int i = (int)(record - c->record);

        CHECK(i >= 0 && i < c->count && !c->taken[i] && record->status != KIN_PENDING);
        c->taken[i] = true;
    }
    for (int i = 0; rc == 0 && i < c->count; i++)
        CHECK(c->taken[i] || !c->me[i].ran || (c->me[i].starting && !c->me[i].ready));
    return rc;
}

static int wait_for_some(struct children *c)
{
    kin_task *set[MOST_CHILDREN];
    size_t count = 0;
    kin_until until = (kin_until)draw(3);
    int rc, ended = 0;

    for (int i = 0; i < c->count; i++)
        if (draw(2))
            set[count++] = &c->record[i];
    begin_call();
    rc = kin_wait_tasks(set, count, until);
    for (size_t i = 0; i < count; i++)
        ended += set[i]->status != KIN_PENDING;
    if (rc >= 0)
        CHECK(rc > 0 && rc <= ended && (until != KIN_ALL_COMPLETED || rc == (int)count));
    return rc;
}

static void watch_over(struct children *c, struct me *me)
{
    int rc = 0;

    for (uint32_t rounds = draw(8); rounds > 0 && kin_check() == 0; rounds--) {
        KIN_SCOPE(rc, s, .timeout = KIN_US(1 + draw(80)))
            rc = draw(2) ? take_next(c) : wait_for_some(c);
        note(me, rc);
    }
    if (draw(20) == 0)
        CHECK((rc = kin_cancel(&c->group, NULL)) == 0 || rc == KIN_ESTALE);
}

static void check_children(const struct children *c)
{
    for (int i = 0; i < c->count; i++) {
        const kin_task *record = &c->record[i];

        CHECK(record->status != KIN_PENDING);
        CHECK(c->me[i].ran == (record->status != KIN_REFUSED));
    }
}

/* Records are not used twice: any task may cancel any of them. */
static int run_group(struct me *me, const struct kin_group_options *how, int wanted)
{
    struct children c = { .record = &w.record[w.records] };
    struct me helper = *me;
    int rc;

    w.records += wanted;
    c.group = kin_group_open_with(how);
    if (draw(4) == 0)
        spawn_service(&c, &helper);
    while (c.count < wanted)
        add_child(&c, me);
    watch_over(&c, me);
    rc = kin_group_close(&c.group, draw(6) ? 0 : -EIO);
    CHECK(kin_group_ended(&c.group));
    check_children(&c);
    return rc;
}

static int use_group(struct me *me)
{
    struct kin_group_options how = options();
    int wanted = 1 + (int)draw(MOST_CHILDREN);

    if (w.records + wanted > RECORDS - MOST_CHILDREN)
        return 0;
    return run_group(me, &how, wanted);
}

int use_objects(struct me *me)
{
    struct kin_group_options how = { .at = KIN_HERE, .policy = KIN_KEEP_GOING };

    run_group(me, &how, MOST_CHILDREN);
    return run_group(me, &how, MOST_CHILDREN / 2);
}
