/* slab.c - idle slabs: see slab.h. */
#include "slab.h"

#include "class.h"
#include "crash.h"
#include "slot.h"
#include "unit.h"

#define REST MF_SECOND      /* for which the marks must stand */
#define LOOKS_AT_ONCE 4096u /* slabs looked at in a call: some ms */
#define TRIM_AT_ONCE 256u   /* slabs given back in a call: 64 MiB, some 30 ms */
#define MARKS 4u

static uint32_t blocks_in_slab(uint32_t c)
{
    return MF_SLAB_UNITS * MF_UNIT / mf__class_size(c);
}

static struct mf_block *block(const mf_runtime *rt, uint32_t unit, uint32_t c, uint32_t i)
{
    return mf__at(rt, mf__unit_offset(rt, unit) + (uint64_t)i * mf__class_size(c));
}

static struct mf_block *marked_block(const mf_runtime *rt, uint32_t unit, uint32_t c, uint32_t k)
{
    return block(rt, unit, c, k * (blocks_in_slab(c) / MARKS));
}

/* From here on under the lock. Is it a slab of the class, and not the one it carves from? */
static bool is_slab(const mf_runtime *rt, uint32_t unit, uint32_t c)
{
    return mf__units_tag_of(rt, unit) == c && mf__units_length(rt, unit) == MF_SLAB_UNITS &&
           mf__class_slab(rt, c) != unit + 1;
}

/* The flags that all blocks have that carry marks. */
static uint32_t flags_of_marked(const mf_runtime *rt, uint32_t unit, uint32_t c)
{
    uint32_t flags = MF_BLOCK_LISTED | MF_BLOCK_IDLE;
    for (uint32_t k = 0; k < MARKS; k++)
        flags &= atomic_load_explicit(&marked_block(rt, unit, c, k)->tag, memory_order_relaxed);
    return flags;
}

static void mark(mf_runtime *rt, uint32_t unit, uint32_t c)
{
    for (uint32_t k = 0; k < MARKS; k++) {
        struct mf_block *b = marked_block(rt, unit, c, k);
        if (mf__class_has(rt, c, b))
            atomic_fetch_or_explicit(&b->tag, MF_BLOCK_IDLE, memory_order_relaxed);
    }
}

static bool is_free(mf_runtime *rt, uint32_t unit, uint32_t c)
{
    for (uint32_t i = 0; i < blocks_in_slab(c); i++)
        if (!mf__class_has(rt, c, block(rt, unit, c, i)))
            return false;
    return true;
}

/* Makes it a run that is nobody's but in self->run. */
static void dissolve(mf_runtime *rt, uint32_t unit, uint32_t c)
{
    mf__note(&rt->self->run, mf__run_dissolving(c, unit));
    MF_CRASH("slab.dissolve.noted");
    mf__units_tag(rt, unit, MF_RUN_LEAVING); /* the commit */
    MF_CRASH("slab.dissolve.committed");
    for (uint32_t i = 0; i < blocks_in_slab(c); i++)
        mf__class_unlist(rt, c, block(rt, unit, c, i));
    MF_CRASH("slab.dissolve.unlisted");
    mf__note(&rt->self->run, unit + 1);
}

/* One look: true when the slab was taken apart, and its run is noted in self->run. */
static bool look(mf_runtime *rt, uint32_t unit, uint32_t c)
{
    uint32_t flags = is_slab(rt, unit, c) ? flags_of_marked(rt, unit, c) : 0;
    if (!(flags & MF_BLOCK_LISTED))
        return false;
    if (!(flags & MF_BLOCK_IDLE))
        mark(rt, unit, c);
    else if (is_free(rt, unit, c))
        dissolve(rt, unit, c);
    return rt->self->run != 0;
}

/* Looks at a run if it is one for it. */
static bool trim(mf_runtime *rt, uint32_t unit, uint32_t n, uint32_t c)
{
    if (c >= MF_CLASSES || n != MF_SLAB_UNITS || mf__class_slab(rt, c) == unit + 1)
        return false;
    mf__class_lock(rt, c, MF_FOREVER);
    bool leaves = look(rt, unit, c);
    mf__class_unlock(rt, c);
    MF_CRASH("slab.trim.unlocked");
    if (leaves)
        mf__units_give(rt, unit);
    return leaves;
}

void mf__slabs_trim(mf_runtime *rt)
{
    struct mf_slab_walk *walk = &rt->arena->slab_walk;
    uint32_t unit = atomic_load_explicit(&walk->unit, memory_order_relaxed), n, tag, given = 0;
    int64_t now = mf__now();
    if (now < atomic_load_explicit(&walk->next, memory_order_relaxed))
        return;
    for (uint32_t looks = 0; looks < LOOKS_AT_ONCE && given < TRIM_AT_ONCE; looks++, unit += n) {
        if (!mf__units_next(rt, &unit, &n, &tag)) {
            unit = 0;
            atomic_store_explicit(&walk->next, now + REST, memory_order_relaxed);
            break;
        }
        given += trim(rt, unit, n, tag);
    }
    atomic_store_explicit(&walk->unit, unit, memory_order_relaxed);
}
