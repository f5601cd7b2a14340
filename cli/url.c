/* URLs, as far as the command itself looks at them; libcurl's parser does the
 * reading, so that both have the same idea of what a URL is.
 *
 * File names are made from the encoded form of the URL and only of letters that
 * are harmless everywhere: no slash, no control or other unprintable byte, no
 * dot in front (which also rules out "." and ".." and hidden files), nor a hyphen
 * (which programs would take for an option).
 */
#include "url.h"
#include "text.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int refuse(char *why, size_t size, const char *what)
{
    snprintf(why, size, "%s", what);
    return -EINVAL;
}

static int check_bytes(const char *url, size_t length, char *why, size_t size)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)url[i] < 0x20 || url[i] == 0x7f)
            return refuse(why, size, "not a URL: it contains control characters");
    return 0;
}

static int check_scheme(CURLU *parsed, char *why, size_t size)
{
    char *scheme = NULL;

    if (curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return -ENOMEM;
    bool known = strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
    if (!known)
        snprintf(why, size, "unknown scheme '%.40s': only http and https", scheme);
    curl_free(scheme);
    return known ? 0 : -EINVAL;
}

static bool is_plain_port(const char *text, size_t length)
{
    unsigned port = 0;

    if (length == 0 || length > 5 || text[0] == '0')
        return false;
    for (size_t i = 0; i < length; i++)
        port = port * 10 + (unsigned)(text[i] - '0');
    return port <= UINT16_MAX;
}

/* What nearly all URLs are: a scheme of ours, a host of letters and digits, perhaps a port,
 * and a path in visible ASCII. The parser would find nothing wrong with it, in a tenth of
 * all the time that a small page takes. */
static bool is_plain(const char *url)
{
    const char *at = url;

    if (strncmp(at, "http://", 7) == 0)
        at += 7;
    else if (strncmp(at, "https://", 8) == 0)
        at += 8;
    else
        return false;
    size_t host = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
    if (host == 0 || host > 253 || at[0] == '.' || at[0] == '-')
        return false;
    at += host;
    if (*at == ':') {
        size_t digits = strspn(++at, "0123456789");
        if (!is_plain_port(at, digits))
            return false;
        at += digits;
    }
    if (*at != '/' && *at != '\0')
        return false;
    while (*at > 0x20 && *at < 0x7f)
        at++;
    return *at == '\0';
}

int url_check(const char *url, size_t length, char *why, size_t size)
{
    int rc = check_bytes(url, length, why, size);
    if (rc < 0 || is_plain(url))
        return rc;
    if (strstr(url, "://") == NULL)
        return refuse(why, size, "not a URL: no http:// or https:// in front");
    CURLU *parsed = curl_url();
    if (parsed == NULL)
        return -ENOMEM;
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OK)
        rc = check_scheme(parsed, why, size);
    else if (code == CURLUE_OUT_OF_MEMORY)
        rc = -ENOMEM;
    else {
        snprintf(why, size, "malformed URL: %s", curl_url_strerror(code));
        rc = -EINVAL;
    }
    curl_url_cleanup(parsed);
    return rc;
}

/* Bytes of "user:password" at the start of the text; 0 where it has none. */
static size_t user_length(const char *text, size_t length)
{
    size_t end = 0, user = 0;

    for (; end < length && memchr("/?#", text[end], 3) == NULL; end++)
        if (text[end] == '@')
            user = end;
    return user;
}

void url_printable(char *out, size_t size, const char *url, size_t length)
{
    const char *host = memmem(url, length, "://", 3);
    size_t scheme = host != NULL ? (size_t)(host - url) + 3 : 0;
    size_t user = user_length(url + scheme, length - scheme);

    if (user == 0) {
        text_printable(out, size, url, length);
        return;
    }
    text_printable(out, size, url, scheme);
    size_t used = strlen(out);
    if (size - used > sizeof "…") {
        used += (size_t)snprintf(out + used, size - used, "…");
        text_printable(out + used, size - used, url + scheme + user, length - scheme - user);
    }
}

/* Appends what is harmless of the text, as long as there is room. */
static void append_harmless(char *name, const char *text)
{
    size_t size = strlen(name);

    for (; *text != '\0' && size < URL_NAME_MAX; text++, size++) {
        unsigned char c = (unsigned char)*text;
        bool harmless = c > 0x20 && c < 0x7f && strchr("/\\:*\"<>|", c) == NULL;
        name[size] = harmless && !(size == 0 && (c == '.' || c == '-')) ? (char)c : '_';
    }
    name[size] = '\0';
}

int url_file_name(const char *url, char name[URL_NAME_MAX + 1])
{
    char *path = NULL, *query = NULL;
    int rc = -ENOMEM;

    name[0] = '\0';
    CURLU *parsed = curl_url();
    if (parsed == NULL)
        return rc;
    if (curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_PATH, &path, 0) != CURLUE_OK)
        goto done;
    CURLUcode code = curl_url_get(parsed, CURLUPART_QUERY, &query, 0);
    if (code != CURLUE_OK && code != CURLUE_NO_QUERY)
        goto done;
    append_harmless(name, strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path);
    if (name[0] == '\0')
        append_harmless(name, "index.html");
    if (query != NULL) {
        append_harmless(name, "?");
        append_harmless(name, query);
    }
    rc = 0;
done:
    curl_free(query);
    curl_free(path);
    curl_url_cleanup(parsed);
    return rc;
}
