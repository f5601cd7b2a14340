/* Runs a command and says what it took:
 *
 *     measure RESULT COMMAND…     writes "wall-seconds user sys peak-KiB status"
 *
 * A process inherits its parent's peak memory until exec; so whoever measures
 * small programs has to be small itself.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int run(char **command, struct rusage *usage)
{
    pid_t pid;
    int status;

    errno = posix_spawnp(&pid, command[0], NULL, NULL, command, environ);
    if (errno) {
        perror(command[0]);
        exit(127);
    }
    while (wait4(pid, &status, 0, usage) < 0) {
        if (errno != EINTR) {
            perror("wait4");
            exit(1);
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    struct rusage usage;

    if (argc < 3) {
        fprintf(stderr, "usage: measure RESULT COMMAND...\n");
        return 2;
    }
    FILE *result = fopen(argv[1], "we");
    if (!result) {
        perror(argv[1]);
        return 1;
    }
    double began = seconds_now();
    int status = run(argv + 2, &usage);
    fprintf(result, "%.6f %.6f %.6f %ld %d\n", seconds_now() - began, seconds(usage.ru_utime),
            seconds(usage.ru_stime), usage.ru_maxrss, status);
    return fclose(result) == 0 ? 0 : 1;
}
