/*
 * class.h - small blocks: the classes, and the slabs that their blocks are carved from. For block.c
 * and slab.c alone.
 *
 * A class has a list of its free blocks, through block.next, and a slab of which it carves more. A
 * free block knows the one before it in the list, too, so that it can be taken out of the middle:
 * that is a hint, believed only where the other says the same.
 *
 * tag                      the block
 * 0                        was never carved
 * class | MF_BLOCK_LISTED  is in the list, or its giver was killed and it is in the intent `fresh`
 * class | MF_BLOCK_USED    is somebody's
 *
 * If the process dies inside the lock: see mf__class_lock.
 */
#ifndef MF_CLASS_H
#define MF_CLASS_H

#include "block.h"
#include "unit.h"

/* Units of the longest slab. Most have one: most families are small, and who takes a slab maps all
 * of it. */
#define MF_SLAB_UNITS 4u

/* In slot.run: this slab of class c is being taken apart. The class is told because who settles
 * another one finds the word, too. */
#define MF_RUN_DISSOLVING UINT32_C(0x80000000)
static inline uint32_t mf__run_dissolving(uint32_t c, uint32_t unit)
{
    return MF_RUN_DISSOLVING | c << 24 | (unit + 1);
}

/* Bytes of a block of class c, header included: (4 + c % 4) << (c / 4 + 4), which is 64 80 96 112
 * 128 160 ... 32768. */
static inline uint32_t mf__class_size(uint32_t c)
{
    return (4 + c % 4) << (c / 4 + 4);
}

/* How many blocks the slab that begins at a unit has, and number i of them. */
static inline uint32_t mf__class_in_slab(const mf_runtime *rt, uint32_t unit, uint32_t c)
{
    uint32_t n = mf__units_length(rt, unit);
    return (n < MF_SLAB_UNITS ? n : MF_SLAB_UNITS) * MF_UNIT / mf__class_size(c);
}

static inline struct mf_block *mf__class_block(const mf_runtime *rt, uint32_t unit, uint32_t c,
                                               uint32_t i)
{
    return mf__at(rt, mf__unit_offset(rt, unit) + (uint64_t)i * mf__class_size(c));
}

/* The class for blocks of so many bytes, header included; MF_CLASSES or more when they are too
 * large. */
uint32_t mf__class_of(size_t size);

void mf__classes_init(mf_runtime *rt);

/* 0, or MF_ETIMEOUT. When somebody died inside, what he did is finished or forgotten first: words
 * of the class are each committed by one store, so the class is whole. A block on its way in or out
 * is the list's, or his intent's and used. A slab that he was taking apart is no slab any more, or
 * wholly one. */
int mf__class_lock(mf_runtime *rt, uint32_t c, int64_t deadline);
void mf__class_unlock(mf_runtime *rt, uint32_t c);

/* Takes a block into self->fresh. NULL when the budget is used up. */
struct mf_block *mf__class_take(mf_runtime *rt, uint32_t c);

/* Puts the block that is in self->fresh into the list of its class. */
void mf__class_give(mf_runtime *rt, struct mf_block *b, uint32_t c);

/* Bytes at the beginning of a free block's payload that are the list's. */
#define MF_CLASS_HINT 8

/* The slab that the class carves from, which has blocks that no list knows. Unit + 1; 0 for none.
 */
uint32_t mf__class_slab(const mf_runtime *rt, uint32_t c);

/* Under the lock: is the block in the list, as far as its neighbours know? */
bool mf__class_has(mf_runtime *rt, uint32_t c, const struct mf_block *b);

/* Under the lock: takes one that is out of the list. It is as if it was never carved. */
void mf__class_unlist(mf_runtime *rt, uint32_t c, struct mf_block *b);

#endif
