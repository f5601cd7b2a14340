/* Signals.
 *
 * They are read from a descriptor by a task, so nothing here runs at a moment
 * that it did not choose. The first SIGINT, SIGTERM or SIGHUP asks everything to
 * end: no new items, those under way are cancelled (with their grace), what is
 * finished is printed, the summary is written, and the signal is raised again,
 * so that the caller sees what it expects. Whoever asks twice does not want to
 * wait: the second one cancels the printing too. SIGQUIT and SIGUSR1 show the
 * tree of what is running and go on.
 *
 * A signal that was ignored when we were started stays ignored: that is how
 * nohup, and shells without job control, keep background jobs alive. SIGPIPE is
 * ignored during the run, and a closed standard output is seen as an error; so is
 * SIGXFSZ, and a file that may not grow further is the failure of one item.
 */
#include "signals.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* How long finished results may take to be printed after the first signal. */
#define PRINT_MOST KIN_S(1)

static bool is_ignored(int signo)
{
    struct sigaction action;

    return sigaction(signo, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
           action.sa_handler == SIG_IGN;
}

int signals_open(struct signals *signals, struct fetch *fetch)
{
    static const int ours[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 };
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigset_t set;

    signals->fetch = fetch;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (!is_ignored(ours[i]))
            sigaddset(&set, ours[i]);
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0)
        return -errno;
    sigaction(SIGPIPE, &ignore, &signals->pipe);
    sigaction(SIGXFSZ, &ignore, &signals->size);
    sigprocmask(SIG_BLOCK, &set, &signals->before);
    return 0;
}

void signals_close(struct signals *signals)
{
    sigprocmask(SIG_SETMASK, &signals->before, NULL);
    sigaction(SIGPIPE, &signals->pipe, NULL);
    sigaction(SIGXFSZ, &signals->size, NULL);
    close(signals->fd);
}

void signals_die_of(int signo)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t set;

    if (is_ignored(signo))
        return;
    sigaction(signo, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, signo);
    raise(signo);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void ask_to_end(struct fetch *fetch, int signo)
{
    char why[32];

    snprintf(why, sizeof why, "SIG%s", sigabbrev_np(signo));
    if (fetch->signal != 0) {
        kin_cancel(&fetch->work, why);
        return;
    }
    fetch->signal = signo;
    fetch_stop(fetch, why);
    kin_group_set_deadline(&fetch->work, kin_now() + fetch->options->grace + PRINT_MOST);
}

static void show_tree(const struct fetch *fetch)
{
    const struct tally *tally = &fetch->tally;

    if (isatty(STDERR_FILENO))
        fputs(TEXT_WIPE, stderr);
    fprintf(stderr, "kin fetch: %" PRIu64 " items read, %" PRIu64 " running, %" PRIu64 " ended\n",
            fetch->list.next_index, tally->running, tally_ended(tally));
    kin_dump(stderr);
}

static bool is_end(int signo)
{
    return signo != SIGQUIT && signo != SIGUSR1;
}

void signals_note_late(struct signals *signals)
{
    struct signalfd_siginfo info;

    while (read(signals->fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (is_end((int)info.ssi_signo) && signals->fetch->signal == 0)
            signals->fetch->signal = (int)info.ssi_signo;
}

int signals_serve(void *arg)
{
    struct signals *signals = arg;
    struct signalfd_siginfo info;

    for (;;) {
        int ready = kin_wait_fd(signals->fd, KIN_READABLE);
        if (ready < 0)
            return ready;
        if (read(signals->fd, &info, sizeof info) != (ssize_t)sizeof info)
            continue;
        int signo = (int)info.ssi_signo;
        if (is_end(signo))
            ask_to_end(signals->fetch, signo);
        else
            show_tree(signals->fetch);
    }
}
