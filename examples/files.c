/* Files: some are written side by side, listed, and read; what is half written nobody sees.
 * A slow disk would hold up none of the other tasks.
 *
 * Prints:
 *     3 reports, 29 bytes
 *     summary: 24 bytes
 */
#include <errno.h>
#include <kin_io.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int path_of(char path[300], const char *directory, const char *name)
{
    return snprintf(path, 300, "%s/%s", directory, name) < 300 ? 0 : -ENAMETOOLONG;
}

struct report {
    const char *directory, *name, *text;
};

/* The whole text or, also after a crash, none of it. */
static int write_report(void *arg)
{
    const struct report *report = arg;
    char path[300];
    int rc = path_of(path, report->directory, report->name);

    return rc < 0 ? rc : kin_write_file(path, report->text, strlen(report->text), 0644);
}

static int write_reports(const char *directory)
{
    struct report reports[] = {
        { directory, "monday", "sunshine" },
        { directory, "tuesday", "rain" },
        { directory, "wednesday", "sunshine and rain" },
    };
    kin_group g = kin_group_open(.name = "reports");

    for (int i = 0; i < 3; i++)
        kin_spawn(&g, write_report, &reports[i], .name = reports[i].name);
    return kin_group_close(&g, 0);
}

static int add_report(const char *directory, const char *name, size_t *total)
{
    char path[300], *text;
    size_t size;
    int rc = path_of(path, directory, name);

    if (rc == 0)
        rc = kin_read_file(path, 1 << 20, &text, &size);
    if (rc < 0)
        return kin_fail(rc, "%s", name);
    free(text);
    *total += size;
    return 0;
}

/* How many there are, or a code. */
static int add_up(const char *path, size_t *total)
{
    kin_directory directory;
    struct kin_entry entry;
    int count = 0, rc = kin_directory_open(&directory, path);

    while (rc == 0 && (rc = kin_directory_next(&directory, &entry)) > 0) {
        rc = S_ISREG(entry.type) ? add_report(path, entry.name, total) : 0;
        count++;
    }
    kin_directory_close(&directory);
    return rc < 0 ? rc : count;
}

static int summarise(const char *directory)
{
    char path[300], line[40];
    size_t total = 0;
    struct stat status;
    int count = add_up(directory, &total), rc = path_of(path, directory, "summary");

    if (count < 0 || rc < 0)
        return count < 0 ? count : rc;
    printf("%d reports, %zu bytes\n", count, total);
    snprintf(line, sizeof line, "%d reports with %zu bytes\n", count, total);
    rc = kin_write_file(path, line, strlen(line), 0644);
    if (rc == 0)
        rc = kin_stat(path, &status);
    if (rc == 0)
        printf("summary: %d bytes\n", (int)status.st_size);
    return rc;
}

static int run(void *arg)
{
    const char *directory = arg;
    int rc = write_reports(directory);

    return rc < 0 ? rc : summarise(directory);
}

/* Outside of the run nobody else is held up. */
static void clear(const char *directory)
{
    static const char *const names[] = { "monday", "tuesday", "wednesday", "summary" };
    char path[300];

    for (int i = 0; i < 4; i++)
        if (path_of(path, directory, names[i]) == 0)
            unlink(path);
    rmdir(directory);
}

int main(void)
{
    char directory[] = "/tmp/kin-example-XXXXXX";
    int status = 1;

    if (mkdtemp(directory)) {
        status = kin_main(run, directory);
        clear(directory);
    }
    return status;
}
