/* The helpers of foreign_test.h. */
#include "foreign_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void await_descriptors(int wanted)
{
    for (int i = 0; i < 500 && open_descriptors() != wanted; i++)
        sleep_outside(10);
    CHECK_INT(open_descriptors(), wanted);
}

const char *server_address(const char *name)
{
    const char *value = getenv(name);

    if (!value)
        FAIL("%s is not set: run this by servers.py", name);
    return value;
}

pid_t server_pid(void)
{
    FILE *file = fopen(server_address("SERVER_PID"), "r");
    int pid = 0;

    CHECK(file != NULL);
    CHECK_INT(fscanf(file, "%d", &pid), 1);
    fclose(file);
    CHECK(pid > 1);
    return pid;
}

void sleep_outside(long ms)
{
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static void ignore(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

uint64_t sweep(int (*root)(void *arg), size_t place_of_k, size_t place_of_count)
{
    int before = open_descriptors();

    for (uint64_t k = 1; ; k++) {
        struct kin_faults faults = { 0 };
        char *memory = (char *)&faults;
        uint64_t count;

        tap_note("fault at %llu", (unsigned long long)k);
        memcpy(memory + place_of_k, &k, sizeof k);
        kin_run(root, NULL, .faults = &faults, .on_report = ignore);
        await_descriptors(before);
        memcpy(&count, memory + place_of_count, sizeof count);
        if (count < k)
            return k - 1;
    }
}

void in_many_orders(int (*root)(void *arg))
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        tap_note("seed %llu", (unsigned long long)seed);
        CHECK_CODE(kin_run(root, NULL, .seed = seed), 0);
    }
}
