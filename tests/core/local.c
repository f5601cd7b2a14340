/* Task-locals: bound to a scope, seen by the tasks of groups opened inside (docs/semantics.md
 * S4). The lines of asyncio's and Trio's suites bear their names. */
#include "kin_ext.h"
#include "kin_test.h"

static const char colour_key, size_key;     /* their addresses are the keys */

static const char *colour(void)
{
    const char *value = kin_local_get(&colour_key);

    return value ? value : "none";
}

static kin_local bind_colour(const char *value)
{
    return (kin_local){ .key = &colour_key, .value = (void *)(uintptr_t)value };
}

static int say_colour(void *arg)
{
    trace("%s%s", (const char *)arg, colour());
    return 0;
}

KIN_TEST(context_1_a_child_inherits)
{
    kin_local red = bind_colour("red");

    CHECK_STR(colour(), "none");
    kin_scope s = kin_scope_open(.local = &red);
    kin_group g = kin_group_open();
    kin_spawn(&g, say_colour, "");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_STR(colour(), "none");
    CHECK_TRACE("red");
}

static int bind_blue(void *arg)
{
    kin_local blue = bind_colour("blue");
    kin_scope s = kin_scope_open(.local = &blue);

    say_colour(arg);
    kin_yield();
    say_colour(arg);
    return kin_scope_close(&s, 0);
}

KIN_TEST(context_2_what_a_child_binds_does_not_leak_back)
{
    kin_local red = bind_colour("red");
    kin_scope s = kin_scope_open(.local = &red);
    kin_group g = kin_group_open();

    kin_spawn(&g, bind_blue, "child:");
    kin_spawn(&g, say_colour, "sibling:");
    kin_yield();
    say_colour("body:");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_TRACE("child:blue sibling:red body:red child:blue");
}

struct number {
    int value;
};

static int count_alone(void *arg)
{
    struct number mine = *(struct number *)arg;
    kin_local local = { .key = &size_key, .value = &mine };
    kin_scope s = kin_scope_open(.local = &local);

    for (int i = 0; i < 10; i++) {
        CHECK(kin_local_get(&size_key) == &mine);
        CHECK_CODE(kin_yield(), 0);
        CHECK(kin_local_get(&size_key) == &mine);
    }
    return kin_scope_close(&s, 0);
}

KIN_TEST(context_3_a_hundred_tasks_are_isolated)
{
    struct number n = { 0 };
    kin_group g = kin_group_open();

    for (int i = 0; i < 100; i++)
        kin_spawn(&g, count_alone, &n, .copy = sizeof n);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(kin_local_get(&size_key) == NULL);
}

/* What is inherited is what the group saw when it was opened, whoever spawns. */
static int spawn_from_blue(void *arg)
{
    kin_local blue = bind_colour("blue");
    kin_scope s = kin_scope_open(.local = &blue);

    kin_spawn(arg, say_colour, "there:");
    return kin_scope_close(&s, 0);
}

KIN_TEST(context_4_it_is_the_group_s_not_the_spawner_s)
{
    kin_local red = bind_colour("red");
    kin_scope s = kin_scope_open(.local = &red);
    kin_group g = kin_group_open();

    kin_spawn(&g, spawn_from_blue, &g);
    kin_local green = bind_colour("green");
    kin_scope inner = kin_scope_open(.local = &green);
    kin_spawn(&g, say_colour, "body:");
    say_colour("self:");
    CHECK_CODE(kin_scope_close(&inner, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_TRACE("self:green there:red body:red");
}

KIN_TEST(context_5_several_keys_and_nested_bindings)
{
    int big = 9;
    kin_local red = bind_colour("red"), size = { .key = &size_key, .value = &big };
    kin_local blue = bind_colour("blue"), nothing_bound = { .key = &colour_key };
    kin_scope a = kin_scope_open(.local = &red), b = kin_scope_open(.local = &size);
    kin_scope c = kin_scope_open(.local = &blue);

    CHECK_STR(colour(), "blue");
    CHECK(kin_local_get(&size_key) == &big);
    kin_scope d = kin_scope_open(.local = &nothing_bound);
    CHECK_STR(colour(), "none");                /* NULL hides what is outside */
    CHECK_CODE(kin_scope_close(&d, 0), 0);
    CHECK_CODE(kin_scope_close(&c, 0), 0);
    CHECK_STR(colour(), "red");
    CHECK_CODE(kin_scope_close(&b, 0), 0);
    CHECK(kin_local_get(&size_key) == NULL);
    CHECK_CODE(kin_scope_close(&a, 0), 0);
}

static int in_a_group(void *arg)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, say_colour, arg);
    return kin_group_close(&g, 0);
}

KIN_TEST(context_6_grandchildren_and_everything_between_inherit)
{
    kin_local red = bind_colour("red");
    kin_scope s = kin_scope_open(.local = &red), shield = kin_scope_open(.shield = KIN_S(1));
    kin_call calls[] = { { .fn = in_a_group, .arg = "gather:" } };
    kin_group g = kin_group_open();

    kin_spawn(&g, in_a_group, "task:");
    CHECK_CODE(kin_gather(calls, 1), 0);
    CHECK_CODE(kin_within(KIN_S(1), say_colour, "within:"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_scope_close(&shield, 0), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_TRACE("task:red gather:red within:red");
}

/* asyncio's task_context: tasks of one group, one after the other, share what is bound. */
KIN_TEST(task_context)
{
    struct number shared = { 0 };
    kin_local local = { .key = &size_key, .value = &shared };
    kin_scope s = kin_scope_open(.local = &local);

    for (int i = 0; i < 3; i++) {
        kin_group g = kin_group_open();
        kin_spawn(&g, say_colour, "");
        CHECK_CODE(kin_group_close(&g, 0), 0);
        ((struct number *)kin_local_get(&size_key))->value++;
    }
    CHECK_INT(shared.value, 3);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_TRACE("none none none");
}

static int bind_by_number(void *arg)
{
    kin_local mine = bind_colour(arg);
    kin_scope s = kin_scope_open(.local = &mine);
    int rc = in_a_group("");

    return kin_scope_close(&s, rc);
}

KIN_TEST(contextvar_multitask)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, bind_by_number, "one");
    kin_spawn(&g, bind_by_number, "two");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("one two");
}

static int helper_sees_nothing(void *arg)
{
    *(bool *)arg = kin_local_get(&colour_key) == NULL;
    return 0;
}

KIN_TEST(system_task_contexts)
{
    bool nothing_seen = false;
    kin_local red = bind_colour("red");
    kin_scope s = kin_scope_open(.local = &red);

    CHECK_CODE(kin_system_spawn(helper_sees_nothing, &nothing_seen, "helper"), 0);
    settle();
    CHECK(nothing_seen);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

static int ready_and_look(void *arg)
{
    say_colour("before:");
    kin_ready(0);
    say_colour("after:");
    in_a_group("below:");
    (void)arg;
    return 0;
}

KIN_TEST(S4_a_started_task_sees_what_its_group_sees)
{
    kin_local red = bind_colour("red"), blue = bind_colour("blue");
    kin_scope s = kin_scope_open(.local = &red);
    kin_group g = kin_group_open();
    kin_scope inner = kin_scope_open(.local = &blue);

    CHECK_CODE(kin_start(&g, ready_and_look, NULL), 0);
    CHECK_CODE(kin_scope_close(&inner, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_TRACE("before:red after:red below:red");
}

KIN_TEST(S4_leaving_a_scope_ends_its_binding)
{
    kin_local red = bind_colour("red");

    for (int i = 0; i < 3; i++) {
        kin_scoped_scope s = kin_scope_open(.local = &red);
        CHECK_STR(colour(), "red");
    }
    CHECK_STR(colour(), "none");
}

KIN_TEST(S4_a_binding_used_inside_of_itself_is_reported_and_ignored)
{
    kin_local red = bind_colour("red"), blue = bind_colour("blue");
    kin_scope a = kin_scope_open(.local = &red), b = kin_scope_open(.local = &blue);
    kin_scope c = kin_scope_open(.local = &red);

    CHECK_REPORTED("bound again");
    CHECK_STR(colour(), "blue");
    CHECK(kin_local_get(&size_key) == NULL);    /* and no circle to go round in */
    CHECK_CODE(kin_scope_close(&c, 0), 0);
    CHECK_CODE(kin_scope_close(&b, 0), 0);
    CHECK_STR(colour(), "red");
    CHECK_CODE(kin_scope_close(&a, 0), 0);
}

TEST(S4_outside_of_a_run_nothing_is_bound)
{
    CHECK(kin_local_get(&colour_key) == NULL);
}
