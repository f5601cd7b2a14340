/* Directories: their entries, in pieces of 32 KiB.
 *
 * An iterator and not an array: how large a directory is nobody knows before its end, and a
 * million names are no good reason for 100 MB. readdir() is not used, since it reads when it
 * likes to; getdents64 is what it is made of, and is called on a thread. What each entry
 * is, most file systems say along with its name; of the others the same job asks.
 */
#include "io/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

enum { PIECE = 32 * 1024 };

int kin_directory_open(kin_directory *directory, const char *path)
{
    int fd = kin_open(path, O_RDONLY | O_DIRECTORY, 0);

    *directory = (kin_directory){ .fd = fd };
    if (fd < 0)
        return fd;
    directory->buffer = kin__os_alloc(PIECE);
    if (directory->buffer)
        return 0;
    kin_close(fd);
    directory->fd = -1;
    return -ENOMEM;
}

/* 0 at the end, which a directory that was removed has at once. */
static int read_piece(kin_directory *directory)
{
    struct kin__file_call call = {
        .what = KIN__FILE_LIST, .fd = directory->fd, .into = directory->buffer, .size = PIECE,
        .flags = kin__io_fails("directory_types", EIO),
    };
    int n;

    directory->busy = true;
    n = kin__file_call(&call);
    directory->busy = false;
    if (n > 0) {
        directory->first = 0;
        directory->end = (size_t)n;
    }
    return n == -ENOENT ? 0 : n;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int kin_directory_next(kin_directory *directory, struct kin_entry *entry)
{
    const struct dirent64 *raw;
    int rc = kin__file_enter();

    if (rc < 0)
        return rc;
    if (directory->busy)
        return KIN_EBUSY;
    if (!directory->buffer)
        return KIN_ECLOSED;
    do {
        if (directory->first == directory->end && (rc = read_piece(directory)) <= 0)
            return rc;
        raw = (const struct dirent64 *)(void *)(directory->buffer + directory->first);
        directory->first += raw->d_reclen;
    } while (is_dot(raw->d_name));
    *entry = (struct kin_entry){ .name = raw->d_name, .type = (mode_t)DTTOIF(raw->d_type),
                                 .inode = raw->d_ino };
    return 1;
}

int kin_directory_close(kin_directory *directory)
{
    if (directory->busy)
        return KIN_EBUSY;
    if (directory->buffer)
        kin_close(directory->fd);
    kin__os_free(directory->buffer);
    *directory = (kin_directory){ .fd = -1 };
    return 0;
}
