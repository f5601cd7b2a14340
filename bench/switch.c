/* The bare switch: contexts that hand each other the processor, and nothing else. It is
 * the unit in which the costs of tasks are given: what a machine of this speed takes at
 * least to leave one stack for another.
 *
 *     bench_switch ROUNDS [CONTEXTS]
 *
 * Two of them show the instructions, thousands what the caches do: then every switch finds
 * its stack cold. Their stacks lie as far apart as kin's own, and their tops are shifted
 * like them, so that they do not fight for the same lines of the cache.
 */
#include "bench.h"
#include "core/core.h"

#include <sys/mman.h>

enum { STRIDE = 33 * 4096, COLOURS = 8, COLOUR = 128 };

/* What a scheduler has of each at least: a record of its own, in a list. */
struct context {
    void *sp;
    struct context *next;
} __attribute__((aligned(64)));

static struct context *ring, *current;
static long contexts;
static int64_t arrived;

/* Each hands over to the next; the first of them is the main program. */
static void hand_over(void)
{
    struct context *me = current;

    current = me->next;
    arrived++;
    kin__switch(&me->sp, current->sp);
}

static void other(void)
{
    for (;;)
        hand_over();
}

static void prepare(void)
{
    size_t size = (size_t)contexts * STRIDE;
    char *stacks = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    ring = aligned_alloc(sizeof *ring, (size_t)contexts * sizeof *ring);
    bench_require(stacks != MAP_FAILED && ring, "memory");
    madvise(stacks, size, MADV_NOHUGEPAGE);
    for (long i = 0; i < contexts; i++) {
        char *top = stacks + (i + 1) * STRIDE - i % COLOURS * COLOUR;
        ring[i] = (struct context){ .sp = i ? kin__switch_prepare(top, other) : NULL,
                                    .next = &ring[(i + 1) % contexts] };
    }
    current = ring;
}

int main(int argc, char **argv)
{
    long rounds = bench_size(argc, argv, 20000000);

    contexts = bench_argument(argc, argv, 2, 2);
    bench_require(contexts >= 2, "two contexts at least");
    prepare();
    hand_over();
    int64_t began = bench_now();
    for (long i = 0; i < rounds; i++)
        hand_over();
    bench_print_ns("switch", began, (int64_t)rounds * contexts);
    bench_require(arrived == (int64_t)(rounds + 1) * contexts, "switches");
    free(ring);
    return 0;
}
