/*
 * segment.h - the linked pieces of a queue: an array of descriptors, one a message.
 */
#ifndef MF_SEGMENT_H
#define MF_SEGMENT_H

#include "block.h"
#include "message.h"

/* One message. A cache line, so that producer and consumer of neighbours do not share one. */
struct mf_descriptor {
    uint64_t size : 40, handles : 24;
    uint64_t block; /* offset, or 0: the bytes are in small */
    uint8_t small[MF_INLINE];
};
_Static_assert(sizeof(struct mf_descriptor) == 64, "one cache line");

/* Messages in the largest segment. */
#define MF_SEGMENT_MOST 511u

/* The payload of a block. 48 bytes and the block's 16 before the first descriptor. */
struct mf_segment {
    uint64_t base;         /* number of the first message */
    uint64_t capacity;     /* messages */
    _Atomic uint64_t next; /* offset of the next segment's block, 0 while there is none */
    uint64_t spare[3];
    struct mf_descriptor descriptor[];
};
_Static_assert(sizeof(struct mf_segment) == 48, "descriptors stand on cache lines");

/* The block of a new segment, owned by this process: eight times as large as the one before,
 * from 15 messages (1 KiB) to 511 (32 KiB). NULL when the budget is used up. */
struct mf_block *mf__segment_new(mf_runtime *rt, uint64_t base, uint64_t capacity_before);

/* The segment in the block at an offset that was read from shared memory; NULL when there is no
 * block in use. What its fields say is not to be believed yet. */
static inline struct mf_segment *mf__segment_at(const mf_runtime *rt, uint64_t block)
{
    struct mf_block *b = mf__block_at(rt, block);
    return b && mf__block_is_used(b) ? (struct mf_segment *)b->payload : NULL;
}

/* The descriptor of message `seq` in it; NULL when there is none. */
static inline struct mf_descriptor *mf__segment_descriptor(const mf_runtime *rt,
                                                           struct mf_segment *s, uint64_t seq)
{
    uint64_t i = seq - s->base;
    if (i >= MF_SEGMENT_MOST)
        return NULL;
    struct mf_descriptor *d = &s->descriptor[i];
    return mf__is_in_units(rt, mf__offset(rt, d), sizeof *d) ? d : NULL;
}

/* The offset behind it, or 0. */
uint64_t mf__segment_next(const mf_runtime *rt, uint64_t block);

/* Is b the segment at `block`, or linked right behind it? */
bool mf__segment_is_linked(const mf_runtime *rt, uint64_t block, const struct mf_block *b);

#endif
