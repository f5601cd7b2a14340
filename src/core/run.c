/* A run: from an empty thread to an empty thread.
 *
 * The run call itself is a task, the host: it runs the user's function on the
 * thread's own stack, owns the hidden system group, and is the root of the tree.
 * Everything that a task may do at its end (groups left open, the error slot,
 * cancellation) therefore works for the root by the same code. The system group
 * hangs beside the tree, out of reach of any user scope. Under a foreign loop the host
 * is whoever steps the run, and the user's function a task below it (io/host.c).
 *
 * Ids carry the number of the run in their top bits, so that a handle from an
 * earlier run, or from another thread's, is recognised without being followed.
 */
#include "core/core.h"
#include "io/io.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

__thread struct kin__runtime *kin__rt;

static atomic_uint_fast64_t runs;

/* ------------------------------------------------------------------- reporting */

static void report_line(const char *line)
{
    struct kin__runtime *rt = kin__rt;

    if (rt && rt->options.on_report)
        rt->options.on_report(line, rt->options.arg);
    else
        fprintf(stderr, "kin: %s\n", line);
}

void kin_report(const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    report_line(line);
}

void kin__misuse(const char *at, const char *format, ...)
{
    const char *where = kin__forked() ? "in the child of a fork" : "outside of a run";
    char text[320], label[128] = "";
    va_list arguments;

    if (kin__rt) {
        where = "in ";
        kin__task_label(kin__rt->current, label, sizeof label);
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    kin_report("misuse %s%s: %s%s%s", where, label, text, at && *at ? ", " : "", at ? at : "");
}

/* ---------------------------------------------------------------------- set-up */

static bool pools_open(struct kin__runtime *rt)
{
    return kin__pool_open(&rt->tasks, sizeof(struct kin__task), kin__task_construct) &&
           kin__pool_open(&rt->groups, sizeof(struct kin__group), kin__scope_construct) &&
           kin__pool_open(&rt->errors, sizeof(kin_error), NULL) && kin__timers_open(rt) &&
           kin__stack_pool_for(rt, rt->options.stack);
}

static void pools_close(struct kin__runtime *rt)
{
    kin__stack_pools_destroy(rt);
    kin__timers_close(rt);
    kin__pool_close(&rt->errors);
    kin__pool_close(&rt->groups);
    kin__pool_close(&rt->tasks);
}

static void host_init(struct kin__runtime *rt)
{
    struct kin__task *host = &rt->host;

    rt->host_stack.guarded = true;      /* by the operating system */
    host->base = (struct kin__scope){ .owner = host, .kind = KIN__TASK, .name = "main",
                                      .at = rt->options.at ? rt->options.at : "",
                                      .id = kin__new_id(rt) };
    host->sleep.kind = KIN__TIMER_SLEEP;
    host->scope = &host->base;
    host->stack = &rt->host_stack;
    rt->current = host;
}

/* Opened while the host has no scope, so that it has no parent. */
static bool system_open(struct kin__runtime *rt)
{
    struct kin_group_options options = { .name = "system", .policy = KIN_KEEP_GOING,
                                         .stack = 512 * 1024 };

    rt->host.scope = NULL;
    rt->system = kin__group_new(rt, &options);
    rt->host.scope = &rt->host.base;
    return rt->system != NULL;
}

static int backend_open(struct kin__runtime *rt)
{
    int error = 0;

    rt->backend = kin__backend_pick(rt->options.backend, &error);
    if (!rt->backend)
        return error;
    error = rt->backend->open(rt);
    if (error < 0)
        rt->backend = NULL;
    return error;
}

static uint64_t seed_of(const struct kin_run_options *options)
{
    const char *text = options->seed ? NULL : getenv("KIN_SEED");

    return text ? strtoull(text, NULL, 10) : options->seed;
}

static int runtime_open(struct kin__runtime *rt)
{
    rt->run = atomic_fetch_add(&runs, 1) % 0xffff + 1;
    rt->last_id = rt->run << KIN__RUN_SHIFT;
    rt->steps = KIN__TURN_STEPS;
    rt->virtual_clock = rt->options.virtual_clock;
    rt->seed = rt->random = seed_of(&rt->options);
    kin__faults_begin(rt);
    rt->virtual_now = KIN_S(1);         /* 0 would mean "not given" in options */
    host_init(rt);
    if (!pools_open(rt) || !system_open(rt))
        return -ENOMEM;
    return backend_open(rt);
}

static void runtime_free(struct kin__runtime *rt)
{
    if (rt->backend)
        rt->backend->close(rt);
    pools_close(rt);
    kin__os_release_overflow();
    kin__rt = NULL;
    kin__os_free(rt);
}

/* The thread is in the run then. */
int kin__run_begin(const struct kin_run_options *options)
{
    struct kin__runtime *rt;
    int code = kin__forked() ? KIN_EFORK : kin__fork_watch();

    if (code < 0)
        return code;
    rt = kin__os_alloc(sizeof *rt);
    if (!rt)
        return -ENOMEM;
    rt->options = *options;
    kin__rt = rt;
    kin__os_catch_overflow();
    code = runtime_open(rt);
    if (code < 0)
        runtime_free(rt);
    return code;
}

/* --------------------------------------------------------------------- the end */

static void system_close(struct kin__runtime *rt)
{
    kin__cancel_because(rt, rt->system, KIN_BY_SHUTDOWN, NULL, NULL, NULL);
    kin__group_join(rt, rt->system);
    for (kin_error *error = rt->system->errors.first; error; error = kin__mutable(error->next))
        kin__error_report(error, "a helper's");
}

static void locals_close(struct kin__runtime *rt)
{
    struct kin__local *local;

    while ((local = rt->locals)) {
        rt->locals = local->next;
        if (local->destroy)
            local->destroy(local->value);
        kin__os_free(local);
    }
}

/* What main failed with; NULL if there was no memory for that. */
void kin__run_failed(struct kin__runtime *rt, int code, const kin_error *error)
{
    kin_error bare = { .code = code, .at = "", .name = "main" };

    if (rt->seed)
        kin_report("failed in an order drawn by chance: to see it again, KIN_SEED=%llu",
                   (unsigned long long)rt->seed);
    if (rt->options.on_error)
        rt->options.on_error(error ? error : &bare, rt->options.arg);
}

/* Main has ended; what it was to be told about has been. */
void kin__run_end(struct kin__runtime *rt)
{
    system_close(rt);
    locals_close(rt);
    kin__faults_end(rt);
    runtime_free(rt);
}

static int run_main(struct kin__runtime *rt, int (*fn)(void *arg), void *arg)
{
    struct kin__task *host = &rt->host;
    int code;

    rt->main_frame = __builtin_frame_address(0);
    rt->turn_began = kin__clock(rt);
    code = fn(arg);
    if (!kin__rt)
        return KIN_EFORK;
    if (host->scope != &host->base)
        kin__leave_open(rt, host);
    if (code < 0)
        kin__run_failed(rt, code, kin__error_take(rt, host, code));
    return code;
}

/* *begun: the run was set up. */
static int run(int (*fn)(void *arg), void *arg, const struct kin_run_options *options, bool *begun)
{
    int code;

    *begun = false;
    if (kin__rt)
        return KIN_EBUSY;
    if (!fn)
        return KIN_EINVAL;
    code = kin__run_begin(options);
    if (code < 0)
        return code;
    *begun = true;
    code = run_main(kin__rt, fn, arg);
    if (kin__rt)
        kin__run_end(kin__rt);
    return code;
}

int kin_run_with(int (*fn)(void *arg), void *arg, const struct kin_run_options *options)
{
    bool begun;

    return run(fn, arg, options, &begun);
}

static void print_errors(const kin_error *tree, void *arg)
{
    (void)arg;
    kin_error_print(tree, stderr);
}

int kin_main_with(int (*fn)(void *arg), void *arg, const struct kin_run_options *options)
{
    struct kin_run_options printing = *options;
    bool begun;
    int code;

    if (!printing.on_error)
        printing.on_error = print_errors;
    code = run(fn, arg, &printing, &begun);
    if (!begun)
        fprintf(stderr, "kin: not run: %s (%s)\n", kin_code_text(code), kin_code_name(code));
    if (code >= 0)
        return 0;
    return code == KIN_ETIMEDOUT ? 124 : 1;
}

/* -------------------------------------------------------------------- deadlock */

static void report_tree(void)
{
    char *text = NULL, *line, *rest;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    kin_dump(out);
    fclose(out);
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        report_line(line);
    free(text);
}

/* Nothing is runnable, no timer is set, and nothing outside is waited for. The root
 * is cancelled, over all shields; if that moves nobody, there is no way on. */
void kin__deadlock(struct kin__runtime *rt)
{
    if (rt->deadlocked) {
        kin_report("deadlock: tasks still wait after everything was cancelled");
        report_tree();
        abort();
    }
    rt->deadlocked = true;
    kin_report("deadlock: every task waits for another one");
    report_tree();
    kin__cancel(rt, &rt->host.base, &kin__reason_deadlock);
    kin__shields_lift_all(rt);
}

/* ----------------------------------------------------------- for extensions */

int kin_system_spawn(int (*fn)(void *arg), void *arg, const char *name)
{
    struct kin_spawn_options options = { .fn = fn, .arg = arg, .name = name, .at = "" };

    return kin__rt ? kin__spawn(kin__rt, kin__rt->system, &options) : kin__no_run();
}

void *kin_run_local(const void *key)
{
    for (struct kin__local *local = kin__rt ? kin__rt->locals : NULL; local; local = local->next)
        if (local->key == key)
            return local->value;
    return NULL;
}

int kin_run_local_set(const void *key, void *value, void (*destroy)(void *value))
{
    struct kin__local *local;

    for (local = kin__rt ? kin__rt->locals : NULL; local; local = local->next)
        if (local->key == key) {
            local->value = value;
            local->destroy = destroy;
            return 0;
        }
    local = kin__rt ? kin__os_alloc(sizeof *local) : NULL;
    if (!local)
        return kin__rt ? -ENOMEM : kin__no_run();
    *local = (struct kin__local){ kin__rt->locals, key, value, destroy };
    kin__rt->locals = local;
    return 0;
}

int kin_facts(struct kin_facts *facts)
{
    struct kin__runtime *rt = kin__rt;

    if (!rt)
        return kin__no_run();
    *facts = (struct kin_facts){ .backend = rt->backend->name, .guard = kin__stack_guard_name() };
    for (struct kin__scope *s = &rt->host.base; s; s = kin__scope_after(s, &rt->host.base))
        facts->tasks += s->kind == KIN__TASK;
    for (struct kin__stack_pool *pool = rt->stacks; pool; pool = pool->next)
        facts->stacks += pool->live;
    return 0;
}

void kin_trim(void)
{
    struct kin__runtime *rt = kin__rt;

    if (!rt)
        return;
    kin__stack_pools_empty(rt);
    kin__pool_trim(&rt->tasks);
    kin__pool_trim(&rt->groups);
    kin__pool_trim(&rt->errors);
    kin__os_trim();
}

/* Only the running task can have run over its stack. */
bool kin__overflow_of(const void *address, const char **name, int32_t *index)
{
    struct kin__runtime *rt = kin__rt;
    struct kin__task *task = rt ? rt->current : NULL;

    if (!task || !task->stack || task->stack == &rt->host_stack ||
        !kin__stack_guard_hit(task->stack, address))
        return false;
    *name = task->base.name ? task->base.name : "";
    *index = task->index;
    return true;
}
