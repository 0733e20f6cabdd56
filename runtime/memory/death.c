/* death.c - settling what a dead process left: see death.h. */
#include "death.h"

#include "block.h"
#include "crash.h"
#include "object.h"
#include "slot.h"

#include <errno.h>

/* How long a claimer bears with a stopped process. It comes again at its next look. */
#define PATIENCE (100 * MF_MSEC)

/* Settles the object that a field of the slot names (index + 1). 0 or MF_ETIMEOUT. */
static int settle_named(mf_runtime *rt, _Atomic uint32_t *field, int64_t deadline)
{
    uint32_t index = atomic_load(field);
    if (!index)
        return 0;
    struct mf_object *o = mf__object_at(rt, index - 1);
    const struct mf_kind *kind = mf__object_kind(rt, atomic_load(&o->kind));
    if (kind && kind->settle && kind->settle(rt, o, rt->self, deadline) < 0)
        return MF_ETIMEOUT;
    MF_CRASH("death.clean.settled");
    mf__note(field, 0);
    return 0;
}

/* As rt, but acting for another slot. */
static mf_runtime ghost_of(const mf_runtime *rt, uint32_t index)
{
    mf_runtime ghost = *rt;
    ghost.self = mf__slot_at(rt, index);
    ghost.slot = index;
    return ghost;
}

/* rt acts for the slot that is cleaned, here and below. Every lock that the slot could have died in
 * is visited first, and only so far does the deadline reach: MF_ETIMEOUT leaves a state to begin
 * again with. */
static int visit(mf_runtime *rt, int64_t deadline)
{
    if (settle_named(rt, &rt->self->busy, deadline) < 0 ||
        settle_named(rt, &rt->self->got, deadline) < 0 || mf__blocks_visit(rt, deadline) < 0 ||
        mf__objects_visit(rt, deadline) < 0)
        return MF_ETIMEOUT;
    MF_CRASH("death.clean.visited");
    return 0;
}

/* Its blocks too, unless somebody may be at work on them. */
static void recover(mf_runtime *rt, bool blocks_too)
{
    mf__blocks_settle(rt);
    MF_CRASH("death.clean.moved");
    if (blocks_too)
        mf__blocks_recover(rt);
    MF_CRASH("death.clean.recovered");
    mf__object_bereave_all(rt);
    MF_CRASH("death.clean.bereaved");
}

static int clean(mf_runtime *rt, int64_t deadline)
{
    if (visit(rt, deadline) < 0)
        return MF_ETIMEOUT;
    recover(rt, true);
    return 0;
}

/* Frees a slot that is still in the state given and that nobody lives in. */
static bool give_up(mf_runtime *rt, uint32_t index, uint64_t state, int64_t deadline)
{
    struct mf_slot *s = mf__slot_at(rt, index);
    int rc = mf__mutex_lock(&s->life, index, deadline);
    if (rc < 0)
        return false; /* somebody enters it, or frees it */
    if (rc == MF_OWNER_DIED)
        mf__mutex_settled(&s->life, index);
    mf_runtime ghost = ghost_of(rt, index);
    MF_CRASH("death.give_up.locked");
    bool freed = atomic_load(&s->state) == state && clean(&ghost, mf__now() + PATIENCE) == 0;
    if (freed)
        mf__slot_free(rt, index);
    MF_CRASH("death.give_up.freed");
    mf__mutex_unlock(&s->life);
    return freed;
}

bool mf__death_give_up(mf_runtime *rt, uint32_t index)
{
    uint64_t state = atomic_load(&mf__slot_at(rt, index)->state);
    return mf__phase(state) == MF_SLOT_STARTING && give_up(rt, index, state, 0);
}

/* Settles the children of a dead process, which no longer gets any. False while one of them lives.
 */
static bool settle_children(mf_runtime *rt, uint32_t index)
{
    bool all = true;
    uint64_t dead = atomic_load(&mf__slot_at(rt, index)->state);
    uint32_t top = mf__slot_top(rt);
    for (uint32_t i = 0; i < top; i++) {
        uint64_t state = atomic_load(&mf__slot_at(rt, i)->state);
        if (mf__parent(state) != (int)index ||
            mf__parent_generation(state) != (mf__generation(dead) & 0xffff))
            continue;
        if (mf__phase(state) == MF_SLOT_LIVE)
            all &= mf__death_settle(rt, i);
        else if (mf__phase(state) == MF_SLOT_STARTING)
            all &= give_up(rt, i, state, 1);
    }
    return all;
}

/* Settles a slot whose life word the caller holds. Its blocks may be in use by its children (the
 * records that workers run) until the kernel has killed them too, a moment later than it releases
 * the life word. Nobody else waits for the blocks; for its locks others do. */
static bool claim(mf_runtime *rt, uint32_t index)
{
    mf_runtime ghost = ghost_of(rt, index);
    if (visit(&ghost, mf__now() + PATIENCE) < 0)
        return false;
    bool alone = settle_children(rt, index);
    recover(&ghost, alone);
    if (!alone)
        return false;
    mf__slot_bury(rt, index);
    MF_CRASH("death.claim.buried");
    atomic_fetch_add(&rt->arena->deaths, 1);
    MF_CRASH("death.claim.told");
    return true;
}

bool mf__death_settle(mf_runtime *rt, uint32_t index)
{
    struct mf_slot *s = mf__slot_at(rt, index);
    int rc = pthread_mutex_trylock(&s->life.m);
    if (rc != 0 && rc != EOWNERDEAD)
        return false;
    MF_CRASH("death.settle.claimed");
    /* A slot that is LIVE and whose life word can be had is a dead one's, also when it was not the
     * kernel who released the word but a claimer who ran out of patience. */
    enum mf_phase phase = mf__phase(atomic_load(&s->state));
    bool settled =
        phase == MF_SLOT_LIVE ? claim(rt, index) : phase == MF_SLOT_EXITED || phase == MF_SLOT_DEAD;
    if (rc == EOWNERDEAD)
        pthread_mutex_consistent(&s->life.m);
    MF_CRASH("death.settle.consistent");
    pthread_mutex_unlock(&s->life.m);
    return settled;
}

int mf__death_check(mf_runtime *rt)
{
    int found = 0;
    uint32_t top = mf__slot_top(rt);
    for (uint32_t i = 0; i < top; i++) {
        uint64_t state = atomic_load(&mf__slot_at(rt, i)->state);
        enum mf_phase phase = mf__phase(state);
        if (i == rt->slot || phase == MF_SLOT_FREE)
            continue;
        if (phase == MF_SLOT_LIVE)
            found += mf__death_settle(rt, i);
        else if (mf__slot_is_orphan(rt, state))
            give_up(rt, i, state, 1);
    }
    return found;
}

void mf__death_clean_self(mf_runtime *rt)
{
    clean(rt, MF_FOREVER);
}
