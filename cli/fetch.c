/* kin fetch: the run as a whole.
 *
 *     root task
 *      └ side: signals, progress, the demonstration's server     cancelled at the end
 *         └ work: the printer                                    ended when all is printed
 *            └ items: the pages, at most -j of them              -d, --grace, the policy
 *               └ list: the reading of the list, by the root task
 *
 * Each is a group or scope within the one above, so each ends before it. The
 * root task itself reads the list and starts the pages: starting waits for a
 * free place, so a list of a million URLs is read as fast as its pages are
 * fetched, and no faster. The list has a scope of its own, without the grace: at
 * the deadline nothing new is started, while pages under way may finish.
 *
 * An item is born when it is read and counted when it has ended; that both
 * numbers are equal in the end is asserted. What is not read of a list when the run
 * is stopped never was an item. Arguments are different: the user has typed them
 * and wants to hear of each, so those left over are read and reported as never
 * started, except for what is beyond LEFT_OVER_MOST in a large pattern.
 */
#include "fetch.h"
#include "duration.h"
#include "descriptors.h"
#include "progress.h"
#include "signals.h"
#include "text.h"
#include "url.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEFT_OVER_MOST 10000

/* ------------------------------------------------------------- what happened */

void fetch_note_reason(struct fetch *fetch, const kin_reason *reason)
{
    if (fetch->stopped.kind == KIN_BY_NOBODY && reason != NULL)
        fetch->stopped = *reason;
}

void fetch_stop_reading(struct fetch *fetch, const char *why)
{
    kin_cancel(&fetch->reading, why);
}

void fetch_stop(struct fetch *fetch, const char *why)
{
    kin_cancel(&fetch->items, why);
    kin_cancel(&fetch->reading, why);
}

static int report_fault(struct fetch *fetch, int code, const char *what)
{
    if (fetch->fault == 0)
        fprintf(stderr, "kin fetch: %s: %s\n", what, kin_code_text(code));
    return fetch->fault = code;
}

void fetch_output_failed(struct fetch *fetch, int code)
{
    kin_reason reason = { .kind = KIN_BY_HAND, .message = "standard output failed" };

    if (code == KIN_ECANCELED)
        return;                 /* somebody asked twice to end */
    fetch_note_reason(fetch, &reason);
    if (code == -EPIPE)
        fetch->output_error = code;
    else
        report_fault(fetch, code, "standard output");
}

int fetch_exit_status(const struct fetch *fetch)
{
    const uint64_t *outcomes = fetch->tally.outcomes;

    if (fetch->signal != 0)
        return 128 + fetch->signal;
    if (fetch->fault != 0)
        return EXIT_OWN_FAULT;
    if (fetch->output_error != 0)
        return 128 + SIGPIPE;
    if (fetch->options->policy == KIN_ANY && outcomes[OUTCOME_OK] > 0)
        return EXIT_ALL_OK;
    if (fetch->stopped.kind == KIN_BY_DEADLINE)
        return EXIT_TIMED_OUT;
    if (fetch->list.next_index == 0)
        return EXIT_USAGE;
    if (outcomes[OUTCOME_FAILED] > 0)
        return EXIT_SOME_FAILED;
    if (outcomes[OUTCOME_TIMED_OUT] > 0)
        return EXIT_TIMED_OUT;
    return outcomes[OUTCOME_CANCELLED] + outcomes[OUTCOME_SKIPPED] > 0 ? EXIT_SOME_FAILED
                                                                       : EXIT_ALL_OK;
}

/* --------------------------------------------------------------- the reading */

/* There was no memory for its task. */
static void fail_unstarted(struct item *item, int code)
{
    item->outcome = OUTCOME_FAILED;
    item->code = code;
    item->ended_at = kin_now();
}

/* Starts the item's task, or ends the item: 0 or a code. */
static int start_item(struct fetch *fetch, struct item *item)
{
    int rc = kin_cancelled() != NULL ? KIN_ECANCELED : 0;

    url_printable(item->name, sizeof item->name, item->text, item->length);
    if (rc == 0)
        rc = kin_spawn(&fetch->items, item_run, item,
                       .name = item->unusable ? "not a URL" : item->name);
    if (rc == 0)
        return 0;
    if (rc == -ENOMEM)
        fail_unstarted(item, rc);
    else
        item_skip(item);
    results_put(&fetch->results, item);
    return rc;
}

/* Reads and starts items until the list ends, or the run is stopped: 0 or a code. */
static int read_list(struct fetch *fetch)
{
    struct item *item;

    for (;;) {
        int rc = results_wait_room(&fetch->results, fetch->list.next_index);
        if (rc == 0)
            rc = kin_check();
        if (rc == 0)
            rc = list_next(&fetch->list, &item);
        if (rc == 1)
            rc = start_item(fetch, item);
        else if (rc == 0)
            return 0;
        if (rc < 0)
            return rc;
    }
}

/* Whether the code says that the run was stopped, and not that reading failed. */
static bool is_stop(int rc)
{
    return rc == KIN_ECANCELED || rc == KIN_ETIMEDOUT || rc == KIN_EDECIDED;
}

static const char *source_name(const struct list *list)
{
    bool named = list->at < list->count && list->sources[list->at].kind != SOURCE_URL;

    return named ? list->sources[list->at].text : "the list";
}

static void report_unstarted(struct fetch *fetch)
{
    struct item *item;
    int rc = 1;

    fetch->list.arguments_only = true;
    for (int i = 0; i < LEFT_OVER_MOST && rc > 0; i++) {
        if (results_wait_room(&fetch->results, fetch->list.next_index) < 0)
            return;
        rc = list_next(&fetch->list, &item);
        if (rc > 0) {
            item_skip(item);
            results_put(&fetch->results, item);
        }
    }
}

static void fetch_items(struct fetch *fetch)
{
    const struct fetch_options *options = fetch->options;

    fetch->items = kin_group_open(.name = "items", .policy = options->policy,
                                  .limit = fetch->jobs, .timeout = options->deadline,
                                  .grace = options->grace);
    fetch->reading = kin_scope_open(.name = "list", .timeout = options->deadline);
    int rc = read_list(fetch);
    if (is_stop(rc))
        fetch_note_reason(fetch, kin_cancelled());
    else if (rc < 0)
        report_fault(fetch, rc, source_name(&fetch->list));
    kin_scope_close(&fetch->reading, 0);
    kin_group_close(&fetch->items, 0);      /* each failure is in the tally already */
    if (rc < 0)
        report_unstarted(fetch);
}

/* ------------------------------------------------------------------- the run */

static int work(struct fetch *fetch)
{
    fetch->started_at = kin_now();
    fetch->work = kin_group_open(.name = "work", .policy = KIN_ALL);
    int rc = kin_spawn(&fetch->work, results_print, &fetch->results, .name = "printer");
    if (rc == 0)
        fetch_items(fetch);
    else
        report_fault(fetch, rc, "the printing task");
    results_complete(&fetch->results);
    kin_group_close(&fetch->work, 0);       /* the printer has noted its failure */
    assert(fetch->tally.running == 0);
    assert(tally_ended(&fetch->tally) == fetch->list.next_index);
    return rc;
}

static int start_side(struct fetch *fetch, kin_group *side, struct signals *signals)
{
    int rc = kin_spawn(side, signals_serve, signals, .name = "signals");

    if (rc == 0 && progress_wanted(fetch))
        rc = kin_spawn(side, progress_show, fetch, .name = "progress");
    if (rc == 0 && fetch->demo != NULL)
        rc = demo_start(fetch->demo, side);
    return rc < 0 ? report_fault(fetch, rc, "a task") : 0;
}

static void summarize(const struct fetch *fetch)
{
    char time[32];

    if (fetch->output_error != 0)
        return;                 /* about to die of SIGPIPE, as filters do: silently */
    if (fetch->list.next_index == 0 && fetch->stopped.kind == KIN_BY_NOBODY &&
        fetch->fault == 0 && fetch->signal == 0) {
        fprintf(stderr, "kin fetch: the list is empty\n");
        return;
    }
    if (fetch->stopped.kind == KIN_BY_DEADLINE)
        fprintf(stderr, "kin: the deadline of %s has passed\n",
                duration_print(fetch->options->deadline, time, sizeof time));
    if (fetch->signal != 0)
        fprintf(stderr, "kin: interrupted by SIG%s\n", sigabbrev_np(fetch->signal));
    tally_print(&fetch->tally, "kin: ", kin_now() - fetch->started_at, stderr);
}

struct run {
    struct fetch *fetch;
    struct signals *signals;
    struct fetch_options *options;
    int status;                 /* in place of the run's, where nothing was begun; or 0 */
};

/* Everything that may be refused before the first page is asked for. */
static int prepare(struct fetch *fetch, struct fetch_options *options)
{
    unsigned descriptors = 1;           /* for each page under way */
    int rc;

    if (options->source_count == 0) {
        rc = demo_open(&fetch->demo, options);
        if (rc < 0) {
            fprintf(stderr, "kin fetch: the demonstration: %s\n", kin_code_text(rc));
            return -EXIT_OWN_FAULT;
        }
        demo_introduce(options, stderr);
        descriptors++;                  /* the server's side of it */
    }
    rc = list_open(&fetch->list, fetch, options);
    if (rc < 0)
        return rc;
    if (options->output != NULL) {
        rc = store_open(&fetch->store, options->output);
        if (rc < 0) {
            fprintf(stderr, "kin fetch: --output %s: %s\n", options->output, kin_code_text(rc));
            return -EXIT_USAGE;
        }
        descriptors++;
    }
    fetch->jobs = descriptors_jobs(options->jobs, descriptors);
    if (results_open(&fetch->results, fetch) < 0) {
        fprintf(stderr, "kin fetch: out of memory\n");
        return -EXIT_OWN_FAULT;
    }
    return 0;
}

static void clean_up(struct fetch *fetch)
{
    results_close(&fetch->results);
    spool_close(&fetch->spool);
    store_close(&fetch->store);
    list_close(&fetch->list);
    if (fetch->demo != NULL)
        demo_close(fetch->demo);
}

static int root(void *arg)
{
    struct run *run = arg;
    struct fetch *fetch = run->fetch;

    run->status = -prepare(fetch, run->options);
    if (run->status == 0) {
        kin_group side = kin_group_open(.name = "side", .policy = KIN_KEEP_GOING);
        if (start_side(fetch, &side, run->signals) == 0)
            work(fetch);
        kin_cancel(&side, "done");
        kin_group_close(&side, 0);
        signals_note_late(run->signals);
        if (run->options->progress == PROGRESS_JSON)
            progress_end(fetch);
        run->status = fetch_exit_status(fetch);
        summarize(fetch);
    }
    clean_up(fetch);
    return 0;
}

/* What the runtime has to say of itself is for those who work on it. */
static void on_report(const char *line, void *arg)
{
    (void)arg;
    if (getenv("KIN_DEBUG") != NULL)
        fprintf(stderr, "kin: %s\n", line);
}

/* The environment may have asked for a backend that is not there. */
static void report_no_run(int code)
{
    const char *backend = getenv("KIN_BACKEND");
    char shown[80];

    if (backend != NULL && backend[0] != '\0') {
        text_printable(shown, sizeof shown, backend, strlen(backend));
        fprintf(stderr, "kin fetch: cannot run with KIN_BACKEND=%s (uring, epoll): %s\n", shown,
                kin_code_text(code));
    } else {
        fprintf(stderr, "kin fetch: cannot run: %s\n", kin_code_text(code));
    }
}

static int run_fetch(struct fetch_options *options)
{
    static struct fetch fetch;          /* its tables are large */
    struct signals signals;
    struct run run = { &fetch, &signals, options, EXIT_OWN_FAULT };

    fetch = (struct fetch){ .options = options, .spool = SPOOL_INIT, .store.fd = -1 };
    int rc = signals_open(&signals, &fetch);
    if (rc == 0) {
        rc = kin_run(root, &run, .on_report = on_report);
        signals_close(&signals);
    }
    if (rc < 0)
        report_no_run(rc);
    if (run.status > 128)
        signals_die_of(run.status - 128);
    if (run.status == 128 + SIGPIPE) {
        fprintf(stderr, "kin fetch: standard output: %s\n", strerror(EPIPE));
        return EXIT_OWN_FAULT;          /* whoever started us wants no SIGPIPE */
    }
    return rc < 0 ? EXIT_OWN_FAULT : run.status;
}

int fetch_main(int argc, char **argv)
{
    struct fetch_options options = FETCH_OPTIONS_DEFAULT;
    int status = -fetch_options_parse(&options, argc, argv);

    if (status == 0)
        status = run_fetch(&options);
    else if (status < 0)
        status = fflush(stdout) == 0 ? EXIT_ALL_OK : EXIT_OWN_FAULT;
    fetch_options_free(&options);
    return status;
}
