/* heap.c - is every byte of the arena somebody's, or free where the allocator finds it? */
#include "scene.h"
#include "unit.h"

/* As in block.c. */
#define SLAB ((size_t)256 << 10)

static uint32_t class_size(uint32_t c)
{
    return (4 + c % 4) << (c / 4 + 4);
}

struct heap {
    uint64_t unused[MF_CLASSES]; /* blocks that were carved and are not in use */
    uint32_t units;              /* in use */
};

static void see_run(mf_runtime *rt, uint32_t unit, uint32_t n, uint32_t tag, void *arg)
{
    struct heap *heap = arg;
    heap->units += n;
    if (tag >= MF_CLASSES)
        return;
    uint64_t carve = atomic_load(&rt->arena->classes[tag].carve);
    size_t blocks = carve >> 32 == unit ? (uint32_t)carve : SLAB / class_size(tag);
    for (size_t i = 0; i < blocks; i++) {
        struct mf_block *b = mf__at(rt, mf__unit_offset(rt, unit) + i * class_size(tag));
        heap->unused[tag] += !(atomic_load(&b->tag) & MF_BLOCK_USED);
    }
}

static uint64_t listed(mf_runtime *rt, uint32_t c)
{
    uint64_t n = 0, most = 1 << 20; /* a scene has 64 MiB, in blocks of 64 bytes or more */
    struct mf_block *b = mf__block_at(rt, atomic_load(&rt->arena->classes[c].free));
    for (; b && n < most; b = mf__block_at(rt, atomic_load(&b->next)))
        n++;
    return n;
}

bool heap_is_whole(mf_runtime *rt)
{
    struct heap heap = {0};
    mf__units_each(rt, see_run, &heap);
    bool whole = heap.units == rt->arena->units.used;
    for (uint32_t c = 0; c < MF_CLASSES; c++)
        whole &= listed(rt, c) == heap.unused[c];
    return whole;
}
