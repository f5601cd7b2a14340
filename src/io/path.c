/* Unix sockets at a path: the files of dead servers make room, those of living do not.
 *
 * A server that dies leaves its file, at which nobody can bind again. Whether somebody
 * lives there is found out by connecting: a refusal means that no socket belongs to the
 * file any more. (The living get a connection that ends at once.) Only sockets are
 * removed.
 *
 * Two servers that start at the same time must not remove each other's files: between
 * bind() and listen() a living one refuses connections, too. So whoever binds claims the
 * path before, until it listens, by binding a name made of it that is no file: the system
 * gives that to one only, and takes it back when the process ends, however it does. A
 * lock file would have to be left behind, and a lock on the directory needs the right to
 * read that, and can be held by others.
 *
 * The mode is given to the socket before it gets its name, and to the file after: the
 * umask takes away from the first, and the second comes too late for a datagram socket,
 * at which anybody could send in between.
 */
#include "io/io.h"
#include "io/path.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool kin__path_of(const kin_address *address, char path[KIN__PATH_SIZE])
{
    size_t before = offsetof(struct sockaddr_un, sun_path), length;

    if (address->any.sa_family != AF_UNIX || address->length <= before ||
        address->length > sizeof address->local || address->local.sun_path[0] == '\0')
        return false;
    length = strnlen(address->local.sun_path, address->length - before);
    memcpy(path, address->local.sun_path, length);
    path[length] = '\0';
    return true;
}

/* --------------------------------------------------------------------- claims */

/* Of the directory that the path leads to; *name: the rest. */
static int look_at_directory(const char *path, struct stat *status, const char **name)
{
    const char *slash = strrchr(path, '/');
    char directory[KIN__PATH_SIZE];

    *name = slash ? slash + 1 : path;
    if (slash)                          /* with the slash: "/" is a directory, too */
        snprintf(directory, sizeof directory, "%.*s", (int)(slash - path) + 1, path);
    if (kin__io_fails("stat", EACCES) || stat(slash ? directory : ".", status) < 0)
        return -errno;
    return 0;
}

/* A long name is cut off: then two of them may be taken for one, for a moment. */
static int claim_name(const char *path, struct sockaddr_un *claim)
{
    struct stat status;
    const char *name;
    int rc = look_at_directory(path, &status, &name);

    if (rc < 0)
        return rc;
    *claim = (struct sockaddr_un){ .sun_family = AF_UNIX };
    rc = snprintf(claim->sun_path + 1, sizeof claim->sun_path - 1, "kin-path/%llx/%llx/%.64s",
                  (unsigned long long)status.st_dev, (unsigned long long)status.st_ino, name);
    return (int)offsetof(struct sockaddr_un, sun_path) + 1 + rc;
}

int kin__path_claim(const char *path)
{
    struct sockaddr_un claim;
    int error, fd, length = claim_name(path, &claim);

    if (length < 0)
        return length;
    fd = kin__io_fails("socket", EMFILE) ? -1 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (!kin__io_fails("claim", EADDRINUSE) &&
        bind(fd, (struct sockaddr *)&claim, (socklen_t)length) == 0)
        return fd;
    error = errno;
    close(fd);
    return -error;
}

void kin__path_let_go(int claim)
{
    close(claim);
}

/* -------------------------------------------------------------------- binding */

static int try_bind(int fd, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strlen(path);

    memcpy(address.sun_path, path, length);
    if (kin__io_fails("bind", EADDRINUSE) ||
        bind(fd, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length +
                         (length < sizeof address.sun_path))) < 0)
        return -errno;
    return 0;
}

static int knock(const char *path, int type)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int rc, fd = kin__io_fails("socket", EMFILE)
                     ? -1 : socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    memcpy(address.sun_path, path, strlen(path));
    rc = kin__io_fails("connect", EACCES) ||
         connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

/* 0: there is nothing any more; -EADDRINUSE: somebody may live there. */
static int room_for_name(const char *path, int type)
{
    struct stat status;
    int rc;

    if (kin__io_fails("lstat", EACCES) || lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode))
        return -EADDRINUSE;
    rc = knock(path, type);
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM)
        return rc;
    if (rc != -ECONNREFUSED && rc != -ENOENT)
        return -EADDRINUSE;
    if ((kin__io_fails("unlink", EACCES) || unlink(path) < 0) && errno != ENOENT)
        return -errno;
    return 0;
}

void kin__path_remove(const char *path)
{
    unlink(path);
}

int kin__path_bind(int fd, const char *path, int type, mode_t mode)
{
    int rc;

    if (mode && (kin__io_fails("fchmod", EPERM) || fchmod(fd, mode) < 0))
        return -errno;
    rc = try_bind(fd, path);
    if (rc == -EADDRINUSE) {
        rc = room_for_name(path, type);
        if (rc == 0)
            rc = try_bind(fd, path);
    }
    if (rc == 0 && mode && (kin__io_fails("chmod", EPERM) || chmod(path, mode) < 0)) {
        rc = -errno;
        kin__path_remove(path);
    }
    return rc;
}
