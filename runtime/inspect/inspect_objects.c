/* inspect_objects.c - what a dump says of queues, locks, and the runtime's own locks: see
 * inspect.h. */
#include "inspect.h"

#include "object.h"
#include "slot.h"

#include <inttypes.h>

#define PIDS_AT_MOST 8u
#define OBJECTS_AT_MOST 500u

/* "; WHAT 1234, 1235 and 3 more", of the processes that `is` picks. */
static void add_pids(const struct mf_dump *d, struct mf_text *t, const char *what,
                     const struct mf_object *o,
                     bool (*is)(const struct mf_dump *d, const struct mf_object *o, uint32_t slot))
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->slots; i++) {
        if (!is(d, o, i))
            continue;
        if (n++ < PIDS_AT_MOST)
            mf__text_add(t, "%s%d", n == 1 ? what : ", ", atomic_load(&mf__slot_at(d->rt, i)->pid));
    }
    if (n > PIDS_AT_MOST)
        mf__text_add(t, " and %u more", n - PIDS_AT_MOST);
}

static bool holds(const struct mf_dump *d, const struct mf_object *o, uint32_t slot)
{
    (void)d;
    return atomic_load(&o->holders[slot / 64]) >> slot % 64 & 1;
}

static bool waits(const struct mf_dump *d, const struct mf_object *o, uint32_t slot)
{
    struct mf_waiting w;
    return mf__dump_wait(d, slot, &w) && w.waits == MF_WAITS_OBJECT &&
           w.object == mf__object_index(d->rt, o) + 1;
}

static bool is_waited_for(const struct mf_dump *d, const struct mf_object *o)
{
    for (uint32_t i = 0; i < d->slots; i++)
        if (waits(d, o, i))
            return true;
    return false;
}

/* The line of an object; false where there is nothing to tell. */
static bool dump_object(const struct mf_dump *d, uint32_t index)
{
    char buffer[MF_DUMP_LINE];
    struct mf_text t = mf__text_in(buffer, sizeof buffer);
    const struct mf_kind *kind;
    const struct mf_object *o = mf__object_peek(d->rt, index, &kind);
    if (!o || !kind->describe)
        return false;
    mf__text_add(&t, "  ");
    mf__object_name(d->rt, index, &t);
    mf__text_add(&t, ": ");
    if (!kind->describe(d->rt, o, &t) && !is_waited_for(d, o))
        return false;
    add_pids(d, &t, "; there wait ", o, waits);
    add_pids(d, &t, "; known to ", o, holds);
    uint64_t refs = *(const volatile uint64_t *)&o->refs;
    if (refs)
        mf__text_add(&t, "; in %" PRIu64 " messages or tasks", refs);
    d->line(d->arg, buffer);
    return true;
}

/* One of the runtime's own locks, which are held for microseconds. Only when it is. */
static void dump_lock(const struct mf_dump *d, const struct mf_mutex *x, const char *what,
                      uint32_t number)
{
    char buffer[MF_DUMP_LINE];
    struct mf_text t = mf__text_in(buffer, sizeof buffer);
    uint32_t holder = atomic_load(&x->holder);
    if (holder == 0 || holder > MF_SLOTS)
        return;
    mf__text_add(&t, "  inside the runtime: ");
    if (number != UINT32_MAX)
        mf__object_name(d->rt, number, &t);
    mf__text_add(&t, "%s is locked by ", what);
    mf__slot_text(d->rt, holder - 1, &t);
    d->line(d->arg, buffer);
}

static void dump_locks(const struct mf_dump *d, uint32_t objects)
{
    const struct mf_kind *kind;
    const struct mf_arena *a = d->rt->arena;
    dump_lock(d, &a->units.lock, "the memory", UINT32_MAX);
    dump_lock(d, &a->objects.lock, "the table of objects", UINT32_MAX);
    for (int i = 0; i < MF_CLASSES; i++)
        dump_lock(d, &a->classes[i].lock, "a size of memory", UINT32_MAX);
    for (uint32_t i = 0; i < objects; i++) {
        const struct mf_object *o = mf__object_peek(d->rt, i, &kind);
        if (!o)
            continue;
        dump_lock(d, &o->end[0].lock, "'s end for puts", i);
        dump_lock(d, &o->end[1].lock, "'s end for gets", i);
    }
}

void mf__dump_objects(const struct mf_dump *d)
{
    char buffer[MF_DUMP_LINE];
    struct mf_text t = mf__text_in(buffer, sizeof buffer);
    const struct mf_kind *kind;
    const struct mf_object_pool *pool = &d->rt->arena->objects;
    uint32_t top = atomic_load(&pool->top), told = 0, others = 0;
    uint32_t n = top < d->rt->object_max ? top : d->rt->object_max;
    for (uint32_t i = 0; i < n; i++) {
        if (told < OBJECTS_AT_MOST && dump_object(d, i))
            told++;
        else if (mf__object_peek(d->rt, i, &kind))
            others++;
    }
    if (others) {
        mf__text_add(&t,
                     told < OBJECTS_AT_MOST
                         ? "  and %u empty queues or free locks, at which nobody waits"
                         : "  and %u other queues and locks",
                     others);
        d->line(d->arg, buffer);
    }
    dump_locks(d, n);
}
