/* A tree of tasks, ten children each: an inner task opens a group, spawns its
 * children, closes the group and adds up what they found; a leaf is its own
 * number. A million leaves are 1,111,111 tasks.
 */
#include "bench.h"

enum { CHILDREN = 10 };

struct node {
    int64_t first, leaves, sum;
};

static int node(void *arg)
{
    struct node *n = arg, child[CHILDREN];

    if (n->leaves == 1) {
        n->sum = n->first;
        return 0;
    }
    kin_group g = kin_group_open();
    for (int i = 0; i < CHILDREN; i++) {
        int64_t leaves = n->leaves / CHILDREN;
        child[i] = (struct node){ .first = n->first + i * leaves, .leaves = leaves };
        kin_spawn(&g, node, &child[i], .name = "node", .index = i);
    }
    int rc = kin_group_close(&g, 0);
    for (int i = 0; i < CHILDREN; i++)
        n->sum += child[i].sum;
    return rc;
}

int main(int argc, char **argv)
{
    struct node root = { .leaves = 1 };
    int64_t tasks = 1;

    for (long depth = bench_size(argc, argv, 6); depth > 0; depth--) {
        root.leaves *= CHILDREN;
        tasks += root.leaves;
    }
    int64_t began = bench_now();
    int rc = kin_run(node, &root);
    bench_print_ns("tree", began, tasks);
    bench_require(rc == 0 && root.sum == root.leaves * (root.leaves - 1) / 2, "sum");
    return 0;
}
