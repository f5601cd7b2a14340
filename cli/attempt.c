/* Attempts to fetch a page.
 *
 * Worth another attempt is what may be different the next time: a connection
 * that could not be made or broke, a server that says that it is busy or faulty
 * for now. A wrong URL, a refused certificate or a 404 is not. The pauses double
 * from a quarter of a second up to half a minute, each shortened by up to a half
 * at random, so that many clients of one server do not come back in step;
 * Retry-After makes them longer. A pause that would not be over before the
 * deadline is not begun: the item then fails with what is known, at once.
 *
 * Too few file descriptors are no failure but a reason to wait for others to
 * finish: such attempts are not counted, as long as anybody else is under way.
 */
#include "attempt.h"
#include "fetch.h"
#include "kin_http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PAUSE_FIRST KIN_MS(250)
#define PAUSE_MOST KIN_S(30)
#define ASKED_MOST (24 * 60 * 60)       /* seconds */
#define DESCRIPTOR_PAUSE KIN_MS(20)
#define DESCRIPTOR_TRIES_ALONE 50

/* Where the page of an attempt goes. */
struct page {
    struct item *item;
    struct store_file file;     /* with -o; else the item's body */
    int error;                  /* of the file or the spool: not worth a retry */
};

static int note_spool_error(struct item *item, int rc)
{
    snprintf(item->message, sizeof item->message, "a temporary file for its page: %s",
             strerror(-rc));
    return rc;
}

static int note_store_error(struct item *item, const struct store_file *file, int rc)
{
    snprintf(item->message, sizeof item->message, "%.90s/%.90s: %.60s", item->fetch->store.path,
             file->name, strerror(-rc));
    return rc;
}

/* Whether pages are written to standard output. */
static bool prints(const struct fetch *fetch)
{
    return !fetch->options->json && fetch->demo == NULL;
}

/* A kin_http_sink. What nobody will see is not kept. */
static int take_piece(void *arg, const void *data, size_t size)
{
    struct page *page = arg;
    struct fetch *fetch = page->item->fetch;

    if (page->file.fd >= 0) {
        page->error = store_append(&page->file, data, size);
        if (page->error < 0)
            note_store_error(page->item, &page->file, page->error);
    } else if (prints(fetch)) {
        page->error = body_append(&fetch->spool, &page->item->body, data, size);
        if (page->error < 0)
            note_spool_error(page->item, page->error);
    }
    return page->error;
}

static bool stores(const struct fetch *fetch)
{
    return fetch->store.fd >= 0;
}

/* A fresh place for the page; the last attempt's is thrown away. */
static int begin_page(struct page *page)
{
    struct item *item = page->item;
    int rc;

    page->error = 0;
    body_clear(&item->fetch->spool, &item->body);
    if (!stores(item->fetch))
        return 0;
    if (page->file.fd >= 0)
        rc = store_rewind(&page->file);
    else
        rc = store_begin(&item->fetch->store, &page->file, item->text);
    if (rc < 0)
        page->error = note_store_error(item, &page->file, rc);
    return rc;
}

/* The page is complete. Its path is made room for first: afterwards it is too
 * late to fail. */
static int finish_file(struct page *page)
{
    struct item *item = page->item;
    struct store *store = &item->fetch->store;
    size_t size = strlen(store->path) + 1 + sizeof page->file.name;
    char *path = malloc(size);

    if (path == NULL)
        return -ENOMEM;
    int rc = store_commit(store, &page->file);
    if (rc < 0) {
        free(path);
        return note_store_error(item, &page->file, rc);
    }
    snprintf(path, size, "%s/%s", store->path, page->file.name);
    item->file = path;
    return 0;
}

static int finish_page(struct page *page)
{
    struct item *item = page->item;

    if (item->fetch->won)
        return KIN_EDECIDED;    /* another was complete before it, in the same turn */
    if (stores(item->fetch))
        return finish_file(page);
    int rc = body_settle(&item->fetch->spool, &item->body);
    return rc < 0 ? note_spool_error(item, rc) : 0;
}

static int replace_text(char **to, const char *from)
{
    free(*to);
    *to = from != NULL ? strdup(from) : NULL;
    return from != NULL && *to == NULL ? -ENOMEM : 0;
}

/* Copies what the item needs of a response. */
static int note_response(struct item *item, const kin_http_response *response)
{
    item->status = response->status;
    item->redirects = response->redirects;
    item->bytes = response->body_size;
    int rc = replace_text(&item->type, response->type);
    if (rc == 0)
        rc = replace_text(&item->url, response->redirects > 0 ? response->url : NULL);
    return rc;
}

/* kin's words for the failure, unless there are better ones already. */
static void note_failure(struct item *item, const struct page *page, int rc)
{
    const kin_error *error = kin_error_last();

    if (page->error < 0)
        return;
    bool known = error != NULL && error->code == rc && error->message[0] != '\0';
    snprintf(item->message, sizeof item->message, "%s",
             known ? error->message : kin_code_text(rc));
}

static int attempt_once(struct item *item, struct page *page, kin_http_response *response)
{
    int rc = begin_page(page);
    if (rc < 0)
        return rc;
    rc = kin_http(response, .url = item->text, .sink = take_piece, .sink_arg = page,
                  .ca_file = item->fetch->options->cacert,
                  .proxy = item->fetch->demo != NULL ? "" : NULL);   /* its server is here */
    if (rc == 0)
        rc = kin_http_check(response);
    if (rc < 0)
        note_failure(item, page, rc);
    int copied = note_response(item, response);
    if (rc == 0)
        rc = copied;
    return rc == 0 ? finish_page(page) : rc;
}

/* Whether another attempt may end better. */
static bool is_passing(int rc)
{
    static const int passing[] = {
        KIN_EHTTP(CURLE_COULDNT_RESOLVE_HOST), KIN_EHTTP(CURLE_COULDNT_RESOLVE_PROXY),
        KIN_EHTTP(CURLE_COULDNT_CONNECT),      KIN_EHTTP(CURLE_SSL_CONNECT_ERROR),
        KIN_EHTTP(CURLE_SEND_ERROR),           KIN_EHTTP(CURLE_RECV_ERROR),
        KIN_EHTTP(CURLE_GOT_NOTHING),          KIN_EHTTP(CURLE_PARTIAL_FILE),
        KIN_EHTTP(CURLE_HTTP2),                KIN_EHTTP(CURLE_HTTP2_STREAM),
        KIN_EHTTP_STATUS(408),                 KIN_EHTTP_STATUS(425),
        KIN_EHTTP_STATUS(429),                 KIN_EHTTP_STATUS(500),
        KIN_EHTTP_STATUS(502),                 KIN_EHTTP_STATUS(503),
        KIN_EHTTP_STATUS(504),
    };

    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (rc == passing[i])
            return true;
    return false;
}

/* What Retry-After asks for: seconds, or a date; a day at most. 0 where it is not there. */
static int64_t retry_after(const kin_http_response *response)
{
    const char *value = kin_http_header(response, "Retry-After");
    char *end;

    if (value == NULL)
        return 0;
    long long seconds = strtoll(value, &end, 10);
    if (end == value || *end != '\0') {
        time_t date = curl_getdate(value, NULL);
        seconds = date >= 0 ? (long long)(date - time(NULL)) : 0;
    }
    return seconds <= 0 ? 0 : seconds > ASKED_MOST ? KIN_S(ASKED_MOST) : KIN_S(seconds);
}

static int64_t choose_pause(const struct item *item, const kin_http_response *response)
{
    uint32_t dice = 0;
    int64_t pause = PAUSE_MOST, asked = retry_after(response);

    if (item->attempts <= 7)
        pause = PAUSE_FIRST << (item->attempts - 1);
    if (pause > PAUSE_MOST)
        pause = PAUSE_MOST;
    (void)!getrandom(&dice, sizeof dice, GRND_NONBLOCK);
    pause -= pause / 2 * (int64_t)(dice % 1024) / 1024;
    return pause > asked ? pause : asked;
}

/* 1 when it is time for another attempt, 0 when there will be none, or a code. */
static int pause_for_retry(struct item *item, int rc, const kin_http_response *response)
{
    if (item->attempts > item->fetch->options->retries || !is_passing(rc) ||
        kin_cancelled() != NULL)
        return 0;
    int64_t pause = choose_pause(item, response), deadline = kin_deadline();
    if (deadline != KIN_FOREVER && pause >= deadline - kin_now())
        return 0;
    int slept = kin_sleep(pause);
    return slept < 0 ? slept : 1;
}

/* The same, for descriptors; alone counts the times that nobody else had any. */
static int pause_for_descriptors(struct item *item, unsigned *alone)
{
    if (item->fetch->tally.running > 1)
        *alone = 0;
    else if (++*alone > DESCRIPTOR_TRIES_ALONE)
        return 0;
    item->attempts--;
    int slept = kin_sleep(DESCRIPTOR_PAUSE);
    return slept < 0 ? slept : 1;
}

int attempt_until_done(struct item *item)
{
    struct page page = { .item = item, .file = STORE_FILE_INIT };
    unsigned alone = 0;
    int rc, again;

    do {
        kin_http_response response = { 0 };
        item->attempts++;
        rc = attempt_once(item, &page, &response);
        if (rc == -EMFILE || rc == -ENFILE)
            again = pause_for_descriptors(item, &alone);
        else
            again = rc < 0 ? pause_for_retry(item, rc, &response) : 0;
        kin_http_response_free(&response);
    } while (again > 0);
    store_abandon(&item->fetch->store, &page.file);
    return again < 0 ? again : rc;
}

int attempt_default(struct item *item)
{
    const struct fetch_options *options = item->fetch->options;
    struct page page = { .item = item, .file = STORE_FILE_INIT };

    if (options->on_timeout != ON_TIMEOUT_TEXT) {
        body_clear(&item->fetch->spool, &item->body);
        return 0;
    }
    char message[sizeof item->message];
    memcpy(message, item->message, sizeof message);
    int rc = begin_page(&page);
    if (rc == 0)
        rc = take_piece(&page, options->text, options->text_size);
    if (rc == 0)
        rc = finish_page(&page);
    store_abandon(&item->fetch->store, &page.file);
    if (rc == 0)
        memcpy(item->message, message, sizeof message);
    return rc;
}
