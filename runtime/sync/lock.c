/* lock.c - the Lock that users hold: see lock.h. */
#include "lock.h"

#include "crash.h"
#include "object.h"
#include "slot.h"
#include "wait.h"

/* In the word: not held, and the pid below is of the holder that died. Else slot + 1, or 0. */
#define ABANDONED (UINT64_C(1) << 63)

struct body {
    _Atomic uint64_t word;
    struct mf_wait released;
    _Atomic int64_t since; /* when it was acquired, roughly: for people */
};
_Static_assert(sizeof(struct body) <= sizeof(((struct mf_object *)0)->body), "fits its object");

static struct body *body(const mf_lock *lock)
{
    return (struct body *)(uintptr_t)lock->body;
}

int mf_lock_new(mf_runtime *rt, mf_lock **ret_lock)
{
    return mf__alive(rt) < 0 ? MF_EFORKED : mf__object_new(rt, MF_KIND_LOCK, ret_lock);
}

/* Takes the lock if it is free. 0, MF_ABANDONED or MF_EFULL. */
static int try(mf_runtime *rt, struct body *b, int32_t *ret_pid)
{
    uint64_t word = atomic_load(&b->word);
    /* Counted before it is held, so that our death is sure to look at the locks. */
    atomic_fetch_add(&rt->self->held, 1);
    MF_CRASH("lock.acquire.counted");
    while (word == 0 || word & ABANDONED) {
        if (!atomic_compare_exchange_weak(&b->word, &word, rt->slot + 1))
            continue;
        MF_CRASH("lock.acquire.held");
        atomic_store_explicit(&b->since, mf__now_roughly(), memory_order_relaxed);
        if (!(word & ABANDONED))
            return 0;
        *ret_pid = (int32_t)word;
        return MF_ABANDONED;
    }
    atomic_fetch_sub(&rt->self->held, 1);
    return MF_EFULL;
}

/* A condition of wait.h. */
static bool is_free(const void *arg)
{
    const struct body *b = arg;
    uint64_t word = atomic_load(&b->word);
    return word == 0 || word & ABANDONED;
}

int mf_lock_acquire(mf_runtime *rt, mf_lock *lock, int64_t deadline, int32_t *ret_pid)
{
    struct body *b = body(lock);
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    int rc = try(rt, b, ret_pid);
    if (rc != MF_EFULL)
        return rc;
    if (deadline == 0)
        return MF_ETIMEOUT;
    mf__note(&rt->self->busy, mf__object_index(rt, lock) + 1);
    do {
        rc = mf__wait_until(rt, &b->released, is_free, b, deadline);
        MF_CRASH("lock.acquire.woken");
        if (rc == 0)
            rc = try(rt, b, ret_pid);
    } while (rc == MF_EFULL);
    MF_CRASH("lock.acquire.slowly_held");
    mf__note(&rt->self->busy, 0);
    return rc;
}

int mf_lock_release(mf_runtime *rt, mf_lock *lock)
{
    struct body *b = body(lock);
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    mf__note(&rt->self->busy, mf__object_index(rt, lock) + 1); /* who settles our death will wake */
    MF_CRASH("lock.release.busy");
    int rc = MF_EINVAL;
    uint64_t word = atomic_load(&b->word);
    while (rc < 0 && word != 0 && !(word & ABANDONED))
        if (atomic_compare_exchange_weak(&b->word, &word, 0))
            rc = 0;
    if (rc == 0) {
        MF_CRASH("lock.release.free");
        /* Another's count stays too high: by now its slot may be somebody else's. */
        if (word == rt->slot + 1)
            atomic_fetch_sub(&rt->self->held, 1);
        mf__wait_wake(&b->released);
        MF_CRASH("lock.release.woken");
    }
    mf__note(&rt->self->busy, 0);
    return rc;
}

bool mf_lock_is_mine(const mf_runtime *rt, const mf_lock *lock)
{
    return atomic_load(&body(lock)->word) == rt->slot + 1;
}

int mf__lock_holder(const mf_lock *lock)
{
    uint64_t word = atomic_load(&body(lock)->word);
    return word == 0 || word > MF_SLOTS ? -1 : (int)word - 1;
}

static int settle(mf_runtime *rt, struct mf_object *o, struct mf_slot *dead, int64_t deadline)
{
    (void)rt, (void)dead, (void)deadline;
    mf__wait_wake_all(&body(o)->released); /* the dead may have had a wake, or owed one */
    MF_CRASH("lock.settle.woken");
    return 0;
}

static void bereave(mf_runtime *rt, struct mf_object *o, struct mf_slot *dead)
{
    uint64_t word = rt->slot + 1;
    uint32_t pid = (uint32_t)atomic_load(&dead->pid);
    /* Also when it is abandoned already: who passed it on may have been killed before the wake. */
    if (atomic_compare_exchange_strong(&body(o)->word, &word, ABANDONED | pid) ||
        word & ABANDONED) {
        MF_CRASH("lock.bereave.abandoned");
        mf__wait_wake_all(&body(o)->released);
    }
}

static bool describe(const mf_runtime *rt, const struct mf_object *o, struct mf_text *t)
{
    uint64_t word = atomic_load(&body(o)->word);
    if (word == 0) {
        mf__text_add(t, "free");
    } else if (word & ABANDONED) {
        mf__text_add(t, "free; its last holder %d died with it", (int)(int32_t)word);
    } else if (word <= MF_SLOTS) {
        mf__text_add(t, "held by ");
        mf__slot_text(rt, (uint32_t)word - 1, t);
        mf__text_add(t, " for ");
        mf__text_span(t, mf__now() - atomic_load(&body(o)->since));
    }
    return word != 0;
}

static bool is_stuck(const mf_runtime *rt, const struct mf_object *o, uint32_t side)
{
    (void)rt, (void)side;
    return !is_free(body(o));
}

const struct mf_kind mf__lock_kind = {.name = "Lock",
                                      .settle = settle,
                                      .bereave = bereave,
                                      .describe = describe,
                                      .is_stuck = is_stuck};
