/*
 * unit.h - the arena's coarse memory: runs of 64 KiB units, kept in a map of one word a unit.
 *
 * A map word at a run's first unit is USED or FREE with the run's length; words inside a run are 0.
 * A free run is WARM when some of its pages may be there: mf__units_trim gives them back. It is
 * COLD when not all of its pages are known to be there: they are asked for when it is taken,
 * because a refusal is an answer where touching them would kill. The map alone is the truth: it can
 * be walked from unit 0 by adding lengths, and each change is one store, so that a kill leaves it
 * valid. `used` and the hints are caches of it, made anew after a death inside the lock.
 */
#ifndef MF_UNIT_H
#define MF_UNIT_H

#include "arena.h"

/* What a used run holds, in its map word. Classes of small blocks are 0..MF_CLASSES-1. */
#define MF_RUN_LARGE 127u   /* one block */
#define MF_RUN_RAW 126u     /* just taken: not to be looked into */
#define MF_RUN_GONE 125u    /* about to be free, without pages */
#define MF_RUN_LEAVING 124u /* was a slab, and some of its blocks may be listed still */
#define MF_RUN_NONE UINT32_MAX

/* Prepares the pool of a new arena. */
void mf__units_init(mf_runtime *rt, uint32_t budget);

/* Takes a run of n units, tagged MF_RUN_RAW. Its first unit goes to *ret_unit, and unit + 1 into
 * self->run, where it stays until the caller has made it known elsewhere and clears it. The pages
 * of a cold run are populated, outside the lock. MF_ENOMEM. */
int mf__units_take(mf_runtime *rt, uint32_t n, uint32_t *ret_unit);

/* Says what a run holds, now that it holds it. */
void mf__units_tag(mf_runtime *rt, uint32_t unit, uint32_t tag);

/* Gives the run back that self->run names, and clears that. */
void mf__units_give(mf_runtime *rt, uint32_t unit);

/* Gives pages of free runs back to the system, where those of a second have not been needed: all
 * but a few MiB, and but what was in use in that second. A part of them at a call, so that it does
 * not take long. To be called now and then by who waits; it holds no lock and has no run. */
void mf__units_trim(mf_runtime *rt);

/* Takes and leaves the lock, so that a death inside it is settled. 0 or MF_ETIMEOUT. */
int mf__units_visit(mf_runtime *rt, int64_t deadline);

/* The length of the run that begins at a unit, and what it holds: MF_RUN_NONE when it is free, or
 * none begins there. */
uint32_t mf__units_length(const mf_runtime *rt, uint32_t unit);
uint32_t mf__units_tag_of(const mf_runtime *rt, uint32_t unit);

/* The first used run at or behind *unit: false when there is none. Takes the lock; what it tells
 * may be over by now. */
bool mf__units_next(mf_runtime *rt, uint32_t *unit, uint32_t *ret_n, uint32_t *ret_tag);

/* Calls see(unit, length, tag) for each used run, in order, outside the lock. */
void mf__units_each(mf_runtime *rt,
                    void (*see)(mf_runtime *rt, uint32_t unit, uint32_t n, uint32_t tag, void *arg),
                    void *arg);

static inline uint64_t mf__unit_offset(const mf_runtime *rt, uint32_t unit)
{
    return rt->units_at + (uint64_t)unit * MF_UNIT;
}

#endif
