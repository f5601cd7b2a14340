/* A request from the caller's side: kin_http_with.
 *
 * The caller lends the request and the response to the driver and parks. In
 * memory mode it is woken once, at the end. Where a body is streamed it is woken
 * for each piece, runs the sink or the source in its own task, where that may
 * block, and tells the driver to go on.
 *
 * Leaving early, because the task is cancelled or a callback said so, is always
 * the same: the transfer's removal is asked for, and the caller goes on when the
 * driver has done it. Cancelled while parked, that is the abort of its wait.
 * Between two waits the caller asks itself, and must wait though it is cancelled:
 * under a shield, which holds only as long as the driver needs for a round. If
 * there is no memory for the shield, the transfer is left to the driver, which
 * removes it before it does anything else.
 */
#include "http.h"

#include <ctype.h>
#include <strings.h>

/* ------------------------------------------------------------- complaining */

static const char *method_of(const struct kin_http_request *r)
{
    if (r->method)
        return r->method;
    return r->body || r->source ? "POST" : "GET";
}

static int fail(const struct kin_http_request *r, int code, const char *words)
{
    char url[KIN__HTTP_URL_SHOWN];

    return kin_fail_at(r->at ? r->at : "kin_http_with", code, "%.16s %s: %s", method_of(r),
                       kin__http_url_shown(r->url, url), words);
}

static int fail_transfer(struct kin__http_transfer *t, int code)
{
    bool curls = kin_class(code) == KIN_CLASS_HTTP && -code % 65536 < CURL_LAST && t->error[0];

    if (code == 0 || code == KIN_ECANCELED)
        return code;
    return fail(t->request, code, curls ? t->error : kin_code_text(code));
}

/* ---------------------------------------------------------------- checking */

static bool is_token(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("!#$%&'*+-.^_`|~", text[i]))
            return false;
    return size > 0;
}

static bool is_header(const char *line)
{
    size_t name = strcspn(line, ":");

    return line[name] == ':' && is_token(line, name) && !strpbrk(line, "\r\n");
}

static int check(const struct kin_http_request *r)
{
    if (!r->url)
        return kin_fail_at(r->at ? r->at : "kin_http_with", KIN_EINVAL, "a request without a URL");
    if (strncasecmp(r->url, "http:", 5) != 0 && strncasecmp(r->url, "https:", 6) != 0)
        return fail(r, KIN_EHTTP_SCHEME, kin_code_text(KIN_EHTTP_SCHEME));
    if (r->body && r->source)
        return fail(r, KIN_EINVAL, "a body from memory and one from a source");
    if (r->body_size > 0 && !r->body)
        return fail(r, KIN_EINVAL, "a body_size without a body");
    if ((r->sink && r->to_fd) || r->to_fd < 0)
        return fail(r, KIN_EINVAL, "a sink and a descriptor, or a negative one");
    if (r->method && !is_token(r->method, strlen(r->method)))
        return fail(r, KIN_EINVAL, "an invalid method");
    for (const char *const *h = r->headers; h && *h; h++)
        if (!is_header(*h))
            return fail(r, KIN_EINVAL, "an invalid header");
    return 0;
}

/* ----------------------------------------------------------------- waiting */

/* Curl may be in the middle of this transfer's bytes: not at once. */
static bool on_abort(struct kin_wait *wait)
{
    kin__http_command(wait->object, KIN__HTTP_REMOVE);
    return false;
}

static void on_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const struct kin__http_transfer *t = wait->object;
    char url[KIN__HTTP_URL_SHOWN];

    snprintf(text, size, "%s %s", method_of(t->request),
             kin__http_url_shown(t->request->url, url));
}

static const struct kin_wait_ops transfer_ops = { "http", on_abort, on_describe };

static int await(struct kin__http_transfer *t)
{
    int rc = kin_wait_prepare(&t->wait, &transfer_ops, t);

    if (rc < 0)
        return rc;
    t->parked = true;
    return kin_wait_park(&t->wait);
}

static void withdraw(struct kin__http_transfer *t)
{
    kin_scope shield = kin_scope_open(.name = "http withdrawal", .shield = KIN_FOREVER);

    t->withdrawn = true;
    kin__http_command(t, KIN__HTTP_REMOVE);
    (void)await(t);
    t->detached = !t->over;
    (void)kin_scope_close(&shield, 0);
}

/* --------------------------------------------------------------- streaming */

/* A piece of the response to where it goes. Curl may fill the next meanwhile. */
static int deliver(struct kin__http_transfer *t)
{
    const struct kin_http_request *r = t->request;
    struct kin__http_bytes piece = t->body;
    int rc;

    t->body = t->drain;
    t->body.used = 0;
    t->drain = piece;
    if (t->receive_paused) {
        t->receive_paused = false;
        kin__http_command(t, KIN__HTTP_RESUME);
    }
    if (r->sink)
        return r->sink(r->sink_arg, piece.data, piece.used);
    rc = kin__http_write_fd(r->to_fd, piece.data, piece.used);
    return rc < 0 && rc != KIN_ECANCELED ? fail(r, rc, kin_code_text(rc)) : rc;
}

/* The next piece of the request's body. With a size given, not more is asked for
 * and not less taken: the server would wait for the rest. */
static int supply(struct kin__http_transfer *t)
{
    const struct kin_http_request *r = t->request;
    size_t wanted = KIN__HTTP_PIECE;
    ssize_t n;

    if (kin__http_bytes_reserve(&t->upload, KIN__HTTP_PIECE) < 0)
        return fail(r, -ENOMEM, kin_code_text(-ENOMEM));
    if (t->upload_left >= 0 && (size_t)t->upload_left < wanted)
        wanted = (size_t)t->upload_left;
    n = r->source(r->source_arg, t->upload.data, wanted);
    if (n < 0)
        return (int)n;
    if ((size_t)n > wanted || (n == 0 && t->upload_left > 0))
        return fail(r, KIN_EINVAL, n ? "the source gave more than asked for"
                                     : "the source ended before its size");
    if (t->upload_left > 0)
        t->upload_left -= n;
    t->upload.used = (size_t)n;
    t->offset = 0;
    t->upload_ended = n == 0 || t->upload_left == 0;
    t->upload_wanted = false;
    kin__http_command(t, KIN__HTTP_RESUME);
    return 0;
}

static int step(struct kin__http_transfer *t)
{
    if (t->streams && t->body.used > 0)
        return deliver(t);
    if (t->upload_wanted)
        return supply(t);
    return await(t);
}

/* What has come is delivered, also if it ended badly after that; but nothing more
 * once the task is cancelled. */
static int converse(struct kin__http_transfer *t)
{
    int rc = 0;

    while (rc >= 0 && !(t->over && !(t->streams && t->body.used > 0)))
        rc = step(t);
    if (rc < 0 && !t->over)
        withdraw(t);
    return rc < 0 ? rc : fail_transfer(t, t->result);
}

static void lend(struct kin__http_transfer *t, const struct kin_http_request *r,
                 kin_http_response *response)
{
    t->request = r;
    t->response = response;
    t->streams = r->sink || r->to_fd > 0;
    t->body_room = r->max_body ? r->max_body : t->streams ? SIZE_MAX : KIN__HTTP_MAX_BODY;
    t->upload_left = r->source_size > 0 ? r->source_size : -1;
    kin__http_command(t, KIN__HTTP_START);
}

int kin_http_with(kin_http_response *response, const struct kin_http_request *request)
{
    struct kin__http_transfer *t;
    int rc;

    if (!response || !request)
        return KIN_EINVAL;
    *response = (kin_http_response){ 0 };
    rc = check(request);
    if (rc == 0)
        rc = kin_check();
    if (rc == 0)
        rc = kin__http_acquire(&t);
    if (rc < 0)
        return rc;
    lend(t, request, response);
    rc = converse(t);
    if (!t->detached)
        kin__http_release(t);
    return rc;
}

int (kin_http_get)(const char *url, kin_http_response *response)
{
    return kin_http_with(response, &(struct kin_http_request){ .at = "kin_http_get", .url = url });
}
