/* The lines of --json and --progress json, made by jansson.
 *
 * Every set function of jansson takes NULL for "there was no memory" and says
 * so, so a line is built without a check at each step: one failure anywhere is
 * remembered, and the line is NULL. Strings from outside need not be UTF-8;
 * each byte that is not becomes U+FFFD.
 */
#include "json.h"
#include "fetch.h"
#include "text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct builder {
    json_t *object;
    bool failed;
};

static void put(struct builder *b, const char *key, json_t *value)
{
    if (json_object_set_new(b->object, key, value) < 0)
        b->failed = true;
}

static void put_number(struct builder *b, const char *key, uint64_t value)
{
    put(b, key, json_integer((json_int_t)value));
}

/* Nanoseconds as milliseconds, to the microsecond. */
static void put_ms(struct builder *b, const char *key, int64_t duration)
{
    put(b, key, json_real((double)(duration / 1000) / 1000));
}

/* A copy in which every stray byte is U+FFFD; NULL without memory. */
static json_t *clean_string(const char *text, size_t length)
{
    char *clean = malloc(length * 3 + 1);
    size_t used = 0;

    if (clean == NULL)
        return NULL;
    for (size_t at = 0; at < length;) {
        size_t n = text_utf8(text + at, length - at);
        memcpy(clean + used, n > 0 ? text + at : "\xef\xbf\xbd", n > 0 ? n : 3);
        used += n > 0 ? n : 3;
        at += n > 0 ? n : 1;
    }
    json_t *string = json_stringn_nocheck(clean, used);
    free(clean);
    return string;
}

static void put_bytes(struct builder *b, const char *key, const char *text, size_t length)
{
    put(b, key, clean_string(text, length));
}

static void put_text(struct builder *b, const char *key, const char *text)
{
    put_bytes(b, key, text, strlen(text));
}

/* Puts the inner object under its key, and its failure with it. */
static void put_object(struct builder *b, const char *key, struct builder *inner)
{
    b->failed |= inner->failed;
    put(b, key, inner->object);
}

/* Into memory of our own: json_dumps, where its buffer cannot grow, leaves out a
 * key and says nothing. Few lines are longer than the first try. */
static char *dump(const json_t *object)
{
    size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(15), room = 1024;
    char *line = malloc(room);

    if (line == NULL)
        return NULL;
    size_t size = json_dumpb(object, line, room, flags);
    if (size >= room) {
        free(line);
        room = size + 1;
        line = malloc(room);
        if (line == NULL)
            return NULL;
        size = json_dumpb(object, line, room, flags);
    }
    if (size == 0 || size >= room) {
        free(line);
        return NULL;
    }
    line[size] = '\0';
    return line;
}

static char *finish(struct builder *b)
{
    char *line = b->failed ? NULL : dump(b->object);

    json_decref(b->object);
    return line;
}

static void put_response(struct builder *b, const struct item *item)
{
    if (item->status == 0)
        return;
    put_number(b, "status", (uint64_t)item->status);
    put_number(b, "bytes", item->bytes);
    if (item->type != NULL)
        put_text(b, "type", item->type);
    put_number(b, "redirects", (uint64_t)item->redirects);
    if (item->url != NULL)
        put_text(b, "url", item->url);
}

static void put_error(struct builder *b, const struct item *item)
{
    struct builder error = { .object = json_object() };

    put_text(&error, "code", kin_code_name(item->code));
    put_text(&error, "class", kin_class_name(kin_class(item->code)));
    put_text(&error, "message",
             item->message[0] != '\0' ? item->message : kin_code_text(item->code));
    put_object(b, "error", &error);
}

static void put_reason(struct builder *b, const struct item *item)
{
    struct builder by = { .object = json_object() };

    put_text(&by, "reason", kin_reason_name(item->reason.kind));
    if (item->reason.name[0] != '\0')
        put_text(&by, "name", item->reason.name);
    if (item->reason.message[0] != '\0')
        put_text(&by, "message", item->reason.message);
    put_object(b, "cancelled_by", &by);
}

char *json_of_item(const struct item *item)
{
    struct builder b = { .object = json_object() };
    int64_t started = item->started_at != 0 ? item->started_at : item->ended_at;

    put_number(&b, "index", item->index);
    put_bytes(&b, "item", item->text, item->length);
    put_text(&b, "outcome", outcome_json(item->outcome));
    put_number(&b, "attempts", item->attempts);
    put_ms(&b, "queued_ms", started - item->read_at);
    put_ms(&b, "run_ms", item->ended_at - started);
    put_response(&b, item);
    if (item->file != NULL)
        put_text(&b, "file", item->file);
    if (item->outcome != OUTCOME_OK)
        put_error(&b, item);
    if (item->reason.kind != KIN_BY_NOBODY)
        put_reason(&b, item);
    return finish(&b);
}

static void put_outcomes(struct builder *b, const struct tally *tally)
{
    for (int i = 0; i < OUTCOME_COUNT; i++)
        put_number(b, outcome_json((enum outcome)i), tally->outcomes[i]);
}

char *json_of_summary(const struct fetch *fetch)
{
    struct builder b = { .object = json_object() }, s = { .object = json_object() };

    put_number(&s, "total", tally_ended(&fetch->tally));
    put_outcomes(&s, &fetch->tally);
    put_ms(&s, "wall_ms", kin_now() - fetch->started_at);
    put_number(&s, "exit", (uint64_t)fetch_exit_status(fetch));
    put_object(&b, "summary", &s);
    return finish(&b);
}

char *json_of_progress(const struct fetch *fetch)
{
    struct builder b = { .object = json_object() }, p = { .object = json_object() };

    put_number(&p, "read", fetch->list.next_index);
    if (fetch->list.total > 0)
        put_number(&p, "total", fetch->list.total);
    put_number(&p, "running", fetch->tally.running);
    put_outcomes(&p, &fetch->tally);
    put_ms(&p, "wall_ms", kin_now() - fetch->started_at);
    put_object(&b, "progress", &p);
    return finish(&b);
}
