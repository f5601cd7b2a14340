/* Shared by the tests of the foreign libraries: what servers.py started, and how to be unkind
 * to it. */
#ifndef FOREIGN_TEST_H
#define FOREIGN_TEST_H

#include "io_test.h"

#include "kin_ext.h"

#include <signal.h>
#include <sys/types.h>

/* As IO_TEST; descriptors are counted around the run, since the bell of its threads lives as
 * long as that. */
#define FOREIGN_TEST(name) FOREIGN_TEST_LIMIT(name, 3 * TAP_LIMIT)
#define FOREIGN_TEST_LIMIT(name, seconds)                                                 \
    static void name##_body(void);                                                        \
    TEST_LIMIT(name, seconds)                                                             \
    {                                                                                     \
        int before = open_descriptors();                                                  \
                                                                                          \
        test_body_real(name##_body);                                                      \
        await_descriptors(before);                                                        \
    }                                                                                     \
    static void name##_body(void)

/* A job on a thread that was abandoned may hold one for a moment. */
void await_descriptors(int wanted);

/* The variable that servers.py has set. */
const char *server_address(const char *name);
pid_t server_pid(void);

/* Sleeps without kin, so that the run does not see what happens meanwhile. */
void sleep_outside(long ms);

/* Runs the root again and again, the k-th of something going wrong, until there are fewer than
 * k: how many. SWEEP(root, cancel_call, calls). */
#define SWEEP(root, what, count) \
    sweep(root, offsetof(struct kin_faults, what), offsetof(struct kin_faults, count))
uint64_t sweep(int (*root)(void *arg), size_t place_of_k, size_t place_of_count);
/* Runs it with one seed after the other; it must succeed. */
void in_many_orders(int (*root)(void *arg));

#endif
