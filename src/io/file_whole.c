/* A whole file: read into memory, or written in place of another.
 *
 * To write in place, so that at no moment, and after no crash, there is half a file: a new
 * one beside it, synced, renamed over the old one, and then the directory synced, without
 * which a crash may bring the old one back. The new one has a name of its own making, and
 * not the old one's with something behind it: that could be too long. The directory is
 * opened first, so that what can fail does before anything is changed.
 *
 * Up to the rename a cancellation takes everything back. The rename and what comes after is
 * behind a shield: by then it takes less time to go on than to find out where one is.
 */
#include "io/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { WHOLE_FIRST = 4096, NAME_TRIES = 16 };

/* ------------------------------------------------------------------- reading */

struct whole {
    char *data;
    size_t size, room, most;
};

/* One byte more than room: for the 0. */
static int make_room(struct whole *whole, size_t room)
{
    char *data = kin__io_fails("realloc", ENOMEM) ? NULL : realloc(whole->data, room + 1);

    if (!data)
        return -ENOMEM;
    whole->data = data;
    whole->room = room;
    return 0;
}

/* Up to one byte beyond the most there may be: its being there is what is wrong. */
static int make_more_room(struct whole *whole)
{
    size_t room = whole->room > whole->most / 2 ? whole->most + 1 : whole->room * 2;

    return make_room(whole, room);
}

/* What has a size has offsets, which the ring knows better than positions. */
static ssize_t read_next(int fd, const struct whole *whole, bool offsets)
{
    char *into = whole->data + whole->size;
    const size_t room = whole->room - whole->size;

    return offsets ? kin_read_at(fd, into, room, (int64_t)whole->size) : kin_read(fd, into, room);
}

/* Until the end, or until what its size was has been read: a file may grow for ever. The
 * sizes of those that the kernel makes up as it goes, as in /proc, are 0 or too large. */
static int read_on(int fd, struct whole *whole, size_t known)
{
    ssize_t n = 1;
    int rc = 0;

    while (rc == 0 && n > 0 && (known == 0 || whole->size < known)) {
        if (whole->size == whole->room)
            rc = make_more_room(whole);
        if (rc < 0)
            return rc;
        n = read_next(fd, whole, known);
        if (n > 0)
            whole->size += (size_t)n;
        if (whole->size > whole->most)
            rc = -EMSGSIZE;
    }
    return n < 0 ? (int)n : rc;
}

static int read_whole(int fd, struct whole *whole)
{
    struct stat status;
    size_t known;
    int rc;

    if (kin__io_fails("file_fstat", ENOMEM) || fstat(fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    known = S_ISREG(status.st_mode) ? (size_t)status.st_size : 0;
    if (known > whole->most)
        return -EMSGSIZE;
    if (known == 0)
        rc = make_room(whole, whole->most < WHOLE_FIRST ? whole->most + 1 : WHOLE_FIRST);
    else
        rc = make_room(whole, known);
    if (rc == 0)
        rc = read_on(fd, whole, known);
    if (rc == 0)
        whole->data[whole->size] = '\0';
    return rc;
}

int kin_read_file(const char *path, size_t most, char **data, size_t *size)
{
    struct whole whole = { .most = most ? most : KIN__WHOLE_MOST };
    int rc, fd = kin_open(path, O_RDONLY, 0);

    *data = NULL;
    *size = 0;
    if (fd < 0)
        return fd;
    rc = read_whole(fd, &whole);
    kin_close(fd);
    if (rc < 0) {
        free(whole.data);
        return rc;
    }
    *data = whole.data;
    *size = whole.size;
    return 0;
}

/* ------------------------------------------------------------------- writing */

struct replacement {
    const char *path;
    char *directory;            /* "…/", or "./" */
    char *temporary;
    size_t room;                /* for the name of the latter */
    int fd;                     /* of the directory */
};

static int name_both(struct replacement *r)
{
    const char *slash = strrchr(r->path, '/');
    size_t length = slash ? (size_t)(slash - r->path) + 1 : 2;

    r->room = length + sizeof ".kin-0123456789abcdef";
    r->directory = kin__os_alloc(length + 1 + r->room);
    if (!r->directory)
        return -ENOMEM;
    memcpy(r->directory, slash ? r->path : "./", length);
    r->temporary = r->directory + length + 1;
    return 0;
}

/* No secret: O_EXCL sees to it that nobody else's file is written. */
static void choose_name(struct replacement *r)
{
    static _Atomic uint64_t times;
    uint64_t number;

    if (kin__io_fails("getrandom", EAGAIN) || getrandom(&number, sizeof number, GRND_NONBLOCK) < 0)
        number = (uint64_t)kin_now() ^ (uint64_t)getpid() << 32 ^ times++;
    snprintf(r->temporary, r->room, "%s.kin-%016" PRIx64, r->directory, number);
}

static int open_temporary(struct replacement *r, mode_t mode)
{
    int fd = -EEXIST;

    for (int i = 0; i < NAME_TRIES && fd == -EEXIST; i++) {
        choose_name(r);
        fd = kin_open(r->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    }
    return fd;
}

/* Whatever happens: if not in the background, then here. */
static void remove_temporary(const struct replacement *r)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    int rc = kin_unlink(r->temporary);

    if (rc < 0 && rc != -ENOENT)
        unlink(r->temporary);
    kin_scope_close(&s, 0);
}

static int write_data(int fd, const char *data, size_t size)
{
    ssize_t n;

    for (size_t done = 0; done < size; done += (size_t)n) {
        n = kin_write_at(fd, data + done, size - done, (int64_t)done);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
    }
    return 0;
}

static int write_temporary(struct replacement *r, const void *data, size_t size, mode_t mode)
{
    int rc, closed, fd = open_temporary(r, mode);

    if (fd < 0)
        return fd;
    rc = write_data(fd, data, size);
    if (rc == 0)
        rc = kin_fsync(fd);
    closed = kin_close(fd);
    if (rc == 0)
        rc = closed;
    if (rc < 0)
        remove_temporary(r);
    return rc;
}

/* Some file systems have no fsync for directories. */
static int put_in_place(const struct replacement *r)
{
    int rc = kin_rename(r->temporary, r->path);

    if (rc < 0) {
        remove_temporary(r);
        return rc;
    }
    rc = kin_fsync(r->fd);
    return rc == -EINVAL ? 0 : rc;
}

static int replace(struct replacement *r, const void *data, size_t size, mode_t mode)
{
    int rc = write_temporary(r, data, size, mode);

    if (rc == 0) {
        kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
        rc = put_in_place(r);
        rc = kin_scope_close(&s, rc);
    }
    return rc;
}

int kin_write_file(const char *path, const void *data, size_t size, mode_t mode)
{
    struct replacement r = { .path = path };
    int rc = name_both(&r);

    if (rc < 0)
        return rc;
    r.fd = kin_open(r.directory, O_RDONLY | O_DIRECTORY, 0);
    if (r.fd >= 0) {
        rc = replace(&r, data, size, mode);
        kin_close(r.fd);
    } else {
        rc = r.fd;
    }
    kin__os_free(r.directory);
    return rc;
}
