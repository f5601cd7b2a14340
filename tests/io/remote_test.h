/* Shared by the tests of remotes. */
#ifndef REMOTE_TEST_H
#define REMOTE_TEST_H

#include "io_test.h"

#include "core/core.h"

#include <pthread.h>
#include <time.h>

/* The bell lives as long as the run: descriptors are counted around that. */
#define REMOTE_TEST(name)                                                                 \
    static void name##_body(void);                                                        \
    TEST(name)                                                                            \
    {                                                                                     \
        int before = open_descriptors();                                                  \
                                                                                          \
        test_body_real(name##_body);                                                      \
        kin__os_fault = NULL;                                                             \
        CHECK_INT(open_descriptors(), before);                                            \
    }                                                                                     \
    static void name##_body(void)

static inline pthread_t begin_thread(void *(*fn)(void *arg), void *arg)
{
    pthread_t thread;

    CHECK_INT(pthread_create(&thread, NULL, fn, arg), 0);
    return thread;
}

static inline void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

enum { CALLERS = 4 };       /* threads in a storm */

#endif
