/* Errors: one slot a task, and the tree that grows out of them.
 *
 * kin_fail writes into the task's slot without needing memory: the record lies at
 * the top of the stack that the task is on. When the task ends with that very
 * code, the record is copied into the tree of its group; when it ends with another
 * code, it becomes the cause of a bare record, so that an old message never
 * decorates a new failure. When a group closes, its tree becomes the slot of
 * the closer, and so the tree of a whole run builds itself.
 *
 * Records of the tree come from the runtime's pool. When that has no memory, the
 * failure is counted, its code stands; nothing else depends on the record.
 */
#include "core/core.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* Copies a name; what is too long ends in "…", never in the middle of a character. */
void kin__error_name(char *out, size_t size, const char *name)
{
    static const char cut[] = "…";
    size_t length = name ? strnlen(name, size) : 0;

    if (length < size) {
        if (length)
            memcpy(out, name, length);
        out[length] = '\0';
        return;
    }
    length = size - sizeof cut;
    while (length > 0 && (name[length] & 0xc0) == 0x80)
        length--;
    memcpy(out, name, length);
    memcpy(out + length, cut, sizeof cut);
}

kin_error *kin__error_slot(struct kin__runtime *rt, const struct kin__task *task)
{
    return task->stack == &rt->host_stack ? &rt->host_error : kin__stack_error_slot(task->stack);
}

static bool on_stack(struct kin__runtime *rt, const struct kin__task *task, const kin_error *error)
{
    return error == &rt->host_error ||
           (task->stack && task->stack != &rt->host_stack && kin__stack_holds(task->stack, error));
}

static void sign(kin_error *error, const struct kin__task *task)
{
    error->task = task->base.id;
    error->index = task->index;
    kin__error_name(error->name, sizeof error->name, task->base.name);
}

static void error_begin(kin_error *error, int code, const char *at, const struct kin__task *task)
{
    error->code = code;
    error->at = at ? at : "";
    error->cause = error->child = error->next = error->parent = NULL;
    error->dropped = 0;
    error->depth = 0;
    error->message[0] = '\0';
    sign(error, task);
}

/* -------------------------------------------------------------------- the slot */

void kin__error_release(void *context, kin_error *error)
{
    struct kin__runtime *rt = context;

    kin__pool_put(&rt->errors, error);
}

/* What lies further down in an error's past than anybody will look. */
static void cut_past(struct kin__runtime *rt, kin_error *error)
{
    kin__error_free_trees(kin__mutable(error->child), kin__error_release, rt);
    kin__error_free_trees(kin__mutable(error->cause), kin__error_release, rt);
    error->child = error->cause = NULL;
    error->dropped++;
    error->depth = 0;
}

static void adopt(struct kin__runtime *rt, kin_error *error, kin_error *cause)
{
    if (cause && cause->depth >= KIN__CAUSES_KEPT)
        cut_past(rt, cause);
    error->cause = cause;
    error->depth = cause ? cause->depth + 1 : 0;
    if (cause)
        cause->parent = error;
}

/* Empties the slot. What is left is what lives in the pool: the tree that a close has
 * put there, or the cause of an explanation. */
static kin_error *take_cause(struct kin__runtime *rt, struct kin__task *task)
{
    kin_error *error = task->error, *cause = error;

    if (error && on_stack(rt, task, error))
        cause = kin__mutable(error->cause);
    task->error = NULL;
    return cause;
}

void kin__error_drop(struct kin__runtime *rt, struct kin__task *task)
{
    kin__error_free_trees(take_cause(rt, task), kin__error_release, rt);
}

int kin_fail_at(const char *at, int code, const char *format, ...)
{
    struct kin__runtime *rt = kin__rt;
    char message[sizeof ((kin_error *)NULL)->message + 8];
    kin_error *slot, *cause;
    va_list arguments;

    if (!rt)
        return code;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);  /* may read the old slot */
    va_end(arguments);
    cause = take_cause(rt, rt->current);
    slot = kin__error_slot(rt, rt->current);
    error_begin(slot, code, at, rt->current);
    adopt(rt, slot, cause);
    kin__error_name(slot->message, sizeof slot->message, message);
    rt->current->error = slot;
    rt->current->base.flags |= KIN__EXPLAINED;
    return code;
}

int kin_error_raise(kin_error *tree)
{
    struct kin__runtime *rt = kin__rt;
    int code = tree ? tree->code : 0;

    if (rt && tree) {
        kin_error *copy = kin__error_copy(tree, rt);

        kin__error_drop(rt, rt->current);
        rt->current->error = copy;
        rt->current->base.flags |= KIN__EXPLAINED;
    }
    kin_error_free(tree);
    return code;
}

const kin_error *kin_error_last(void)
{
    return kin__rt ? kin__rt->current->error : NULL;
}

kin_error *kin__error_bare(struct kin__runtime *rt, const struct kin__task *task, int code,
                           const char *message)
{
    kin_error *error = kin__pool_get(&rt->errors);

    if (!error)
        return NULL;
    error_begin(error, code, task->base.at, task);
    kin__error_name(error->message, sizeof error->message, message);
    return error;
}

/* The slot's content as a record of the pool; the slot is empty then. */
static kin_error *take_slot(struct kin__runtime *rt, struct kin__task *task)
{
    kin_error *error = task->error, *copy;

    task->error = NULL;
    if (!error || !on_stack(rt, task, error))
        return error;
    copy = kin__pool_get(&rt->errors);
    if (!copy) {
        kin__error_free_trees(kin__mutable(error->cause), kin__error_release, rt);
        return NULL;
    }
    *copy = *error;
    adopt(rt, copy, kin__mutable(error->cause));
    return copy;
}

/* The error of a task that fails with this code; NULL if there is no memory. */
kin_error *kin__error_take(struct kin__runtime *rt, struct kin__task *task, int code)
{
    kin_error *slot = take_slot(rt, task), *error;

    if (slot && slot->code == code) {
        sign(slot, task);
        return slot;
    }
    error = kin__error_bare(rt, task, code, NULL);
    if (error)
        adopt(rt, error, slot);
    else
        kin__error_free_trees(slot, kin__error_release, rt);
    return error;
}

/* ------------------------------------------------------------- a group's errors */

/* Keeps the first ones and the last; the rest is counted. */
void kin__errors_add(struct kin__runtime *rt, struct kin__errors *errors, kin_error *error)
{
    if (!error) {
        errors->dropped++;
        return;
    }
    if (errors->stored == KIN__ERRORS_KEPT) {
        errors->dropped++;
        errors->before_last->next = NULL;
        kin__error_free_trees(errors->last, kin__error_release, rt);
        errors->last = errors->before_last;
        errors->stored--;
    }
    error->next = NULL;
    if (errors->last)
        errors->last->next = error;
    else
        errors->first = error;
    errors->before_last = errors->last;
    errors->last = error;
    errors->stored++;
}

static void say_outcome(kin_error *error, const struct kin__group *group, int code)
{
    unsigned long long cancelled = group->counts.cancelled, all = group->accepted;
    unsigned long long failed = group->counts.failed + group->counts.timed_out;

    if (code == KIN_ETIMEDOUT && !group->failure)
        snprintf(error->message, sizeof error->message,
                 "the group's deadline passed: %llu of %llu tasks were cancelled", cancelled, all);
    else if (group->failure && code == group->failure && failed > 0 && all > 1)
        snprintf(error->message, sizeof error->message, "%llu of %llu tasks failed", failed, all);
    else if (!code)
        snprintf(error->message, sizeof error->message, "failures on the way to a success");
}

/* Without a root there can be no siblings. */
static kin_error *alone(struct kin__runtime *rt, kin_error *error)
{
    if (error) {
        kin__error_free_trees(kin__mutable(error->next), kin__error_release, rt);
        error->next = NULL;
    }
    return error;
}

/* The closer's slot becomes the group's tree. A tree whose root there is no memory
 * for stands without its root: the first failure speaks for it. */
void kin__errors_to_slot(struct kin__runtime *rt, struct kin__group *group, int code)
{
    struct kin__task *task = rt->current;
    struct kin__errors *errors = &group->errors;
    kin_error *root = NULL;

    kin__error_drop(rt, task);
    if (code >= 0 && !errors->first)
        return;
    task->base.flags |= KIN__EXPLAINED;
    root = kin__pool_get(&rt->errors);
    if (!root) {
        task->error = alone(rt, errors->first);
        return;
    }
    error_begin(root, code, group->scope.at, task);
    if (group->scope.name)
        kin__error_name(root->name, sizeof root->name, group->scope.name);
    say_outcome(root, group, code);
    root->child = errors->first;
    for (kin_error *child = errors->first; child; child = kin__mutable(child->next)) {
        child->parent = root;
        root->depth = child->depth > root->depth ? child->depth : root->depth;
    }
    root->dropped = errors->dropped;
    task->error = root;
}

/* A group of one task that nobody knows of is not worth a level of the tree. */
void kin__error_unwrap(struct kin__runtime *rt)
{
    struct kin__task *task = rt->current;
    kin_error *root = task->error, *child = root ? kin__mutable(root->child) : NULL;

    if (!child || child->next)
        return;
    child->parent = NULL;
    task->error = child;
    kin__pool_put(&rt->errors, root);
}

/* ------------------------------------------------------------------ reporting */

static int report_leaf(const kin_error *leaf, void *why)
{
    kin_report("lost error (%s): %s: %s (%s, %s)", (const char *)why, leaf->name,
               leaf->message[0] ? leaf->message : kin_code_text(leaf->code),
               kin_code_name(leaf->code), leaf->at);
    return 0;
}

void kin__error_report(const kin_error *tree, const char *why)
{
    kin_error_walk(tree, kin_match_if(NULL, NULL), (void *)(uintptr_t)why, report_leaf);
    if (tree->dropped)
        kin_report("lost errors (%s): %llu more", why, (unsigned long long)tree->dropped);
}
