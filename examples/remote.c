/* A door into the run for other threads and for signal handlers: a thread hands in its
 * result, and SIGINT cancels the group, with a reason.
 *
 * Prints:
 *     the thread says 42
 *     worker: cancelled: interrupted
 */
#include <kin.h>
#include <pthread.h>
#include <signal.h>

static kin_remote interrupt;        /* a signal handler has no argument */

static void on_interrupt(int number)
{
    (void)number;
    kin_remote_cancel(&interrupt, "interrupted");
}

struct answer {
    kin_remote there;
    int value;
};

static void *think(void *arg)
{
    struct answer *answer = arg;

    answer->value = 42;
    kin_remote_wake(&answer->there);
    return NULL;
}

/* Meanwhile other tasks run: only this one waits. */
static int ask_thread(void *arg)
{
    struct answer answer = { .value = 0 };
    pthread_t thread;
    int rc = kin_remote_open(&answer.there, NULL);

    (void)arg;
    if (rc < 0)
        return rc;
    rc = -pthread_create(&thread, NULL, think, &answer);
    if (rc == 0) {
        rc = kin_remote_wait(&answer.there);
        pthread_join(thread, NULL);     /* it uses what is ours; it is as good as done */
        printf("the thread says %d\n", answer.value);
    }
    kin_remote_close(&answer.there);
    return rc;
}

static int work(void *arg)
{
    int rc = kin_sleep(KIN_FOREVER);
    const kin_reason *why = kin_cancelled();

    (void)arg;
    if (why)
        printf("worker: cancelled: %s\n", why->message);
    return rc;
}

static int run(void *arg)
{
    kin_group g = kin_group_open(.name = "program");
    int rc = kin_remote_open(&interrupt, &g);

    (void)arg;
    if (rc == 0) {
        signal(SIGINT, on_interrupt);
        kin_spawn(&g, work, NULL, .name = "worker");
        rc = ask_thread(NULL);
        raise(SIGINT);              /* somebody presses Ctrl-C */
    }
    rc = kin_group_close(&g, rc);
    signal(SIGINT, SIG_DFL);
    kin_remote_close(&interrupt);
    return rc;
}

int main(void)
{
    return kin_main(run, NULL);
}
