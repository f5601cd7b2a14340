/* The bare switch: two contexts that hand each other the processor, and nothing
 * else. It is the unit in which the costs of tasks are given: what a machine of
 * this speed takes at least to leave one stack for another.
 */
#include "bench.h"
#include "core/core.h"

static void *main_sp, *other_sp;
static int64_t arrived;

static void other(void)
{
    for (;;) {
        arrived++;
        kin__switch(&other_sp, main_sp);
    }
}

int main(int argc, char **argv)
{
    static char stack[64 * 1024] __attribute__((aligned(64)));
    long pairs = bench_size(argc, argv, 20000000);

    other_sp = kin__switch_prepare(stack + sizeof stack, other);
    int64_t began = bench_now();
    for (long i = 0; i < pairs; i++)
        kin__switch(&main_sp, other_sp);
    bench_print_ns("switch", began, 2 * (int64_t)pairs);
    bench_require(arrived == pairs, "switches");
    return 0;
}
