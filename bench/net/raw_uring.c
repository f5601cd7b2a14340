/* The limit, second way: an echo server straight on io_uring.
 *
 * One accept and one receive a connection stay submitted for good (multishot); the kernel
 * picks a buffer out of a ring of them, and puts connections into a table of its own,
 * so that no call has to look a descriptor up. The answer is sent from the buffer that was
 * received into, which goes back when that is over. One system call hands over all
 * answers and waits for what comes next. Work is deferred to that call, and only one
 * thread submits.
 *
 * Answers on one connection must not overtake each other: a further message received
 * while one is being sent is queued behind it. A receive that stops (no buffer was left, the
 * kernel gave its turn to others) is submitted again; a connection is closed when its
 * receive has ended and its last answer is out.
 *
 * Reviewed and frozen: a change needs a measurement. Tried without gain (at most 1 % of the
 * processor time of a request with 64 connections, at most 3 %, and not clearly, with 1,000
 * or 5,000): smaller rings; few buffers at first, and more as they run out; ordinary
 * descriptors; answers without a completion (CQE_SKIP_SUCCESS); a receive that does not poll
 * first; a multishot poll, and recv() when it tells; COOP_TASKRUN; taking all that the kernel
 * has before the first answer; fetching connection and buffer into the cache ahead.
 * Worse: send() at once, 1 % with 64 connections and 20 % with 1,000, since receiving and
 * sending then take turns in the processor's cache. Not taken: to wait until 64 have come or
 * 50 us have passed (Linux 6.12) saves 6 to 11 % with 1,000, and delays each answer by those
 * 50 us where there are few. Not tried: what else liburing 2.3 does not know (bundles,
 * buffers consumed in parts, a ring without an index array).
 */
#include "net.h"

#include <errno.h>
#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SUBMISSIONS = 4096, COMPLETIONS = 32768, BUFFERS = 16384, BUFFER = 256, GROUP = 0,
       PEEK = 256, NOBODY = -1 };
enum what { ACCEPT, RECEIVE, SEND, CLOSE };

struct buffer {
    int next;                   /* in the connection's queue, or NOBODY */
    unsigned size, sent;
};

struct connection {
    int first, last;            /* buffers to be sent; the first is under way */
    bool ended;                 /* nothing more is received */
    bool starved;               /* in want of a buffer */
};

static struct io_uring ring;
static struct io_uring_buf_ring *free_buffers;
static struct buffer buffers[BUFFERS];
static char *memory;
static struct connection *connections;
static int *starved, starved_count;

static uint64_t label(enum what what, int connection)
{
    return (uint64_t)what << 32 | (uint32_t)connection;
}

static struct io_uring_sqe *submission(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    if (!sqe) {
        net_require(io_uring_submit(&ring) >= 0, "io_uring_submit");
        sqe = io_uring_get_sqe(&ring);
        net_require(sqe != NULL, "io_uring_get_sqe");
    }
    return sqe;
}

static void start_accept(int listener)
{
    struct io_uring_sqe *sqe = submission();

    io_uring_prep_multishot_accept_direct(sqe, listener, NULL, NULL, 0);
    sqe->user_data = label(ACCEPT, listener);
}

static void start_receive(int connection)
{
    struct io_uring_sqe *sqe = submission();

    io_uring_prep_recv_multishot(sqe, connection, NULL, 0, 0);
    sqe->user_data = label(RECEIVE, connection);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->buf_group = GROUP;
}

static void start_send(int connection)
{
    int id = connections[connection].first;
    struct io_uring_sqe *sqe = submission();

    io_uring_prep_send(sqe, connection, memory + (size_t)id * BUFFER + buffers[id].sent,
                       buffers[id].size - buffers[id].sent, MSG_NOSIGNAL);
    sqe->user_data = label(SEND, connection);
    sqe->flags |= IOSQE_FIXED_FILE;
}

static void give_back(int id)
{
    io_uring_buf_ring_add(free_buffers, memory + (size_t)id * BUFFER, BUFFER, (unsigned short)id,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(free_buffers, 1);
    if (starved_count > 0) {
        int connection = starved[--starved_count];

        connections[connection].starved = false;
        start_receive(connection);
    }
}

static void close_if_over(int connection)
{
    struct connection *c = &connections[connection];

    if (c->ended && c->first == NOBODY && !c->starved) {
        struct io_uring_sqe *sqe = submission();

        io_uring_prep_close_direct(sqe, (unsigned)connection);
        sqe->user_data = label(CLOSE, connection);
    }
}

static void accepted(const struct io_uring_cqe *cqe, int listener)
{
    net_require(cqe->res >= 0 || cqe->res == -ECONNABORTED, "accept");
    if (cqe->res >= 0) {
        connections[cqe->res] = (struct connection){ .first = NOBODY, .last = NOBODY };
        start_receive(cqe->res);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
        start_accept(listener);
}

static void answer(int connection, int id, unsigned size)
{
    struct connection *c = &connections[connection];

    buffers[id] = (struct buffer){ .next = NOBODY, .size = size };
    if (c->first == NOBODY) {
        c->first = c->last = id;
        start_send(connection);
    } else {
        buffers[c->last].next = id;
        c->last = id;
    }
}

static void received(const struct io_uring_cqe *cqe, int connection)
{
    struct connection *c = &connections[connection];

    if (cqe->res > 0)
        answer(connection, (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT), (unsigned)cqe->res);
    else if (cqe->flags & IORING_CQE_F_BUFFER)
        give_back((int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT));
    if (cqe->flags & IORING_CQE_F_MORE)
        return;
    if (cqe->res == -ENOBUFS) {
        c->starved = true;
        starved[starved_count++] = connection;
    } else if (cqe->res > 0) {
        start_receive(connection);
    } else {
        c->ended = true;
        close_if_over(connection);
    }
}

static void drop_first(struct connection *c)
{
    int id = c->first;

    c->first = buffers[id].next;
    if (c->first == NOBODY)
        c->last = NOBODY;
    give_back(id);
}

static void sent(const struct io_uring_cqe *cqe, int connection)
{
    struct connection *c = &connections[connection];
    struct buffer *buffer = &buffers[c->first];

    if (cqe->res > 0)
        buffer->sent += (unsigned)cqe->res;
    if (cqe->res <= 0)
        while (c->first != NOBODY)      /* the peer is gone; the receive ends, too */
            drop_first(c);
    else if (buffer->sent == buffer->size)
        drop_first(c);
    if (c->first != NOBODY)
        start_send(connection);
    else
        close_if_over(connection);
}

static void completed(const struct io_uring_cqe *cqe)
{
    int whom = (int)(uint32_t)cqe->user_data;

    switch ((enum what)(cqe->user_data >> 32)) {
    case ACCEPT:
        accepted(cqe, whom);
        break;
    case RECEIVE:
        received(cqe, whom);
        break;
    case SEND:
        sent(cqe, whom);
        break;
    case CLOSE:
        net_require(cqe->res == 0, "close");
    }
}

static void open_ring(void)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_CQSIZE |
                 IORING_SETUP_SUBMIT_ALL,
        .cq_entries = COMPLETIONS,
    };
    struct rlimit files;

    net_require(io_uring_queue_init_params(SUBMISSIONS, &ring, &params) == 0, "io_uring_setup");
    net_require(io_uring_register_ring_fd(&ring) == 1, "register_ring_fd");
    net_require(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
    net_require(io_uring_register_files_sparse(&ring, (unsigned)files.rlim_cur) == 0,
                "register_files");
    connections = calloc(files.rlim_cur, sizeof *connections);
    starved = calloc(files.rlim_cur, sizeof *starved);
    net_require(connections && starved, "memory");
}

static void *map(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    net_require(at != MAP_FAILED, "mmap");
    return at;
}

static void open_buffers(void)
{
    struct io_uring_buf_reg reg = { .ring_entries = BUFFERS, .bgid = GROUP };

    memory = map((size_t)BUFFERS * BUFFER);
    free_buffers = map(BUFFERS * sizeof(struct io_uring_buf));
    reg.ring_addr = (uintptr_t)free_buffers;
    net_require(io_uring_register_buf_ring(&ring, &reg, 0) == 0, "register_buf_ring");
    io_uring_buf_ring_init(free_buffers);
    for (int i = 0; i < BUFFERS; i++)
        give_back(i);
}

/* All that is there, then one call: answers out, and more in. */
static void turn(void)
{
    struct io_uring_cqe *cqes[PEEK];
    unsigned n;
    int rc = io_uring_submit_and_wait(&ring, 1);

    net_require(rc >= 0 || rc == -EINTR, "io_uring_enter");
    while ((n = io_uring_peek_batch_cqe(&ring, cqes, PEEK)) > 0) {
        for (unsigned i = 0; i < n; i++)
            completed(cqes[i]);
        io_uring_cq_advance(&ring, n);
    }
}

int main(void)
{
    int listener = net_listen(0);

    net_raise_limit();
    open_ring();
    open_buffers();
    start_accept(listener);
    for (;;)
        turn();
}
