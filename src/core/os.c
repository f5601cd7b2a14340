/* What the core asks of the operating system: memory, the clock, and word of a
 * stack overflow. Each request passes one place where a test can make it fail.
 *
 * A task that runs over its stack touches the guard below it and gets SIGSEGV.
 * The handler says which task that was and hands the signal on to whoever had it
 * before, so the process dies, or reports, as it would have without kin. It runs
 * on an alternate stack, since the task's own is used up. Dispositions belong to
 * the process, alternate stacks to the thread; both are given back when the last
 * (or the thread's) run ends.
 */
#include "core/core.h"

#include <pthread.h>
#if defined __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

bool (*kin__os_fault)(const char *site);

static bool memory_fails(const char *site)
{
    if (kin__rt && kin__rt->options.faults && kin__fault_request(kin__rt))
        return true;
    return kin__os_fails(site);
}

void *kin__os_alloc(size_t size)
{
    void *memory = NULL;

    if (!memory_fails("alloc"))
        memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
    return memory ? memset(memory, 0, size) : NULL;
}

void *kin__os_resize(void *memory, size_t size)
{
    return memory_fails("resize") ? NULL : realloc(memory, size);
}

void kin__os_free(void *memory)
{
    free(memory);
}

void *kin__os_map(size_t size)
{
    void *memory;

    if (memory_fails("map"))
        return NULL;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, size, MADV_NOHUGEPAGE);     /* a huge page would hold two stacks hostage */
    return memory;
}

void kin__os_unmap(void *memory, size_t size)
{
    munmap(memory, size);
}

void kin__os_discard(void *memory, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)memory;
    uintptr_t first = (from + page - 1) & ~(page - 1), last = (from + size) & ~(page - 1);

    if (first < last)
        madvise((char *)memory + (first - from), last - first, MADV_DONTNEED);
}

void kin__os_trim(void)
{
#if defined __GLIBC__
    malloc_trim(0);
#endif
}

int64_t kin__os_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * KIN_S(1) + now.tv_nsec;
}

/* ---------------------------------------------------------- stack overflow */

static pthread_mutex_t overflow_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned overflow_users;
static struct sigaction overflow_before[2];     /* of SIGSEGV and SIGBUS */
static __thread stack_t alternate_before;
static __thread void *alternate_stack;
static __thread unsigned alternate_users;       /* runs of this thread: a host's may lie idle */

enum { ALTERNATE_STACK = 16384 };

static void put_text(char **at, const char *end, const char *text)
{
    while (*text && *at < end)
        *(*at)++ = *text++;
}

static void put_number(char **at, const char *end, int32_t number)
{
    char digits[12];
    int n = 0;
    uint32_t rest = number < 0 ? -(uint32_t)number : (uint32_t)number;

    if (number < 0)
        put_text(at, end, "-");
    for (; rest > 0; rest /= 10)
        digits[n++] = (char)('0' + rest % 10);
    while (n > 0 && *at < end)
        *(*at)++ = digits[--n];
}

static void say_who(const char *name, int32_t index)
{
    char line[256], *at = line;
    const char *end = line + sizeof line - 1;
    ssize_t ignored;

    put_text(&at, end, "kin: the task ");
    put_text(&at, end, *name ? name : "without a name");
    if (index != 0) {
        put_text(&at, end, "[");
        put_number(&at, end, index);
        put_text(&at, end, "]");
    }
    put_text(&at, end, " ran over its stack (see .stack of its group)\n");
    ignored = write(STDERR_FILENO, line, (size_t)(at - line));
    (void)ignored;
}

static void on_overflow(int signal, siginfo_t *info, void *context)
{
    const char *name;
    int32_t index;

    (void)context;
    if (kin__overflow_of(info->si_addr, &name, &index))
        say_who(name, index);
    sigaction(signal, &overflow_before[signal == SIGBUS], NULL);
    if (info->si_code <= 0)
        raise(signal);          /* it was sent; a fault would happen again by itself */
}

void kin__os_catch_overflow(void)
{
    stack_t alternate = { .ss_size = ALTERNATE_STACK };
    struct sigaction action = { .sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    if (alternate_users++ == 0) {
        sigaltstack(NULL, &alternate_before);
        if (alternate_before.ss_flags & SS_DISABLE)
            alternate.ss_sp = alternate_stack = malloc(ALTERNATE_STACK);
        if (alternate_stack)
            sigaltstack(&alternate, NULL);
    }
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&overflow_lock);
    if (overflow_users++ == 0) {
        sigaction(SIGSEGV, &action, &overflow_before[0]);
        sigaction(SIGBUS, &action, &overflow_before[1]);
    }
    pthread_mutex_unlock(&overflow_lock);
}

/* One member for both kinds of handler: on Linux they are a union. */
void kin__os_signal_back(int signal, const struct sigaction *ours, const struct sigaction *before)
{
    struct sigaction now;

    sigaction(signal, NULL, &now);
    if (now.sa_handler == ours->sa_handler)
        sigaction(signal, before, NULL);
}

void kin__os_release_overflow(void)
{
    const struct sigaction ours = { .sa_sigaction = on_overflow };

    pthread_mutex_lock(&overflow_lock);
    if (--overflow_users == 0) {
        kin__os_signal_back(SIGSEGV, &ours, &overflow_before[0]);
        kin__os_signal_back(SIGBUS, &ours, &overflow_before[1]);
    }
    pthread_mutex_unlock(&overflow_lock);
    if (--alternate_users > 0)
        return;
    if (alternate_stack)
        sigaltstack(&alternate_before, NULL);
    free(alternate_stack);
    alternate_stack = NULL;
}

/* Another thread may hold the lock when this one forks, and the child has no such thread. */
void kin__os_fork_begin(void)
{
    pthread_mutex_lock(&overflow_lock);
}

void kin__os_fork_end(void)
{
    pthread_mutex_unlock(&overflow_lock);
}
