/* A small file, whole. It is read to its end and not by the size that stat()
 * tells, which is 0 for pipes and for files of /proc. */
#include "readfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Fills the buffer as far as the file goes; the size, or -errno. */
static ssize_t read_some(int fd, char *buffer, size_t room)
{
    size_t size = 0;

    while (size < room) {
        ssize_t n = read(fd, buffer + size, room - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        size += (size_t)n;
    }
    return (ssize_t)size;
}

static int read_all(int fd, size_t most, char **data, size_t *size)
{
    size_t room = 4096;
    *data = NULL;
    *size = 0;

    for (;;) {
        char *grown = realloc(*data, room);
        if (grown == NULL)
            return -ENOMEM;
        *data = grown;
        ssize_t n = read_some(fd, *data + *size, room - *size);
        if (n < 0)
            return (int)n;
        *size += (size_t)n;
        if (*size > most)
            return -EFBIG;
        if (*size < room)
            return 0;
        room *= 2;
    }
}

int read_whole_file(const char *path, size_t most, char **data, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = read_all(fd, most, data, size);
    if (rc < 0) {
        free(*data);
        *data = NULL;
    }
    close(fd);
    return rc;
}
