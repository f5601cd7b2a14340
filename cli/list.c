/* The list of items, read as it is needed.
 *
 * Nothing here grows with the list: a pattern is expanded one URL at a time, a
 * file is read through one buffer, and the next item is only read when there is
 * a use for it. Reading waits for the descriptor to be readable, so that a slow
 * pipe holds up nobody else, and leaves its flags alone: standard input is
 * shared with the shell.
 *
 * Arguments are typed by a person: what is wrong with one is an error of usage,
 * said before anything starts. Lists are data: a line that is no URL is an item
 * that fails, and the others go on. A line that is longer than any URL is not
 * even kept; its item has the first bytes of it as its name.
 *
 * In lists blank lines, lines that begin with '#', white space around a URL, and
 * a byte order mark at the start are passed over. Patterns are for arguments;
 * a line is one URL, whatever brackets it contains.
 */
#include "list.h"
#include "text.h"
#include "url.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MOST (64u << 10)
#define NAME_OF_TOO_LONG 100

static int refuse(const char *what, const char *why)
{
    char shown[200];

    text_printable(shown, sizeof shown, what, strlen(what));
    fprintf(stderr, "kin fetch: %s: %s\n", shown[0] != '\0' ? shown : "''", why);
    return -EXIT_USAGE;
}

static int refuse_url(const char *url, const char *why)
{
    char shown[200];

    url_printable(shown, sizeof shown, url, strlen(url));
    return refuse(shown, why);
}

static int out_of_memory(void)
{
    fprintf(stderr, "kin fetch: out of memory\n");
    return -EXIT_OWN_FAULT;
}

/* Tries the argument as far as its first URL, and counts its URLs. */
static int try_argument(struct list *list, const char *text)
{
    struct glob glob = { .total = 1 };
    char why[160], hint[300];
    char *url = NULL;
    int rc = 0;

    if (!list->globoff && (rc = glob_open(&glob, text)) == 0)
        rc = glob_next(&glob, &url);
    if (rc == -EINVAL)
        snprintf(why, sizeof why, "%s", glob.problem);
    const char *first = url != NULL ? url : text;
    if (rc >= 0)
        rc = url_check(first, strlen(first), why, sizeof why);
    free(url);
    glob_close(&glob);
    if (rc == -ENOMEM)
        return out_of_memory();
    if (rc < 0 && access(text, R_OK) == 0) {
        snprintf(hint, sizeof hint, "%s (for a file with URLs: -f)", why);
        return refuse_url(text, hint);
    }
    if (rc < 0)
        return refuse_url(text, why);
    list->total += glob.total;
    return 0;
}

/* O_NONBLOCK, so that a named pipe without a writer does not hold us up here. */
static int try_file(const char *path, int *fd)
{
    struct stat info;

    *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0)
        return refuse(path, strerror(errno));
    if (fstat(*fd, &info) == 0 && S_ISDIR(info.st_mode))
        return refuse(path, strerror(EISDIR));
    return 0;
}

static int try_stdin(struct list *list, int *fd)
{
    for (size_t i = 0; i < list->at; i++)
        if (list->fds[i] == STDIN_FILENO)
            return refuse("-", "standard input can only be read once");
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY)
        return refuse("-", "standard input is closed");
    *fd = STDIN_FILENO;
    return 0;
}

static int try_source(struct list *list, const struct source *source, int *fd)
{
    switch (source->kind) {
    case SOURCE_URL:
        return try_argument(list, source->text);
    case SOURCE_FILE:
        return try_file(source->text, fd);
    case SOURCE_STDIN:
        return try_stdin(list, fd);
    }
    return 0;
}

int list_open(struct list *list, struct fetch *fetch, const struct fetch_options *options)
{
    bool counted = true;

    *list = (struct list){ .fetch = fetch,
                           .sources = options->sources,
                           .count = options->source_count,
                           .globoff = options->globoff,
                           .fresh = true };
    list->fds = malloc((list->count + 1) * sizeof *list->fds);
    list->buffer = malloc(LINE_MOST);
    if (list->fds == NULL || list->buffer == NULL) {
        list->count = 0;                /* so that close looks at no fds */
        return out_of_memory();
    }
    for (size_t i = 0; i < list->count; i++)
        list->fds[i] = -1;
    for (; list->at < list->count; list->at++) {
        int rc = try_source(list, &list->sources[list->at], &list->fds[list->at]);
        if (rc < 0)
            return rc;
        counted = counted && list->sources[list->at].kind == SOURCE_URL;
    }
    list->at = 0;
    if (!counted)
        list->total = 0;
    return 0;
}

void list_close(struct list *list)
{
    if (list->expanding)
        glob_close(&list->glob);
    for (size_t i = 0; i < list->count; i++)
        if (list->fds[i] > STDIN_FILENO)
            close(list->fds[i]);
    free(list->fds);
    free(list->buffer);
    *list = (struct list){ .fetch = list->fetch };
}

/* Makes an item of a text that it takes over. */
static int give(struct list *list, char *text, size_t length, struct item **item)
{
    *item = text != NULL ? item_new(list->fetch, list->next_index, text, length) : NULL;
    if (*item == NULL)
        return -ENOMEM;
    int rc = url_check(text, length, (*item)->message, sizeof(*item)->message);
    if (rc == -ENOMEM) {
        item_free(*item);
        return rc;
    }
    (*item)->unusable = rc < 0;
    list->next_index++;
    return 1;
}

/* From an argument: 1, 0 when it has no more, -ENOMEM. */
static int next_of_argument(struct list *list, const char *text, struct item **item)
{
    char *url;
    int rc;

    if (list->globoff) {
        if (!list->fresh)
            return 0;
        list->fresh = false;
        return give(list, strdup(text), strlen(text), item);
    }
    if (!list->expanding) {
        list->expanding = true;
        rc = glob_open(&list->glob, text);
        if (rc < 0)
            return rc;
    }
    rc = glob_next(&list->glob, &url);
    return rc == 1 ? give(list, url, strlen(url), item) : rc;
}

/* Reads more into the buffer: the number of bytes, 0 at the end, or a code. */
static ssize_t fill(struct list *list, int fd)
{
    if (list->begin > 0) {
        memmove(list->buffer, list->buffer + list->begin, list->end - list->begin);
        list->end -= list->begin;
        list->begin = 0;
    }
    assert(list->end < LINE_MOST);
    for (;;) {
        int ready = kin_wait_fd(fd, KIN_READABLE);
        if (ready < 0)
            return ready;
        ssize_t n = read(fd, list->buffer + list->end, LINE_MOST - list->end);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return -errno;
        list->end += (size_t)n;
        return n;
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Makes an item of a line, unless there is nothing in it: 1, 0, or -ENOMEM. */
static int use_line(struct list *list, const char *line, size_t length, struct item **item)
{
    if (list->fresh && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        length -= 3;
    }
    list->fresh = false;
    for (; length > 0 && is_space(*line); line++)
        length--;
    while (length > 0 && is_space(line[length - 1]))
        length--;
    if (length == 0 || *line == '#')
        return 0;
    char *text = malloc(length + 1);
    if (text == NULL)
        return -ENOMEM;
    memcpy(text, line, length);
    text[length] = '\0';
    return give(list, text, length, item);
}

/* The buffer is full and there is no end of line in it: reads past it. */
static int use_too_long(struct list *list, int fd, struct item **item)
{
    char name[NAME_OF_TOO_LONG];
    size_t length = 0;
    const char *newline;
    ssize_t n;

    memcpy(name, list->buffer, sizeof name);
    do {
        length += list->end;
        list->begin = list->end = 0;
        n = fill(list, fd);
        if (n < 0)
            return (int)n;
        newline = memchr(list->buffer, '\n', list->end);
    } while (newline == NULL && n > 0);
    if (newline != NULL) {
        list->begin = (size_t)(newline - list->buffer) + 1;
        length += list->begin - 1;
    }
    if (name[0] == '#')
        return 0;
    int rc = use_line(list, name, sizeof name, item);
    if (rc == 1) {
        (*item)->unusable = true;
        snprintf((*item)->message, sizeof(*item)->message,
                 "a line of %zu bytes is too long (at most %u)", length, LINE_MOST - 1);
    }
    return rc;
}

/* From a file: 1, 0 at its end, or a code. */
static int next_of_file(struct list *list, int fd, struct item **item)
{
    ssize_t n = 1;
    int rc = 0;

    while (rc == 0 && (n > 0 || list->begin < list->end)) {
        char *line = list->buffer + list->begin;
        size_t length = list->end - list->begin;
        char *newline = memchr(line, '\n', length);
        if (newline == NULL && length == LINE_MOST) {
            rc = use_too_long(list, fd, item);
        } else if (newline == NULL && n > 0) {
            if ((n = fill(list, fd)) < 0)
                rc = (int)n;
        } else {
            if (newline != NULL)
                length = (size_t)(newline - line);
            list->begin += length + (newline != NULL);
            rc = use_line(list, line, length, item);
        }
    }
    return rc;
}

static int next_of_source(struct list *list, struct item **item)
{
    const struct source *source = &list->sources[list->at];

    if (source->kind == SOURCE_URL)
        return next_of_argument(list, source->text, item);
    return list->arguments_only ? 0 : next_of_file(list, list->fds[list->at], item);
}

int list_next(struct list *list, struct item **item)
{
    for (; list->at < list->count; list->at++) {
        int rc = next_of_source(list, item);
        if (rc != 0)
            return rc;
        if (list->expanding)
            glob_close(&list->glob);
        list->expanding = false;
        list->fresh = true;
        list->begin = list->end = 0;
    }
    return 0;
}
