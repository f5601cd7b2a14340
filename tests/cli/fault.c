/* Makes the k-th allocation of a process fail, k being $KIN_FAIL_AT; preloaded
 * before the C library. At the end it says how many there were. With
 * $KIN_FAIL_OURS set, what libcurl and OpenSSL ask for is not counted and does not
 * fail: libcurl 7.88 divides by zero when it has no memory for the table of the
 * second transfer on a socket. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static atomic_long calls, fail_at;
static atomic_bool ours_only;

/* What happens before is the dynamic linker's. */
__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("KIN_FAIL_AT");

    atomic_store(&calls, 0);
    atomic_store(&fail_at, text != NULL ? atol(text) : 0);
    atomic_store(&ours_only, getenv("KIN_FAIL_OURS") != NULL);
}

static bool is_ours(const void *caller)
{
    Dl_info info;

    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL)
        return true;
    return strstr(info.dli_fname, "libcurl") == NULL && strstr(info.dli_fname, "libssl") == NULL &&
           strstr(info.dli_fname, "libcrypto") == NULL;
}

static bool fails(const void *caller)
{
    if (atomic_load(&ours_only) && !is_ours(caller))
        return false;
    if (atomic_fetch_add(&calls, 1) + 1 != atomic_load(&fail_at))
        return false;
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *old, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

__attribute__((destructor)) static void end(void)
{
    char line[80];
    long most = atomic_load(&calls), at = atomic_load(&fail_at);
    int size = snprintf(line, sizeof line, "malloc: %ld calls%s\n", most,
                        at > 0 && at <= most ? ", one failed" : "");

    (void)!write(STDERR_FILENO, line, (size_t)size);
}
