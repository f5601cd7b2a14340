/* Calls of files in the ring.
 *
 * Each becomes one submission; backend_uring.c sends, completes and aborts it like any other.
 * The kernel has no operation for some of the calls, and an old kernel for fewer: -EINVAL,
 * which is had before any effect, sends the caller to a thread. Nothing is noted about
 * that: which kernel knows which operation would have to be asked at each run's beginning,
 * and those that know none of them are few.
 *
 * Reading and writing at the file's position is among what a thread does. Of a write that
 * was cut short by a full disk, or by a limit, the ring tells how much it wrote, but leaves
 * the position where it was (seen with Linux 6.18): the next write begins anew, and a file
 * that did not fit seems to be written, over and over in the same place.
 */
#include "io/file_uring.h"

#include <fcntl.h>
#include <liburing.h>
#include <sys/sysmacros.h>

static void file_transfer_fill(struct io_uring_sqe *sqe, const struct kin__file_call *call)
{
    const unsigned size = (unsigned)call->size;
    const uint64_t offset = (uint64_t)call->offset;

    if (call->what == KIN__FILE_READ)
        io_uring_prep_read(sqe, call->fd, call->into, size, offset);
    else
        io_uring_prep_write(sqe, call->fd, call->from, size, offset);
}

void kin__file_fill(struct io_uring_sqe *sqe, const struct kin__op *op)
{
    const struct kin__file_call *call = kin__container(op, struct kin__file_call, op);

    switch (call->what) {
    case KIN__FILE_OPEN:
        io_uring_prep_openat(sqe, AT_FDCWD, call->path, call->flags, call->mode);
        break;
    case KIN__FILE_SYNC:
        io_uring_prep_fsync(sqe, call->fd, call->flags ? IORING_FSYNC_DATASYNC : 0);
        break;
    case KIN__FILE_STAT:
        io_uring_prep_statx(sqe, AT_FDCWD, call->path, AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS,
                            call->ring);
        break;
    case KIN__FILE_RENAME:
        io_uring_prep_renameat(sqe, AT_FDCWD, call->path, AT_FDCWD, call->to, 0);
        break;
    case KIN__FILE_UNLINK:
        io_uring_prep_unlinkat(sqe, AT_FDCWD, call->path, call->flags);
        break;
    case KIN__FILE_MKDIR:
        io_uring_prep_mkdirat(sqe, AT_FDCWD, call->path, call->mode);
        break;
    default:
        file_transfer_fill(sqe, call);
    }
}

/* The kernel lets its own codes for "interrupted, to be made again" slip out. */
static bool was_interrupted(int result)
{
    return result == -EINTR || result == -ECANCELED || (result <= -512 && result >= -516);
}

int kin__file_outcome(const struct kin__op *op, int result)
{
    if (!was_interrupted(result))
        return result;
    return op->verdict ? op->verdict : -EINTR;
}

static struct timespec to_timespec(const struct statx_timestamp *time)
{
    return (struct timespec){ .tv_sec = time->tv_sec, .tv_nsec = time->tv_nsec };
}

static void to_stat(struct stat *status, const struct statx *from)
{
    *status = (struct stat){
        .st_dev = makedev(from->stx_dev_major, from->stx_dev_minor),
        .st_ino = from->stx_ino,
        .st_mode = from->stx_mode,
        .st_nlink = from->stx_nlink,
        .st_uid = from->stx_uid,
        .st_gid = from->stx_gid,
        .st_rdev = makedev(from->stx_rdev_major, from->stx_rdev_minor),
        .st_size = (off_t)from->stx_size,
        .st_blksize = (blksize_t)from->stx_blksize,
        .st_blocks = (blkcnt_t)from->stx_blocks,
        .st_atim = to_timespec(&from->stx_atime),
        .st_mtim = to_timespec(&from->stx_mtime),
        .st_ctim = to_timespec(&from->stx_ctime),
    };
}

static bool can_ring(const struct kin__file_call *call)
{
    switch (call->what) {
    case KIN__FILE_READ:
    case KIN__FILE_WRITE:
        return call->offset >= 0;
    case KIN__FILE_TRUNCATE:
    case KIN__FILE_LIST:
    case KIN__FILE_WATCH:
        return false;
    default:
        return true;
    }
}

int kin__file_in_ring(struct kin__file_call *call)
{
    struct statx statx;
    int rc;

    if (!can_ring(call))
        return -EINVAL;
    call->op = (struct kin__op){ .kind = KIN__OP_FILE, .fd = -1 };
    call->ring = &statx;
    rc = kin__op_perform_unclaimed(&call->op);
    if (rc == 0 && call->what == KIN__FILE_STAT)
        to_stat(call->status, &statx);
    return rc;
}
