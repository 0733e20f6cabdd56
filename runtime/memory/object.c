/* object.c - handles, holders and the end of shared things: see object.h. */
#include "object.h"

#include "block.h"
#include "crash.h"
#include "slot.h"

#include <string.h>

static struct mf_object_pool *pool(const mf_runtime *rt)
{
    return &rt->arena->objects;
}

struct mf_object *mf__object_at(const mf_runtime *rt, uint32_t index)
{
    return (struct mf_object *)mf__at(rt, rt->objects_at) + (index < rt->object_max ? index : 0);
}

const struct mf_kind *mf__object_kind(const mf_runtime *rt, uint32_t word)
{
    return (word & 0xff) < MF_KINDS ? rt->kinds[word & 0xff] : NULL;
}

/* Where walks end. */
static uint32_t top_of(const mf_runtime *rt)
{
    uint32_t top = atomic_load(&pool(rt)->top);
    return top < rt->object_max ? top : rt->object_max;
}

uint32_t mf__object_index(const mf_runtime *rt, const struct mf_object *o)
{
    return (uint32_t)(o - mf__object_at(rt, 0));
}

uint64_t mf__object_handle(const mf_runtime *rt, const struct mf_object *o)
{
    return (uint64_t)mf__object_index(rt, o) << 32 | o->generation;
}

static struct mf_object *of_handle(const mf_runtime *rt, uint64_t handle)
{
    uint32_t index = (uint32_t)(handle >> 32);
    if (index >= top_of(rt))
        return NULL;
    struct mf_object *o = mf__object_at(rt, index);
    uint32_t kind = atomic_load(&o->kind);
    return o->generation == (uint32_t)handle && kind && !(kind & MF_DYING) ? o : NULL;
}

/* --- the journal --------------------------------------------------------------------------------
 */

/* May a journal write there: into an object's `refs`, or a block's `next`? */
static bool is_journaled(const mf_runtime *rt, uint64_t at)
{
    uint64_t in_objects = at - rt->objects_at;
    if (in_objects < (uint64_t)rt->object_max * sizeof(struct mf_object))
        return in_objects % sizeof(struct mf_object) == offsetof(struct mf_object, refs);
    return mf__block_at(rt, at - offsetof(struct mf_block, next)) != NULL;
}

static void replay(mf_runtime *rt)
{
    struct mf_journal *j = &pool(rt)->journal;
    for (uint32_t i = 0; i < 2 && i < j->n; i++) {
        uint64_t at = j->write[i].at;
        if (is_journaled(rt, at))
            *(volatile uint64_t *)mf__at(rt, at) = j->write[i].value;
        MF_CRASH("object.journal.replayed");
    }
    atomic_store(&j->armed, 0);
}

/* Writes a and b as if at once. */
static void write_both(mf_runtime *rt, void *a, uint64_t a_value, void *b, uint64_t b_value)
{
    struct mf_journal *j = &pool(rt)->journal;
    j->write[0].at = mf__offset(rt, a);
    j->write[0].value = a_value;
    j->write[1].at = mf__offset(rt, b);
    j->write[1].value = b_value;
    j->n = 2;
    MF_CRASH("object.journal.written");
    atomic_store(&j->armed, 1);
    MF_CRASH("object.journal.armed");
    replay(rt);
}

/* --- holders ------------------------------------------------------------------------------------
 */

static uint64_t holder_word(const struct mf_object *o, uint32_t slot)
{
    return atomic_load_explicit(&o->holders[slot / 64], memory_order_relaxed);
}

static bool is_held(const struct mf_object *o, uint32_t slot)
{
    return holder_word(o, slot) >> slot % 64 & 1;
}

static void set_held(mf_runtime *rt, struct mf_object *o, uint32_t slot)
{
    if (is_held(o, slot))
        return;
    atomic_fetch_add(&mf__slot_at(rt, slot)->held, 1); /* first: never too low */
    MF_CRASH("object.hold.counted");
    mf__note(&o->holders[slot / 64], holder_word(o, slot) | UINT64_C(1) << slot % 64);
}

static void clear_held(mf_runtime *rt, struct mf_object *o, uint32_t slot)
{
    if (!is_held(o, slot))
        return;
    mf__note(&o->holders[slot / 64], holder_word(o, slot) & ~(UINT64_C(1) << slot % 64));
    MF_CRASH("object.release.cleared");
    atomic_fetch_sub(&mf__slot_at(rt, slot)->held, 1);
}

static bool is_wanted(const struct mf_object *o)
{
    uint64_t any = o->refs;
    for (int i = 0; i < MF_SLOTS / 64; i++)
        any |= atomic_load_explicit(&o->holders[i], memory_order_relaxed);
    return any != 0;
}

/* Marks an unwanted object for its end by a slot. Under the lock. */
static bool doom(mf_runtime *rt, struct mf_object *o, uint32_t slot)
{
    uint32_t kind = atomic_load(&o->kind);
    if (kind & MF_DYING || !kind || is_wanted(o))
        return false;
    /* A dying object is looked for like a held one. */
    atomic_fetch_add(&mf__slot_at(rt, slot)->held, 1);
    MF_CRASH("object.doom.counted");
    atomic_store_explicit(&o->undertaker, slot + 1, memory_order_relaxed);
    MF_CRASH("object.doom.signed");
    atomic_store(&o->kind, kind | MF_DYING);
    MF_CRASH("object.doom.dying");
    return true;
}

/* --- the lock -----------------------------------------------------------------------------------
 */

/* After a death inside. A place at the head of the free list that is alive was being born, and is
 * its maker's; one that is dying has ended. Whoever lost its last holder or reference without a
 * mark is left to the victim's estate. */
static void settle(mf_runtime *rt)
{
    struct mf_object_pool *p = pool(rt);
    if (atomic_load(&p->journal.armed))
        replay(rt);
    uint32_t first = atomic_load_explicit(&p->free, memory_order_relaxed);
    if (first > atomic_load(&p->top))
        atomic_store(&p->top, first); /* a place listed before it counted */
    MF_CRASH("object.settle.topped");
    if (first) {
        struct mf_object *head = mf__object_at(rt, first - 1);
        if (atomic_load(&head->kind) & MF_DYING)
            atomic_store(&head->kind, 0);
        else if (atomic_load(&head->kind))
            mf__note(&p->free, head->next);
    }
    MF_CRASH("object.settle.listed");
    uint32_t victim = atomic_load_explicit(&p->lock.holder, memory_order_relaxed);
    for (uint32_t i = 0, top = top_of(rt); victim && i < top; i++)
        doom(rt, mf__object_at(rt, i), victim - 1);
}

static int lock_until(mf_runtime *rt, int64_t deadline)
{
    int rc = mf__mutex_lock(&pool(rt)->lock, rt->slot, deadline);
    if (rc == MF_OWNER_DIED) {
        settle(rt);
        mf__mutex_settled(&pool(rt)->lock, rt->slot);
        rc = 0;
    }
    return rc;
}

static void lock(mf_runtime *rt)
{
    lock_until(rt, MF_FOREVER);
}

static void unlock(mf_runtime *rt)
{
    mf__mutex_unlock(&pool(rt)->lock);
}

/* --- birth and end ------------------------------------------------------------------------------
 */

static struct mf_object *never_used(mf_runtime *rt)
{
    struct mf_object_pool *p = pool(rt);
    uint32_t top = atomic_load(&p->top);
    if (top >= rt->object_max)
        return NULL;
    struct mf_object *o = mf__object_at(rt, top);
    mf__mutex_init(&o->end[0].lock);
    mf__mutex_init(&o->end[1].lock);
    o->next = atomic_load_explicit(&p->free, memory_order_relaxed);
    mf__note(&p->free, top + 1); /* listed before it counts: or a death here would waste it */
    MF_CRASH("object.new.listed");
    atomic_store(&p->top, top + 1);
    return o;
}

int mf__object_new(mf_runtime *rt, uint32_t kind, struct mf_object **ret_o)
{
    lock(rt);
    uint32_t first = atomic_load_explicit(&pool(rt)->free, memory_order_relaxed);
    struct mf_object *o = first ? mf__object_at(rt, first - 1) : never_used(rt);
    int rc = !o ? MF_ENOMEM : atomic_load(&o->kind) ? MF_ECORRUPT : 0;
    if (rc == 0) {
        o->generation++;
        o->refs = 0;
        memset(o->label, 0, sizeof o->label);
        for (int e = 0; e < 2; e++)
            o->end[e].at = o->end[e].segment = 0;
        for (int i = 0; i < MF_SLOTS / 64; i++)
            atomic_store_explicit(&o->holders[i], 0, memory_order_relaxed);
        memset(o->body, 0, sizeof o->body);
        MF_CRASH("object.new.wiped");
        set_held(rt, o, rt->slot);
        atomic_store(&o->kind, kind); /* from here on the list's head is in use */
        MF_CRASH("object.new.alive");
        mf__note(&pool(rt)->free, o->next);
        MF_CRASH("object.new.unlisted");
        *ret_o = o;
    }
    unlock(rt);
    return rc;
}

/* Destroys a doomed object. May doom others on the way: mf__object_unkeep. */
static void destroy(mf_runtime *rt, struct mf_object *o)
{
    const struct mf_kind *kind = mf__object_kind(rt, atomic_load(&o->kind));
    if (kind && kind->destroy)
        kind->destroy(rt, o);
    MF_CRASH("object.destroy.emptied");
    lock(rt);
    o->next = atomic_load_explicit(&pool(rt)->free, memory_order_relaxed);
    mf__note(&pool(rt)->free, mf__object_index(rt, o) + 1);
    MF_CRASH("object.destroy.listed");
    atomic_store(&o->kind, 0);
    atomic_store_explicit(&o->undertaker, 0, memory_order_relaxed);
    MF_CRASH("object.destroy.free");
    unlock(rt);
    atomic_fetch_sub(&rt->self->held, 1);
}

/* Destroys an object that this process has doomed. Those that are doomed by the destruction of
 * another wait in a list of this process's own, through object.next: a queue in a queue in a queue
 * needs no stack. The list dies with its process; what was on it is found by its undertaker word.
 */
static void bury(mf_runtime *rt, struct mf_object *o)
{
    if (rt->burying) {
        o->next = rt->doomed;
        rt->doomed = mf__object_index(rt, o) + 1;
        return;
    }
    rt->burying = true;
    destroy(rt, o);
    while (rt->doomed) {
        o = mf__object_at(rt, rt->doomed - 1);
        rt->doomed = o->next;
        if (!(atomic_load(&o->kind) & MF_DYING)) /* the list leads back into itself: corrupt */
            break;
        destroy(rt, o);
    }
    rt->burying = false;
}

/* --- names --------------------------------------------------------------------------------------
 */

void mf__object_label(struct mf_object *o, const char *label)
{
    memcpy(o->label, label, strnlen(label, sizeof o->label));
}

struct mf_object *mf__object_peek(const mf_runtime *rt, uint32_t index,
                                  const struct mf_kind **ret_kind)
{
    if (index >= top_of(rt))
        return NULL;
    struct mf_object *o = mf__object_at(rt, index);
    uint32_t kind = atomic_load(&o->kind);
    if (kind == MF_KIND_FREE || kind >= MF_KINDS) /* or it is dying */
        return NULL;
    *ret_kind = rt->kinds[kind];
    return *ret_kind ? o : NULL;
}

void mf__object_name(const mf_runtime *rt, uint32_t index, struct mf_text *t)
{
    const struct mf_kind *kind;
    const struct mf_object *o = mf__object_peek(rt, index, &kind);
    if (o && o->label[0])
        mf__text_add(t, "%.8s#%u", o->label, index + 1);
    else
        mf__text_add(t, "%s#%u", o ? kind->name : "(gone)", index + 1);
}

/* --- keeping ------------------------------------------------------------------------------------
 */

int mf__object_hold(mf_runtime *rt, uint64_t handle, uint32_t kind, struct mf_object **ret_o)
{
    lock(rt);
    struct mf_object *o = of_handle(rt, handle);
    if (o && kind && atomic_load(&o->kind) != kind)
        o = NULL;
    if (o)
        set_held(rt, o, rt->slot);
    unlock(rt);
    if (!o)
        return MF_ECLOSED;
    *ret_o = o;
    return 0;
}

int mf__object_hold_for(mf_runtime *rt, uint64_t handle, uint32_t slot)
{
    lock(rt);
    struct mf_object *o = of_handle(rt, handle);
    if (o)
        set_held(rt, o, slot);
    unlock(rt);
    return o ? 0 : MF_ECLOSED;
}

void mf__object_drop(mf_runtime *rt, struct mf_object *o)
{
    if (mf__alive(rt) < 0)
        return;
    lock(rt);
    clear_held(rt, o, rt->slot);
    bool doomed = doom(rt, o, rt->slot);
    unlock(rt);
    MF_CRASH("object.drop.unlocked");
    if (doomed)
        bury(rt, o);
}

int mf__object_keep(mf_runtime *rt, struct mf_block *b, const uint64_t *handles, uint32_t n)
{
    atomic_store(&b->next, n);
    atomic_fetch_or(&b->tag, MF_BLOCK_KEEPS);
    MF_CRASH("object.keep.tagged");
    int rc = 0;
    lock(rt);
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        struct mf_object *o = of_handle(rt, handles[i]);
        if (o)
            write_both(rt, &o->refs, o->refs + 1, &b->next, (uint64_t)(i + 1) << 32 | n);
        else
            rc = MF_ECLOSED;
    }
    unlock(rt);
    return rc;
}

void mf__object_unkeep(mf_runtime *rt, struct mf_block *b, const uint64_t *handles)
{
    for (;;) {
        lock(rt);
        uint64_t next = atomic_load(&b->next);
        uint32_t kept = (uint32_t)(next >> 32);
        if (kept > mf__block_room(rt, b) / sizeof *handles) /* corrupt */
            kept = 0;
        struct mf_object *o = NULL;
        bool doomed = false;
        if (kept) {
            /* Kept objects are alive whatever their generation says to of_handle(). */
            o = mf__object_at(rt, (uint32_t)(handles[kept - 1] >> 32));
            write_both(rt, &o->refs, o->refs - 1, &b->next,
                       (uint64_t)(kept - 1) << 32 | (uint32_t)next);
            doomed = doom(rt, o, rt->slot);
        }
        unlock(rt);
        MF_CRASH("object.unkeep.unlocked");
        if (doomed)
            bury(rt, o);
        if (kept <= 1)
            break;
    }
    atomic_fetch_and(&b->tag, ~MF_BLOCK_KEEPS);
    MF_CRASH("object.unkeep.untagged");
}

/* Tells a living object of the death, under the lock: it shall not end meanwhile, and its place not
 * become another kind's. */
static void tell(mf_runtime *rt, struct mf_object *o, uint32_t word)
{
    const struct mf_kind *kind = mf__object_kind(rt, word);
    if (!kind || !kind->bereave)
        return;
    lock(rt);
    if (atomic_load(&o->kind) == word)
        kind->bereave(rt, o, rt->self);
    unlock(rt);
}

int mf__objects_visit(mf_runtime *rt, int64_t deadline)
{
    int rc = lock_until(rt, deadline);
    if (rc == 0)
        unlock(rt);
    return rc;
}

void mf__object_bereave_all(mf_runtime *rt)
{
    if (!atomic_load(&rt->self->held))
        return;
    uint32_t top = top_of(rt);
    for (uint32_t i = 0; i < top; i++) {
        struct mf_object *o = mf__object_at(rt, i);
        uint32_t word = atomic_load(&o->kind);
        if (word & MF_DYING) {
            if (atomic_load_explicit(&o->undertaker, memory_order_relaxed) == rt->slot + 1)
                bury(rt, o);
        } else if (word) {
            tell(rt, o, word);
            MF_CRASH("object.bereave.told");
            if (is_held(o, rt->slot))
                mf__object_drop(rt, o);
        }
    }
    MF_CRASH("object.bereave.all");
    mf__note(&rt->self->held, 0);
}

void mf__objects_init(mf_runtime *rt)
{
    mf__mutex_init(&pool(rt)->lock);
}

uint32_t mf__object_count(mf_runtime *rt)
{
    uint32_t n = 0, top = top_of(rt);
    for (uint32_t i = 0; i < top; i++)
        n += atomic_load(&mf__object_at(rt, i)->kind) != 0;
    return n;
}
