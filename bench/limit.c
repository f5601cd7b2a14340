/* What a limit costs that does not fire: opened and closed in one turn, as around
 * a call that finds its data there, and with a switch in between.
 */
#include "bench.h"

static long rounds;

static int with_limit(bool yields)
{
    kin_scope s = kin_scope_open(.timeout = KIN_S(100));

    return kin_scope_close(&s, yields ? kin_yield() : 0);
}

static int many(bool yields)
{
    int rc = 0;

    for (long i = 0; i < rounds && rc == 0; i++)
        rc = with_limit(yields);
    return rc;
}

static int body(void *arg)
{
    (void)arg;
    int64_t began = bench_now();
    int rc = many(false);
    bench_print_ns("limit", began, rounds);
    if (rc < 0)
        return rc;
    began = bench_now();
    rc = many(true);
    bench_print_ns("limit_yield", began, rounds);
    return rc;
}

int main(int argc, char **argv)
{
    rounds = bench_size(argc, argv, 5000000);
    bench_require(kin_run(body, NULL) == 0, "limits");
    return 0;
}
