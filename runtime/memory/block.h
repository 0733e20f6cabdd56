/*
 * block.h - the arena's blocks: messages, queue segments, records of pools.
 *
 * A block is owned by exactly one of: a free list; a process's intent (slot.fresh, slot.hand); a
 * process, by the slot in its header; the structure that it was committed to (owner 0: a queue, a
 * record's chain). The header is 16 bytes before the payload.
 *
 * Sizes up to 32 KiB come from slabs, in classes a quarter of a power of two apart, each with a
 * lock and a list (class.h); larger ones are runs of units.
 *
 * If the process dies: a block in its intent `fresh` is either still at the head of its list, or
 * nobody's and is freed; a block with its slot in the header is found by a walk and freed.
 */
#ifndef MF_BLOCK_H
#define MF_BLOCK_H

#include "arena.h"

struct mf_block {
    _Atomic uint32_t tag;   /* class, | the flags below; 0: never carved */
    _Atomic uint32_t owner; /* slot + 1 of the process that owns it, 0 for none */
    _Atomic uint64_t
        next; /* free: offset of the next; MF_BLOCK_KEEPS: see below; else its owner's */
    uint8_t payload[];
};
_Static_assert(sizeof(struct mf_block) == 16, "payloads are 16-byte aligned");

#define MF_BLOCK_USED 0x100u
/* A message whose payload begins with `count` handles, of which the first `kept` are counted in
 * their objects: next = kept << 32 | count. */
#define MF_BLOCK_KEEPS 0x200u
#define MF_BLOCK_LISTED 0x400u /* free, and in the list of its class */
#define MF_BLOCK_IDLE 0x800u   /* with LISTED: it was so a while ago already */

/* A block with room for size bytes, owned by slot `owner`; with owner = MF_IN_HAND it is left in
 * self->hand instead. NULL when the budget is used up. The payload is not cleared. */
struct mf_block *mf__block_new(mf_runtime *rt, size_t size, uint32_t owner);
#define MF_IN_HAND UINT32_MAX

/* Frees a block that this process owns or has in hand (which is cleared); lets the objects go that
 * it keeps. NULL is fine, and so is a block that is free. */
void mf__block_free(mf_runtime *rt, struct mf_block *b);

/* Moves a block that this process owns into self->hand, and back. */
void mf__block_to_hand(mf_runtime *rt, struct mf_block *b);
void mf__block_from_hand(mf_runtime *rt, struct mf_block *b);

/* A block that nobody's header names becomes a slot's; a block of a slot becomes nobody's, which is
 * what a structure that it was linked into says of it. */
void mf__block_adopt(mf_runtime *rt, struct mf_block *b, uint32_t slot);
void mf__block_disown(mf_runtime *rt, struct mf_block *b);

/* Makes a block of this process another slot's, by one store. */
void mf__block_pass(mf_runtime *rt, struct mf_block *b, uint32_t slot);

/* How many bytes the payload has room for: all of them in the arena, whatever the header says. */
size_t mf__block_room(const mf_runtime *rt, const struct mf_block *b);

/* For death.c, rt acting for the dead: takes and leaves each lock, so that a death inside it is
 * settled. 0, or MF_ETIMEOUT where a stopped process holds one. */
int mf__blocks_visit(mf_runtime *rt, int64_t deadline);

/* After that: settles fresh, run and hand, before anything else uses them in the dead one's name.
 */
void mf__blocks_settle(mf_runtime *rt);

/* After that: frees what it owned. */
void mf__blocks_recover(mf_runtime *rt);

/* Blocks in use now, by a walk: for tests, alone. */
uint64_t mf__block_count(mf_runtime *rt);

/* The first of them, or NULL: to tell what was left. */
struct mf_block *mf__block_first(mf_runtime *rt);

/* The block at an offset that was read from shared memory: NULL for 0, and for what cannot be the
 * offset of a block. */
static inline struct mf_block *mf__block_at(const mf_runtime *rt, uint64_t offset)
{
    bool can_be = offset % sizeof(struct mf_block) == 0 && mf__is_in_units(rt, offset, 64);
    return can_be ? mf__at(rt, offset) : NULL;
}

/* False for one that was freed: a chain of blocks that leads back into itself ends there. */
static inline bool mf__block_is_used(const struct mf_block *b)
{
    return atomic_load_explicit(&b->tag, memory_order_relaxed) & MF_BLOCK_USED;
}

#endif
