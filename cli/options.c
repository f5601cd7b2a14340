/* The options of kin fetch: one table.
 *
 * Everything that has to know the options is derived from this table: the calls
 * of getopt_long, the text of --help, the completions for shells; the tests hold
 * the manual page against --help. A row has the function that stores its value,
 * so that there is no switch to keep in step.
 *
 * Every complaint is one line on standard error that names the option and the
 * value as they were typed. What contradicts is refused, not silently ranked:
 * a script that says both --first and --fail-fast has a bug, and its author
 * should hear about it at once.
 */
#include "options.h"
#include "duration.h"
#include "readfile.h"
#include "text.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_TEXT_MAX (16u << 20)
#define CACERT_MAX (64u << 20)
#define CERTIFICATE "CERTIFICATE-----"       /* what the first line of each ends with */
#define JOBS_MAX 1000000
#define COUNT_MAX 1000000

/* Ids of the rows without a letter; all of them below the letters. */
enum {
    ID_FAIL_FAST = 1,
    ID_MAX_FAIL,
    ID_FIRST,
    ID_ON_TIMEOUT,
    ID_GRACE,
    ID_JSON,
    ID_UNORDERED,
    ID_TAG,
    ID_PROGRESS,
    ID_CACERT,
    ID_COMPLETION
};

struct row {
    char id;                    /* its letter, or one of the ids above */
    const char *name;
    const char *value;          /* what it takes, for --help; NULL: nothing */
    const char *help;
    int (*set)(struct fetch_options *options, const char *value);
};

static int complain(const char *option, const char *value, const char *why)
{
    char shown[200];

    text_printable(shown, sizeof shown, value, strlen(value));
    fprintf(stderr, "kin fetch: %s %s: %s\n", option, shown[0] != '\0' ? shown : "''", why);
    return -EXIT_USAGE;
}

static int out_of_memory(void)
{
    fprintf(stderr, "kin fetch: out of memory\n");
    return -EXIT_OWN_FAULT;
}

static int read_count(const char *option, const char *value, uint32_t least, uint32_t most,
                      uint32_t *count)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(value, &end, 10);

    if (value[0] < '0' || value[0] > '9' || *end != '\0')
        return complain(option, value, "not a whole number");
    if (errno != 0 || n > most)
        return complain(option, value, "too large");
    if (n < least)
        return complain(option, value, "must be at least 1");
    *count = (uint32_t)n;
    return 0;
}

static int read_duration(const char *option, const char *value, int64_t least, int64_t *duration)
{
    if (!duration_parse(value, duration))
        return complain(option, value,
                        "not a duration (300ms, 1.5s, 2m, 1h; plain numbers are seconds)");
    if (*duration < least)
        return complain(option, value, "must be more than nothing");
    return 0;
}

static int set_jobs(struct fetch_options *o, const char *value)
{
    return read_count("--jobs", value, 1, JOBS_MAX, &o->jobs);
}

static int set_timeout(struct fetch_options *o, const char *value)
{
    return read_duration("--timeout", value, 1, &o->timeout);
}

static int set_deadline(struct fetch_options *o, const char *value)
{
    return read_duration("--deadline", value, 1, &o->deadline);
}

static int set_fail_fast(struct fetch_options *o, const char *value)
{
    (void)value;
    o->policy = KIN_ALL;
    return 0;
}

static int set_keep_going(struct fetch_options *o, const char *value)
{
    (void)o, (void)value;
    return 0;
}

static int set_max_fail(struct fetch_options *o, const char *value)
{
    return read_count("--max-fail", value, 1, COUNT_MAX, &o->max_fail);
}

static int set_first(struct fetch_options *o, const char *value)
{
    (void)value;
    o->policy = KIN_ANY;
    return 0;
}

static int set_default_text(struct fetch_options *o, const char *value)
{
    o->on_timeout = ON_TIMEOUT_TEXT;
    free(o->text);
    o->text = NULL;
    if (value[0] == '@') {
        int rc = read_whole_file(value + 1, DEFAULT_TEXT_MAX, &o->text, &o->text_size);
        return rc < 0 ? complain("--on-timeout", value, strerror(-rc)) : 0;
    }
    int size = asprintf(&o->text, "%s\n", value);      /* a text is a line */
    if (size < 0) {
        o->text = NULL;
        return out_of_memory();
    }
    o->text_size = (size_t)size;
    return 0;
}

static int set_on_timeout(struct fetch_options *o, const char *value)
{
    if (strcmp(value, "fail") == 0)
        o->on_timeout = ON_TIMEOUT_FAIL;
    else if (strcmp(value, "skip") == 0)
        o->on_timeout = ON_TIMEOUT_SKIP;
    else
        return set_default_text(o, value);
    return 0;
}

static int set_retries(struct fetch_options *o, const char *value)
{
    return read_count("--retries", value, 0, COUNT_MAX, &o->retries);
}

static int set_grace(struct fetch_options *o, const char *value)
{
    return read_duration("--grace", value, 0, &o->grace);
}

static int set_output(struct fetch_options *o, const char *value)
{
    if (value[0] == '\0')
        return complain("--output", value, "not a directory");
    o->output = value;
    return 0;
}

static int set_json(struct fetch_options *o, const char *value)
{
    (void)value;
    o->json = true;
    return 0;
}

static int set_unordered(struct fetch_options *o, const char *value)
{
    (void)value;
    o->unordered = true;
    return 0;
}

static int set_tag(struct fetch_options *o, const char *value)
{
    (void)value;
    o->tag = true;
    return 0;
}

static int set_progress(struct fetch_options *o, const char *value)
{
    static const char *const names[] = { "auto", "never", "json" };

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(value, names[i]) == 0) {
            o->progress = (enum progress)i;
            return 0;
        }
    return complain("--progress", value, "not one of auto, never, json");
}

/* Why there are no certificates to be had from it, or NULL. Curl opens it again, so it
 * cannot be a pipe. */
static const char *no_certificates(const char *path)
{
    struct stat st;
    char *data;
    size_t size;

    if (stat(path, &st) < 0)
        return strerror(errno);
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? strerror(EISDIR) : "not a regular file";
    int rc = read_whole_file(path, CACERT_MAX, &data, &size);
    if (rc < 0)
        return strerror(-rc);
    bool found = memmem(data, size, CERTIFICATE, strlen(CERTIFICATE)) != NULL;
    free(data);
    return found ? NULL : "there is no certificate in it (PEM)";
}

static int set_cacert(struct fetch_options *o, const char *value)
{
    const char *why = no_certificates(value);

    if (why != NULL)
        return complain("--cacert", value, why);
    o->cacert = value;
    return 0;
}

/* The array has room for every argument: see fetch_options_parse. */
static int add_source(struct fetch_options *o, enum source_kind kind, const char *text)
{
    o->sources[o->source_count++] = (struct source){ .kind = kind, .text = text };
    return 0;
}

static int set_file(struct fetch_options *o, const char *value)
{
    return add_source(o, strcmp(value, "-") == 0 ? SOURCE_STDIN : SOURCE_FILE, value);
}

static int set_globoff(struct fetch_options *o, const char *value)
{
    (void)value;
    o->globoff = true;
    return 0;
}

static int show_help(struct fetch_options *o, const char *value)
{
    (void)o, (void)value;
    fetch_help(stdout);
    return 1;
}

static int show_completion(struct fetch_options *o, const char *value)
{
    (void)o, (void)value;
    fetch_completion(stdout);
    return 1;
}

static const struct row rows[] = {
    { 'j', "jobs", "N", "at most N at a time (5 unless told)", set_jobs },
    { 't', "timeout", "DUR", "limit for each item, from when it starts", set_timeout },
    { 'd', "deadline", "DUR", "limit for all of them together", set_deadline },
    { ID_FAIL_FAST, "fail-fast", NULL, "the first failure cancels the rest", set_fail_fast },
    { 'k', "keep-going", NULL, "failures are collected (the default)", set_keep_going },
    { ID_MAX_FAIL, "max-fail", "N", "the N-th failure cancels the rest", set_max_fail },
    { ID_FIRST, "first", NULL, "the first success cancels the rest", set_first },
    { ID_ON_TIMEOUT, "on-timeout", "WHAT", "the result of an item that timed out: fail, skip,\n"
      "a text, or @FILE", set_on_timeout },
    { 'r', "retries", "N", "try again up to N times, with growing pauses", set_retries },
    { ID_GRACE, "grace", "DUR", "how long an item may take to end when asked to", set_grace },
    { 'o', "output", "DIR", "save each page as a file in DIR", set_output },
    { ID_JSON, "json", NULL, "print one JSON object an item, then a summary", set_json },
    { ID_UNORDERED, "unordered", NULL, "print results as they come, not in input order",
      set_unordered },
    { ID_TAG, "tag", NULL, "begin each line of a page with its URL and a tab", set_tag },
    { ID_PROGRESS, "progress", "HOW", "auto (a line on a terminal), never, or json",
      set_progress },
    { 'f', "file", "FILE", "read URLs from FILE, one a line (-: standard input)", set_file },
    { ID_CACERT, "cacert", "FILE", "trust the certificate authorities in FILE (PEM), not the\n"
      "system's", set_cacert },
    { 'g', "globoff", NULL, "take { } [ ] in URLs literally", set_globoff },
    { 'h', "help", NULL, "show this help", show_help },
    { ID_COMPLETION, "bash-completion", NULL, "print completions for bash", show_completion },
};
#define ROWS (sizeof rows / sizeof rows[0])

/* Two rows that do not go together, and why. */
static const struct conflict {
    char a, b;
    const char *why;
} conflicts[] = {
    { ID_FAIL_FAST, 'k', "the first failure cannot both cancel the rest and not" },
    { ID_FAIL_FAST, ID_FIRST, "with --first failures cancel nobody" },
    { ID_FAIL_FAST, ID_MAX_FAIL, "--fail-fast is --max-fail 1" },
    { ID_MAX_FAIL, 'k', "the N-th failure cannot both cancel the rest and not" },
    { ID_FIRST, 'k', "with --first the first success cancels the rest" },
    { ID_FIRST, ID_MAX_FAIL, "with --first failures cancel nobody" },
    { ID_JSON, ID_TAG, "with --json no page is printed" },
    { 'o', ID_TAG, "with --output no page is printed" },
};

static size_t row_of(int id)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].id == id)
            return i;
    return ROWS;
}

bool fetch_options_given(const struct fetch_options *options, char id)
{
    return (options->given >> row_of(id) & 1) != 0;
}

static int check_conflicts(const struct fetch_options *options)
{
    for (size_t i = 0; i < sizeof conflicts / sizeof conflicts[0]; i++) {
        const struct conflict *c = &conflicts[i];
        if (fetch_options_given(options, c->a) && fetch_options_given(options, c->b)) {
            fprintf(stderr, "kin fetch: --%s and --%s contradict each other: %s\n",
                    rows[row_of(c->a)].name, rows[row_of(c->b)].name, c->why);
            return -EXIT_USAGE;
        }
    }
    if (fetch_options_given(options, ID_ON_TIMEOUT) && options->timeout == 0 &&
        options->source_count > 0) {
        fprintf(stderr, "kin fetch: --on-timeout needs --timeout: "
                        "without a limit no item can time out\n");
        return -EXIT_USAGE;
    }
    return 0;
}

/* getopt_long's two descriptions of the table. The leading '-' makes it hand
 * over the URLs in their place between the options. */
static void describe_to_getopt(struct option *longs, char *shorts)
{
    *shorts++ = '-';
    for (size_t i = 0; i < ROWS; i++) {
        longs[i] = (struct option){ .name = rows[i].name,
                                    .has_arg = rows[i].value != NULL,
                                    .val = 256 + (int)i };
        if (rows[i].id <= ID_COMPLETION)
            continue;
        *shorts++ = rows[i].id;
        if (rows[i].value != NULL)
            *shorts++ = ':';
    }
    longs[ROWS] = (struct option){ 0 };
    *shorts = '\0';
}

/* What getopt_long returns: 1 for an argument, a letter, 256 + row, or '?'. */
static int take(struct fetch_options *options, int found)
{
    if (found == 1)
        return add_source(options, strcmp(optarg, "-") == 0 ? SOURCE_STDIN : SOURCE_URL, optarg);
    if (found == '?')
        return -EXIT_USAGE;     /* getopt_long has written its line */
    size_t row = found >= 256 ? (size_t)found - 256 : row_of(found);
    options->given |= UINT64_C(1) << row;
    return rows[row].set(options, optarg);
}

int fetch_options_parse(struct fetch_options *options, int argc, char **argv)
{
    struct option longs[ROWS + 1];
    char shorts[2 * ROWS + 2];
    int found, rc = 0;

    describe_to_getopt(longs, shorts);
    options->sources = calloc((size_t)argc + 1, sizeof *options->sources);
    if (options->sources == NULL)
        return out_of_memory();
    optind = 1;
    while (rc == 0 && (found = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
        rc = take(options, found);
    while (rc == 0 && optind < argc)        /* what stands behind "--" */
        rc = add_source(options, SOURCE_URL, argv[optind++]);
    return rc != 0 ? rc : check_conflicts(options);
}

void fetch_options_free(struct fetch_options *options)
{
    free(options->sources);
    free(options->text);
}

/* One row of --help; further lines of the text stand under the first. */
static void print_row(const struct row *row, FILE *out)
{
    char left[40] = "    ";
    const char *text = row->help;

    if (row->id > ID_COMPLETION)
        snprintf(left, sizeof left, "-%c, ", row->id);
    snprintf(left + 4, sizeof left - 4, "--%s%s%s", row->name, row->value != NULL ? " " : "",
             row->value != NULL ? row->value : "");
    for (const char *label = left;; label = "") {
        int line = (int)strcspn(text, "\n");
        fprintf(out, "  %-24s%.*s\n", label, line, text);
        if (text[line] == '\0')
            return;
        text += line + 1;
    }
}

void fetch_help(FILE *out)
{
    fputs("usage: kin fetch [options] URL...\n"
          "       kin fetch [options] -f FILE\n"
          "       kin fetch [options] -            (URLs from standard input)\n"
          "\n"
          "Fetches pages as one group: at most -j at a time, each within its own limit, all\n"
          "within one deadline, every one with exactly one outcome. Without URLs it shows a\n"
          "run against a small server of its own. URLs may be patterns, as curl's:\n"
          "'http://host/{a,b}/[1-10]'.\n"
          "\n",
          out);
    for (size_t i = 0; i < ROWS; i++)
        print_row(&rows[i], out);
    fputs("\n"
          "Durations: 300ms, 3s, 1.5s, 2m, 1h; plain numbers are seconds.\n"
          "Exit status: 0 all ok or defaulted, 1 something failed, 2 usage, 124 the deadline\n"
          "passed or only time-outs failed, 125 kin's own fault.\n"
          "The manual: man kin-fetch.\n",
          out);
}

void fetch_completion(FILE *out)
{
    fputs("_kin_fetch()\n{\n    local words=\"", out);
    for (size_t i = 0; i < ROWS; i++)
        fprintf(out, "%s--%s", i == 0 ? "" : " ", rows[i].name);
    fputs("\"\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W 'fetch --help --version' -- \"$2\"))\n"
          "        return\n"
          "    fi\n"
          "    case $3 in\n"
          "    --progress) COMPREPLY=($(compgen -W 'auto never json' -- \"$2\")) ;;\n"
          "    -o|--output) COMPREPLY=($(compgen -d -- \"$2\")) ;;\n"
          "    -f|--file|--cacert) COMPREPLY=($(compgen -f -- \"$2\")) ;;\n"
          "    *) COMPREPLY=($(compgen -W \"$words\" -- \"$2\")) ;;\n"
          "    esac\n"
          "}\n"
          "complete -o default -F _kin_fetch kin\n",
          out);
}
