/* Trees of errors: walking, matching, splitting, printing, freeing.
 *
 * A tree is as deep as groups are nested in the program, which may be deeper than a
 * task's stack allows for a recursive function. So nothing here recurses: an error
 * knows its parent, and every walk climbs. Children are the failures of a group;
 * leaves are what walks visit; a cause hangs beside the children and is only
 * copied, printed and freed with its error.
 */
#include "core/core.h"

#include <errno.h>
#include <string.h>

enum { MOST_INDENT = 40 };

/* Frees trees that are linked by next, without recursion: what hangs on an error is
 * put in front of what is still to be freed. */
void kin__error_free_trees(kin_error *error,
                           void (*release)(void *context, kin_error *error), void *context)
{
    while (error) {
        kin_error *next = kin__mutable(error->next), *last = kin__mutable(error->child);

        if (error->cause) {
            kin__mutable(error->cause)->next = next;
            next = kin__mutable(error->cause);
        }
        if (last) {
            while (last->next)
                last = kin__mutable(last->next);
            last->next = next;
            next = kin__mutable(error->child);
        }
        release(context, error);
        error = next;
    }
}

/* ---------------------------------------------------------- matching and walking */

kin_match kin_match_code(int code)
{
    return (kin_match){ .from = code, .to = code };
}

kin_match kin_match_class(int class_number)
{
    if (class_number < 0 || class_number > KIN_CLASS_LAST)
        return (kin_match){ .from = 0, .to = -1 };      /* nothing */
    return (kin_match){ .from = KIN_CODE(class_number, 0xffff),
                        .to = class_number ? KIN_CODE(class_number, 0) : -1 };
}

kin_match kin_match_if(bool (*test)(const kin_error *, void *), void *arg)
{
    return (kin_match){ .from = INT32_MIN, .to = INT32_MAX, .test = test, .arg = arg };
}

static bool is_of_task(const kin_error *error, void *task)
{
    uint64_t id = ((const kin_task *)task)->id;

    return id && error->task == id;     /* one that was refused has none */
}

kin_match kin_match_task(const kin_task *task)
{
    return kin_match_if(is_of_task, (void *)(uintptr_t)task);
}

kin_match kin_match_all(void)
{
    return kin_match_if(NULL, NULL);
}

static bool matches(const kin_error *error, const kin_match *match)
{
    return error->code >= match->from && error->code <= match->to &&
           (!match->test || match->test(error, match->arg));
}

static const kin_error *first_leaf(const kin_error *error)
{
    while (error && error->child)
        error = error->child;
    return error;
}

/* Up and along, without recursion: a tree can be as deep as groups are nested. */
static const kin_error *next_leaf(const kin_error *leaf, const kin_error *tree)
{
    while (leaf != tree && !leaf->next)
        leaf = leaf->parent;
    return leaf == tree ? NULL : first_leaf(leaf->next);
}

int kin_error_walk(const kin_error *tree, kin_match match, void *arg,
                   int (*visit)(const kin_error *leaf, void *arg))
{
    int rc = 0;

    for (const kin_error *leaf = first_leaf(tree); leaf && rc == 0; leaf = next_leaf(leaf, tree))
        if (matches(leaf, &match))
            rc = visit(leaf, arg);
    return rc;
}

static int count_leaf(const kin_error *leaf, void *arg)
{
    (void)leaf;
    ++*(size_t *)arg;
    return 0;
}

size_t kin_error_count(const kin_error *tree, kin_match match)
{
    size_t count = 0;

    kin_error_walk(tree, match, &count, count_leaf);
    return count;
}

static int keep_leaf(const kin_error *leaf, void *arg)
{
    *(const kin_error **)arg = leaf;
    return 1;
}

const kin_error *kin_error_find(const kin_error *tree, kin_match match)
{
    const kin_error *found = NULL;

    kin_error_walk(tree, match, &found, keep_leaf);
    return found;
}

/* -------------------------------------------------------------------- splitting */

static void release_to_heap(void *context, kin_error *error)
{
    (void)context;
    kin__os_free(error);
}

void kin_error_free(kin_error *tree)
{
    kin__error_free_trees(tree, release_to_heap, NULL);
}

/* For the caller, or into the runtime's pool where one is given. */
static kin_error *copy_one(const kin_error *error, kin_error *parent, struct kin__runtime *rt)
{
    kin_error *copy = rt ? kin__pool_get(&rt->errors) : kin__os_alloc(sizeof *copy);

    if (copy) {
        *copy = *error;
        copy->cause = copy->child = copy->next = NULL;
        copy->parent = parent;
    }
    return copy;
}

/* Copies what comes next below or beside *from, or climbs. False: no memory. */
static bool copy_step(const kin_error **from, kin_error **to, const kin_error *tree,
                      struct kin__runtime *rt)
{
    const kin_error *next = NULL, **link = NULL;
    kin_error *parent = *to;

    if ((*from)->child && !(*to)->child) {
        next = (*from)->child;
        link = &(*to)->child;
    } else if ((*from)->cause && !(*to)->cause) {
        next = (*from)->cause;
        link = &(*to)->cause;
    } else if (*from != tree && (*from)->next) {
        next = (*from)->next;
        link = &(*to)->next;
        parent = kin__mutable((*to)->parent);
    } else {
        *from = *from == tree ? NULL : (*from)->parent;
        *to = kin__mutable((*to)->parent);
        return true;
    }
    *from = next;
    *link = *to = copy_one(next, parent, rt);
    return *to != NULL;
}

/* NULL where there is no memory. */
kin_error *kin__error_copy(const kin_error *tree, struct kin__runtime *rt)
{
    kin_error *copy = copy_one(tree, NULL, rt), *to = copy;

    for (const kin_error *from = tree; copy && from;) {
        if (copy_step(&from, &to, tree, rt))
            continue;
        kin__error_free_trees(copy, rt ? kin__error_release : release_to_heap, rt);
        return NULL;
    }
    return copy;
}

static bool has_child_with(const kin_error *group, int code)
{
    for (const kin_error *child = group->child; child; child = child->next)
        if (child->code == code)
            return true;
    return false;
}

/* A group's code is that of its earliest failure: of another one now, perhaps. */
static void recode(kin_error *group, int gone)
{
    for (; group && group->code == gone && !has_child_with(group, gone);
         group = kin__mutable(group->parent))
        group->code = group->child->code;
}

/* Takes a leaf off the tree, and the groups that it leaves empty. True: nothing is left. */
static bool cut(kin_error *leaf)
{
    int code = leaf->code;

    for (;;) {
        kin_error *parent = kin__mutable(leaf->parent);
        const kin_error **at = parent ? &parent->child : NULL;

        while (at && *at != leaf)
            at = &kin__mutable(*at)->next;
        if (at)
            *at = leaf->next;
        leaf->next = NULL;
        kin_error_free(leaf);
        if (!parent)
            return true;
        if (parent->child) {
            recode(parent, code);
            return false;
        }
        leaf = parent;
    }
}

static kin_error *keep(kin_error *tree, const kin_match *match, bool wanted)
{
    const kin_error *leaf = first_leaf(tree);

    while (leaf) {
        const kin_error *next = next_leaf(leaf, tree);

        if (matches(leaf, match) != wanted && cut(kin__mutable(leaf)))
            return NULL;
        leaf = next;
    }
    return tree;
}

int kin_error_split(const kin_error *tree, kin_match match, kin_error **matched, kin_error **rest)
{
    *matched = *rest = NULL;
    if (!tree)
        return 0;
    *matched = kin__error_copy(tree, NULL);
    *rest = kin__error_copy(tree, NULL);
    if (!*matched || !*rest) {
        kin_error_free(*matched);
        kin_error_free(*rest);
        *matched = *rest = NULL;
        return -ENOMEM;
    }
    *matched = keep(*matched, &match, true);
    *rest = keep(*rest, &match, false);
    return 0;
}

/* --------------------------------------------------------------------- printing */

/* A message that begins with the name (a URL, say) need not be introduced by it. */
static void print_name(const kin_error *error, FILE *out)
{
    size_t length = strlen(error->name);

    if (length && strncmp(error->message, error->name, length) == 0)
        return;
    if (length)
        fputs(error->name, out);
    else
        fprintf(out, "task %llu", (unsigned long long)error->task & 0xffffffffffff);
    if (error->index)
        fprintf(out, "[%d]", error->index);
    fputs(": ", out);
}

static int indent(int depth)
{
    return 2 * (depth < MOST_INDENT ? depth : MOST_INDENT);
}

static void print_one(const kin_error *error, int depth, bool cause, FILE *out)
{
    fprintf(out, "%*s%s", indent(depth), "", cause ? "caused by " : "");
    print_name(error, out);
    fputs(error->message[0] ? error->message : kin_code_text(error->code), out);
    if (error->code < 0)
        fprintf(out, " (%s%s%s)", kin_code_name(error->code), error->at[0] ? ", " : "", error->at);
    fputc('\n', out);
}

static void print_dropped(const kin_error *error, int depth, FILE *out)
{
    if (error->dropped)
        fprintf(out, "%*sand %llu more\n", indent(depth + 1), "",
                (unsigned long long)error->dropped);
}

static bool is_cause(const kin_error *error)
{
    return error->parent && error->parent->cause == error;
}

/* Climbs to the next error that has not been printed; NULL at the top. */
static const kin_error *print_next(const kin_error *error, const kin_error *tree, int *depth,
                                   FILE *out)
{
    if (error->child || error->cause) {
        ++*depth;
        return error->child ? error->child : error->cause;
    }
    for (; error != tree; error = error->parent) {
        if (error->next)
            return error->next;
        if (!is_cause(error)) {
            print_dropped(error->parent, *depth - 1, out);
            if (error->parent->cause)
                return error->parent->cause;
        }
        --*depth;
    }
    return NULL;
}

void kin_error_print(const kin_error *tree, FILE *out)
{
    int depth = 0;

    for (const kin_error *error = tree; error; error = print_next(error, tree, &depth, out)) {
        print_one(error, depth, error != tree && is_cause(error), out);
        if (!error->child)
            print_dropped(error, depth, out);
    }
}
