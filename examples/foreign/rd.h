/* Redis for the tasks of a run: one connection for all of them, over hiredis. To be copied,
 * with rd.c.
 *
 *     struct rd rd = { .path = "/run/redis/redis-server.sock" };
 *     redisReply *reply;
 *
 *     rc = kin_start(&g, rd_serve, &rd, .service = true, .restart = true);
 *     …                                       // in any task of g, or below
 *     rc = rd_command(&rd, &reply, "GET %s", key);
 *     if (rc == 0) {
 *         use reply->str
 *         freeReplyObject(reply);
 *     }
 */
#ifndef RD_H
#define RD_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <kin.h>
#include <kin_ext.h>

#define RD_CLASS (KIN_CLASS_USER + 1)
enum {
    RD_ECONNECTION = KIN_CODE(RD_CLASS, 1),     /* there is none, or it broke */
    RD_EREPLY = KIN_CODE(RD_CLASS, 2)           /* the server refused the command */
};

struct rd {                     /* belongs to the caller, zeroed but for: */
    const char *path;           /* of the server's socket */

    redisAsyncContext *redis;   /* NULL: not connected */
    struct kin_watch watch;
    unsigned ready;             /* KIN_READABLE, KIN_WRITABLE: seen by the watch */
    kin_event work;             /* for the service */
    int failed;                 /* why the watch could not be set */
    char why[160];              /* why there is no connection */
};

/* The service that connects, is ready when connected, and moves what tasks send and get. Ends
 * with RD_ECONNECTION when the connection breaks; with .restart it is made again. The program
 * ignores SIGPIPE, which hiredis lets come where the server is gone. */
int rd_serve(void *arg);

/* Sends a command, in the format of redisCommand, and waits for its reply. Blocks. 0 and
 * *reply, which is the caller's to free (reply may be NULL: not wanted); KIN_ECANCELED, and
 * the server may do it nevertheless: the reply finds nobody, and is thrown away; RD_EREPLY;
 * RD_ECONNECTION, and it may have been done; -ENOMEM; KIN_EINVAL for a format that is none,
 * and for what has more replies than one, or none (SUBSCRIBE, MONITOR …). What makes the
 * server wait (BLPOP) makes all wait that share the connection. */
int rd_command(struct rd *rd, redisReply **reply, const char *format, ...);

#endif
