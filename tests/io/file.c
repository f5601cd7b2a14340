/* Files: open, read, write, and what is done to paths (docs/semantics.md C2, C7, F1, F2). */
#include "file_test.h"

#include "io/io.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* -------------------------------------------------------------- open, read, write */

FILE_TEST(C2_a_file_is_written_and_read_at_its_position)
{
    char buffer[32] = "";
    int fd = kin_open("f", O_RDWR | O_CREAT | O_APPEND, 0600);

    CHECK(fd >= 0);
    CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_INT(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND), O_APPEND);
    CHECK_CODE(kin_write_all(fd, "hello, ", 7, NULL), 0);
    CHECK_CODE(kin_write(fd, "world", 5), 5);
    CHECK_CODE(kin_read(fd, buffer, sizeof buffer), 0);
    CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
    CHECK_CODE(kin_read(fd, buffer, 7), 7);
    CHECK_CODE(kin_read(fd, buffer + 7, sizeof buffer - 7), 5);
    CHECK_STR(buffer, "hello, world");
    CHECK_CODE(kin_read(fd, buffer, 0), 0);
    CHECK_CODE(kin_fsync(fd), 0);
    CHECK_CODE(kin_fdatasync(fd), 0);
    CHECK_CODE(kin_close(fd), 0);
    check_file("f", "hello, world");
}

FILE_TEST(C2_a_large_file_is_written_and_read_whole)
{
    enum { LARGE = 9 << 20 };
    char *out = malloc(LARGE), *in;
    size_t done, size;
    int fd = kin_open("f", O_WRONLY | O_CREAT, 0600);

    CHECK(out != NULL);
    for (int i = 0; i < LARGE; i++)
        out[i] = (char)(i * 7 + i / 4096);
    CHECK_CODE(kin_write_all(fd, out, LARGE, &done), 0);
    CHECK_INT(done, LARGE);
    CHECK_CODE(kin_close(fd), 0);
    CHECK_CODE(kin_read_file("f", LARGE, &in, &size), 0);
    CHECK_INT(size, LARGE);
    CHECK(memcmp(in, out, LARGE) == 0);
    free(in);
    free(out);
}

/* F2: what kin did not open keeps its flags, and works too. */
FILE_TEST(F2_a_foreign_regular_file_is_read_and_written)
{
    char buffer[8] = "";
    int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    CHECK_CODE(kin_write(fd, "abc", 3), 3);
    CHECK_CODE(kin_write_at(fd, "xy", 2, 3), 2);
    CHECK_CODE(kin_read_at(fd, buffer, sizeof buffer, 1), 4);
    CHECK_STR(buffer, "bcxy");
    CHECK_CODE(kin_read(fd, buffer, 1), 1);
    CHECK_INT(buffer[0], 'x');
    CHECK_CODE(kin_close(fd), 0);
}

FILE_TEST(E1_what_cannot_be_opened_has_its_code)
{
    char name[300];

    memset(name, 'n', sizeof name);
    name[299] = '\0';
    make_file("f", "");
    CHECK_INT(symlink("f", "link"), 0);
    CHECK_CODE(kin_open("none", O_RDONLY, 0), -ENOENT);
    CHECK_CODE(kin_open("f/x", O_RDONLY, 0), -ENOTDIR);
    CHECK_CODE(kin_open(".", O_WRONLY, 0), -EISDIR);
    CHECK_CODE(kin_open("f", O_RDONLY | O_DIRECTORY, 0), -ENOTDIR);
    CHECK_CODE(kin_open("f", O_WRONLY | O_CREAT | O_EXCL, 0600), -EEXIST);
    CHECK_CODE(kin_open("link", O_RDONLY | O_NOFOLLOW, 0), -ELOOP);
    CHECK_CODE(kin_open(name, O_RDONLY, 0), -ENAMETOOLONG);
    CHECK_CODE(kin_open("", O_RDONLY, 0), -ENOENT);
    CHECK_CODE(kin_open(NULL, O_RDONLY, 0), KIN_EINVAL);
}

static void become_nobody(void)
{
    if (geteuid() == 0)
        CHECK_INT(seteuid(65534), 0);
}

static void become_root_again(void)
{
    if (getuid() == 0)
        CHECK_INT(seteuid(0), 0);
}

FILE_TEST(E1_what_one_may_not_do_has_its_code)
{
    int codes[4];

    make_file("f", "secret");
    CHECK_INT(chmod("f", 0), 0);
    CHECK_INT(mkdir("d", 0700), 0);
    CHECK_INT(chmod("d", 0), 0);
    CHECK_INT(chmod(".", 0555), 0);
    become_nobody();
    codes[0] = kin_open("f", O_RDONLY, 0);
    codes[1] = kin_open("new", O_WRONLY | O_CREAT, 0600);
    codes[2] = kin_write_file("new", "x", 1, 0600);
    codes[3] = kin_unlink("f");
    become_root_again();
    CHECK_INT(chmod(".", 0755), 0);
    for (int i = 0; i < 4; i++)
        CHECK_CODE(codes[i], -EACCES);
    CHECK_INT(entries("."), 2);
}

static rlim_t limit_descriptors(rlim_t most)
{
    struct rlimit limit;
    rlim_t before;

    getrlimit(RLIMIT_NOFILE, &limit);
    before = limit.rlim_cur;
    limit.rlim_cur = most;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

FILE_TEST(E1_EMFILE_loses_nothing)
{
    int fd, lowest;
    rlim_t before;

    make_file("f", "old");
    CHECK_CODE(kin_ftruncate(0, -1), -EINVAL);          /* now the bell is there */
    lowest = dup(0);
    close(lowest);
    before = limit_descriptors((rlim_t)lowest + 1);
    fd = kin_open("f", O_RDONLY, 0);
    CHECK_INT(fd, lowest);
    CHECK_CODE(kin_open("f", O_RDONLY, 0), -EMFILE);
    CHECK_CODE(kin_close(fd), 0);
    CHECK_CODE(kin_write_file("f", "new", 3, 0600), -EMFILE);   /* has to open two */
    limit_descriptors(before);
    check_file("f", "old");
    CHECK_INT(entries("."), 1);
}

FILE_TEST(E1_calls_on_what_is_closed)
{
    char c;

    CHECK_CODE(kin_read_at(-1, &c, 1, 0), -EBADF);
    CHECK_CODE(kin_write_at(9999, &c, 1, 0), -EBADF);
    CHECK_CODE(kin_ftruncate(-100, 0), -EBADF);
    CHECK_CODE(kin_fsync(-1), -EBADF);
    CHECK_CODE(kin_fdatasync(9999), -EBADF);
}

static int only_an_open(void *arg)
{
    (void)arg;
    return kin_open("/", O_RDONLY, 0);
}

TEST(E1_without_descriptors_or_a_run)
{
    CHECK_CODE(kin_run(only_an_open, NULL, .backend = "virtual", .on_error = NULL), -ENOSYS);
    CHECK_CODE(kin_open("/", O_RDONLY, 0), KIN_ENORUN);
    CHECK_CODE(kin_fsync(0), KIN_ENORUN);
    CHECK_CODE(kin_read_at(0, NULL, 0, 0), KIN_ENORUN);
}

/* ------------------------------------------------------------------ at an offset */

enum { PARTS = 64, PART = 1000 };

struct part {
    int fd, number;
    char bytes[PART];
};

static int write_part(void *arg)
{
    struct part *part = arg;

    memset(part->bytes, 'a' + part->number % 26, PART);
    return (int)kin_write_at(part->fd, part->bytes, PART, (int64_t)part->number * PART) - PART;
}

static int read_part(void *arg)
{
    struct part *part = arg;
    ssize_t n = kin_read_at(part->fd, part->bytes, PART, (int64_t)part->number * PART);

    return (int)n - PART;
}

FILE_TEST(C2_many_read_and_write_one_file_at_offsets_at_the_same_time)
{
    static struct part parts[PARTS];
    int fd = kin_open("f", O_RDWR | O_CREAT, 0600);

    for (int round = 0; round < 2; round++) {
        kin_group g = kin_group_open();

        for (int i = PARTS - 1; i >= 0; i--) {
            parts[i] = (struct part){ .fd = fd, .number = i };
            kin_spawn(&g, round ? read_part : write_part, &parts[i], .name = "part", .index = i);
        }
        CHECK_CODE(kin_group_close(&g, 0), 0);
    }
    for (int i = 0; i < PARTS; i++)
        CHECK(parts[i].bytes[0] == 'a' + i % 26 && parts[i].bytes[PART - 1] == 'a' + i % 26);
    CHECK_INT(lseek(fd, 0, SEEK_CUR), 0);
    CHECK_CODE(kin_close(fd), 0);
}

FILE_TEST(E1_offsets_beyond_the_end_below_zero_and_where_there_are_none)
{
    int fds[2], fd = kin_open("f", O_RDWR | O_CREAT, 0600);
    char buffer[4] = "xxx";

    CHECK_CODE(kin_write_at(fd, "z", 1, 100), 1);
    CHECK_CODE(kin_read_at(fd, buffer, 4, 98), 3);
    CHECK(memcmp(buffer, "\0\0z", 3) == 0);
    CHECK_CODE(kin_read_at(fd, buffer, 4, 101), 0);
    CHECK_CODE(kin_read_at(fd, buffer, 4, -1), KIN_EINVAL);
    CHECK_CODE(kin_write_at(fd, buffer, 4, -1), KIN_EINVAL);
    CHECK_CODE(kin_pipe(fds), 0);
    CHECK_CODE(kin_write_at(fds[1], "x", 1, 0), -ESPIPE);
    CHECK_CODE(kin_read_at(fds[0], buffer, 1, 0), -ESPIPE);
    close_both(fds);
    CHECK_CODE(kin_ftruncate(fd, 4), 0);
    CHECK_CODE(kin_read_at(fd, buffer, 4, 2), 2);
    CHECK_CODE(kin_ftruncate(fd, -4), -EINVAL);
    CHECK_CODE(kin_close(fd), 0);
}

/* --------------------------------------------------------------------- paths */

FILE_TEST(C2_stat_says_what_stat_says)
{
    static const char *const paths[] = { "f", ".", "/dev/null", "link", "/proc/self/status" };
    struct stat got, wanted;

    make_file("f", "12345");
    CHECK_INT(symlink("f", "link"), 0);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        CHECK_CODE(kin_stat(paths[i], &got), 0);
        CHECK_INT(stat(paths[i], &wanted), 0);
        CHECK_INT(got.st_dev, wanted.st_dev);
        CHECK_INT(got.st_ino, wanted.st_ino);
        CHECK_INT(got.st_mode, wanted.st_mode);
        CHECK_INT(got.st_nlink, wanted.st_nlink);
        CHECK_INT(got.st_uid, wanted.st_uid);
        CHECK_INT(got.st_gid, wanted.st_gid);
        CHECK_INT(got.st_rdev, wanted.st_rdev);
        CHECK_INT(got.st_size, wanted.st_size);
        CHECK_INT(got.st_blksize, wanted.st_blksize);
        CHECK_INT(got.st_blocks, wanted.st_blocks);
        CHECK_INT(got.st_mtim.tv_sec, wanted.st_mtim.tv_sec);
        CHECK_INT(got.st_mtim.tv_nsec, wanted.st_mtim.tv_nsec);
        CHECK_INT(got.st_ctim.tv_nsec, wanted.st_ctim.tv_nsec);
        CHECK_INT(got.st_atim.tv_nsec, wanted.st_atim.tv_nsec);
    }
    CHECK_CODE(kin_stat("none", &got), -ENOENT);
}

FILE_TEST(C2_paths_are_made_renamed_and_removed)
{
    CHECK_CODE(kin_mkdir("d", 0755), 0);
    CHECK_CODE(kin_mkdir("d", 0755), -EEXIST);
    make_file("d/f", "x");
    CHECK_CODE(kin_rmdir("d"), -ENOTEMPTY);
    CHECK_CODE(kin_unlink("d"), -EISDIR);
    CHECK_CODE(kin_rename("d/f", "g"), 0);
    CHECK_CODE(kin_rename("d/f", "g"), -ENOENT);
    CHECK_CODE(kin_rename("d", "d/e"), -EINVAL);
    CHECK_CODE(kin_rename("g", "/proc/g"), -EXDEV);
    check_file("g", "x");
    CHECK_CODE(kin_rmdir("g"), -ENOTDIR);
    CHECK_CODE(kin_rmdir("d"), 0);
    CHECK_CODE(kin_unlink("g"), 0);
    CHECK_CODE(kin_unlink("g"), -ENOENT);
    CHECK_INT(entries("."), 0);
}

/* ----------------------------------------------------- devices, /proc, directories */

FILE_TEST(C2_devices_and_what_the_kernel_makes_up)
{
    char buffer[64];
    int fd = kin_open("/dev/zero", O_RDONLY, 0);

    memset(buffer, 'x', sizeof buffer);
    CHECK_CODE(kin_read(fd, buffer, sizeof buffer), sizeof buffer);
    CHECK(buffer[0] == 0 && buffer[63] == 0);
    CHECK_CODE(kin_close(fd), 0);
    fd = kin_open("/dev/full", O_WRONLY, 0);
    CHECK_CODE(kin_write(fd, "x", 1), -ENOSPC);
    CHECK_CODE(kin_close(fd), 0);
    fd = kin_open("/proc/self/comm", O_RDONLY, 0);
    CHECK(kin_read(fd, buffer, sizeof buffer) > 0);
    CHECK_CODE(kin_read(fd, buffer, sizeof buffer), 0);
    CHECK_CODE(kin_close(fd), 0);
    fd = kin_open(".", O_RDONLY, 0);
    CHECK_CODE(kin_read(fd, buffer, sizeof buffer), -EISDIR);
    CHECK_CODE(kin_close(fd), 0);
}

struct reading {
    int fd;
    char buffer[16];
    ssize_t n;
};

static int read_once(void *arg)
{
    struct reading *reading = arg;

    reading->n = kin_read(reading->fd, reading->buffer, sizeof reading->buffer);
    return 0;
}

/* Nobody waits for the other end but the reader, and that is for the first writer. */
FILE_TEST(C7_a_fifo_without_a_writer_is_open_at_once_and_read_when_one_has_come)
{
    struct reading reading = { .n = 99 };
    kin_task task;
    int writer;

    CHECK_INT(mkfifo("fifo", 0600), 0);
    reading.fd = kin_open("fifo", O_RDONLY, 0);
    CHECK(reading.fd >= 0);
    for (int cancelled = 1; cancelled >= 0; cancelled--) {
        kin_group g = kin_group_open();

        kin_spawn(&g, read_once, &reading, .task = &task);
        CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
        CHECK_INT(task.status, KIN_PENDING);
        if (cancelled) {
            CHECK_CODE(kin_cancel(&task, NULL), 0);
        } else {
            writer = kin_open("fifo", O_WRONLY, 0);
            CHECK_CODE(kin_write(writer, "abc", 3), 3);
            CHECK_CODE(kin_close(writer), 0);
        }
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(reading.n, cancelled ? KIN_ECANCELED : 3);
    }
    CHECK_CODE(kin_read(reading.fd, reading.buffer, 1), 0);
    CHECK_CODE(kin_close(reading.fd), 0);
}

static int open_to_write(void *arg)
{
    int *fd = arg;

    *fd = kin_open("fifo", O_WRONLY, 0);
    return *fd < 0 ? *fd : 0;
}

FILE_TEST(C7_a_fifo_is_opened_for_writing_when_its_reader_has_come)
{
    int fd = -1, reader;

    CHECK_INT(mkfifo("fifo", 0600), 0);
    CHECK_CODE(kin_open("fifo", O_WRONLY | O_NONBLOCK, 0), -ENXIO);
    kin_scope s = kin_scope_open(.timeout = KIN_MS(20));
    CHECK_CODE(kin_scope_close(&s, open_to_write(&fd)), KIN_ETIMEDOUT);
    CHECK_CODE(fd, KIN_ECANCELED);
    kin_group g = kin_group_open();
    kin_spawn(&g, open_to_write, &fd);
    CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
    CHECK_CODE(fd, KIN_ECANCELED);
    reader = kin_open("fifo", O_RDONLY, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(fd >= 0);
    CHECK_CODE(kin_close(fd), 0);
    CHECK_CODE(kin_close(reader), 0);
    CHECK_CODE(kin_unlink("fifo"), 0);
}

FILE_TEST(E1_a_socket_is_no_file_to_be_opened)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
    int fd = kin_listen((struct sockaddr *)&address, sizeof address, 0);

    CHECK(fd >= 0);
    CHECK_CODE(kin_open("socket", O_RDWR, 0), -ENXIO);
    CHECK_CODE(kin_close(fd), 0);
}

/* -------------------------------------------------------------- what takes long */

static int lease_pipe[2];

/* The other process, asked to give the file up, takes until it is told. */
static void hold_lease(void)
{
    int fd = open("f", O_RDONLY | O_CLOEXEC);
    sigset_t set;
    char c = 1;

    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        c = 0;
    if (write(lease_pipe[1], &c, 1) != 1 || sigwaitinfo(&set, NULL) < 0 ||
        read(lease_pipe[1], &c, 1) != 1)
        _exit(1);
    fcntl(fd, F_SETLEASE, F_UNLCK);
    _exit(0);
}

static pid_t begin_lease(void)
{
    pid_t pid;
    char c = 0;

    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, lease_pipe), 0);
    pid = fork();
    if (pid == 0)
        hold_lease();
    CHECK_INT(read(lease_pipe[0], &c, 1), 1);
    if (!c) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        SKIP("no leases on this file system");
    }
    return pid;
}

static void end_lease(pid_t pid)
{
    int status;

    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    close(lease_pipe[0]);
    close(lease_pipe[1]);
}

static int open_leased(void *arg)
{
    int *fd = arg;

    *fd = kin_open("f", O_WRONLY, 0);
    return 0;
}

FILE_TEST(C7_an_open_that_takes_long_holds_up_nobody_else)
{
    int fd = -1, ticks;
    pid_t pid;

    make_file("f", "x");
    pid = begin_lease();
    kin_group g = kin_group_open();
    kin_spawn(&g, open_leased, &fd);
    for (ticks = 0; ticks < 50; ticks++)
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    CHECK_INT(fd, -1);
    CHECK_INT(write(lease_pipe[0], "", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(fd >= 0);
    CHECK_CODE(kin_close(fd), 0);
    end_lease(pid);
}

/* The kernel may have given up, or not; what it opened is the caller's. */
FILE_TEST(C7_an_open_cancelled_late_is_delivered_or_never_was)
{
    int fd = -1;
    kin_task task;
    pid_t pid;

    make_file("f", "x");
    pid = begin_lease();
    kin_group g = kin_group_open();
    kin_spawn(&g, open_leased, &fd, .task = &task);
    CHECK_CODE(kin_sleep(KIN_MS(20)), 0);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
    CHECK_INT(write(lease_pipe[0], "", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    if (fd >= 0)
        CHECK_CODE(kin_close(fd), 0);
    else
        CHECK_CODE(fd, KIN_ECANCELED);
    end_lease(pid);
}

/* --------------------------------------------------- closing, and too many at a time */

/* What they return is no descriptor's number. */
static int write_word(void *arg)
{
    int *fd = arg;

    *fd = -(int)kin_write_at(*fd, "word", 4, 0);
    return 0;
}

static int write_at_position(void *arg)
{
    int *fd = arg;

    *fd = -(int)kin_write(*fd, "word", 4);
    return 0;
}

static int close_it(void *arg)
{
    int *fd = arg;

    *fd = kin_close(*fd);
    return 0;
}

/* The ring may have been quick. */
static void check_number_is_taken(int fd, const int *closed)
{
    while (*closed == fd && !kin__io()->fds[fd].closing)
        CHECK_CODE(kin_yield(), 0);
    if (*closed == fd) {
        int other = open("other", O_WRONLY | O_CLOEXEC);

        CHECK(other != fd);
        close(other);
        CHECK_CODE(kin_fsync(fd), -EBADF);
        CHECK_CODE(kin_close(fd), -EBADF);
    }
}

/* All threads are busy: the write is in line, and must not go to who gets the number next. */
FILE_TEST(F1_a_closed_file_keeps_its_number_until_a_call_in_line_is_over)
{
    int (*const calls[])(void *) = { write_word, write_at_position };

    make_file("other", "");
    for (int i = 0; i < 2; i++) {
        int fd = kin_open("f", O_WRONLY | O_CREAT | O_TRUNC, 0600), file = fd, closed = fd;
        kin_group g = kin_group_open();

        occupy_all_threads(&g);
        kin_spawn(&g, calls[i], &file);
        while (file == fd && kin__io()->fds[fd].holds == 0)
            CHECK_CODE(kin_yield(), 0);
        kin_spawn(&g, close_it, &closed);
        check_number_is_taken(fd, &closed);
        free_threads();
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(closed, 0);
        CHECK_INT(file, -4);
        check_file("f", "word");
        check_file("other", "");
        CHECK_INT(open("other", O_RDONLY | O_CLOEXEC), fd);     /* free again */
        close(fd);
    }
}

FILE_TEST(F1_one_reads_at_the_position_at_a_time)
{
    struct reading reading;
    int fd;

    make_file("f", "ab");
    fd = reading.fd = kin_open("f", O_RDONLY, 0);
    fail_next("file_cached", EAGAIN, 1);        /* the first goes to a thread */
    kin_group g = kin_group_open();
    occupy_all_threads(&g);
    kin_spawn(&g, read_once, &reading);
    while (kin__io()->fds[fd].holds == 0)
        CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_read(fd, &(char){ 0 }, 1), KIN_EBUSY);
    free_threads();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(reading.n, 2);
    CHECK_CODE(kin_close(fd), 0);
}

/* ------------------------------------------------------------------ no room */

static void limit_size(rlim_t most)
{
    struct rlimit limit = { .rlim_cur = most, .rlim_max = RLIM_INFINITY };

    signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

FILE_TEST(C2_a_write_beyond_the_limit_is_short_and_then_fails)
{
    enum { LIMIT = 6000, SIZE = 10000 };
    static char text[SIZE];
    ssize_t got[6];
    size_t done = 0;
    int fd;

    fd = kin_open("f", O_WRONLY | O_CREAT, 0600);
    limit_size(LIMIT);
    got[0] = kin_write(fd, text, SIZE);
    got[1] = kin_write(fd, text, SIZE);
    got[2] = kin_write_at(fd, text, SIZE, LIMIT - 20);
    got[3] = kin_write_at(fd, text, SIZE, LIMIT);
    got[4] = lseek(fd, 10, SEEK_SET);
    got[5] = kin_write_all(fd, text, SIZE, &done);
    limit_size(RLIM_INFINITY);
    CHECK_CODE(got[0], LIMIT);
    CHECK_CODE(got[1], -EFBIG);
    CHECK_CODE(got[2], 20);
    CHECK_CODE(got[3], -EFBIG);
    CHECK_CODE(got[5], -EFBIG);
    CHECK_INT(done, LIMIT - 10);
    CHECK_CODE(kin_close(fd), 0);
}

static int fill_the_disk(void *arg)
{
    static char large[1 << 20];
    size_t done;
    int fd;

    (void)arg;
    fd = kin_open("full/f", O_WRONLY | O_CREAT, 0600);
    CHECK_CODE(kin_write_all(fd, large, sizeof large, &done), -ENOSPC);
    CHECK_INT(done, 65536);
    CHECK_CODE(kin_close(fd), 0);
    CHECK_CODE(kin_unlink("full/f"), 0);
    CHECK_CODE(kin_write_file("full/f", "old", 3, 0600), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_write_file("full/f", large, sizeof large, 0600), -ENOSPC);
        CHECK_INT(entries("full"), 1);
        check_file("full/f", "old");
    }
    CHECK_CODE(kin_write_file("full/f", "new", 3, 0600), 0);
    check_file("full/f", "new");
    return 0;
}

/* In name spaces of its own, so that nobody else sees what is mounted. */
TEST(E1_a_full_disk_leaves_the_old_file)
{
    char place[64];

    enter_place(place);
    CHECK_INT(mkdir("full", 0700), 0);
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "full", "tmpfs", 0, "size=65536") < 0) {
        leave_place(place);
        SKIP("may not mount");
    }
    CHECK_CODE(kin_run(fill_the_disk, NULL, .backend = test_backend()), 0);
    CHECK_INT(umount("full"), 0);
    leave_place(place);
}

/* -------------------------------------------------- failing: each site, each place */

/* Everything once; what remains is as it was. A code, or 0. */
static int use_everything(void *arg)
{
    struct stat status;
    char buffer[8], *data = NULL;
    size_t size;
    int fd, rc = kin_write_file("f", "0123456789", 10, 0600);

    (void)arg;
    if (rc == 0)
        rc = kin_read_file("f", 100, &data, &size);
    CHECK(rc == 0 ? size == 10 && strcmp(data, "0123456789") == 0 : data == NULL);
    free(data);
    if (rc == 0)
        rc = kin_stat("f", &status);
    if (rc < 0)
        return rc;
    fd = kin_open("f", O_RDWR, 0);
    if (fd < 0)
        return fd;
    rc = (int)kin_read(fd, buffer, 8);
    if (rc >= 0)
        rc = (int)kin_write_at(fd, "x", 1, 20);
    if (rc >= 0)
        rc = (int)kin_read_at(fd, buffer, 8, 2);
    if (rc >= 0)
        rc = kin_write_all(fd, "y", 1, NULL);
    if (rc >= 0)
        rc = kin_ftruncate(fd, 10);
    if (rc >= 0)
        rc = kin_fdatasync(fd);
    CHECK_CODE(kin_close(fd), 0);
    if (rc >= 0)
        rc = kin_mkdir("d", 0700);
    if (rc >= 0)
        rc = kin_rename("d", "e");
    if (rc >= 0)
        rc = kin_rmdir("e");
    return rc;
}

/* "f", and what a mkdir that was not taken back has left; no temporary file. */
static void check_left(void)
{
    rmdir("d");
    rmdir("e");
    CHECK(entries(".") <= 1);
    CHECK_INT(access(".", F_OK), 0);
    if (entries(".") == 1)
        CHECK_INT(unlink("f"), 0);
}

static int site_count, site_to_fail, site_error;

/* Every call of a file counts: the k-th fails. */
static bool fail_kth(const char *site)
{
    if (strncmp(site, "file_", 5) != 0 || strcmp(site, "file_ring") == 0 ||
        strcmp(site, "file_cached") == 0 || strcmp(site, "file_fstat") == 0)
        return false;
    if (++site_count != site_to_fail)
        return false;
    errno = site_error;
    return true;
}

FILE_TEST(E1_whichever_call_fails_is_told_and_leaves_nothing)
{
    int rc = -1;

    site_error = EIO;
    for (site_to_fail = 1; rc < 0; site_to_fail++) {
        tap_note("call %d fails", site_to_fail);
        site_count = 0;
        kin__os_fault = fail_kth;
        rc = use_everything(NULL);
        kin__os_fault = NULL;
        CHECK_CODE(rc, rc < 0 ? -EIO : 0);
        CHECK(rc < 0 || site_to_fail > 14);
        check_left();
    }
}

FILE_TEST(E1_whichever_call_is_interrupted_is_made_again)
{
    site_error = EINTR;
    site_count = 1;
    for (site_to_fail = 1; site_to_fail <= site_count; site_to_fail++) {
        tap_note("call %d is interrupted", site_to_fail);
        site_count = 0;
        kin__os_fault = fail_kth;
        CHECK_CODE(use_everything(NULL), 0);
        kin__os_fault = NULL;
        check_left();
    }
    CHECK(site_to_fail > 14);
}

/* An old kernel's ring, and one that cannot look without waiting. */
FILE_TEST(E1_what_the_kernel_lacks_a_thread_does)
{
    static const char *const sites[] = { "file_ring", "file_cached" };

    for (int i = 0; i < 2; i++) {
        fail_next(sites[i], i ? EAGAIN : EINVAL, 1000);
        CHECK_CODE(use_everything(NULL), 0);
        CHECK((failed_so_far() > 0) == (i == 1 || on_uring()));
        kin__os_fault = NULL;
        check_left();
    }
}

/* What cannot be looked at is read all the same. */
FILE_TEST(E1_an_open_file_whose_kind_is_not_known)
{
    char c = 0;
    int fd;

    make_file("f", "x");
    fail_next("file_fstat", EIO, 1);
    fd = kin_open("f", O_RDWR, 0);
    CHECK(fd >= 0);
    CHECK_CODE(kin_read(fd, &c, 1), 1);
    CHECK_INT(c, 'x');
    CHECK_CODE(kin_write_at(fd, "y", 1, 0), 1);
    CHECK_CODE(kin_close(fd), 0);
    fail_next("file_fstat", EIO, 1);
    CHECK_CODE(kin_read_at(0, &c, 1, 0), -EIO);
}

/* The first job of the process, and no thread for it: a code, and then it works. */
FILE_TEST(E1_no_thread_is_a_code)
{
    int fd;

    make_file("f", "");
    fd = open("f", O_WRONLY | O_CLOEXEC);
    fail_next("thread", EAGAIN, 1);
    CHECK_CODE(kin_ftruncate(fd, 5), -EAGAIN);
    CHECK_CODE(kin_ftruncate(fd, 5), 0);
    CHECK_CODE(kin_close(fd), 0);
    check_file("f", "");                /* five zeros */
}

/* Q4: the k-th request for memory fails, the k-th blocking call, the k-th wait. */
static void sweep(int what)
{
    char place[64];
    uint64_t count = 0;

    enter_place(place);
    for (uint64_t k = 1; k == 1 || k <= count + 1; k++) {
        struct kin_faults faults = { .fail_request = what == 0 ? k : 0,
                                     .cancel_call = what == 1 ? k : 0,
                                     .cancel_wait = what == 2 ? k : 0 };
        int before = open_descriptors(), rc;

        tap_note("sweep %d, %d", what, (int)k);
        rc = kin_run(use_everything, NULL, .backend = test_backend(), .faults = &faults);
        if (what == 0)
            CHECK_CODE(rc, rc == 0 ? 0 : -ENOMEM);
        else
            CHECK_CODE(rc, rc == 0 ? 0 : KIN_ECANCELED);
        CHECK_INT(open_descriptors(), before);
        check_left();
        count = what == 0 ? faults.requests : what == 1 ? faults.calls : faults.waits;
    }
    CHECK(count > 4);
    leave_place(place);
}

TEST_LIMIT(Q4_whichever_request_for_memory_fails_nothing_is_left, 60)
{
    sweep(0);
}

TEST_LIMIT(Q4_whichever_call_is_cancelled_nothing_is_left, 60)
{
    sweep(1);
}

TEST_LIMIT(Q4_whichever_wait_is_cancelled_nothing_is_left, 60)
{
    sweep(2);
}
