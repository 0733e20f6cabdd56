/* slab.c - idle slabs: see slab.h. */
#include "slab.h"

#include "class.h"
#include "crash.h"
#include "slot.h"
#include "unit.h"

#define REST MF_SECOND        /* for which the marks must stand */
#define PAUSE (100 * MF_MSEC) /* between two parts of a walk */
#define WORK 65536u           /* blocks looked at in a part: some 10 ms */
#define WORK_OF_A_RUN 16u     /* what a look at the map costs, in blocks */
#define MARKS 4u

static struct mf_block *marked_block(const mf_runtime *rt, uint32_t unit, uint32_t c, uint32_t k)
{
    return mf__class_block(rt, unit, c, k * (mf__class_in_slab(rt, unit, c) / MARKS));
}

/* In a slab's first block, which is free: the number of one that was in use at the last look, to be
 * asked first. It may be anything. */
static _Atomic uint32_t *obstacle(const mf_runtime *rt, uint32_t unit, uint32_t c)
{
    uint8_t *payload = mf__class_block(rt, unit, c, 0)->payload;
    return (_Atomic uint32_t *)(void *)(payload + MF_CLASS_HINT);
}

/* From here on under the lock. Is it a slab of the class, and not the one it carves from? */
static bool is_slab(const mf_runtime *rt, uint32_t unit, uint32_t c)
{
    return mf__units_tag_of(rt, unit) == c && mf__class_slab(rt, c) != unit + 1;
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

static bool is_free(mf_runtime *rt, uint32_t unit, uint32_t c, uint32_t *work)
{
    uint32_t n = mf__class_in_slab(rt, unit, c), i = atomic_load(obstacle(rt, unit, c));
    if (i < n && !mf__class_has(rt, c, mf__class_block(rt, unit, c, i)))
        return false;
    for (i = 0; i < n; i++)
        if (!mf__class_has(rt, c, mf__class_block(rt, unit, c, i)))
            break;
    *work += i;
    atomic_store(obstacle(rt, unit, c), i);
    return i == n;
}

/* Makes it a run that is nobody's but in self->run. */
static void dissolve(mf_runtime *rt, uint32_t unit, uint32_t c)
{
    mf__note(&rt->self->run, mf__run_dissolving(c, unit));
    MF_CRASH("slab.dissolve.noted");
    mf__units_tag(rt, unit, MF_RUN_LEAVING); /* the commit */
    MF_CRASH("slab.dissolve.committed");
    for (uint32_t i = 0, n = mf__class_in_slab(rt, unit, c); i < n; i++)
        mf__class_unlist(rt, c, mf__class_block(rt, unit, c, i));
    MF_CRASH("slab.dissolve.unlisted");
    mf__note(&rt->self->run, unit + 1);
}

/* One look: true when the slab was taken apart, and its run is noted in self->run. */
static bool look(mf_runtime *rt, uint32_t unit, uint32_t c, uint32_t *work)
{
    uint32_t flags = is_slab(rt, unit, c) ? flags_of_marked(rt, unit, c) : 0;
    if (!(flags & MF_BLOCK_LISTED))
        return false;
    if (!(flags & MF_BLOCK_IDLE)) {
        mark(rt, unit, c);
    } else if (is_free(rt, unit, c, work)) {
        dissolve(rt, unit, c);
        *work += mf__class_in_slab(rt, unit, c);
    }
    return rt->self->run != 0;
}

/* Looks at a run if it is one for it. */
static void trim(mf_runtime *rt, uint32_t unit, uint32_t c, uint32_t *work)
{
    if (c >= MF_CLASSES || mf__class_slab(rt, c) == unit + 1)
        return;
    mf__class_lock(rt, c, MF_FOREVER);
    bool leaves = look(rt, unit, c, work);
    mf__class_unlock(rt, c);
    MF_CRASH("slab.trim.unlocked");
    if (leaves)
        mf__units_give(rt, unit);
}

/* Is this process to do a part of the walk? The others leave it alone for a while, also when it is
 * killed. */
static bool is_due(struct mf_slab_walk *walk, int64_t now)
{
    int64_t due = atomic_load_explicit(&walk->next, memory_order_relaxed);
    return now >= due && atomic_compare_exchange_strong(&walk->next, &due, now + PAUSE);
}

void mf__slabs_trim(mf_runtime *rt)
{
    struct mf_slab_walk *walk = &rt->arena->slab_walk;
    int64_t now = mf__now();
    if (!is_due(walk, now))
        return;
    uint32_t unit = atomic_load_explicit(&walk->unit, memory_order_relaxed), n, tag;
    for (uint32_t work = 0; work < WORK; work += WORK_OF_A_RUN, unit += n) {
        if (!mf__units_next(rt, &unit, &n, &tag)) {
            unit = 0;
            atomic_store_explicit(&walk->next, now + REST, memory_order_relaxed);
            break;
        }
        trim(rt, unit, tag, &work);
    }
    atomic_store_explicit(&walk->unit, unit, memory_order_relaxed);
}
