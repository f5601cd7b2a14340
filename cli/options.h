#ifndef KIN_CLI_OPTIONS_H
#define KIN_CLI_OPTIONS_H

#include "kin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses, the same for every command. */
enum {
    EXIT_ALL_OK = 0,
    EXIT_SOME_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_TIMED_OUT = 124,
    EXIT_OWN_FAULT = 125
};

/* One source of items, in the order of the command line. */
enum source_kind { SOURCE_URL, SOURCE_FILE, SOURCE_STDIN };
struct source {
    enum source_kind kind;
    const char *text;           /* the URL or pattern, or the file's name */
};

enum on_timeout { ON_TIMEOUT_FAIL, ON_TIMEOUT_SKIP, ON_TIMEOUT_TEXT };
enum progress { PROGRESS_AUTO, PROGRESS_NEVER, PROGRESS_JSON };

/* What the command line of kin fetch said. Times are 0 where not given. */
struct fetch_options {
    struct source *sources;
    size_t source_count;
    uint32_t jobs;
    uint32_t retries;
    uint32_t max_fail;          /* 0: any number */
    int64_t timeout, deadline, grace;
    kin_policy policy;
    enum on_timeout on_timeout;
    char *text;                 /* the default result */
    size_t text_size;
    const char *output;
    const char *cacert;         /* NULL: the system's certificate authorities */
    enum progress progress;
    bool json, unordered, tag, globoff;
    uint64_t given;             /* a bit for each row of the table that was used */
};

/* The usual values, as if the command line were empty. */
#define FETCH_OPTIONS_DEFAULT { .jobs = 5, .policy = KIN_KEEP_GOING }

/* Reads the arguments after "kin fetch". 0: run; 1: --help was answered; else
 * a message has been written, and the exit status is negated: -EXIT_USAGE or
 * -EXIT_OWN_FAULT. The strings are the caller's argv. */
int fetch_options_parse(struct fetch_options *options, int argc, char **argv);
void fetch_options_free(struct fetch_options *options);
/* Whether the option of that letter was there. */
bool fetch_options_given(const struct fetch_options *options, char letter);

void fetch_help(FILE *out);
/* A script for bash that completes the options of kin fetch. */
void fetch_completion(FILE *out);

#endif
