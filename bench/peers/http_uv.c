/* libuv's side of the HTTP bench: the greeting of examples/http_server.c, by the same parser,
 * with the same answer and the same limits on slow clients.
 *
 * As libuv's users write it: a handle and a timer a connection, one buffer for all reads (it
 * is parsed before the next), an answer as soon as the parser has the request, uv_try_write
 * first and a write request for what that leaves. Debian's libuv leaves SIGPIPE to its user.
 */
#include "net.h"

#include <http_parser.h>
#include <signal.h>
#include <strings.h>
#include <uv.h>

enum { REQUEST_MS = 10000, IDLE_MS = 60000 };

struct text {
    char at[32];
    size_t size;
};

struct connection {
    uv_tcp_t tcp;
    uv_timer_t limit;
    http_parser parser;
    char target[1024];
    size_t target_size;
    struct text name, value;
    bool in_value, expects;
    int hosts, open;            /* handles */
    bool keep;
};

struct rest {                   /* of an answer, that did not fit */
    uv_write_t write;
    char bytes[512];
};

static char shared[4096];
static const char greeting[] = "Hello, world!\n";

static void done(int rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", what, uv_strerror(rc));
        exit(1);
    }
}

static void *memory(size_t size)
{
    void *at = malloc(size);

    net_require(at != NULL, "memory");
    return at;
}

/* -------------------------------------------------------------------- the end */

static void closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;

    if (--c->open == 0)
        free(c);
}

static void hang_up(struct connection *c)
{
    if (uv_is_closing((uv_handle_t *)&c->tcp))
        return;
    uv_close((uv_handle_t *)&c->tcp, closed);
    uv_close((uv_handle_t *)&c->limit, closed);
}

static void too_late(uv_timer_t *timer)
{
    hang_up(timer->data);
}

static void limit(struct connection *c, uint64_t ms)
{
    done(uv_timer_start(&c->limit, too_late, ms, 0), "uv_timer_start");
}

/* -------------------------------------------------------------------- answers */

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

static void written(uv_write_t *write, int status)
{
    struct connection *c = write->handle->data;

    if (status < 0 || !c->keep)
        hang_up(c);
    free(write);
}

static void send_rest(struct connection *c, const char *from, size_t size)
{
    struct rest *rest = memory(sizeof *rest);
    uv_buf_t buffer = uv_buf_init(rest->bytes, (unsigned)size);

    memcpy(rest->bytes, from, size);
    done(uv_write(&rest->write, (uv_stream_t *)&c->tcp, &buffer, 1, written), "uv_write");
}

static void send_answer(struct connection *c, const char *text, size_t size)
{
    uv_buf_t buffer = uv_buf_init((char *)text, (unsigned)size);
    int sent = uv_try_write((uv_stream_t *)&c->tcp, &buffer, 1);

    if (sent < 0 && sent != UV_EAGAIN)
        hang_up(c);
    else if (sent < (int)size)
        send_rest(c, text + (sent > 0 ? sent : 0), size - (size_t)(sent > 0 ? sent : 0));
    else if (!c->keep)
        hang_up(c);
}

static void answer(struct connection *c)
{
    bool right = c->hosts == 1 && c->target_size == 1 && c->target[0] == '/';
    char text[512], *at = text;

    c->keep = right && http_should_keep_alive(&c->parser);
    at = stpcpy(stpcpy(at, "HTTP/1.1 "), right ? "200 OK" : "404 Not Found");
    at = stpcpy(stpcpy(at, "\r\nDate: "), date());
    at = stpcpy(at, "\r\nContent-Type: text/plain\r\n");
    if (!c->keep)
        at = stpcpy(at, "Connection: close\r\n");
    at = stpcpy(at, "Content-Length: 14\r\n\r\n");
    at = stpcpy(at, greeting);
    send_answer(c, text, (size_t)(at - text));
}

/* --------------------------------------------------------------------- requests */

static int begin(http_parser *parser)
{
    struct connection *c = parser->data;

    c->target_size = c->name.size = c->value.size = 0;
    c->in_value = c->expects = false;
    c->hosts = 0;
    limit(c, REQUEST_MS);
    return 0;
}

static int on_target(http_parser *parser, const char *at, size_t size)
{
    struct connection *c = parser->data;

    if (size > sizeof c->target - c->target_size)
        return -1;
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
    c->expects |= is(&c->name, "expect");
    c->name.size = c->value.size = 0;
    c->in_value = false;
}

static int on_name(http_parser *parser, const char *at, size_t size)
{
    struct connection *c = parser->data;

    if (c->in_value)
        end_header(c);
    append(&c->name, at, size);
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t size)
{
    struct connection *c = parser->data;

    c->in_value = true;
    append(&c->value, at, size);
    return 0;
}

static int on_head(http_parser *parser)
{
    end_header(parser->data);
    return 0;
}

static int on_complete(http_parser *parser)
{
    struct connection *c = parser->data;

    answer(c);
    limit(c, IDLE_MS);
    return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = begin, .on_url = on_target, .on_header_field = on_name,
    .on_header_value = on_value, .on_headers_complete = on_head, .on_message_complete = on_complete,
};

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(shared, sizeof shared);
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *got)
{
    struct connection *c = stream->data;

    if (n > 0)
        http_parser_execute(&c->parser, &settings, got->base, (size_t)n);
    if (n < 0 || HTTP_PARSER_ERRNO(&c->parser) != HPE_OK)
        hang_up(c);
}

static void accept_one(uv_stream_t *listener, int status)
{
    struct connection *c = memory(sizeof *c);

    done(status, "connection");
    c->tcp.data = c->limit.data = c;
    c->open = 2;
    http_parser_init(&c->parser, HTTP_REQUEST);
    c->parser.data = c;
    done(uv_tcp_init(listener->loop, &c->tcp), "uv_tcp_init");
    done(uv_timer_init(listener->loop, &c->limit), "uv_timer_init");
    done(uv_accept(listener, (uv_stream_t *)&c->tcp), "uv_accept");
    done(uv_tcp_nodelay(&c->tcp, 1), "uv_tcp_nodelay");
    limit(c, IDLE_MS);
    done(uv_read_start((uv_stream_t *)&c->tcp, lend_buffer, received), "uv_read_start");
}

int main(void)
{
    struct sockaddr_in address = net_address(0);
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    uv_os_fd_t fd;

    net_raise_limit();
    net_require(signal(SIGPIPE, SIG_IGN) != SIG_ERR, "signal");
    done(uv_tcp_init(loop, &listener), "uv_tcp_init");
    done(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0), "uv_tcp_bind");
    done(uv_listen((uv_stream_t *)&listener, NET_BACKLOG, accept_one), "uv_listen");
    done(uv_fileno((uv_handle_t *)&listener, &fd), "uv_fileno");
    net_announce(fd);
    return uv_run(loop, UV_RUN_DEFAULT);
}
