/* A call of a file, so that the run's thread never waits for a disk: in the ring if there is
 * one that knows the call, else at once where that is certain not to wait, else on a thread.
 *
 * At once: a job on a thread costs some 10 us, a read of what is in the page cache less than
 * one. So reading, writing and opening are tried with the flags that make the kernel say
 * EAGAIN instead of waiting (RWF_NOWAIT, RESOLVE_CACHED), as the ring does by itself. Not all
 * file systems and kernels know these, and container filters may forbid the calls; some
 * kernels said "end of file" where the page was not there (5.9, 5.10). So a success is
 * believed, and of everything else the plain system call, on a thread, says what it is.
 *
 * A job is waited for when its caller is cancelled (KIN_THREAD_WAIT): it has effects, and
 * works on the caller's buffers. While a call is under way its descriptor is held: kin_close
 * waits for it, or a write still in line would go to whose file has the number next.
 *
 * The faults of tests are looked at in the run, before anything is done.
 */
#include "io/file.h"
#include "kin_os.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *const file_sites[] = {
    [KIN__FILE_OPEN] = "file_open",
    [KIN__FILE_READ] = "file_read",
    [KIN__FILE_WRITE] = "file_write",
    [KIN__FILE_SYNC] = "file_sync",
    [KIN__FILE_TRUNCATE] = "file_truncate",
    [KIN__FILE_STAT] = "file_stat",
    [KIN__FILE_RENAME] = "file_rename",
    [KIN__FILE_UNLINK] = "file_unlink",
    [KIN__FILE_MKDIR] = "file_mkdir",
    [KIN__FILE_LIST] = "file_list",
    [KIN__FILE_WATCH] = "file_watch",
};

/* --------------------------------------------------------------- on a thread */

/* Some file systems do not say what an entry is. */
static void find_types(const struct kin__file_call *call, ssize_t end)
{
    struct dirent64 *entry;
    struct stat status;

    for (ssize_t at = 0; at < end; at += entry->d_reclen) {
        entry = (struct dirent64 *)(void *)((char *)call->into + at);
        if (entry->d_type != DT_UNKNOWN && !call->flags)
            continue;
        entry->d_type = DT_UNKNOWN;
        if (fstatat(call->fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            entry->d_type = (unsigned char)IFTODT(status.st_mode);
    }
}

static ssize_t list(const struct kin__file_call *call)
{
    ssize_t n = syscall(SYS_getdents64, call->fd, call->into, call->size);

    find_types(call, n);
    return n;
}

static ssize_t plain_read(const struct kin__file_call *call)
{
    return call->offset < 0 ? read(call->fd, call->into, call->size)
                            : pread(call->fd, call->into, call->size, call->offset);
}

static ssize_t plain_write(const struct kin__file_call *call)
{
    return call->offset < 0 ? write(call->fd, call->from, call->size)
                            : pwrite(call->fd, call->from, call->size, call->offset);
}

static ssize_t plain(const struct kin__file_call *call)
{
    switch (call->what) {
    case KIN__FILE_OPEN: return open(call->path, call->flags, call->mode);
    case KIN__FILE_READ: return plain_read(call);
    case KIN__FILE_WRITE: return plain_write(call);
    case KIN__FILE_SYNC: return call->flags ? fdatasync(call->fd) : fsync(call->fd);
    case KIN__FILE_TRUNCATE: return ftruncate(call->fd, call->offset);
    case KIN__FILE_STAT: return stat(call->path, call->status);
    case KIN__FILE_RENAME: return rename(call->path, call->to);
    case KIN__FILE_UNLINK: return unlinkat(AT_FDCWD, call->path, call->flags);
    case KIN__FILE_MKDIR: return mkdir(call->path, call->mode);
    case KIN__FILE_LIST: return list(call);
    default: return inotify_add_watch(call->fd, call->path, call->mask);
    }
}

static int job(void *arg)
{
    const struct kin__file_call *call = arg;
    ssize_t n = plain(call);

    return n < 0 ? -errno : (int)n;
}

/* ------------------------------------------------------------------- at once */

static long open_cached(const struct kin__file_call *call)
{
    const struct open_how how = {
        .flags = (uint64_t)(unsigned)call->flags,
        .mode = call->flags & O_CREAT ? call->mode : 0,
        .resolve = RESOLVE_CACHED,
    };

    return syscall(SYS_openat2, AT_FDCWD, call->path, &how, sizeof how);
}

/* True: done, with the result. */
static bool done_at_once(const struct kin__file_call *call, int *result)
{
    const struct iovec piece = { call->into, call->size };
    long n = 0;

    if (call->what > KIN__FILE_WRITE || kin__io_fails("file_cached", EAGAIN))
        return false;
    if (call->what == KIN__FILE_OPEN && !(call->flags & O_NONBLOCK))
        return false;                   /* waits for a lease, wherever the name is */
    if (call->what == KIN__FILE_OPEN)
        n = open_cached(call);
    else if (call->what == KIN__FILE_READ)
        n = preadv2(call->fd, &piece, 1, call->offset, RWF_NOWAIT);
    else
        n = pwritev2(call->fd, &piece, 1, call->offset, RWF_NOWAIT);
    *result = (int)n;
    return n > 0 || (n == 0 && call->what == KIN__FILE_OPEN);
}

/* ------------------------------------------------------------------- the call */

int kin__file_enter(void)
{
    int rc = kin__call_begin();

    if (rc == 0)
        kin_wait_skip();
    return rc;
}

static int attempt_file_call(struct kin__file_call *call)
{
    const struct kin__io_backend *backend = kin__io_backend();
    int rc;

    if (kin__io_fails(file_sites[call->what], EIO))
        return -errno;
    if (backend->file_call) {
        rc = kin__io_fails("file_ring", EINVAL) ? -errno : backend->file_call(call);
        if (rc != -EINVAL && rc != -EOPNOTSUPP)
            return rc;
    }
    return done_at_once(call, &rc) ? rc : kin_thread_run(job, call);
}

static int enter_and_do(struct kin__file_call *call)
{
    int rc = kin__file_enter();

    while (rc == 0 && (rc = attempt_file_call(call)) == -EINTR)
        rc = kin_check();
    return rc;
}

int kin__file_call(struct kin__file_call *call)
{
    int rc;

    if (!kin__rt)
        return kin__no_run();
    if (!kin__io())
        return -ENOSYS;
    if (call->fd == KIN__FILE_PATH)
        return call->path ? enter_and_do(call) : KIN_EINVAL;
    rc = kin__fd_hold(call->fd);
    if (rc < 0)
        return rc;
    rc = enter_and_do(call);
    kin__fd_let_go(call->fd);
    return rc;
}
