/* The tree of what is running, as text. It is read off the core's own tree and the
 * wait records; nothing is kept for it. One line a node:
 *
 *     main                                 waits for: join, 2 tasks to end
 *       group crawl (2 live), 2.750 s left       src/crawl.c:12
 *         fetch[1]                         waits for: http, GET http://…
 */
#include "core/core.h"

static void print_wait(const struct kin__task *task, FILE *out)
{
    const struct kin_wait *wait = task->wait;
    char text[256] = "";

    if (!wait) {
        fputs(task == kin__rt->current ? "  running" : task->sp ? "  ready" : "  not started", out);
        return;
    }
    if (wait->ops->describe)
        wait->ops->describe(wait, text, sizeof text);
    fprintf(out, "  waits for: %s%s%s", wait->ops->name, text[0] ? ", " : "", text);
}

static void print_deadline(struct kin__scope *scope, FILE *out)
{
    int64_t when = kin__timer_when(kin__rt, &scope->timer);

    if (scope->flags & (KIN__SOFT | KIN__HARD))
        fprintf(out, ", cancelled (%s)%s", kin_reason_name(scope->reason->kind),
                scope->flags & KIN__SOFT ? ", in its grace" : "");
    else if (when != KIN_FOREVER)
        fprintf(out, ", %.3f s left", (double)(when - kin_now()) / 1e9);
}

static void print_node(struct kin__scope *scope, int depth, FILE *out)
{
    char label[128];

    fprintf(out, "%*s", depth * 2, "");
    if (scope->kind == KIN__TASK) {
        kin__task_label(kin__task_of(scope), label, sizeof label);
        fputs(label, out);
    } else {
        fprintf(out, "%s%s%s", scope->kind == KIN__GROUP       ? "group"
                               : scope->flags & KIN__SHIELD ? "shield"
                                                               : "scope",
                scope->name ? " " : "", scope->name ? scope->name : "");
    }
    if (scope->kind == KIN__GROUP)
        fprintf(out, " (%llu live)", (unsigned long long)kin__group_live(kin__group_of(scope)));
    print_deadline(scope, out);
    if (scope->kind == KIN__TASK)
        print_wait(kin__task_of(scope), out);
    fprintf(out, "  %s\n", scope->at);
}

static int depth_of(const struct kin__scope *scope)
{
    int depth = 0;

    while ((scope = scope->parent))
        depth++;
    return depth;
}

static void print_tree(struct kin__scope *top, FILE *out)
{
    for (struct kin__scope *scope = top; scope; scope = kin__scope_after(scope, top))
        print_node(scope, depth_of(scope), out);
}

void kin_dump(FILE *out)
{
    if (!kin__rt)
        return;
    print_tree(&kin__rt->host.base, out);
    if (kin__group_live(kin__rt->system) > 0)
        print_tree(&kin__rt->system->scope, out);
}
