/* A response: what came, as one block of memory and the body.
 *
 * The headers, the URL and the address of the peer are known together, when the
 * transfer has ended, so they lie in one block that starts with the array of the
 * headers: one allocation, one free, and .type simply points into it. The body
 * is a block of its own, so that a caller can keep it (and set .body to NULL).
 */
#include "http.h"

#include <stdlib.h>
#include <strings.h>

struct info {
    const char *url, *ip;
    long status, redirects, version, port;
    char remote[128];
};

static void ask(struct kin__http_transfer *t, struct info *info)
{
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &info->status);
    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_COUNT, &info->redirects);
    curl_easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &info->version);
    curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &info->url);
    curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_IP, &info->ip);
    curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_PORT, &info->port);
    if (info->ip && info->ip[0])
        snprintf(info->remote, sizeof info->remote, strchr(info->ip, ':') ? "[%s]:%ld" : "%s:%ld",
                 info->ip, info->port);
}

static int version_number(long curls)
{
    switch (curls) {
    case CURL_HTTP_VERSION_1_0:
        return 10;
    case CURL_HTTP_VERSION_1_1:
        return 11;
    case CURL_HTTP_VERSION_2_0:
        return 20;
    case CURL_HTTP_VERSION_3:
        return 30;
    default:
        return 0;
    }
}

static char *put(char **end, const char *text, size_t size)
{
    char *start = *end;

    memcpy(start, text, size);
    *end += size;
    return start;
}

static int fill_block(struct kin__http_transfer *t, const struct info *info)
{
    kin_http_response *r = t->response;
    const char *url = info->url && info->url[0] ? info->url : t->request->url;
    size_t array = (t->head_lines + 1) * sizeof(char *);
    size_t url_size = strlen(url) + 1, remote_size = strlen(info->remote) + 1;
    char *end, *line;

    r->headers = malloc(array + t->head.used + url_size + remote_size);
    if (!r->headers)
        return -ENOMEM;
    end = (char *)r->headers + array;
    line = end;
    if (t->head.used)
        put(&end, t->head.data, t->head.used);
    for (size_t i = 0; i < t->head_lines; i++, line += strlen(line) + 1)
        r->headers[i] = line;
    r->headers[t->head_lines] = NULL;
    r->header_count = t->head_lines;
    r->url = put(&end, url, url_size);
    r->remote = remote_size > 1 ? put(&end, info->remote, remote_size) : NULL;
    r->type = (char *)(uintptr_t)kin_http_header(r, "Content-Type");
    return 0;
}

/* Hands over the buffer of a body in memory, an empty one where there was none. */
static int fill_body(struct kin__http_transfer *t)
{
    kin_http_response *r = t->response;
    char *whole = realloc(t->body.data, t->body.used + 1);

    if (!whole)
        return -ENOMEM;
    whole[t->body.used] = '\0';
    r->body = whole;
    t->body = (struct kin__http_bytes){ 0 };
    return 0;
}

int kin__http_response_fill(struct kin__http_transfer *t)
{
    struct info info = { 0 };
    int rc;

    ask(t, &info);
    t->response->status = (int)info.status;
    t->response->redirects = (int)info.redirects;
    t->response->http_version = version_number(info.version);
    t->response->body_size = t->body_total;
    rc = fill_block(t, &info);
    if (rc == 0 && !t->streams)
        rc = fill_body(t);
    return rc;
}

/* A URL for people: without the password that it may hold, and not too long for the
 * reason to stand behind it. */
const char *kin__http_url_shown(const char *url, char *shown)
{
    size_t scheme = strcspn(url, ":"), user;

    scheme += strspn(url + scheme, ":/");
    for (user = strcspn(url + scheme, "/?#"); user > 0 && url[scheme + user] != '@'; user--)
        ;
    snprintf(shown, KIN__HTTP_URL_SHOWN, "%.*s%s%.140s", (int)(scheme < 16 ? scheme : 16), url,
             user > 0 ? "…" : "", url + scheme + user);
    return shown;
}

int kin_http_check_at(const char *at, const kin_http_response *r)
{
    int code = KIN_EHTTP_STATUS(r->status);
    char url[KIN__HTTP_URL_SHOWN];

    if (r->status < 400)
        return 0;
    return kin_fail_at(at, code, "%s: %s", kin__http_url_shown(r->url ? r->url : "?", url),
                       kin_code_text(code));
}

int (kin_http_check)(const kin_http_response *response)
{
    return kin_http_check_at("kin_http_check", response);
}

const char *kin_http_header(const kin_http_response *r, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < r->header_count; i++) {
        const char *value = r->headers[i] + length;

        if (strncasecmp(r->headers[i], name, length) == 0 && *value == ':')
            return value + 1 + strspn(value + 1, " \t");
    }
    return NULL;
}

void kin_http_response_free(kin_http_response *r)
{
    free(r->headers);
    free(r->body);
    *r = (kin_http_response){ 0 };
}
