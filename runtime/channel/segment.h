/*
 * segment.h - the linked pieces of a queue: an array of descriptors, one a message.
 */
#ifndef MF_SEGMENT_H
#define MF_SEGMENT_H

#include "block.h"
#include "message.h"

/* One message. Whole cache lines, so that producer and consumer of neighbours do not share one: one
 * in a narrow segment, which numbers fill, two in a wide one, for small tables. */
struct mf_descriptor {
    uint64_t size : 40, handles : 24;
    uint64_t block;  /* offset, or 0: the bytes are in small */
    uint8_t small[]; /* as many as the segment has room for */
};
_Static_assert(sizeof(struct mf_descriptor) + MF_INLINE_NARROW == 64, "one cache line");
_Static_assert(sizeof(struct mf_descriptor) + MF_INLINE == 128, "two cache lines");

/* Messages in the largest segment. */
#define MF_SEGMENT_MOST 511u

/* The payload of a block. 48 bytes and the block's 16 before the first descriptor. */
struct mf_segment {
    uint64_t base;         /* number of the first message */
    uint64_t capacity;     /* messages */
    _Atomic uint64_t next; /* offset of the next segment's block, 0 while there is none */
    uint64_t room;         /* MF_INLINE_NARROW or MF_INLINE */
    uint64_t spare[2];
    uint8_t descriptors[];
};
_Static_assert(sizeof(struct mf_segment) == 48, "descriptors stand on cache lines");

/* The block of a new segment, owned by this process: of 1 KiB for the first of a queue, 8 KiB for
 * the second, then 32 KiB, which are 511 narrow descriptors. NULL when the budget is used up. */
struct mf_block *mf__segment_new(mf_runtime *rt, uint64_t base, uint32_t room,
                                 const struct mf_segment *before);

/* The segment in the block at an offset that was read from shared memory; NULL when there is no
 * block in use. What its fields say is not to be believed yet. */
static inline struct mf_segment *mf__segment_at(const mf_runtime *rt, uint64_t block)
{
    struct mf_block *b = mf__block_at(rt, block);
    return b && mf__block_is_used(b) ? (struct mf_segment *)b->payload : NULL;
}

/* The longest message that lies in one of its descriptors. */
static inline uint32_t mf__segment_room(const struct mf_segment *s)
{
    return *(const volatile uint64_t *)&s->room == MF_INLINE ? MF_INLINE : MF_INLINE_NARROW;
}

/* The descriptor of message `seq` in it, with that room; NULL when there is none. */
static inline struct mf_descriptor *
mf__segment_descriptor(const mf_runtime *rt, struct mf_segment *s, uint64_t seq, uint32_t room)
{
    uint64_t i = seq - s->base;
    if (i >= MF_SEGMENT_MOST)
        return NULL;
    uint32_t size = (uint32_t)sizeof(struct mf_descriptor) + room;
    struct mf_descriptor *d = (struct mf_descriptor *)(uintptr_t)(s->descriptors + i * size);
    return mf__is_in_units(rt, mf__offset(rt, d), size) ? d : NULL;
}

/* The offset behind it, or 0. */
uint64_t mf__segment_next(const mf_runtime *rt, uint64_t block);

/* Is b the segment at `block`, or linked right behind it? */
bool mf__segment_is_linked(const mf_runtime *rt, uint64_t block, const struct mf_block *b);

#endif
