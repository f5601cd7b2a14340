/* Watching files: an inotify descriptor of kin's own.
 *
 * It is like a pipe: it does not block, poll() and the ring know it, and a read gives whole
 * events, as many as fit. They are handed out one by one. Only adding a watch goes to the
 * disk, to find the file, and so to a thread; it ends with an id also when the caller is
 * cancelled late, since nobody else could take it away again.
 */
#include "io/file.h"

#include <limits.h>
#include <string.h>
#include <sys/inotify.h>

_Static_assert(sizeof ((kin_file_watch *)0)->buffer >= sizeof(struct inotify_event) + NAME_MAX + 1,
               "the longest event fits");

int kin_file_watch_open(kin_file_watch *watch)
{
    *watch = (kin_file_watch){ .fd = -1 };
    if (!kin__rt)
        return kin__no_run();
    if (!kin__io())
        return -ENOSYS;
    watch->fd = kin__io_fails("inotify", EMFILE) ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0)
        return -errno;
    kin__fd_adopt(watch->fd, KIN__FD_PIPE);
    return 0;
}

int kin_file_watch_add(kin_file_watch *watch, const char *path, uint32_t mask)
{
    struct kin__file_call call = { .what = KIN__FILE_WATCH, .fd = watch->fd, .path = path,
                                   .mask = mask };

    return kin__file_call(&call);
}

int kin_file_watch_remove(kin_file_watch *watch, int id)
{
    return inotify_rm_watch(watch->fd, id) < 0 ? -errno : 0;
}

/* The descriptor is free again when its reader is woken, the buffer when that has run. */
static int read_events(kin_file_watch *watch)
{
    ssize_t n;

    watch->busy = true;
    n = kin_read(watch->fd, watch->buffer, sizeof watch->buffer);
    watch->busy = false;
    watch->first = 0;
    watch->end = n > 0 ? (uint32_t)n : 0;
    return n < 0 ? (int)n : 0;
}

int kin_file_watch_next(kin_file_watch *watch, struct kin_file_event *event)
{
    const struct inotify_event *raw;
    int rc = kin__file_enter();

    if (rc == 0 && watch->busy)
        rc = KIN_EBUSY;
    if (rc == 0 && watch->first == watch->end)
        rc = read_events(watch);
    if (rc < 0)
        return rc;
    raw = (const void *)((const char *)watch->buffer + watch->first);
    watch->first += (uint32_t)sizeof *raw + raw->len;
    *event = (struct kin_file_event){ .id = raw->wd, .mask = raw->mask, .cookie = raw->cookie,
                                      .name = raw->len ? raw->name : "" };
    return 0;
}

int kin_file_watch_close(kin_file_watch *watch)
{
    int fd = watch->fd;

    watch->fd = -1;
    watch->first = watch->end = 0;
    return fd < 0 ? 0 : kin_close(fd);
}
