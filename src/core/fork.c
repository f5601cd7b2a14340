/* After a fork.
 *
 * The child has a copy of the run, and shares with its parent what the copy leads to: the
 * epoll descriptor, the ring, the bell. Whatever it did there, the parent would see. So in
 * the child the thread that forked is taken out of its run: every call that needs one says
 * KIN_EFORK, there and in new runs, since the frames below it are tasks of the old one. A
 * task that comes back to the scheduler all the same ends the process; where main comes back,
 * kin_run returns KIN_EFORK, and nothing is torn down, closed or given back.
 *
 * A thread that forks outside of a run has done nothing wrong: its child may run what it
 * likes. What its parent had opened between two steps of a host, or can be reached through a
 * kin_remote, knows by the number of forks that it belongs to another process.
 *
 * (vfork, posix_spawn and fork by a bare system call do not come by here. The first two are
 * meant to be followed by exec, and so is what kin_process_start does.)
 */
#include "core/core.h"

#include <pthread.h>
#include <unistd.h>

__thread int kin__why_no_run = KIN_ENORUN;
unsigned kin__forks;

static int fork_hook_failed;

static void forked_child(void)
{
    kin__os_fork_end();
    kin__forks++;
    if (!kin__rt)
        return;
    kin__why_no_run = KIN_EFORK;
    kin__rt->current->base.flags |= KIN__FORKED;
    kin__rt = NULL;
}

static void hook_forks(void)
{
    fork_hook_failed = pthread_atfork(kin__os_fork_begin, kin__os_fork_end, forked_child);
}

int kin__fork_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, hook_forks);
    return -fork_hook_failed;
}

void kin__end_forked(void)
{
    kin_report("misuse: a task came back in the child of a fork; the process ends");
    _exit(1);
}
