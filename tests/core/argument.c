/* What a task is given: its argument, by copy if wanted, and its name
 * (docs/semantics.md G6, G12). */
#include "kin_test.h"

#include <stdalign.h>
#include <stdio.h>

/* ---------------------------------------------------------------------- G6 */

struct wide {
    alignas(max_align_t) char text[48];
    bool seen;
};

static int check_wide(void *arg)
{
    struct wide *w = arg;

    CHECK_INT((uintptr_t)w % alignof(max_align_t), 0);
    CHECK_STR(w->text, "by value");
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_STR(w->text, "by value");
    memset(w, 'x', sizeof *w);
    return 0;
}

KIN_TEST(G6_the_argument_is_copied)
{
    struct wide w = { .text = "by value" };
    kin_group g = kin_group_open();

    for (int i = 0; i < 10; i++)
        CHECK_CODE(kin_spawn(&g, check_wide, &w, .copy = sizeof w), 0);
    memset(&w, 'y', sizeof w);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(w.text[0], 'y');
}

struct bytes {
    uint32_t size;
    unsigned char data[65000];
};

static int check_bytes(void *arg)
{
    struct bytes *b = arg;

    CHECK_INT((uintptr_t)b % alignof(max_align_t), 0);
    for (uint32_t i = 0; i < b->size; i++)
        CHECK_INT(b->data[i], (unsigned char)(i * 7));
    kin_yield();
    memset(b->data, 0, b->size);
    return 0;
}

KIN_TEST(G6_copies_of_all_sizes)
{
    static struct bytes b;
    const uint32_t size[] = { 0, 1, 3, 16, 17, 100, 255, 256, 1000, 4096, 5000, 32768, 65000 };
    kin_group g = kin_group_open();

    for (size_t i = 0; i < sizeof b.data; i++)
        b.data[i] = (unsigned char)(i * 7);
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        b.size = size[i];
        CHECK_CODE(kin_spawn(&g, check_bytes, &b,
                             .copy = (uint16_t)(offsetof(struct bytes, data) + size[i])), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* --------------------------------------------------------------------- G12 */

static int check_name(void *arg)
{
    CHECK_STR(kin_task_name(), (const char *)arg);
    CHECK(kin_task_id() != 0);
    return 0;
}

KIN_TEST(G12_a_task_sees_its_name)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, check_name, "fetcher", .name = "fetcher");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G12_the_name_is_copied_into_errors_and_shows_its_index)
{
    char name[] = "user";
    int code = -EIO;
    kin_group g = kin_group_open();

    kin_spawn(&g, give, &code, .name = name, .index = 3);
    kin_group_close(&g, 0);
    memset(name, 'x', sizeof name - 1);

    const kin_error *leaf = kin_error_last()->child;
    CHECK_STR(leaf->name, "user");
    CHECK_INT(leaf->index, 3);
    CHECK_HAS(leaf->at, "argument.c:");
    CHECK_HAS(test_error_text(kin_error_last()), "user[3]");
}

KIN_TEST(G12_a_long_name_is_cut_off)
{
    char name[300] = { 0 };
    int code = -EIO;
    kin_group g = kin_group_open();

    memset(name, 'n', sizeof name - 1);
    kin_spawn(&g, give, &code, .name = name);
    kin_group_close(&g, 0);
    CHECK(strlen(kin_error_last()->child->name) < sizeof kin_error_last()->name);
    CHECK_HAS(kin_error_last()->child->name, "…");
}

KIN_TEST(G12_the_name_and_index_show_in_a_dump)
{
    char text[8192] = "";
    struct act child = { .sleep = KIN_S(1) };
    FILE *out = fmemopen(text, sizeof text, "w");
    kin_group g = kin_group_open(.name = "pages");

    kin_spawn(&g, act, &child, .name = "page", .index = 7);
    kin_yield();
    kin_dump(out);
    fclose(out);
    CHECK_HAS(text, "pages");
    CHECK_HAS(text, "page[7]");
    CHECK_HAS(text, "sleep");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}
