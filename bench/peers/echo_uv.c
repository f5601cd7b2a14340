/* libuv's side of the network bench: the echo server, and the client of short connections.
 *
 *     uv echo
 *     uv short PORT COUNT
 *
 * As libuv's users write it: a handle a connection, memory from the allocation callback (one
 * buffer for all: it is answered before the next read), uv_try_write first and a write
 * request for what that leaves, shutdown before close; each short connection has a timer of
 * its own. Debian's libuv leaves SIGPIPE to its user.
 */
#include "net.h"

#include <signal.h>
#include <uv.h>

enum { AT_ONCE = 50 };

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

/* ------------------------------------------------------------------ server */

struct rest {                   /* of an answer, that did not fit */
    uv_write_t write;
    char bytes[NET_BUFFER];
};

static char shared[NET_BUFFER];

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(shared, sizeof shared);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void hang_up(uv_stream_t *stream)
{
    if (!uv_is_closing((uv_handle_t *)stream))
        uv_close((uv_handle_t *)stream, free_handle);
}

static void shut_down(uv_shutdown_t *shutdown, int status)
{
    (void)status;
    hang_up(shutdown->handle);
    free(shutdown);
}

/* The peer sends no more: goes when all answers are out. */
static void end(uv_stream_t *stream)
{
    uv_shutdown_t *shutdown = memory(sizeof *shutdown);

    if (uv_shutdown(shutdown, stream, shut_down) < 0) {
        free(shutdown);
        hang_up(stream);
    }
}

static void written(uv_write_t *write, int status)
{
    if (status < 0)
        hang_up(write->handle);
    free(write);
}

static void send_rest(uv_stream_t *stream, const char *from, size_t size)
{
    struct rest *rest = memory(sizeof *rest);
    uv_buf_t buffer = uv_buf_init(rest->bytes, (unsigned)size);

    memcpy(rest->bytes, from, size);
    done(uv_write(&rest->write, stream, &buffer, 1, written), "uv_write");
}

static void answer(uv_stream_t *stream, ssize_t n, const uv_buf_t *got)
{
    uv_buf_t buffer;
    int sent;

    if (n == UV_EOF) {
        end(stream);
        return;
    }
    if (n < 0) {
        hang_up(stream);
        return;
    }
    buffer = uv_buf_init(got->base, (unsigned)n);
    sent = n > 0 ? uv_try_write(stream, &buffer, 1) : 0;
    if (sent < 0 && sent != UV_EAGAIN)
        hang_up(stream);
    else if (sent < n)
        send_rest(stream, got->base + (sent > 0 ? sent : 0), (size_t)(n - (sent > 0 ? sent : 0)));
}

static void accept_one(uv_stream_t *listener, int status)
{
    uv_tcp_t *tcp = memory(sizeof *tcp);

    done(status, "connection");
    done(uv_tcp_init(listener->loop, tcp), "uv_tcp_init");
    done(uv_accept(listener, (uv_stream_t *)tcp), "uv_accept");
    done(uv_tcp_nodelay(tcp, 1), "uv_tcp_nodelay");
    done(uv_read_start((uv_stream_t *)tcp, lend_buffer, answer), "uv_read_start");
}

static void serve(uv_loop_t *loop)
{
    struct sockaddr_in address = net_address(0);
    uv_tcp_t listener;
    uv_os_fd_t fd;

    done(uv_tcp_init(loop, &listener), "uv_tcp_init");
    done(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0), "uv_tcp_bind");
    done(uv_listen((uv_stream_t *)&listener, NET_BACKLOG, accept_one), "uv_listen");
    done(uv_fileno((uv_handle_t *)&listener, &fd), "uv_fileno");
    net_announce(fd);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* ------------------------------------------------------------------ client */

struct request {
    uv_tcp_t tcp;
    uv_timer_t limit;
    uv_connect_t connect;
    uv_write_t write;
    unsigned received, open;            /* bytes; handles */
    char answer[NET_MESSAGE];
};

static char message[NET_MESSAGE] = "a short connection";
static int port;
static long to_start, to_end;

static void start(uv_loop_t *loop);

static void closed(uv_handle_t *handle)
{
    struct request *request = handle->data;
    uv_loop_t *loop = handle->loop;

    if (--request->open > 0)
        return;
    free(request);
    to_end--;
    if (to_start > 0)
        start(loop);
}

static void lend_rest(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct request *request = handle->data;

    (void)suggested;
    *buffer = uv_buf_init(request->answer + request->received, NET_MESSAGE - request->received);
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct request *request = stream->data;

    (void)buffer;
    done((int)n, "read");
    request->received += (unsigned)n;
    if (request->received < NET_MESSAGE)
        return;
    net_check(memcmp(request->answer, message, NET_MESSAGE) == 0, "the answer is another");
    uv_close((uv_handle_t *)&request->tcp, closed);
    uv_close((uv_handle_t *)&request->limit, closed);
}

static void connected(uv_connect_t *connect, int status)
{
    struct request *request = connect->handle->data;
    uv_buf_t buffer = uv_buf_init(message, NET_MESSAGE);

    done(status, "connect");
    done(uv_write(&request->write, connect->handle, &buffer, 1, NULL), "uv_write");
    done(uv_read_start(connect->handle, lend_rest, received), "uv_read_start");
}

static void too_late(uv_timer_t *timer)
{
    (void)timer;
    net_check(false, "a limit has passed");
}

static void start(uv_loop_t *loop)
{
    struct sockaddr_in address = net_address(port);
    struct request *request = memory(sizeof *request);

    to_start--;
    request->received = 0;
    request->open = 2;
    request->tcp.data = request->limit.data = request;
    done(uv_tcp_init(loop, &request->tcp), "uv_tcp_init");
    done(uv_tcp_nodelay(&request->tcp, 1), "uv_tcp_nodelay");
    done(uv_timer_init(loop, &request->limit), "uv_timer_init");
    done(uv_timer_start(&request->limit, too_late, NET_LIMIT_MS, 0), "uv_timer_start");
    done(uv_tcp_connect(&request->connect, &request->tcp, (struct sockaddr *)&address, connected),
         "uv_tcp_connect");
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    int64_t began;
    long count;

    net_raise_limit();
    net_require(signal(SIGPIPE, SIG_IGN) != SIG_ERR, "signal");
    if (argc == 2 && strcmp(argv[1], "echo") == 0) {
        serve(loop);
        return 1;
    }
    port = (int)net_number(argc, argv, 2, 1);
    count = to_start = to_end = net_number(argc, argv, 3, 1);
    began = net_clock(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < AT_ONCE && to_start > 0; i++)
        start(loop);
    uv_run(loop, UV_RUN_DEFAULT);
    net_check(to_end == 0, "not all have ended");
    net_print_short(began, count);
    return 0;
}
