/* Attacks on errors and misuse: extreme codes, texts and memory (docs/semantics.md E1, E2,
 * E3, E5). */
#include "kin_test.h"
#include "core/core.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

KIN_TEST(E1_the_most_negative_code)
{
    int code = INT_MIN;
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, give, &code, .task = &task);
    CHECK_INT(kin_group_close(&g, 0), INT_MIN);
    CHECK_INT(task.status, KIN_FAILED);
    CHECK_STR(kin_code_name(INT_MIN), "unknown");
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(16383)), 0);
}

static bool valid_utf8(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        int more = *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : *at >= 0xc0 ? 1 : 0;

        while (more-- > 0)
            if ((*++at & 0xc0) != 0x80)
                return false;
    }
    return true;
}

/* A message is cut as names are: not in the middle of a character. */
KIN_TEST(E2_a_long_message_is_cut_between_characters)
{
    static char text[3001];

    for (int shift = 0; shift < 3; shift++) {
        memset(text, 0, sizeof text);
        memset(text, 'x', (size_t)shift);
        for (size_t i = (size_t)shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 3);
        kin_fail(-EIO, "%s", text);
        CHECK(valid_utf8(kin_error_last()->message));
    }
}

KIN_TEST(E2_a_code_that_is_no_failure)
{
    CHECK_CODE(kin_fail(7, "seven"), 7);
    CHECK_CODE(kin_error_last()->code, 7);
    CHECK_CODE(kin_fail(-EIO, "%s again", kin_error_last()->message), -EIO);
    CHECK_STR(kin_error_last()->message, "seven again");
}

static bool fail_all(const char *site)
{
    (void)site;
    return true;
}

static void print_tree(const kin_error *tree, void *arg)
{
    *(size_t *)arg = strlen(test_error_text(tree));
}

static int fail_without_a_root(void *arg)
{
    int code = -EIO;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    (void)arg;
    for (int i = 0; i < 32; i++)
        kin_spawn(&g, give, &code);
    kin_yield();
    kin__os_fault = fail_all;           /* all records are in use: none for the root */
    kin_group_close(&g, 0);
    kin__os_fault = NULL;
    return -EPIPE;                      /* what is in the slot becomes the cause */
}

/* A tree whose root found no memory is still a tree. */
TEST(E3_a_tree_without_a_root_can_be_printed)
{
    size_t printed = 0;

    CHECK_CODE(kin_run(fail_without_a_root, NULL, .backend = test_backend(),
                       .virtual_clock = true, .on_error = print_tree, .arg = &printed), -EPIPE);
    CHECK(printed > 0);
}

static int fail_then_differ(void *arg)
{
    kin_group g = kin_group_open(.name = "inner", .policy = KIN_KEEP_GOING);
    int codes[] = { -EIO, -EPIPE };

    (void)arg;
    kin_spawn(&g, give, &codes[0], .name = "a");
    kin_spawn(&g, give, &codes[1], .name = "b");
    kin_group_close(&g, 0);
    return -ENOENT;
}

/* Splitting trees with causes: both halves can be walked, printed, freed. */
KIN_TEST(E3_splitting_a_tree_with_causes)
{
    kin_error *matched, *rest;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    int other = -EBADF;

    kin_spawn(&g, fail_then_differ, NULL, .name = "one");
    kin_spawn(&g, give, &other, .name = "two");
    CHECK_CODE(kin_group_close(&g, 0), -ENOENT);
    CHECK_CODE(kin_error_split(kin_error_last(), kin_match_code(-ENOENT), &matched, &rest), 0);
    CHECK_HAS(test_error_text(matched), "caused by");
    CHECK_HAS(test_error_text(matched), "EPIPE");
    CHECK_HAS(test_error_text(rest), "EBADF");
    CHECK_INT(kin_error_count(matched, kin_match_if(NULL, NULL)), 1);
    CHECK_INT(kin_error_count(rest, kin_match_if(NULL, NULL)), 1);
    kin_error_free(matched);
    kin_error_free(rest);
    const kin_error *one = kin_error_find(kin_error_last(), kin_match_code(-ENOENT));
    CHECK_CODE(kin_error_split(one->cause, kin_match_code(-EPIPE), &matched, &rest), 0);
    CHECK_HAS(test_error_text(matched), "EPIPE");
    CHECK_HAS(test_error_text(rest), "EIO");
    kin_error_free(matched);
    kin_error_free(rest);
}

/* ------------------------------------------------------------------ misuse */

static int close_it(void *arg)
{
    return kin_class(kin_group_close(arg, 0)) == KIN_CLASS_MISUSE ? 0 : -1;
}

KIN_TEST(E5_misuse_by_a_task_without_a_name_is_reported_by_its_id)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, close_it, &g);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(!strstr(test_reports(), "(null)"));
    drop_reports();
}

static void *shut_down(void *arg)
{
    kin_queue_shutdown(arg);
    return NULL;
}

static int get_one(void *arg)
{
    void *item;

    return kin_queue_get(arg, &item);
}

/* From another thread, without a run: told, and nothing is touched. */
KIN_TEST(T64_a_queue_shut_down_from_outside_of_its_run)
{
    void *slots[1];
    kin_queue q = KIN_QUEUE(slots);
    pthread_t thread;
    kin_group g = kin_group_open();
    kin_task task;

    kin_spawn(&g, get_one, &q, .task = &task);
    settle();
    pthread_create(&thread, NULL, shut_down, &q);
    pthread_join(thread, NULL);
    kin_queue_shutdown(&q);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECLOSED);
}

static int confuse(void *arg)
{
    (void)arg;
    return kin_sleep(KIN_S(1));
}

/* Handles have the same two members; a handle of another kind is a stale one. */
KIN_TEST(E5_a_handle_of_another_kind)
{
    kin_task task;
    struct kin_group_counts counts;
    kin_group g = kin_group_open();

    kin_spawn(&g, confuse, NULL, .task = &task);
    kin_scope scope = { g.state, g.id };
    kin_group group = { task.state, task.id };
    CHECK_CODE(kin_scope_close(&scope, 0), KIN_ESTALE);
    CHECK_CODE(kin_group_count(&group, &counts), KIN_ESTALE);
    CHECK_CODE(kin_spawn(&group, nothing, NULL), KIN_ESTALE);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    drop_reports();
}

static int open_shields(void *arg)
{
    int *depth = arg;
    kin_scope s = kin_scope_open(.shield = -1);

    if (--*depth > 0)
        open_shields(depth);
    else
        kin_sleep(KIN_S(1));
    return kin_scope_close(&s, 0);
}

/* Cancelling walks, it does not recurse: also not over shields that fall at once. */
KIN_TEST(C8_thousands_of_shields_that_fall_at_once)
{
    int depth = 5000;
    kin_group g = kin_group_open(.stack = 16 << 20);

    kin_spawn(&g, open_shields, &depth);
    settle();
    kin_cancel(&g, NULL);               /* on this task's own stack, or the thread's */
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

struct victim {
    kin_group *group;
};

static int cancel_it(void *arg)
{
    struct victim *v = arg;

    kin_cancel(v->group, NULL);
    return 0;
}

static int cancel_from_below(void *arg)
{
    int depth = 10000;
    kin_group g = kin_group_open(.stack = 16 << 20), canceller = kin_group_open();
    struct victim v = { &g };

    (void)arg;
    kin_spawn(&g, open_shields, &depth);
    kin_sleep(1);
    kin_spawn(&canceller, cancel_it, &v);
    kin_group_close(&canceller, 0);
    return kin_group_close(&g, 0);
}

KIN_TEST(C8_thousands_of_shields_cancelled_from_a_small_stack)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, cancel_from_below, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}
