/* slot.c - the process table: see slot.h. */
#include "slot.h"

#include "crash.h"

#include <string.h>

/* How long a child bears with somebody who holds its slot. */
#define PATIENCE (5 * MF_SECOND)

_Static_assert(MF_SLOTS < 0xfff, "a parent's slot fits a state");

/* The same slot and parent, another phase. */
static uint64_t in_phase(uint64_t state, enum mf_phase phase)
{
    return (state & ~UINT64_C(0xf)) | phase;
}

static uint64_t taken_by(const mf_runtime *rt, uint32_t generation)
{
    uint64_t parent = mf__generation(atomic_load(&rt->self->state)) & 0xffff;
    return (uint64_t)generation << 32 | parent << 16 | (uint64_t)(rt->slot + 1) << 4 |
           MF_SLOT_STARTING;
}

struct mf_slot *mf__slot_at(const mf_runtime *rt, uint32_t index)
{
    return (struct mf_slot *)mf__at(rt, rt->slots_at) + index % MF_SLOTS;
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
    s->waits = MF_WAITS_NOT;
    s->seq = MF_NO_SEQ;
    s->status = 0;
    s->pid = 0;
    s->name[0] = 0;
}

bool mf__slot_wait(const struct mf_slot *s, struct mf_waiting *ret)
{
    struct mf_waiting w = {.since = atomic_load(&s->wait_since),
                           .waits = atomic_load(&s->waits),
                           .object = atomic_load(&s->busy),
                           .side = atomic_load(&s->side),
                           .child = atomic_load(&s->wait_child),
                           .acts = atomic_load(&s->wait_acts) != 0,
                           .until = atomic_load(&s->wait_until)};
    if (atomic_load(&s->waits) != (uint32_t)w.waits || atomic_load(&s->wait_since) != w.since)
        return false;
    *ret = w;
    return true;
}

void mf__slot_name(const struct mf_slot *s, char *ret_name)
{
    size_t i;
    for (i = 0; i < sizeof s->name - 1; i++) {
        char c = ((const volatile char *)s->name)[i];
        if (!c)
            break;
        ret_name[i] = (char)((unsigned char)c < ' ' || c == 127 ? '?' : c);
    }
    ret_name[i] = 0;
}

void mf__slot_text(const mf_runtime *rt, uint32_t index, struct mf_text *t)
{
    char name[sizeof rt->self->name];
    const struct mf_slot *s = mf__slot_at(rt, index);
    mf__slot_name(s, name);
    mf__text_add(t, "%d (%s)", atomic_load(&s->pid), name[0] ? name : "no name");
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
        if (mf__phase(old) != MF_SLOT_FREE || i == rt->slot)
            continue;
        raise_top(rt, i); /* first: a slot above the top would be overlooked if we died here */
        MF_CRASH("slot.take.counted");
        if (!atomic_compare_exchange_strong(&s->state, &old, taken_by(rt, mf__generation(old) + 1)))
            continue;
        MF_CRASH("slot.take.taken");
        *ret_index = i;
        return 0;
    }
    return MF_ELIMIT;
}

int mf__slot_enter(mf_runtime *rt, uint32_t index, uint64_t taken, pid_t pid)
{
    struct mf_slot *s = mf__slot_at(rt, index);
    /* Somebody may hold it for a moment: who frees it, or who took it for the one before. */
    int rc = mf__mutex_lock(&s->life, index, mf__now() + PATIENCE);
    if (rc == MF_OWNER_DIED) /* who freed the slot last was killed before it unlocked */
        mf__mutex_settled(&s->life, index);
    if (rc < 0)
        return MF_EDIED;
    MF_CRASH("slot.enter.locked");
    if (atomic_load(&s->state) != taken) {
        mf__mutex_unlock(&s->life);
        return MF_EDIED;
    }
    atomic_store(&s->pid, pid);
    MF_CRASH("slot.enter.named");
    atomic_store(&s->state, in_phase(taken, MF_SLOT_LIVE));
    MF_CRASH("slot.enter.live");
    return 0;
}

int mf__slot_enter_first(mf_runtime *rt, pid_t pid)
{
    uint64_t taken = UINT64_C(1) << 32 | MF_SLOT_STARTING;
    raise_top(rt, 0);
    memcpy(mf__slot_at(rt, 0)->name, "MainProcess", sizeof "MainProcess");
    atomic_store(&mf__slot_at(rt, 0)->state, taken);
    return mf__slot_enter(rt, 0, taken, pid);
}

void mf__slot_leave(mf_runtime *rt, int status)
{
    struct mf_slot *s = rt->self;
    atomic_store(&s->status, status);
    MF_CRASH("slot.leave.told");
    atomic_store(&s->state, in_phase(atomic_load(&s->state), MF_SLOT_EXITED));
    MF_CRASH("slot.leave.exited");
    mf__mutex_unlock(&s->life);
}

bool mf__slot_is_orphan(const mf_runtime *rt, uint64_t state)
{
    if (mf__parent(state) < 0)
        return true;
    uint64_t parent = atomic_load(&mf__slot_at(rt, (uint32_t)mf__parent(state))->state);
    return (mf__generation(parent) & 0xffff) != mf__parent_generation(state) ||
           (mf__phase(parent) != MF_SLOT_LIVE && mf__phase(parent) != MF_SLOT_STARTING);
}

void mf__slot_bury(mf_runtime *rt, uint32_t index)
{
    struct mf_slot *s = mf__slot_at(rt, index);
    uint64_t state = atomic_load(&s->state);
    if (mf__slot_is_orphan(rt, state))
        mf__slot_free(rt, index);
    else
        atomic_store(&s->state, in_phase(state, MF_SLOT_DEAD));
}

void mf__slot_free(mf_runtime *rt, uint32_t index)
{
    struct mf_slot *s = mf__slot_at(rt, index);
    forget_intents(s);
    MF_CRASH("slot.free.forgotten");
    atomic_store(&s->state, (uint64_t)mf__generation(atomic_load(&s->state)) << 32 | MF_SLOT_FREE);
}
