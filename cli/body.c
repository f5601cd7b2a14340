/* Bodies between their download and their turn to be printed.
 *
 * Results come out in input order, so a finished page may have to wait for a
 * slow one before it. A body keeps at most TAIL bytes in memory; what grows
 * beyond goes to the spool in pieces of that size, and once it is complete the
 * rest goes there too as soon as all bodies together hold more than HELD_MOST.
 * So memory is bounded by HELD_MOST plus TAIL for each page under way, whatever
 * the pages' sizes.
 *
 * The spool is one file without a name: it takes one descriptor, however many
 * bodies there are, and nothing is left behind even after kill -9. Pieces are
 * only ever added at its end, and a body remembers its own as extents. What has
 * been printed is given back by punching a hole, and when nothing is wanted any
 * more the file starts again from nothing, for file systems without holes.
 */
#include "body.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAIL (64u << 10)
#define HELD_MOST (8u << 20)

struct extent {
    uint64_t at, size;
};

/* Large and short-lived: $TMPDIR, else /var/tmp, which unlike /tmp is seldom memory. */
static int open_unnamed(void)
{
    const char *chosen = getenv("TMPDIR");
    const char *const places[] = { chosen != NULL ? chosen : "/var/tmp", "/tmp" };

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char name[4096] = "";
        int fd = open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            return fd;
        if (errno == EMFILE || errno == ENFILE ||
            strlen(places[i]) + sizeof "/kin-XXXXXX" > sizeof name)
            continue;
        strcat(strcat(name, places[i]), "/kin-XXXXXX");
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0) {
            unlink(name);
            return fd;
        }
    }
    return -errno;
}

static int spool_write(struct spool *spool, const char *data, size_t size)
{
    if (spool->fd < 0 && (spool->fd = open_unnamed()) < 0) {
        int rc = spool->fd;
        spool->fd = -1;
        return rc;
    }
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(spool->fd, data + done, size - done, (off_t)(spool->end + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

void spool_close(struct spool *spool)
{
    assert(spool->spooled == 0 && spool->held == 0);
    if (spool->fd >= 0)
        close(spool->fd);
    spool->fd = -1;
}

/* Room for one more extent; they grow at powers of two. */
static int reserve_extent(struct body *body)
{
    if ((body->count & (body->count - 1)) != 0)
        return 0;
    size_t room = body->count == 0 ? 1 : body->count * 2;
    struct extent *extents = realloc(body->extents, room * sizeof *extents);
    if (extents == NULL)
        return -ENOMEM;
    body->extents = extents;
    return 0;
}

/* Moves the tail to the spool. */
static int push_tail(struct spool *spool, struct body *body)
{
    int rc = reserve_extent(body);
    if (rc == 0)
        rc = spool_write(spool, body->data, body->size);
    if (rc < 0)
        return rc;
    struct extent *last = body->count > 0 ? &body->extents[body->count - 1] : NULL;
    if (last != NULL && last->at + last->size == spool->end)
        last->size += body->size;
    else
        body->extents[body->count++] = (struct extent){ spool->end, body->size };
    spool->end += body->size;
    spool->spooled += body->size;
    body->size = 0;
    return 0;
}

/* Makes the tail's room at least so large, up to TAIL. */
static int reserve_tail(struct spool *spool, struct body *body, size_t size)
{
    size_t room = body->room > 0 ? body->room : 1024;

    while (room < size && room < TAIL)
        room *= 2;
    if (room <= body->room)
        return 0;
    char *data = realloc(body->data, room);
    if (data == NULL)
        return -ENOMEM;
    spool->held += room - body->room;
    body->data = data;
    body->room = room;
    return 0;
}

int body_append(struct spool *spool, struct body *body, const void *data, size_t size)
{
    const char *from = data;

    while (size > 0) {
        int rc = reserve_tail(spool, body, body->size + size);
        if (rc == 0 && body->size == body->room)
            rc = push_tail(spool, body);
        if (rc < 0)
            return rc;
        size_t n = body->room - body->size < size ? body->room - body->size : size;
        memcpy(body->data + body->size, from, n);
        body->size += n;
        body->total += n;
        from += n;
        size -= n;
    }
    return 0;
}

static void free_tail(struct spool *spool, struct body *body)
{
    assert(spool->held >= body->room);
    spool->held -= body->room;
    free(body->data);
    body->data = NULL;
    body->size = body->room = 0;
}

int body_settle(struct spool *spool, struct body *body)
{
    if (spool->held <= HELD_MOST || body->size == 0)
        return 0;
    int rc = push_tail(spool, body);
    if (rc == 0)
        free_tail(spool, body);
    return rc;
}

static int read_extent(struct spool *spool, const struct extent *extent,
                       int (*take)(void *arg, const void *data, size_t size), void *arg)
{
    char buffer[16 << 10];

    for (uint64_t done = 0; done < extent->size;) {
        uint64_t left = extent->size - done;
        ssize_t n = pread(spool->fd, buffer, left < sizeof buffer ? (size_t)left : sizeof buffer,
                          (off_t)(extent->at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        int rc = take(arg, buffer, (size_t)n);
        if (rc < 0)
            return rc;
        done += (uint64_t)n;
    }
    return 0;
}

int body_read(struct spool *spool, const struct body *body,
              int (*take)(void *arg, const void *data, size_t size), void *arg)
{
    for (size_t i = 0; i < body->count; i++) {
        int rc = read_extent(spool, &body->extents[i], take, arg);
        if (rc < 0)
            return rc;
    }
    return body->size > 0 ? take(arg, body->data, body->size) : 0;
}

void body_clear(struct spool *spool, struct body *body)
{
    for (size_t i = 0; i < body->count; i++) {
        spool->spooled -= body->extents[i].size;
        /* Where holes cannot be punched the file just stays long for a while. */
        (void)fallocate(spool->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)body->extents[i].at, (off_t)body->extents[i].size);
    }
    if (body->count > 0 && spool->spooled == 0) {
        (void)!ftruncate(spool->fd, 0);
        spool->end = 0;
    }
    free_tail(spool, body);
    free(body->extents);
    *body = (struct body){ 0 };
}
