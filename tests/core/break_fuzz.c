/* Random programs that do everything to everybody: spawn into groups of others, cancel
 * what they find, move deadlines, leave, close out of order, run out of memory. What
 * must hold: each accepted task runs once (or is skipped), each refused one never, each
 * record gets an outcome, counts add up, every run ends (SEMANTICS.md G2, G5, G7, E5). */
#include "kin_test.h"
#include "core/core.h"

enum { GROUPS = 24, TASKS = 3000, SEEDS = 3000 };

struct job {
    int depth;
    int ran;
    int rc;                     /* of spawn */
    bool spawned;
    kin_task task;
};

static uint64_t state;
static bool faulty;
static kin_group group[GROUPS];
static struct job job[TASKS];
static int jobs;
static kin_event event;
static kin_semaphore semaphore;
static kin_queue queue;
static void *slots[2];

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % below;
}

static bool one_in(uint64_t n)
{
    return draw(n) == 0;
}

static bool fail_now_and_then(const char *site)
{
    return faulty && one_in(strcmp(site, "alloc") == 0 ? 6 : 3);
}

static int64_t some_time(void)
{
    static const int64_t time[] = { 0, 1, 1000, KIN_MS(1), KIN_MS(1), KIN_MS(2), KIN_MS(5),
                                    KIN_S(1), INT64_MAX / 4, KIN_FOREVER, -1 };

    return time[draw(sizeof time / sizeof time[0])];
}

static int64_t short_time(void)
{
    return (int64_t)draw(4) * KIN_MS(1);
}

static int some_code(void)
{
    static const int code[] = { 0, 0, 0, 0, 1, -EIO, KIN_ECANCELED, KIN_ETIMEDOUT, KIN_EDECIDED };

    return one_in(3) ? code[draw(sizeof code / sizeof code[0])] : 0;
}

static int run_job(void *arg);

static void spawn_one(kin_group *into, int depth)
{
    struct job *j = &job[jobs];

    if (jobs == TASKS)
        return;
    jobs++;
    *j = (struct job){ .depth = depth, .spawned = true };
    struct job *pointer = j;
    bool copy = one_in(4);
    j->rc = kin_spawn(into, run_job, copy ? (void *)&pointer : (void *)j, .task = &j->task,
                      .copy = copy ? sizeof pointer : 0, .index = copy ? -1 : 1, .name = "job",
                      .skip_cancelled = copy && one_in(2), .optional = one_in(4),
                      .dont_wait = one_in(4), .timeout = one_in(4) ? some_time() : 0);
}

static void wait_somehow(void)
{
    void *item;
    kin_scope s = kin_scope_open(.timeout = KIN_MS(1) + short_time());
    int rc = 0;

    if (!s.state) {                 /* no memory, hence no limit to what follows */
        kin_scope_close(&s, 0);
        return;
    }
    switch (draw(6)) {
    case 0:
        rc = kin_event_wait(&event);
        break;
    case 1:
        kin_event_set(&event);
        kin_event_clear(&event);
        break;
    case 2:
        rc = kin_semaphore_acquire(&semaphore);
        if (rc == 0) {
            kin_sleep(short_time());
            kin_semaphore_release(&semaphore);
        }
        break;
    case 3:
        rc = kin_queue_put(&queue, &s);
        break;
    case 4:
        rc = kin_queue_get(&queue, &item);
        break;
    default:
        rc = kin_sleep(short_time());
    }
    if (!one_in(20))
        kin_scope_close(&s, rc);
    else if (one_in(2))
        kin_scope_leave(&s);
}

static void in_a_scope(int depth);
static void in_a_group(int depth);

static void act_once(int depth)
{
    kin_group *other = &group[draw(GROUPS)];

    switch (draw(12)) {
    case 0:
        kin_sleep(short_time());
        break;
    case 1:
        kin_yield();
        break;
    case 2:
    case 3:
        spawn_one(other, depth + 1);
        break;
    case 4:
        if (one_in(3))
            kin_cancel(other, "fuzz");
        break;
    case 5:
        if (jobs)
            kin_cancel(&job[draw((uint64_t)jobs)].task, "fuzz");
        break;
    case 6:
        if (one_in(2))
            kin_group_set_deadline(other, kin_now() + short_time());
        break;
    case 7:
        if (one_in(20))
            kin_group_close(other, some_code());
        break;
    case 8:
        wait_somehow();
        break;
    case 9:
        if (depth < 6)
            in_a_scope(depth);
        break;
    case 10:
        if (depth < 6)
            in_a_group(depth);
        break;
    default:
        if (one_in(3))
            kin_fail(-EIO, "something in %s", kin_task_name());
    }
}

static void act_often(int depth)
{
    for (uint64_t n = draw(5); n > 0; n--)
        act_once(depth);
}

static void in_a_scope(int depth)
{
    kin_scope s = kin_scope_open(.shield = one_in(3) ? (one_in(2) ? -1 : KIN_MS(3)) : 0,
                                 .timeout = one_in(2) ? some_time() : 0,
                                 .grace = one_in(4) ? short_time() : 0);

    act_often(depth + 1);
    if (one_in(4))
        kin_cancel(&s, NULL);
    act_often(depth + 1);
    if (one_in(6))
        kin_scope_set_deadline(&s, kin_now() + some_time() / 4);
    if (!one_in(30))
        kin_scope_close(&s, some_code());
}

static void in_a_group(int depth)
{
    kin_group *g = &group[draw(GROUPS)];
    struct kin_group_counts counts;

    if (!kin_group_ended(g))
        return;
    *g = kin_group_open(.policy = (kin_policy)draw(3), .limit = one_in(2) ? 1 + (uint32_t)draw(2) : 0,
                        .timeout = one_in(3) ? some_time() : 0, .max_queued = (uint32_t)draw(3),
                        .grace = one_in(4) ? short_time() : 0, .keep_whole = one_in(5),
                        .stack = one_in(4) ? 200 * 1024 : 0, .name = "fuzz");
    kin_group mine = *g;
    for (uint64_t n = draw(6); n > 0; n--) {
        spawn_one(&mine, depth + 1);
        act_once(depth + 1);
    }
    act_often(depth + 1);
    if (kin_group_count(&mine, &counts) == 0)
        CHECK_INT(counts.ok + counts.failed + counts.cancelled + counts.timed_out + counts.skipped +
                      counts.live, counts.accepted);
    if (one_in(10))
        kin_group_leave(&mine);
    else if (!one_in(30))
        kin_group_close(&mine, some_code());
    if (kin_group_ended(&mine) && g->id == mine.id)
        *g = (kin_group){ NULL, 0 };
}

static int run_job(void *arg)
{
    struct job *j = (char *)arg >= (char *)job && (char *)arg < (char *)(job + TASKS)
                        ? arg : *(struct job **)arg;

    j->ran++;
    act_often(j->depth);
    return some_code();
}

static int fuzz_root(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++)
        act_once(0);
    in_a_group(0);
    return 0;
}

static void swallow(const char *line, void *arg)
{
    (void)line, (void)arg;
    if (strstr(line, "deadlock"))
        FAIL("%s", line);
}

static void fuzz(uint64_t seed, bool with_faults)
{
    state = seed * 0x9e3779b97f4a7c15 + 1;
    jobs = 0;
    memset(group, 0, sizeof group);
    event = (kin_event){ .set = false };
    semaphore = (kin_semaphore)KIN_SEMAPHORE(1);
    queue = (kin_queue)KIN_QUEUE(slots);
    faulty = with_faults;
    kin__os_fault = with_faults ? fail_now_and_then : NULL;
    int rc = kin_run(fuzz_root, NULL, .virtual_clock = true, .backend = test_backend(),
                     .on_report = swallow);
    kin__os_fault = NULL;
    if (rc < 0 && rc != -ENOMEM && kin_class(rc) == KIN_CLASS_MISUSE)
        FAIL("the run ended with %s", kin_code_name(rc));
    for (struct job *j = job; j < job + jobs; j++) {
        bool run = j->rc == 0 && j->task.status != KIN_SKIPPED;

        if (j->ran != run || (j->rc == 0) != (j->task.status != KIN_REFUSED) ||
            j->task.status == KIN_PENDING)
            FAIL("job %d: spawn said %s, ran %d times, %s", (int)(j - job), kin_code_name(j->rc),
                 j->ran, kin_status_name(j->task.status));
    }
}

TEST_LIMIT(E5_random_programs_keep_the_books_straight, 120)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        tap_note("seed %llu", (unsigned long long)seed);
        fuzz(seed, false);
    }
}

TEST_LIMIT(E5_random_programs_short_of_memory, 120)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        tap_note("seed %llu", (unsigned long long)seed);
        fuzz(seed, true);
    }
}
