/* hiredis under kin, by its asynchronous interface: hooks by which it says what it wants to
 * be told of its descriptor, and a callback for each reply.
 *
 *     tasks -> rd_command -> hiredis' buffer    the socket    hiredis -> on_reply -> the task
 *                                  \____ rd_serve, the service ____/
 *
 * The hooks set and stop a watch, which may be done anywhere and at any time; kin_wait_fd
 * could not be used, since hiredis closes the descriptor when it likes, and a task that waits
 * there would have to be called off first. The watch reports from the scheduler, where nothing
 * may be done but to wake somebody: so a service does the reading and the writing, and with
 * that makes the callbacks, one after the other, and none of them blocks.
 *
 * A command and its reply are connected by a struct command, which hiredis keeps until it has
 * called back: it always does, once, if only to say that the connection is gone. The task
 * waits with the four verbs of kin_ext.h. When it is cancelled it takes its wait record away;
 * the command goes on, and when its reply comes there is nobody to give it to.
 */
#include "rd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct command {
    struct kin_wait *wait;      /* NULL: nobody waits */
    redisReply *reply;          /* to move the reply into, so that nothing can fail then */
};

static const char *code_name(int number)
{
    return number == 1 ? "RD_ECONNECTION" : number == 2 ? "RD_EREPLY" : NULL;
}

static const char *code_text(int number)
{
    return number == 1 ? "no connection to redis" :
           number == 2 ? "redis refused a command" : NULL;
}

/* ---------------------------------------------------------- hiredis' hooks */

static void on_ready(struct kin_watch *watch, unsigned events)
{
    struct rd *rd = watch->arg;

    rd->ready |= events;
    kin_event_set(&rd->work);
}

static void want(struct rd *rd, unsigned events)
{
    int rc = events != rd->watch.events ? kin_watch_set(&rd->watch, events) : 0;

    if (rc < 0) {
        rd->failed = rc;
        kin_event_set(&rd->work);
    }
}

static void add_read(void *arg)
{
    struct rd *rd = arg;

    want(rd, rd->watch.events | KIN_READABLE);
}

static void del_read(void *arg)
{
    struct rd *rd = arg;

    want(rd, rd->watch.events & ~KIN_READABLE);
}

static void add_write(void *arg)
{
    struct rd *rd = arg;

    want(rd, rd->watch.events | KIN_WRITABLE);
}

static void del_write(void *arg)
{
    struct rd *rd = arg;

    want(rd, rd->watch.events & ~KIN_WRITABLE);
}

/* The last that is heard of a connection, before its descriptor is closed. */
static void cleanup(void *arg)
{
    struct rd *rd = arg;
    const char *why = rd->redis->c.errstr;

    kin_watch_stop(&rd->watch);
    snprintf(rd->why, sizeof rd->why, "%s: %s", rd->path, *why ? why : "closed");
    rd->redis = NULL;
}

/* ------------------------------------------------------------- the service */

/* hiredis calls this when the descriptor is first writable. */
static void on_connect(const redisAsyncContext *redis, int status)
{
    (void)redis;
    if (status == REDIS_OK)
        kin_ready(0);
}

static int lost(const struct rd *rd)
{
    return kin_fail(RD_ECONNECTION, "%s", rd->why);
}

static int make_connection(struct rd *rd)
{
    struct kin_class_texts texts = { RD_CLASS, "redis", code_name, code_text };
    redisAsyncContext *redis = redisAsyncConnectUnix(rd->path);
    int rc = redis ? kin_class_register(&texts) : -ENOMEM;

    if (rc < 0 || redis->err) {
        snprintf(rd->why, sizeof rd->why, "%s: %s", rd->path, rc < 0 ? "" : redis->errstr);
        if (redis)
            redisAsyncFree(redis);
        return rc < 0 ? rc : lost(rd);
    }
    rd->redis = redis;
    rd->watch = (struct kin_watch){ .fd = redis->c.fd, .ready = on_ready, .arg = rd };
    rd->ready = 0;
    rd->failed = 0;
    redis->ev.data = rd;
    redis->ev.addRead = add_read;
    redis->ev.delRead = del_read;
    redis->ev.addWrite = add_write;
    redis->ev.delWrite = del_write;
    redis->ev.cleanup = cleanup;
    redisAsyncSetConnectCallback(redis, on_connect);
    return 0;
}

/* Any of hiredis' calls may find that the connection is gone. */
static int attend(struct rd *rd)
{
    int rc = kin_event_wait(&rd->work);
    unsigned ready = rd->ready;

    if (rc < 0)
        return rc;
    rd->ready = 0;
    kin_event_clear(&rd->work);
    if (rd->redis && (ready & KIN_READABLE))
        redisAsyncHandleRead(rd->redis);
    if (rd->redis && (ready & KIN_WRITABLE))
        redisAsyncHandleWrite(rd->redis);
    return rd->failed;
}

int rd_serve(void *arg)
{
    struct rd *rd = arg;
    int rc = make_connection(rd);

    while (rc == 0 && rd->redis)
        rc = attend(rd);
    if (rd->redis)
        redisAsyncFree(rd->redis);      /* calls back for all that are under way */
    return rc < 0 ? rc : lost(rd);
}

/* ---------------------------------------------------------------- commands */

static bool abandon(struct kin_wait *wait)
{
    struct command *command = wait->object;

    command->wait = NULL;
    return true;
}

static const struct kin_wait_ops waits = { .name = "redis", .abort = abandon };

static void forget(struct command *command)
{
    if (command)
        free(command->reply);
    free(command);
}

/* hiredis frees the reply when this returns, so what it leads to moves. NULL: the connection
 * is gone. */
static void on_reply(redisAsyncContext *redis, void *reply, void *arg)
{
    struct command *command = arg;
    struct kin_wait *wait = command->wait;

    (void)redis;
    if (!wait) {
        forget(command);
        return;
    }
    if (reply) {
        *command->reply = *(redisReply *)reply;
        *(redisReply *)reply = (redisReply){ .type = REDIS_REPLY_NIL };
    }
    kin_wait_wake(wait, reply ? 0 : RD_ECONNECTION);
}

static struct command *new_command(struct kin_wait *wait)
{
    struct command *command = calloc(1, sizeof *command);

    if (!command)
        return NULL;
    command->wait = wait;
    command->reply = calloc(1, sizeof *command->reply);
    if (command->reply)
        return command;
    free(command);
    return NULL;
}

/* Of what is to be sent: "*2\r\n$9\r\nsubscribe\r\n…". */
static bool has_one_reply(const char *text)
{
    static const char *const others[] = { "subscribe", "unsubscribe", "psubscribe",
                                          "punsubscribe", "monitor" };
    const char *name = strchr(strchr(text, '\n') + 1, '\n') + 1;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strncasecmp(name, others[i], strlen(others[i])) == 0 &&
            name[strlen(others[i])] == '\r')
            return false;
    return true;
}

static int send_command(struct rd *rd, struct command *command, const char *format, va_list ap)
{
    char *text = NULL;
    int rc = 0, length = redisvFormatCommand(&text, format, ap);

    if (length < 0)
        return length == -1 ? -ENOMEM : KIN_EINVAL;
    if (!has_one_reply(text))
        rc = KIN_EINVAL;
    else if (!rd->redis || redisAsyncFormattedCommand(rd->redis, on_reply, command, text,
                                                      (size_t)length) != REDIS_OK)
        rc = lost(rd);
    redisFreeCommand(text);
    return rc;
}

/* Gives the reply away, or says what the server says. */
static int take_reply(struct command *command, redisReply **reply)
{
    redisReply *got = command->reply;
    int rc = 0;

    command->reply = NULL;
    if (got->type == REDIS_REPLY_ERROR)
        rc = kin_fail(RD_EREPLY, "%s", got->str);
    if (rc == 0 && reply)
        *reply = got;
    else
        freeReplyObject(got);
    return rc;
}

int rd_command(struct rd *rd, redisReply **reply, const char *format, ...)
{
    struct kin_wait wait;
    struct command *command = NULL;
    int rc = kin_wait_prepare(&wait, &waits, NULL);
    va_list ap;

    if (rc < 0)
        return rc;
    wait.object = command = new_command(&wait);
    va_start(ap, format);
    rc = command ? send_command(rd, command, format, ap) : -ENOMEM;
    va_end(ap);
    if (rc < 0) {
        forget(command);
        kin_wait_skip();
        return rc;
    }
    rc = kin_wait_park(&wait);
    if (rc == KIN_ECANCELED)
        return rc;                  /* on_reply will forget it */
    rc = rc < 0 ? lost(rd) : take_reply(command, reply);
    forget(command);
    return rc;
}
