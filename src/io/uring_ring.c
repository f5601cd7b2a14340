/* A ring of io_uring that works: made in the newest way that the kernel knows, and tried.
 */
#include "io/uring.h"

#include <time.h>

#define PROBE_DATA ((uint64_t)1)

/* The memory of rings counts against RLIMIT_MEMLOCK of all who are not privileged,
 * and that of rings that have ended is given back some milliseconds later only. */
static int init_ring(struct io_uring *ring, struct io_uring_params *params)
{
    const struct timespec moment = { .tv_nsec = 2000000 };
    int rc = io_uring_queue_init_params(KIN__SUBMISSIONS, ring, params);

    for (int i = 0; i < 50 && rc == -ENOMEM; i++) {
        nanosleep(&moment, NULL);
        rc = io_uring_queue_init_params(KIN__SUBMISSIONS, ring, params);
    }
    return rc;
}

/* The kernel's newest ways of being asked first: completions are worked off only when
 * we fetch them, by the one thread that submits. */
static int make_ring(struct io_uring *ring)
{
    static const unsigned ways[] = {
        IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
            IORING_SETUP_SUBMIT_ALL,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
        0,
    };
    int rc = -EINVAL;

    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && rc == -EINVAL; i++) {
        struct io_uring_params params = {
            .flags = ways[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
            .cq_entries = KIN__COMPLETIONS,
        };

        if (kin__io_fails("uring_setup", EPERM))
            return -errno;
        rc = init_ring(ring, &params);
    }
    return rc;
}

/* A ring that could be made may still be one that does not work. */
static int probe(struct io_uring *ring)
{
    const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
    struct __kernel_timespec limit = { .tv_sec = 1 };
    struct io_uring_cqe *cqe = NULL;
    struct io_uring_sqe *sqe;
    int rc;

    if ((ring->features & needed) != needed)
        return -ENOSYS;
    sqe = io_uring_get_sqe(ring);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data64(sqe, PROBE_DATA);
    do
        rc = kin__io_fails("uring_probe", EPERM)
                 ? -errno : io_uring_submit_and_wait_timeout(ring, &cqe, 1, &limit, NULL);
    while (rc == -EINTR);
    if (rc < 0)
        return rc;
    if (!cqe || cqe->user_data != PROBE_DATA)
        return -ENOSYS;
    io_uring_cqe_seen(ring, cqe);
    return 0;
}

int kin__uring_open(struct io_uring *ring)
{
    int rc = make_ring(ring);

    if (rc < 0)
        return rc;
    rc = probe(ring);
    if (rc < 0)
        io_uring_queue_exit(ring);
    else
        io_uring_register_ring_fd(ring);    /* saves a look-up a call; may fail */
    return rc;
}
