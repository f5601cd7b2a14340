/* Bytes between curl and a transfer: what curl calls while the driver drives it.
 *
 * A body kept in memory grows one buffer and wakes nobody until it is whole. A
 * streamed one goes through a bounded piece: full, curl is paused, which stops
 * reading from the socket, which in the end holds back the sender; that is all
 * the back-pressure there is. The same the other way round for a request's body.
 *
 * Callbacks never block and never call into curl. One that has to end the
 * transfer leaves its code in .cause: curl itself would only report that a
 * callback did not like something.
 */
#include "http.h"

#include <stdlib.h>
#include <strings.h>

int kin__http_bytes_reserve(struct kin__http_bytes *bytes, size_t capacity)
{
    char *data;

    if (capacity <= bytes->capacity)
        return 0;
    data = realloc(bytes->data, capacity);
    if (!data)
        return -ENOMEM;
    bytes->data = data;
    bytes->capacity = capacity;
    return 0;
}

/* Room for so many bytes more; grows by doubling. */
static int make_room(struct kin__http_bytes *bytes, size_t size)
{
    size_t wanted = bytes->used + size;
    size_t doubled = bytes->capacity < 256 ? 512 : 2 * bytes->capacity;

    if (wanted <= bytes->capacity)
        return 0;
    return kin__http_bytes_reserve(bytes, wanted > doubled ? wanted : doubled);
}

static void append(struct kin__http_bytes *bytes, const char *data, size_t size)
{
    assert(size <= bytes->capacity - bytes->used);
    memcpy(bytes->data + bytes->used, data, size);
    bytes->used += size;
}

/* ---------------------------------------------------------------- the head */

static bool starts_a_head(const char *line, size_t size)
{
    return size >= 5 && memcmp(line, "HTTP/", 5) == 0;
}

static size_t trimmed(const char *line, size_t size)
{
    while (size > 0 && strchr("\r\n \t", line[size - 1]))
        size--;
    return size;
}

/* A line that starts with a blank continues the one before. */
static int add_line(struct kin__http_transfer *t, const char *line, size_t size)
{
    bool continued = (line[0] == ' ' || line[0] == '\t') && t->head_lines > 0;

    if (make_room(&t->head, size + 1) < 0)
        return -ENOMEM;
    while (size > 0 && (line[0] == ' ' || line[0] == '\t')) {
        line++;
        size--;
    }
    if (continued)
        t->head.data[t->head.used - 1] = ' ';
    else
        t->head_lines++;
    append(&t->head, line, size);
    append(&t->head, "", 1);
    return 0;
}

/* Curl keeps the method that was asked for by name on every hop; but 303 means
 * "look there", whatever it was that led here. */
static void follow_with_get(struct kin__http_transfer *t)
{
    long status = 0;

    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 303)
        curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, NULL);
}

/* Curl's: a line at a time, the status line and the empty one at the end
 * included; the heads of proxies, of 1xx and of every hop, and trailers. */
size_t kin__http_on_header(char *line, size_t size, size_t count, void *transfer)
{
    struct kin__http_transfer *t = transfer;
    size_t given = size * count, length = trimmed(line, given);
    size_t most = t->request->max_headers ? t->request->max_headers : KIN__HTTP_MAX_HEADERS;

    t->head_total += given;
    if (t->head_total > most) {
        t->cause = KIN_EHTTP_HEADERS;
        return 0;
    }
    if (starts_a_head(line, given)) {
        t->head.used = t->head_lines = 0;
        t->in_head = true;
        return given;
    }
    if (length == 0) {
        t->in_head = false;
        if (t->request->max_redirects >= 0)
            follow_with_get(t);
        return given;
    }
    t->cause = add_line(t, line, length);
    return t->cause < 0 ? 0 : given;
}

/* ---------------------------------------------------- the response's body */

/* The first piece of a body: room for all of it, as far as its announced length
 * can be believed. */
static int keep_first(struct kin__http_transfer *t, size_t size)
{
    curl_off_t announced = -1;
    size_t capacity = size + 1;

    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    if (announced > (curl_off_t)size && announced <= KIN__HTTP_BELIEVED)
        capacity = (size_t)announced + 1;
    return kin__http_bytes_reserve(&t->body, capacity);
}

static size_t keep(struct kin__http_transfer *t, const char *data, size_t size)
{
    if (!t->body.data)
        t->cause = keep_first(t, size);
    if (t->cause == 0)
        t->cause = make_room(&t->body, size);
    if (t->cause < 0)
        return 0;
    append(&t->body, data, size);
    return size;
}

/* Curl gives at most CURL_MAX_WRITE_SIZE at a time, so an empty piece always
 * has room, and gives the same bytes again after a pause. */
static size_t stream(struct kin__http_transfer *t, const char *data, size_t size)
{
    _Static_assert(CURL_MAX_WRITE_SIZE <= KIN__HTTP_PIECE, "a write must fit into a piece");
    assert(size <= KIN__HTTP_PIECE);

    if (size > KIN__HTTP_PIECE - t->body.used) {
        t->receive_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    t->cause = kin__http_bytes_reserve(&t->body, KIN__HTTP_PIECE);
    if (t->cause < 0)
        return 0;
    append(&t->body, data, size);
    kin__http_notify(t);
    return size;
}

size_t kin__http_on_body(char *data, size_t size, size_t count, void *transfer)
{
    struct kin__http_transfer *t = transfer;
    size_t given = size * count, taken;

    if (given > t->body_room) {
        t->cause = KIN_EHTTP_TOO_LARGE;
        return 0;
    }
    taken = t->streams ? stream(t, data, given) : keep(t, data, given);
    if (taken == given) {
        t->body_room -= given;
        t->body_total += given;
    }
    return taken;
}

/* ----------------------------------------------------- the request's body */

static size_t from_memory(struct kin__http_transfer *t, char *buffer, size_t size)
{
    const struct kin_http_request *r = t->request;
    size_t left = r->body_size - t->offset;

    if (size > left)
        size = left;
    if (size > 0)
        memcpy(buffer, (const char *)r->body + t->offset, size);
    t->offset += size;
    return size;
}

static size_t from_source(struct kin__http_transfer *t, char *buffer, size_t size)
{
    size_t left = t->upload.used - t->offset;

    if (left == 0 && t->upload_ended)
        return 0;
    if (left == 0) {
        t->upload_wanted = true;
        kin__http_notify(t);
        return CURL_READFUNC_PAUSE;
    }
    if (size > left)
        size = left;
    memcpy(buffer, t->upload.data + t->offset, size);
    t->offset += size;
    return size;
}

size_t kin__http_on_upload(char *buffer, size_t size, size_t count, void *transfer)
{
    struct kin__http_transfer *t = transfer;

    return t->request->source ? from_source(t, buffer, size * count)
                              : from_memory(t, buffer, size * count);
}

/* Curl sends a body again: for a redirect that keeps it, or when a connection
 * taken out of the cache turned out to be dead. */
int kin__http_on_rewind(void *transfer, curl_off_t offset, int origin)
{
    struct kin__http_transfer *t = transfer;

    if (origin != SEEK_SET || offset < 0)
        return CURL_SEEKFUNC_FAIL;
    if (t->request->source)
        return offset == 0 && t->upload.used == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
    if ((size_t)offset > t->request->body_size)
        return CURL_SEEKFUNC_FAIL;
    t->offset = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}
