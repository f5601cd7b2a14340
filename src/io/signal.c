/* Signals: a handler that wakes whoever waits for them.
 *
 * The handler sets a bit in each kin_signals that wants the signal, and wakes its remote:
 * nothing else is done in it. Which those are stands in a table of pointers. Whoever
 * closes one takes it out of the table and then waits until no handler is running, in any
 * thread, so that none is left with the pointer.
 *
 * (A signalfd would need the signal blocked in all threads, also those that somebody else
 * has started, and in children.) Dispositions are the process's: they are replaced when the
 * first one asks for a signal and put back when the last one goes.
 */
#include "io/io.h"
#include "kin_os.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

enum { LISTENERS = 64, NUMBERS = 64 };          /* a bit each in wanted and arrived */

static kin_signals *listener[LISTENERS];        /* read by handlers, in any thread */
static uint32_t handlers;                       /* running now */
static pthread_mutex_t signal_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users[NUMBERS + 1];             /* under the lock, as is the rest */
static struct sigaction disposition_before[NUMBERS + 1];

static uint64_t signal_bit(int number)
{
    return 1ull << (number - 1);
}

static void signal_arrived(int number)
{
    int kept = errno;

    __atomic_fetch_add(&handlers, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < LISTENERS; i++) {
        kin_signals *signals = __atomic_load_n(&listener[i], __ATOMIC_SEQ_CST);

        if (!signals || !(signals->wanted & signal_bit(number)))
            continue;
        __atomic_fetch_or(&signals->arrived, signal_bit(number), __ATOMIC_RELEASE);
        kin_remote_wake(&signals->remote);
    }
    __atomic_fetch_sub(&handlers, 1, __ATOMIC_SEQ_CST);
    errno = kept;
}

/* ------------------------------------------------------- dispositions, the table */

static const struct sigaction noting = { .sa_handler = signal_arrived, .sa_flags = SA_RESTART };

static int take_signal(int number)
{
    struct sigaction action = noting;

    if (users[number]++ > 0)
        return 0;
    sigfillset(&action.sa_mask);
    if (sigaction(number, &action, &disposition_before[number]) == 0)
        return 0;
    users[number]--;
    return KIN_EINVAL;
}

static void give_signal_back(int number)
{
    if (--users[number] == 0)
        kin__os_signal_back(number, &noting, &disposition_before[number]);
}

static void give_all_back(uint64_t taken)
{
    for (; taken; taken &= taken - 1)
        give_signal_back(__builtin_ctzll(taken) + 1);
}

static int take_all(uint64_t wanted)
{
    for (uint64_t left = wanted; left; left &= left - 1) {
        int rc = take_signal(__builtin_ctzll(left) + 1);

        if (rc < 0) {
            give_all_back(wanted & ~left);
            return rc;
        }
    }
    return 0;
}

static int enlist_signals(kin_signals *signals)
{
    int rc;

    for (int i = 0; i < LISTENERS; i++) {
        if (listener[i])
            continue;
        rc = take_all(signals->wanted);
        if (rc == 0)
            __atomic_store_n(&listener[i], signals, __ATOMIC_SEQ_CST);
        return rc;
    }
    return KIN_EBUSY;
}

static bool delist_signals(kin_signals *signals)
{
    for (int i = 0; i < LISTENERS; i++) {
        if (listener[i] != signals)
            continue;
        __atomic_store_n(&listener[i], NULL, __ATOMIC_SEQ_CST);
        give_all_back(signals->wanted);
        return true;
    }
    return false;
}

/* --------------------------------------------------------------------- forks */

static void signals_fork_begin(void)
{
    pthread_mutex_lock(&signal_lock);
}

static void signals_fork_end(void)
{
    pthread_mutex_unlock(&signal_lock);
}

/* Nobody in the child waits for them, so they do there what they did before. */
static void signals_forked(void)
{
    for (int i = 0; i < LISTENERS; i++)
        if (listener[i])
            delist_signals(listener[i]);
    handlers = 0;
    signals_fork_end();
}

static int signals_hook_failed;

static void signals_hook_forks(void)
{
    signals_hook_failed = pthread_atfork(signals_fork_begin, signals_fork_end, signals_forked);
}

static int watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, signals_hook_forks);
    return -signals_hook_failed;
}

/* ------------------------------------------------------------------- the calls */

static int set_of(const int *numbers, size_t count, uint64_t *set)
{
    *set = 0;
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] < 1 || numbers[i] > NUMBERS)
            return KIN_EINVAL;
        *set |= signal_bit(numbers[i]);
    }
    return *set ? 0 : KIN_EINVAL;
}

int kin_signals_open(kin_signals *signals, const int *numbers, size_t count)
{
    uint64_t wanted;
    int rc = set_of(numbers, count, &wanted);

    if (rc == 0)
        rc = watch_forks();
    if (rc == 0)
        rc = kin_remote_open(&signals->remote, NULL);
    if (rc < 0)
        return rc;
    signals->wanted = wanted;
    signals->arrived = 0;
    pthread_mutex_lock(&signal_lock);
    rc = enlist_signals(signals);
    pthread_mutex_unlock(&signal_lock);
    if (rc < 0)
        kin_remote_close(&signals->remote);
    return rc;
}

void kin_signals_close(kin_signals *signals)
{
    bool listed;

    pthread_mutex_lock(&signal_lock);
    listed = delist_signals(signals);
    pthread_mutex_unlock(&signal_lock);
    while (listed && __atomic_load_n(&handlers, __ATOMIC_SEQ_CST) > 0)
        sched_yield();
    kin_remote_close(&signals->remote);
}

int kin_signals_wait(kin_signals *signals)
{
    int rc = kin_check();

    while (rc == 0) {
        uint64_t set = __atomic_load_n(&signals->arrived, __ATOMIC_ACQUIRE);

        if (set) {
            int number = __builtin_ctzll(set) + 1;

            __atomic_fetch_and(&signals->arrived, ~signal_bit(number), __ATOMIC_ACQ_REL);
            kin_wait_skip();
            return number;
        }
        rc = kin_remote_wait(&signals->remote);
    }
    return rc;
}

/* -------------------------------------------------------------- the end of a run */

struct ending {
    kin_signals signals;
    kin_reason reason;
};

static const char ending_key;

static void cancel_root(struct kin__runtime *rt, kin_reason *reason, int number)
{
    *reason = (kin_reason){ .kind = KIN_BY_SIGNAL, .at = "" };
    snprintf(reason->message, sizeof reason->message, "%s", strsignal(number));
    kin__cancel(rt, &rt->host.base, reason);
}

static int end_on_signals(void *arg)
{
    struct ending *ending = arg;
    int rc = kin_signals_wait(&ending->signals);

    if (rc > 0) {
        cancel_root(kin__rt, &ending->reason, rc);
        rc = kin_signals_wait(&ending->signals);
    }
    if (rc > 0)
        kin__shields_lift_all(kin__rt);
    kin_signals_close(&ending->signals);
    return rc > 0 ? 0 : rc;
}

int kin_end_on_signals(void)
{
    static const int numbers[] = { SIGINT, SIGTERM };
    struct ending *ending;
    int rc = -ENOMEM;

    if (!kin__rt)
        return kin__no_run();
    if (kin_run_local(&ending_key))
        return KIN_EBUSY;
    ending = kin__os_alloc(sizeof *ending);
    if (!ending)
        return rc;
    rc = kin_signals_open(&ending->signals, numbers, 2);
    if (rc < 0)
        goto no_signals;
    rc = kin_run_local_set(&ending_key, ending, kin__os_free);
    if (rc < 0)
        goto no_local;
    rc = kin_system_spawn(end_on_signals, ending, "signals");
    if (rc == 0)
        return 0;
    kin_signals_close(&ending->signals);
    kin_run_local_set(&ending_key, NULL, NULL);
    kin__os_free(ending);
    return rc;

no_local:
    kin_signals_close(&ending->signals);
no_signals:
    kin__os_free(ending);
    return rc;
}
