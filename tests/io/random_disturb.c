/* Those who disturb the lines of random.c. */
#include "random_lines.h"

#include <errno.h>
#include <unistd.h>

static void cancel_one(struct end *e)
{
    struct doing *doing = chance(2) ? &e->reading : &e->writing;

    if (doing->active)
        CHECK_CODE(kin_cancel(&doing->scope, "disturbed"), 0);
}

static void readopt(const struct end *e)
{
    int rc = kin_adopt(e->fd);

    if (rc != e->fd && rc != KIN_EBUSY && rc != -ENOMEM)        /* the ring was full */
        wrong("kin_adopt", rc);
}

/* Nobody is within. The file lives on in the message, under no number. */
static void move(struct end *e)
{
    int pair[2], fd = e->fd;
    size_t one = 1;
    char byte = 'x';

    if (e->visitors || e->reading.active || e->writing.active || e->watch.events)
        return;
    e->moving = true;
    CHECK_CODE(kin_socket_pair(SOCK_STREAM, pair), 0);
    CHECK_INT(kin_send_fds(pair[0], &byte, 1, &fd, 1), 1);
    CHECK_CODE(kin_close(fd), 0);
    CHECK_INT(kin_receive_fds(pair[1], &byte, 1, &fd, &one), 1);
    CHECK_INT(kin_adopt(fd), fd);
    e->fd = fd;
    e->moving = false;
    close_both(pair);
}

static void once(struct kin_watch *watch, unsigned events)
{
    (void)events;
    kin_watch_stop(watch);
}

static void watch(struct end *e)
{
    int rc;

    e->watch.fd = e->fd;
    e->watch.ready = once;
    if (e->watch.events && chance(2)) {
        kin_watch_stop(&e->watch);
        return;
    }
    rc = kin_watch_set(&e->watch, 1 + chance(3));
    if (rc < 0)
        wrong("kin_watch_set", rc);
}

static void wait_beside(struct end *e)
{
    kin_scope hasty = kin_scope_open(.timeout = KIN_US(1 + chance(400)));
    int rc;

    e->visitors++;
    rc = kin_wait_fd(e->fd, 1 + chance(3));
    e->visitors--;
    kin_scope_close(&hasty, 0);
    if (rc < 0 && rc != KIN_EBUSY && rc != KIN_ECANCELED && !(rc == KIN_ECLOSED && e->fd < 0))
        wrong("kin_wait_fd", rc);
}

/* The child holds all files open for a moment. */
static void fork_for_a_moment(void)
{
    pid_t child = fork();

    if (child == 0) {
        usleep(chance(2000));
        _exit(0);
    }
    CHECK(child > 0);
}

/* Who reads is stopped in front of it. */
static void send_urgent(struct end *e)
{
    if (e->line->kind != TCP || e->out->urgent)
        return;
    e->out->urgent = true;
    send(e->fd, "!", 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* So that much comes in one turn. */
static void keep_all_waiting(void)
{
    int64_t until = kin_now() + KIN_US(chance(500));

    while (kin_now() < until)
        ;
}

/* What leaves everybody's call alone. */
static void disturb_around(struct end *e)
{
    switch (chance(4)) {
    case 0:
        send_urgent(e);
        break;
    case 1: case 2:
        keep_all_waiting();
        break;
    default:
        if (chance(20) == 0)
            fork_for_a_moment();
    }
}

static void disturb_call(struct end *e)
{
    cancel_one(e);
    if (chance(4) == 0)
        wait_beside(e);
    else if (chance(12) == 0)
        close_end(e, true);
}

static void disturb_descriptor(struct end *e)
{
    if (chance(3) == 0)
        cancel_one(e);
    switch (chance(3)) {
    case 0:
        readopt(e);
        break;
    case 1:
        watch(e);
        break;
    default:
        move(e);
    }
}

static void disturb(struct end *e)
{
    unsigned how = chance(4);

    if (how == 0)
        disturb_around(e);
    else if (how == 1 && e->line->treatment == ANYTHING)
        disturb_descriptor(e);
    else if (e->line->treatment != NOT_CANCELLED)
        disturb_call(e);
}

int disturb_all(void *arg)
{
    (void)arg;
    while (lines_left > 0) {
        struct line *line = &lines[chance(LINES)];
        struct end *e = &line->end[chance(2)];

        if (line->open && e->fd >= 0 && !e->moving)
            disturb(e);
        kin_sleep(KIN_US(chance(200)));
    }
    return 0;
}
