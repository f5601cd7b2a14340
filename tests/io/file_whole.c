/* Whole files: read into memory, written in place of another. */
#include "file_test.h"

static void check_read(const char *path, size_t most, const char *text)
{
    char *data;
    size_t size;

    CHECK_CODE(kin_read_file(path, most, &data, &size), 0);
    CHECK_INT(size, strlen(text));
    CHECK_STR(data, text);
    free(data);
}

static int read_code(const char *path, size_t most)
{
    char *data = (char *)"";
    size_t size = 7;
    int rc = kin_read_file(path, most, &data, &size);

    if (rc < 0)
        CHECK(data == NULL && size == 0);
    else
        free(data);
    return rc;
}

FILE_TEST(E1_a_file_is_read_whole_up_to_a_limit)
{
    make_file("empty", "");
    make_file("f", "0123456789");
    check_read("empty", 0, "");
    check_read("empty", 100, "");
    check_read("f", 10, "0123456789");
    check_read("f", SIZE_MAX, "0123456789");
    CHECK_CODE(read_code("f", 9), -EMSGSIZE);
    CHECK_CODE(read_code("f", 1), -EMSGSIZE);
    CHECK_INT(truncate("empty", 16 << 20), 0);
    CHECK_CODE(read_code("empty", 0), 0);
    CHECK_INT(truncate("empty", (16 << 20) + 1), 0);
    CHECK_CODE(read_code("empty", 0), -EMSGSIZE);
    CHECK_CODE(read_code("none", 9), -ENOENT);
    CHECK_CODE(read_code(".", 9), -EISDIR);
}

/* Their sizes are said to be 0, or are not known. */
FILE_TEST(E1_what_has_no_size_is_read_to_its_end_or_the_limit)
{
    char *data;
    size_t size;

    CHECK_CODE(kin_read_file("/proc/version", 1 << 20, &data, &size), 0);
    CHECK_HAS(data, "Linux");
    CHECK_INT(strlen(data), size);
    free(data);
    CHECK_CODE(read_code("/proc/version", size), 0);
    CHECK_CODE(read_code("/proc/version", size - 1), -EMSGSIZE);
    CHECK_CODE(read_code("/proc/version", 1), -EMSGSIZE);
    CHECK_CODE(read_code("/dev/zero", 100000), -EMSGSIZE);
    CHECK_CODE(read_code("/dev/zero", 0), -EMSGSIZE);
    check_read("/dev/null", 0, "");
}

/* A file that grows all the time has an end, too. */
FILE_TEST(E1_what_is_read_is_what_the_size_was)
{
    char *data;
    size_t size;

    make_file("f", "0123456789");
    CHECK_CODE(truncate("f", 100000), 0);
    CHECK_CODE(kin_read_file("f", 100000, &data, &size), 0);
    CHECK_INT(size, 100000);
    CHECK_INT(memcmp(data, "0123456789\0\0", 12), 0);
    free(data);
}

FILE_TEST(E1_no_memory_for_a_file)
{
    make_file("f", "0123456789");
    for (int k = 0; k < 8; k++) {
        int rc;

        fail_later("realloc", ENOMEM, k, 1);
        rc = read_code("/proc/self/status", 1 << 20);
        CHECK_CODE(rc, failed_so_far() ? -ENOMEM : 0);
        fail_next("realloc", ENOMEM, 1);
        CHECK_CODE(read_code("f", 100), -ENOMEM);
    }
}

static int write_pieces(void *arg)
{
    int fd = kin_open("fifo", O_WRONLY, 0);

    (void)arg;
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_write(fd, "abc", 3), 3);
        CHECK_CODE(kin_sleep(KIN_MS(2)), 0);
    }
    return kin_close(fd);
}

FILE_TEST(C2_a_fifo_is_read_until_its_writer_has_gone)
{
    CHECK_INT(mkfifo("fifo", 0600), 0);
    kin_group g = kin_group_open();
    kin_spawn(&g, write_pieces, NULL);
    check_read("fifo", 100, "abcabcabc");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    kin_scope s = kin_scope_open(.timeout = KIN_MS(10));
    CHECK_CODE(kin_scope_close(&s, read_code("fifo", 10)), KIN_ETIMEDOUT);
}

/* -------------------------------------------------------------------- writing */

FILE_TEST(E1_a_file_is_written_in_place_of_the_old_one)
{
    struct stat status;
    mode_t mask = umask(022);

    CHECK_CODE(kin_write_file("f", "one", 3, 0666), 0);
    check_file("f", "one");
    CHECK_INT(stat("f", &status), 0);
    CHECK_INT(status.st_mode & 07777, 0644);
    CHECK_INT(link("f", "same"), 0);
    CHECK_CODE(kin_write_file("f", "", 0, 0600), 0);
    check_file("f", "");
    check_file("same", "one");          /* who had the old one keeps it */
    CHECK_INT(mkdir("d", 0700), 0);
    CHECK_CODE(kin_write_file("d/f", "three", 5, 0600), 0);
    check_file("d/f", "three");
    CHECK_CODE(kin_write_file("./d/../g", "four", 4, 0600), 0);
    check_file("g", "four");
    CHECK_INT(entries("."), 4);
    CHECK_INT(entries("d"), 1);
    umask(mask);
}

FILE_TEST(E1_a_name_may_be_as_long_as_names_may_be)
{
    char name[256];

    memset(name, 'n', 255);
    name[255] = '\0';
    CHECK_CODE(kin_write_file(name, "x", 1, 0600), 0);
    check_file(name, "x");
}

FILE_TEST(E1_what_cannot_be_written_leaves_nothing)
{
    char name[300];

    memset(name, 'n', 299);
    name[299] = '\0';
    CHECK_INT(mkdir("d", 0700), 0);
    make_file("f", "old");
    CHECK_CODE(kin_write_file("d", "x", 1, 0600), -EISDIR);
    CHECK_CODE(kin_write_file("d/", "x", 1, 0600), -ENOTDIR);
    CHECK_CODE(kin_write_file("none/f", "x", 1, 0600), -ENOENT);
    CHECK_CODE(kin_write_file("f/f", "x", 1, 0600), -ENOTDIR);
    CHECK_CODE(kin_write_file("", "x", 1, 0600), -ENOENT);
    CHECK_CODE(kin_write_file(name, "x", 1, 0600), -ENAMETOOLONG);
    CHECK_INT(entries("."), 2);
    CHECK_INT(entries("d"), 0);
    check_file("f", "old");
}

/* Each step fails: the old file stands, but after the last step the new one. */
FILE_TEST(E1_a_step_that_fails_leaves_the_old_file)
{
    static const struct {
        const char *site;
        int skip;
        const char *left;
    } steps[] = {
        { "file_open", 0, "old" }, { "file_open", 1, "old" },
        { "file_sync", 0, "old" }, { "file_rename", 0, "old" },
        { "file_sync", 1, "new" },
    };

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        tap_note("%s %d", steps[i].site, steps[i].skip);
        make_file("f", "old");
        fail_later(steps[i].site, EIO, steps[i].skip, 1);
        CHECK_CODE(kin_write_file("f", "new", 3, 0600), -EIO);
        CHECK_INT(failed_so_far(), 1);
        kin__os_fault = NULL;
        check_file("f", steps[i].left);
        CHECK_INT(entries("."), 1);
    }
}

/* The rename fails, and what shall take it back as well. */
static bool fail_rename_and_unlink(const char *site)
{
    errno = EIO;
    return strcmp(site, "file_rename") == 0 || strcmp(site, "file_unlink") == 0;
}

FILE_TEST(E1_the_temporary_goes_also_where_it_cannot_in_the_background)
{
    make_file("f", "old");
    kin__os_fault = fail_rename_and_unlink;
    CHECK_CODE(kin_write_file("f", "new", 3, 0600), -EIO);
    kin__os_fault = NULL;
    CHECK_INT(entries("."), 1);
    check_file("f", "old");
}

FILE_TEST(E1_a_directory_that_knows_no_sync_is_no_failure)
{
    fail_later("file_sync", EINVAL, 1, 1);
    CHECK_CODE(kin_write_file("f", "new", 3, 0600), 0);
    CHECK_INT(failed_so_far(), 1);
    check_file("f", "new");
}

FILE_TEST(E1_names_without_the_kernel_s_chance)
{
    fail_next("getrandom", EAGAIN, 100);
    for (int i = 0; i < 10; i++)
        CHECK_CODE(kin_write_file("f", "new", 3, 0600), 0);
    CHECK_INT(failed_so_far(), 10);
    CHECK_INT(entries("."), 1);
    fail_later("file_open", EEXIST, 1, 3);      /* the names were taken */
    CHECK_CODE(kin_write_file("f", "new", 3, 0600), 0);
    fail_later("file_open", EEXIST, 1, 1000);
    CHECK_CODE(kin_write_file("f", "new", 3, 0600), -EEXIST);
    CHECK_INT(entries("."), 1);
}

struct writer {
    char *text;
    size_t size;
};

static int write_one(void *arg)
{
    struct writer *writer = arg;

    return kin_write_file("f", writer->text, writer->size, 0600);
}

static int read_while_written(void *arg)
{
    const bool *over = arg;
    char *data;
    size_t size;
    int rc = 0;

    while (!*over && rc == 0) {
        rc = kin_read_file("f", 1 << 20, &data, &size);
        if (rc < 0)
            break;
        for (size_t i = 0; i < size; i++)
            CHECK(data[i] == data[0]);
        CHECK_INT(size, (size_t)(data[0] - 'a' + 1) * 1000);
        free(data);
    }
    return rc;
}

static int write_all_of_them(void *arg)
{
    static struct writer writers[16];
    kin_group g = kin_group_open();

    (void)arg;
    for (int i = 0; i < 16; i++) {
        writers[i].size = (size_t)(i + 1) * 1000;
        writers[i].text = malloc(writers[i].size);
        memset(writers[i].text, 'a' + i, writers[i].size);
        kin_spawn(&g, write_one, &writers[i]);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 16; i++)
        free(writers[i].text);
    return 0;
}

FILE_TEST(E1_a_reader_sees_one_whole_file_or_another)
{
    bool over = false;

    CHECK_CODE(kin_write_file("f", "a", 0, 0600), 0);
    CHECK_CODE(write_all_of_them(NULL), 0);
    kin_group g = kin_group_open();
    kin_spawn(&g, read_while_written, &over);
    CHECK_CODE(write_all_of_them(NULL), 0);
    over = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(entries("."), 1);
}
