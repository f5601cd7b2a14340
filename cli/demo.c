/* The demonstration: a hundred pages of every temper.
 *
 * The list is made of a few kinds of pages, mixed in a fixed order, so that each
 * run shows the same: most are fast, some slow, some redirect; some are missing
 * or broken, some stand on a port where nobody listens, some never finish. The
 * settings are chosen so that all of it is over in less than two seconds.
 *
 * Pages are not printed, there is nothing to read in them; instead each page is
 * one mark in the row of its kind.
 */
#include "demo.h"
#include "demo_server.h"
#include "duration.h"
#include "item.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGES 100
#define STRIDE 37               /* no divisor in common with PAGES: visits each page once */

static const struct kind_of_page {
    const char *name;
    unsigned count;
} kinds[] = {
    { "fast", 50 }, { "slow", 18 },  { "moved", 10 },   { "missing", 6 },
    { "broken", 5 }, { "refused", 5 }, { "stalling", 6 },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

struct demo {
    int listener, deaf;         /* the server's socket, and one that does not listen */
    kin_group *group;
    struct {
        size_t kind;
        char url[64];
        enum outcome outcome;
        int64_t took;           /* -1: it was never started */
    } pages[PAGES];
};

static int port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    return ntohs(address.sin_port);
}

/* A bound port that does not listen refuses, and nobody else can take it. */
static int open_deaf(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && bind(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    int rc = -errno;
    if (fd >= 0)
        close(fd);
    return rc;
}

static void fill_list(struct demo *demo, int port, int deaf_port)
{
    size_t at = 0;

    for (size_t kind = 0; kind < KINDS; kind++)
        for (unsigned n = 1; n <= kinds[kind].count; n++) {
            size_t i = at++ * STRIDE % PAGES;
            bool refused = strcmp(kinds[kind].name, "refused") == 0;
            demo->pages[i].kind = kind;
            demo->pages[i].outcome = OUTCOME_NONE;
            demo->pages[i].took = -1;
            snprintf(demo->pages[i].url, sizeof demo->pages[i].url, "http://127.0.0.1:%d/%s/%u",
                     refused ? deaf_port : port, kinds[kind].name, n);
        }
}

static int choose_options(struct demo *demo, struct fetch_options *options)
{
    struct source *sources = calloc(PAGES, sizeof *sources);

    if (sources == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < PAGES; i++)
        sources[i] = (struct source){ SOURCE_URL, demo->pages[i].url };
    free(options->sources);
    options->sources = sources;
    options->source_count = PAGES;
    if (!fetch_options_given(options, 'j'))
        options->jobs = 10;
    if (options->timeout == 0)
        options->timeout = KIN_MS(800);
    if (options->deadline == 0)
        options->deadline = KIN_S(3);
    return 0;
}

int demo_open(struct demo **made, struct fetch_options *options)
{
    struct sockaddr_in loopback = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct demo *demo = calloc(1, sizeof *demo);
    int rc = -ENOMEM, port, deaf_port;

    *made = NULL;
    if (demo == NULL)
        return rc;
    rc = demo->deaf = open_deaf(&loopback);
    if (rc < 0)
        goto no_deaf;
    rc = demo->listener = kin_listen((struct sockaddr *)&loopback, sizeof loopback, 128);
    if (rc < 0)
        goto no_listener;
    rc = port = port_of(demo->listener);
    if (rc >= 0)
        rc = deaf_port = port_of(demo->deaf);
    if (rc < 0)
        goto no_list;
    fill_list(demo, port, deaf_port);
    rc = choose_options(demo, options);
    if (rc < 0)
        goto no_list;
    *made = demo;
    return 0;
no_list:
    kin_close(demo->listener);
no_listener:
    close(demo->deaf);
no_deaf:
    free(demo);
    return rc;
}

void demo_close(struct demo *demo)
{
    kin_close(demo->listener);
    close(demo->deaf);
    free(demo);
}

static int serve(void *arg)
{
    struct demo *demo = arg;

    return demo_server(demo->listener, demo->group);
}

int demo_start(struct demo *demo, kin_group *group)
{
    demo->group = group;
    return kin_spawn(group, serve, demo, .name = "server");
}

void demo_introduce(const struct fetch_options *options, FILE *out)
{
    char limit[32], deadline[32];

    fprintf(out,
            "No URLs were given, so this is a demonstration: %d pages from a small server of\n"
            "its own, %u at a time, at most %s for each, %s for all.\n"
            "Your turn: kin fetch --help\n\n",
            PAGES, options->jobs, duration_print(options->timeout, limit, sizeof limit),
            duration_print(options->deadline, deadline, sizeof deadline));
}

void demo_note(struct demo *demo, const struct item *item)
{
    if (item->index >= PAGES)
        return;
    demo->pages[item->index].outcome = item->outcome;
    if (item->started_at != 0)
        demo->pages[item->index].took = item->ended_at - item->started_at;
}

static char mark_of(enum outcome outcome)
{
    static const char marks[] = ".xTdc-?";

    return marks[outcome];
}

static void report_kind(const struct demo *demo, size_t kind, FILE *out)
{
    int64_t least = INT64_MAX, most = 0;
    char marks[PAGES + 1] = "", from[32], to[32], range[80] = "";
    size_t count = 0;

    for (size_t i = 0; i < PAGES; i++) {
        if (demo->pages[i].kind != kind)
            continue;
        int64_t took = demo->pages[i].took;
        marks[count++] = mark_of(demo->pages[i].outcome);
        if (took < 0)
            continue;
        least = took < least ? took : least;
        most = took > most ? took : most;
    }
    if (least <= most)
        snprintf(range, sizeof range, "  %s to %s", duration_print(least, from, sizeof from),
                 duration_print(most, to, sizeof to));
    fprintf(out, "  %-9s %-50s%s\n", kinds[kind].name, marks, range);
}

char *demo_report(const struct demo *demo)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    for (size_t kind = 0; kind < KINDS; kind++)
        report_kind(demo, kind, out);
    fputs("\n  A mark is a page: . ok, x failed, T timed out, d defaulted, c cancelled,\n"
          "  - never started.\n",
          out);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
