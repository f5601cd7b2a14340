/* What the files of the io_uring backend share: its state, and how it submits. */
#ifndef KIN__URING_H
#define KIN__URING_H

#include "io/io.h"

#include <limits.h>
#include <liburing.h>
#include <poll.h>

enum { KIN__SUBMISSIONS = 256, KIN__COMPLETIONS = 4096 };

/* Where an operation is (place). */
enum {
    KIN__NOWHERE,
    KIN__UNSENT,                /* in the list of those that found no room */
    KIN__LISTED,                /* waits for a poll of its descriptor's: in the table alone */
    KIN__SENT,                  /* from here on the kernel knows its address */
    KIN__TO_ABORT,
    KIN__ABORTING
};

/* What a completion is of, in the lowest bits: an operation, by its address; a request to
 * cancel something, which is all of it; a descriptor's poll. */
enum { KIN__OF_OP, KIN__OF_CANCEL, KIN__OF_READABLE, KIN__OF_WRITABLE, KIN__OF_BITS = 3 };

struct kin__uring {
    struct kin__io io;
    struct io_uring ring;
    struct kin_wait_list unsent, to_abort, aborting;
    struct kin__pool records;           /* of watches */
    bool multishot;                     /* the kernel has polls that stay */
    bool forget_again;                  /* a descriptor's polls could not be called off */
    bool missed;                        /* a cancellation found nothing */
    int bell;                           /* see uring_descriptor; -1: nobody asked */
};

static inline struct kin__op *kin__uring_op(struct kin_wait *wait)
{
    return kin__container(wait, struct kin__op, wait);
}

static inline uint32_t kin__uring_polled(unsigned of)
{
    return of == KIN__OF_READABLE ? POLLIN | POLLRDHUP | POLLPRI : POLLOUT;
}

/* What the completions of a descriptor's poll say they are of. */
static inline uint64_t kin__uring_poll_data(const struct kin__uring *u, int fd, unsigned of)
{
    return (uint64_t)u->io.fds[fd].generation << 33 | (uint64_t)fd << 2 | of;
}

static inline int kin__uring_poll_fd(uint64_t data)
{
    return (int)(data >> 2 & INT_MAX);
}

/* uring_ring.c: 0 or -errno. */
int kin__uring_open(struct io_uring *ring);

/* uring_submit.c */
void kin__uring_submit(struct kin__uring *u);
/* The operation, or what it waits for; later, where there is no room. */
void kin__uring_send(struct kin__uring *u, struct kin__op *op);
void kin__uring_send_unsent(struct kin__uring *u);
void kin__uring_send_aborts(struct kin__uring *u);
void kin__uring_ask_again(struct kin__uring *u);
/* Calls the descriptor's polls off; false: there was no room. */
bool kin__uring_send_forget(struct kin__uring *u, int fd);
void kin__uring_forget_again(struct kin__uring *u);
void kin__uring_move(struct kin__op *op, struct kin_wait_list *from, struct kin_wait_list *to,
                     uint8_t place);

#endif
