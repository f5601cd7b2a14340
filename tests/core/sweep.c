/* Sweeps: every allocation and mapping fails once, every blocking call is
 * cancelled once (docs/semantics.md Q4, C2, G15). A program of tasks, run again and
 * again with the fault one place later, ends each time with a clear code, leaks
 * nothing, and keeps its own books straight. */
#include "kin_test.h"
#include "core/core.h"

#include <stdio.h>
#include <stdlib.h>

/* ------------------------------------------------------------------- programs */

static int add_one(void *arg)
{
    ++**(int **)arg;
    return kin_yield();
}

static int spawn_with_copies(void *arg)
{
    int ran = 0, *counter = &ran, accepted = 0;
    kin_group g = kin_group_open(.name = "copies");

    (void)arg;
    for (int i = 0; i < 100; i++)
        accepted += kin_spawn(&g, add_one, &counter, .copy = sizeof counter, .name = "one") == 0;
    int rc = kin_group_close(&g, 0);
    if (ran != accepted)
        FAIL("%d tasks were accepted, %d ran", accepted, ran);
    if (rc == 0 && accepted != 100)
        FAIL("%d spawns were refused and the group succeeded", 100 - accepted);
    return rc;
}

static int nest_groups(void *arg)
{
    int depth = *(int *)arg - 1, rc = 0;
    kin_group g;

    if (depth < 0)
        return kin_sleep(KIN_MS(1));
    g = kin_group_open(.stack = depth % 2 ? 256 * 1024 : 0);
    kin_scope s = kin_scope_open(.timeout = KIN_S(5));
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = kin_spawn(&g, nest_groups, &depth, .copy = sizeof depth);
    int closed = kin_scope_close(&s, 0);
    return kin_group_close(&g, rc < 0 ? rc : closed);
}

static int nested(void *arg)
{
    int depth = 4;

    (void)arg;
    return nest_groups(&depth);
}

static int under_a_limit(void *arg)
{
    int ran = 0, *counter = &ran;
    kin_group g = kin_group_open(.limit = 3, .timeout = KIN_S(1));

    (void)arg;
    for (int i = 0; i < 30; i++)
        kin_spawn(&g, add_one, &counter, .copy = sizeof counter);
    return kin_group_close(&g, 0);
}

static int fail_with_index(void *arg)
{
    return kin_fail(-EIO, "number %d", *(int *)arg);
}

static int expected_failure(void *arg)
{
    kin_error *matched, *rest;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    (void)arg;
    for (int i = 0; i < 100; i++)
        kin_spawn(&g, fail_with_index, &i, .copy = sizeof i, .name = "failing", .index = i + 1);
    int rc = kin_group_close(&g, 0);
    if (rc == -EIO &&
        kin_error_split(kin_error_last(), kin_match_code(-EIO), &matched, &rest) == 0) {
        kin_error_free(matched);
        kin_error_free(rest);
    }
    return rc == -EIO ? 0 : rc;
}

static int stack_use(void *arg)
{
    volatile char frame[8192];

    frame[0] = *(char *)arg;
    int rc = kin_sleep(KIN_MS(1));
    return rc < 0 || frame[0] == *(char *)arg ? rc : -EFAULT;
}

static int many_stacks(void *arg)
{
    kin_group g = kin_group_open();

    (void)arg;
    for (int i = 0; i < 300; i++)
        kin_spawn(&g, stack_use, &i, .copy = sizeof i);
    return kin_group_close(&g, 0);
}

static int cancelled_tree(void *arg)
{
    int depth = 3;
    kin_group g = kin_group_open();

    (void)arg;
    kin_spawn(&g, nest_groups, &depth, .copy = sizeof depth);
    kin_yield();
    kin_cancel(&g, "enough");
    return kin_group_close(&g, 0);
}

static int run_local(void *arg)
{
    static int key, value;

    (void)arg;
    int rc = kin_run_local_set(&key, &value, NULL);
    CHECK(rc < 0 || kin_run_local(&key) == &value);
    return rc;
}

/* ------------------------------------------------------------ failing requests */

static uint64_t asked, fail_from, fail_to;

static bool fail_some(const char *site)
{
    (void)site;
    asked++;
    return asked >= fail_from && asked <= fail_to;
}

/* The core's memory in use: the linker leads its two calls through here (--wrap). */
static size_t blocks;

void *__real_kin__os_alloc(size_t size);
void *__wrap_kin__os_alloc(size_t size);
void __real_kin__os_free(void *memory);
void __wrap_kin__os_free(void *memory);

void *__wrap_kin__os_alloc(size_t size)
{
    void *memory = __real_kin__os_alloc(size);

    blocks += memory != NULL;
    return memory;
}

void __wrap_kin__os_free(void *memory)
{
    blocks -= memory != NULL;
    __real_kin__os_free(memory);
}

/* Without malloc's own, which comes and goes. */
static size_t mappings(void)
{
    char line[512];
    size_t n = 0;
    FILE *maps = fopen("/proc/self/maps", "re");

    while (maps && fgets(line, sizeof line, maps))
        n += !strstr(line, "[heap]");
    if (maps)
        fclose(maps);
    return tap_instrumented() ? 0 : n;
}

static void drop_line(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static int run_quietly(int (*program)(void *))
{
    return kin_run(program, NULL, .virtual_clock = true, .backend = test_backend(),
                   .on_report = drop_line);
}

/* How many requests the program makes when none fails. */
static uint64_t count_requests(int (*program)(void *))
{
    asked = 0;
    fail_from = 1;
    fail_to = 0;
    kin__os_fault = fail_some;
    int rc = run_quietly(program);
    if (rc < 0)
        FAIL("without a fault: %s", kin_code_name(rc));
    return asked;
}

/* A code of the system's that says what the matter is (-ENOMEM; where a backend could
 * not be set up, -EMFILE and the like); success where kin could do without. */
static void check_outcome(int rc, uint64_t k)
{
    if (rc < 0 && kin_class(rc) != KIN_CLASS_SYSTEM)
        FAIL("with request %llu failing: %s", (unsigned long long)k, kin_code_name(rc));
}

static void sweep(int (*program)(void *), bool for_ever)
{
    uint64_t requests = count_requests(program);
    size_t blocks_before = blocks, maps;
    int failed = 0;

    run_quietly(program);
    CHECK_INT(blocks, blocks_before);
    mappings();
    maps = mappings();
    for (uint64_t k = 1; k <= requests; k++) {
        asked = 0;
        fail_from = k;
        fail_to = for_ever ? UINT64_MAX : k;
        int rc = run_quietly(program);
        check_outcome(rc, k);
        failed += rc < 0;
        fail_to = 0;
        if (blocks != blocks_before || mappings() > maps)
            FAIL("request %llu failing leaks: %zd blocks, %zd mappings", (unsigned long long)k,
                 (ssize_t)(blocks - blocks_before), (ssize_t)(mappings() - maps));
    }
    CHECK(failed > 0);
}

#define FAULT_TESTS(program)                                                              \
    TEST(G15_each_request_fails_once_##program)                                           \
    {                                                                                     \
        sweep(program, false);                                                            \
    }                                                                                     \
    TEST(G15_each_request_and_all_after_it_fail_##program)                                \
    {                                                                                     \
        sweep(program, true);                                                             \
    }

FAULT_TESTS(spawn_with_copies)
FAULT_TESTS(nested)
FAULT_TESTS(under_a_limit)
FAULT_TESTS(expected_failure)
FAULT_TESTS(many_stacks)
FAULT_TESTS(cancelled_tree)
FAULT_TESTS(run_local)

/* The record of a task that was refused for want of memory, and the error. */
static bool fail_copies(const char *site)
{
    return strcmp(site, "alloc") == 0;
}

KIN_TEST(G15_a_spawn_refused_for_want_of_memory_fails_the_group_by_name)
{
    int ran = 0, *counter = &ran;
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, add_one, &counter, .copy = sizeof counter);
    kin__os_fault = fail_copies;
    CHECK_CODE(kin_spawn(&g, add_one, &counter, .copy = 60000, .task = &task, .name = "greedy",
                         .index = 5), -ENOMEM);
    kin__os_fault = NULL;
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_CODE(task.code, -ENOMEM);
    CHECK_CODE(kin_group_close(&g, 0), -ENOMEM);
    const kin_error *leaf = kin_error_find(kin_error_last(), kin_match_code(-ENOMEM));
    CHECK(leaf != NULL);
    CHECK_STR(leaf->name, "greedy");
    CHECK_INT(leaf->index, 5);
    CHECK_INT(ran, 1);
}

/* C3: cancelling needs no memory. */
static bool fail_all(const char *site)
{
    (void)site;
    return true;
}

KIN_TEST(T60_cancel_needs_no_memory)
{
    static struct act a[1000];
    kin_group g = kin_group_open();

    for (int i = 0; i < 1000; i++) {
        a[i] = (struct act){ .sleep = KIN_FOREVER };
        kin_spawn(&g, act, &a[i]);
    }
    settle();
    kin__os_fault = fail_all;
    CHECK_CODE(kin_cancel(&g, "no memory left"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    kin__os_fault = NULL;
    for (int i = 0; i < 1000; i++)
        CHECK_CODE(a[i].woke, KIN_ECANCELED);
}

KIN_TEST(E2_kin_fail_needs_no_memory)
{
    kin__os_fault = fail_all;
    CHECK_CODE(kin_fail(-EIO, "all is lost"), -EIO);
    CHECK_STR(kin_error_last()->message, "all is lost");
    kin__os_fault = NULL;
}

/* ------------------------------------------------------ cancelling everywhere */

/* Producers and consumers on a queue, behind a gate, few at a time. */
struct works {
    kin_event gate;
    kin_semaphore few;
    kin_queue queue;
    void *slots[2];
    int put, got, holders;
};

enum { WORKERS = 6, ROUNDS = 5 };

static int hold_one(struct works *w)
{
    int rc = kin_semaphore_acquire(&w->few);

    if (rc < 0)
        return rc;
    CHECK(++w->holders <= 2);
    rc = kin_yield();
    w->holders--;
    CHECK_CODE(kin_semaphore_release(&w->few), 0);
    return rc;
}

static int put_some(void *arg)
{
    struct works *w = arg;
    int rc = kin_event_wait(&w->gate);

    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        rc = hold_one(w);
        if (rc == 0)
            rc = kin_queue_put(&w->queue, w);
        w->put += rc == 0;
    }
    return rc;
}

static int get_some(void *arg)
{
    struct works *w = arg;
    void *item;
    int rc = kin_event_wait(&w->gate);

    while (rc == 0) {
        rc = kin_queue_get(&w->queue, &item);
        w->got += rc == 0;
        if (rc == 0)
            rc = hold_one(w);
    }
    return rc == KIN_ECLOSED ? 0 : rc;
}

/* The books: all units are back, every item is somewhere, nobody is in a list. */
static void check_books(const struct works *w)
{
    CHECK_INT(w->holders, 0);
    CHECK_INT(w->few.count, 2);
    CHECK_INT(w->put, w->got + (int)w->queue.count);
    CHECK(!w->few.waiters.first && !w->gate.waiters.first);
    CHECK(!w->queue.getters.first && !w->queue.putters.first);
}

static void start_works(struct works *w, kin_group *consumers, kin_group *producers,
                        kin_task *task)
{
    for (int i = 0; i < WORKERS; i++)
        kin_spawn(i % 2 ? consumers : producers, i % 2 ? get_some : put_some, w,
                  .task = &task[i]);
}

static void yield_and_open_gate(struct works *w, int yields)
{
    for (int i = 0; i < yields; i++) {
        if (i == 3)
            kin_event_set(&w->gate);
        CHECK_CODE(kin_yield(), 0);
    }
}

/* Cancels one worker after so many yields; the others go on to their end. False
 * if it was over before. */
static bool cancel_worker_after(int number, int yields)
{
    struct works w = { .few = KIN_SEMAPHORE(2), .queue = { .capacity = 2 } };
    kin_task task[WORKERS];
    kin_group consumers = kin_group_open(), producers = kin_group_open();

    w.queue.slots = w.slots;
    start_works(&w, &consumers, &producers, task);
    yield_and_open_gate(&w, yields);
    int rc = kin_cancel(&task[number], NULL);
    kin_event_set(&w.gate);
    CHECK_CODE(kin_group_close(&producers, 0), 0);
    kin_queue_shutdown(&w.queue);
    CHECK_CODE(kin_group_close(&consumers, 0), 0);
    check_books(&w);
    CHECK(rc < 0 || task[number].cancelled);
    drop_reports();
    return rc == 0;
}

KIN_TEST(C2_every_worker_cancelled_at_every_point)
{
    for (int number = 0; number < WORKERS; number++) {
        int yields = 0;

        while (yields < 1000 && cancel_worker_after(number, yields))
            yields++;
        CHECK(yields > 5);
    }
}

/* Cancels everybody after so many yields; the number of those it came in time for. */
static int cancel_all_after(int yields)
{
    struct works w = { .few = KIN_SEMAPHORE(2), .queue = { .capacity = 2 } };
    kin_task task[WORKERS];
    int cancelled = 0;
    kin_group g = kin_group_open();

    w.queue.slots = w.slots;
    start_works(&w, &g, &g, task);
    yield_and_open_gate(&w, yields);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < WORKERS; i++)
        cancelled += task[i].status == KIN_CANCELLED;
    check_books(&w);
    return cancelled;
}

KIN_TEST(C2_all_workers_cancelled_at_every_point)
{
    for (int yields = 0; yields < 100; yields++)
        CHECK(cancel_all_after(yields) >= WORKERS / 2);
}
