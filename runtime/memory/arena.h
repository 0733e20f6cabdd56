/*
 * arena.h - the memory that a family of processes shares, and what each process keeps of it.
 *
 * The first process reserves one range of shared virtual memory before its first fork; every later
 * process of the family inherits it at the same address. It has no name: the kernel frees it with
 * the last process. Shared structures hold offsets from its start, never pointers.
 *
 *     | header | slots: one a process | objects: queues, locks | unit map | units of 64 KiB: blocks
 * |
 *
 * `mf_runtime` is private to a process (to one thread of it at a time): where the arena is and
 * which slot is its own. A forked child must not use its parent's; process.c gives it one.
 */
#ifndef MF_ARENA_H
#define MF_ARENA_H

#include "clock.h"
#include "error.h"
#include "moonfork.h"
#include "mutex.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MF_SLOTS = 2048,     /* processes alive (or not yet reaped) at one time in a family */
    MF_CLASSES = 38,     /* sizes of small blocks: see class.h */
    MF_UNIT = 64 * 1024, /* the grain of the unit map */
    MF_FREE_HINTS = 16,  /* runs freed last, to be used first: their pages are hot */
};

typedef struct mf_runtime mf_runtime;
struct mf_slot;
struct mf_object;
struct mf_process;

/* Blocks of one size. `free` and `carve` are each changed by one store (mf__note) under `lock`. */
struct mf_class {
    _Alignas(64) struct mf_mutex lock;
    _Atomic uint64_t free;  /* offset of the first free block, 0 for none; linked by block.next */
    _Atomic uint64_t carve; /* slab's unit << 32 | blocks carved from it; 0 before the first slab */
};

struct mf_unit_pool {
    _Alignas(64) struct mf_mutex lock;
    _Atomic uint32_t top; /* units from here on were never used */
    uint32_t used;        /* units in use; derived from the map, recounted after a death inside */
    uint32_t budget;      /* units that may be in use */
    uint32_t hint;        /* next place in hints */
    uint32_t hints[MF_FREE_HINTS]; /* units where free runs may begin; the map decides */
    uint32_t absent; /* a walk has found no free run as long as this; 0 when it is not known */
    uint32_t given;  /* units that were given back since */
    /* for mf__units_trim, which is caches as well */
    _Atomic int64_t next_trim; /* when there may be something to do */
    int64_t second;            /* when the second ends that `most` is about */
    uint32_t most;             /* units that were in use at a time in it */
    uint32_t keep;             /* idle units that stay, after the second before */
    uint32_t is_warm;          /* 1: is there perhaps a free run with pages? */
};

/* Where the next look for idle slabs goes on, and not before when: see slab.h. Advice. */
struct mf_slab_walk {
    _Atomic uint32_t unit;
    _Atomic int64_t next;
};

/* Two words to write as if at once: armed by one store, done again after a death. */
struct mf_journal {
    _Atomic uint32_t armed;
    uint32_t n;
    struct {
        uint64_t at, value;
    } write[2];
};

struct mf_object_pool {
    _Alignas(64) struct mf_mutex lock; /* guards references, holders and the free list */
    struct mf_journal journal;
    _Atomic uint32_t top;  /* objects from here on were never used */
    _Atomic uint32_t free; /* index + 1 of the first free object; linked through object.next */
};

struct mf_arena {
    uint64_t magic;
    uint64_t family;             /* random; constant */
    _Atomic uint32_t slot_top;   /* slots from here on were never used */
    _Atomic uint32_t deaths;     /* grows with each death that was settled */
    _Atomic uint64_t serials;    /* source of numbers unique in the family */
    _Atomic uint64_t late_wakes; /* sleepers that found something at a re-check: must stay 0 */
    struct mf_mutex watch;       /* role: the one sleeper that looks for deaths often */
    _Atomic int64_t looked;      /* when one that supervises children has looked last, */
    _Atomic uint32_t looker;     /* and its slot: then the watch need not look as often */
    struct mf_slab_walk slab_walk;
    struct mf_unit_pool units;
    struct mf_object_pool objects;
    struct mf_class classes[MF_CLASSES];
};

/* What the layers above do for their kind of object when a process died or its last holder left.
 * All are idempotent: who runs them may be killed inside and be followed by another. */
struct mf_kind {
    /* The dead held this object's mutexes or was busy with it: settle its intents, wake all. 0, or
     * MF_ETIMEOUT where a stopped process holds one of them: it will be called again. */
    int (*settle)(mf_runtime *rt, struct mf_object *o, struct mf_slot *dead, int64_t deadline);
    /* Any process died while this object is there: a lock passes on. Under the pool's lock: brief,
     * and takes no lock. */
    void (*bereave)(mf_runtime *rt, struct mf_object *o, struct mf_slot *dead);
    /* No holder is left: give back all that the object owns. */
    void (*destroy)(mf_runtime *rt, struct mf_object *o);

    /* For people. All of these take no lock and may read what is no longer, or half, there. */
    const char *name;
    /* False when it is not worth mentioning: empty, free. */
    bool (*describe)(const mf_runtime *rt, const struct mf_object *o, struct mf_text *t);
    /* Would a process that waits at a side of the object wait on, as things are? */
    bool (*is_stuck)(const mf_runtime *rt, const struct mf_object *o, uint32_t side);
};

enum { MF_KIND_FREE = 0, MF_KIND_QUEUE, MF_KIND_LOCK, MF_KINDS };

/* Called inside waits of this process, at the latest every 100 ms, and when a death was settled. */
struct mf_supervisor {
    void (*look)(struct mf_supervisor *self);
    /* A line about what it looks after, for inspect.h: reads numbers of its own, may be called in a
     * signal handler. May be NULL. */
    void (*tell)(const struct mf_supervisor *self, struct mf_text *t);
    bool acts; /* it does things because time passes, not only because something has happened */
    struct mf_supervisor *next;
};

/* A call of the layers above that waits in slices: what its waits are to say of themselves, and
 * what the last one said (see slot.h). since 0: there is none. */
struct mf_call {
    int64_t since, until;
    uint32_t waits, object, side, child;
};

/* What a process has learned of its waits: see spin.h. */
struct mf_spin {
    uint32_t limit; /* looks of a busy wait; 0: not known yet */
    uint32_t vain;  /* looks of the one before this sleep, which saw nothing */
    uint32_t turns; /* sleeps in a row that were ended on its own processor */
    int64_t moved;  /* when it moved to another; 0: never */
    int64_t rest;   /* from there to the next move, ns */
};

struct mf_runtime {
    struct mf_arena *arena;
    /* Constants of the arena, here because nobody can write them here: with these every offset and
     * number that is read from shared memory is checked before it is used. */
    uint64_t reserve;                                /* bytes */
    uint64_t slots_at, objects_at, map_at, units_at; /* offsets */
    uint32_t object_max, unit_max;                   /* how many have room */
    struct mf_slot *self;
    uint32_t slot;   /* index of self */
    uint32_t *token; /* a page that forks wipe: 0 in a process that somebody else forked */
    int32_t pid;     /* of this process */
    int cpus;        /* that it may use */
    const struct mf_kind *kinds[MF_KINDS];
    struct mf_supervisor *supervisors;
    struct mf_process *children; /* of process.c: not joined yet */
    struct mf_process *ended;    /* joined, and not freed yet */
    struct mf_process
        *spare; /* for the next start, or NULL: a child leaves its parent's heap alone */
    struct mf_zygote *zygote; /* of zygote.c, or NULL */
    bool supervising;         /* guards against re-entry */
    bool burying;             /* see object.c */
    uint32_t doomed;          /* see object.c */
    uint32_t deaths_seen;
    struct mf_spin spin;
    int64_t looked;       /* when this process looked for the dead last: see wait.c */
    struct mf_call call;  /* of this process, while it is in it */
    int32_t deadlock_pid; /* of the child */
    char deadlock[320];   /* what the last MF_EDEADLOCK was about: see deadlock.h */
};

/* Makes an arena and its first process. MF_ENOMEM when no range could be reserved; MF_ESYS, with
 * its errno, when the kernel is too old. */
int mf__arena_open(const struct mf_arena_options *options, mf_runtime **ret_rt);

/* Gives the slot up: cleans it as a death would, and leaves there the exit status for a parent who
 * cannot reap. Nothing in a process that somebody else forked. */
void mf__arena_leave(mf_runtime *rt, int status);

/* Unmaps and frees, after mf__arena_leave. NULL is fine. */
void mf__arena_close(mf_runtime *rt);

/* 0, or MF_EFORKED when this process was forked by other means than process.c. */
static inline int mf__alive(const mf_runtime *rt)
{
    return *rt->token ? 0 : MF_EFORKED;
}

/* In a child just forked: the runtime, a copy of the parent's, becomes this process's own and
 * enters the slot, whose state was `taken` before the fork. MF_EDIED when the parent has died
 * meanwhile. */
int mf__arena_adopt(mf_runtime *rt, uint32_t slot, uint64_t taken);

/* A number that nobody else in the family gets; never 0. */
uint64_t mf__serial(mf_runtime *rt);

/* Writes a field that tells what this process has in hand. Only a process that outlives this one
 * reads it, and the kernel lets it see exactly what was executed: all that is needed is that the
 * compiler keeps the order. */
#define mf__note(field, value)                                                                     \
    do {                                                                                           \
        atomic_signal_fence(memory_order_seq_cst);                                                 \
        atomic_store_explicit(field, value, memory_order_relaxed);                                 \
        atomic_signal_fence(memory_order_seq_cst);                                                 \
    } while (0)

/* Do size bytes at an offset read from shared memory lie among the units? */
static inline bool mf__is_in_units(const mf_runtime *rt, uint64_t offset, uint64_t size)
{
    uint64_t room = rt->reserve - rt->units_at;
    return size <= room && offset - rt->units_at <= room - size;
}

static inline void *mf__at(const mf_runtime *rt, uint64_t offset)
{
    return (uint8_t *)rt->arena + offset;
}

static inline uint64_t mf__offset(const mf_runtime *rt, const void *p)
{
    return (uint64_t)((const uint8_t *)p - (const uint8_t *)rt->arena);
}

#endif
