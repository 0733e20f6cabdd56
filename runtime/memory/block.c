/* block.c - small and large blocks of the arena: see block.h. */
#include "block.h"

#include "class.h"
#include "crash.h"
#include "object.h"
#include "slot.h"
#include "unit.h"

#define LARGE MF_RUN_LARGE

static uint32_t kind_of(const struct mf_block *b)
{
    return atomic_load_explicit(&b->tag, memory_order_relaxed) & 127;
}

void mf__block_adopt(mf_runtime *rt, struct mf_block *b, uint32_t slot)
{
    if (atomic_load_explicit(&b->owner, memory_order_relaxed) == slot + 1)
        return;
    atomic_fetch_add_explicit(&mf__slot_at(rt, slot)->owned, 1, memory_order_relaxed);
    MF_CRASH("block.adopt.counted");
    atomic_store_explicit(&b->owner, slot + 1, memory_order_relaxed);
}

/* Names the new owner of a block that is in self->fresh, then empties fresh. */
static void settle_owner(mf_runtime *rt, struct mf_block *b, uint32_t owner)
{
    if (owner == MF_IN_HAND) {
        mf__note(&rt->self->hand, mf__offset(rt, b));
    } else {
        mf__block_adopt(rt, b, owner);
    }
    MF_CRASH("block.take.owned");
    mf__note(&rt->self->fresh, 0);
}

static struct mf_block *take_large(mf_runtime *rt, size_t size)
{
    uint32_t unit;
    size_t n = (size + MF_UNIT - 1) / MF_UNIT;
    if (n >= 1u << 24 || mf__units_take(rt, (uint32_t)n, &unit) < 0)
        return NULL;
    struct mf_block *b = mf__at(rt, mf__unit_offset(rt, unit));
    atomic_store_explicit(&b->owner, 0, memory_order_relaxed);
    atomic_store_explicit(&b->tag, LARGE | MF_BLOCK_USED, memory_order_relaxed);
    MF_CRASH("block.take_large.headed");
    mf__units_tag(rt, unit, LARGE);
    MF_CRASH("block.take_large.tagged");
    mf__note(&rt->self->fresh, mf__offset(rt, b));
    MF_CRASH("block.take_large.noted_fresh");
    mf__note(&rt->self->run, 0);
    return b;
}

struct mf_block *mf__block_new(mf_runtime *rt, size_t size, uint32_t owner)
{
    if (size > (size_t)1 << 40)
        return NULL;
    size += sizeof(struct mf_block);
    uint32_t c = mf__class_of(size);
    struct mf_block *b = c < MF_CLASSES ? mf__class_take(rt, c) : take_large(rt, size);
    if (!b)
        return NULL;
    atomic_store_explicit(&b->next, 0, memory_order_relaxed);
    MF_CRASH("block.take.nobodys");
    settle_owner(rt, b, owner);
    return b;
}

static uint32_t unit_of(const mf_runtime *rt, const struct mf_block *b)
{
    return (uint32_t)((mf__offset(rt, b) - rt->units_at) / MF_UNIT);
}

/* Puts a block that is in self->fresh, and nowhere else, back to where it came from. */
static void give(mf_runtime *rt, struct mf_block *b)
{
    uint32_t c = kind_of(b);
    if (c == LARGE) {
        mf__note(&rt->self->run, unit_of(rt, b) + 1);
        MF_CRASH("block.give_large.noted_run");
        mf__note(&rt->self->fresh, 0); /* the run stands for it from here on */
        MF_CRASH("block.give_large.run_stands");
        atomic_store_explicit(&b->tag, c, memory_order_relaxed); /* see mf__block_is_used */
        mf__units_give(rt, unit_of(rt, b));
        return;
    }
    if (c < MF_CLASSES)
        mf__class_give(rt, b, c);
    else /* no block of ours */
        mf__note(&rt->self->fresh, 0);
}

void mf__block_disown(mf_runtime *rt, struct mf_block *b)
{
    uint32_t owner = atomic_load_explicit(&b->owner, memory_order_relaxed);
    if (!owner)
        return;
    atomic_store_explicit(&b->owner, 0, memory_order_relaxed);
    MF_CRASH("block.disown.nobodys");
    atomic_fetch_sub_explicit(&mf__slot_at(rt, owner - 1)->owned, 1, memory_order_relaxed);
}

void mf__block_free(mf_runtime *rt, struct mf_block *b)
{
    if (!b || !mf__block_is_used(b))
        return;
    if (atomic_load_explicit(&b->tag, memory_order_relaxed) & MF_BLOCK_KEEPS)
        mf__object_unkeep(rt, b, (const uint64_t *)b->payload);
    mf__note(&rt->self->fresh, mf__offset(rt, b));
    MF_CRASH("block.free.noted_fresh");
    if (atomic_load_explicit(&rt->self->hand, memory_order_relaxed) == mf__offset(rt, b))
        mf__note(&rt->self->hand, 0);
    MF_CRASH("block.free.no_hand");
    mf__block_disown(rt, b);
    MF_CRASH("block.free.disowned");
    give(rt, b);
}

void mf__block_to_hand(mf_runtime *rt, struct mf_block *b)
{
    mf__note(&rt->self->hand, mf__offset(rt, b));
    MF_CRASH("block.to_hand.noted");
    mf__block_disown(rt, b);
}

void mf__block_from_hand(mf_runtime *rt, struct mf_block *b)
{
    mf__block_adopt(rt, b, rt->slot);
    MF_CRASH("block.from_hand.adopted");
    mf__note(&rt->self->hand, 0);
}

void mf__block_pass(mf_runtime *rt, struct mf_block *b, uint32_t slot)
{
    atomic_fetch_add_explicit(&mf__slot_at(rt, slot)->owned, 1, memory_order_relaxed);
    MF_CRASH("block.pass.counted");
    mf__note(&b->owner, slot + 1);
    MF_CRASH("block.pass.passed");
    atomic_fetch_sub_explicit(&rt->self->owned, 1, memory_order_relaxed);
}

size_t mf__block_room(const mf_runtime *rt, const struct mf_block *b)
{
    uint32_t c = kind_of(b);
    size_t left = rt->reserve - mf__offset(rt, b), whole = 0;
    if (c == LARGE)
        whole = (size_t)mf__units_length(rt, unit_of(rt, b)) * MF_UNIT;
    else if (c < MF_CLASSES)
        whole = mf__class_size(c);
    whole = whole < left ? whole : left;
    return whole > sizeof(struct mf_block) ? whole - sizeof(struct mf_block) : 0;
}

/* --- after a death: rt acts in the name of the dead slot (death.h) ------------------------------
 */

int mf__blocks_visit(mf_runtime *rt, int64_t deadline)
{
    for (uint32_t c = 0; c < MF_CLASSES; c++) {
        if (mf__class_lock(rt, c, deadline) < 0)
            return MF_ETIMEOUT;
        mf__class_unlock(rt, c);
    }
    return mf__units_visit(rt, deadline);
}

/* A run that was taken and not made known: neither a slab of a class nor a block in fresh. */
static void recover_run(mf_runtime *rt)
{
    uint32_t unit = atomic_load(&rt->self->run);
    if (!unit)
        return;
    struct mf_block *b = mf__at(rt, mf__unit_offset(rt, unit - 1));
    MF_CRASH("block.recover.run");
    if (atomic_load(&rt->self->fresh) == mf__offset(rt, b))
        mf__note(&rt->self->run, 0);
    else
        mf__units_give(rt, unit - 1);
}

/* A block that is still the dead one's was not passed on: `link` must not name it any more. */
static void unlink_block(mf_runtime *rt, uint64_t offset)
{
    if (atomic_load(&rt->self->link) == offset)
        mf__note(&rt->self->link, 0);
}

/* The tag first: until it says used, the owner may be any byte of an earlier life. */
static bool is_owned(const mf_runtime *rt, const struct mf_block *b)
{
    return atomic_load_explicit(&b->tag, memory_order_acquire) & MF_BLOCK_USED &&
           atomic_load_explicit(&b->owner, memory_order_acquire) == rt->slot + 1;
}

/* A place in a run that held `tag` a moment ago. A run with a block of the dead one stays what it
 * is; another may hold a message by now, whose bytes are no header. So the run is looked at between
 * two looks at the header. */
static void recover_block(mf_runtime *rt, struct mf_block *b, uint32_t unit, uint32_t tag)
{
    if (!is_owned(rt, b) || mf__units_tag_of(rt, unit) != tag || !is_owned(rt, b))
        return;
    unlink_block(rt, mf__offset(rt, b));
    MF_CRASH("block.recover.unlinked");
    mf__block_free(rt, b);
}

static void recover_owned(mf_runtime *rt, uint32_t unit, uint32_t n, uint32_t tag, void *arg)
{
    (void)arg;
    uint8_t *at = mf__at(rt, mf__unit_offset(rt, unit));
    if (tag == LARGE)
        recover_block(rt, (struct mf_block *)at, unit, tag);
    for (uint64_t i = 0; tag < MF_CLASSES && i + mf__class_size(tag) <= (uint64_t)n * MF_UNIT;
         i += mf__class_size(tag))
        recover_block(rt, (struct mf_block *)(at + i), unit, tag);
}

void mf__blocks_settle(mf_runtime *rt)
{
    recover_run(rt);
    struct mf_block *b = mf__block_at(rt, atomic_load(&rt->self->fresh));
    if (b) {
        if (atomic_load(&rt->self->hand) == mf__offset(rt, b))
            mf__note(&rt->self->hand, 0);
        mf__block_disown(rt, b);
        give(rt, b);
    }
    MF_CRASH("block.recover.fresh");
    b = mf__block_at(rt, atomic_load(&rt->self->hand));
    /* Owned, not freed from the hand: objects that it keeps may end with it, and need the hand. */
    if (b)
        mf__block_from_hand(rt, b);
    MF_CRASH("block.recover.hand");
}

void mf__blocks_recover(mf_runtime *rt)
{
    if (atomic_load(&rt->self->owned))
        mf__units_each(rt, recover_owned, NULL);
    MF_CRASH("block.recover.owned");
    mf__note(&rt->self->owned, 0);
}

/* --- for tests ----------------------------------------------------------------------------------
 */

struct census {
    uint64_t count;
    struct mf_block *first;
};

static void count_block(struct census *census, struct mf_block *b)
{
    if (!(atomic_load(&b->tag) & MF_BLOCK_USED))
        return;
    census->count++;
    if (!census->first)
        census->first = b;
}

static void count_run(mf_runtime *rt, uint32_t unit, uint32_t n, uint32_t tag, void *arg)
{
    uint8_t *at = mf__at(rt, mf__unit_offset(rt, unit));
    if (tag == LARGE)
        count_block(arg, (struct mf_block *)at);
    for (uint64_t i = 0; tag < MF_CLASSES && i + mf__class_size(tag) <= (uint64_t)n * MF_UNIT;
         i += mf__class_size(tag))
        count_block(arg, (struct mf_block *)(at + i));
}

uint64_t mf__block_count(mf_runtime *rt)
{
    struct census census = {0};
    mf__units_each(rt, count_run, &census);
    return census.count;
}

struct mf_block *mf__block_first(mf_runtime *rt)
{
    struct census census = {0};
    mf__units_each(rt, count_run, &census);
    return census.first;
}
