/* The lines of random.c: opened, written and read at both ends, and closed. */
#include "random_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct line lines[LINES];
unsigned lines_left;

static unsigned char table[PRIME + MOST];

void make_bytes(void)
{
    for (size_t i = 0; i < sizeof table; i++)
        table[i] = (unsigned char)(i < PRIME ? i * i * 2654435761u >> 13 : table[i - PRIME]);
}

/* Small ones mostly; some that fill any buffer. */
static size_t some_size(void)
{
    return 1 + (chance(4) ? chance(300) : chance(MOST - 1));
}

static void pause_at_times(void)
{
    if (chance(3) == 0)
        kin_yield();
    else if (chance(6) == 0)
        kin_sleep(KIN_US(chance(300)));
}

/* -------------------------------------------------------------------- one call */

static void begin_doing(struct doing *doing, bool hasty)
{
    doing->hasty = hasty && chance(8) == 0;
    doing->scope = kin_scope_open(.timeout = doing->hasty ? KIN_US(1 + chance(200))
                                                          : KIN_S(FAR * tap_scaled(1)));
    doing->active = true;
}

/* Only who was disturbed may have been cancelled. */
static void end_doing(struct doing *doing, ssize_t rc)
{
    struct kin_scope_state state;

    CHECK_CODE(kin_scope_look(&doing->scope, &state), 0);
    doing->active = false;
    kin_scope_close(&doing->scope, 0);
    if (rc == KIN_ECANCELED && !state.cancelled)
        wrong("cancelled by nobody", rc);
    if (rc == KIN_ECANCELED && state.reason.kind == KIN_BY_DEADLINE && !doing->hasty)
        wrong("nobody woke it up", rc);
}

/* Is there a descriptor to go on with? */
static bool reach(const struct end *end)
{
    while (end->moving)
        kin_sleep(KIN_US(50));
    return end->fd >= 0;
}

static bool may_go_on(const struct end *end, ssize_t rc)
{
    if (rc == KIN_EBUSY)
        kin_sleep(KIN_US(50));
    if (rc >= 0 || rc == KIN_ECANCELED || rc == KIN_EBUSY)
        return true;
    if ((rc == KIN_ECLOSED && end->fd < 0) ||
        ((rc == -EPIPE || rc == -ECONNRESET) && end->peer->fd < 0))
        return false;
    fprintf(stderr, "kind %d, fd %d, the other end's %d\n", end->line->kind, end->fd,
            end->peer->fd);
    wrong("a call failed", rc);
    return false;
}

static ssize_t write_some(int fd, const void *from, size_t size, bool socket, size_t *done)
{
    struct iovec piece = { (void *)(uintptr_t)from, size };
    const struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    unsigned how = chance(socket ? 4 : 3);
    ssize_t n;

    *done = 0;
    if (how == 0)
        return kin_write_all(fd, from, size, done);
    if (how == 1 && chance(4) == 0)
        return kin_wait_fd(fd, KIN_WRITABLE);
    n = how == 3 ? kin_send_message(fd, &message, 0) : kin_write(fd, from, size);
    *done = n > 0 ? (size_t)n : 0;
    return n;
}

static ssize_t read_some(int fd, void *into, size_t size, bool socket, size_t *got)
{
    struct iovec piece = { into, size };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    unsigned how = chance(socket ? 4 : 3);
    ssize_t n;

    *got = 0;
    if (how == 1 && chance(4) == 0)
        return kin_wait_fd(fd, KIN_READABLE);
    n = how == 3 ? kin_receive_message(fd, &message, 0) : kin_read(fd, into, size);
    *got = n > 0 ? (size_t)n : 0;
    return n > 0 ? n : n == 0 ? -ENODATA : n;
}

static void receive(struct flow *flow, const char *bytes, size_t size)
{
    if (flow->received + size > flow->most)
        wrong("more came than was sent", (int64_t)(flow->received + size - flow->most));
    if (memcmp(bytes, table + (flow->key + flow->received) % PRIME, size) != 0)
        wrong("other bytes came than were sent, behind", (int64_t)flow->received);
    flow->received += size;
}

/* ------------------------------------------------------------ who writes, who reads */

/* Whatever the closing task is told meanwhile. */
void close_end(struct end *end, bool early)
{
    const struct linger reset = { .l_onoff = 1 };
    int rc, fd = end->fd;
    kin_scope scope = kin_scope_open(.cancelled = chance(4) == 0,
                                     .shield = chance(4) ? 0 : KIN_FOREVER);

    end->fd = -1;
    if (early && end->line->kind == TCP) {
        end->line->flow[0].may_lose = end->line->flow[1].may_lose = true;
        if (chance(2))
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    rc = kin_close(fd);
    kin_scope_close(&scope, 0);
    if (rc < 0)
        wrong("kin_close", rc);
}

static void finish_writing(struct end *e)
{
    int rc = 0;

    if (e->line->kind == PIPE)
        close_end(e, false);
    else
        rc = kin_shutdown(e->fd, SHUT_WR);
    if (rc < 0 && !(rc == -ENOTCONN && e->peer->fd < 0))        /* it was reset */
        wrong("kin_shutdown", rc);
}

static int write_flow(void *arg)
{
    struct end *e = arg;
    struct flow *flow = e->out;

    while (flow->sent < flow->total && reach(e)) {
        size_t size = some_size(), done;
        ssize_t rc;

        if (size > flow->total - flow->sent)
            size = (size_t)(flow->total - flow->sent);
        flow->most = flow->sent + size;
        begin_doing(&e->writing, e->line->treatment != NOT_CANCELLED);
        rc = write_some(e->fd, table + (flow->key + flow->sent) % PRIME, size,
                        e->line->kind != PIPE, &done);
        end_doing(&e->writing, rc);
        flow->sent += done;
        if (!may_go_on(e, rc))
            return 0;
        pause_at_times();
    }
    if (reach(e))
        finish_writing(e);
    return 0;
}

static int read_flow(void *arg)
{
    struct end *e = arg;
    char *into = malloc(MOST);
    bool more = true;

    while (more && reach(e)) {
        size_t got;
        ssize_t rc;

        begin_doing(&e->reading, e->line->treatment != NOT_CANCELLED);
        rc = read_some(e->fd, into, some_size(), e->line->kind != PIPE, &got);
        end_doing(&e->reading, rc);
        receive(e->in, into, got);
        e->in->ended = rc == -ENODATA;
        more = !e->in->ended && may_go_on(e, rc);
        pause_at_times();
    }
    free(into);
    return 0;
}

/* -------------------------------------------------------------------- one line */

struct meeting {
    int listener, fd[2];
    struct sockaddr_in address;
};

static int accept_it(void *arg)
{
    struct meeting *m = arg;

    if (m->listener >= 0)
        m->fd[1] = kin_accept(m->listener);
    return 0;
}

static int connect_it(void *arg)
{
    struct meeting *m = arg;

    if (m->listener >= 0)               /* else somebody else's may be there */
        m->fd[0] = kin_connect((struct sockaddr *)&m->address, sizeof m->address);
    return 0;
}

static void close_listener(struct meeting *m)
{
    int fd = m->listener;

    m->listener = -1;
    CHECK_CODE(kin_close(fd), 0);
}

/* The listener may be closed, and the two be cancelled, at any moment. */
static bool meet(int fds[2])
{
    struct meeting m = { .fd = { -1, -1 } };
    kin_task task[2];
    kin_group g = kin_group_open(.timeout = KIN_S(FAR * tap_scaled(1)));
    bool in_peace = chance(3) != 0;

    m.listener = tcp_listener(&m.address, 0);
    CHECK_CODE(kin_spawn(&g, accept_it, &m, .task = &task[0]), 0);
    CHECK_CODE(kin_spawn(&g, connect_it, &m, .task = &task[1]), 0);
    if (!in_peace) {
        pause_at_times();
        if (chance(2))
            kin_cancel(&task[chance(2)], NULL);
        pause_at_times();
        close_listener(&m);
    }
    if (kin_group_close(&g, 0) != 0)
        wrong("nobody came", 0);
    if (in_peace)
        close_listener(&m);
    if (m.fd[0] >= 0 && m.fd[1] >= 0) {
        memcpy(fds, m.fd, sizeof m.fd);
        return true;
    }
    for (int i = 0; i < 2; i++)
        if (m.fd[i] >= 0)
            CHECK_CODE(kin_close(m.fd[i]), 0);
    if (in_peace)
        wrong("they have not met", m.fd[0] < 0 ? m.fd[0] : m.fd[1]);
    return false;
}

static void open_pair(int kind, int fds[2])
{
    if (kind == TCP)
        while (!meet(fds))
            ;
    else if (kind == UNIX)
        CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
    else
        CHECK_CODE(kin_pipe(fds), 0);
}

/* Of a pipe, the first end is for reading. */
static void open_line(struct line *line)
{
    int fds[2], kind = (int)chance(KINDS);

    open_pair(kind, fds);
    *line = (struct line){ .kind = kind, .treatment = chance(TREATMENTS) };
    for (int i = 0; i < 2; i++) {
        line->flow[i] = (struct flow){ .key = chance(PRIME),
                                       .total = chance(3) ? chance(2000) : chance(500000) };
        line->end[i] = (struct end){ .fd = fds[i], .peer = &line->end[!i], .line = line,
                                     .in = &line->flow[i], .out = &line->flow[!i] };
    }
    if (kind == PIPE)
        line->end[0].out = line->end[1].in = NULL;
    line->open = true;
}

static void check_flow(const struct line *line, const struct flow *flow)
{
    if (flow->ended && !flow->may_lose && flow->received != flow->sent)
        wrong(line->kind == TCP ? "bytes lost by TCP" : "bytes lost",
              (int64_t)(flow->sent - flow->received));
}

static void close_line(struct line *line)
{
    for (int i = 0; i < 2; i++) {
        struct end *e = &line->end[i];

        while (e->moving || e->visitors)
            kin_sleep(KIN_US(50));
        if (e->fd >= 0)
            close_end(e, false);
        check_flow(line, &line->flow[i]);
    }
    line->open = false;
}

int live(void *arg)
{
    struct line *line = arg;

    for (unsigned lives = 1 + chance(LIVES); lives > 0; lives--) {
        kin_group g;

        open_line(line);
        g = kin_group_open();
        for (int i = 0; i < 2; i++) {
            struct end *e = &line->end[i];

            if (e->in)
                CHECK_CODE(kin_spawn(&g, read_flow, e, .name = "reader"), 0);
            if (e->out)
                CHECK_CODE(kin_spawn(&g, write_flow, e, .name = "writer"), 0);
        }
        CHECK_CODE(kin_group_close(&g, 0), 0);
        close_line(line);
    }
    lines_left--;
    return 0;
}
