/* Connecting to names and to lists of addresses: kin_connect_host, kin_connect_any (RFC 8305;
 * docs/semantics.md G3, C2, E3).
 *
 * Closed ports fail at once. A listener whose queue is full does not answer: over TCP it
 * drops what comes, a Unix one makes the connecting side ask again and again. */
#include "io_test.h"

#include "core/core.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/names.h"
#include "kin_os.h"

enum { MANY = 50 };

/* ------------------------------------------------------------------- addresses */

static kin_address v4_address(unsigned host, uint16_t port)
{
    return (kin_address){ .v4 = { .sin_family = AF_INET, .sin_port = port,
                                  .sin_addr.s_addr = htonl(host) },
                          .length = sizeof(struct sockaddr_in) };
}

static kin_address v6_address(uint16_t port)
{
    return (kin_address){ .v6 = { .sin6_family = AF_INET6, .sin6_port = port,
                                  .sin6_addr = IN6ADDR_LOOPBACK_INIT },
                          .length = sizeof(struct sockaddr_in6) };
}

/* Where nobody listens, of both families. No port that was just given back: another program
 * may get it, or the very socket that is to be connected. */
static void dead_addresses(kin_address *list, int count)
{
    for (int i = 0; i < count; i++)
        list[i] = i % 5 == 4 ? v6_address(htons(1))
                             : v4_address(INADDR_LOOPBACK + (unsigned)i, htons(1));
}

/* What listens there, and what fills its queue up; descriptors to be closed. */
struct place {
    kin_address address;
    int listener, fill[2];
};

static void place_live(struct place *place)
{
    struct sockaddr_in address;

    *place = (struct place){ .listener = tcp_listener(&address, 0), .fill = { -1, -1 } };
    place->address = v4_address(INADDR_LOOPBACK, address.sin_port);
}

/* Without kin, since its calls may be made to fail. */
static void fill_queue(struct place *place)
{
    for (int i = 0; i < 2; i++) {
        place->fill[i] = socket(place->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK_INT(connect(place->fill[i], &place->address.any, place->address.length), 0);
    }
}

static void place_full(struct place *place)
{
    struct sockaddr_in address;

    place->listener = tcp_listener(&address, 1);
    place->address = v4_address(INADDR_LOOPBACK, address.sin_port);
    fill_queue(place);
}

static void place_full_unix(struct place *place)
{
    place->listener = unix_listener(&place->address.local, &place->address.length, 1);
    fill_queue(place);
}

static void place_end(struct place *place)
{
    for (int i = 0; i < 2; i++)
        if (place->fill[i] >= 0)
            CHECK_CODE(kin_close(place->fill[i]), 0);
    CHECK_CODE(kin_close(place->listener), 0);
}

/* They are connected with each other. */
static void check_connected(int fd, const struct place *place)
{
    int peer = kin_accept(place->listener);
    char byte = 0;

    CHECK(fd >= 0 && peer >= 0);
    CHECK_INT(kin_write(fd, "x", 1), 1);
    CHECK_INT(kin_read(peer, &byte, 1), 1);
    CHECK_INT(byte, 'x');
    CHECK_CODE(kin_close(peer), 0);
    CHECK_CODE(kin_close(fd), 0);
}

/* ------------------------------------------------------------------ all is well */

IO_TEST(connect_to_a_number)
{
    struct place place;
    char port[8];
    int fd;

    place_live(&place);
    snprintf(port, sizeof port, "%d", ntohs(place.address.v4.sin_port));
    fd = kin_connect_host("127.0.0.1", port);
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(kin_error_last() == NULL);
    check_connected(fd, &place);
    place_end(&place);
}

IO_TEST(connect_to_the_path_of_a_socket)
{
    struct place place = { .fill = { -1, -1 } };
    char host[KIN_ADDRESS_TEXT];

    place.listener = unix_listener(&place.address.local, &place.address.length, 0);
    kin_address_text(&place.address, host, sizeof host);
    check_connected(kin_connect_host(host, NULL), &place);
    place_end(&place);
}

/* ------------------------------------------------------------------ a name's list */

static struct addrinfo *names_list;

static int find_list(const char *host, const char *service, const struct addrinfo *hints,
                     struct addrinfo **found)
{
    (void)service, (void)hints;
    *found = names_list;
    return strcmp(host, "list") == 0 ? 0 : EAI_NONAME;
}

static void release_nothing(struct addrinfo *found)
{
    (void)found;
}

static void names_are(struct addrinfo *infos, kin_address *list, int count)
{
    for (int i = 0; i < count; i++)
        infos[i] = (struct addrinfo){ .ai_addr = &list[i].any, .ai_addrlen = list[i].length,
                                      .ai_next = i + 1 < count ? &infos[i + 1] : NULL };
    names_list = infos;
    kin__name_source = (struct kin__name_source){ find_list, release_nothing };
}

static int connect_to_names(void *arg)
{
    struct place live;
    kin_address list[5];
    struct addrinfo infos[5];

    (void)arg;
    place_live(&live);
    dead_addresses(list, 5);
    names_are(infos, list, 5);
    CHECK_CODE(kin_connect_host("list", "80"), -ECONNREFUSED);
    CHECK_STR(kin_error_last()->name, "list:80");
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_all()), 5);
    list[3] = live.address;
    check_connected(kin_connect_host("list", "80"), &live);
    CHECK_CODE(kin_connect_host("other", "80"), KIN_ENAME);
    CHECK_STR(kin_error_last()->message, "other:80: no such name, or it has no address");
    place_end(&live);
    return 0;
}

/* The bell stays open to the end of the run: descriptors are counted around that. */
TEST(connect_to_each_of_a_names_addresses)
{
    int before = open_descriptors();

    CHECK_CODE(kin_run(connect_to_names, NULL), 0);
    CHECK_INT(open_descriptors(), before);
}

/* ---------------------------------------------------------------- dead addresses */

/* Those that fail cost no time: else it would be twelve seconds. */
IO_TEST(connect_fifty_dead_addresses)
{
    kin_address list[MANY];
    int64_t began = kin_now();

    dead_addresses(list, MANY);
    CHECK_CODE(kin_connect_any(list, MANY), -ECONNREFUSED);
    CHECK(kin_now() - began < KIN_S(6));
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_all()) + kin_error_last()->dropped, MANY);
}

IO_TEST(connect_the_fiftieth_is_alive)
{
    kin_address list[MANY];
    struct place place;
    int64_t began = kin_now();

    place_live(&place);
    dead_addresses(list, MANY);
    list[MANY - 1] = place.address;
    check_connected(kin_connect_any(list, MANY), &place);
    CHECK(kin_now() - began < KIN_S(6));
    place_end(&place);
}

struct leaves {
    char text[1024];
    int count;
};

static int note_leaf(const kin_error *leaf, void *arg)
{
    struct leaves *leaves = arg;
    size_t used = strlen(leaves->text);

    CHECK(strstr(leaf->at, "connect.c:") && !strstr(leaf->at, "src/io"));   /* the caller's */
    CHECK(strncmp(leaf->message, leaf->name, strlen(leaf->name)) == 0);
    snprintf(leaves->text + used, sizeof leaves->text - used, "%s ", leaf->name);
    leaves->count++;
    return 0;
}

IO_TEST(E3_the_error_names_each_address_and_its_reason)
{
    struct leaves leaves = { .text = "" };
    kin_address list[2];
    const kin_error *first;

    list[0] = (kin_address){ .local = { AF_UNIX, "/no/such/socket" },
                             .length = sizeof list[0].local };
    dead_addresses(&list[1], 1);
    CHECK_CODE(kin_connect_any(list, 2), -ENOENT);      /* the first to fail */
    first = kin_error_last()->child;
    CHECK_STR(first->name, "unix:/no/such/socket");
    CHECK_STR(first->message, "unix:/no/such/socket: No such file or directory");
    CHECK_STR(first->next->message, "127.0.0.1:1: Connection refused");
    CHECK_CODE(first->next->code, -ECONNREFUSED);
    CHECK(first->next->next == NULL);
    kin_error_walk(kin_error_last(), kin_match_all(), &leaves, note_leaf);
    CHECK_INT(leaves.count, 2);
}

/* RFC 8305, section 4: as long as there are both, and each in its order. */
static void check_order(const char *families, const char *wanted)
{
    struct leaves leaves = { .text = "" };
    kin_address list[8];
    int count = (int)strlen(families);

    for (int i = 0; i < count; i++)
        list[i] = families[i] == '4' ? v4_address(INADDR_LOOPBACK + 9 + (unsigned)i, htons(1))
                                     : v6_address(htons((uint16_t)(1 + i)));
    CHECK(kin_connect_any(list, (size_t)count) < 0);
    kin_error_walk(kin_error_last(), kin_match_all(), &leaves, note_leaf);
    CHECK_STR(leaves.text, wanted);
}

IO_TEST(connect_the_families_alternate)
{
    check_order("44466", "127.0.0.10:1 [::1]:4 127.0.0.11:1 [::1]:5 127.0.0.12:1 ");
    check_order("66644", "[::1]:1 127.0.0.13:1 [::1]:2 127.0.0.14:1 [::1]:3 ");
    check_order("4666", "127.0.0.10:1 [::1]:2 [::1]:3 [::1]:4 ");
    check_order("64", "[::1]:1 127.0.0.11:1 ");
    check_order("444", "127.0.0.10:1 127.0.0.11:1 127.0.0.12:1 ");
    check_order("6", "[::1]:1 ");
}

/* -------------------------------------------------------------- hanging addresses */

IO_TEST(connect_one_that_hangs_has_its_head_start_and_no_more)
{
    struct place full, live;
    kin_address list[3];
    int64_t began, took;

    place_full(&full);
    place_live(&live);
    list[0] = full.address;
    list[1] = full.address;
    list[2] = live.address;
    began = kin_now();
    check_connected(kin_connect_any(list, 3), &live);
    took = kin_now() - began;
    CHECK(took >= KIN_MS(500));
    CHECK(took < KIN_S(10));            /* TCP itself would ask for minutes */
    place_end(&full);
    place_end(&live);
}

struct connecting {
    const kin_address *list;
    size_t count;
    int result;
    bool ended;
};

static int connect_to(void *arg)
{
    struct connecting *c = arg;

    c->result = kin_connect_any(c->list, c->count);
    c->ended = true;
    return c->result < 0 ? c->result : 0;
}

/* The failure of the second is not the end: the first may still be answered. */
IO_TEST(connect_the_first_may_win_after_the_others_have_failed)
{
    struct place full;
    kin_address list[2];
    struct connecting c = { list, 2, 0, false };
    kin_group g = kin_group_open();

    place_full_unix(&full);
    list[0] = full.address;
    dead_addresses(&list[1], 1);
    kin_spawn(&g, connect_to, &c);
    kin_sleep(KIN_MS(350));
    CHECK(!c.ended);
    CHECK_CODE(kin_close(kin_accept(full.listener)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(c.result >= 0);
    CHECK_CODE(kin_close(c.result), 0);
    place_end(&full);
}

IO_TEST(connect_obeys_the_limit_around_it)
{
    struct place full;
    kin_scope s;

    place_full(&full);
    s = kin_scope_open(.timeout = KIN_MS(50));
    CHECK_CODE(kin_scope_close(&s, kin_connect_any(&full.address, 1)), KIN_ETIMEDOUT);
    place_end(&full);
}

static int accept_all(int listener)
{
    int count = 0, fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        CHECK_INT(close(fd), 0);
        count++;
    }
    return count;
}

/* Two that hang have room to connect, and then their pauses end, while nobody else can run.
 * How many of them did connect. */
static int connect_in_the_same_turn(void)
{
    struct place full[2];
    kin_address list[2];
    struct connecting c = { list, 2, 0, false };
    int connected = 0;
    kin_group g = kin_group_open();

    for (int i = 0; i < 2; i++) {
        place_full_unix(&full[i]);
        list[i] = full[i].address;
    }
    kin_spawn(&g, connect_to, &c);
    kin_sleep(KIN_MS(350));
    for (int i = 0; i < 2; i++)
        CHECK_INT(accept_all(full[i].listener), 2);
    kin_blocking_begin();
    usleep(150000);
    kin_blocking_end();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(c.result >= 0);
    CHECK_CODE(kin_close(c.result), 0);
    for (int i = 0; i < 2; i++) {
        connected += accept_all(full[i].listener);
        place_end(&full[i]);
    }
    return connected;
}

/* One of them may have begun to run just before, and win alone; that is rare. */
IO_TEST_LIMIT(C2_two_that_connect_in_the_same_turn_make_one_descriptor, 60)
{
    int connected = 0;

    for (int i = 0; i < 20 && connected < 2; i++)
        connected = connect_in_the_same_turn();
    CHECK_INT(connected, 2);
}

/* ---------------------------------------------------------------- cancellation */

IO_TEST(C2_in_a_cancelled_scope_nothing_is_begun)
{
    struct place live;
    kin_scope s = kin_scope_open(.cancelled = true);

    place_live(&live);
    CHECK_CODE(kin_connect_any(&live.address, 1), KIN_ECANCELED);
    CHECK_CODE(kin_connect_host("127.0.0.1", "1"), KIN_ECANCELED);
    CHECK_INT(accept4(live.listener, NULL, NULL, SOCK_NONBLOCK), -1);
    kin_scope_leave(&s);
    place_end(&live);
}

IO_TEST(C1_a_cancelled_caller_returns_at_once)
{
    struct place full;
    kin_address list[3];
    struct connecting c = { list, 3, 0, false };
    kin_group g = kin_group_open();
    int64_t began = kin_now();

    place_full(&full);
    for (int i = 0; i < 3; i++)
        list[i] = full.address;
    kin_spawn(&g, connect_to, &c);
    kin_sleep(KIN_MS(300));             /* two are under way */
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECANCELED);
    CHECK(kin_now() - began < KIN_S(5));
    place_end(&full);
}

static void drop_line(const char *line, void *arg)
{
    (void)line, (void)arg;
}

/* Two that are dead, one that lives. Its result is always a descriptor or a code. */
static int connect_past_the_dead(void *arg)
{
    struct place live;
    kin_address list[3];
    int fd;

    (void)arg;
    place_live(&live);
    dead_addresses(list, 2);
    list[2] = live.address;
    fd = kin_connect_any(list, 3);
    if (fd >= 0)
        kin_close(fd);
    kin_close(live.listener);
    return fd < 0 ? fd : 0;
}

/* One that hangs, one that lives; if it is that one which the fault meets, nobody ever answers. */
static int connect_past_the_hanging(void *arg)
{
    struct place full, live;
    kin_address list[2];
    kin_scope s = kin_scope_open(.timeout = KIN_MS(400));
    int fd;

    (void)arg;
    place_full_unix(&full);
    place_live(&live);
    list[0] = full.address;
    list[1] = live.address;
    fd = kin_connect_any(list, 2);
    if (fd >= 0)
        kin_close(fd);
    for (int i = 0; i < 2; i++)
        kin_close(full.fill[i]);
    kin_close(full.listener);
    kin_close(live.listener);
    return kin_scope_close(&s, fd < 0 ? fd : 0);
}

static int sweep_one(int (*fn)(void *arg), size_t field, size_t count, uint64_t from)
{
    int before = open_descriptors(), failed = 0;

    for (uint64_t k = from;; k++) {
        struct kin_faults faults = { 0 };
        int rc;

        tap_note("number %llu", (unsigned long long)k);
        *(uint64_t *)((char *)&faults + field) = k;
        rc = kin_run(fn, NULL, .faults = &faults, .on_report = drop_line);
        CHECK_INT(open_descriptors(), before);
        if (*(uint64_t *)((char *)&faults + count) < k)
            return failed;
        CHECK(rc == 0 || rc == KIN_ECANCELED || rc == KIN_ETIMEDOUT || rc == -ENOMEM ||
              rc == -ECONNREFUSED);
        failed += rc < 0;
    }
}

TEST_LIMIT(Q4_connect_every_blocking_call_is_cancelled_once, 60)
{
    size_t field = offsetof(struct kin_faults, cancel_call);

    CHECK(sweep_one(connect_past_the_dead, field, offsetof(struct kin_faults, calls), 1) > 0);
    sweep_one(connect_past_the_hanging, field, offsetof(struct kin_faults, calls), 1);
}

TEST_LIMIT(Q4_connect_every_wait_is_cancelled_once, 60)
{
    size_t field = offsetof(struct kin_faults, cancel_wait);

    CHECK(sweep_one(connect_past_the_dead, field, offsetof(struct kin_faults, waits), 1) > 0);
    sweep_one(connect_past_the_hanging, field, offsetof(struct kin_faults, waits), 1);
}

/* ------------------------------------------------------------------ what cannot be had */

TEST_LIMIT(Q4_connect_every_request_for_memory_fails_once, 60)
{
    size_t field = offsetof(struct kin_faults, fail_request);

    CHECK(sweep_one(connect_past_the_dead, field, offsetof(struct kin_faults, requests), 1) > 3);
    sweep_one(connect_past_the_hanging, field, offsetof(struct kin_faults, requests), 1);
}

IO_TEST(E1_each_system_call_that_fails_has_its_code)
{
    static const struct { const char *site; int error; } calls[] = {
        { "socket", EMFILE }, { "connect", ENOBUFS }, { "getsockopt", ENOMEM } };
    struct place live;
    kin_address list[2];

    place_live(&live);
    list[0] = list[1] = live.address;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        int fd;

        tap_note("%s", calls[i].site);
        fail_next(calls[i].site, calls[i].error, 2);
        CHECK_CODE(kin_connect_any(list, 2), -calls[i].error);
        CHECK_INT(failed_so_far(), 2);
        CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-calls[i].error)), 2);
        fail_next(calls[i].site, calls[i].error, 1);
        fd = kin_connect_any(list, 2);
        CHECK(fd >= 0);                 /* the other one */
        CHECK_CODE(kin_close(fd), 0);
    }
    place_end(&live);
}

IO_TEST(connect_misuse)
{
    kin_address address = v4_address(INADDR_LOOPBACK, htons(1));

    CHECK_CODE(kin_connect_any(&address, 0), KIN_EINVAL);
    CHECK_CODE(kin_connect_any(NULL, 1), KIN_EINVAL);
    CHECK_CODE(kin_connect_host(NULL, NULL), KIN_EINVAL);
}

TEST(connect_outside_of_a_run)
{
    kin_address address = v4_address(INADDR_LOOPBACK, htons(1));

    CHECK_CODE(kin_connect_any(&address, 1), KIN_ENORUN);
    CHECK_CODE(kin_connect_host("127.0.0.1", "1"), KIN_ENORUN);
}
