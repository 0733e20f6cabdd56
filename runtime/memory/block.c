/* block.c - small and large blocks of the arena: see block.h. */
#include "block.h"

#include "crash.h"
#include "object.h"
#include "slot.h"
#include "unit.h"

#define LARGEST_CLASS 36 /* 32 KiB */
#define SLAB_UNITS 4u    /* a slab: 256 KiB */
#define LARGE MF_RUN_LARGE

/* Class c is (4 + c % 4) << (c / 4 + 4) bytes, header included: 64 80 96 112 128 160 ... 32768. */
static uint32_t class_size(uint32_t c)
{
    return (4 + c % 4) << (c / 4 + 4);
}

static uint32_t class_of(size_t size)
{
    if (size <= 64)
        return 0;
    uint32_t top = 63 - (uint32_t)__builtin_clzll(size - 1); /* 2^top < size <= 2^(top+1) */
    return (top - 6) * 4 + (uint32_t)((size - 1) >> (top - 2)) - 4 + 1;
}

static uint32_t kind_of(const struct mf_block *b)
{
    return atomic_load_explicit(&b->tag, memory_order_relaxed) & 127;
}

void mf__blocks_init(mf_runtime *rt)
{
    for (int c = 0; c < MF_CLASSES; c++)
        mf__mutex_init(&rt->arena->classes[c].lock);
}

/* The block that the class would carve next, if its slab is not used up. */
static uint64_t frontier(const mf_runtime *rt, const struct mf_class *class, uint32_t c)
{
    uint64_t carved = atomic_load_explicit(&class->carve, memory_order_relaxed);
    return mf__unit_offset(rt, (uint32_t)(carved >> 32)) +
           (uint64_t)(uint32_t)carved * class_size(c);
}

/* Also when the word cannot be: the slab is left then. */
static bool slab_is_used_up(const mf_runtime *rt, const struct mf_class *class, uint32_t c)
{
    uint64_t carved = atomic_load_explicit(&class->carve, memory_order_relaxed);
    uint64_t end = ((uint64_t)(uint32_t)carved + 1) * class_size(c);
    return carved == 0 || end > SLAB_UNITS * MF_UNIT || (carved >> 32) + SLAB_UNITS > rt->unit_max;
}

/* After a death inside: the class's words are each committed by one store, so the class is whole.
 * What is left is to tell whether the victim's block and run are its own or the class's. */
static void settle(mf_runtime *rt, struct mf_class *class, uint32_t c)
{
    uint32_t victim = atomic_load_explicit(&class->lock.holder, memory_order_relaxed);
    if (!victim)
        return;
    struct mf_slot *s = mf__slot_at(rt, victim - 1);
    uint64_t fresh = atomic_load(&s->fresh);
    bool is_uncarved = !slab_is_used_up(rt, class, c) && fresh == frontier(rt, class, c);
    if (fresh && (fresh == class->free || is_uncarved))
        mf__note(&s->fresh, 0);
    MF_CRASH("block.settle.fresh");
    uint32_t run = atomic_load(&s->run);
    if (run && class->carve && class->carve >> 32 == run - 1)
        mf__note(&s->run, 0);
    MF_CRASH("block.settle.run");
}

static int lock_until(mf_runtime *rt, struct mf_class *class, uint32_t c, int64_t deadline)
{
    int rc = mf__mutex_lock(&class->lock, rt->slot, deadline);
    if (rc == MF_OWNER_DIED) {
        settle(rt, class, c);
        mf__mutex_settled(&class->lock, rt->slot);
        rc = 0;
    }
    return rc;
}

static void lock(mf_runtime *rt, struct mf_class *class, uint32_t c)
{
    lock_until(rt, class, c, MF_FOREVER);
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

/* Carves the next block of the class's slab; the slab is known to have room. */
static struct mf_block *carve(mf_runtime *rt, struct mf_class *class, uint32_t c)
{
    struct mf_block *b = mf__at(rt, frontier(rt, class, c));
    mf__note(&rt->self->fresh, mf__offset(rt, b));
    MF_CRASH("block.carve.noted_fresh");
    atomic_store_explicit(&b->owner, 0, memory_order_relaxed);
    atomic_store_explicit(&b->tag, c, memory_order_relaxed);
    MF_CRASH("block.carve.headed");
    mf__note(&class->carve, atomic_load_explicit(&class->carve, memory_order_relaxed) + 1);
    MF_CRASH("block.carve.carved");
    atomic_store_explicit(&b->tag, c | MF_BLOCK_USED, memory_order_release);
    return b;
}

/* Wipes the headers that a slab will have: a run may carry another life's bytes. */
static void wipe(mf_runtime *rt, uint32_t unit, uint32_t c)
{
    uint8_t *slab = mf__at(rt, mf__unit_offset(rt, unit));
    for (uint32_t at = 0; at + class_size(c) <= SLAB_UNITS * MF_UNIT; at += class_size(c))
        atomic_store_explicit(&((struct mf_block *)(slab + at))->tag, 0, memory_order_relaxed);
}

/* The first free block of a class. NULL also when what is listed cannot be one: the list is lost.
 */
static struct mf_block *first_free(const mf_runtime *rt, const struct mf_class *class, uint32_t c)
{
    uint64_t head = atomic_load_explicit(&class->free, memory_order_relaxed);
    return mf__is_in_units(rt, head, class_size(c)) ? mf__block_at(rt, head) : NULL;
}

static struct mf_block *take_small(mf_runtime *rt, uint32_t c)
{
    struct mf_class *class = &rt->arena->classes[c];
    lock(rt, class, c);
    struct mf_block *b = first_free(rt, class, c);
    if (b) {
        mf__note(&rt->self->fresh, mf__offset(rt, b));
        MF_CRASH("block.take.noted_fresh");
        mf__note(&class->free, atomic_load_explicit(&b->next, memory_order_relaxed));
        MF_CRASH("block.take.unlisted");
        atomic_store_explicit(&b->tag, c | MF_BLOCK_USED, memory_order_relaxed);
    } else {
        uint32_t unit;
        if (slab_is_used_up(rt, class, c)) {
            if (mf__units_take(rt, SLAB_UNITS, &unit) < 0) {
                mf__mutex_unlock(&class->lock);
                return NULL;
            }
            MF_CRASH("block.slab.taken");
            wipe(rt, unit, c);
            MF_CRASH("block.slab.wiped");
            mf__units_tag(rt, unit, c);
            MF_CRASH("block.slab.tagged");
            mf__note(&class->carve, (uint64_t)unit << 32);
            MF_CRASH("block.slab.known");
            mf__note(&rt->self->run, 0);
        }
        b = carve(rt, class, c);
    }
    mf__mutex_unlock(&class->lock);
    return b;
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
    struct mf_block *b =
        size <= class_size(LARGEST_CLASS) ? take_small(rt, class_of(size)) : take_large(rt, size);
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
    if (c > LARGEST_CLASS) { /* no block of ours */
        mf__note(&rt->self->fresh, 0);
        return;
    }
    struct mf_class *class = &rt->arena->classes[c];
    lock(rt, class, c);
    atomic_store_explicit(&b->tag, c, memory_order_relaxed);
    atomic_store_explicit(&b->next, atomic_load_explicit(&class->free, memory_order_relaxed),
                          memory_order_relaxed);
    MF_CRASH("block.give.prepared");
    mf__note(&class->free, mf__offset(rt, b));
    MF_CRASH("block.give.listed");
    mf__note(&rt->self->fresh, 0);
    mf__mutex_unlock(&class->lock);
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
    else if (c <= LARGEST_CLASS)
        whole = class_size(c);
    whole = whole < left ? whole : left;
    return whole > sizeof(struct mf_block) ? whole - sizeof(struct mf_block) : 0;
}

/* --- after a death: rt acts in the name of the dead slot (death.h) ------------------------------
 */

int mf__blocks_visit(mf_runtime *rt, int64_t deadline)
{
    for (uint32_t c = 0; c < MF_CLASSES; c++) {
        struct mf_class *class = &rt->arena->classes[c];
        if (lock_until(rt, class, c, deadline) < 0)
            return MF_ETIMEOUT;
        mf__mutex_unlock(&class->lock);
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

static void recover_block(mf_runtime *rt, struct mf_block *b)
{
    /* The tag first: until it says used, the owner may be any byte of an earlier life. */
    if (!(atomic_load_explicit(&b->tag, memory_order_acquire) & MF_BLOCK_USED) ||
        atomic_load_explicit(&b->owner, memory_order_relaxed) != rt->slot + 1)
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
        recover_block(rt, (struct mf_block *)at);
    for (uint64_t i = 0; tag < MF_CLASSES && i + class_size(tag) <= (uint64_t)n * MF_UNIT;
         i += class_size(tag))
        recover_block(rt, (struct mf_block *)(at + i));
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
    for (uint64_t i = 0; tag < MF_CLASSES && i + class_size(tag) <= (uint64_t)n * MF_UNIT;
         i += class_size(tag))
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
