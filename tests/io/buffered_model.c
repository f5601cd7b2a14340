/* Streams against a model of a few lines, under chance: a transport that gives and takes as
 * much as it likes and fails now and then, calls of all kinds, the same bytes out as in. And
 * a conversation over sockets under every fault that can be asked for (docs/semantics.md C2, Q4).
 *
 *     STREAM_SEEDS=100000 ./io_buffered_model      more of that
 */
#include "io_test.h"

#include "core/core.h"
#include "kin_io.h"

#include <stdlib.h>

enum { SEEDS = 1500, INPUT = 40000, OUTPUT = 400000 };

static uint64_t state;

static size_t chance(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % n);
}

/* ------------------------------------------------------------------ the transport */

struct script {
    char *input;
    size_t size, at;
    char *heard;
    size_t heard_size;
    size_t most;                /* a call moves no more */
    size_t trouble;             /* one in so many fails; 0: none does */
    bool ended, closed;
};

static int some_trouble(const struct script *script)
{
    if (script->trouble == 0 || chance(script->trouble) > 0)
        return 0;
    return chance(2) ? KIN_ECANCELED : -ENOMEM;
}

static size_t some(const struct script *script, size_t size)
{
    size_t most = size < script->most ? size : script->most;

    return most > 0 ? 1 + chance(most) : 0;
}

static ssize_t script_read(void *arg, void *buffer, size_t size)
{
    struct script *script = arg;
    size_t left = script->size - script->at, n = some(script, size < left ? size : left);
    int rc = some_trouble(script);

    if (rc < 0)
        return rc;
    memcpy(buffer, script->input + script->at, n);
    script->at += n;
    return (ssize_t)n;
}

static int script_write_all(void *arg, const void *buffer, size_t size, size_t *done)
{
    struct script *script = arg;
    int rc = 0;

    CHECK(!script->ended);
    for (*done = 0; *done < size && (rc = some_trouble(script)) == 0;) {
        size_t n = some(script, size - *done);

        CHECK(script->heard_size + n <= OUTPUT);
        memcpy(script->heard + script->heard_size, (const char *)buffer + *done, n);
        script->heard_size += n;
        *done += n;
    }
    return rc;
}

static int script_end(void *arg)
{
    struct script *script = arg;

    script->ended = true;
    return 0;
}

static int script_close(void *arg)
{
    struct script *script = arg;

    script->closed = true;
    return 0;
}

static const struct kin_transport script_transport = {
    "script", script_read, script_write_all, script_end, script_close,
};

static bool no_memory_now_and_then(const char *site)
{
    return strcmp(site, "resize") == 0 && chance(16) == 0;
}

/* Text of few letters, so that all delimiters, and parts of them, are frequent. */
static void begin_script(struct script *script, uint64_t seed)
{
    static const char letters[] = "aaab\r\n\n\0xyz-";
    size_t kinds = 4 + (size_t)(seed % (sizeof letters - 4));

    *script = (struct script){ .input = malloc(INPUT), .heard = malloc(OUTPUT) };
    script->size = chance(3) ? chance(INPUT) : chance(100);
    script->most = chance(2) ? 1 + chance(10) : 1 + chance(30000);
    script->trouble = chance(2) ? 2 + chance(30) : 0;
    for (size_t i = 0; i < script->size; i++)
        script->input[i] = seed % 5 == 0 && chance(900) ? 'q' : letters[chance(kinds)];
}

static void end_script(struct script *script, kin_stream *s)
{
    script->trouble = 0;
    kin__os_fault = NULL;
    CHECK_CODE(kin_stream_close(s), 0);
    CHECK(script->closed);
    free(script->input);
    free(script->heard);
}

static bool is_trouble(int64_t rc)
{
    return rc == KIN_ECANCELED || rc == -ENOMEM;
}

/* ------------------------------------------------------------------------ reading */

struct reader {
    kin_stream s;
    const char *left;           /* the model: what is still to come */
    size_t size;
};

static void moved(struct reader *r, const char *data, size_t n)
{
    CHECK(n <= r->size);
    CHECK(memcmp(data, r->left, n) == 0);
    r->left += n;
    r->size -= n;
}

static void try_read(struct reader *r)
{
    static char into[50000];
    size_t size = chance(2) ? 1 + chance(20) : 1 + chance(sizeof into);
    ssize_t n = kin_stream_read(&r->s, into, size);

    if (n == 0)
        CHECK_INT(r->size, 0);
    else if (n > 0)
        moved(r, into, (size_t)n);
    else
        CHECK(is_trouble(n));
}

static void try_exactly(struct reader *r)
{
    static char into[50000];
    size_t size = chance(2) ? chance(20) : chance(sizeof into), got;
    int rc = kin_stream_read_exactly(&r->s, into, size, &got);

    if (rc == 0)
        CHECK_INT(got, size);
    else if (rc == KIN_EEOF)
        CHECK(got == r->size && got < size);
    else
        CHECK(is_trouble(rc) && got < size);
    moved(r, into, got);
}

static void try_line(struct reader *r)
{
    const char *end = memchr(r->left, '\n', r->size);
    size_t raw = end ? (size_t)(end - r->left) : r->size, size;
    size_t wanted = end && raw > 0 && end[-1] == '\r' ? raw - 1 : raw;
    char *line;
    int rc = kin_stream_read_line(&r->s, &line, &size);

    if (is_trouble(rc))
        return;
    if (wanted > r->s.most) {
        CHECK_CODE(rc, -EMSGSIZE);
        return;
    }
    CHECK_CODE(rc, r->size > 0);
    if (rc == 1) {
        CHECK_INT(size, wanted);
        CHECK(line[size] == '\0' && memcmp(line, r->left, size) == 0);
        r->left += end ? raw + 1 : raw;
        r->size -= end ? raw + 1 : raw;
    }
}

static void try_until(struct reader *r)
{
    static const char *const delimiters[] = { "a", "aa", "ab", "aab", "\r\n", "--", "\n\r\n\n",
                                             "aaaa" };
    const char *delimiter = delimiters[chance(sizeof delimiters / sizeof delimiters[0])];
    size_t length = strlen(delimiter), size;
    const char *found = memmem(r->left, r->size, delimiter, length);
    size_t wanted = found ? (size_t)(found - r->left) : r->size;
    char *piece;
    int rc = kin_stream_read_until(&r->s, delimiter, length, &piece, &size);

    if (is_trouble(rc))
        return;
    if (length > r->s.most) {
        CHECK_CODE(rc, KIN_EINVAL);
    } else if (rc == 1) {
        CHECK(found && wanted <= r->s.most);
        CHECK_INT(size, wanted);
        CHECK(piece[size] == '\0' && memcmp(piece, r->left, size) == 0);
        r->left += wanted + length;
        r->size -= wanted + length;
    } else if (rc == KIN_EEOF) {
        CHECK(!found && size == r->size && memcmp(piece, r->left, size) == 0);
    } else if (rc == 0) {
        CHECK_INT(r->size, 0);
    } else {
        CHECK_CODE(rc, -EMSGSIZE);
        CHECK(wanted > r->s.most);
    }
}

static void try_all(struct reader *r)
{
    size_t most = chance(2) ? 1 + chance(100) : INPUT, size;
    char *data;
    int rc = kin_stream_read_all(&r->s, most, &data, &size);

    if (rc == -EMSGSIZE)
        CHECK(r->size > most);
    else if (rc < 0)
        CHECK(is_trouble(rc));
    if (rc < 0)
        return;
    CHECK(size == r->size && size <= most && data[size] == '\0');
    moved(r, data, size);
    free(data);
}

static void read_by_chance(uint64_t seed)
{
    static void (*const calls[])(struct reader *) = { try_read, try_exactly, try_line, try_line,
                                                      try_until };
    struct script script;
    struct reader r;

    begin_script(&script, seed);
    kin_stream_open_on(&r.s, &script_transport, &script, .most = chance(2) ? 1 + chance(200) : 0);
    r.left = script.input;
    r.size = script.size;
    kin__os_fault = chance(3) ? NULL : no_memory_now_and_then;
    for (int i = 0; r.size > 0; i++) {
        if (chance(400) == 0)
            try_all(&r);
        else
            calls[chance(i % 50 == 49 ? 2 : 5)](&r);        /* those always get on */
    }
    try_read(&r);
    end_script(&script, &r.s);
}

static uint64_t seeds(void)
{
    const char *text = getenv("STREAM_SEEDS");

    return text ? strtoull(text, NULL, 10) : SEEDS;
}

static void for_all_seeds(void (*body)(uint64_t seed))
{
    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        tap_note("seed %llu", (unsigned long long)seed);
        state = seed * 0x9e3779b97f4a7c15;
        body(seed);
    }
}

KIN_TEST_LIMIT(C2_whatever_is_read_however_is_what_came, 120)
{
    for_all_seeds(read_by_chance);
}

/* ------------------------------------------------------------------------ writing */

/* They write a piece of the text, and note in the model what was taken. */
static size_t try_write(kin_stream *s, const char *text, char *model)
{
    size_t size = chance(3) ? chance(300) : chance(40000), done;
    int rc = kin_stream_write(s, text, size, &done);

    memcpy(model, text, done);
    CHECK(rc == 0 ? done == size : is_trouble(rc));
    CHECK(rc == 0 || done < size);
    CHECK(rc == 0 || size >= 16384 || done == 0);
    return done;
}

static size_t try_printf(kin_stream *s, const char *text, char *model)
{
    int size = (int)(chance(3) ? chance(300) : chance(40000));
    int rc = kin_stream_printf(s, "%.*s", size, text);

    CHECK(rc == 0 || is_trouble(rc));
    memcpy(model, text, rc == 0 ? (size_t)size : 0);
    return rc == 0 ? (size_t)size : 0;
}

static void write_by_chance(uint64_t seed)
{
    static char text[INPUT + 100];
    struct script script;
    size_t total = 0;
    char *wanted = malloc(OUTPUT);
    kin_stream s;
    int rc;

    begin_script(&script, seed);
    kin_stream_open_on(&s, &script_transport, &script);
    kin__os_fault = chance(3) ? NULL : no_memory_now_and_then;
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = (char)('A' + chance(50));
    while (total < OUTPUT - 100000 && chance(100) > 0) {
        switch (chance(4)) {
        case 0:
            rc = kin_stream_flush(&s);
            CHECK(rc == 0 || is_trouble(rc));
            break;
        case 1:
            total += try_printf(&s, text + chance(100), wanted + total);
            break;
        default:
            total += try_write(&s, text + chance(100), wanted + total);
        }
    }
    while ((rc = kin_stream_flush(&s)) < 0)
        CHECK(is_trouble(rc));
    CHECK_INT(script.heard_size, total);
    CHECK(memcmp(script.heard, wanted, total) == 0);
    free(wanted);
    end_script(&script, &s);
}

KIN_TEST_LIMIT(C2_whatever_is_written_however_is_what_is_heard, 120)
{
    for_all_seeds(write_by_chance);
}

/* ------------------------------------------------------------------------ copying */

static void copy_by_chance(uint64_t seed)
{
    struct script from, to;
    struct reader r;
    kin_stream s;
    char *wanted = malloc(OUTPUT);
    size_t total = 0;

    begin_script(&from, seed);
    begin_script(&to, seed);
    kin_stream_open_on(&r.s, &script_transport, &from);
    kin_stream_open_on(&s, &script_transport, &to);
    kin__os_fault = chance(3) ? NULL : no_memory_now_and_then;
    r.left = from.input;
    r.size = from.size;
    while (r.size > 0) {
        uint64_t most = chance(2) ? UINT64_MAX : chance(5000), copied;
        int rc = kin_stream_copy(&s, &r.s, most, &copied);

        CHECK(copied <= most && copied <= r.size);
        CHECK(rc == 0 ? copied == most || copied == r.size : is_trouble(rc));
        memcpy(wanted + total, r.left, copied);
        total += copied;
        r.left += copied;
        r.size -= copied;
        if (chance(3) == 0)
            try_line(&r);                   /* what was not written can still be read */
        if (chance(3) == 0 && kin_stream_printf(&s, "!") == 0)
            wanted[total++] = '!';          /* it goes out before what is copied next */
    }
    for (int rc = -1; rc < 0;)
        rc = kin_stream_flush(&s);
    CHECK_INT(to.heard_size, total);
    CHECK(memcmp(to.heard, wanted, total) == 0);
    end_script(&from, &r.s);
    end_script(&to, &s);
    free(wanted);
}

KIN_TEST_LIMIT(C2_whatever_is_copied_however_is_what_is_heard_or_still_there, 120)
{
    for_all_seeds(copy_by_chance);
}

/* ------------------------------------------------------------------ under all faults */

static bool fine(int64_t rc)
{
    return rc >= 0 || is_trouble(rc) || rc == KIN_EEOF || rc == -EPIPE || rc == -ECONNRESET;
}

/* Says lines, and hears each again. */
static int ask_all(void *arg)
{
    kin_stream s;
    char *line;
    int rc = 0, closed;

    kin_stream_open(&s, *(int *)arg);
    for (int i = 0; rc >= 0 && i < 6; i++) {
        rc = kin_stream_printf(&s, "%*d\n", i * 300 + 1, i);
        if (rc == 0)
            rc = kin_stream_flush(&s);
        if (rc == 0 && (rc = kin_stream_read_line(&s, &line, NULL)) == 1)
            CHECK_INT(atoi(line), i);
    }
    if (rc >= 0)
        rc = kin_stream_end(&s);
    if (rc == 0)
        rc = kin_stream_read_all(&s, 100, &line, NULL);
    if (rc == 0)
        free(line);
    closed = kin_stream_close(&s);
    CHECK(fine(closed));
    return rc < 0 ? rc : closed;
}

static int repeat_all(void *arg)
{
    uint64_t copied;
    kin_stream s;
    char *line;
    int rc, closed;

    kin_stream_open(&s, *(int *)arg);
    rc = kin_stream_read_line(&s, &line, NULL);
    if (rc == 1)
        rc = kin_stream_printf(&s, "%s\n", line);
    if (rc == 0)
        rc = kin_stream_copy(&s, &s, UINT64_MAX, &copied);
    closed = kin_stream_close(&s);
    CHECK(fine(closed));
    return rc < 0 ? rc : closed;
}

static int converse(void *arg)
{
    int fds[2];
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    (void)arg;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    int asked = kin_spawn(&g, ask_all, &fds[0]), repeated = kin_spawn(&g, repeat_all, &fds[1]);

    if (asked < 0)
        kin_close(fds[0]);
    if (repeated < 0)
        kin_close(fds[1]);
    return kin_group_close(&g, 0);
}

static void ignore(const char *line, void *arg)
{
    (void)line, (void)arg;
}

/* The k-th of something goes wrong, for every k; what it was called is its offset. */
static void sweep(size_t what, size_t counted)
{
    uint64_t k = 0, count;

    do {
        struct kin_faults faults = { .task = NULL };
        int before = open_descriptors(), rc;

        tap_note("fault %llu", (unsigned long long)++k);
        memcpy((char *)&faults + what, &k, sizeof k);
        rc = kin_run(converse, NULL, .faults = &faults, .on_report = ignore,
                     .backend = test_backend());
        CHECK(fine(rc));
        CHECK_INT(open_descriptors(), before);
        memcpy(&count, (char *)&faults + counted, sizeof count);
    } while (count >= k);
    CHECK(k > 10);
}

TEST_LIMIT(Q4_a_conversation_with_every_call_cancelled, 60)
{
    sweep(offsetof(struct kin_faults, cancel_call), offsetof(struct kin_faults, calls));
}

TEST_LIMIT(Q4_a_conversation_with_every_wait_cancelled, 60)
{
    sweep(offsetof(struct kin_faults, cancel_wait), offsetof(struct kin_faults, waits));
}

TEST_LIMIT(Q4_a_conversation_with_every_request_for_memory_failing, 60)
{
    sweep(offsetof(struct kin_faults, fail_request), offsetof(struct kin_faults, requests));
}
