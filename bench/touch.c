/* What a line costs that is in no cache: the unit in which growing costs are explained.
 *
 *     bench_touch LINES [APART]
 *
 * So many lines, so many bytes apart, each holding the address of the next, are read one
 * after the other: no read can start before the one before it has ended. Lines that lie as
 * far apart as stacks do also need an entry of the TLB each, and a line of the page table.
 * Like stacks they are not quite a power of two apart, and not quite equally far.
 */
#include "clock.h"

#include <sys/mman.h>

enum { USUAL = 33 * 4096, COLOURS = 8, COLOUR = 128, AT_LEAST = 2000000 };

static void **line_at(char *memory, long i, long apart)
{
    return (void **)(void *)(memory + i * apart + (apart > 4096 ? i % COLOURS * COLOUR : 0));
}

static void **make_ring(long lines, long apart)
{
    size_t bytes = (size_t)(lines * apart + COLOURS * COLOUR);
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    bench_require(memory != MAP_FAILED, "memory");
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    for (long i = 0; i < lines; i++)
        *line_at(memory, i, apart) = line_at(memory, (i + 1) % lines, apart);
    return line_at(memory, 0, apart);
}

int main(int argc, char **argv)
{
    long lines = argc > 1 ? strtol(argv[1], NULL, 10) : 10000;
    long apart = argc > 2 ? strtol(argv[2], NULL, 10) : USUAL;

    bench_require(lines > 0 && apart >= 64 && apart % 8 == 0, "lines, and bytes apart");
    void **at = make_ring(lines, apart);
    long reads = lines > AT_LEAST ? lines : AT_LEAST / lines * lines;
    int64_t began = bench_now();
    for (long i = 0; i < reads; i++)
        at = *at;
    bench_print_ns("touch", began, reads);
    bench_require(at == *at || lines > 1, "the ring");
    return 0;
}
