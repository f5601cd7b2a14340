/* Shared by the tests of files: each runs in a fresh directory, which must hold at its end
 * what it says, on the backend that KIN_BACKEND names. */
#ifndef FILE_TEST_H
#define FILE_TEST_H

#include "remote_test.h"

#include "kin_ext.h"
#include "kin_io.h"
#include "kin_os.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

/* The run's bell lives as long as the run: descriptors are counted around that. */
#define FILE_TEST(name) FILE_TEST_LIMIT(name, TAP_LIMIT)
#define FILE_TEST_LIMIT(name, seconds)                                                    \
    static void name##_body(void);                                                        \
    TEST_LIMIT(name, seconds)                                                             \
    {                                                                                     \
        char place[64];                                                                   \
        int before = open_descriptors();                                                  \
                                                                                          \
        enter_place(place);                                                               \
        test_body_real(name##_body);                                                      \
        kin__os_fault = NULL;                                                             \
        CHECK_INT(open_descriptors(), before);                                            \
        leave_place(place);                                                               \
    }                                                                                     \
    static void name##_body(void)

static inline void enter_place(char place[64])
{
    strcpy(place, "/tmp/kin-files-XXXXXX");
    CHECK(mkdtemp(place) != NULL);
    CHECK_INT(chdir(place), 0);
}

static inline int remove_one(const char *path, const struct stat *status, int what, struct FTW *at)
{
    (void)status, (void)what, (void)at;
    return remove(path);
}

static inline void leave_place(const char *place)
{
    CHECK_INT(chdir("/"), 0);
    CHECK_INT(nftw(place, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* How many entries the directory has. */
static inline int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = -2;

    CHECK(dir != NULL);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static sem_t go;
static _Atomic int occupied;

static inline int wait_for_go(void *arg)
{
    (void)arg;
    occupied++;
    while (sem_wait(&go) < 0)
        ;
    return 0;
}

static inline int occupy(void *arg)
{
    return kin_thread_run(wait_for_go, arg);
}

/* As many as a run may have: from then on jobs stand in line. */
static inline void occupy_all_threads(kin_group *group)
{
    sem_init(&go, 0, 0);
    occupied = 0;
    for (int n = 0; n < 40; n++)
        kin_spawn(group, occupy, NULL, .name = "occupy");
    while (occupied < 40)
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
}

static inline void free_threads(void)
{
    for (int n = 0; n < 40; n++)
        sem_post(&go);
}

static inline void make_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    CHECK(fd >= 0);
    CHECK_INT(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static inline void check_file(const char *path, const char *text)
{
    static char buffer[1 << 16];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    CHECK(fd >= 0);
    n = read(fd, buffer, sizeof buffer - 1);
    close(fd);
    CHECK(n >= 0);
    buffer[n] = '\0';
    CHECK_STR(buffer, text);
}

#endif
