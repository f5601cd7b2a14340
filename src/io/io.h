/* Descriptors: what the files of src/io share with each other and with the two backends.
 *
 * An operation is one blocking call on one descriptor. Its record lies on the
 * caller's stack around the wait record; the backend links nothing else. The
 * runtime keeps a table of descriptors, indexed by number, that says who is
 * reading and who is writing (one each), who uses the number without either (calls of
 * files, see file.h), and what the backend knows about it.
 *
 * A descriptor that kin made or adopted is its own: it does not block, its kind is known,
 * and nobody closes it behind kin's back. So the kernel is asked once, and what its events
 * have said is remembered (ready.c). Every other is foreign: its flags are not touched,
 * nothing about it is remembered from one call to the next, since its owner may close it
 * and get the same number for something else.
 *
 * Life of an operation: claimed (it is the descriptor's reader or writer), started
 * (the backend did it at once, or has it under way), finished (result handed to
 * the waiter) or aborted.
 */
#ifndef KIN__IO_H
#define KIN__IO_H

#include "core/core.h"

#include <errno.h>
#include <semaphore.h>

enum kin__op_kind {
    KIN__OP_POLL, KIN__OP_READ, KIN__OP_WRITE, KIN__OP_ACCEPT, KIN__OP_WATCH,
    KIN__OP_FILE,               /* see file.h */
    KIN__OP_RECEIVE_MESSAGE, KIN__OP_SEND_MESSAGE       /* stay the last, see syscall.c */
};

enum kin__fd_kind {
    KIN__FD_FOREIGN,
    /* made by kin */
    KIN__FD_TCP,
    KIN__FD_SOCKET,
    KIN__FD_DATAGRAM,
    KIN__FD_PIPE,               /* or inotify's */
    KIN__FD_FILE,               /* has no readiness; also what a foreign one turns out to be */
    /* what a foreign one turns out to be, for the time of one call */
    KIN__FD_STREAM              /* terminal, pipe, device: may be in blocking mode */
};

struct kin__op {
    struct kin_wait wait;
    int fd;
    uint8_t kind, fd_kind;
    uint8_t place;              /* of backend_uring.c */
    bool waiting;               /* parked */
    bool keep;                  /* stays claimed when finished; the caller releases it */
    bool direct;                /* uring: only readiness is the kernel's, the call is made here */
    bool sure;                  /* poll: the descriptor is the one that the table knows */
    unsigned events;            /* KIN_READABLE, KIN_WRITABLE */
    union {
        void *into;
        const void *from;
        struct msghdr *message;
    };
    size_t size;
    int flags;                  /* of a message */
    int result;                 /* when started and done at once */
    int verdict;                /* asked to give up: with this code; 0: not asked */
    void (*evicted)(struct kin__op *op);        /* closed while it was held, but not waiting */
};

struct kin__fd {
    struct kin__op *reader, *writer;
    struct kin_watch *watch;
    struct kin_wait *closer;    /* kin_close, until the kernel has let go */
    uint32_t generation;        /* tells old events from new ones */
    uint32_t armed;             /* events that the kernel will tell of; 0: not registered */
    uint8_t kind;
    uint8_t asked;              /* uring: polls for readability so far, see uring_submit.c */
    uint8_t dry;                /* directions known to have nothing, until an event */
    bool ended;                 /* half-closed, or urgent data: short reads say nothing */
    bool closing;               /* to be closed when the last operation has ended */
    uint32_t holds;             /* calls of file.h that use the number */
};

/* What both backends' states begin with; rt->backend_state points to it. */
struct kin__io {
    struct kin__fd *fds;
    int count;
    unsigned waiting;           /* parked operations */
    unsigned closing;           /* descriptors that the kernel still holds */
    bool polling;               /* hooks are being called, which must not park */
};

struct kin__file_call;

struct kin__io_backend {
    struct kin__backend base;
    /* Does the claimed operation: true, with op->result, or false: it is under way and
     * will be finished from poll(). */
    bool (*start)(struct kin__op *op);
    /* True: it is off. False: asked; it is finished from poll(). Never asked twice. */
    bool (*abort)(struct kin__op *op);
    /* A descriptor in the table is given up: what the kernel holds of it is asked for; as long
     * as it does, the slot is armed. False: it could not be asked; where the descriptor is
     * closing it is asked again. */
    bool (*forget)(int fd);
    /* The descriptor's watch (table) has been set, changed, taken away. */
    int (*watch_set)(struct kin_watch *watch);
    void (*watch_stop)(struct kin_watch *watch);
    /* For a foreign loop: a descriptor that is readable while poll() would find something.
     * It is the backend's; asked for once. Or -errno. */
    int (*descriptor)(struct kin__runtime *rt);
    /* Does the call of a file (file.h). Blocks. -EINVAL: it cannot. NULL: it can none. */
    int (*file_call)(struct kin__file_call *call);
};
extern const struct kin__io_backend kin__backend_epoll, kin__backend_uring;

/* The backend of that name; NULL: the environment's KIN_BACKEND, else the best that
 * works, which its open() finds out, storing it in rt->backend. NULL with *error. */
const struct kin__backend *kin__backend_pick(const char *name, int *error);

static inline struct kin__io *kin__io(void)
{
    return kin__rt->backend_state;
}

/* What the table says about it; NULL: nothing, or there is no table. */
static inline struct kin__fd *kin__fd_known(int fd)
{
    struct kin__io *io = kin__rt ? kin__io() : NULL;

    return io && fd >= 0 && fd < io->count ? &io->fds[fd] : NULL;
}

static inline const struct kin__io_backend *kin__io_backend(void)
{
    return kin__container(kin__rt->backend, const struct kin__io_backend, base);
}

/* Bytes that one call is for, of so many: their number fits an int. */
static inline size_t kin__io_portion(size_t size)
{
    const size_t most = (size_t)1 << 30;

    return size < most ? size : most;
}

/* Bytes of what is collected as a whole (a file, a stream, a process's output), where nothing
 * else is said. */
enum { KIN__WHOLE_MOST = 16 << 20 };

/* Where a test makes a system call fail; it may choose another errno. */
static inline bool kin__io_fails(const char *site, int error)
{
    if (kin__likely(!kin__os_fault))
        return false;
    errno = error;
    return kin__os_fault(site);
}

/* syscall.c. Events of poll, epoll and uring's poll (one set of bits) as those asked for. An
 * error or hang-up is whatever was asked for. */
unsigned kin__io_events(uint32_t poll_events, unsigned asked);
uint32_t kin__io_poll_mask(unsigned events);

/* The operation's system call, without waiting: its result, or -EAGAIN. */
int kin__op_try(struct kin__op *op);
/* A system call that shall not raise SIGPIPE: what it returned, and errno. */
ssize_t kin__without_sigpipe(ssize_t (*call)(const void *arg), const void *arg);
int kin__fd_close(int fd);

/* op.c. The whole call: 0 or more, or a code. Blocks. */
int kin__op_perform(struct kin__op *op);
/* The same; while it fails with -ENOBUFS it is tried again after a pause, ever less often. */
int kin__op_insist(struct kin__op *op);
/* The same where no descriptor is to be claimed. */
int kin__op_perform_unclaimed(struct kin__op *op);
/* The parked operation is over. */
void kin__op_finish(struct kin__op *op, int result);
/* Asks a parked operation of another task to end with a code, unless it is done first. */
void kin__op_dismiss(struct kin__op *op, int code);
/* An operation that is done again and again on a descriptor that stays claimed until
 * kin__fd_release: if that is closed, the next step is KIN_ECLOSED, whoever has the number
 * by then. */
int kin__op_hold(struct kin__op *op);
int kin__op_step(struct kin__op *op);
/* Where there is nothing to be waited for, and it has to be tried again: a pause, from 1 to
 * 64 ms. Blocks: 0 or KIN_ECANCELED. The first is *pause = 0. */
int kin__io_pause(int64_t *pause);

/* ready.c. Is it one of kin's own, and will the kernel tell what the operation waits for? */
bool kin__ready_told(const struct kin__fd *slot, const struct kin__op *op);
/* Is there nothing, as long as no event comes? */
bool kin__ready_dry(const struct kin__fd *slot, const struct kin__op *op);
/* kin__op_try, and what it says about the descriptor is noted. */
int kin__ready_attempt(struct kin__fd *slot, struct kin__op *op);
void kin__ready_note(struct kin__fd *slot, uint32_t poll_events);
/* An attempt for who is parked: true, and the operation is over; or there was nothing. */
bool kin__ready_retry(struct kin__fd *slot, struct kin__op *op);

/* fd.c. Makes room in the table: 0, -EBADF, -ENOMEM. */
int kin__fd_reserve(struct kin__io *io, int fd);
/* What the kernel tells of a descriptor where nobody waits is nobody's; false: see forget. */
bool kin__fd_forget(int fd);
/* A new descriptor of kin's own. */
void kin__fd_adopt(int fd, enum kin__fd_kind kind);
/* Somebody waits on it, or it is being closed. */
bool kin__fd_in_use(int fd);
/* The writing side was shut down: who waits there gets -EPIPE. */
void kin__fd_end_writer(int fd);
/* The operation does not claim its descriptor any more. */
void kin__fd_release(struct kin__op *op);
/* Keeps the number from being closed, and so from being given away, until it is let go: 0,
 * -EBADF, -ENOMEM. */
int kin__fd_hold(int fd);
void kin__fd_let_go(int fd);
/* Closes it, if that is asked for and nothing holds it any more. */
void kin__fd_settle(struct kin__fd *slot, int fd);
/* Frees the table; nobody waits any more. */
void kin__io_end(struct kin__io *io);

/* socket.c. A socket of kin's own, or a code. */
int kin__socket(int family, int type);
/* One for connections at, or to, such an address. */
int kin__stream_socket(const struct sockaddr *address, socklen_t length);
/* What SO_TYPE, SO_ERROR … say of a socket; -errno. */
int kin__socket_fact(int fd, int option);
/* One that this operation has brought becomes kin's own. */
void kin__fd_adopt_accepted(int fd, const struct kin__op *accept);
/* Where the run has no descriptors. */
bool kin__io_without_world(void);

/* remote.c. A remote of kin's own: a wake calls the hook, in the run, which may close it. What is
 * open when the run ends is closed, after a last call if there was a wake. */
int kin__remote_open_hook(kin_remote *remote, void (*hook)(kin_remote *remote));

/* remote_call.c: a call from another thread, and its way into the run. */
struct kin__remote_call {
    struct kin__remote_call *next;
    int (*fn)(void *arg);
    void *arg;
    int code;                   /* the answer, when it is over */
    sem_t over;
};
int kin__remote_hand_over(kin_remote *remote, struct kin__remote_call *call);
/* In the run: tasks of the group for those in the list, whose last comes first. */
void kin__remote_calls_begin(struct kin__remote_call *calls, kin_group *group);

/* An unexpected failure of the backend itself, after which nobody could be woken. */
void kin__io_broken(const char *what, int error) __attribute__((noreturn));

#endif
