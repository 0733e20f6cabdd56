/* deadlock.c - who waits for whom, and whether a join can end: see deadlock.h. */
#include "deadlock.h"

#include "lock.h"
#include "object.h"
#include "slot.h"

#include <string.h>

#define LOOKS 4u
#define PATIENCE (400 * MF_MSEC)

enum { WORDS = MF_SLOTS / 64 };

/* Processes of which one or another must wake first. */
struct circle {
    uint64_t known[WORDS], seen[WORDS];
    uint64_t who;
    uint32_t child;
    struct mf_waiting wait; /* of the child, as it was seen: a wait is made of slices */
};

static void add(struct circle *c, uint32_t slot)
{
    c->known[slot / 64] |= UINT64_C(1) << slot % 64;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    return a ^ a >> 29;
}

/* Adds who could wake a process that waits at an object. False when somebody unknown could, or when
 * it need not be woken. */
static bool add_holders(const mf_runtime *rt, struct circle *c, const struct mf_waiting *w)
{
    const struct mf_kind *kind;
    const struct mf_object *o = w->object ? mf__object_peek(rt, w->object - 1, &kind) : NULL;
    if (!o || *(const volatile uint64_t *)&o->refs || !kind->is_stuck ||
        !kind->is_stuck(rt, o, w->side))
        return false;
    for (int i = 0; i < WORDS; i++)
        c->known[i] |= atomic_load(&o->holders[i]);
    return true;
}

/* Adds who could wake a process; false when it may wake by itself, or does not sleep. */
static bool visit(const mf_runtime *rt, struct circle *c, uint32_t slot)
{
    const struct mf_slot *s = mf__slot_at(rt, slot);
    uint64_t state = atomic_load(&s->state);
    struct mf_waiting w;
    if (mf__phase(state) != MF_SLOT_LIVE || !mf__slot_wait(s, &w) || w.acts ||
        w.until != MF_FOREVER)
        return false;
    if (slot == c->child)
        c->wait = w;
    c->who = mix(mix(mix(c->who, state ^ slot), (uint64_t)w.since), w.object);
    switch (w.waits) {
    case MF_WAITS_OBJECT: return add_holders(rt, c, &w);
    case MF_WAITS_CHILD: return w.child < MF_SLOTS ? add(c, w.child), true : false;
    default: return false;
    }
}

/* Does everybody sleep who could, over any number of corners, wake the child? */
static bool all_sleep(const mf_runtime *rt, struct circle *c, uint32_t child)
{
    bool grown = true;
    memset(c, 0, sizeof *c);
    c->child = child;
    add(c, child);
    while (grown) {
        grown = false;
        for (uint32_t i = 0; i < MF_SLOTS; i++) {
            uint64_t bit = UINT64_C(1) << i % 64;
            if (!(c->known[i / 64] & bit) || c->seen[i / 64] & bit)
                continue;
            c->seen[i / 64] |= bit;
            grown = true;
            if (!visit(rt, c, i))
                return false;
        }
    }
    return true;
}

/* --- telling it ---------------------------------------------------------------------------------
 */

static bool is_held_by(const struct mf_object *o, uint32_t slot)
{
    return atomic_load(&o->holders[slot / 64]) >> slot % 64 & 1;
}

/* Who could wake a child at the object: the subject of a sentence. NULL: nobody else. */
static const char *who_could(const mf_runtime *rt, const struct mf_object *o, uint32_t child)
{
    for (uint32_t i = 0; i < MF_SLOTS; i++)
        if (i != child && i != rt->slot && is_held_by(o, i))
            return "only processes that wait themselves";
    return is_held_by(o, rt->slot) ? "only this process" : NULL;
}

/* What the child waits to do, who could help and how, or how to help where nobody else could. */
struct phrase {
    const char *waits, *who, *advice, *alone;
};
static const struct phrase
    lock = {"waits for a lock", "which %s could release", "release it before the join",
            "let somebody else have the lock"},
    put = {"waits to put into a full queue", "from which %s could get", "get before the join",
           "let somebody else have the queue"},
    get = {"waits to get from an empty queue", "into which %s could put",
           "put, or close it, before the join", "let somebody else have the queue"},
    receive = {"waits to receive from a pipe", "into which %s could send",
               "send before the join, or close that end in every process that has it, the receiver "
               "too",
               "close that end in the receiver, too, before it receives"};

static const struct phrase *phrase_for(const struct mf_object *o, uint32_t side)
{
    if (atomic_load(&o->kind) == MF_KIND_LOCK)
        return &lock;
    if (side == 0)
        return &put;
    return strncmp(o->label, "Pipe", sizeof o->label) == 0 ? &receive : &get;
}

static void tell_object(const mf_runtime *rt, uint32_t child, const struct mf_waiting *w,
                        struct mf_text *t)
{
    const struct mf_kind *kind;
    const struct mf_object *o = mf__object_peek(rt, w->object - 1, &kind);
    if (!o)
        return;
    const struct phrase *p = phrase_for(o, w->side);
    mf__text_add(t, "%s (", p->waits);
    mf__object_name(rt, w->object - 1, t);
    mf__text_add(t, ": ");
    kind->describe(rt, o, t);
    mf__text_add(t, "), ");
    if (p == &lock && mf__lock_holder(o) == (int)child) {
        mf__text_add(t, "which it holds itself: a Lock is not recursive");
        return;
    }
    const char *who = who_could(rt, o, child);
    mf__text_add(t, p->who, who ? who : "nobody else");
    mf__text_add(t, ": %s", who ? p->advice : p->alone);
}

static void tell(mf_runtime *rt, uint32_t child, const struct mf_waiting *w)
{
    struct mf_text t = mf__text_in(rt->deadlock, sizeof rt->deadlock);
    rt->deadlock_pid = atomic_load(&mf__slot_at(rt, child)->pid);
    mf__text_add(&t, "process ");
    mf__slot_text(rt, child, &t);
    mf__text_add(&t, " ");
    if (w->waits == MF_WAITS_CHILD) {
        mf__text_add(&t, "waits for the end of process ");
        mf__slot_text(rt, w->child, &t);
        mf__text_add(&t, ", which waits for ever");
    } else if (w->waits == MF_WAITS_OBJECT && w->object) {
        tell_object(rt, child, w, &t);
    }
}

bool mf__deadlock_look(mf_runtime *rt, uint32_t child, struct mf_suspicion *s)
{
    struct circle c;
    int64_t now = mf__now();
    if (!all_sleep(rt, &c, child)) {
        s->looks = 0;
        return false;
    }
    if (s->looks == 0 || s->who != c.who)
        *s = (struct mf_suspicion){.who = c.who, .since = now};
    if (++s->looks < LOOKS || now - s->since < PATIENCE)
        return false;
    s->looks = 0;
    tell(rt, child, &c.wait);
    return true;
}
