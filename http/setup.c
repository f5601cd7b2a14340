/* What curl must know of a request: the options of its easy handle.
 *
 * Those that are the same for every request and those that keep curl to its part
 * come first, and each has its reason:
 * - kin's scopes are the only clock. Curl's own limits would also run while a
 *   request waits for a connection, so the one that is on by default is put out
 *   of reach, and "Expect: 100-continue", which hides a timer, is not sent.
 * - Ending a transfer in the middle of a name look-up must not wait for the
 *   resolver's thread (QUICK_EXIT).
 * - The CA bundle is parsed once a run and not once a connection, which curl does
 *   only where no CA directory is set.
 * - http and https only, also after a redirect.
 * - A method that is a name for curl too is given as such, because curl then
 *   knows what becomes of it after a redirect; a name given as CUSTOMREQUEST is
 *   sent on every hop.
 * - No Content-Type is made up: curl would call every POST a form.
 *
 * - A body that goes to a callback goes over HTTP/1.1: a paused stream of HTTP/2 has a
 *   window of 32 MB, all of which curl would hold in memory.
 * - Curl (7.88) takes it that all connections to a host can be shared if the last one
 *   can, and sends HTTP/2 requests into the middle of HTTP/1.1 exchanges. So those that
 *   must be HTTP/1.1 are kept apart, by the one part of the key to the connection cache
 *   that is free: the scope of link-local addresses, which others ignore.
 * - curl_easy_reset does not say when it had no memory for all of the defaults: those
 *   that must be right are set by name.
 *
 * Options fail for want of memory or for a curl built without them; the first
 * failure is kept and ends the request.
 *
 * To reset a handle and to set all of this is a twelfth of what a small page takes. So it
 * is left out where the last request of the handle has ended well, and was like this one
 * in all but the URL: as all those of a list are. Only what has no strings of the caller's
 * is compared, for these may have changed where they are (but for the CA file, of which
 * there is a copy); and a URL that may hold a password begins and ends with a reset.
 */
#include "http.h"

#include <limits.h>
#include <stdlib.h>
#include <strings.h>

struct setup {
    struct kin__http_transfer *t;
    const struct kin_http_request *r;
    CURLcode rc;
};

#define SET(s, option, value)                                                     \
    do {                                                                          \
        if ((s)->rc == CURLE_OK)                                                  \
            (s)->rc = curl_easy_setopt((s)->t->easy, CURLOPT_##option, (value));  \
    } while (0)

static void set_rules(struct setup *s)
{
    /* Refused while it has a buffer from last time, which then is of that size. */
    (void)curl_easy_setopt(s->t->easy, CURLOPT_BUFFERSIZE, (long)KIN__HTTP_BUFFER);
    SET(s, NOSIGNAL, 1L);
    SET(s, QUICK_EXIT, 1L);
    SET(s, CONNECTTIMEOUT, (long)(INT_MAX / 1000));
    SET(s, UPLOAD_BUFFERSIZE, (long)KIN__HTTP_PIECE);
    SET(s, CAPATH, NULL);
    SET(s, PROTOCOLS_STR, "http,https");
    SET(s, REDIR_PROTOCOLS_STR, "http,https");
    SET(s, ACCEPT_ENCODING, s->r->no_compression ? NULL : "");
}

static void set_version(struct setup *s)
{
    bool http1 = s->r->http1 || s->r->sink;

    SET(s, HTTP_VERSION, (long)(http1 ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
    if (http1 && strncasecmp(s->r->url, "https", 5) == 0)
        SET(s, ADDRESS_SCOPE, 1L);
}

static void set_callbacks(struct setup *s)
{
    SET(s, PRIVATE, s->t);
    SET(s, ERRORBUFFER, s->t->error);
    SET(s, HEADERFUNCTION, kin__http_on_header);
    SET(s, HEADERDATA, s->t);
    SET(s, WRITEFUNCTION, kin__http_on_body);
    SET(s, WRITEDATA, s->t);
}

static void set_target(struct setup *s)
{
    SET(s, URL, s->r->url);
    SET(s, USERAGENT, s->r->user_agent ? s->r->user_agent : "kin/" KIN_VERSION);
    if (s->r->max_redirects >= 0) {
        SET(s, FOLLOWLOCATION, 1L);
        SET(s, MAXREDIRS,
            (long)(s->r->max_redirects ? s->r->max_redirects : KIN__HTTP_MAX_REDIRECTS));
    }
    if (s->r->proxy) {
        SET(s, PROXY, s->r->proxy);
        SET(s, NOPROXY, "");
    }
}

static void set_trust(struct setup *s)
{
    if (s->r->ca_file)
        SET(s, CAINFO, s->r->ca_file);
    SET(s, SSL_VERIFYPEER, s->r->insecure ? 0L : 1L);
    SET(s, SSL_VERIFYHOST, s->r->insecure ? 0L : 2L);
}

/* A source cannot be asked twice, so its body must not go over a connection
 * from the cache, which may turn out to be dead. */
static void set_upload(struct setup *s)
{
    SET(s, READFUNCTION, kin__http_on_upload);
    SET(s, READDATA, s->t);
    SET(s, SEEKFUNCTION, kin__http_on_rewind);
    SET(s, SEEKDATA, s->t);
    if (s->r->source)
        SET(s, FRESH_CONNECT, 1L);
}

static void set_post(struct setup *s)
{
    SET(s, POST, 1L);
    if (s->r->source) {
        set_upload(s);
        SET(s, POSTFIELDSIZE_LARGE, (curl_off_t)(s->r->source_size > 0 ? s->r->source_size : -1));
    } else {
        SET(s, POSTFIELDSIZE_LARGE, (curl_off_t)s->r->body_size);
        SET(s, POSTFIELDS, s->r->body ? s->r->body : "");
    }
}

static void set_put(struct setup *s)
{
    curl_off_t size = (curl_off_t)s->r->body_size;

    if (s->r->source)
        size = s->r->source_size > 0 ? s->r->source_size : -1;
    SET(s, UPLOAD, 1L);
    SET(s, INFILESIZE_LARGE, size);
    set_upload(s);
}

static void set_method(struct setup *s)
{
    bool body = s->r->body || s->r->source;
    const char *method = s->r->method ? s->r->method : body ? "POST" : "GET";

    if (strcmp(method, "POST") == 0) {
        set_post(s);
        return;
    }
    if (body)
        set_put(s);
    if (strcmp(method, "HEAD") == 0 && !body)
        SET(s, NOBODY, 1L);
    else if (strcmp(method, body ? "PUT" : "GET") != 0)
        SET(s, CUSTOMREQUEST, method);
}

static bool asks_for(const struct kin_http_request *r, const char *name)
{
    size_t length = strlen(name);

    for (const char *const *h = r->headers; h && *h; h++)
        if (strncasecmp(*h, name, length) == 0 && (*h)[length] == ':')
            return true;
    return false;
}

static void add_header(struct setup *s, const char *header)
{
    struct curl_slist *list = s->rc == CURLE_OK ? curl_slist_append(s->t->headers, header) : NULL;

    if (list)
        s->t->headers = list;
    else
        s->rc = CURLE_OUT_OF_MEMORY;
}

/* "Name: " is sent as "Name;" to curl, for which "Name:" means not to send it. */
static void add_empty_header(struct setup *s, const char *header, size_t name)
{
    char *copy = strndup(header, name + 1);

    if (!copy) {
        s->rc = CURLE_OUT_OF_MEMORY;
        return;
    }
    copy[name] = ';';
    add_header(s, copy);
    free(copy);
}

static void set_headers(struct setup *s)
{
    for (const char *const *h = s->r->headers; h && *h; h++) {
        size_t name = strcspn(*h, ":"), blanks = strspn(*h + name + 1, " \t");

        if ((*h)[name + 1 + blanks] == '\0')
            add_empty_header(s, *h, name);
        else
            add_header(s, *h);
    }
    if (s->r->body || s->r->source) {
        if (!asks_for(s->r, "Expect"))
            add_header(s, "Expect:");
        if (!asks_for(s->r, "Content-Type"))
            add_header(s, "Content-Type:");
    }
    if (s->t->headers)
        SET(s, HTTPHEADER, s->t->headers);
}

/* ------------------------------------------------------------- the same again */

static bool is_usual(const struct kin_http_request *r)
{
    return !r->method && !r->headers && !r->body && !r->source && !r->proxy && !r->user_agent &&
           !strchr(r->url, '@');
}

/* The CA file is the request's. */
static struct kin__http_settings settings_of(const struct kin_http_request *r)
{
    return (struct kin__http_settings){
        .known = is_usual(r),
        .https = strncasecmp(r->url, "https", 5) == 0,
        .http1 = r->http1 || r->sink,
        .insecure = r->insecure,
        .no_compression = r->no_compression,
        .max_redirects = r->max_redirects,
        .ca_file = (char *)(uintptr_t)r->ca_file,
    };
}

static bool same_file(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool kin__http_is_again(const struct kin__http_transfer *t)
{
    struct kin__http_settings now = settings_of(t->request);
    const struct kin__http_settings *last = &t->settings;

    return last->known && now.known && last->https == now.https && last->http1 == now.http1 &&
           last->insecure == now.insecure && last->no_compression == now.no_compression &&
           last->max_redirects == now.max_redirects && same_file(last->ca_file, now.ca_file);
}

CURLcode kin__http_setup_again(struct kin__http_transfer *t)
{
    assert(!t->headers);
    return curl_easy_setopt(t->easy, CURLOPT_URL, t->request->url);
}

void kin__http_settings_forget(struct kin__http_transfer *t)
{
    free(t->settings.ca_file);
    t->settings = (struct kin__http_settings){ 0 };
}

static void remember(struct kin__http_transfer *t)
{
    kin__http_settings_forget(t);
    t->settings = settings_of(t->request);
    if (!t->settings.ca_file)
        return;
    t->settings.ca_file = strdup(t->settings.ca_file);
    t->settings.known = t->settings.known && t->settings.ca_file;
}

CURLcode kin__http_setup(struct kin__http_transfer *t)
{
    struct setup s = { .t = t, .r = t->request, .rc = CURLE_OK };

    set_rules(&s);
    set_version(&s);
    set_callbacks(&s);
    set_target(&s);
    set_trust(&s);
    set_method(&s);
    set_headers(&s);
    remember(t);
    return s.rc;
}
