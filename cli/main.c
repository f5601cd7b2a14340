/* The command kin: finds the subcommand. */
#include "fetch.h"

#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAP_KEPT (16 << 20)

/* Descriptors 0 to 2 that are closed would be given to the first files and sockets
 * that are opened, and our output would go there. They are taken up in the wrong
 * direction, so that using them is still the error that it was. */
static void take_closed_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

static void help(FILE *out)
{
    fputs("usage: kin fetch [options] URL...     fetch pages as one group\n"
          "       kin fetch                      show a run against a server of its own\n"
          "       kin fetch --help               all options\n"
          "       kin --version\n"
          "\n"
          "Items start together and end together: at most so many at a time, each with its\n"
          "own limit, all within one deadline, every one with exactly one outcome.\n"
          "The manual: man kin.\n",
          out);
}

static int finish_output(void)
{
    return fflush(stdout) == 0 ? EXIT_ALL_OK : EXIT_OWN_FAULT;
}

/* With each page OpenSSL frees its buffers, some of them at the end of the heap, which malloc
 * would give back to the system and take again, page by page: a twentieth of all the time. */
static void keep_heap(void)
{
#if defined __GLIBC__
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    mallopt(M_TOP_PAD, HEAP_KEPT / 16);
#endif
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    take_closed_streams();
    keep_heap();
    setlocale(LC_CTYPE, "");      /* libcurl converts international host names from it */
    if (strcmp(command, "fetch") == 0) {
        argv[1] = (char[]){ "kin fetch" };      /* getopt_long begins its complaints with it */
        return fetch_main(argc - 1, argv + 1);
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        help(stdout);
        return finish_output();
    }
    if (strcmp(command, "--version") == 0) {
        printf("kin %s\n", KIN_VERSION);
        return finish_output();
    }
    if (strcmp(command, "run") == 0)
        fputs("kin: 'kin run' is not there yet, only 'kin fetch'\n", stderr);
    else if (command[0] == '\0')
        help(stderr);
    else
        fprintf(stderr, "kin: unknown command '%s' (see kin --help)\n", command);
    return EXIT_USAGE;
}
