/* Look-ups of names: one set for the process, and threads of their own.
 *
 * The system's way to find a name (files, name servers, whatever nsswitch.conf says) is
 * getaddrinfo, which blocks, for a minute if the name servers are dead, and cannot be
 * stopped. So it is called on threads; a cancelled caller leaves at once, and the call is
 * abandoned: it goes on until it has had enough, and nobody looks at what it finds.
 *
 * They are not the threads of kin_thread_run: there, look-ups that hang would stand in the
 * way of other jobs. At most RUNNING_MOST look-ups that somebody waits for are begun, and
 * LOOKUPS_MOST run, each on a thread, so that dead name servers can bind no more than that
 * however often one tries; further look-ups wait in line. A thread takes the next in line,
 * or is idle for some seconds before it ends: for a new one glibc reads its configuration
 * again and makes an arena of memory, which takes 400 microseconds, and a look-up in
 * /etc/hosts 8. The last to become idle is called first, so that no more are kept than
 * are needed.
 *
 * Who asks what is being asked already takes part in that look-up, wherever in the process
 * the other one runs, and also if it has been abandoned: a name that hangs would hang again.
 * Nothing is kept once it has been answered: how long an answer stays true is not told.
 *
 * A look-up is in its bucket while it is in line or running. It belongs to the thread
 * until it is done, then to the askers: who is the last to leave frees it. Askers lie on the
 * stacks of tasks, of any run; here only their lists and remotes are touched, and only
 * under the lock. A wake-up never waits for anything, so neither does a run for the lock.
 */
#include "io/names.h"
#include "io/thread.h"

#include <string.h>
#include <time.h>

enum { RUNNING_MOST = 8, LOOKUPS_MOST = 32, BUCKETS = 256, FINDER_IDLE_SECONDS = 5 };

enum lookup_state { LOOKUP_IN_LINE, LOOKUP_RUNNING, LOOKUP_DONE };

struct kin__lookup {
    struct kin__lookup *same;           /* the next in its bucket */
    struct kin__lookup *next, *prev;    /* in line */
    enum lookup_state state;
    struct kin_wait_list askers;
    struct kin__question question;
    struct kin__answer answer;          /* once it is done */
    char strings[];                     /* of the question */
};

/* A thread that has nothing to do. */
struct finder {
    struct finder *next;
    struct kin__lookup *lookup;         /* given to it */
    pthread_cond_t called;
};

struct kin__name_source kin__name_source = { getaddrinfo, freeaddrinfo };

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kin__lookup *buckets[BUCKETS];
static struct kin__lookup *line_first, *line_last;
static struct finder *idle_finders;
static unsigned names_running;          /* look-ups, of which so many have askers: */
static unsigned names_wanted;

/* ---------------------------------------------------------------- the buckets */

static struct kin__lookup **bucket_of(const struct kin__question *question)
{
    uint32_t hash = 2166136261u;

    for (const char *c = question->host ? question->host : ""; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    return &buckets[hash % BUCKETS];
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_question(const struct kin__question *a, const struct kin__question *b)
{
    return a->hints.ai_family == b->hints.ai_family &&
           a->hints.ai_socktype == b->hints.ai_socktype &&
           a->hints.ai_flags == b->hints.ai_flags &&
           same_text(a->host, b->host) && same_text(a->service, b->service);
}

static struct kin__lookup *find_lookup(const struct kin__question *question)
{
    struct kin__lookup *lookup = *bucket_of(question);

    while (lookup && !same_question(&lookup->question, question))
        lookup = lookup->same;
    return lookup;
}

static void leave_bucket(struct kin__lookup *lookup)
{
    struct kin__lookup **place = bucket_of(&lookup->question);

    while (*place != lookup)
        place = &(*place)->same;
    *place = lookup->same;
}

/* ------------------------------------------------------------------- the line */

static void stand_in_line(struct kin__lookup *lookup)
{
    lookup->state = LOOKUP_IN_LINE;
    lookup->prev = line_last;
    if (line_last)
        line_last->next = lookup;
    else
        line_first = lookup;
    line_last = lookup;
}

static void leave_line(struct kin__lookup *lookup)
{
    if (lookup->prev)
        lookup->prev->next = lookup->next;
    else
        line_first = lookup->next;
    if (lookup->next)
        lookup->next->prev = lookup->prev;
    else
        line_last = lookup->prev;
}

/* The first in line begins, if it may; else NULL. */
static struct kin__lookup *begin_next(void)
{
    struct kin__lookup *lookup = line_first;

    if (!lookup || names_wanted >= RUNNING_MOST || names_running >= LOOKUPS_MOST)
        return NULL;
    leave_line(lookup);
    lookup->state = LOOKUP_RUNNING;
    names_running++;
    names_wanted++;
    return lookup;
}

/* ------------------------------------------------------------ making and ending */

static size_t string_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *keep_string(char *room, const char *text)
{
    return text ? memcpy(room, text, string_size(text)) : NULL;
}

static struct kin__lookup *lookup_new(const struct kin__question *question)
{
    size_t host = string_size(question->host), service = string_size(question->service);
    struct kin__lookup *lookup = kin__os_alloc(sizeof *lookup + host + service), **bucket;

    if (!lookup)
        return NULL;
    lookup->question.hints = question->hints;
    lookup->question.host = keep_string(lookup->strings, question->host);
    lookup->question.service = keep_string(lookup->strings + host, question->service);
    bucket = bucket_of(question);
    lookup->same = *bucket;
    *bucket = lookup;
    return lookup;
}

static void lookup_free(struct kin__lookup *lookup)
{
    if (lookup->answer.found)
        kin__name_source.release(lookup->answer.found);
    kin__os_free(lookup);
}

static void conclude(struct kin__lookup *lookup, const struct kin__answer *answer)
{
    lookup->answer = *answer;
    lookup->state = LOOKUP_DONE;
    leave_bucket(lookup);
    names_running--;
    names_wanted -= lookup->askers.first != NULL;
    for (struct kin_wait *wait = lookup->askers.first; wait; wait = wait->next)
        kin_remote_wake(&kin__container(wait, struct kin__asker, wait)->remote);
    if (!lookup->askers.first)
        lookup_free(lookup);
}

/* ------------------------------------------------------------------ the threads */

static void find_answer(const struct kin__question *question, struct kin__answer *answer)
{
    *answer = (struct kin__answer){ .code = 0 };
    errno = 0;
    answer->code = kin__name_source.find(question->host, question->service, &question->hints,
                                         &answer->found);
    answer->error = errno;
    if (answer->code != 0)
        answer->found = NULL;           /* undefined then */
}

/* NULL: none came for so long that the thread may go. */
static struct kin__lookup *await_lookup(void)
{
    struct finder self = { .next = idle_finders, .called = PTHREAD_COND_INITIALIZER };
    struct finder **place = &idle_finders;
    struct timespec until;
    int rc = 0;

    idle_finders = &self;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FINDER_IDLE_SECONDS;
    while (!self.lookup && rc == 0)
        rc = pthread_cond_timedwait(&self.called, &names_lock, &until);
    if (!self.lookup) {
        while (*place != &self)
            place = &(*place)->next;
        *place = self.next;
    }
    pthread_cond_destroy(&self.called);
    return self.lookup;
}

static void *find_names(void *arg)
{
    struct kin__lookup *lookup = arg;
    struct kin__answer answer;

    while (lookup) {
        find_answer(&lookup->question, &answer);
        pthread_mutex_lock(&names_lock);
        conclude(lookup, &answer);
        lookup = begin_next();
        if (!lookup)
            lookup = await_lookup();
        pthread_mutex_unlock(&names_lock);
    }
    return NULL;
}

/* To a thread. Where none is to be had, that is the answer. */
static void hand_over(struct kin__lookup *lookup)
{
    struct finder *finder = idle_finders;
    int rc;

    if (finder) {
        idle_finders = finder->next;
        finder->lookup = lookup;
        pthread_cond_signal(&finder->called);
        return;
    }
    rc = kin__thread_start(find_names, lookup);
    if (rc < 0)
        conclude(lookup, &(struct kin__answer){ .code = EAI_SYSTEM, .error = -rc });
}

static void serve_line(void)
{
    struct kin__lookup *lookup;

    while ((lookup = begin_next()))
        hand_over(lookup);
}

/* --------------------------------------------------------------------- forks */

static void names_fork_begin(void)
{
    pthread_mutex_lock(&names_lock);
}

static void names_fork_end(void)
{
    pthread_mutex_unlock(&names_lock);
}

/* The child has none of the threads; the look-ups, and who asks, are its parent's. */
static void names_forked(void)
{
    memset(buckets, 0, sizeof buckets);
    line_first = line_last = NULL;
    idle_finders = NULL;
    names_running = names_wanted = 0;
    names_fork_end();
}

static int names_hook_failed;

static void names_hook_forks(void)
{
    names_hook_failed = pthread_atfork(names_fork_begin, names_fork_end, names_forked);
}

/* ------------------------------------------------------------- for the run's side */

static int join_or_begin(struct kin__asker *asker, const struct kin__question *question)
{
    struct kin__lookup *lookup = find_lookup(question);
    bool begin = !lookup;

    if (begin)
        lookup = lookup_new(question);
    if (!lookup)
        return -ENOMEM;
    if (!begin && lookup->state == LOOKUP_RUNNING)
        names_wanted += !lookup->askers.first;
    asker->lookup = lookup;
    kin_wait_list_add(&lookup->askers, &asker->wait);
    if (begin) {
        stand_in_line(lookup);
        serve_line();
    }
    return 0;
}

int kin__lookup_join(struct kin__asker *asker, const struct kin__question *question)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int rc;

    pthread_once(&once, names_hook_forks);
    if (names_hook_failed)
        return -ENOMEM;
    pthread_mutex_lock(&names_lock);
    rc = join_or_begin(asker, question);
    pthread_mutex_unlock(&names_lock);
    return rc;
}

/* Nobody waits for it any more. */
static void forsake(struct kin__lookup *lookup)
{
    switch (lookup->state) {
    case LOOKUP_IN_LINE:
        leave_line(lookup);
        leave_bucket(lookup);
        lookup_free(lookup);
        break;
    case LOOKUP_RUNNING:
        names_wanted--;
        serve_line();
        break;
    case LOOKUP_DONE:
        lookup_free(lookup);
        break;
    }
}

void kin__lookup_leave(struct kin__asker *asker)
{
    struct kin__lookup *lookup = asker->lookup;

    pthread_mutex_lock(&names_lock);
    kin_wait_list_remove(&lookup->askers, &asker->wait);
    if (!lookup->askers.first)
        forsake(lookup);
    pthread_mutex_unlock(&names_lock);
}

const struct kin__answer *kin__lookup_answer(const struct kin__lookup *lookup)
{
    return &lookup->answer;
}
