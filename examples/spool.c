/* Watching files: a task waits for what others put into a directory. They rename it to its
 * place when it is whole (kin_write_file does), so the event to wait for is IN_MOVED_TO.
 *
 * Prints:
 *     letter-1: dear sir
 *     letter-2: dear madam
 *     letter-3: goodbye
 */
#include <errno.h>
#include <kin_io.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static char directory[] = "/tmp/kin-example-XXXXXX";

static const char *path_of(char path[300], const char *name)
{
    snprintf(path, 300, "%s/%s", directory, name);
    return path;
}

/* What was in the file, which is used up. */
static int take(const char *name)
{
    char path[300], *text;
    size_t size;
    int rc = kin_read_file(path_of(path, name), 1 << 20, &text, &size);

    if (rc < 0)
        return kin_fail(rc, "%s", name);
    printf("%s: %s\n", name, text);
    rc = strcmp(text, "goodbye") == 0;
    free(text);
    return kin_unlink(path) < 0 ? -EIO : rc;
}

static int serve(kin_file_watch *watch)
{
    struct kin_file_event event;
    int rc = 0;

    while (rc == 0) {
        rc = kin_file_watch_next(watch, &event);
        if (rc == 0 && (event.mask & IN_Q_OVERFLOW))
            rc = kin_fail(-ENOBUFS, "too much at a time");  /* a server would list it all */
        if (rc == 0)
            rc = take(event.name);
    }
    return rc;
}

static int server(void *arg)
{
    kin_file_watch watch;
    int rc = kin_file_watch_open(&watch);

    (void)arg;
    if (rc == 0)
        rc = kin_file_watch_add(&watch, directory, IN_MOVED_TO);
    if (rc >= 0)
        rc = kin_ready(0);
    if (rc == 0)
        rc = serve(&watch);
    kin_file_watch_close(&watch);
    return rc < 0 ? rc : 0;
}

static int send_letters(void)
{
    static const char *const letters[] = { "dear sir", "dear madam", "goodbye" };
    char path[300], name[16];
    int rc = 0;

    for (int i = 0; i < 3 && rc == 0; i++) {
        snprintf(name, sizeof name, "letter-%d", i + 1);
        rc = kin_write_file(path_of(path, name), letters[i], strlen(letters[i]), 0600);
    }
    return rc;
}

static int run(void *arg)
{
    kin_group g = kin_group_open(.name = "spool");
    int rc = kin_start(&g, server, NULL, .name = "server");

    (void)arg;
    if (rc == 0)
        rc = send_letters();
    return kin_group_close(&g, rc);
}

/* Outside of the run nobody else is held up. */
static void clear(void)
{
    char path[300], name[16];

    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "letter-%d", i + 1);
        unlink(path_of(path, name));
    }
    rmdir(directory);
}

int main(void)
{
    int status = 1;

    if (mkdtemp(directory)) {
        status = kin_main(run, NULL);
        clear();
    }
    return status;
}
