/* Random programs against a model of the contract (docs/semantics.md): trees of groups,
 * scopes, shields and tasks that sleep, wait, fail, cancel each other and leave, under the
 * virtual clock, in order and in random orders. After every step, and of everything that
 * is returned, counted, recorded or reported, the model says what it has to be.
 *
 *     RANDOM_SEED=17 ./random              one program
 *     RANDOM_SEEDS=1000000 ./random        more of them; RANDOM_FROM=n: from the n-th on
 *     RANDOM_PROGRAM=0503… ./random        one that was printed
 *
 * Programs run in batches, each in a process of its own. When one fails, crashes or
 * hangs, it is made smaller as long as it goes on failing, and printed. */
#include "random_program.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BATCH = 1000, LONGEST = 3 };     /* programs; seconds for one */

static struct tap_child child;

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static bool died(void)
{
    return !child.exited || child.code != 0;
}

/* ---------------------------------------------------------------- one program */

static void run_alone(void *arg)
{
    alarm(tap_scaled(LONGEST));
    program_run(arg);
}

static bool fails(struct program *p)
{
    tap_fork(&child, run_alone, p);
    return died();
}

/* The same program in the same order does the same (Q2). */
static void run_twice(const struct program *p)
{
    uint64_t once = program_run(p), again = program_run(p);

    if (once != again)
        FAIL("ran differently the second time");
}

/* ------------------------------------------------------------- making it smaller */

/* Takes the program over if it fails, too. */
static bool try_instead(struct program *p, struct program *changed)
{
    bool failed = fails(changed);

    if (failed)
        *p = *changed;
    return failed;
}

/* The byte that leads to this node. */
static uint8_t *link_to(struct program *p, uint8_t index)
{
    for (int i = 0; i < p->count; i++) {
        if (p->node[i].first == index)
            return &p->node[i].first;
        if (p->node[i].next == index)
            return &p->node[i].next;
    }
    return NULL;
}

/* Takes a statement away, with all that is inside, or leaving that in its place. */
static bool without(struct program *p, uint8_t index, bool inside_too)
{
    struct program changed = *p;
    uint8_t *link = link_to(&changed, index), *last;

    if (!link)
        return false;
    if (inside_too) {
        *link = changed.node[index].next;
    } else {
        *link = changed.node[index].first;
        for (last = link; *last; last = &changed.node[*last].next)
            ;
        *last = changed.node[index].next;
    }
    changed.node[index] = (struct node){ .kind = NOTHING };
    return try_instead(p, &changed);
}

static bool with_byte(struct program *p, size_t at, uint8_t value)
{
    struct program changed = *p;
    uint8_t *byte = (uint8_t *)&changed + at;

    if (*byte <= value)
        return false;
    *byte = value;
    return try_instead(p, &changed);
}

/* All the options of a node, and its order: to nothing, or to something smaller. */
static bool simpler(struct program *p, size_t from, size_t to)
{
    bool any = false;

    for (size_t at = from; at < to; at++) {
        uint8_t value = *((uint8_t *)p + at);

        any |= with_byte(p, at, 0) || with_byte(p, at, value / 2) ||
               (value && with_byte(p, at, (uint8_t)(value - 1)));
    }
    return any;
}

static bool smaller(struct program *p)
{
    bool any = simpler(p, offsetof(struct program, order), offsetof(struct program, order) + 1);

    for (uint8_t i = 1; i < p->count; i++)
        any |= without(p, i, true) || without(p, i, false);
    for (uint8_t i = 1; i < p->count; i++) {
        size_t node = offsetof(struct program, node) + i * sizeof(struct node);

        if (p->node[i].kind)
            any |= simpler(p, node + offsetof(struct node, target), node + sizeof(struct node));
    }
    return any;
}

static void fail_with(struct program *p, uint64_t seed)
{
    if (!fails(p))
        FAIL("RANDOM_SEED=%llu failed only in company", (unsigned long long)seed);
    fprintf(stderr, "RANDOM_SEED=%llu:\n%s", (unsigned long long)seed, child.output);
    while (smaller(p))
        ;
    while (!p->node[p->count - 1].kind)
        p->count--;
    fails(p);
    program_print(p, stderr);
    fprintf(stderr, "%sRANDOM_SEED=%llu, or this one: RANDOM_PROGRAM=", child.output,
            (unsigned long long)seed);
    program_write(p, stderr);
    FAIL("a random program failed");
}

/* --------------------------------------------------------------------- batches */

static uint64_t *running;               /* the seed, shared with the child */

static void run_batch(void *arg)
{
    const uint64_t *batch = arg;
    static struct program p;

    for (uint64_t seed = batch[0]; seed < batch[1]; seed++) {
        *running = seed;
        alarm(tap_scaled(LONGEST));
        program_make(&p, seed);
        if (seed % 16 == 0)
            run_twice(&p);
        else
            program_run(&p);
    }
}

static void run_batches(uint64_t from, uint64_t to)
{
    static struct program p;

    for (uint64_t seed = from; seed < to; seed += BATCH) {
        uint64_t batch[2] = { seed, seed + BATCH < to ? seed + BATCH : to };

        tap_note("RANDOM_SEED=%llu", (unsigned long long)seed);
        tap_fork(&child, run_batch, batch);
        if (died()) {
            program_make(&p, *running);
            fail_with(&p, *running);
        }
    }
}

static void run_given(const char *line)
{
    static struct program p;

    if (!program_read(&p, line))
        FAIL("RANDOM_PROGRAM is no program");
    program_print(&p, stderr);
    program_run(&p);
}

TEST_LIMIT(random_programs_do_what_the_model_says, 3600)
{
    const char *given = getenv("RANDOM_PROGRAM");
    uint64_t many = number_from("RANDOM_SEEDS", tap_instrumented() ? 5000 : 30000);
    uint64_t first = number_from("RANDOM_FROM", 1);

    running = mmap(NULL, sizeof *running, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                   0);
    CHECK(running != MAP_FAILED);
    if (given)
        run_given(given);
    else if (getenv("RANDOM_SEED"))
        run_batches(number_from("RANDOM_SEED", 1), number_from("RANDOM_SEED", 1) + 1);
    else
        run_batches(first, first + many);
}
