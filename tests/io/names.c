/* Names and their addresses: kin_resolve, kin_address_text (docs/semantics.md C2, C7; trap
 * T66). The system's getaddrinfo is asked for what stands in /etc/hosts; everything else,
 * dead name servers above all, is a source of names that the test has in its hand. */
#include "remote_test.h"

#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/names.h"
#include "kin_os.h"

/* ------------------------------------------------------------ the source of names */

static _Atomic int asked, hanging, most_hanging, released;
static _Atomic bool open_gate;

static struct addrinfo *address_number(int number, const struct addrinfo *hints)
{
    struct addrinfo *info = calloc(1, sizeof *info + sizeof(struct sockaddr_in));
    struct sockaddr_in *v4 = (struct sockaddr_in *)(info + 1);

    *v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(80),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (unsigned)number) };
    info->ai_family = AF_INET;
    info->ai_socktype = hints->ai_socktype;
    info->ai_addr = (struct sockaddr *)v4;
    info->ai_addrlen = sizeof *v4;
    return info;
}

/* "hang…": until the gate is opened. */
static void hang(void)
{
    int now = ++hanging, most = most_hanging;

    while (now > most && !__atomic_compare_exchange_n((int *)&most_hanging, &most, now, false,
                                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    while (!open_gate)
        usleep(1000);
    hanging--;
}

static const struct { const char *host; int answer, error, code; } failures[] = {
    { "no-name", EAI_NONAME, 0, KIN_ENAME },
    { "no-data", EAI_NODATA, 0, KIN_ENAME },
    { "no-such-family", EAI_ADDRFAMILY, 0, KIN_ENAME },
    { "no-service", EAI_SERVICE, 0, KIN_ENAME },
    { "later", EAI_AGAIN, 0, KIN_ENAMELATER },
    { "broken", EAI_FAIL, 0, KIN_ENAMESERVER },
    { "unheard-of", -12345, 0, KIN_ENAMESERVER },
    { "memory", EAI_MEMORY, 0, -ENOMEM },
    { "system", EAI_SYSTEM, EMFILE, -EMFILE },
    { "system-without-reason", EAI_SYSTEM, 0, KIN_ENAMESERVER },
    { "flags", EAI_BADFLAGS, 0, KIN_EINVAL },
};

static int find_name(const char *host, const char *service, const struct addrinfo *hints,
                     struct addrinfo **found)
{
    int count = 1;

    (void)service;
    asked++;
    *found = NULL;
    if (strncmp(host, "hang", 4) == 0)
        hang();
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (strcmp(host, failures[i].host) == 0) {
            errno = failures[i].error;
            *found = (struct addrinfo *)-1;     /* undefined, says POSIX */
            return failures[i].answer;
        }
    if (strcmp(host, "empty") == 0)
        return 0;
    sscanf(host, "many-%d", &count);
    while (count-- > 0) {
        struct addrinfo *info = address_number(count, hints);

        info->ai_next = *found;
        *found = info;
    }
    return 0;
}

static void release_names(struct addrinfo *found)
{
    while (found) {
        struct addrinfo *next = found->ai_next;

        free(found);
        found = next;
    }
    released++;
}

static void take_over(void)
{
    kin__name_source = (struct kin__name_source){ find_name, release_names };
    asked = hanging = most_hanging = released = 0;
    open_gate = false;
}

/* Those that were abandoned are awaited, too, before descriptors are counted: glibc opens
 * files of its own for a moment when a new thread allocates memory. */
#define AWAIT(condition)                                                                  \
    while (!(condition))                                                                  \
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0)

static const char *text_of(const kin_address *address)
{
    static char text[KIN_ADDRESS_TEXT];

    return kin_address_text(address, text, sizeof text);
}

/* ------------------------------------------------------------------ addresses */

TEST(address_text)
{
    kin_address v4 = { .v4 = { .sin_family = AF_INET, .sin_port = htons(8080),
                               .sin_addr.s_addr = htonl(0x7f000203) }, .length = sizeof v4.v4 };
    kin_address v6 = { .v6 = { .sin6_family = AF_INET6, .sin6_port = htons(443),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT }, .length = sizeof v6.v6 };
    kin_address path = { .local = { AF_UNIX, "/run/x" }, .length = sizeof path.local };
    kin_address name = { .local = { AF_UNIX, "\0name" },
                         .length = offsetof(struct sockaddr_un, sun_path) + 5 };
    kin_address none = { .local = { AF_UNIX, "" }, .length = sizeof(sa_family_t) };
    kin_address other = { .any.sa_family = AF_NETLINK, .length = 8 };

    CHECK_STR(text_of(&v4), "127.0.2.3:8080");
    CHECK_STR(text_of(&v6), "[::1]:443");
    v6.v6.sin6_scope_id = 1;
    CHECK_STR(text_of(&v6), "[::1%lo]:443");
    v6.v6.sin6_scope_id = 123456;
    CHECK_STR(text_of(&v6), "[::1%123456]:443");
    CHECK_STR(text_of(&path), "unix:/run/x");
    CHECK_STR(text_of(&name), "unix:@name");
    CHECK_STR(text_of(&none), "unix:");
    CHECK_STR(text_of(&other), "family 16");
}

TEST(address_text_of_a_path_as_long_as_can_be)
{
    kin_address path = { .local.sun_family = AF_UNIX, .length = sizeof path.local };
    char text[KIN_ADDRESS_TEXT], wanted[KIN_ADDRESS_TEXT] = "unix:", little[9];

    memset(path.local.sun_path, 'x', sizeof path.local.sun_path);       /* without a 0 */
    memset(wanted + 5, 'x', sizeof path.local.sun_path);
    CHECK_STR(kin_address_text(&path, text, sizeof text), wanted);
    CHECK_STR(kin_address_text(&path, little, sizeof little), "unix:xxx");
}

/* ------------------------------------------------------------ without looking up */

#define CHECK_ONE(text, host, service, ...)                                               \
    do {                                                                                  \
        kin_address *list_;                                                               \
        CHECK_CODE(kin_resolve(host, service, &list_, __VA_ARGS__), 1);                   \
        CHECK_STR(text_of(&list_[0]), text);                                              \
        free(list_);                                                                      \
    } while (0)

#define CHECK_NONE(code, host, service, ...)                                              \
    do {                                                                                  \
        kin_address *list_ = (kin_address *)-1;                                           \
        CHECK_CODE(kin_resolve(host, service, &list_, __VA_ARGS__), code);                \
        CHECK(list_ == NULL);                                                             \
    } while (0)

static void resolve_numbers(void)
{
    take_over();
    CHECK_ONE("127.0.0.1:80", "127.0.0.1", "80", .family = 0);
    CHECK_ONE("[::1]:0", "::1", NULL, .family = 0);
    CHECK_ONE("127.0.0.1:53", NULL, "53", .family = AF_INET, .type = SOCK_DGRAM);
    CHECK_ONE("0.0.0.0:53", NULL, "53", .family = AF_INET, .listen = true);
    CHECK_ONE("[::]:53", NULL, "53", .family = AF_INET6, .listen = true);
    CHECK_ONE("unix:/run/x", "unix:/run/x", NULL, .family = 0);
    CHECK_ONE("unix:@x", "unix:@x", "ignored", .family = 0);
    CHECK_NONE(KIN_ENAME, "::1", "80", .family = AF_INET);
    CHECK_NONE(KIN_EINVAL, NULL, NULL, .family = 0);
    CHECK_NONE(KIN_EINVAL, "127.0.0.1", "80", .family = 12345);
    CHECK_NONE(KIN_EINVAL, "unix:", NULL, .family = 0);
    CHECK_INT(asked, 0);
}

REMOTE_TEST(C7_numbers_and_paths_need_no_thread)
{
    fail_next("thread", EAGAIN, 1);
    resolve_numbers();
}

static int resolve_without_world(void *arg)
{
    (void)arg;
    resolve_numbers();
    CHECK_NONE(-ENOSYS, "some-name", "80", .family = 0);
    CHECK_INT(asked, 0);
    return 0;
}

TEST(C7_numbers_and_paths_need_no_descriptors_but_names_do)
{
    CHECK_CODE(kin_run(resolve_without_world, NULL, .backend = "virtual",
                       .virtual_clock = true), 0);
}

REMOTE_TEST(resolve_the_path_of_a_socket_has_an_end)
{
    char host[200] = "unix:";
    kin_address *list;

    memset(host + 5, 'x', 107);
    CHECK_CODE(kin_resolve(host, NULL, &list), 1);
    CHECK_STR(text_of(list), host);
    CHECK_INT(list->length, sizeof list->local);
    free(list);
    host[5 + 107] = 'x';
    CHECK_NONE(-ENAMETOOLONG, host, NULL, .family = 0);
    memset(host + 5, '@', 1);
    CHECK_NONE(-ENAMETOOLONG, host, NULL, .family = 0);
}

/* ------------------------------------------------------------------ looking up */

/* /etc/hosts, by way of the system. */
REMOTE_TEST(resolve_asks_the_system)
{
    kin_address *list;
    int count = kin_resolve("localhost", "80", &list);

    CHECK(count >= 1);
    for (int i = 0; i < count; i++)
        CHECK(strcmp(text_of(&list[i]), "127.0.0.1:80") == 0 ||
              strcmp(text_of(&list[i]), "[::1]:80") == 0);
    free(list);
}

REMOTE_TEST(resolve_all_of_fifty_addresses_in_order)
{
    kin_address *list;
    char wanted[32];

    take_over();
    CHECK_CODE(kin_resolve("many-50", "80", &list), 50);
    for (int i = 0; i < 50; i++) {
        snprintf(wanted, sizeof wanted, "127.0.0.%d:80", 1 + i);
        CHECK_STR(text_of(&list[i]), wanted);
    }
    free(list);
    CHECK_INT(released, 1);
}

REMOTE_TEST(E1_each_failure_has_its_code)
{
    take_over();
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        CHECK_NONE(failures[i].code, failures[i].host, "80", .family = 0);
    CHECK_NONE(KIN_ENAME, "empty", "80", .family = 0);
    CHECK_INT(released, 0);
}

REMOTE_TEST(E2_the_error_says_which_name)
{
    kin_address *list;

    take_over();
    CHECK_CODE(kin_resolve("no-name", "http", &list), KIN_ENAME);
    CHECK_STR(kin_error_last()->message, "no-name:http: no such name, or it has no address");
    CHECK(strstr(kin_error_last()->at, "names.c:") != NULL);
    CHECK(strstr(kin_error_last()->at, "src/io") == NULL);      /* the caller's place */
    CHECK_CODE(kin_resolve("later", NULL, &list), KIN_ENAMELATER);
    CHECK_STR(kin_error_last()->message,
              "later: the name servers gave no answer: try again later");
}

TEST(resolve_outside_of_a_run)
{
    CHECK_NONE(KIN_ENORUN, "127.0.0.1", "80", .family = 0);
}

REMOTE_TEST(C2_in_a_cancelled_scope_nothing_is_asked)
{
    kin_scope s = kin_scope_open(.cancelled = true);

    take_over();
    CHECK_NONE(KIN_ECANCELED, "127.0.0.1", "80", .family = 0);
    CHECK_NONE(KIN_ECANCELED, "some-name", "80", .family = 0);
    CHECK_INT(asked, 0);
    kin_scope_leave(&s);
}

/* ------------------------------------------------------------------- many askers */

struct asking {
    char host[24];
    const char *service;
    int family, result;
    bool ended;
};

static int ask_for(void *arg)
{
    struct asking *asking = arg;
    kin_address *list;

    asking->result = kin_resolve(asking->host, asking->service ? asking->service : "80", &list,
                                 .family = asking->family);
    asking->ended = true;
    free(list);
    return asking->result < 0 ? asking->result : 0;
}

static void spawn_hanging(kin_group *g, struct asking *asking, int from, int to, kin_task *task)
{
    for (int i = from; i < to; i++) {
        asking[i] = (struct asking){ .ended = false };
        snprintf(asking[i].host, sizeof asking[i].host, "hang-%d", i);
        CHECK_CODE(kin_spawn(g, ask_for, &asking[i], .task = task ? &task[i] : NULL), 0);
    }
}

REMOTE_TEST(resolve_equal_look_ups_are_one)
{
    enum { MANY = 100 };
    static struct asking asking[MANY];
    kin_group g = kin_group_open();

    take_over();
    for (int i = 0; i < MANY; i++) {
        asking[i] = (struct asking){ .host = "hang", .ended = false };
        kin_spawn(&g, ask_for, &asking[i]);
    }
    AWAIT(hanging == 1);
    CHECK_INT(asked, 1);
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < MANY; i++)
        CHECK_INT(asking[i].result, 1);
    CHECK_INT(asked, 1);
    CHECK_INT(released, 1);
    CHECK_CODE(ask_for(&asking[0]), 0);         /* nothing is kept */
    CHECK_INT(asked, 2);
}

REMOTE_TEST(resolve_what_differs_is_asked_apart)
{
    static struct asking asking[] = { { .host = "hang" }, { .host = "hang", .service = "81" },
                                      { .host = "hang", .family = AF_INET },
                                      { .host = "hang2" }, { .host = "hang" } };
    kin_group g = kin_group_open();

    take_over();
    for (int i = 0; i < 5; i++)
        kin_spawn(&g, ask_for, &asking[i]);
    AWAIT(hanging == 4);
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(asked, 4);
}

static int one_cancelled(void *arg)
{
    struct asking asking[2] = { { .host = "hang" }, { .host = "hang" } };
    kin_task first;
    kin_group g = kin_group_open();

    (void)arg;
    kin_spawn(&g, ask_for, &asking[0], .task = &first);
    kin_spawn(&g, ask_for, &asking[1]);
    AWAIT(hanging == 1);
    kin_cancel(&first, NULL);
    AWAIT(asking[0].ended);
    CHECK_CODE(asking[0].result, KIN_ECANCELED);
    CHECK(!asking[1].ended);
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(asking[1].result, 1);
    return 0;
}

REMOTE_TEST(C2_who_is_cancelled_takes_nothing_from_the_others)
{
    take_over();
    one_cancelled(NULL);
    CHECK_INT(asked, 1);
    CHECK_INT(released, 1);
}

static void *ask_in_another_run(void *arg)
{
    CHECK_CODE(kin_run(ask_for, arg), 0);
    return NULL;
}

REMOTE_TEST(S3_the_runs_of_a_process_share_their_look_ups)
{
    struct asking asking[3] = { { .host = "hang" }, { .host = "hang" }, { .host = "hang" } };
    pthread_t others[2];
    kin_group g = kin_group_open();

    take_over();
    kin_spawn(&g, ask_for, &asking[0]);
    AWAIT(hanging == 1);
    for (int i = 0; i < 2; i++)
        others[i] = begin_thread(ask_in_another_run, &asking[1 + i]);
    for (int i = 0; i < 20; i++)
        kin_sleep(KIN_MS(1));
    CHECK_INT(asked, 1);
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(others[i], NULL);
    for (int i = 0; i < 3; i++)
        CHECK_INT(asking[i].result, 1);
}

/* ------------------------------------------------------------------- the threads */

static int threads_of_process(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = -2;                         /* "." and ".." */

    CHECK(dir != NULL);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int ask_one_after_the_other(void *arg)
{
    struct asking asking = { .host = "quick" };
    int threads = 0;

    (void)arg;
    for (int i = 0; i < 100; i++) {
        CHECK_CODE(ask_for(&asking), 0);
        if (i == 0)
            threads = threads_of_process();
        CHECK_INT(threads_of_process(), threads);
    }
    return 0;
}

TEST(C7_a_thread_is_used_again_and_ends_when_it_is_not)
{
    int threads;

    take_over();
    CHECK_CODE(kin_run(ask_one_after_the_other, NULL), 0);
    threads = threads_of_process();
    while (threads_of_process() >= threads)
        usleep(10000);
    CHECK_CODE(kin_run(ask_one_after_the_other, NULL), 0);
}

/* ------------------------------------------------------------ dead name servers */

REMOTE_TEST(C7_eight_look_ups_at_a_time)
{
    enum { MANY = 40 };
    static struct asking asking[MANY];
    kin_group g = kin_group_open();

    take_over();
    spawn_hanging(&g, asking, 0, MANY, NULL);
    AWAIT(hanging == 8);
    for (int i = 0; i < 20; i++)
        kin_sleep(KIN_MS(1));
    CHECK_INT(asked, 8);
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(asked, MANY);
    CHECK_INT(released, MANY);
    CHECK(most_hanging <= 8);
}

REMOTE_TEST(C7_what_waits_in_line_and_is_cancelled_is_never_asked)
{
    enum { MANY = 40 };
    static struct asking asking[MANY];
    kin_task task[MANY];
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    take_over();
    spawn_hanging(&g, asking, 0, MANY, task);
    AWAIT(hanging == 8);
    for (int i = 9; i < MANY; i += 2)
        kin_cancel(&task[i], NULL);
    kin_yield();
    for (int i = 9; i < MANY; i += 2)
        CHECK_CODE(asking[i].result, KIN_ECANCELED);
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(asked, 8 + (MANY - 8) / 2);
    CHECK_INT(released, asked);
}

/* Round after round is cancelled; what it had begun goes on hanging. */
static void abandon(int from, int to)
{
    static struct asking asking[200];
    int before = hanging;
    kin_group g = kin_group_open();

    spawn_hanging(&g, asking, from, to, NULL);
    AWAIT(hanging == before + to - from);
    kin_cancel(&g, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int square(void *arg)
{
    int *number = arg;

    return *number * *number;
}

static void abandon_all_threads(void)
{
    for (int from = 0; from < 32; from += 8)
        abandon(from, from + 8);
    CHECK_INT(hanging, 32);
}

REMOTE_TEST(T66_a_dead_name_server_binds_no_more_than_32_threads)
{
    static struct asking asking[4];
    int number = 9;
    kin_group g;

    take_over();
    abandon_all_threads();
    g = kin_group_open();
    spawn_hanging(&g, asking, 0, 1, NULL);              /* that hangs already */
    for (int i = 1; i < 4; i++) {
        asking[i] = (struct asking){ .host = "quick" };
        kin_spawn(&g, ask_for, &asking[i]);
    }
    for (int i = 0; i < 20; i++)
        kin_sleep(KIN_MS(1));
    CHECK_INT(asked, 32);                               /* in line */
    CHECK_INT(kin_thread_run(square, &number), 81);     /* other jobs are not */
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(asked, 33);
    AWAIT(hanging == 0 && released == 33);
}

/* Asking again for what hangs, as often as one likes, costs no further thread. */
REMOTE_TEST(T66_an_abandoned_look_up_is_taken_up_again)
{
    struct asking asking = { .host = "hang-3" };
    kin_group g;

    take_over();
    abandon(3, 4);
    for (int i = 0; i < 50; i++) {
        kin_scope s = kin_scope_open(.timeout = KIN_MS(1));

        CHECK_CODE(kin_scope_close(&s, ask_for(&asking)), KIN_ETIMEDOUT);
    }
    CHECK_INT(asked, 1);
    g = kin_group_open();
    kin_spawn(&g, ask_for, &asking);
    kin_yield();
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(asked, 1);
    CHECK_INT(asking.result, 1);
}

static int abandon_in_run(void *arg)
{
    (void)arg;
    abandon(0, 5);
    return 0;
}

/* And another run finds them; at last the process ends although they hang. */
TEST(T66_the_end_of_a_run_and_of_the_process_wait_for_no_look_up)
{
    struct asking asking = { .host = "hang-2" };

    take_over();
    CHECK_CODE(kin_run(abandon_in_run, NULL), 0);
    CHECK_INT(hanging, 5);
    open_gate = true;
    CHECK_CODE(kin_run(ask_for, &asking), 0);
    while (released < asked)
        usleep(1000);
    open_gate = false;
    CHECK_CODE(kin_run(abandon_in_run, NULL), 0);
}

REMOTE_TEST(T66_when_some_give_up_those_in_line_begin)
{
    enum { MANY = 12 };
    static struct asking asking[MANY];
    kin_task task[MANY];
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    take_over();
    spawn_hanging(&g, asking, 0, MANY, task);
    AWAIT(hanging == 8);
    for (int i = 0; i < 3; i++)
        kin_cancel(&task[i], NULL);
    AWAIT(hanging == 11);
    kin_cancel(&task[3], NULL);
    AWAIT(hanging == 12);
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 4; i < MANY; i++)
        CHECK_INT(asking[i].result, 1);
    AWAIT(released == asked);
}

/* ------------------------------------------------------------------------ forks */

static int ask_and_let_hang(void *arg)
{
    struct asking *asking = arg;
    kin_group g = kin_group_open();

    spawn_hanging(&g, asking, 0, 12, NULL);     /* some of them in line */
    return kin_group_close(&g, 0);
}

static void *hang_in_another_run(void *arg)
{
    CHECK_CODE(kin_run(ask_and_let_hang, arg), 0);
    return NULL;
}

/* What hangs, and the threads it hangs on, are the parent's. Its memory is not freed. */
static void ask_in_the_child(void *arg)
{
    struct asking asking[] = { { .host = "quick" }, { .host = "hang-1" } };

    (void)arg;
    open_gate = true;
    for (int i = 0; i < 2; i++) {
        CHECK_CODE(kin_run(ask_for, &asking[i]), 0);
        CHECK_INT(asking[i].result, 1);
    }
    _exit(0);
}

static void check_child(void)
{
    struct tap_child child;

#if defined __SANITIZE_THREAD__
    SKIP("no threads after a fork under ThreadSanitizer");
#endif
    tap_fork(&child, ask_in_the_child, NULL);
    if (!child.exited || child.code != 0)
        FAIL("%s", child.output);
}

TEST(F3_in_the_child_of_a_fork_no_thread_is_idle)
{
    struct asking asking = { .host = "quick" };

    take_over();
    CHECK_CODE(kin_run(ask_for, &asking), 0);
    check_child();
}

TEST(F3_in_the_child_of_a_fork_names_are_looked_up_anew)
{
    static struct asking asking[12];
    pthread_t other;

    take_over();
    other = begin_thread(hang_in_another_run, asking);
    while (hanging < 8)
        usleep(1000);
    check_child();
    CHECK_INT(asked, 8);
    open_gate = true;
    pthread_join(other, NULL);
    CHECK_INT(released, 12);
}

/* ----------------------------------------------------------------------- faults */

REMOTE_TEST(C7_without_a_thread_there_is_a_code)
{
    static struct asking asking[10];
    kin_task task;
    kin_group g;

    take_over();
    fail_next("thread", EAGAIN, 1);
    CHECK_NONE(-EAGAIN, "some-name", "80", .family = 0);
    CHECK_INT(asked, 0);
    g = kin_group_open(.policy = KIN_KEEP_GOING);
    spawn_hanging(&g, asking, 0, 1, &task);
    kin_yield();
    spawn_hanging(&g, asking, 1, 10, NULL);             /* two of them in line */
    AWAIT(hanging == 8);
    fail_next("thread", EAGAIN, 1);
    kin_cancel(&task, NULL);
    AWAIT(asking[8].ended);
    CHECK_CODE(asking[8].result, -EAGAIN);
    AWAIT(hanging == 9);                                /* the next one had more luck */
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), -EAGAIN);
    CHECK_INT(asking[9].result, 1);
    AWAIT(released == asked);
}

REMOTE_TEST(E1_what_cannot_be_had_has_a_code)
{
    take_over();
    CHECK_ONE("127.0.0.1:80", "some-name", "80", .family = 0);
    fail_next("getaddrinfo", ENFILE, 1);
    CHECK_NONE(-ENFILE, "127.0.0.1", "80", .family = 0);
}

TEST(E1_without_a_bell_there_is_a_code)
{
    struct asking asking = { .host = "some-name" };

    take_over();
    fail_next("bell", EMFILE, 1);
    CHECK_CODE(kin_run(ask_for, &asking), -EMFILE);
    kin__os_fault = NULL;
}

static void drop_line(const char *line, void *arg)
{
    (void)line, (void)arg;
}

static int ask_for_all(void *arg)
{
    static const char *const hosts[] = { "127.0.0.1", "many-3", "unix:/run/x", "quick" };
    kin_group g = kin_group_open();

    (void)arg;
    for (int i = 0; i < 4; i++) {
        struct asking asking = { .ended = false };

        strcpy(asking.host, hosts[i]);
        kin_spawn(&g, ask_for, &asking, .copy = sizeof asking);
    }
    return kin_group_close(&g, 0);
}

/* How many runs ended with the code; the others must have succeeded. */
static int sweep_names(size_t field, size_t count, int code, uint64_t *runs)
{
    int hit = 0;

    take_over();
    for (*runs = 0;; ++*runs) {
        struct kin_faults faults = { 0 };
        int rc;

        *(uint64_t *)((char *)&faults + field) = *runs + 1;
        rc = kin_run(ask_for_all, NULL, .faults = &faults, .on_report = drop_line);
        if (*(uint64_t *)((char *)&faults + count) <= *runs)
            return hit;
        CHECK(rc == 0 || rc == code);
        hit += rc == code;
    }
}

TEST(Q4_names_every_request_for_memory_fails_once)
{
    uint64_t runs;

    CHECK(sweep_names(offsetof(struct kin_faults, fail_request),
                      offsetof(struct kin_faults, requests), -ENOMEM, &runs) > 10);
}

/* A task that is cancelled alone is no failure; the root is the last that waits. */
TEST(Q4_names_every_blocking_call_is_cancelled_once)
{
    uint64_t runs;

    CHECK_INT(sweep_names(offsetof(struct kin_faults, cancel_call),
                          offsetof(struct kin_faults, calls), KIN_ECANCELED, &runs), 0);
    CHECK(runs >= 4);
}

TEST(Q4_names_every_wait_is_cancelled_once)
{
    uint64_t runs;

    CHECK_INT(sweep_names(offsetof(struct kin_faults, cancel_wait),
                          offsetof(struct kin_faults, waits), KIN_ECANCELED, &runs), 1);
    CHECK(runs >= 3);
}

/* -------------------------------------------------------------------------- dumps */

REMOTE_TEST(Q3_a_dump_says_which_name_is_waited_for)
{
    struct asking asking = { .host = "hang" };
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    kin_group g = kin_group_open();

    take_over();
    kin_spawn(&g, ask_for, &asking, .name = "asker");
    AWAIT(hanging == 1);
    kin_dump(out);
    fclose(out);
    CHECK_HAS(text, "asker  waits for: name, hang ");
    open_gate = true;
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* -------------------------------------------------------------------------- storms */

/* Threads, runs, cancellations and answers all at once. */
static int ask_and_be_cancelled(void *arg)
{
    unsigned draw = *(unsigned *)arg;

    for (int round = 0; round < 60; round++) {
        struct asking asking[12];
        kin_group g = kin_group_open(.timeout = KIN_US(1 + (draw >> 8) % 3000));

        for (int i = 0; i < 12; i++) {
            draw = draw * 1664525 + 1013904223;
            asking[i] = (struct asking){ .ended = false };
            snprintf(asking[i].host, sizeof asking[i].host, "many-%u", 1 + (draw >> 16) % 20);
            kin_spawn(&g, ask_for, &asking[i]);
        }
        int rc = kin_group_close(&g, 0);
        CHECK(rc == 0 || rc == KIN_ETIMEDOUT);
    }
    return 0;
}

static void *storm(void *arg)
{
    CHECK_CODE(kin_run(ask_and_be_cancelled, arg), 0);
    return NULL;
}

TEST(C7_names_in_a_storm_of_threads_and_cancellations)
{
    unsigned seeds[CALLERS] = { 1, 22, 333, 4444 };
    pthread_t threads[CALLERS];

    take_over();
    for (int i = 0; i < CALLERS; i++)
        threads[i] = begin_thread(storm, &seeds[i]);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    while (released < asked)
        usleep(1000);
}
