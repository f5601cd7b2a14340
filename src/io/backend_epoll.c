/* The backend on epoll.
 *
 * The system call is tried first; only where it would have to wait is the
 * descriptor registered, and the call is made again, here, when it is ready: the
 * waiter wakes up with the result.
 *
 * kin's own descriptors are registered once, for both directions, edge-triggered, so
 * that waiting costs no epoll_ctl; what the edges say is ready.c's. Closing takes the
 * registration away, but not if a child has inherited the file, hence the generation
 * in each event.
 *
 * Foreign descriptors may be closed and their numbers used again at any time. They
 * are asked for anew for each wait, with EPOLLONESHOT, whatever the table says
 * about them; that an older registration remains there or is gone both shows in the
 * error. With a watch they stay registered, level-triggered, until it is stopped.
 */
#include "io/io.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EVENTS = 128 };

#define OWN_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | (uint32_t)EPOLLET)

struct epoll {
    struct kin__io io;
    int fd;
    bool coarse;                /* no epoll_pwait2: milliseconds */
    struct epoll_event events[EVENTS];
};

static int epoll_open(struct kin__runtime *rt)
{
    struct epoll *epoll = kin__os_alloc(sizeof *epoll);
    int error;

    if (!epoll)
        return -ENOMEM;
    epoll->fd = kin__io_fails("epoll_create", EMFILE) ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (epoll->fd < 0) {
        error = errno;
        kin__os_free(epoll);
        return -error;
    }
    rt->backend_state = epoll;
    return 0;
}

static void epoll_close(struct kin__runtime *rt)
{
    struct epoll *epoll = rt->backend_state;

    close(epoll->fd);
    kin__io_end(&epoll->io);
    kin__os_free(epoll);
    rt->backend_state = NULL;
}

/* ------------------------------------------------------------ registration */

static uint32_t wanted(const struct kin__fd *slot)
{
    uint32_t events = slot->watch ? kin__io_poll_mask(slot->watch->events) : EPOLLONESHOT;

    if (slot->kind != KIN__FD_FOREIGN)
        return OWN_EVENTS;
    if (slot->reader && slot->reader->waiting)
        events |= kin__io_poll_mask(slot->reader->events);
    if (slot->writer && slot->writer->waiting)
        events |= kin__io_poll_mask(slot->writer->events);
    return events;
}

static int control(struct epoll *epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {
        .events = events,
        .data.u64 = (uint64_t)epoll->io.fds[fd].generation << 32 | (uint32_t)fd,
    };

    if (kin__io_fails("epoll_ctl", ENOMEM))
        return -errno;
    return epoll_ctl(epoll->fd, operation, fd, &event) < 0 ? -errno : 0;
}

/* What the table says may be wrong about a foreign descriptor. */
static int enlist(struct epoll *epoll, int fd, uint32_t events)
{
    struct kin__fd *slot = &epoll->io.fds[fd];
    int rc = control(epoll, slot->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, events);

    if (rc == -ENOENT)
        rc = control(epoll, EPOLL_CTL_ADD, fd, events);
    else if (rc == -EEXIST)
        rc = control(epoll, EPOLL_CTL_MOD, fd, events);
    slot->armed = rc == 0 ? events : 0;
    return rc;
}

static int enlist_for(struct epoll *epoll, const struct kin__op *op)
{
    struct kin__fd *slot = &epoll->io.fds[op->fd];

    if (kin__ready_told(slot, op))
        return 0;
    return enlist(epoll, op->fd, wanted(slot) | kin__io_poll_mask(op->events));
}

/* -------------------------------------------------------------- operations */

static bool epoll_start(struct kin__op *op)
{
    struct epoll *epoll = kin__rt->backend_state;
    struct kin__fd *slot = &epoll->io.fds[op->fd];

    op->result = kin__ready_dry(slot, op) ? -EAGAIN : kin__ready_attempt(slot, op);
    if (op->result != -EAGAIN)
        return true;
    op->result = enlist_for(epoll, op);
    return op->result < 0;
}

static bool epoll_abort(struct kin__op *op)
{
    (void)op;               /* nothing but the table knows of it */
    return true;
}

static bool epoll_forget(int fd)
{
    struct epoll *epoll = kin__rt->backend_state;

    epoll->io.fds[fd].armed = 0;
    return true;
}

/* ------------------------------------------------------------------ events */

static void retry(struct kin__fd *slot, struct kin__op *op)
{
    if (op && op->waiting)
        kin__ready_retry(slot, op);
}

static void call_watch(struct epoll *epoll, int fd, uint32_t events)
{
    struct kin_watch *watch = epoll->io.fds[fd].watch;
    unsigned ready = watch ? kin__io_events(events, watch->events) : 0;

    if (ready)
        watch->ready(watch, ready);
}

static void fail_waiters(struct kin__fd *slot, int code)
{
    if (slot->reader && slot->reader->waiting)
        kin__op_finish(slot->reader, code);
    if (slot->writer && slot->writer->waiting)
        kin__op_finish(slot->writer, code);
}

/* A one-shot registration sleeps after its event; one that serves a watch may have
 * served a waiter, too. */
static void renew(struct epoll *epoll, int fd)
{
    struct kin__fd *slot = &epoll->io.fds[fd];
    uint32_t events = wanted(slot);
    int rc;

    if (slot->kind != KIN__FD_FOREIGN || events == EPOLLONESHOT || events == slot->armed)
        return;
    rc = enlist(epoll, fd, events);
    if (rc < 0)
        fail_waiters(slot, rc);
}

static void dispatch(struct epoll *epoll, const struct epoll_event *event)
{
    int fd = (int)(uint32_t)event->data.u64;
    struct kin__fd *slot = &epoll->io.fds[fd];
    uint32_t events = event->events;

    if (slot->generation != event->data.u64 >> 32)
        return;
    kin__ready_note(slot, events);
    if (slot->armed & EPOLLONESHOT)
        slot->armed = EPOLLONESHOT;     /* registered still, asleep */
    if (events & ~(uint32_t)EPOLLOUT)
        retry(slot, slot->reader);
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        retry(slot, slot->writer);
    call_watch(epoll, fd, events);      /* may make the table grow */
    renew(epoll, fd);
}

static int wait_coarse(struct epoll *epoll, int64_t timeout)
{
    int64_t ms = timeout / KIN_MS(1) + (timeout % KIN_MS(1) != 0);   /* or the rest would spin */

    if (kin__io_fails("epoll_wait", EINTR))
        return -1;
    return epoll_wait(epoll->fd, epoll->events, EVENTS,
                      timeout == KIN_FOREVER ? -1 : ms > INT_MAX ? INT_MAX : (int)ms);
}

static int wait_events(struct epoll *epoll, int64_t timeout)
{
#ifdef SYS_epoll_pwait2
    struct timespec limit = { timeout / KIN_S(1), timeout % KIN_S(1) };
    long n;

    if (timeout > 0 && timeout != KIN_FOREVER && !epoll->coarse) {
        n = kin__io_fails("epoll_pwait2", ENOSYS)
                ? -1 : syscall(SYS_epoll_pwait2, epoll->fd, epoll->events, EVENTS, &limit, NULL, 0);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return (int)n;
        epoll->coarse = true;           /* an old kernel, or a container's filter */
    }
#endif
    return wait_coarse(epoll, timeout);
}

static void epoll_poll(struct kin__runtime *rt, int64_t timeout)
{
    struct epoll *epoll = rt->backend_state;
    int n = wait_events(epoll, timeout);

    if (n < 0 && errno != EINTR)
        kin__io_broken("epoll_wait", errno);
    epoll->io.polling = true;
    for (int i = 0; i < n; i++)
        dispatch(epoll, &epoll->events[i]);
    epoll->io.polling = false;
}

/* An epoll descriptor can be polled like others. */
static int epoll_descriptor(struct kin__runtime *rt)
{
    struct epoll *epoll = rt->backend_state;

    return epoll->fd;
}

/* ----------------------------------------------------------------- watches */

static int epoll_watch_set(struct kin_watch *watch)
{
    struct epoll *epoll = kin__rt->backend_state;
    struct kin__fd *slot = &epoll->io.fds[watch->fd];

    slot->kind = KIN__FD_FOREIGN;       /* edges are not for watches */
    return enlist(epoll, watch->fd, wanted(slot));
}

static void epoll_watch_stop(struct kin_watch *watch)
{
    struct epoll *epoll = kin__rt->backend_state;
    struct kin__fd *slot = &epoll->io.fds[watch->fd];
    uint32_t events = wanted(slot);

    if (events != EPOLLONESHOT) {       /* somebody waits, too */
        int rc = enlist(epoll, watch->fd, events);

        if (rc < 0)
            fail_waiters(slot, rc);
        return;
    }
    epoll_ctl(epoll->fd, EPOLL_CTL_DEL, watch->fd, &(struct epoll_event){ 0 });
    slot->armed = 0;
    slot->generation++;
}

const struct kin__io_backend kin__backend_epoll = {
    .base = { "epoll", epoll_open, epoll_close, epoll_poll },
    .start = epoll_start,
    .abort = epoll_abort,
    .forget = epoll_forget,
    .watch_set = epoll_watch_set,
    .watch_stop = epoll_watch_stop,
    .descriptor = epoll_descriptor,
};
