/* The bare switch of Boost.Context: contexts that hand each other the processor, as in
 * switch.c, by the functions that its fibers and continuations are made of. */
#include "work.h"

#include <boost/context/detail/fcontext.hpp>
#include <sys/mman.h>

using namespace boost::context::detail;

enum { STRIDE = 33 * 4096, COLOURS = 8, COLOUR = 128 };

static fcontext_t *contexts;
static long count, current, previous;
static int64_t arrived;

static void prepare(void (*other)(transfer_t))
{
    size_t size = static_cast<size_t>(count) * STRIDE;
    void *stacks = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    contexts = static_cast<fcontext_t *>(calloc(static_cast<size_t>(count), sizeof *contexts));
    bench_require(stacks != MAP_FAILED && contexts, "memory");
    madvise(stacks, size, MADV_NOHUGEPAGE);
    for (long i = 1; i < count; i++) {
        char *top = static_cast<char *>(stacks) + (i + 1) * STRIDE - i % COLOURS * COLOUR;
        contexts[i] = make_fcontext(top, STRIDE - COLOURS * COLOUR, other);
    }
}

/* ----------------------------------------------------------------- two of them */

static void answer(transfer_t from)
{
    for (;;) {
        arrived++;
        from = jump_fcontext(from.fctx, nullptr);
    }
}

static void to_and_fro(long rounds)
{
    prepare(answer);
    fcontext_t other = contexts[1];
    int64_t began = bench_now();
    for (long i = 0; i < rounds; i++)
        other = jump_fcontext(other, nullptr).fctx;
    bench_print_ns("yield", began, 2 * static_cast<int64_t>(rounds));
    bench_require(arrived == rounds, "switches");
}

/* ------------------------------------------------------------------- a ring */

static void hand_over()
{
    previous = current;
    current = current + 1 < count ? current + 1 : 0;
    arrived++;
    transfer_t from = jump_fcontext(contexts[current], nullptr);
    contexts[previous] = from.fctx;
}

static void member(transfer_t from)
{
    contexts[previous] = from.fctx;
    for (;;)
        hand_over();
}

static void round_and_round(long rounds)
{
    prepare(member);
    hand_over();
    int64_t began = bench_now();
    for (long i = 0; i < rounds; i++)
        hand_over();
    bench_print_ns("yield", began, static_cast<int64_t>(rounds) * count);
    bench_require(arrived == static_cast<int64_t>(rounds + 1) * count, "switches");
}

static void yield(long rounds, long of)
{
    count = of ? of : 2;
    if (count == 2)
        to_and_fro(rounds);
    else
        round_and_round(rounds);
}

static const struct work works[] = { { "yield", yield }, { nullptr, nullptr } };

int main(int argc, char **argv)
{
    return run_work(argc, argv, works);
}
