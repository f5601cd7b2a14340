/* Watching files: inotify's events. */
#include "file_test.h"

#include <sys/inotify.h>

static void check_event(kin_file_watch *watch, int id, uint32_t mask, const char *name)
{
    struct kin_file_event event;

    tap_note("%s, %x", name, mask);
    CHECK_CODE(kin_file_watch_next(watch, &event), 0);
    CHECK_INT(event.id, id);
    CHECK_INT(event.mask, mask);
    CHECK_STR(event.name, name);
}

FILE_TEST(C2_events_come_in_order_one_by_one)
{
    struct kin_file_event from, to;
    kin_file_watch watch;
    int d, f;

    CHECK_INT(mkdir("d", 0700), 0);
    make_file("f", "x");
    CHECK_CODE(kin_file_watch_open(&watch), 0);
    d = kin_file_watch_add(&watch, "d", IN_CREATE | IN_DELETE | IN_MOVE);
    f = kin_file_watch_add(&watch, "f", IN_MODIFY | IN_DELETE_SELF);
    CHECK(d > 0 && f > 0 && d != f);
    CHECK_CODE(kin_file_watch_add(&watch, "f", IN_MODIFY | IN_DELETE_SELF), f);
    make_file("d/one", "");
    CHECK_INT(mkdir("d/two", 0700), 0);
    CHECK_INT(truncate("f", 0), 0);
    CHECK_INT(rename("d/one", "d/three"), 0);
    CHECK_INT(unlink("f"), 0);
    check_event(&watch, d, IN_CREATE, "one");
    check_event(&watch, d, IN_CREATE | IN_ISDIR, "two");
    check_event(&watch, f, IN_MODIFY, "");
    CHECK_CODE(kin_file_watch_next(&watch, &from), 0);
    CHECK(from.mask == IN_MOVED_FROM && strcmp(from.name, "one") == 0 && from.cookie != 0);
    CHECK_CODE(kin_file_watch_next(&watch, &to), 0);
    CHECK(to.mask == IN_MOVED_TO && strcmp(to.name, "three") == 0 && to.cookie == from.cookie);
    check_event(&watch, f, IN_DELETE_SELF, "");
    check_event(&watch, f, IN_IGNORED, "");
    CHECK_CODE(kin_file_watch_remove(&watch, f), -EINVAL);
    CHECK_CODE(kin_file_watch_remove(&watch, d), 0);
    check_event(&watch, d, IN_IGNORED, "");
    CHECK_CODE(kin_file_watch_close(&watch), 0);
    CHECK_CODE(kin_file_watch_close(&watch), 0);
    CHECK_CODE(kin_file_watch_next(&watch, &to), -EBADF);
}

FILE_TEST(C2_the_longest_names_and_many_events_at_a_time)
{
    kin_file_watch watch;
    char name[256];

    memset(name, 'n', 255);
    name[255] = '\0';
    CHECK_CODE(kin_file_watch_open(&watch), 0);
    CHECK_CODE(kin_file_watch_add(&watch, ".", IN_CREATE), 1);
    for (int i = 0; i < 100; i++) {
        snprintf(name, 8, "%07d", i);
        name[7] = 'n';
        make_file(name, "");
    }
    for (int i = 0; i < 100; i++) {
        snprintf(name, 8, "%07d", i);
        name[7] = 'n';
        check_event(&watch, 1, IN_CREATE, name);
    }
    CHECK_CODE(kin_file_watch_close(&watch), 0);
}

struct waiter {
    kin_file_watch watch;
    struct kin_file_event event;
    char name[32];
    int code;
};

static int wait_for_event(void *arg)
{
    struct waiter *waiter = arg;

    waiter->code = kin_file_watch_next(&waiter->watch, &waiter->event);
    if (waiter->code == 0)
        snprintf(waiter->name, sizeof waiter->name, "%s", waiter->event.name);
    return 0;
}

FILE_TEST(C2_who_waits_for_an_event_lets_others_run)
{
    struct waiter waiter = { .code = 1 };

    CHECK_CODE(kin_file_watch_open(&waiter.watch), 0);
    CHECK(kin_file_watch_add(&waiter.watch, ".", IN_CREATE) > 0);
    kin_group g = kin_group_open();
    kin_spawn(&g, wait_for_event, &waiter);
    CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
    CHECK_INT(waiter.code, 1);
    make_file("f", "");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(waiter.code, 0);
    CHECK_STR(waiter.name, "f");
    CHECK_CODE(kin_file_watch_close(&waiter.watch), 0);
}

/* Cancelled before, and in the same turn as, the event: it is had by this call or the next. */
FILE_TEST(T01_a_cancelled_wait_loses_no_event)
{
    static struct waiter waiter;
    char name[16];

    CHECK_CODE(kin_file_watch_open(&waiter.watch), 0);
    CHECK(kin_file_watch_add(&waiter.watch, ".", IN_CREATE) > 0);
    for (int i = 0; i < 60; i++) {
        kin_task task;
        kin_group g = kin_group_open();

        snprintf(name, sizeof name, "%d", i);
        waiter.code = 1;
        kin_spawn(&g, wait_for_event, &waiter, .task = &task);
        CHECK_CODE(i % 3 ? kin_sleep(KIN_US(200)) : kin_yield(), 0);
        if (i % 2)
            make_file(name, "");
        CHECK_CODE(kin_cancel(&task, NULL), 0);
        if (i % 2 == 0)
            make_file(name, "");
        CHECK_CODE(kin_group_close(&g, 0), 0);
        if (waiter.code < 0) {
            CHECK_CODE(waiter.code, KIN_ECANCELED);
            CHECK_CODE(wait_for_event(&waiter), 0);
        }
        CHECK_CODE(waiter.code, 0);
        CHECK_STR(waiter.name, name);
    }
    CHECK_CODE(kin_file_watch_close(&waiter.watch), 0);
}

FILE_TEST(F1_one_waits_at_a_time_and_close_wakes_it)
{
    static struct waiter waiter;
    struct kin_file_event event;

    CHECK_CODE(kin_file_watch_open(&waiter.watch), 0);
    CHECK(kin_file_watch_add(&waiter.watch, ".", IN_CREATE) > 0);
    kin_group g = kin_group_open();
    kin_spawn(&g, wait_for_event, &waiter);
    while (!waiter.watch.busy)
        CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_file_watch_next(&waiter.watch, &event), KIN_EBUSY);
    CHECK_CODE(kin_file_watch_close(&waiter.watch), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(waiter.code, KIN_ECLOSED);
}

static int most_queued(void)
{
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    int n = 0;

    CHECK(file && fscanf(file, "%d", &n) == 1);
    fclose(file);
    return n;
}

FILE_TEST_LIMIT(E1_an_overflow_is_an_event, 60)
{
    int n = most_queued(), seen = 0;
    struct kin_file_event event;
    kin_file_watch watch;

    if (n > 100000)
        SKIP("the queue is too long here");
    CHECK_CODE(kin_file_watch_open(&watch), 0);
    CHECK(kin_file_watch_add(&watch, ".", IN_CREATE | IN_DELETE) > 0);
    for (int i = 0; i < n / 2 + 10; i++) {
        CHECK_INT(mknod("f", S_IFREG | 0600, 0), 0);
        CHECK_INT(unlink("f"), 0);
    }
    do {
        CHECK_CODE(kin_file_watch_next(&watch, &event), 0);
        seen++;
    } while (!(event.mask & IN_Q_OVERFLOW));
    CHECK_INT(event.id, -1);
    CHECK_INT(seen, n + 1);
    make_file("f", "");
    check_event(&watch, 1, IN_CREATE, "f");
    CHECK_CODE(kin_file_watch_close(&watch), 0);
}

FILE_TEST(E1_what_cannot_be_watched_has_its_code)
{
    kin_file_watch watch;

    fail_next("inotify", EMFILE, 1);
    CHECK_CODE(kin_file_watch_open(&watch), -EMFILE);
    CHECK_CODE(kin_file_watch_close(&watch), 0);
    CHECK_CODE(kin_file_watch_open(&watch), 0);
    CHECK_CODE(kin_file_watch_add(&watch, "none", IN_CREATE), -ENOENT);
    CHECK_CODE(kin_file_watch_add(&watch, ".", 0), -EINVAL);
    fail_next("file_watch", ENOSPC, 1);
    CHECK_CODE(kin_file_watch_add(&watch, ".", IN_CREATE), -ENOSPC);
    CHECK(kin_file_watch_add(&watch, ".", IN_CREATE) > 0);
    fail_next("read", EIO, on_uring() ? 0 : 1);
    if (!on_uring())
        CHECK_CODE(kin_file_watch_next(&watch, &(struct kin_file_event){ 0 }), -EIO);
    CHECK_CODE(kin_file_watch_close(&watch), 0);
    CHECK_CODE(kin_file_watch_add(&watch, ".", IN_CREATE), -EBADF);
}

/* The user's limit, of which others may have taken a part. */
FILE_TEST(E1_too_many_watches_are_a_code)
{
    static kin_file_watch watches[1024];
    int n = 0, rc = 0;

    while (n < 1024 && (rc = kin_file_watch_open(&watches[n])) == 0)
        n++;
    for (int i = 0; i < n; i++)
        CHECK_CODE(kin_file_watch_close(&watches[i]), 0);
    if (n == 1024)
        SKIP("the limit is too high here");
    CHECK_CODE(rc, -EMFILE);
    CHECK_CODE(kin_file_watch_close(&watches[n]), 0);
}

static int open_outside(void)
{
    kin_file_watch watch;

    return kin_file_watch_open(&watch);
}

static int open_inside(void *arg)
{
    (void)arg;
    return open_outside();
}

TEST(E1_without_descriptors_or_a_run)
{
    CHECK_CODE(open_outside(), KIN_ENORUN);
    CHECK_CODE(kin_run(open_inside, NULL, .backend = "virtual"), -ENOSYS);
}
