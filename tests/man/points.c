/* What each public function does inside a cancelled scope: the facts that check.py
 * compares with the section CANCELLATION of the manual pages.
 *
 * Every function is called twice, each time in a run of its own: in a scope that is
 * cancelled, and in one that is not. All that it could wait for is there already, so
 * that a cancellation point shows itself although it would not have had to wait. A
 * line a function is printed:
 *
 *     NAME CODE TOLD SWITCHED FREE
 *
 * what it returned inside the cancelled scope (OK for 0 and more), whether the scope
 * was told, whether another task ran meanwhile, and what it returned in the other.
 */
#include "kin.h"
#include "kin_ext.h"
#include "kin_io.h"
#include "kin_os.h"
#if WITH_HTTP
#include "kin_http.h"
#endif
#if WITH_TLS
#include "kin_tls.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#endif

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

struct point {
    const char *name;
    int (*call)(void);
    struct point *next;
};

static struct point *points;

/* POINT(name) { … return what the function returned; } registers itself. */
#define POINT(function)                                                                   \
    static int point_##function(void);                                                    \
    __attribute__((constructor)) static void register_##function(void)                    \
    {                                                                                     \
        static struct point entry = { #function, point_##function, NULL };                \
        entry.next = points;                                                              \
        points = &entry;                                                                  \
    }                                                                                     \
    static int point_##function(void)

/* The same where one expression says it all; its value does not matter. */
#define POINT_OF(function, expression)                                                    \
    POINT(function)                                                                       \
    {                                                                                     \
        (void)(expression);                                                               \
        return 0;                                                                         \
    }
#define POINT_CODE(function, expression) \
    POINT(function)                      \
    {                                    \
        return (int)(expression);        \
    }

/* What is there before the scope is opened. */
static struct world {
    kin_group group;            /* collects; not cancelled */
    kin_task ended;             /* one of its tasks */
    kin_directory directory;
    kin_scope scope;
    bool cancelled;             /* the scope is */
    bool noted;                 /* another task has run */
    int code;
    bool switched;              /* it ran during the call */
    bool told;
} world;

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int note_switch(void *arg)
{
    (void)arg;
    world.noted = true;
    return 0;
}

/* --------------------------------------------------- 1 to 4: time, codes, errors, runs */

static const char *static_name(int number)
{
    (void)number;
    return "NAME";
}

static const struct kin_class_texts texts = { KIN_CLASS_USER, "points", static_name, NULL };

static int visit(const kin_error *leaf, void *arg)
{
    (void)leaf, (void)arg;
    return 0;
}

static FILE *nowhere(void)
{
    FILE *file = fopen("/dev/null", "w");

    if (!file)
        abort();
    return file;
}

POINT_OF(kin_now, kin_now())
POINT_OF(kin_class, kin_class(-1))
POINT_OF(kin_class_name, kin_class_name(KIN_CLASS_SYSTEM))
POINT_OF(kin_code_name, kin_code_name(KIN_EAGAIN))
POINT_OF(kin_code_text, kin_code_text(KIN_EAGAIN))
POINT_CODE(kin_class_register, kin_class_register(&texts))
POINT_OF(kin_fail, kin_fail(KIN_EINVAL, "why"))
POINT_OF(kin_fail_at, kin_fail_at(KIN_HERE, KIN_EINVAL, "why"))
POINT_OF(kin_error_last, kin_error_last())
POINT_CODE(kin_error_walk, kin_error_walk(kin_error_last(), kin_match_code(-1), NULL, visit))
POINT_OF(kin_error_count, kin_error_count(kin_error_last(), kin_match_code(-1)))
POINT_OF(kin_error_find, kin_error_find(kin_error_last(), kin_match_code(-1)))
POINT_OF(kin_match_code, kin_match_code(-1))
POINT_OF(kin_match_class, kin_match_class(KIN_CLASS_SYSTEM))
POINT_OF(kin_match_if, kin_match_if(NULL, NULL))
POINT_OF(kin_match_task, kin_match_task(NULL))
POINT_OF(kin_match_all, kin_match_all())
POINT_OF(kin_error_raise, kin_error_raise(NULL))
POINT_OF(kin_error_free, (kin_error_free(NULL), 0))

POINT(kin_error_split)
{
    kin_error *matched, *rest;
    int rc;

    kin_fail(KIN_EINVAL, "why");
    rc = kin_error_split(kin_error_last(), kin_match_code(KIN_EINVAL), &matched, &rest);
    kin_error_free(matched);
    kin_error_free(rest);
    return rc;
}

POINT(kin_error_print)
{
    FILE *out = nowhere();

    kin_error_print(kin_error_last(), out);
    fclose(out);
    return 0;
}

/* Within a run they say KIN_EBUSY, whatever else is the matter. */
POINT_OF(kin_main, kin_main(nothing, NULL))
POINT_OF(kin_main_with, kin_main_with(nothing, NULL, &(struct kin_run_options){ .at = KIN_HERE }))

POINT(kin_run)
{
    int rc = kin_run(nothing, NULL);

    return rc == KIN_EBUSY ? 0 : rc;
}

POINT(kin_run_with)
{
    int rc = kin_run_with(nothing, NULL, &(struct kin_run_options){ .at = KIN_HERE });

    return rc == KIN_EBUSY ? 0 : rc;
}

/* ---------------------------------------------------------------- 5: groups and tasks */

static kin_group opened(void)
{
    return kin_group_open(.name = "inner");
}

POINT(kin_group_open)
{
    kin_group group = kin_group_open(.name = "inner");

    return kin_group_close(&group, 0);
}

POINT(kin_group_open_with)
{
    kin_group group = kin_group_open_with(&(struct kin_group_options){ .at = KIN_HERE });

    return kin_group_close(&group, 0);
}

POINT(kin_group_close)
{
    kin_group group = opened();

    return kin_group_close(&group, 0);
}

POINT(kin_group_leave)
{
    kin_group group = opened();

    kin_group_leave(&group);
    return 0;
}

POINT(KIN_GROUP)
{
    int rc = 0;

    KIN_GROUP(rc, group, .name = "block") {
    }
    return rc;
}

POINT_OF(kin_group_ended, kin_group_ended(&world.group))

POINT(kin_group_count)
{
    struct kin_group_counts counts;

    return kin_group_count(&world.group, &counts);
}

POINT_CODE(kin_spawn, kin_spawn(&world.group, nothing, NULL))
POINT_CODE(kin_spawn_with,
           kin_spawn_with(&(struct kin_spawn_options){ .at = KIN_HERE, .group = &world.group,
                                                       .fn = nothing }))
POINT_OF(kin_status_name, kin_status_name(KIN_OK))
POINT_OF(kin_task_name, kin_task_name())
POINT_OF(kin_task_id, kin_task_id())

static int say_ready(void *arg)
{
    (void)arg;
    return kin_ready(0);
}

POINT_CODE(kin_start, kin_start(&world.group, say_ready, NULL))
POINT_CODE(kin_start_with,
           kin_start_with(&(struct kin_spawn_options){ .at = KIN_HERE, .group = &world.group,
                                                       .fn = say_ready }))
POINT_CODE(kin_ready, kin_ready(0))

/* ---------------------------------------------------------- 6: scopes and cancellation */

POINT(kin_scope_open)
{
    kin_scope scope = kin_scope_open(.name = "inner");

    return kin_scope_close(&scope, 0);
}

POINT(kin_scope_open_with)
{
    kin_scope scope = kin_scope_open_with(&(struct kin_scope_options){ .at = KIN_HERE });

    return kin_scope_close(&scope, 0);
}

POINT(kin_scope_close)
{
    kin_scope scope = kin_scope_open(.name = "inner");

    return kin_scope_close(&scope, 0);
}

POINT(kin_scope_leave)
{
    kin_scope scope = kin_scope_open(.name = "inner");

    kin_scope_leave(&scope);
    return 0;
}

POINT(KIN_SCOPE)
{
    int rc = 0;

    KIN_SCOPE(rc, scope, .name = "block") {
    }
    return rc;
}

POINT_OF(kin_scope_ended, kin_scope_ended(&world.scope))

POINT(kin_scope_look)
{
    struct kin_scope_state state;

    return kin_scope_look(&world.scope, &state);
}

POINT(kin_group_look)
{
    struct kin_scope_state state;

    return kin_group_look(&world.group, &state);
}

POINT_OF(kin_local_get, kin_local_get(&world))
POINT_OF(kin_deadline, kin_deadline())
POINT_CODE(kin_scope_set_deadline, kin_scope_set_deadline(&world.scope, KIN_FOREVER))
POINT_CODE(kin_group_set_deadline, kin_group_set_deadline(&world.group, KIN_FOREVER))
POINT_CODE(kin_cancel, kin_cancel(&world.group, "by hand"))
POINT_CODE(kin_group_cancel_at, kin_group_cancel_at(KIN_HERE, &world.group, "by hand"))
POINT_CODE(kin_scope_cancel_at, kin_scope_cancel_at(KIN_HERE, &world.scope, "by hand"))

POINT(kin_task_cancel_at)
{
    static kin_task task;       /* outlives this call, as its group does */

    kin_spawn(&world.group, nothing, NULL, .task = &task);
    return kin_task_cancel_at(KIN_HERE, &task, "by hand");
}

POINT_OF(kin_cancelled, kin_cancelled())
POINT_OF(kin_reason_name, kin_reason_name(KIN_BY_HAND))
POINT_CODE(kin_check, kin_check())

/* A soft cancellation is there: it need not wait. */
POINT(kin_wait_cancelled)
{
    kin_scope scope = kin_scope_open(.grace = KIN_S(1));
    int rc;

    kin_cancel(&scope, "softly");
    rc = kin_wait_cancelled();
    kin_scope_close(&scope, 0);
    return rc;
}

/* ------------------------------------------------------------------ 7 and 8: combining */

POINT(kin_next)
{
    kin_task *task;

    return kin_next(&world.group, &task);
}

POINT(kin_wait_tasks)
{
    kin_task *tasks[] = { &world.ended };

    return kin_wait_tasks(tasks, 1, KIN_ALL_COMPLETED);
}

POINT(kin_gather)
{
    kin_call call = { .fn = nothing };

    return kin_gather(&call, 1);
}

POINT(kin_gather_with)
{
    kin_call call = { .fn = nothing };

    return kin_gather_with(&call, 1, &(struct kin_group_options){ .at = KIN_HERE });
}

POINT(kin_race)
{
    kin_call call = { .fn = nothing };

    return kin_race(&call, 1);
}

POINT(kin_race_with)
{
    kin_call call = { .fn = nothing };

    return kin_race_with(&call, 1, &(struct kin_group_options){ .at = KIN_HERE });
}

POINT_CODE(kin_within, kin_within(KIN_S(1), nothing, NULL))
POINT_CODE(kin_within_or, kin_within_or(KIN_S(1), 1, nothing, NULL))
POINT_CODE(kin_sleep, kin_sleep(0))
POINT_CODE(kin_sleep_until, kin_sleep_until(0))
POINT_CODE(kin_yield, kin_yield())

/* --------------------------------------------------------------------- 9: synchronisation */

POINT(kin_event_wait)
{
    kin_event event = { .set = true };

    return kin_event_wait(&event);
}

POINT(kin_event_set)
{
    kin_event event = { .set = false };

    kin_event_set(&event);
    return 0;
}

POINT(kin_event_clear)
{
    kin_event event = { .set = true };

    kin_event_clear(&event);
    return 0;
}

POINT(kin_mutex_lock)
{
    kin_mutex mutex = { .owner = 0 };

    return kin_mutex_lock(&mutex);
}

POINT(kin_mutex_try_lock)
{
    kin_mutex mutex = { .owner = 0 };

    return kin_mutex_try_lock(&mutex);
}

POINT(kin_mutex_unlock)
{
    kin_mutex mutex = { .owner = 0 };

    kin_mutex_try_lock(&mutex);
    return kin_mutex_unlock(&mutex);
}

POINT(kin_mutex_let_go)
{
    kin_mutex mutex = { .owner = 0 }, *held = &mutex;

    kin_mutex_try_lock(&mutex);
    kin_mutex_let_go(&held);
    return 0;
}

POINT(KIN_LOCKED)
{
    kin_mutex mutex = { .owner = 0 };
    int rc = 0;

    KIN_LOCKED(rc, &mutex) {
    }
    return rc;
}

static kin_condition condition;

static int notify(void *arg)
{
    (void)arg;
    kin_condition_notify(&condition, 1);
    return 0;
}

/* The one that has to wait where it is not cancelled. */
POINT(kin_condition_wait)
{
    kin_mutex mutex = { .owner = 0 };
    int rc;

    kin_mutex_try_lock(&mutex);
    kin_spawn(&world.group, notify, NULL);
    rc = kin_condition_wait(&condition, &mutex);
    return kin_mutex_unlock(&mutex) < 0 ? KIN_EOWNER : rc;
}

POINT_OF(kin_condition_notify, (kin_condition_notify(&condition, 1), 0))
POINT_OF(kin_condition_notify_all, (kin_condition_notify_all(&condition), 0))

POINT(kin_semaphore_acquire)
{
    kin_semaphore semaphore = KIN_SEMAPHORE(1);

    return kin_semaphore_acquire(&semaphore);
}

POINT(kin_semaphore_try_acquire)
{
    kin_semaphore semaphore = KIN_SEMAPHORE(1);

    return kin_semaphore_try_acquire(&semaphore);
}

POINT(kin_semaphore_release)
{
    kin_semaphore semaphore = KIN_SEMAPHORE(1);

    return kin_semaphore_release(&semaphore);
}

POINT(kin_semaphore_let_go)
{
    kin_semaphore semaphore = KIN_SEMAPHORE(1), *held = &semaphore;

    kin_semaphore_let_go(&held);
    return 0;
}

POINT(KIN_ACQUIRED)
{
    kin_semaphore semaphore = KIN_SEMAPHORE(1);
    int rc = 0;

    KIN_ACQUIRED(rc, &semaphore) {
    }
    return rc;
}

POINT(kin_rwlock_read)
{
    kin_rwlock lock = { .readers = 0 };

    return kin_rwlock_read(&lock);
}

POINT(kin_rwlock_write)
{
    kin_rwlock lock = { .readers = 0 };

    return kin_rwlock_write(&lock);
}

POINT(kin_rwlock_try_read)
{
    kin_rwlock lock = { .readers = 0 };

    return kin_rwlock_try_read(&lock);
}

POINT(kin_rwlock_try_write)
{
    kin_rwlock lock = { .readers = 0 };

    return kin_rwlock_try_write(&lock);
}

POINT(kin_rwlock_unlock)
{
    kin_rwlock lock = { .readers = 0 };

    kin_rwlock_try_write(&lock);
    return kin_rwlock_unlock(&lock);
}

POINT(kin_once_run)
{
    kin_once once = { .done = true };

    return kin_once_run(&once, nothing, NULL);
}

POINT(kin_barrier_wait)
{
    kin_barrier barrier = { .parties = 1 };

    return kin_barrier_wait(&barrier);
}

POINT(kin_barrier_break)
{
    kin_barrier barrier = { .parties = 1 };

    kin_barrier_break(&barrier);
    return 0;
}

POINT(kin_barrier_reset)
{
    kin_barrier barrier = { .parties = 1 };

    kin_barrier_reset(&barrier);
    return 0;
}

static void *slot[2];
static int item;

/* A queue with one item and room for another. */
static kin_queue half_full(void)
{
    kin_queue queue = KIN_QUEUE(slot);

    if (kin_queue_try_put(&queue, &item) < 0)
        abort();
    return queue;
}

POINT(kin_queue_put)
{
    kin_queue queue = half_full();

    return kin_queue_put(&queue, &item);
}

POINT(kin_queue_get)
{
    kin_queue queue = half_full();
    void *got;

    return kin_queue_get(&queue, &got);
}

POINT(kin_queue_try_put)
{
    kin_queue queue = half_full();

    return kin_queue_try_put(&queue, &item);
}

POINT(kin_queue_try_get)
{
    kin_queue queue = half_full();
    void *got;

    return kin_queue_try_get(&queue, &got);
}

POINT(kin_queue_shutdown)
{
    kin_queue queue = half_full();

    kin_queue_shutdown(&queue);
    return 0;
}

POINT(kin_queue_shutdown_now)
{
    kin_queue queue = half_full();

    kin_queue_shutdown_now(&queue);
    return 0;
}

POINT(kin_queue_join)
{
    kin_queue queue = KIN_QUEUE(slot);

    return kin_queue_join(&queue);
}

POINT(kin_queue_done)
{
    kin_queue queue = half_full();

    return kin_queue_done(&queue);
}

POINT(kin_select)
{
    kin_queue queue = half_full();

    return kin_select(&(kin_case){ .queue = &queue }, 1);
}

POINT(kin_try_select)
{
    kin_queue queue = half_full();

    return kin_try_select(&(kin_case){ .queue = &queue }, 1);
}

POINT(kin_limiter_acquire)
{
    kin_limiter limiter = { .interval = KIN_S(1) };

    return kin_limiter_acquire(&limiter);
}

POINT(kin_limiter_try_acquire)
{
    kin_limiter limiter = { .interval = KIN_S(1) };

    return kin_limiter_try_acquire(&limiter);
}

/* ----------------------------------------------------------- 10: from other threads */

/* Opened, woken, tried, closed. */
static int with_remote(int (*call)(kin_remote *remote))
{
    static kin_remote remote;
    int rc;

    remote = (kin_remote){ .state = 0 };
    rc = kin_remote_open(&remote, NULL);
    if (rc < 0)
        return rc;
    kin_remote_wake(&remote);
    rc = call(&remote);
    kin_remote_close(&remote);
    return rc;
}

static int leave_it(kin_remote *remote)
{
    (void)remote;
    return 0;
}

static int cancel_it(kin_remote *remote)
{
    return kin_remote_cancel(remote, "from afar");
}

POINT_CODE(kin_remote_open, with_remote(leave_it))
POINT_CODE(kin_remote_close, with_remote(leave_it))
POINT_CODE(kin_remote_wake, with_remote(kin_remote_wake))
POINT_CODE(kin_remote_cancel, with_remote(cancel_it))
static int call_it(kin_remote *remote)
{
    return kin_remote_call(remote, nothing, NULL);
}

POINT_CODE(kin_remote_call, with_remote(call_it))
POINT_CODE(kin_remote_wait, with_remote(kin_remote_wait))

/* --------------------------------------------------- threads, processes, signals */

static const struct kin_thread_options waiting = { .end = KIN_THREAD_WAIT };

POINT_CODE(kin_thread_run_with, kin_thread_run_with(nothing, NULL, &waiting))
POINT_CODE(kin_thread_run, kin_thread_run(nothing, NULL))
POINT_OF(kin_blocking_begin, (kin_blocking_begin(), 0))
POINT_OF(kin_blocking_end, (kin_blocking_end(), 0))

static const char *const sleeper[] = { "sleep", "1000", NULL };

static int with_process(int (*call)(kin_process *process))
{
    kin_process process;
    int rc = kin_process_start(&process, sleeper, .out = KIN_NULL);

    if (rc < 0)
        return rc;
    rc = call(&process);
    if (!process.ended) {
        kill(process.pid, SIGKILL);             /* without kin, which would wait */
        waitpid(process.pid, NULL, 0);
        close(process.pidfd);
    }
    return rc;
}

static int only_start(kin_process *process)
{
    return process->pid > 0 ? 0 : -1;
}

static int wait_for_killed(kin_process *process)
{
    kin_process_signal(process, SIGKILL);
    return kin_process_wait(process);
}

static int signal_it(kin_process *process)
{
    return kin_process_signal(process, SIGKILL);
}

static int end_it(kin_process *process)
{
    return kin_process_end(process, 0);
}

static int communicate_with_killed(kin_process *process)
{
    kin_process_signal(process, SIGKILL);
    return kin_process_communicate(process, NULL, 0, NULL, NULL, 0);
}

POINT_CODE(kin_process_start_with, with_process(only_start))
POINT_CODE(kin_process_start, with_process(only_start))
POINT_CODE(kin_process_wait, with_process(wait_for_killed))
POINT_CODE(kin_process_signal, with_process(signal_it))
POINT_CODE(kin_process_end, with_process(end_it))
POINT_CODE(kin_process_communicate, with_process(communicate_with_killed))

/* ------------------------------------------------------------------------- files */

/* Opens without kin, and closes so. */
static int with_file(int (*call)(int fd))
{
    char path[] = "/tmp/kin-points-XXXXXX";
    int rc, fd = mkstemp(path);

    if (fd < 0)
        abort();
    unlink(path);
    rc = call(fd);
    close(fd);
    return rc;
}

static int read_it_at(int fd)
{
    char byte;

    return (int)kin_read_at(fd, &byte, 1, 0);
}

static int write_it_at(int fd)
{
    return (int)kin_write_at(fd, "x", 1, 0);
}

static int truncate_it(int fd)
{
    return kin_ftruncate(fd, 10);
}

POINT_CODE(kin_read_at, with_file(read_it_at))
POINT_CODE(kin_write_at, with_file(write_it_at))
POINT_CODE(kin_ftruncate, with_file(truncate_it))
POINT_CODE(kin_fsync, with_file(kin_fsync))
POINT_CODE(kin_fdatasync, with_file(kin_fdatasync))

POINT(kin_open)
{
    int fd = kin_open("/dev/null", O_RDONLY, 0);

    if (fd >= 0)
        close(fd);
    return fd;
}

POINT(kin_stat)
{
    struct stat status;

    return kin_stat("/", &status);
}

/* In a directory of its own, with "f" and "d" in it. */
static int with_names(int (*call)(const char *f, const char *d, const char *none))
{
    char path[] = "/tmp/kin-points-XXXXXX", f[40], d[40], none[40];
    int rc;

    if (!mkdtemp(path))
        abort();
    snprintf(f, sizeof f, "%s/f", path);
    snprintf(d, sizeof d, "%s/d", path);
    snprintf(none, sizeof none, "%s/none", path);
    close(open(f, O_WRONLY | O_CREAT, 0600));
    mkdir(d, 0700);
    rc = call(f, d, none);
    unlink(f);
    unlink(none);
    rmdir(d);
    rmdir(none);
    rmdir(path);
    return rc;
}

static int rename_it(const char *f, const char *d, const char *none)
{
    (void)d;
    return kin_rename(f, none);
}

static int unlink_name(const char *f, const char *d, const char *none)
{
    (void)d, (void)none;
    return kin_unlink(f);
}

static int make_it(const char *f, const char *d, const char *none)
{
    (void)f, (void)d;
    return kin_mkdir(none, 0700);
}

static int remove_it(const char *f, const char *d, const char *none)
{
    (void)f, (void)none;
    return kin_rmdir(d);
}

static int read_it(const char *f, const char *d, const char *none)
{
    char *data;
    size_t size;
    int rc = kin_read_file(f, 10, &data, &size);

    (void)d, (void)none;
    free(data);
    return rc;
}

static int write_it(const char *f, const char *d, const char *none)
{
    (void)d, (void)none;
    return kin_write_file(f, "x", 1, 0600);
}

POINT_CODE(kin_rename, with_names(rename_it))
POINT_CODE(kin_unlink, with_names(unlink_name))
POINT_CODE(kin_mkdir, with_names(make_it))
POINT_CODE(kin_rmdir, with_names(remove_it))
POINT_CODE(kin_read_file, with_names(read_it))
POINT_CODE(kin_write_file, with_names(write_it))

POINT(kin_directory_open)
{
    kin_directory directory;
    int rc = kin_directory_open(&directory, "/");

    kin_directory_close(&directory);
    return rc;
}

POINT(kin_directory_next)
{
    struct kin_entry entry;

    return kin_directory_next(&world.directory, &entry);
}

POINT_CODE(kin_directory_close, kin_directory_close(&world.directory))

static int with_watch(int (*call)(kin_file_watch *watch))
{
    kin_file_watch watch;
    int rc = kin_file_watch_open(&watch);

    if (rc == 0)
        rc = call(&watch);
    kin_file_watch_close(&watch);
    return rc;
}

static int open_only(kin_file_watch *watch)
{
    (void)watch;
    return 0;
}

static int add_one(kin_file_watch *watch)
{
    return kin_file_watch_add(watch, "/", IN_CREATE);
}

static int remove_one(kin_file_watch *watch)
{
    return kin_file_watch_remove(watch, inotify_add_watch(watch->fd, "/", IN_CREATE));
}

/* Removing is an event. */
static int next_one(kin_file_watch *watch)
{
    struct kin_file_event event;

    remove_one(watch);
    return kin_file_watch_next(watch, &event);
}

POINT_CODE(kin_file_watch_open, with_watch(open_only))
POINT_CODE(kin_file_watch_add, with_watch(add_one))
POINT_CODE(kin_file_watch_remove, with_watch(remove_one))
POINT_CODE(kin_file_watch_next, with_watch(next_one))
POINT_CODE(kin_file_watch_close, with_watch(kin_file_watch_close))

/* ----------------------------------------------------------------------- signals */

static int with_signals(int (*call)(kin_signals *signals))
{
    static const int number = SIGUSR1;
    kin_signals signals = { .wanted = 0 };
    int rc = kin_signals_open(&signals, &number, 1);

    if (rc < 0)
        return rc;
    raise(number);
    rc = call(&signals);
    kin_signals_close(&signals);
    return rc;
}

static int only_open(kin_signals *signals)
{
    return signals->wanted ? 0 : -1;
}

POINT_CODE(kin_signals_open, with_signals(only_open))
POINT_CODE(kin_signals_close, with_signals(only_open))
POINT_CODE(kin_signals_wait, with_signals(kin_signals_wait))
POINT_CODE(kin_end_on_signals, kin_end_on_signals())

/* --------------------------------------------------------------- 11: descriptors */

/* A pipe with a byte in it and room for more. */
static void open_pipe(int fds[2])
{
    if (kin_pipe(fds) < 0 || write(fds[1], "x", 1) != 1)
        abort();
}

static int close_pipe(int fds[2], int rc)
{
    kin_close(fds[0]);
    kin_close(fds[1]);
    return rc;
}

POINT(kin_pipe)
{
    int fds[2] = { -1, -1 }, rc = kin_pipe(fds);

    return close_pipe(fds, rc);
}

POINT(kin_close)
{
    int fds[2];

    open_pipe(fds);
    return close_pipe(fds, 0);
}

POINT(kin_wait_fd)
{
    int fds[2];

    open_pipe(fds);
    return close_pipe(fds, kin_wait_fd(fds[0], KIN_READABLE));
}

POINT(kin_read)
{
    char byte;
    int fds[2];

    open_pipe(fds);
    return close_pipe(fds, (int)kin_read(fds[0], &byte, 1));
}

POINT(kin_write)
{
    int fds[2];

    open_pipe(fds);
    return close_pipe(fds, (int)kin_write(fds[1], "x", 1));
}

POINT(kin_write_all)
{
    int fds[2];

    open_pipe(fds);
    return close_pipe(fds, kin_write_all(fds[1], "x", 1, NULL));
}

/* ----------------------------------------------------------------------- streams */

/* A transport that has a line to be read, again and again, and takes everything. */
static ssize_t line_again(void *arg, void *buffer, size_t size)
{
    (void)arg;
    memcpy(buffer, "line\n", size < 5 ? size : 5);
    return size < 5 ? (ssize_t)size : 5;
}

static ssize_t at_the_end(void *arg, void *buffer, size_t size)
{
    (void)arg, (void)buffer, (void)size;
    return 0;
}

static int take_all(void *arg, const void *buffer, size_t size, size_t *done)
{
    (void)arg, (void)buffer;
    *done = size;
    return 0;
}

static const struct kin_transport lines = { "lines", line_again, take_all, nothing, nothing };
static const struct kin_transport ended = { "ended", at_the_end, take_all, nothing, nothing };

static int with_stream(const struct kin_transport *transport, int (*call)(kin_stream *stream))
{
    kin_stream stream;
    int rc, closed;

    kin_stream_open_on(&stream, transport, NULL);
    rc = call(&stream);
    stream.out_end = 0;                     /* or closing it would wait */
    closed = kin_stream_close(&stream);
    return rc < 0 ? rc : closed;
}

static int only_open_stream(kin_stream *stream)
{
    (void)stream;
    return 0;
}

static int read_stream(kin_stream *stream)
{
    char byte;

    return (int)kin_stream_read(stream, &byte, 1);
}

static int read_stream_exactly(kin_stream *stream)
{
    char bytes[7];

    return kin_stream_read_exactly(stream, bytes, sizeof bytes, NULL);
}

static int read_stream_line(kin_stream *stream)
{
    char *line;

    return kin_stream_read_line(stream, &line, NULL);
}

static int read_stream_until(kin_stream *stream)
{
    char *piece;
    size_t size;

    return kin_stream_read_until(stream, "e", 1, &piece, &size);
}

static int read_stream_all(kin_stream *stream)
{
    char *data = NULL;
    int rc = kin_stream_read_all(stream, 0, &data, NULL);

    free(data);
    return rc;
}

static int write_stream(kin_stream *stream)
{
    return kin_stream_write(stream, "x", 1, NULL);
}

static int print_to_stream(kin_stream *stream)
{
    return kin_stream_printf(stream, "%d", 1);
}

static int copy_stream(kin_stream *stream)
{
    return kin_stream_copy(stream, stream, 3, NULL);
}

POINT(kin_stream_open)
{
    kin_stream stream;

    kin_stream_open(&stream, 0, .keep_open = true);
    return kin_stream_close(&stream);
}

POINT(kin_stream_open_with)
{
    kin_stream stream;

    kin_stream_open_with(&stream, 0, &(struct kin_stream_options){ .keep_open = true });
    return kin_stream_close(&stream);
}

POINT_CODE(kin_stream_open_on, with_stream(&lines, only_open_stream))

POINT(kin_stream_open_on_with)
{
    kin_stream stream;

    kin_stream_open_on_with(&stream, &lines, NULL, &(struct kin_stream_options){ .most = 9 });
    return kin_stream_close(&stream);
}

POINT_CODE(kin_stream_close, with_stream(&lines, only_open_stream))
POINT_CODE(kin_stream_read, with_stream(&lines, read_stream))
POINT_CODE(kin_stream_read_exactly, with_stream(&lines, read_stream_exactly))
POINT_CODE(kin_stream_read_line, with_stream(&lines, read_stream_line))
POINT_CODE(kin_stream_read_until, with_stream(&lines, read_stream_until))
POINT_CODE(kin_stream_read_all, with_stream(&ended, read_stream_all))
POINT_CODE(kin_stream_write, with_stream(&lines, write_stream))
POINT_CODE(kin_stream_printf, with_stream(&lines, print_to_stream))
POINT_CODE(kin_stream_flush, with_stream(&lines, kin_stream_flush))
POINT_CODE(kin_stream_end, with_stream(&lines, kin_stream_end))
POINT_CODE(kin_stream_copy, with_stream(&lines, copy_stream))

static struct sockaddr_in address;

/* A socket that listens on the loopback interface, at a port that the system chooses. */
static int listening(void)
{
    socklen_t size = sizeof address;
    int fd;

    address = (struct sockaddr_in){ .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    fd = kin_listen((struct sockaddr *)&address, sizeof address, 4);
    if (fd >= 0)
        getsockname(fd, (struct sockaddr *)&address, &size);
    return fd;
}

/* A client that is on its way, so that there is somebody to accept. */
static int client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        abort();
    return fd;
}

POINT(kin_listen)
{
    int fd = listening();

    kin_close(fd);
    return fd;
}

POINT(kin_accept)
{
    int fd = listening(), other = client(), accepted = kin_accept(fd);

    if (accepted >= 0)
        kin_close(accepted);
    close(other);
    kin_close(fd);
    return accepted;
}

POINT(kin_connect)
{
    int fd = listening(), connected = kin_connect((struct sockaddr *)&address, sizeof address);

    if (connected >= 0)
        kin_close(connected);
    kin_close(fd);
    return connected;
}

/* ------------------------------------------------------------ names and connections */

static kin_address loopback(void)
{
    kin_address found = { .v4 = address, .length = sizeof address };

    return found;
}

static char *port(void)
{
    static char text[8];

    snprintf(text, sizeof text, "%d", ntohs(address.sin_port));
    return text;
}

static int resolved(int (*resolve)(kin_address **list))
{
    kin_address *list;
    int count = resolve(&list);

    free(list);
    return count;
}

static int resolve_by_macro(kin_address **list)
{
    return kin_resolve("127.0.0.1", "80", list);
}

static int resolve_by_function(kin_address **list)
{
    return kin_resolve_with("127.0.0.1", "80", list, &(struct kin_resolve_options){ .family = 0 });
}

static int connected(int (*connect_it)(void))
{
    int fd = listening(), other = connect_it();

    if (other >= 0)
        kin_close(other);
    kin_close(fd);
    return other;
}

static int to_host(void)
{
    return kin_connect_host("127.0.0.1", port());
}

static int to_host_at(void)
{
    return kin_connect_host_at("here", "127.0.0.1", port());
}

static int to_any(void)
{
    kin_address only = loopback();

    return kin_connect_any(&only, 1);
}

static int to_any_at(void)
{
    kin_address only = loopback();

    return kin_connect_any_at("here", &only, 1);
}

POINT_CODE(kin_resolve, resolved(resolve_by_macro))
POINT_CODE(kin_resolve_with, resolved(resolve_by_function))
POINT_CODE(kin_connect_host, connected(to_host))
POINT_CODE(kin_connect_host_at, connected(to_host_at))
POINT_CODE(kin_connect_any, connected(to_any))
POINT_CODE(kin_connect_any_at, connected(to_any_at))

POINT(kin_address_text)
{
    char text[KIN_ADDRESS_TEXT];
    kin_address shown = loopback();

    kin_address_text(&shown, text, sizeof text);
    return 0;
}

/* -------------------------------------------------------------------- servers */

/* The one guest ends the server. */
static int close_listener(int fd, void *arg)
{
    (void)fd;
    return kin_close(*(int *)arg);
}

static const struct kin_serve_options no_drain = { .drain = 0 };

static int serve_one(bool by_macro)
{
    int fd = listening(), other = client(), rc;

    rc = by_macro ? kin_serve(fd, close_listener, &fd)
                  : kin_serve_with(fd, close_listener, &fd, &no_drain);
    close(other);
    return rc;
}

POINT_CODE(kin_serve, serve_one(true))
POINT_CODE(kin_serve_with, serve_one(false))

POINT(kin_serve_idle)
{
    int fds[2];

    open_pipe(fds);
    return close_pipe(fds, kin_serve_idle(fds[0]));
}

/* ----------------------------------------------------- sockets and datagrams (kin_io.h) */

static const struct kin_socket_options plain = { .at = KIN_HERE };

static kin_address any_port(void)
{
    return (kin_address){ .v4 = { .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
                          .length = sizeof(struct sockaddr_in) };
}

static int closed(int fd)
{
    return fd < 0 ? fd : kin_close(fd);
}

POINT(kin_listen_at)
{
    kin_address any = any_port();

    return closed(kin_listen_at(&any));
}

POINT(kin_listen_at_with)
{
    kin_address any = any_port();

    return closed(kin_listen_at_with(&any, &plain));
}

POINT_CODE(kin_listen_on, closed(kin_listen_on("127.0.0.1", "0")))
POINT_CODE(kin_listen_on_with, closed(kin_listen_on_with("127.0.0.1", "0", &plain)))
static char *own_name(void)
{
    static char name[32];

    snprintf(name, sizeof name, "@kin-point-%d", getpid());
    return name;
}

POINT_CODE(kin_listen_unix, closed(kin_listen_unix(own_name())))
POINT_CODE(kin_listen_unix_with, closed(kin_listen_unix_with(own_name(), &plain)))
POINT_CODE(kin_activated, kin_activated(NULL, NULL, 0))

POINT(kin_datagram_at)
{
    kin_address any = any_port();

    return closed(kin_datagram_at(&any, NULL));
}

POINT(kin_datagram_at_with)
{
    kin_address any = any_port();

    return closed(kin_datagram_at_with(&any, NULL, &plain));
}

static char buffer[1];
static struct iovec piece = { buffer, 1 };
static struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };

/* Both ways there is something to be received, and room. */
static int with_pair(int (*call)(int fds[2]))
{
    int fds[2], rc = kin_socket_pair(SOCK_STREAM, fds);

    if (rc < 0 || write(fds[0], "x", 1) < 0 || write(fds[1], "x", 1) < 0)
        abort();
    rc = call(fds);
    kin_close(fds[0]);
    kin_close(fds[1]);
    return rc;
}

static int make_pair(int fds[2])
{
    (void)fds;
    return 0;
}

static int receive_from(int fds[2])
{
    return (int)kin_receive_from(fds[0], buffer, 1, NULL, NULL);
}

static int send_to(int fds[2])
{
    return (int)kin_send_to(fds[0], buffer, 1, NULL);
}

static int receive_message(int fds[2])
{
    return (int)kin_receive_message(fds[0], &message, 0);
}

static int send_message(int fds[2])
{
    return (int)kin_send_message(fds[0], &message, 0);
}

static int receive_fds(int fds[2])
{
    size_t count = 0;

    return (int)kin_receive_fds(fds[0], buffer, 1, NULL, &count);
}

static int send_fds(int fds[2])
{
    return (int)kin_send_fds(fds[0], buffer, 1, NULL, 0);
}

static int shut_down(int fds[2])
{
    return kin_shutdown(fds[0], SHUT_WR);
}

static int adopt(int fds[2])
{
    return kin_adopt(fds[0]);
}

static int local_address(int fds[2])
{
    kin_address own;

    return kin_local_address(fds[0], &own);
}

static int peer_address(int fds[2])
{
    kin_address peer;

    return kin_peer_address(fds[0], &peer);
}

POINT_CODE(kin_socket_pair, with_pair(make_pair))
POINT_CODE(kin_receive_from, with_pair(receive_from))
POINT_CODE(kin_send_to, with_pair(send_to))
POINT_CODE(kin_receive_message, with_pair(receive_message))
POINT_CODE(kin_send_message, with_pair(send_message))
POINT_CODE(kin_receive_fds, with_pair(receive_fds))
POINT_CODE(kin_send_fds, with_pair(send_fds))
POINT_CODE(kin_shutdown, with_pair(shut_down))
POINT_CODE(kin_adopt, with_pair(adopt))
POINT_CODE(kin_local_address, with_pair(local_address))
POINT_CODE(kin_peer_address, with_pair(peer_address))

/* ------------------------------------------------------------- 12: looking inside */

POINT(kin_dump)
{
    FILE *out = nowhere();

    kin_dump(out);
    fclose(out);
    return 0;
}

POINT(kin_facts)
{
    struct kin_facts facts;

    return kin_facts(&facts);
}

POINT(kin_trim)
{
    kin_trim();
    return 0;
}

/* ------------------------------------------------------------------- extensions */

static struct kin_wait_list list;

static bool unlink_it(struct kin_wait *wait)
{
    kin_wait_list_remove(&list, wait);
    return true;
}

static const struct kin_wait_ops ops = { "point", unlink_it, NULL };

/* A record, prepared where the scope's cancellation is kept out. */
static struct kin_wait *prepared(struct kin_wait *wait)
{
    kin_scope shield = kin_scope_open(.shield = KIN_FOREVER);

    if (kin_wait_prepare(wait, &ops, NULL) < 0)
        abort();
    kin_scope_close(&shield, 0);
    return wait;
}

static int wake_first(void *arg)
{
    (void)arg;
    kin_wait_wake(kin_wait_list_take(&list), 0);
    return 0;
}

POINT(kin_wait_prepare)
{
    struct kin_wait wait;

    return kin_wait_prepare(&wait, &ops, NULL);
}

POINT(kin_wait_park)
{
    struct kin_wait wait;

    kin_wait_list_add(&list, prepared(&wait));
    kin_spawn(&world.group, wake_first, NULL);
    return kin_wait_park(&wait);
}

POINT(kin_wait_also)
{
    struct kin_wait first, another;

    prepared(&first);
    kin_wait_also(&first, prepared(&another));
    return 0;
}

static int park_for_a_while(void *arg)
{
    struct kin_wait wait;

    (void)arg;
    kin_wait_list_add(&list, prepared(&wait));
    return kin_wait_park(&wait);
}

/* Another task is parked; the shield keeps the scope out while that happens. */
POINT(kin_wait_wake)
{
    kin_scope shield = kin_scope_open(.shield = KIN_FOREVER);

    kin_spawn(&world.group, park_for_a_while, NULL);
    kin_yield();
    kin_scope_close(&shield, 0);
    kin_spawn(&world.group, note_switch, NULL);
    world.noted = false;
    return wake_first(NULL);
}

POINT_CODE(kin_wait_skip, kin_wait_skip())
POINT_CODE(kin_wait_list_claim, kin_wait_list_claim(&list))

POINT(kin_wait_list_add)
{
    struct kin_wait wait;

    kin_wait_list_add(&list, prepared(&wait));
    kin_wait_list_remove(&list, &wait);
    return 0;
}

POINT(kin_wait_list_remove)
{
    struct kin_wait wait;

    kin_wait_list_add(&list, prepared(&wait));
    kin_wait_list_remove(&list, &wait);
    return 0;
}

POINT_OF(kin_wait_list_take, kin_wait_list_take(&list))

static void ready(struct kin_watch *watch, unsigned events)
{
    (void)watch, (void)events;
}

static int watch_for(int *rc)
{
    struct kin_watch watch = { .ready = ready };
    int fds[2];

    open_pipe(fds);
    watch.fd = fds[0];
    *rc = kin_watch_set(&watch, KIN_READABLE);
    kin_watch_stop(&watch);
    return close_pipe(fds, 0);
}

POINT(kin_watch_set)
{
    int rc;

    watch_for(&rc);
    return rc;
}

POINT(kin_watch_stop)
{
    int rc;

    return watch_for(&rc);
}

POINT_CODE(kin_system_spawn, kin_system_spawn(nothing, NULL, "helper"))
POINT_OF(kin_run_local, kin_run_local(&world))
POINT_CODE(kin_run_local_set, kin_run_local_set(&world, &world, NULL))
POINT_OF(kin_report, (kin_report("nothing"), 0))

/* Another run, stepped by a task of this one. */
static int with_host(int (*call)(kin_host *host))
{
    kin_host *host;
    int rc = kin_host_open(&host, nothing, NULL);

    if (rc < 0)
        return rc;
    rc = call(host);
    kin_host_close(host);
    return rc;
}

static int look_at_fd(kin_host *host)
{
    return kin_host_fd(host);
}

POINT_CODE(kin_host_open, with_host(look_at_fd))
POINT_CODE(kin_host_fd, with_host(look_at_fd))
POINT_CODE(kin_host_step, with_host(kin_host_step))

POINT(kin_host_open_with)
{
    struct kin_run_options options = { .at = KIN_HERE };
    kin_host *host;
    int rc = kin_host_open_with(&host, nothing, NULL, &options);

    return rc < 0 ? rc : kin_host_close(host);
}

POINT(kin_host_close)
{
    kin_host *host;
    int rc = kin_host_open(&host, nothing, NULL);

    return rc < 0 ? rc : kin_host_close(host);
}

/* ------------------------------------------------------------------------- HTTP */

#if WITH_HTTP
/* A server that has gone away: refused at once. */
static const char *url(void)
{
    static char text[64];
    int fd = listening();

    kin_close(fd);
    snprintf(text, sizeof text, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    return text;
}

static int freed(kin_http_response *response, int rc)
{
    kin_http_response_free(response);
    return rc;
}

POINT(kin_http)
{
    kin_http_response response;

    return freed(&response, kin_http(&response, .url = url()));
}

POINT(kin_http_with)
{
    kin_http_response response;
    struct kin_http_request request = { .at = KIN_HERE, .url = url() };

    return freed(&response, kin_http_with(&response, &request));
}

POINT(kin_http_get)
{
    kin_http_response response;

    return freed(&response, kin_http_get(url(), &response));
}

static const kin_http_response answer = { .status = 200 };

POINT_CODE(kin_http_check, kin_http_check(&answer))
POINT_CODE(kin_http_check_at, kin_http_check_at(KIN_HERE, &answer))
POINT_OF(kin_http_header, kin_http_header(&answer, "Date"))
POINT_OF(kin_http_response_free, freed(&(kin_http_response){ .status = 200 }, 0))
POINT_OF(kin_match_http, kin_match_http())
POINT_OF(kin_match_http_client_error, kin_match_http_client_error())
POINT_OF(kin_match_http_server_error, kin_match_http_server_error())
#endif

/* -------------------------------------------------------------------------- TLS */

#if WITH_TLS
static kin_tls_context *tls_client(void)
{
    static kin_tls_context *context;

    if (!context && kin_tls_client_open(&context, .insecure = true) < 0)
        abort();
    return context;
}

/* One that nobody will ever see. */
static char *certificate(void)
{
    X509 *made = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    static BIO *bio;                    /* the text is within */
    char *text;

    bio = BIO_new(BIO_s_mem());
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_set_pubkey(made, key);
    if (!X509_sign(made, key, EVP_sha256()) || !PEM_write_bio_X509(bio, made) ||
        !PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) || BIO_write(bio, "", 1) != 1)
        abort();
    X509_free(made);
    EVP_PKEY_free(key);
    BIO_get_mem_data(bio, &text);
    return text;
}

static kin_tls_context *tls_server(void)
{
    static kin_tls_context *context;

    if (!context && kin_tls_server_open(&context, .certificate.pem = certificate()) < 0)
        abort();
    return context;
}

/* A peer that has gone: the handshake fails at once. */
static int gone(void)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        abort();
    close(fds[1]);
    return fds[0];
}

static kin_stream unsafe;

POINT_CODE(kin_tls_connect, kin_tls_connect(&unsafe, gone(), tls_client()))
POINT_CODE(kin_tls_accept, kin_tls_accept(&unsafe, gone(), tls_server()))
POINT_CODE(kin_tls_accept_at, kin_tls_accept_at(KIN_HERE, &unsafe, gone(), tls_server()))

POINT(kin_tls_connect_with)
{
    const struct kin_tls_connect_options options = { .at = KIN_HERE };

    return kin_tls_connect_with(&unsafe, gone(), tls_client(), &options);
}

static int with_context(int (*open)(kin_tls_context **, const struct kin_tls_options *),
                        const struct kin_tls_options *options)
{
    kin_tls_context *context;
    int rc = open(&context, options);

    kin_tls_context_free(context);
    return rc;
}

static const struct kin_tls_options any = { .at = KIN_HERE, .insecure = true };

static int server_without(int (*open)(kin_tls_context **, const struct kin_tls_options *))
{
    return with_context(open, &(struct kin_tls_options){ .at = KIN_HERE }) == KIN_EINVAL
               ? 0 : KIN_EINVAL;
}

POINT_CODE(kin_tls_client_open_with, with_context(kin_tls_client_open_with, &any))
POINT_CODE(kin_tls_server_open_with, server_without(kin_tls_server_open_with))
POINT_OF(kin_tls_context_free, (kin_tls_context_free(NULL), 0))
POINT_OF(kin_tls_facts, kin_tls_facts(&unsafe, &(struct kin_tls_facts){ 0 }))
POINT_OF(kin_tls_session_get, kin_tls_session_get(&unsafe))
POINT_OF(kin_tls_session_free, (kin_tls_session_free(NULL), 0))

POINT(kin_tls_client_open)
{
    kin_tls_context *context;
    int rc = kin_tls_client_open(&context, .insecure = true);

    kin_tls_context_free(context);
    return rc;
}

POINT(kin_tls_server_open)
{
    kin_tls_context *context;

    return kin_tls_server_open(&context, .least = 13) == KIN_EINVAL ? 0 : KIN_EINVAL;
}
#endif

/* -------------------------------------------------------------------- trying them */

static void prepare_world(void)
{
    world.group = kin_group_open(.policy = KIN_KEEP_GOING, .collect = true);
    kin_spawn(&world.group, nothing, NULL, .task = &world.ended);
    while (world.ended.status == KIN_PENDING)
        kin_yield();
    if (kin_directory_open(&world.directory, "/") < 0)
        abort();
    kin_spawn(&world.group, note_switch, NULL);
    world.noted = false;
}

static int try_point(void *arg)
{
    const struct point *point = arg;
    struct kin_scope_state state;

    prepare_world();
    world.scope = kin_scope_open(.cancelled = world.cancelled);
    world.code = point->call();
    world.switched = world.noted;
    if (kin_scope_look(&world.scope, &state) < 0)
        abort();
    world.told = state.told;
    kin_scope_close(&world.scope, 0);
    kin_directory_close(&world.directory);
    return kin_group_close(&world.group, 0);
}

static void ignore(const char *line, void *arg)
{
    (void)line, (void)arg;
}

static void run_point(struct point *point, bool cancelled)
{
    world.cancelled = cancelled;
    if (kin_run(try_point, point, .on_report = ignore) < 0)
        abort();
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);       /* so that a crash leaves what was before it */
    for (struct point *point = points; point; point = point->next) {
        run_point(point, true);
        printf("%s %s %d %d ", point->name, kin_code_name(world.code), world.told, world.switched);
        run_point(point, false);
        printf("%s\n", kin_code_name(world.code));
    }
    return 0;
}
