/* A rate limiter: a bucket of `burst` tokens, filled by one each interval.
 *
 * The bucket is kept as a single time (the generic cell rate algorithm): full_at,
 * when it would be full again if nobody came. A token is there when full_at lies at
 * most burst - 1 intervals ahead; taking it moves full_at on by one. Nothing has to
 * happen while nobody asks, and no error adds up.
 *
 * Those that must wait stand in the line of a mutex. Its owner sleeps until the next
 * token is there and takes it then; nobody takes one in advance. So they are
 * served in the order in which they came, and one that is cancelled has used nothing
 * up: the next has its turn and sleeps for the same token.
 *
 * full_at is never more than burst intervals ahead. If it is, it was written by the
 * clock of an earlier run.
 */
#include "sync/sync.h"

static const struct kin_wait_ops limiter_ops = { "limiter", kin__mutex_abort,
                                                 kin__mutex_describe };

/* An empty bucket must fill within 146 years, so that no sum of times overflows. */
static bool limiter_valid(const kin_limiter *limiter)
{
    uint32_t burst = limiter->burst ? limiter->burst : 1;

    return limiter->interval >= 0 && limiter->interval <= INT64_MAX / 2 / burst;
}

/* By how much full_at may lie ahead while there is a token. */
static int64_t slack(const kin_limiter *limiter)
{
    return limiter->burst ? limiter->interval * (limiter->burst - 1) : 0;
}

/* When the next token is there: not after now if it is already. */
static int64_t token_at(const kin_limiter *limiter, int64_t now)
{
    int64_t latest = now + slack(limiter) + limiter->interval;

    return (limiter->full_at < latest ? limiter->full_at : latest) - slack(limiter);
}

static void take_token(kin_limiter *limiter, int64_t token, int64_t now)
{
    int64_t full_at = token + slack(limiter);

    limiter->full_at = (full_at > now ? full_at : now) + limiter->interval;
}

static int wait_for_token(kin_limiter *limiter)
{
    int64_t now = kin_now(), token = token_at(limiter, now);
    int rc = token > now ? kin_sleep_until(token) : 0;

    if (rc == 0)
        take_token(limiter, token, token > now ? kin_now() : now);
    return rc;
}

int kin_limiter_acquire(kin_limiter *limiter)
{
    int rc;

    if (!limiter_valid(limiter))
        return KIN_EINVAL;
    rc = kin__mutex_lock(&limiter->turn, &limiter_ops);
    if (rc < 0)
        return rc;
    rc = wait_for_token(limiter);
    kin_mutex_unlock(&limiter->turn);
    return rc;
}

int kin_limiter_try_acquire(kin_limiter *limiter)
{
    int64_t now, token;
    int rc;

    if (!limiter_valid(limiter))
        return KIN_EINVAL;
    rc = kin_mutex_try_lock(&limiter->turn);
    if (rc < 0)
        return rc;
    now = kin_now();
    token = token_at(limiter, now);
    if (token > now)
        rc = KIN_EAGAIN;
    else
        take_token(limiter, token, now);
    kin_mutex_unlock(&limiter->turn);
    return rc;
}
