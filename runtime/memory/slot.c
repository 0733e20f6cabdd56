/* slot.c - the process table: see slot.h. */
#include "slot.h"

#include <errno.h>

static uint64_t pack(uint32_t generation, int parent, enum mf_phase phase)
{
    return (uint64_t)generation << 32 | (uint64_t)(parent + 1) << 8 | phase;
}

struct mf_slot *mf__slot_at(const mf_runtime *rt, uint32_t index)
{
    return (struct mf_slot *)mf__at(rt, rt->arena->slots_at) + index;
}

/* Lets mf__death_check look as far as this slot. */
static void raise_top(mf_runtime *rt, uint32_t index)
{
    _Atomic uint32_t *top = &rt->arena->slot_top;
    uint32_t old = atomic_load(top);
    while (old <= index && !atomic_compare_exchange_weak(top, &old, index + 1))
        ;
}

static void forget_intents(struct mf_slot *s)
{
    s->fresh = s->hand = s->segment = s->task = s->link = s->owned = 0;
    s->run = s->busy = s->side = s->got = s->held = 0;
    s->seq = MF_NO_SEQ;
    s->status = 0;
    s->name[0] = 0;
}

void mf__slots_init(mf_runtime *rt)
{
    for (uint32_t i = 0; i < MF_SLOTS; i++) {
        mf__mutex_init(&mf__slot_at(rt, i)->life);
        forget_intents(mf__slot_at(rt, i));
    }
}

int mf__slot_take(mf_runtime *rt, uint32_t *ret_index)
{
    for (uint32_t i = 0; i < MF_SLOTS; i++) {
        struct mf_slot *s = mf__slot_at(rt, i);
        uint64_t old = atomic_load(&s->state);
        if (mf__phase(old) != MF_SLOT_FREE)
            continue;
        raise_top(rt, i); /* first: a slot above the top would be overlooked if we died here */
        uint64_t new = pack(mf__generation(old) + 1, (int)rt->slot, MF_SLOT_STARTING);
        if (!atomic_compare_exchange_strong(&s->state, &old, new))
            continue;
        *ret_index = i;
        return 0;
    }
    return MF_ELIMIT;
}

int mf__slot_enter(mf_runtime *rt, uint32_t index, pid_t pid)
{
    struct mf_slot *s = mf__slot_at(rt, index);
    uint64_t old = atomic_load(&s->state);
    int rc = pthread_mutex_trylock(&s->life.m);
    if (rc == EOWNERDEAD) /* who freed the slot last was killed before it unlocked */
        pthread_mutex_consistent(&s->life.m);
    else if (rc != 0)
        return MF_EDIED;
    atomic_store(&s->pid, pid);
    if (mf__phase(old) == MF_SLOT_STARTING) {
        uint64_t live = pack(mf__generation(old), mf__parent(old), MF_SLOT_LIVE);
        if (atomic_compare_exchange_strong(&s->state, &old, live))
            return 0;
    }
    pthread_mutex_unlock(&s->life.m);
    return MF_EDIED;
}

int mf__slot_enter_first(mf_runtime *rt, pid_t pid)
{
    struct mf_slot *s = mf__slot_at(rt, 0);
    raise_top(rt, 0);
    atomic_store(&s->state, pack(1, -1, MF_SLOT_STARTING));
    return mf__slot_enter(rt, 0, pid);
}

void mf__slot_leave(mf_runtime *rt, int status)
{
    struct mf_slot *s = rt->self;
    atomic_store(&s->status, status);
    uint64_t old = atomic_load(&s->state);
    atomic_store(&s->state, pack(mf__generation(old), mf__parent(old), MF_SLOT_EXITED));
    pthread_mutex_unlock(&s->life.m);
}

void mf__slot_bury(mf_runtime *rt, uint32_t index, bool orphan)
{
    struct mf_slot *s = mf__slot_at(rt, index);
    uint64_t old = atomic_load(&s->state);
    if (orphan)
        mf__slot_free(rt, index);
    else
        atomic_store(&s->state, pack(mf__generation(old), mf__parent(old), MF_SLOT_DEAD));
}

void mf__slot_free(mf_runtime *rt, uint32_t index)
{
    struct mf_slot *s = mf__slot_at(rt, index);
    uint64_t old = atomic_load(&s->state);
    forget_intents(s);
    atomic_store(&s->state, pack(mf__generation(old), -1, MF_SLOT_FREE));
}
