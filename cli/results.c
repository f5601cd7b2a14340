/* Results, in the order of the input.
 *
 * Items end in any order. Each is put into the slot of its index, and one task,
 * the printer, takes them out from the head. The window bounds how far ahead of
 * the head an item may be read; so a slow head makes the reading of the list
 * wait, and memory stays bounded whatever the length of the list. Unordered, the
 * same bound holds for the number of items that wait for a slow reader.
 *
 * The printer stands outside of the items' group: what has ended when the
 * deadline passes, or a signal comes, is still printed. Only whole results are:
 * standard output never holds half a page.
 */
#include "results.h"
#include "fetch.h"
#include "json.h"
#include "progress.h"
#include "text.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_LEAST 1024

int results_open(struct results *results, struct fetch *fetch)
{
    results->fetch = fetch;
    results->ordered = !fetch->options->unordered;
    results->window = fetch->jobs > WINDOW_LEAST / 2 ? fetch->jobs * 2 : WINDOW_LEAST;
    out_init(&results->out, STDOUT_FILENO);
    results->slots = calloc(results->window, sizeof(struct item *));
    return results->slots != NULL ? 0 : -ENOMEM;
}

static bool has_room(const struct results *results, uint64_t index)
{
    return results->ordered ? index - results->head < results->window
                            : results->held < results->window;
}

int results_wait_room(struct results *results, uint64_t index)
{
    while (!has_room(results, index)) {
        kin_event_clear(&results->room);
        int rc = kin_event_wait(&results->room);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void results_put(struct results *results, struct item *item)
{
    assert(item->outcome < OUTCOME_COUNT);
    tally_count(&results->fetch->tally, item);
    if (results->ordered) {
        assert(item->index - results->head < results->window);
        struct item **slot = &results->slots[item->index % results->window];
        assert(*slot == NULL);
        *slot = item;
    } else {
        item->next = NULL;
        if (results->first == NULL)
            results->first = item;
        else
            results->last->next = item;
        results->last = item;
    }
    results->held++;
    kin_event_set(&results->ready);
}

/* The next item to print, or NULL if it has not ended yet. */
static struct item *take(struct results *results)
{
    struct item **from = results->ordered ? &results->slots[results->head % results->window]
                                          : &results->first;
    struct item *item = *from;

    if (item == NULL)
        return NULL;
    *from = results->ordered ? NULL : item->next;
    results->head++;
    results->held--;
    kin_event_set(&results->room);
    return item;
}

/* Writes text with the item's name in front of each line. */
struct tagger {
    struct out *out;
    const struct item *item;
    bool inside;                /* of a line */
};

static int tag_lines(void *arg, const void *data, size_t size)
{
    struct tagger *tagger = arg;
    int rc = 0;

    for (const char *p = data; size > 0 && rc == 0;) {
        const char *newline = memchr(p, '\n', size);
        size_t length = newline != NULL ? (size_t)(newline - p) + 1 : size;
        if (!tagger->inside) {
            rc = out_write(tagger->out, tagger->item->text, tagger->item->length);
            if (rc == 0)
                rc = out_write(tagger->out, "\t", 1);
        }
        if (rc == 0)
            rc = out_write(tagger->out, p, length);
        tagger->inside = newline == NULL;
        p += length;
        size -= length;
    }
    return rc;
}

static int write_plain(void *out, const void *data, size_t size)
{
    return out_write(out, data, size);
}

static int print_page(struct results *results, const struct item *item)
{
    struct spool *spool = &results->fetch->spool;
    struct tagger tagger = { .out = &results->out, .item = item };

    if (!results->fetch->options->tag)
        return body_read(spool, &item->body, write_plain, &results->out);
    int rc = body_read(spool, &item->body, tag_lines, &tagger);
    return rc == 0 && tagger.inside ? out_write(&results->out, "\n", 1) : rc;
}

static int print_line(struct results *results, char *line)
{
    if (line == NULL)
        return -ENOMEM;
    int rc = out_write(&results->out, line, strlen(line));
    if (rc == 0)
        rc = out_write(&results->out, "\n", 1);
    free(line);
    return rc;
}

static int print_item(struct results *results, struct item *item)
{
    struct fetch *fetch = results->fetch;
    int rc = 0;

    if (fetch->options->json)
        rc = print_line(results, json_of_item(item));
    else if (fetch->demo != NULL)
        demo_note(fetch->demo, item);
    else
        rc = print_page(results, item);
    item_free(item);
    return rc;
}

/* Prints what there is; then waits for more, with nothing left in the buffer. */
static int print_all(struct results *results)
{
    for (;;) {
        struct item *item = take(results);
        int rc = 0;
        if (item != NULL)
            rc = print_item(results, item);
        else if (results->complete)
            return 0;
        else {
            kin_event_clear(&results->ready);
            rc = out_flush(&results->out);
            if (rc == 0)
                rc = kin_event_wait(&results->ready);
        }
        if (rc < 0)
            return rc;
    }
}

/* Its place on a terminal may be where the status line is. */
static int print_demo(struct results *results)
{
    if (progress_wanted(results->fetch) && isatty(STDERR_FILENO))
        fputs(TEXT_WIPE, stderr);
    return print_line(results, demo_report(results->fetch->demo));
}

int results_print(void *arg)
{
    struct results *results = arg;
    int rc = print_all(results);

    if (rc == 0 && results->fetch->options->json)
        rc = print_line(results, json_of_summary(results->fetch));
    else if (rc == 0 && results->fetch->demo != NULL)
        rc = print_demo(results);
    if (rc == 0)
        rc = out_flush(&results->out);
    if (rc < 0)
        fetch_output_failed(results->fetch, rc);
    return rc;
}

void results_complete(struct results *results)
{
    results->complete = true;
    kin_event_set(&results->ready);
}

void results_close(struct results *results)
{
    struct item *item;

    /* What could not be printed; there may be gaps where nothing was put. */
    for (uint64_t i = 0; results->slots != NULL && i < results->window && results->held > 0; i++) {
        item = take(results);
        if (item != NULL)
            item_free(item);
        else if (results->ordered)
            results->head++;
    }
    while ((item = results->ordered ? NULL : take(results)) != NULL)
        item_free(item);
    free(results->slots);
    results->slots = NULL;
}
