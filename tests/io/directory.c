/* Directories: their entries, in pieces. */
#include "file_test.h"

/* Reads all of a directory: how many entries, or a code. */
static int count_entries(const char *path)
{
    kin_directory directory;
    struct kin_entry entry;
    int n = 0, rc = kin_directory_open(&directory, path);

    while (rc == 0 && (rc = kin_directory_next(&directory, &entry)) > 0) {
        n++;
        rc = 0;
    }
    CHECK_CODE(kin_directory_close(&directory), 0);
    return rc < 0 ? rc : n;
}

FILE_TEST_LIMIT(C2_ten_thousand_entries_come_once_each, 60)
{
    enum { MANY = 10000 };
    static bool seen[MANY];
    kin_directory directory;
    struct kin_entry entry;
    char name[64];
    int number, n = 0;

    CHECK_INT(mkdir("d", 0700), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "d/entry-with-a-longer-name-%d", i);
        CHECK_INT(mknod(name, S_IFREG | 0600, 0), 0);
    }
    CHECK_CODE(kin_directory_open(&directory, "d"), 0);
    while (kin_directory_next(&directory, &entry) > 0) {
        CHECK_INT(sscanf(entry.name, "entry-with-a-longer-name-%d", &number), 1);
        CHECK(number >= 0 && number < MANY && !seen[number]);
        CHECK(S_ISREG(entry.type));
        seen[number] = true;
        n++;
    }
    CHECK_INT(n, MANY);
    CHECK_CODE(kin_directory_next(&directory, &entry), 0);
    CHECK_CODE(kin_directory_close(&directory), 0);
    CHECK_CODE(kin_directory_close(&directory), 0);
    CHECK_CODE(kin_directory_next(&directory, &entry), KIN_ECLOSED);
}

static void make_one_of_each(void)
{
    CHECK_INT(mkdir("directory", 0700), 0);
    make_file("file", "");
    CHECK_INT(symlink("nowhere", "link"), 0);
    CHECK_INT(mkfifo("fifo", 0600), 0);
}

static void check_types(void)
{
    kin_directory directory;
    struct kin_entry entry;
    struct stat status;
    int n = 0;

    CHECK_CODE(kin_directory_open(&directory, "."), 0);
    while (kin_directory_next(&directory, &entry) > 0) {
        CHECK_INT(lstat(entry.name, &status), 0);
        CHECK_INT(entry.type, status.st_mode & S_IFMT);
        CHECK_INT(entry.inode, status.st_ino);
        n++;
    }
    CHECK_INT(n, 4);
    CHECK_CODE(kin_directory_close(&directory), 0);
}

FILE_TEST(C2_an_entry_says_what_it_is)
{
    make_one_of_each();
    check_types();
    fail_next("directory_types", EIO, 1000);    /* a file system that does not say */
    check_types();
    CHECK(failed_so_far() > 0);
}

FILE_TEST(E1_directories_that_are_empty_or_gone_or_none)
{
    kin_directory directory;
    struct kin_entry entry;

    CHECK_INT(mkdir("d", 0700), 0);
    make_file("f", "");
    CHECK_CODE(count_entries("d"), 0);
    CHECK_CODE(count_entries("none"), -ENOENT);
    CHECK_CODE(count_entries("f"), -ENOTDIR);
    CHECK_CODE(kin_directory_open(&directory, "d"), 0);
    CHECK_CODE(kin_rmdir("d"), 0);
    CHECK_CODE(kin_directory_next(&directory, &entry), 0);
    CHECK_CODE(kin_directory_close(&directory), 0);
    CHECK_CODE(kin_directory_close(&(kin_directory){ 0 }), 0);
}

FILE_TEST(E1_whatever_cannot_be_had_is_told)
{
    make_one_of_each();
    for (int k = 0; k < 2; k++) {
        fail_later("file_list", EIO, k, 1);     /* the entries, and the end */
        CHECK_CODE(count_entries("."), -EIO);
        fail_next("file_list", EINTR, 3);
        CHECK_CODE(count_entries("."), 4);
    }
    fail_next("file_open", ENFILE, 1);
    CHECK_CODE(count_entries("."), -ENFILE);
}

static int list_all(void *arg)
{
    (void)arg;
    return count_entries(".");
}

TEST(Q4_whichever_request_or_call_fails_nothing_is_left)
{
    char place[64];

    enter_place(place);
    make_one_of_each();
    for (int what = 0; what < 3; what++) {
        uint64_t count = 0;

        for (uint64_t k = 1; k == 1 || k <= count + 1; k++) {
            struct kin_faults faults = { .fail_request = what == 0 ? k : 0,
                                         .cancel_call = what == 1 ? k : 0,
                                         .cancel_wait = what == 2 ? k : 0 };
            int before = open_descriptors();
            int rc = kin_run(list_all, NULL, .backend = test_backend(), .faults = &faults);

            CHECK_CODE(rc, rc > 0 ? 4 : what == 0 ? -ENOMEM : KIN_ECANCELED);
            CHECK_INT(open_descriptors(), before);
            count = what == 0 ? faults.requests : what == 1 ? faults.calls : faults.waits;
        }
        CHECK(count > 0);
    }
    leave_place(place);
}

static int next_of_it(void *arg)
{
    struct kin_entry entry;

    return kin_directory_next(arg, &entry);
}

/* What is to be read of it waits for a thread. */
static void open_and_occupy(kin_group *group, kin_directory *directory)
{
    make_one_of_each();
    CHECK_CODE(kin_directory_open(directory, "."), 0);
    occupy_all_threads(group);
}

FILE_TEST(E5_a_directory_is_for_one_task_at_a_time)
{
    kin_directory directory;
    kin_task task;

    kin_group g = kin_group_open();
    open_and_occupy(&g, &directory);
    kin_spawn(&g, next_of_it, &directory, .task = &task);
    while (!directory.busy)
        CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(next_of_it(&directory), KIN_EBUSY);
    CHECK_CODE(kin_directory_close(&directory), KIN_EBUSY);
    free_threads();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.code, 1);
    CHECK_CODE(kin_directory_close(&directory), 0);
}

/* A call that stands in line is called off, and has taken nothing. */
FILE_TEST(C7_a_call_that_has_not_begun_is_called_off)
{
    kin_directory directory;
    kin_task task;

    kin_group g = kin_group_open();
    open_and_occupy(&g, &directory);
    kin_spawn(&g, next_of_it, &directory, .task = &task);
    while (!directory.busy)
        CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    while (task.status == KIN_PENDING)
        CHECK_CODE(kin_yield(), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    free_threads();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 4; i++)
        CHECK_CODE(next_of_it(&directory), 1);
    CHECK_CODE(next_of_it(&directory), 0);
    CHECK_CODE(kin_directory_close(&directory), 0);
}

static int note_turn(void *arg)
{
    ++*(int *)arg;
    return 0;
}

/* T50 and its like: entries that are there are no reason to keep the others waiting. */
FILE_TEST(D4_who_lists_lets_others_run)
{
    kin_directory directory;
    struct kin_entry entry;
    char name[16];
    int turns = 0, at = 0;

    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "%d", i);
        make_file(name, "");
    }
    CHECK_CODE(kin_directory_open(&directory, "."), 0);
    CHECK_CODE(kin_directory_next(&directory, &entry), 1);
    kin_group g = kin_group_open();
    kin_spawn(&g, note_turn, &turns);
    while (kin_directory_next(&directory, &entry) > 0 && turns == 0)
        at++;
    CHECK_INT(turns, 1);
    CHECK(at <= 64);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_directory_close(&directory), 0);
}
