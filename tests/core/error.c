/* Codes, the error slot, the tree (docs/semantics.md E1 to E3). */
#include "kin_test.h"
#include "core/core.h"

#include <stdio.h>

/* ---------------------------------------------------------------------- E1 */

static const struct {
    int code;
    const char *name;
} own_codes[] = {
#define CODE(name, class, number, text) { name, #name },
    KIN_CODES(CODE)
#undef CODE
};
#define OWN (sizeof own_codes / sizeof own_codes[0])

TEST(E1_every_code_has_a_name_a_class_and_a_sentence)
{
    for (size_t i = 0; i < OWN; i++) {
        int code = own_codes[i].code;

        CHECK(code < -65535);
        CHECK_STR(kin_code_name(code), own_codes[i].name);
        CHECK(strlen(kin_code_text(code)) > 0);
        CHECK(kin_class(code) >= KIN_CLASS_CANCEL && kin_class(code) < KIN_CLASS_USER);
        CHECK(strlen(kin_class_name(kin_class(code))) > 0);
        for (size_t j = 0; j < i; j++)
            CHECK(own_codes[j].code != code);
    }
}

TEST(E1_what_the_system_says_is_minus_errno)
{
    CHECK_INT(kin_class(-ENOENT), KIN_CLASS_SYSTEM);
    CHECK_STR(kin_code_name(-ENOENT), "ENOENT");
    CHECK_STR(kin_code_text(-ENOENT), strerror(ENOENT));
    CHECK_STR(kin_code_name(-ETIMEDOUT), "ETIMEDOUT");
    CHECK(strcmp(kin_class_name(KIN_CLASS_SYSTEM), kin_class_name(KIN_CLASS_MISUSE)) != 0);
}

static const char *quota_name(int number)
{
    return number == 1 ? "EQUOTA" : NULL;
}

static const char *quota_text(int number)
{
    return number == 1 ? "the quota is used up" : NULL;
}

TEST(E1_a_class_of_one_s_own)
{
    const struct kin_class_texts texts = { KIN_CLASS_USER + 1, "shop", quota_name, quota_text };
    int code = KIN_CODE(KIN_CLASS_USER + 1, 1);

    CHECK_INT(kin_class(code), KIN_CLASS_USER + 1);
    CHECK_HAS(kin_code_name(code), "unknown");
    CHECK_CODE(kin_class_register(&texts), 0);
    CHECK_STR(kin_class_name(KIN_CLASS_USER + 1), "shop");
    CHECK_STR(kin_code_name(code), "EQUOTA");
    CHECK_STR(kin_code_text(code), "the quota is used up");
    CHECK(kin_code_name(KIN_CODE(KIN_CLASS_USER + 1, 2)) != NULL);
    CHECK_CODE(kin_class_register(&texts), 0);
}

TEST(E1_a_class_that_cannot_be_is_refused)
{
    const struct kin_class_texts none = { KIN_CLASS_USER, NULL, NULL, NULL };
    const struct kin_class_texts negative = { -1, "negative", NULL, NULL };
    const struct kin_class_texts huge = { 16384, "huge", NULL, NULL };

    CHECK_CODE(kin_class_register(&none), KIN_EINVAL);
    CHECK_CODE(kin_class_register(&negative), KIN_EINVAL);
    CHECK_CODE(kin_class_register(&huge), KIN_EINVAL);
}

TEST(E1_codes_nobody_knows)
{
    const int unknown[] = { -100000, INT32_MIN, -4000, KIN_CODE(KIN_CLASS_CANCEL, 999) };

    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        CHECK(kin_code_name(unknown[i]) != NULL);
        CHECK(kin_code_text(unknown[i]) != NULL);
        CHECK(kin_class_name(kin_class(unknown[i])) != NULL);
    }
}

/* ---------------------------------------------------------------------- E2 */

struct failure {
    int code;           /* of kin_fail */
    int returned;
    const char *text;
};

static int fail_with(void *arg)
{
    struct failure *f = arg;

    CHECK_CODE(kin_fail(f->code, "%s", f->text), f->code);
    CHECK_INT(kin_error_last()->code, f->code);
    return f->returned;
}

/* The group's tree after one task failed like this; in the root's slot. */
static const kin_error *tree_of(struct failure failure)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_with, &failure, .name = "child");
    CHECK_CODE(kin_group_close(&g, 0), failure.returned);
    return kin_error_last();
}

KIN_TEST(E2_kin_fail_says_why_and_where)
{
    const kin_error *tree = tree_of((struct failure){ -EIO, -EIO, "user 7: disk on fire" });
    const kin_error *leaf = tree->child;

    CHECK_INT(leaf->code, -EIO);
    CHECK_STR(leaf->message, "user 7: disk on fire");
    CHECK_STR(leaf->name, "child");
    CHECK_HAS(leaf->at, "error.c:");
    CHECK(leaf->task != 0);
    CHECK(leaf->child == NULL && leaf->next == NULL && leaf->cause == NULL);
    CHECK_HAS(test_error_text(tree), "user 7: disk on fire");
    CHECK_HAS(test_error_text(tree), "child");
}

KIN_TEST(E2_an_old_message_never_decorates_a_new_failure)
{
    const kin_error *leaf = tree_of((struct failure){ -EIO, -EPERM, "old" })->child;

    CHECK_INT(leaf->code, -EPERM);
    CHECK_STR(leaf->message, "");
    CHECK(leaf->cause != NULL);
    CHECK_INT(leaf->cause->code, -EIO);
    CHECK_STR(leaf->cause->message, "old");
}

static int fail_twice(void *arg)
{
    (void)arg;
    kin_fail(-EIO, "first");
    return kin_fail(-EIO, "second");
}

KIN_TEST(E2_there_is_one_slot_and_the_last_message_is_in_it)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_twice, NULL);
    kin_group_close(&g, 0);
    CHECK_STR(kin_error_last()->child->message, "second");
}

static int fail_without_failing(void *arg)
{
    (void)arg;
    kin_fail(-EIO, "never mind");
    return 0;
}

KIN_TEST(E2_a_message_without_a_failure_is_dropped)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_without_failing, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    drop_reports();
}

KIN_TEST(E2_a_long_message_is_cut_off)
{
    char text[1000];

    memset(text, 'm', sizeof text);
    text[sizeof text - 1] = '\0';
    const kin_error *leaf = tree_of((struct failure){ -EIO, -EIO, text })->child;
    CHECK(strlen(leaf->message) < sizeof leaf->message);
    CHECK(strlen(leaf->message) > 200);
}

KIN_TEST(E2_each_task_has_its_own_slot)
{
    kin_fail(-EPERM, "mine");
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    struct failure failure = { -EIO, -EIO, "the child's" };

    kin_spawn(&g, fail_with, &failure);
    CHECK_CODE(kin_yield(), 0);
    CHECK_STR(kin_error_last()->message, "mine");
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EIO)), 1);
    drop_reports();
}

KIN_TEST(E2_the_body_s_failure_is_in_the_tree_with_its_message)
{
    kin_group g = kin_group_open();

    CHECK_CODE(kin_group_close(&g, kin_fail(-EIO, "the body's")), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EIO)), 1);
    CHECK_HAS(test_error_text(kin_error_last()), "the body's");
}

TEST(E2_outside_of_a_run_there_is_no_slot)
{
    CHECK_CODE(kin_fail(-EIO, "nobody"), -EIO);
    CHECK(kin_error_last() == NULL);
}

/* ---------------------------------------------------------------------- E3 */

static int close_inner(void *arg)
{
    (void)arg;
    struct failure a = { -EIO, -EIO, "inner a" };
    struct failure b = { KIN_CODE(64, 5), KIN_CODE(64, 5), "inner b" };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, fail_with, &a, .name = "a");
    kin_spawn(&g, fail_with, &b, .name = "b");
    return kin_group_close(&g, 0);
}

/* outer: { c: -ENOENT, inner: { a: -EIO, b: 64.5 }, d: -EIO } */
static const kin_error *make_tree(void)
{
    static struct failure c = { -ENOENT, -ENOENT, "outer c" }, d = { -EIO, -EIO, "outer d" };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, fail_with, &c, .name = "c");
    kin_spawn(&g, close_inner, NULL, .name = "inner");
    CHECK_CODE(kin_sleep(1), 0);
    kin_spawn(&g, fail_with, &d, .name = "d");
    CHECK_CODE(kin_group_close(&g, 0), -ENOENT);
    return kin_error_last();
}

static int trace_leaf(const kin_error *leaf, void *arg)
{
    (void)arg;
    trace("%s", leaf->name);
    return 0;
}

static kin_match everything(void)
{
    return (kin_match){ .from = INT32_MIN, .to = INT32_MAX };
}

KIN_TEST(taskgroup_14_an_inner_group_s_error_is_nested_one_level)
{
    const kin_error *tree = make_tree();
    const kin_error *inner = tree->child->next;

    CHECK_STR(tree->child->name, "c");
    CHECK_STR(inner->name, "inner");
    CHECK_INT(inner->code, -EIO);
    CHECK(inner->child != NULL);
    CHECK_STR(inner->child->name, "a");
    CHECK_STR(inner->child->next->name, "b");
    CHECK(inner->child->next->next == NULL);
    CHECK_STR(inner->next->name, "d");
}

KIN_TEST(E3_walk_visits_the_leaves_in_order)
{
    const kin_error *tree = make_tree();

    CHECK_INT(kin_error_walk(tree, everything(), NULL, trace_leaf), 0);
    CHECK_TRACE("c a b d");
    CHECK_INT(kin_error_walk(tree, kin_match_code(-EIO), NULL, trace_leaf), 0);
    CHECK_TRACE("a d");
    CHECK_INT(kin_error_walk(tree, kin_match_class(64), NULL, trace_leaf), 0);
    CHECK_TRACE("b");
}

static int stop_at_second(const kin_error *leaf, void *arg)
{
    (void)leaf;
    return ++*(int *)arg == 2 ? 77 : 0;
}

KIN_TEST(E3_walk_stops_when_told)
{
    int seen = 0;

    CHECK_INT(kin_error_walk(make_tree(), everything(), &seen, stop_at_second), 77);
    CHECK_INT(seen, 2);
}

static bool name_is(const kin_error *error, void *arg)
{
    return strcmp(error->name, arg) == 0;
}

KIN_TEST(E3_find_and_count)
{
    const kin_error *tree = make_tree();
    static char d[] = "d", none[] = "none";

    CHECK_INT(kin_error_count(tree, everything()), 4);
    CHECK_INT(kin_error_count(tree, kin_match_class(KIN_CLASS_SYSTEM)), 3);
    CHECK_INT(kin_error_count(tree, kin_match_class(KIN_CLASS_HTTP)), 0);
    CHECK_STR(kin_error_find(tree, kin_match_class(64))->name, "b");
    CHECK_STR(kin_error_find(tree, kin_match_if(name_is, d))->message, "outer d");
    CHECK(kin_error_find(tree, kin_match_if(name_is, none)) == NULL);
}

KIN_TEST(E3_split_keeps_the_groups_above)
{
    kin_error *matched, *rest;
    const kin_error *tree = make_tree();

    CHECK_CODE(kin_error_split(tree, kin_match_code(-EIO), &matched, &rest), 0);
    kin_fail(-EPERM, "the slot is used again");
    kin_error_walk(matched, everything(), NULL, trace_leaf);
    CHECK_TRACE("a d");
    kin_error_walk(rest, everything(), NULL, trace_leaf);
    CHECK_TRACE("c b");
    CHECK_STR(matched->child->name, "inner");
    CHECK_STR(matched->child->child->message, "inner a");
    CHECK_STR(rest->child->next->name, "inner");
    kin_error_free(matched);
    kin_error_free(rest);
    drop_reports();
}

KIN_TEST(E3_split_of_all_or_nothing)
{
    kin_error *matched, *rest;
    const kin_error *tree = make_tree();

    CHECK_CODE(kin_error_split(tree, everything(), &matched, &rest), 0);
    CHECK(rest == NULL);
    CHECK_INT(kin_error_count(matched, everything()), 4);
    kin_error_free(matched);
    CHECK_CODE(kin_error_split(tree, kin_match_class(KIN_CLASS_HTTP), &matched, &rest), 0);
    CHECK(matched == NULL);
    CHECK_INT(kin_error_count(rest, everything()), 4);
    kin_error_free(rest);
    kin_error_free(NULL);
}

KIN_TEST(E3_the_report_is_indented_and_names_everybody)
{
    const char *text = test_error_text(make_tree());
    const char *outer = strstr(text, "outer c"), *inner = strstr(text, "inner a");

    CHECK(outer != NULL && inner != NULL);
    CHECK(strstr(text, "ENOENT") != NULL || strstr(text, strerror(ENOENT)) != NULL);
    while (inner > text && inner[-1] != '\n')
        inner--;
    while (outer > text && outer[-1] != '\n')
        outer--;
    CHECK(strspn(inner, " ") > strspn(outer, " "));
}

KIN_TEST(E3_what_was_returned_is_not_reported)
{
    kin_task task;
    kin_group g = kin_group_open();
    struct failure f = { -EIO, -EIO, "returned" };

    kin_spawn(&g, fail_with, &f, .task = &task);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_STR(test_reports(), "");
}

KIN_TEST(E3_what_is_left_by_abandonment_is_reported)
{
    struct failure f = { -EIO, -EIO, "nobody will hear this" };

    {
        kin_scoped_group g = kin_group_open();
        kin_spawn(&g, fail_with, &f, .name = "lost");
        kin_yield();
    }
    CHECK_HAS(test_reports(), "lost");
    CHECK_REPORTED("nobody will hear this");
}

enum { DEEP = 5000 };

static int fail_deep_down(void *arg)
{
    int *depth = arg;
    kin_group g;

    if (--*depth == 0)
        return kin_fail(-EIO, "at the bottom");
    g = kin_group_open();
    kin_spawn(&g, fail_deep_down, depth);
    return kin_group_close(&g, 0);
}

/* In a task, whose stack is small. */
static int look_at_deep_tree(void *arg)
{
    kin_error *matched, *rest;
    FILE *out = fopen("/dev/null", "w");
    int rc = fail_deep_down(arg);
    const kin_error *tree = kin_error_last();

    CHECK_CODE(rc, -EIO);
    CHECK_INT(kin_error_count(tree, kin_match_code(-EIO)), 1);
    CHECK_STR(kin_error_find(tree, kin_match_code(-EIO))->message, "at the bottom");
    CHECK_CODE(kin_error_split(tree, kin_match_code(-EIO), &matched, &rest), 0);
    CHECK(rest == NULL);
    kin_error_print(tree, out);
    kin_error_free(matched);
    fclose(out);
    return 0;
}

KIN_TEST(E3_a_tree_5000_groups_deep)
{
    int depth = DEEP;
    kin_group g = kin_group_open();

    kin_spawn(&g, look_at_deep_tree, &depth);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    drop_reports();
}

static const kin_error *seen_by_run;
static char text_of_run[4096];

static void keep_text(const kin_error *tree, void *arg)
{
    (void)arg;
    seen_by_run = tree;
    snprintf(text_of_run, sizeof text_of_run, "%s", test_error_text(tree));
}

static int root_that_fails(void *arg)
{
    (void)arg;
    return make_tree()->code;
}

TEST(E3_the_run_hands_its_tree_over)
{
    CHECK_CODE(kin_run(root_that_fails, NULL, .virtual_clock = true, .backend = test_backend(),
                       .on_error = keep_text), -ENOENT);
    CHECK(seen_by_run != NULL);
    CHECK_HAS(text_of_run, "inner b");
}

static int tree_in_main(void *arg)
{
    return *(int *)arg ? *(int *)arg : make_tree()->code;
}

static void run_main(void *arg)
{
    (void)arg;
    int code = 0, status = kin_main(tree_in_main, &code);

    fprintf(stderr, "status %d\n", status);
}

TEST(E3_kin_main_prints_the_tree_and_maps_the_code)
{
    static struct tap_child child;
    int timed_out = KIN_ETIMEDOUT, failed = -EIO, fine = 5;

    tap_fork(&child, run_main, NULL);
    CHECK_HAS(child.output, "outer c");
    CHECK_HAS(child.output, "inner b");
    CHECK_HAS(child.output, "status 1\n");
    CHECK_INT(kin_main(tree_in_main, &timed_out), 124);
    CHECK_INT(kin_main(tree_in_main, &failed), 1);
    CHECK_INT(kin_main(tree_in_main, &fine), 0);
}

KIN_TEST(E3_an_explanation_after_a_close_keeps_the_tree_as_its_cause)
{
    int code = -EIO;
    kin_group g = kin_group_open(.name = "disks");

    kin_spawn(&g, give, &code, .name = "read");
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(kin_fail(-ENODEV, "no disk left"), -ENODEV);
    CHECK_CODE(kin_fail(-ENODEV, "no disk left, %s", "really"), -ENODEV);
    const kin_error *error = kin_error_last();
    CHECK_CODE(error->code, -ENODEV);
    CHECK(error->cause != NULL && error->cause->parent == error);
    CHECK_CODE(error->cause->code, -EIO);
    CHECK_STR(error->cause->child->name, "read");
    CHECK_HAS(test_error_text(error), "caused by disks");
}

/* ------------------------------------------------- giving a part of a tree on */

static int fail_named(void *arg)
{
    return kin_fail(*(int *)arg, "with %s", kin_code_name(*(int *)arg));
}

static void fail_with_these(int *codes, int count, kin_task *task)
{
    kin_group g = kin_group_open(.name = "these", .policy = KIN_KEEP_GOING);

    for (int i = 0; i < count; i++)
        kin_spawn(&g, fail_named, &codes[i], .task = &task[i], .name = "failing", .index = i + 1);
    CHECK_CODE(kin_group_close(&g, 0), codes[0]);
}

/* Deals with what it can, and hands on the rest: except* in Python. */
static int deal_with_eio(void *arg)
{
    int codes[] = { -EIO, -EPERM, -EIO, -ENOENT };
    kin_task task[4];
    kin_error *matched, *rest;

    (void)arg;
    fail_with_these(codes, 4, task);
    CHECK_CODE(kin_error_split(kin_error_last(), kin_match_code(-EIO), &matched, &rest), 0);
    CHECK_CODE(matched->code, -EIO);
    CHECK_CODE(rest->code, -EPERM);         /* of the earliest that is left */
    kin_error_free(matched);
    return kin_error_raise(rest);
}

KIN_TEST(E3_the_rest_of_a_split_is_handed_on)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, deal_with_eio, NULL, .name = "dealer");
    CHECK_CODE(kin_group_close(&g, 0), -EPERM);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_all()), 2);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EIO)), 0);
    CHECK_STR(kin_error_find(kin_error_last(), kin_match_code(-ENOENT))->message, "with ENOENT");
    CHECK_CODE(kin_error_raise(NULL), 0);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_all()), 2);
}

KIN_TEST(E3_the_error_of_one_task_is_found_by_its_record)
{
    int codes[] = { -EIO, -EPERM };
    kin_task task[2];

    fail_with_these(codes, 2, task);
    CHECK_STR(kin_error_find(kin_error_last(), kin_match_task(&task[1]))->message, "with EPERM");
    CHECK_STR(kin_error_last()->message, "2 of 2 tasks failed");
}

static bool fail_everything(const char *site)
{
    (void)site;
    return true;
}

KIN_TEST(E3_without_memory_raise_hands_on_the_code)
{
    int codes[40];
    kin_task task[40];
    kin_error *matched, *rest;

    for (int i = 0; i < 40; i++)
        codes[i] = -EIO;
    fail_with_these(codes, 40, task);
    CHECK_CODE(kin_error_split(kin_error_last(), kin_match_all(), &matched, &rest), 0);
    CHECK(rest == NULL);
    kin__os_fault = fail_everything;
    CHECK_CODE(kin_error_raise(matched), -EIO);
    kin__os_fault = NULL;
}
