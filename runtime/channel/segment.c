/* segment.c - the pieces of a queue: see segment.h. */
#include "segment.h"

#define FIRST 15u

struct mf_block *mf__segment_new(mf_runtime *rt, uint64_t base, uint64_t capacity_before)
{
    uint64_t capacity = capacity_before ? capacity_before * 8 + 7 : FIRST;
    if (capacity > MF_SEGMENT_MOST)
        capacity = MF_SEGMENT_MOST;
    struct mf_block *b = mf__block_new(
        rt, sizeof(struct mf_segment) + capacity * sizeof(struct mf_descriptor), rt->slot);
    if (!b)
        return NULL;
    struct mf_segment *s = (struct mf_segment *)b->payload;
    s->base = base;
    s->capacity = capacity;
    atomic_store_explicit(&s->next, 0, memory_order_relaxed);
    return b;
}

uint64_t mf__segment_next(const mf_runtime *rt, uint64_t block)
{
    struct mf_segment *s = mf__segment_at(rt, block);
    return s ? atomic_load_explicit(&s->next, memory_order_relaxed) : 0;
}

bool mf__segment_is_linked(const mf_runtime *rt, uint64_t block, const struct mf_block *b)
{
    if (!block)
        return false;
    return block == mf__offset(rt, b) || mf__segment_next(rt, block) == mf__offset(rt, b);
}
