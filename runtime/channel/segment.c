/* segment.c - the pieces of a queue: see segment.h. */
#include "segment.h"

#define LARGEST_FIRST 15u /* messages */

/* Bytes of the segment behind another, the block's header included. */
static uint32_t size_behind(const struct mf_segment *before)
{
    if (!before)
        return 1 << 10;
    return before->capacity <= LARGEST_FIRST ? 8 << 10 : 32 << 10;
}

struct mf_block *mf__segment_new(mf_runtime *rt, uint64_t base, uint32_t room,
                                 const struct mf_segment *before)
{
    size_t size = size_behind(before) - sizeof(struct mf_block);
    struct mf_block *b = mf__block_new(rt, size, rt->slot);
    if (!b)
        return NULL;
    struct mf_segment *s = (struct mf_segment *)b->payload;
    s->base = base;
    s->room = room;
    s->capacity = (size - sizeof *s) / (sizeof(struct mf_descriptor) + room);
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
