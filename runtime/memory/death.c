/* death.c - settling what a dead process left: see death.h. */
#include "death.h"

#include "block.h"
#include "object.h"
#include "slot.h"

#include <errno.h>

/* Settles the object that a field of the slot names (index + 1). */
static void settle_named(mf_runtime *rt, _Atomic uint32_t *field)
{
    uint32_t index = atomic_load(field);
    if (!index)
        return;
    struct mf_object *o = mf__object_at(rt, index - 1);
    const struct mf_kind *kind = rt->kinds[atomic_load(&o->kind) & 0xff];
    if (kind && kind->settle)
        kind->settle(rt, o, rt->self);
    mf__note(field, 0);
}

/* As rt, but acting for another slot. */
static mf_runtime ghost_of(const mf_runtime *rt, uint32_t index)
{
    mf_runtime ghost = *rt;
    ghost.self = mf__slot_at(rt, index);
    ghost.slot = index;
    return ghost;
}

/* rt acts for the slot that is cleaned. */
static void clean(mf_runtime *rt)
{
    settle_named(rt, &rt->self->busy);
    settle_named(rt, &rt->self->got);
    mf__blocks_recover(rt);
    mf__object_bereave_all(rt);
}

/* Frees a slot that is still in the state given and that nobody lives in. */
static void give_up(mf_runtime *rt, uint32_t index, uint64_t state, int64_t deadline)
{
    struct mf_slot *s = mf__slot_at(rt, index);
    int rc = mf__mutex_lock(&s->life, index, deadline);
    if (rc < 0)
        return; /* somebody enters it, or frees it */
    if (rc == MF_OWNER_DIED)
        mf__mutex_settled(&s->life, index);
    if (atomic_load(&s->state) == state) {
        mf_runtime ghost = ghost_of(rt, index);
        clean(&ghost);
        mf__slot_free(rt, index);
    }
    mf__mutex_unlock(&s->life);
}

void mf__death_give_up(mf_runtime *rt, uint32_t index)
{
    uint64_t state = atomic_load(&mf__slot_at(rt, index)->state);
    if (mf__phase(state) == MF_SLOT_STARTING)
        give_up(rt, index, state, MF_FOREVER);
}

/* Settles a slot whose life word the caller holds. */
static void claim(mf_runtime *rt, uint32_t index)
{
    mf_runtime ghost = ghost_of(rt, index);
    clean(&ghost);
    mf__slot_bury(rt, index);
    atomic_fetch_add(&rt->arena->deaths, 1);
}

bool mf__death_settle(mf_runtime *rt, uint32_t index)
{
    struct mf_slot *s = mf__slot_at(rt, index);
    int rc = pthread_mutex_trylock(&s->life.m);
    if (rc != 0 && rc != EOWNERDEAD)
        return false;
    enum mf_phase phase = mf__phase(atomic_load(&s->state));
    bool dead = rc == EOWNERDEAD && phase == MF_SLOT_LIVE;
    if (dead)
        claim(rt, index);
    if (rc == EOWNERDEAD)
        pthread_mutex_consistent(&s->life.m);
    pthread_mutex_unlock(&s->life.m);
    return dead || phase == MF_SLOT_EXITED || phase == MF_SLOT_DEAD;
}

int mf__death_check(mf_runtime *rt)
{
    int found = 0;
    uint32_t top = atomic_load(&rt->arena->slot_top);
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
    clean(rt);
}
