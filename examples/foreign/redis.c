/* Fifty tasks on one connection to Redis, each waiting for its own replies. A task that has
 * no patience is over its limit; the reply that it has given up comes later, and nobody takes
 * it for his.
 *
 *     example-redis /run/redis/redis-server.sock
 *
 * Prints:
 *     50 tasks have counted to 50
 *     impatient: timed_out
 *     patient: after that the server said hello
 */
#include "rd.h"

#include <signal.h>
#include <unistd.h>

enum { TASKS = 50 };

struct redis {
    struct rd rd;
    char counter[32];
    long long counted;
};

static int count(void *arg)
{
    struct redis *redis = arg;
    redisReply *reply;
    int rc = rd_command(&redis->rd, &reply, "INCR %s", redis->counter);

    if (rc < 0)
        return rc;
    if (reply->integer > redis->counted)
        redis->counted = reply->integer;
    freeReplyObject(reply);
    return 0;
}

/* All of them send at once, and the replies come in one piece. */
static int count_together(struct redis *redis)
{
    kin_group g = kin_group_open(.name = "counters");
    int rc;

    for (int i = 0; i < TASKS; i++)
        kin_spawn(&g, count, redis, .name = "counter", .index = i + 1);
    rc = kin_group_close(&g, 0);
    if (rc == 0)
        printf("%d tasks have counted to %lld\n", TASKS, redis->counted);
    return rc;
}

/* The server makes the connection wait for half a second. */
static int be_impatient(void *arg)
{
    struct redis *redis = arg;

    return rd_command(&redis->rd, NULL, "BLPOP %s:nothing 0.5", redis->counter);
}

static int be_patient(void *arg)
{
    struct redis *redis = arg;
    redisReply *reply;
    int rc = rd_command(&redis->rd, &reply, "ECHO %s", "hello");

    if (rc < 0)
        return rc;
    printf("patient: after that the server said %s\n", reply->str);
    freeReplyObject(reply);
    return 0;
}

static int wait_and_do_not_wait(struct redis *redis)
{
    kin_task impatient, patient;
    kin_task *first = &impatient;
    kin_group g = kin_group_open(.name = "waiting");

    kin_spawn(&g, be_impatient, redis, .task = &impatient, .name = "impatient",
              .timeout = KIN_MS(100), .optional = true);
    kin_spawn(&g, be_patient, redis, .task = &patient, .name = "patient");
    if (kin_wait_tasks(&first, 1, KIN_ALL_COMPLETED) > 0)
        printf("impatient: %s\n", kin_status_name(impatient.status));
    return kin_group_close(&g, 0);
}

static int use(struct redis *redis)
{
    int rc = count_together(redis);

    if (rc == 0)
        rc = wait_and_do_not_wait(redis);
    if (rc == 0)
        rc = rd_command(&redis->rd, NULL, "DEL %s", redis->counter);
    return rc;
}

static int run(void *arg)
{
    struct redis redis = { .rd.path = arg };
    kin_group g = kin_group_open(.name = "redis");
    int rc = kin_start(&g, rd_serve, &redis.rd, .name = "connection", .service = true);

    snprintf(redis.counter, sizeof redis.counter, "kin-example:%d", (int)getpid());
    if (rc == 0)
        rc = use(&redis);
    return kin_group_close(&g, rc);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    return kin_main(run, argc > 1 ? argv[1] : "/run/redis/redis-server.sock");
}
