/* class.c - small blocks: see class.h. */
#include "class.h"

#include "crash.h"
#include "slot.h"
#include "unit.h"

#define LARGEST 36 /* 32 KiB */

uint32_t mf__class_of(size_t size)
{
    if (size <= 64)
        return 0;
    if (size > mf__class_size(LARGEST))
        return MF_CLASSES;
    uint32_t top = 63 - (uint32_t)__builtin_clzll(size - 1); /* 2^top < size <= 2^(top+1) */
    return (top - 6) * 4 + (uint32_t)((size - 1) >> (top - 2)) - 4 + 1;
}

void mf__classes_init(mf_runtime *rt)
{
    for (int c = 0; c < MF_CLASSES; c++)
        mf__mutex_init(&rt->arena->classes[c].lock);
}

/* --- the list -----------------------------------------------------------------------------------
 */

/* Where a free block keeps the offset of the one before it. */
static _Atomic uint64_t *hint_of(const struct mf_block *b)
{
    return (_Atomic uint64_t *)(uintptr_t)b->payload;
}

static uint64_t next(const struct mf_block *b)
{
    return atomic_load_explicit(&b->next, memory_order_relaxed);
}

/* The block at an offset read from shared memory, or NULL for 0 and for what cannot be of this
 * class. */
static struct mf_block *at(const mf_runtime *rt, uint32_t c, uint64_t offset)
{
    return mf__is_in_units(rt, offset, mf__class_size(c)) ? mf__block_at(rt, offset) : NULL;
}

/* The first free block of a class. NULL also when what is listed cannot be one: the list is lost.
 */
static struct mf_block *first(const mf_runtime *rt, uint32_t c)
{
    return at(rt, c, atomic_load_explicit(&rt->arena->classes[c].free, memory_order_relaxed));
}

static bool is_listed(const struct mf_block *b, uint32_t c)
{
    uint32_t tag = atomic_load_explicit(&b->tag, memory_order_relaxed);
    return (tag & ~MF_BLOCK_IDLE) == (c | MF_BLOCK_LISTED);
}

/* Where the offset of a listed block stands: in the one before it or in the class. */
static _Atomic uint64_t *link_behind(const mf_runtime *rt, uint32_t c, struct mf_block *b)
{
    return b ? &b->next : &rt->arena->classes[c].free;
}

/* The block before one of the list, by its hint; NULL when that cannot be. */
static struct mf_block *before(const mf_runtime *rt, uint32_t c, const struct mf_block *b)
{
    return at(rt, c, atomic_load_explicit(hint_of(b), memory_order_relaxed));
}

/* Notes in the block at an offset, if there is one, that p is before it now; NULL: it is first. */
static void hint(const mf_runtime *rt, uint32_t c, uint64_t offset, const struct mf_block *p)
{
    struct mf_block *b = at(rt, c, offset);
    if (b && is_listed(b, c))
        atomic_store_explicit(hint_of(b), p ? mf__offset(rt, p) : 0, memory_order_relaxed);
}

bool mf__class_has(mf_runtime *rt, uint32_t c, const struct mf_block *b)
{
    if (!is_listed(b, c))
        return false;
    if (first(rt, c) == b)
        return true;
    const struct mf_block *p = before(rt, c, b);
    return p && is_listed(p, c) && next(p) == mf__offset(rt, b);
}

void mf__class_unlist(mf_runtime *rt, uint32_t c, struct mf_block *b)
{
    struct mf_block *p = first(rt, c) == b ? NULL : before(rt, c, b);
    mf__note(link_behind(rt, c, p), next(b));
    MF_CRASH("class.unlist.unlisted");
    hint(rt, c, next(b), p);
    atomic_store_explicit(&b->tag, 0, memory_order_relaxed);
}

/* --- after a death inside -----------------------------------------------------------------------
 */

/* The block that the class would carve next, if its slab is not used up. */
static uint64_t frontier(const mf_runtime *rt, uint32_t c)
{
    uint64_t carved = atomic_load_explicit(&rt->arena->classes[c].carve, memory_order_relaxed);
    return mf__unit_offset(rt, (uint32_t)(carved >> 32)) +
           (uint64_t)(uint32_t)carved * mf__class_size(c);
}

/* Also when the word cannot be: the slab is left then. */
static bool slab_is_used_up(const mf_runtime *rt, uint32_t c)
{
    uint64_t carved = atomic_load_explicit(&rt->arena->classes[c].carve, memory_order_relaxed);
    return carved == 0 || (uint32_t)carved >= mf__class_in_slab(rt, (uint32_t)(carved >> 32), c);
}

/* Whose is the block that the victim was moving? */
static void settle_fresh(mf_runtime *rt, uint32_t c, struct mf_slot *victim)
{
    uint64_t fresh = atomic_load(&victim->fresh);
    struct mf_block *b = at(rt, c, fresh);
    if (!b)
        return;
    bool is_uncarved = !slab_is_used_up(rt, c) && fresh == frontier(rt, c);
    if (is_uncarved) {
        mf__note(&victim->fresh, 0);
    } else if (b == first(rt, c)) {
        hint(rt, c, next(b), b);
        mf__note(&victim->fresh, 0);
    } else if (is_listed(b, c)) { /* it is not: it was just taken out, or not put in yet */
        atomic_store_explicit(&b->tag, c | MF_BLOCK_USED, memory_order_relaxed);
    }
}

/* A block that its list has left behind, while the one after it perhaps does not know that yet. */
static void finish_unlisting(mf_runtime *rt, uint32_t c, struct mf_block *b)
{
    const struct mf_block *after = at(rt, c, next(b));
    if (after && before(rt, c, after) == b)
        hint(rt, c, next(b), first(rt, c) == after ? NULL : before(rt, c, b));
    MF_CRASH("class.settle.hinted");
    atomic_store_explicit(&b->tag, 0, memory_order_relaxed);
}

/* Takes the rest of a slab's blocks out of the list. All of them were in it, so that at most one,
 * the last that was taken out, is neither in it nor wiped. */
static void unlist_slab(mf_runtime *rt, uint32_t c, uint32_t unit)
{
    uint32_t n = mf__class_in_slab(rt, unit, c);
    for (uint32_t i = 0; i < n; i++) {
        struct mf_block *b = mf__class_block(rt, unit, c, i);
        if (is_listed(b, c) && !mf__class_has(rt, c, b))
            finish_unlisting(rt, c, b);
    }
    for (uint32_t i = 0; i < n; i++)
        if (mf__class_has(rt, c, mf__class_block(rt, unit, c, i)))
            mf__class_unlist(rt, c, mf__class_block(rt, unit, c, i));
}

/* Whose is the run that the victim was making a slab of, or no slab? */
static void settle_run(mf_runtime *rt, uint32_t c, struct mf_slot *victim)
{
    uint32_t run = atomic_load(&victim->run), unit = (run & 0xffffff) - 1;
    if (run == 0)
        return;
    if (run == mf__class_slab(rt, c)) {
        mf__note(&victim->run, 0);
    } else if (run == mf__run_dissolving(c, unit)) {
        bool leaves = mf__units_tag_of(rt, unit) == MF_RUN_LEAVING;
        if (leaves)
            unlist_slab(rt, c, unit);
        mf__note(&victim->run, leaves ? unit + 1 : 0);
    }
}

static void settle(mf_runtime *rt, uint32_t c)
{
    struct mf_class *class = &rt->arena->classes[c];
    uint32_t victim = atomic_load_explicit(&class->lock.holder, memory_order_relaxed);
    if (!victim)
        return;
    settle_fresh(rt, c, mf__slot_at(rt, victim - 1));
    MF_CRASH("class.settle.fresh");
    settle_run(rt, c, mf__slot_at(rt, victim - 1));
    MF_CRASH("class.settle.run");
}

int mf__class_lock(mf_runtime *rt, uint32_t c, int64_t deadline)
{
    struct mf_mutex *x = &rt->arena->classes[c].lock;
    int rc = mf__mutex_lock(x, rt->slot, deadline);
    if (rc == MF_OWNER_DIED) {
        settle(rt, c);
        mf__mutex_settled(x, rt->slot);
        rc = 0;
    }
    return rc;
}

void mf__class_unlock(mf_runtime *rt, uint32_t c)
{
    mf__mutex_unlock(&rt->arena->classes[c].lock);
}

/* --- taking and giving --------------------------------------------------------------------------
 */

uint32_t mf__class_slab(const mf_runtime *rt, uint32_t c)
{
    uint64_t carved = atomic_load_explicit(&rt->arena->classes[c].carve, memory_order_relaxed);
    return carved ? (uint32_t)(carved >> 32) + 1 : 0;
}

/* Carves the next block of the class's slab, which is known to have room. */
static struct mf_block *carve(mf_runtime *rt, uint32_t c)
{
    struct mf_class *class = &rt->arena->classes[c];
    struct mf_block *b = mf__at(rt, frontier(rt, c));
    mf__note(&rt->self->fresh, mf__offset(rt, b));
    MF_CRASH("class.carve.noted_fresh");
    atomic_store_explicit(&b->owner, 0, memory_order_relaxed);
    atomic_store_explicit(&b->tag, c, memory_order_relaxed);
    MF_CRASH("class.carve.headed");
    mf__note(&class->carve, atomic_load_explicit(&class->carve, memory_order_relaxed) + 1);
    MF_CRASH("class.carve.carved");
    atomic_store_explicit(&b->tag, c | MF_BLOCK_USED, memory_order_release);
    return b;
}

/* Wipes the headers that a slab will have: a run may carry another life's bytes. */
static void wipe(mf_runtime *rt, uint32_t unit, uint32_t c)
{
    for (uint32_t i = 0, n = mf__class_in_slab(rt, unit, c); i < n; i++)
        atomic_store_explicit(&mf__class_block(rt, unit, c, i)->tag, 0, memory_order_relaxed);
}

/* Units of a class's next slab. Of large blocks a unit holds few, and the rest is lost: where more
 * than that are wanted, a slab is longer. */
static uint32_t next_length(const mf_runtime *rt, uint32_t c)
{
    return mf__class_size(c) >= MF_UNIT / 8 && mf__class_slab(rt, c) ? MF_SLAB_UNITS : 1;
}

/* Gives the class a new slab. */
static bool add_slab(mf_runtime *rt, uint32_t c)
{
    uint32_t unit, n = next_length(rt, c);
    if (mf__units_take(rt, n, &unit) < 0)
        return false;
    MF_CRASH("class.slab.taken");
    wipe(rt, unit, c);
    MF_CRASH("class.slab.wiped");
    mf__units_tag(rt, unit, c);
    MF_CRASH("class.slab.tagged");
    mf__note(&rt->arena->classes[c].carve, (uint64_t)unit << 32);
    MF_CRASH("class.slab.known");
    mf__note(&rt->self->run, 0);
    return true;
}

static struct mf_block *pop(mf_runtime *rt, uint32_t c, struct mf_block *b)
{
    mf__note(&rt->self->fresh, mf__offset(rt, b));
    MF_CRASH("class.take.noted_fresh");
    mf__note(&rt->arena->classes[c].free, next(b));
    MF_CRASH("class.take.unlisted");
    atomic_store_explicit(&b->tag, c | MF_BLOCK_USED, memory_order_relaxed);
    return b;
}

struct mf_block *mf__class_take(mf_runtime *rt, uint32_t c)
{
    mf__class_lock(rt, c, MF_FOREVER);
    struct mf_block *b = first(rt, c);
    if (b)
        b = pop(rt, c, b);
    else if (!slab_is_used_up(rt, c) || add_slab(rt, c))
        b = carve(rt, c);
    mf__class_unlock(rt, c);
    return b;
}

void mf__class_give(mf_runtime *rt, struct mf_block *b, uint32_t c)
{
    _Atomic uint64_t *head = &rt->arena->classes[c].free;
    mf__class_lock(rt, c, MF_FOREVER);
    uint64_t behind = atomic_load_explicit(head, memory_order_relaxed);
    atomic_store_explicit(&b->tag, c | MF_BLOCK_LISTED, memory_order_relaxed);
    atomic_store_explicit(&b->next, behind, memory_order_relaxed);
    MF_CRASH("class.give.prepared");
    mf__note(head, mf__offset(rt, b));
    MF_CRASH("class.give.listed");
    hint(rt, c, behind, b);
    mf__note(&rt->self->fresh, 0);
    mf__class_unlock(rt, c);
}
