/* The demonstration's server: one task a connection.
 *
 * It reads as a server reads that was written without any scheduler in mind: take
 * a request, think for a while, answer, take the next. What a page does follows
 * from its path, "/slow/7"; its number makes it differ from its neighbours, and
 * the same in each run.
 */
#include "demo_server.h"

#include <errno.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
    char path[128];
    size_t length;
    bool complete, keep_alive;
};

static int on_url(http_parser *parser, const char *at, size_t length)
{
    struct request *request = parser->data;

    if (request->length + length >= sizeof request->path)
        return -1;
    memcpy(request->path + request->length, at, length);
    request->length += length;
    request->path[request->length] = '\0';
    return 0;
}

/* Stops the parser here: what follows is the next request. */
static int on_complete(http_parser *parser)
{
    struct request *request = parser->data;

    request->complete = true;
    request->keep_alive = http_should_keep_alive(parser) != 0;
    http_parser_pause(parser, 1);
    return 0;
}

/* Reads one request: 1, 0 when the peer has gone, or a code. */
static int read_request(int fd, struct request *request)
{
    http_parser_settings settings;
    http_parser parser;
    char buffer[4096];

    http_parser_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_message_complete = on_complete;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = request;
    *request = (struct request){ 0 };
    while (!request->complete) {
        ssize_t n = kin_read(fd, buffer, sizeof buffer);
        if (n <= 0)
            return (int)n;
        http_parser_execute(&parser, &settings, buffer, (size_t)n);
        if (!request->complete && HTTP_PARSER_ERRNO(&parser) != HPE_OK)
            return kin_fail(-EPROTO, "%s", http_errno_description(HTTP_PARSER_ERRNO(&parser)));
    }
    return 1;
}

static int answer(int fd, const char *status, const char *headers, const char *body)
{
    char text[1024];
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %s\r\n"
                        "Content-Type: text/plain\r\n%s"
                        "Content-Length: %zu\r\n\r\n%s",
                        status, headers, strlen(body), body);
    return kin_write_all(fd, text, (size_t)size, NULL);
}

static int answer_page(int fd, const char *path)
{
    char body[256];

    snprintf(body, sizeof body, "This is the page %s.\n", path);
    return answer(fd, "200 OK", "", body);
}

/* Half a page, or nothing at all; and then never anything again. */
static int stall(int fd, unsigned number)
{
    static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nThis page beg";
    int rc = 0;

    if (number % 2 == 0)
        rc = kin_write_all(fd, half, sizeof half - 1, NULL);
    return rc < 0 ? rc : kin_sleep(KIN_FOREVER);
}

static int serve_page(int fd, const char *path)
{
    char kind[16] = "", headers[64];
    unsigned number = 0;
    int64_t pause = 0;

    if (sscanf(path, "/%15[a-z]/%u", kind, &number) != 2)
        return answer(fd, "404 Not Found", "", "There is no such page.\n");
    if (strcmp(kind, "stalling") == 0)
        return stall(fd, number);
    if (strcmp(kind, "slow") == 0)
        pause = KIN_MS(150 + number * 41 % 300);
    else
        pause = KIN_MS(2 + number * 7 % 19);
    int rc = kin_sleep(pause);
    if (rc < 0)
        return rc;
    if (strcmp(kind, "missing") == 0)
        return answer(fd, "404 Not Found", "", "There is no such page.\n");
    if (strcmp(kind, "broken") == 0)
        return answer(fd, "500 Internal Server Error", "", "The server is at fault.\n");
    if (strcmp(kind, "moved") == 0) {
        snprintf(headers, sizeof headers, "Location: /fast/%u\r\n", number);
        return answer(fd, "302 Found", headers, "");
    }
    return answer_page(fd, path);
}

static int converse(int fd)
{
    struct request request;
    int rc;

    do {
        rc = read_request(fd, &request);
        if (rc <= 0)
            return rc;
        rc = serve_page(fd, request.path);
    } while (rc >= 0 && request.keep_alive);
    return rc;
}

/* A client that goes away in the middle is nothing to report. */
static int serve_connection(void *arg)
{
    int fd = *(int *)arg;
    int rc = converse(fd);

    kin_close(fd);
    return rc == KIN_ECANCELED ? rc : 0;
}

int demo_server(int listener, kin_group *group)
{
    for (;;) {
        int fd = kin_accept(listener);
        int rc = fd;
        if (fd == -EMFILE || fd == -ENFILE || fd == -ECONNABORTED)
            rc = kin_sleep(KIN_MS(20));
        if (rc < 0)
            return rc;
        if (fd < 0)
            continue;
        rc = kin_spawn(group, serve_connection, &fd, .copy = sizeof fd, .name = "connection");
        if (rc < 0) {
            kin_close(fd);
            return rc;
        }
    }
}
