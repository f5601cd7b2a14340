/* Pools of records of one size: tasks, groups and scopes, errors.
 *
 * A record's address stays valid memory until the run ends, also after it was
 * given back: that is why a stale handle can be compared (its id is 0 or another
 * by now) and need not be trusted. Records are reused last in, first out, so that
 * the one in hand is warm. The link of the free list lies over a record's first
 * word, which must not be its id.
 *
 * Trimming lets the system take the pages of slabs in which all records are free. Their
 * addresses stay valid, and read as zero. Which slabs those are is counted only then: a
 * count that every get and put kept would be one more cache line for each.
 */
#include "core/core.h"

#include <stdlib.h>

enum { FIRST_SLAB = 32, LARGEST_SLAB = 4096 };

struct kin__pool_slab {
    _Alignas(64) struct kin__pool_slab *next;     /* and so are the records */
    uint32_t records, free;             /* free: while the pool is trimmed */
};

/* Links the records so that the first is handed out first: rising addresses are what the
 * prefetcher understands. */
static void fill_slab(struct kin__pool *pool, struct kin__pool_slab *slab)
{
    char *record = (char *)(slab + 1) + pool->size * slab->records;

    slab->next = pool->slabs;
    pool->slabs = slab;
    for (uint32_t i = 0; i < slab->records; i++) {
        record -= pool->size;
        if (pool->construct)
            pool->construct(record);
        *(void **)(void *)record = pool->free;
        pool->free = record;
    }
}

static bool grow(struct kin__pool *pool)
{
    struct kin__pool_slab *slab = pool->emptied;

    if (slab) {
        pool->emptied = slab->next;
    } else {
        slab = kin__os_alloc(sizeof *slab + pool->size * pool->next_slab);
        if (!slab)
            return false;
        slab->records = pool->next_slab;
        if (pool->next_slab < LARGEST_SLAB)
            pool->next_slab *= 2;
    }
    fill_slab(pool, slab);
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

static void free_slabs(struct kin__pool_slab *slab)
{
    struct kin__pool_slab *next;

    for (; slab; slab = next) {
        next = slab->next;
        kin__os_free(slab);
    }
}

void kin__pool_close(struct kin__pool *pool)
{
    free_slabs(pool->slabs);
    free_slabs(pool->emptied);
}

/* ------------------------------------------------------------------ trimming */

struct slabs {                          /* by address */
    struct kin__pool_slab **slab;
    size_t count;
};

static int by_address(const void *a, const void *b)
{
    const struct kin__pool_slab *const *one = a, *const *other = b;

    return (*one > *other) - (*one < *other);
}

static struct slabs sorted_slabs(const struct kin__pool *pool)
{
    struct slabs slabs = { NULL, 0 };

    for (struct kin__pool_slab *slab = pool->slabs; slab; slab = slab->next)
        slabs.count++;
    slabs.slab = kin__os_alloc(slabs.count * sizeof(struct kin__pool_slab *));
    slabs.count = 0;
    for (struct kin__pool_slab *slab = pool->slabs; slab && slabs.slab; slab = slab->next)
        slabs.slab[slabs.count++] = slab;
    if (slabs.count)
        qsort(slabs.slab, slabs.count, sizeof(struct kin__pool_slab *), by_address);
    return slabs;
}

/* The last that begins before the record. */
static struct kin__pool_slab *slab_of(const struct slabs *slabs, const void *record)
{
    size_t low = 0, high = slabs->count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if ((const void *)slabs->slab[middle] < record)
            low = middle;
        else
            high = middle;
    }
    return slabs->slab[low];
}

/* Takes the records of slabs that are all free off the list; the others keep their order. */
static void drop_free(struct kin__pool *pool, const struct slabs *slabs)
{
    void **end = &pool->free;

    for (void **record = pool->free; record; record = *record)
        slab_of(slabs, record)->free++;
    for (void **record = pool->free; record; record = *record) {
        const struct kin__pool_slab *slab = slab_of(slabs, record);

        if (slab->free < slab->records) {
            *end = record;
            end = record;
        }
    }
    *end = NULL;
}

void kin__pool_trim(struct kin__pool *pool)
{
    struct slabs slabs = sorted_slabs(pool);

    if (!slabs.slab)
        return;                         /* no memory to give memory back */
    drop_free(pool, &slabs);
    pool->slabs = NULL;
    for (size_t i = 0; i < slabs.count; i++) {
        struct kin__pool_slab *slab = slabs.slab[i], **list = &pool->slabs;

        if (slab->free == slab->records) {
            kin__os_discard(slab + 1, slab->records * pool->size);
            list = &pool->emptied;
        }
        slab->free = 0;
        slab->next = *list;
        *list = slab;
    }
    kin__os_free(slabs.slab);
}
