#ifndef KIN_CLI_ITEM_H
#define KIN_CLI_ITEM_H

#include "body.h"
#include "kin.h"

#include <stdint.h>

/* The one vocabulary of outcomes. Every item ends with exactly one.
 *        name       word in JSON   word for people */
#define OUTCOMES(X)                          \
    X(OK,        "ok",        "ok")          \
    X(FAILED,    "failed",    "failed")      \
    X(TIMED_OUT, "timed_out", "timed out")   \
    X(DEFAULTED, "defaulted", "defaulted")   \
    X(CANCELLED, "cancelled", "cancelled")   \
    X(SKIPPED,   "skipped",   "never started")

enum outcome {
#define OUTCOME_(name, json, text) OUTCOME_##name,
    OUTCOMES(OUTCOME_)
#undef OUTCOME_
    OUTCOME_COUNT,
    OUTCOME_NONE = OUTCOME_COUNT        /* not ended yet */
};

const char *outcome_json(enum outcome outcome);
const char *outcome_text(enum outcome outcome);

/* One page to fetch, from the moment it was read until its result is printed. */
struct item {
    struct fetch *fetch;
    struct item *next;          /* among the finished, when unordered */
    uint64_t index;
    char *text;                 /* as it was given, NUL-terminated … */
    size_t length;              /* … though it may contain NULs */
    char name[104];             /* … and for people, as the task's name */
    bool unusable;              /* the list says why, in message */
    enum outcome outcome;
    int code;                   /* why it did not go well, or 0 */
    char message[256];
    kin_reason reason;          /* who cancelled it, where it was */
    unsigned attempts;
    int64_t read_at, started_at, ended_at;      /* the latter two 0 if never */
    int status, redirects;      /* of the last response, 0 if there was none */
    uint64_t bytes;
    char *type;                 /* Content-Type, or NULL */
    char *url;                  /* where redirects led, or NULL */
    char *file;                 /* the name it was saved under, or NULL */
    struct body body;
};

/* Takes over text; NULL when out of memory (then text is freed). */
struct item *item_new(struct fetch *fetch, uint64_t index, char *text, size_t length);
void item_free(struct item *item);

/* Records how an item ended without having been started. */
void item_skip(struct item *item);
/* The function of an item's task: arg is a struct item *. */
int item_run(void *arg);

#endif
