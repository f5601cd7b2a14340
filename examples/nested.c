/* A group in a group, and who failed: the whole tree, by name, and by kind of error.
 *
 * Prints:
 *     report: 2 of 2 tasks failed (EACCES, nested.c:67)
 *       north: 2 of 2 tasks failed (EACCES, nested.c:45)
 *         sales: cannot read north/sales.csv (EACCES, nested.c:37)
 *         stock: line 7 has no price (PARSE, nested.c:39)
 *       south: 1 of 2 tasks failed (PARSE, nested.c:45)
 *         stock: line 7 has no price (PARSE, nested.c:39)
 *     sales failed in 1 of 2 regions
 *     of the system: 1, others:
 *       stock of north: line 7 has no price
 *       stock of south: line 7 has no price
 */
#include <errno.h>
#include <kin.h>
#include <string.h>

enum { PARSE = KIN_CODE(KIN_CLASS_USER, 1) };       /* a code of the program's own */

static const char *own_name(int number)
{
    return number == 1 ? "PARSE" : "unknown";
}

static const char *own_text(int number)
{
    return number == 1 ? "a file makes no sense" : "unknown";
}

/* Stands for reading a file; two of the four cannot be read. */
static int read_file(void *arg)
{
    const char *region = arg;

    if (strcmp(kin_task_name(), "sales") == 0 && strcmp(region, "north") == 0)
        return kin_fail(-EACCES, "cannot read %s/sales.csv", region);
    if (strcmp(kin_task_name(), "stock") == 0)
        return kin_fail(PARSE, "line 7 has no price");
    return 0;
}

static int read_region(void *arg)
{
    kin_group g = kin_group_open(.name = "files", .policy = KIN_KEEP_GOING);

    kin_spawn(&g, read_file, arg, .name = "sales");
    kin_spawn(&g, read_file, arg, .name = "stock");
    return kin_group_close(&g, 0);
}

static bool has_name(const kin_error *error, void *name)
{
    return strcmp(error->name, name) == 0;
}

static int print_leaf(const kin_error *leaf, void *arg)
{
    (void)arg;
    printf("  %s of %s: %s\n", leaf->name, leaf->parent->name, leaf->message);
    return 0;
}

static int report(void *arg)
{
    char north[] = "north", south[] = "south", sales[] = "sales";
    kin_group g = kin_group_open(.name = "report", .policy = KIN_KEEP_GOING);
    kin_error *of_system, *others;
    int rc;

    (void)arg;
    kin_spawn(&g, read_region, north, .name = north);
    kin_spawn(&g, read_region, south, .name = south);
    if (kin_group_close(&g, 0) == 0)
        return 0;
    kin_error_print(kin_error_last(), stdout);
    printf("sales failed in %zu of 2 regions\n",
           kin_error_count(kin_error_last(), kin_match_if(has_name, sales)));
    rc = kin_error_split(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM), &of_system, &others);
    if (rc < 0)
        return rc;
    printf("of the system: %zu, others:\n", kin_error_count(of_system, kin_match_code(-EACCES)));
    kin_error_walk(others, kin_match_class(KIN_CLASS_USER), NULL, print_leaf);
    kin_error_free(of_system);
    kin_error_free(others);
    return 0;                       /* dealt with */
}

int main(void)
{
    static const struct kin_class_texts own = { KIN_CLASS_USER, "files", own_name, own_text };
    int rc = kin_class_register(&own);

    return rc < 0 || kin_run(report, NULL) < 0;
}
