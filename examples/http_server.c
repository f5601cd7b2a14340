/* A small HTTP/1.1 server. A connection is a task, whose code reads as if there were no
 * other: await a request, read it, answer, until one of both wants no more. What it waits
 * for has a limit; what it keeps has a fixed size.
 *
 *     http_server [PORT [SECONDS]]     SECONDS for a request and its answer; 10
 *
 *     GET /          a greeting
 *     GET /slow      the same, a second later
 *     POST /echo     what was sent, up to 4 KiB
 *
 * On SIGTERM it takes nobody new, closes connections that are idle, and answers for five
 * seconds what is under way, with "Connection: close". It prints the port, and at the end
 * how many connections there were.
 */
#include <errno.h>
#include <http_parser.h>
#include <kin.h>
#include <kin_io.h>
#include <kin_os.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { HEAD = 8192, TARGET = 1024, BODY = 4096 };   /* the most of each; more is refused */

static int64_t most_time = KIN_S(10);               /* for a request and its answer */
static const int64_t idle_time = KIN_S(60);

struct text {                       /* of a header: longer ones are none that we know */
    char at[32];
    size_t size;
};

/* What each request touches comes first: mostly one page of the connection's stack. */
struct connection {
    int fd;
    http_parser parser;
    /* the request */
    struct text name, value;        /* of the header that is being read */
    bool in_value;
    int hosts;
    bool has_head, wants_continue, complete;
    int wrong;                      /* the status that it is refused with, or 0 */
    size_t target_size, body_size;
    char target[TARGET];
    /* the answer */
    bool keep;                      /* another request may follow */
    char out[512];                  /* its head, and a short body */
    /* what has come, and was not parsed yet */
    size_t first, end;
    char in[4096];
    char body[BODY];
};

/* ------------------------------------------------------- what the parser finds */

static int refuse(struct connection *c, int status)
{
    c->wrong = status;
    return -1;
}

static int on_target(http_parser *parser, const char *at, size_t size)
{
    struct connection *c = parser->data;

    if (size > sizeof c->target - c->target_size)
        return refuse(c, 414);
    memcpy(c->target + c->target_size, at, size);
    c->target_size += size;
    return 0;
}

static void append(struct text *text, const char *at, size_t size)
{
    size_t room = sizeof text->at - text->size;

    memcpy(text->at + text->size, at, size < room ? size : room);
    text->size += size < room ? size : room;
}

static bool is(const struct text *text, const char *word)
{
    return text->size == strlen(word) && strncasecmp(text->at, word, text->size) == 0;
}

static void end_header(struct connection *c)
{
    c->hosts += is(&c->name, "host");
    if (is(&c->name, "expect")) {
        c->wants_continue = is(&c->value, "100-continue");
        if (!c->wants_continue)
            c->wrong = 417;
    }
    c->name.size = c->value.size = 0;
    c->in_value = false;
}

/* Both may come in pieces; a name after a value is the next header's. */
static int on_header_name(http_parser *parser, const char *at, size_t size)
{
    struct connection *c = parser->data;

    if (c->in_value)
        end_header(c);
    append(&c->name, at, size);
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t size)
{
    struct connection *c = parser->data;

    c->in_value = true;
    append(&c->value, at, size);
    return 0;
}

static int on_head(http_parser *parser)
{
    struct connection *c = parser->data;

    end_header(c);
    c->has_head = true;
    if (parser->http_major != 1)
        return refuse(c, 505);
    if (parser->http_minor == 0)
        c->wants_continue = false;
    else if (c->hosts != 1)
        return refuse(c, 400);
    if ((parser->flags & F_CONTENTLENGTH) && parser->content_length > BODY)
        return refuse(c, 413);
    return c->wrong ? -1 : 0;
}

static int on_body(http_parser *parser, const char *at, size_t size)
{
    struct connection *c = parser->data;

    if (size > BODY - c->body_size)
        return refuse(c, 413);
    memcpy(c->body + c->body_size, at, size);
    c->body_size += size;
    return 0;
}

/* Stops the parser here: what follows is the next request. */
static int on_complete(http_parser *parser)
{
    struct connection *c = parser->data;

    c->complete = true;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_target, .on_header_field = on_header_name, .on_header_value = on_header_value,
    .on_headers_complete = on_head, .on_body = on_body, .on_message_complete = on_complete,
};

/* ------------------------------------------------------------------- reading */

static void begin_request(struct connection *c)
{
    http_parser_init(&c->parser, HTTP_REQUEST);
    c->parser.data = c;
    c->target_size = c->body_size = 0;
    c->name.size = c->value.size = 0;
    c->hosts = c->wrong = 0;
    c->in_value = c->has_head = c->wants_continue = c->complete = false;
}

static void parse(struct connection *c)
{
    enum http_errno error;

    c->first += http_parser_execute(&c->parser, &settings, c->in + c->first, c->end - c->first);
    error = HTTP_PARSER_ERRNO(&c->parser);
    if (error != HPE_OK && !c->complete && !c->wrong)
        c->wrong = error == HPE_HEADER_OVERFLOW ? 431 : error == HPE_INVALID_METHOD ? 501 : 400;
}

/* Whoever asks before he sends the body waits until we say that we want it. */
static int say_continue(struct connection *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (!c->has_head || !c->wants_continue || c->complete || c->wrong)
        return 0;
    c->wants_continue = false;
    return kin_write_all(c->fd, text, sizeof text - 1, NULL);
}

static int receive(struct connection *c)
{
    ssize_t n = kin_read(c->fd, c->in, sizeof c->in);

    c->first = 0;
    c->end = n > 0 ? (size_t)n : 0;
    return (int)n;
}

/* 1: a request, which may be .wrong; 0: the client sends no more. */
static int read_request(struct connection *c)
{
    int rc;

    begin_request(c);
    while (!c->complete && !c->wrong) {
        if (c->first == c->end && (rc = receive(c)) <= 0)
            return rc;
        parse(c);
        rc = say_continue(c);
        if (rc < 0)
            return rc;
    }
    return 1;
}

/* Between two requests; what has come with the last one need not be waited for. */
static int await_request(struct connection *c)
{
    kin_scope limit;
    int rc;

    if (c->first < c->end)
        return 1;
    limit = kin_scope_open(.timeout = idle_time);
    rc = kin_scope_close(&limit, kin_serve_idle(c->fd));
    return rc == KIN_ETIMEDOUT ? 0 : rc;
}

/* ----------------------------------------------------------------- answering */

/* As HTTP wants it, made once a second. */
static const char *date(void)
{
    static char text[40];
    static time_t made;
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != made) {
        made = now.tv_sec;
        gmtime_r(&made, &tm);
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    return text;
}

static char *write_number(char *at, size_t number)
{
    char digits[20];
    size_t i = sizeof digits;

    do
        digits[--i] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return mempcpy(at, digits + i, sizeof digits - i);
}

static char *write_head(const struct connection *c, int status, size_t size, char *at)
{
    at = write_number(stpcpy(at, "HTTP/1.1 "), (size_t)status);
    at = stpcpy(stpcpy(at, " "), http_status_str((enum http_status)status));
    at = stpcpy(stpcpy(at, "\r\nDate: "), date());
    at = stpcpy(at, "\r\nContent-Type: text/plain\r\n");
    if (!c->keep)
        at = stpcpy(at, "Connection: close\r\n");
    else if (c->parser.http_minor == 0)
        at = stpcpy(at, "Connection: keep-alive\r\n");
    if (status == 405)
        at = stpcpy(at, "Allow: GET, HEAD, POST\r\n");
    return stpcpy(write_number(stpcpy(at, "Content-Length: "), size), "\r\n\r\n");
}

static int answer(struct connection *c, int status, const char *body, size_t size)
{
    char *end;
    int rc;

    c->keep = !c->wrong && http_should_keep_alive(&c->parser) && !kin_cancelled();
    end = write_head(c, status, size, c->out);
    if (c->parser.method == HTTP_HEAD && !c->wrong)
        size = 0;
    if (size <= (size_t)(c->out + sizeof c->out - end)) {
        end = mempcpy(end, body, size);
        size = 0;
    }
    rc = kin_write_all(c->fd, c->out, (size_t)(end - c->out), NULL);
    return rc == 0 && size > 0 ? kin_write_all(c->fd, body, size, NULL) : rc;
}

static int answer_text(struct connection *c, int status, const char *text)
{
    return answer(c, status, text, strlen(text));
}

static bool asks_for(const struct connection *c, const char *path)
{
    struct http_parser_url url;

    http_parser_url_init(&url);
    return http_parser_parse_url(c->target, c->target_size, 0, &url) == 0 &&
           (url.field_set & 1 << UF_PATH) && url.field_data[UF_PATH].len == strlen(path) &&
           memcmp(c->target + url.field_data[UF_PATH].off, path, strlen(path)) == 0;
}

static int answer_get(struct connection *c)
{
    int rc = 0;

    if (asks_for(c, "/slow"))
        rc = kin_sleep(KIN_S(1));
    else if (!asks_for(c, "/"))
        return answer_text(c, 404, "There is no such page.\n");
    return rc < 0 ? rc : answer_text(c, 200, "Hello, world!\n");
}

static int answer_post(struct connection *c)
{
    if (asks_for(c, "/echo"))
        return answer(c, 200, c->body, c->body_size);
    return answer_text(c, 404, "There is no such page.\n");
}

static int answer_request(void *arg)
{
    struct connection *c = arg;

    if (c->wrong)
        return answer_text(c, c->wrong, "This request was not understood.\n");
    switch (c->parser.method) {
    case HTTP_GET:
    case HTTP_HEAD:
        return answer_get(c);
    case HTTP_POST:
        return answer_post(c);
    default:
        return answer_text(c, 405, "This is not a method that we know.\n");
    }
}

/* --------------------------------------------------------------- a connection */

/* Closing with something unread would take the answer away from who has not read it yet. */
static int part(void *arg)
{
    struct connection *c = arg;
    size_t most = 1 << 20;
    int n = 1;

    kin_shutdown(c->fd, SHUT_WR);
    for (size_t got = 0; n > 0 && got < most; got += (size_t)n)
        n = receive(c);
    return n < 0 ? n : 0;
}

/* 1: answered; 0: the client has gone. */
static int exchange(void *arg)
{
    struct connection *c = arg;
    int rc = read_request(c);

    if (rc <= 0)
        return rc;
    rc = answer_request(c);
    return rc < 0 ? rc : 1;
}

static int converse(struct connection *c)
{
    int rc;

    do {
        rc = await_request(c);
        if (rc <= 0)
            return rc;
        rc = kin_within(most_time, exchange, c);
        if (rc == KIN_ETIMEDOUT && !c->complete) {
            c->wrong = 408;
            rc = kin_within(KIN_S(1), answer_request, c) < 0 ? 0 : 1;
        }
    } while (rc > 0 && c->keep);
    return rc <= 0 ? rc : kin_within(KIN_S(1), part, c);
}

static int serve_client(int fd, void *arg)
{
    struct connection c;            /* not zeroed: memory that is not touched costs nothing */
    int rc;

    (void)arg;
    c.fd = fd;
    c.first = c.end = 0;
    rc = converse(&c);
    return rc == KIN_ETIMEDOUT ? 0 : rc;    /* it has not read what it asked for */
}

/* --------------------------------------------------------------------- the server */

static int listen_on(const char *port)
{
    kin_address address;
    int fd = kin_listen_on("127.0.0.1", port);

    if (fd < 0)
        return kin_fail(fd, "port %s", port);
    kin_local_address(fd, &address);
    printf("port %d\n", ntohs(address.v4.sin_port));
    fflush(stdout);
    return fd;
}

static int serve(void *arg)
{
    struct kin_serve_counts counts;
    int rc, fd = listen_on(arg);

    if (fd < 0)
        return fd;
    rc = kin_end_on_signals();
    if (rc < 0)
        return rc;
    http_parser_set_max_header_size(HEAD);
    rc = kin_serve(fd, serve_client, NULL, .name = "client", .limit = 5000, .drain = KIN_S(5),
                   .counts = &counts);
    printf("%llu connections, %llu failed, %llu cut off\n", (unsigned long long)counts.accepted,
           (unsigned long long)counts.failed, (unsigned long long)counts.cut);
    return rc == KIN_ECANCELED ? 0 : rc;        /* as it was meant to end */
}

int main(int argc, char **argv)
{
    if (argc > 2)
        most_time = KIN_S(atoi(argv[2]));
    return kin_main(serve, argc > 1 ? argv[1] : "0");
}
