/* Pools of records of one size: tasks, groups and scopes, errors.
 *
 * A record's address stays valid memory until the run ends, also after it was
 * given back: that is why a stale handle can be compared (its id is 0 or another
 * by now) and need not be trusted. Records are reused last in, first out, so that
 * the one in hand is warm. The link of the free list lies over a record's first
 * word, which must not be its id.
 */
#include "core/core.h"

enum { FIRST_SLAB = 32, LARGEST_SLAB = 4096 };

struct slab {
    _Alignas(64) struct slab *next;     /* and so are the records */
};

/* Links the new records so that the first is handed out first: rising addresses
 * are what the prefetcher understands. */
static bool grow(struct kin__pool *pool)
{
    struct slab *slab = kin__os_alloc(sizeof *slab + pool->size * pool->next_slab);
    char *record;

    if (!slab)
        return false;
    slab->next = pool->slabs;
    pool->slabs = slab;
    record = (char *)(slab + 1) + pool->size * pool->next_slab;
    for (uint32_t i = 0; i < pool->next_slab; i++) {
        record -= pool->size;
        if (pool->construct)
            pool->construct(record);
        *(void **)(void *)record = pool->free;
        pool->free = record;
    }
    if (pool->next_slab < LARGEST_SLAB)
        pool->next_slab *= 2;
    return true;
}

/* Has room for the first records from the start: errors can be kept when memory is short. */
bool kin__pool_open(struct kin__pool *pool, size_t size, void (*construct)(void *record))
{
    pool->size = (size + 15) & ~(size_t)15;
    pool->construct = construct;
    pool->next_slab = FIRST_SLAB;
    return grow(pool);
}

void *kin__pool_grow(struct kin__pool *pool)
{
    return grow(pool) ? kin__pool_get(pool) : NULL;
}

void kin__pool_close(struct kin__pool *pool)
{
    struct slab *slab, *next;

    for (slab = pool->slabs; slab; slab = next) {
        next = slab->next;
        kin__os_free(slab);
    }
}
