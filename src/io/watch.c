/* Watches: readiness of foreign descriptors for a library that does its own I/O.
 *
 * A watch stands in the table beside the descriptor's reader and writer, at most
 * one a descriptor. The backend reports readiness again and again while it lasts.
 * Whatever it has under way for a watch is in memory of its own, so that the
 * caller's may go at once when stop returns. The owner may close the descriptor
 * before or after it stops the watch: a watch on what is closed says nothing, and
 * when kin itself gets the number for something new, the watch is dropped.
 */
#include "io/io.h"

#include <sys/stat.h>

/* A regular file is ready all the time: a watch on it would be a busy loop. */
static bool always_ready(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

static int refused(const struct kin_watch *watch, unsigned events)
{
    struct kin__io *io = kin__rt ? kin__io() : NULL;
    int rc;

    if (!kin__rt)
        return kin__no_run();
    if (!watch->ready || (events & ~(KIN_READABLE | KIN_WRITABLE)))
        return KIN_EINVAL;
    if (!io)
        return -ENOSYS;
    rc = kin__fd_reserve(io, watch->fd);
    if (rc == 0 && io->fds[watch->fd].watch != watch && always_ready(watch->fd))
        return -EPERM;
    return rc;
}

int kin_watch_set(struct kin_watch *watch, unsigned events)
{
    unsigned before = watch->events;
    struct kin__fd *slot;
    bool started;
    int rc = refused(watch, events);

    if (rc < 0)
        return rc;
    if (events == 0) {
        kin_watch_stop(watch);
        return 0;
    }
    slot = &kin__io()->fds[watch->fd];
    if (slot->watch && slot->watch != watch)
        return KIN_EBUSY;
    started = !slot->watch;
    slot->watch = watch;
    watch->events = events;
    rc = kin__io_backend()->watch_set(watch);
    if (rc < 0) {
        watch->events = before;
        slot->watch = started ? NULL : watch;
    } else if (started) {
        kin__rt->outside++;
    }
    return rc;
}

void kin_watch_stop(struct kin_watch *watch)
{
    struct kin__fd *slot = kin__fd_known(watch->fd);

    if (!slot || slot->watch != watch)
        return;
    slot->watch = NULL;
    kin__rt->outside--;
    kin__io_backend()->watch_stop(watch);
    watch->backend = NULL;
    watch->events = 0;
}
