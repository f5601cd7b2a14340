/* Makes the k-th allocation of a process fail, k being $KIN_FAIL_AT; preloaded
 * before the C library. At the end it says how many there were. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static atomic_long calls, fail_at;

/* Before the constructor ran, and for the dynamic linker, nothing fails. */
__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("KIN_FAIL_AT");

    atomic_store(&calls, 0);
    atomic_store(&fail_at, text != NULL ? atol(text) : 0);
}

static int fails(void)
{
    if (atomic_fetch_add(&calls, 1) + 1 != atomic_load(&fail_at))
        return 0;
    errno = ENOMEM;
    return 1;
}

EXPORT void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}

__attribute__((destructor)) static void end(void)
{
    char line[80];
    long most = atomic_load(&calls), at = atomic_load(&fail_at);
    int size = snprintf(line, sizeof line, "malloc: %ld calls%s\n", most,
                        at > 0 && at <= most ? ", one failed" : "");

    (void)!write(STDERR_FILENO, line, (size_t)size);
}
