/* heap.c - is every byte of the arena somebody's, or free where the allocator finds it? */
#include "class.h"
#include "scene.h"
#include "unit.h"

struct heap {
    uint64_t unused[MF_CLASSES]; /* blocks that were carved and are not in use */
    uint32_t units;              /* in use */
    bool whole;
};

static void see_run(mf_runtime *rt, uint32_t unit, uint32_t n, uint32_t tag, void *arg)
{
    struct heap *heap = arg;
    heap->units += n;
    heap->whole &= tag < MF_CLASSES || tag == MF_RUN_LARGE;
    if (tag >= MF_CLASSES)
        return;
    uint64_t carve = atomic_load(&rt->arena->classes[tag].carve);
    uint32_t blocks = carve >> 32 == unit ? (uint32_t)carve : mf__class_in_slab(rt, unit, tag);
    for (uint32_t i = 0; i < blocks; i++) {
        struct mf_block *b = mf__class_block(rt, unit, tag, i);
        heap->unused[tag] += !(atomic_load(&b->tag) & MF_BLOCK_USED);
    }
}

/* How many are in the list, if each of them knows the one before it; else UINT64_MAX. */
static uint64_t listed(mf_runtime *rt, uint32_t c)
{
    uint64_t n = 0, most = 1 << 20; /* a scene has 64 MiB, in blocks of 64 bytes or more */
    struct mf_block *b = mf__block_at(rt, atomic_load(&rt->arena->classes[c].free));
    for (; b && n < most; b = mf__block_at(rt, atomic_load(&b->next)), n++)
        if (!mf__class_has(rt, c, b))
            return UINT64_MAX;
    return n;
}

bool heap_is_whole(mf_runtime *rt)
{
    struct heap heap = {.whole = true};
    mf__units_each(rt, see_run, &heap);
    bool whole = heap.whole && heap.units == rt->arena->units.used;
    for (uint32_t c = 0; c < MF_CLASSES; c++)
        whole &= listed(rt, c) == heap.unused[c];
    return whole;
}
