/* A tree of tasks, ten children each ("skynet"): an inner task opens a group, spawns its
 * children, closes the group, looks at the record of each, and adds up what they found; a
 * leaf is its own number. A million leaves are 1,111,111 tasks; the time is that of a leaf.
 *
 *     bench_tree DEPTH
 */
#include "bench.h"

enum { CHILDREN = 10 };

struct node {
    int64_t first, leaves, sum;
};

static int node(void *arg)
{
    struct node *n = arg, child[CHILDREN];
    kin_task record[CHILDREN];

    if (n->leaves == 1) {
        n->sum = n->first;
        return 0;
    }
    kin_group g = kin_group_open();
    for (int i = 0; i < CHILDREN; i++) {
        int64_t leaves = n->leaves / CHILDREN;
        child[i] = (struct node){ .first = n->first + i * leaves, .leaves = leaves };
        kin_spawn(&g, node, &child[i], .name = "node", .index = i, .task = &record[i]);
    }
    int rc = kin_group_close(&g, 0);
    for (int i = 0; i < CHILDREN; i++)
        n->sum += child[i].sum;
    return rc == 0 && !bench_all_ok(record, CHILDREN) ? KIN_EINVAL : rc;
}

/* The children of a root, before one of them has run. */
static int look(void *arg)
{
    struct node child = { .leaves = 1 };
    kin_group g = kin_group_open();

    (void)arg;
    for (int i = 0; i < CHILDREN; i++)
        kin_spawn(&g, node, &child, .name = "node", .index = i);
    bench_require_in_dump("node", CHILDREN);
    return kin_group_close(&g, 0);
}

int main(int argc, char **argv)
{
    struct node root = { .leaves = 1 };

    for (long depth = bench_size(argc, argv, 6); depth > 0; depth--)
        root.leaves *= CHILDREN;
    bench_require(kin_run(look, NULL) == 0, "the look");
    int64_t began = bench_now();
    int rc = kin_run(node, &root);
    bench_print_ns("tree", began, root.leaves);
    bench_print("tree_mib", bench_peak_kib() / 1024);
    bench_require(rc == 0 && root.sum == root.leaves * (root.leaves - 1) / 2, "sum");
    return 0;
}
