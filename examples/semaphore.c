/* At most two tasks at a time on a connection (a semaphore, held for a block), and at most
 * ten requests a second, the first three at once (a rate limiter). To limit how many tasks
 * of a group there are, its .limit is simpler; this is for a part of what they do.
 *
 * Prints:
 *     at most 2 connections were in use
 *     the 3rd request went out after 0.0 s, the 8th after 0.5 s
 */
#include <kin.h>

struct pool {
    kin_semaphore connections;
    kin_limiter requests;
    int in_use, most_in_use, sent;
    int64_t sent_at[8];
};

static int request(void *arg)
{
    struct pool *pool = arg;
    int rc = kin_limiter_acquire(&pool->requests);

    if (rc < 0)
        return rc;
    pool->sent_at[pool->sent++] = kin_now();
    KIN_ACQUIRED(rc, &pool->connections) {      /* given back however the block is left */
        if (++pool->in_use > pool->most_in_use)
            pool->most_in_use = pool->in_use;
        rc = kin_sleep(KIN_MS(150));            /* stands for the request */
        pool->in_use--;
    }
    return rc;
}

static int run(void *arg)
{
    struct pool pool = { .connections = KIN_SEMAPHORE(2),
                         .requests = { .interval = KIN_MS(100), .burst = 3 } };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.name = "requests");
    int rc;

    (void)arg;
    for (int i = 0; i < 8; i++)
        kin_spawn(&g, request, &pool, .name = "request", .index = i + 1);
    rc = kin_group_close(&g, 0);
    if (rc < 0)
        return rc;
    printf("at most %d connections were in use\n", pool.most_in_use);
    printf("the 3rd request went out after %.1f s, the 8th after %.1f s\n",
           (double)(pool.sent_at[2] - start) / 1e9, (double)(pool.sent_at[7] - start) / 1e9);
    return 0;
}

int main(void)
{
    return kin_main(run, NULL, .virtual_clock = true);
}
