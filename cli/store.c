/* Pages saved as files in the directory of -o.
 *
 * A page is written to a file that has no name yet (O_TMPFILE) and is linked
 * into the directory when it is complete: whoever looks there sees whole pages
 * only, and nothing else is left behind, even after kill -9. File systems that
 * know no unnamed files get a temporary name, which is removed on failure.
 *
 * Nothing is ever overwritten, neither another item's page nor a file that was
 * there before: link() fails when the name is taken, and a number is added,
 * "index.html.2". So that equal names are numbered in the order in which the
 * items start, and so that a million of them do not try a million names each, the
 * next number of a name is remembered, in a table of fixed size: a name that
 * was pushed out of it is merely looked for from the start again.
 */
#include "store.h"
#include "url.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HINTS (sizeof((struct store *)NULL)->hints / sizeof(struct name_hint))

/* FNV-1a; 0 is kept for free entries. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash != 0 ? hash : 1;
}

/* The entry of a name, taken over from another name if need be. */
static struct name_hint *find_hint(struct store *store, uint64_t hash)
{
    struct name_hint *hint = &store->hints[hash % HINTS];

    if (hint->hash != hash)
        *hint = (struct name_hint){ .hash = hash, .next = 1 };
    return hint;
}

/* Claims a name that is free now, and that nobody else will be given. */
static void claim_name(struct store *store, struct store_file *file, const char *plain)
{
    file->hash = hash_name(plain);
    struct name_hint *hint = find_hint(store, file->hash);

    do {
        file->number = hint->next++;
        if (file->number == 1)
            snprintf(file->name, sizeof file->name, "%s", plain);
        else
            snprintf(file->name, sizeof file->name, "%s.%" PRIu32, plain, file->number);
    } while (faccessat(store->fd, file->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

/* Gives the name back, if no later one was claimed after it. */
static void unclaim_name(struct store *store, struct store_file *file)
{
    struct name_hint *hint = &store->hints[file->hash % HINTS];

    if (file->hash != 0 && hint->hash == file->hash && hint->next == file->number + 1)
        hint->next = file->number;
    file->hash = 0;
}

/* A file without a name, or with a temporary one where that is all there is. */
static int make_file(struct store *store, struct store_file *file)
{
    static unsigned counter;

    file->temporary[0] = '\0';
    if (!store->named) {
        file->fd = openat(store->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
        if (file->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
            return file->fd >= 0 ? 0 : -errno;
        store->named = true;
    }
    do {
        snprintf(file->temporary, sizeof file->temporary, ".kin-%d-%u", (int)getpid(), counter++);
        file->fd = openat(store->fd, file->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    } while (file->fd < 0 && errno == EEXIST);
    return file->fd >= 0 ? 0 : -errno;
}

int store_open(struct store *store, const char *path)
{
    store->path = path;
    store->named = access("/proc/self/fd", X_OK) < 0;   /* linking needs it */
    if (mkdir(path, 0777) < 0 && errno != EEXIST)
        return -errno;
    store->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->fd < 0)
        return -errno;
    struct store_file probe = STORE_FILE_INIT;
    int rc = make_file(store, &probe);
    if (rc == 0)
        store_abandon(store, &probe);
    return rc;
}

void store_close(struct store *store)
{
    if (store->fd >= 0)
        close(store->fd);
    store->fd = -1;
}

int store_begin(struct store *store, struct store_file *file, const char *url)
{
    char plain[URL_NAME_MAX + 1];

    assert(file->fd < 0);
    int rc = url_file_name(url, plain);
    if (rc == 0)
        rc = make_file(store, file);
    if (rc == 0)
        claim_name(store, file, plain);
    return rc;
}

int store_append(struct store_file *file, const void *data, size_t size)
{
    for (const char *from = data; size > 0;) {
        ssize_t n = write(file->fd, from, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        from += n;
        size -= (size_t)n;
    }
    return 0;
}

int store_rewind(struct store_file *file)
{
    if (ftruncate(file->fd, 0) < 0 || lseek(file->fd, 0, SEEK_SET) < 0)
        return -errno;
    return 0;
}

/* Links the file to its name, if that is still free. 0 or -errno. */
static int link_file(struct store *store, struct store_file *file)
{
    char unnamed[40];

    if (file->temporary[0] == '\0') {
        snprintf(unnamed, sizeof unnamed, "/proc/self/fd/%d", file->fd);
        return linkat(AT_FDCWD, unnamed, store->fd, file->name, AT_SYMLINK_FOLLOW) < 0 ? -errno
                                                                                       : 0;
    }
    if (renameat2(store->fd, file->temporary, store->fd, file->name, RENAME_NOREPLACE) == 0) {
        file->temporary[0] = '\0';
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    return linkat(store->fd, file->temporary, store->fd, file->name, 0) < 0 ? -errno : 0;
}

int store_commit(struct store *store, struct store_file *file)
{
    char plain[sizeof file->name];
    int rc;

    /* Somebody else may have taken the name meanwhile. */
    snprintf(plain, sizeof plain, "%s", file->name);
    while ((rc = link_file(store, file)) == -EEXIST)
        claim_name(store, file, plain);
    if (file->temporary[0] != '\0')
        unlinkat(store->fd, file->temporary, 0);
    file->temporary[0] = '\0';
    /* Some file systems only now say that there was no room. */
    if (close(file->fd) < 0 && errno != EINTR && rc == 0) {
        rc = -errno;
        unlinkat(store->fd, file->name, 0);
    }
    file->fd = -1;
    return rc;
}

void store_abandon(struct store *store, struct store_file *file)
{
    if (file->fd < 0)
        return;
    unclaim_name(store, file);
    if (file->temporary[0] != '\0')
        unlinkat(store->fd, file->temporary, 0);
    close(file->fd);
    file->fd = -1;
}
