/*
 * slot.h - the process table: one slot a process, with its life word and its intents.
 *
 * field      writer                              reader
 * state      its process; parent (start, reap);  all
 *            whoever claims it
 * life       locked by its process for life      all, by trylock: "dead" is EOWNERDEAD
 * pid        its process, and its parent         all; 0 until the process is there
 * status     its process, before it leaves       its parent
 * fresh..    its process                         whoever claims it
 * task       its process                         its parent (a pool)
 * waits..    its process, around a sleep         all, as a hint: see mf__slot_wait
 *
 * Life of a slot, each step one store to `state`:
 *   FREE -> STARTING (parent, before the fork) -> LIVE (the child, holding life)
 *        -> EXITED (the child, after it has cleaned up) or DEAD (claimed and settled by anyone)
 *        -> FREE (its parent, after reaping; when the parent is gone, whoever finds that)
 *
 * A process that dies between two steps is found by mf__death_check (death.h) through its life
 * word; one that dies while STARTING by its parent through its pid.
 */
#ifndef MF_SLOT_H
#define MF_SLOT_H

#include "arena.h"

#include <sys/types.h>

/* What a process sleeps for. */
enum mf_waits {
    MF_WAITS_NOT,
    MF_WAITS_OBJECT, /* `busy` and `side` tell which */
    MF_WAITS_CHILD,  /* wait_child: its slot */
    MF_WAITS_TIME,
};

enum mf_phase { MF_SLOT_FREE, MF_SLOT_STARTING, MF_SLOT_LIVE, MF_SLOT_EXITED, MF_SLOT_DEAD };

/* In mf_slot.seq: the intent names no place in a queue. */
#define MF_NO_SEQ UINT64_MAX

struct mf_slot {
    _Alignas(64) struct mf_mutex life; /* holder is unused */
    _Atomic uint64_t state;            /* see mf__phase() and the following */
    _Atomic int32_t pid;
    _Atomic int32_t status; /* the code of a clean exit */

    /* Intents: what is in this process's hands. Written before and cleared after each change of
     * ownership; each is one store. */
    _Alignas(64) _Atomic uint64_t fresh; /* block that the allocator moves: in or out of a list */
    _Atomic uint64_t hand;               /* block on its way into or out of a queue */
    _Atomic uint64_t seq;                /* place in the queue that hand (or nothing) moves at */
    _Atomic uint64_t segment;            /* segment that a queue is taking or leaving */
    _Atomic uint32_t run;                /* unit + 1 of a run taken from the unit map */
    _Atomic uint32_t busy;               /* object + 1 that this process works or waits on */
    _Atomic uint32_t side;               /* the end that the intents are about: queue_end.h */
    _Atomic uint32_t got;                /* queue + 1 whose message is not yet delivered */

    _Alignas(64) _Atomic uint64_t task; /* a pool's record that this process runs: see pool.h */
    _Atomic uint64_t owned;             /* blocks whose header names this slot (never too low) */
    _Atomic uint32_t held;              /* objects whose holders name this slot (never too low) */
    _Atomic uint32_t spare;
    _Atomic uint64_t link; /* block made for the creator of task, perhaps not yet linked there */
    char name[32];

    /* What it waits for. Plain stores right before it really sleeps, so that nothing else pays. */
    _Alignas(64) _Atomic uint32_t waits; /* enum mf_waits; stored last, and taken back first */
    _Atomic uint32_t wait_child;
    _Atomic uint32_t wait_acts; /* it may do something by itself meanwhile: see mf_supervisor */
    _Atomic int64_t wait_since; /* of the clock; one call that waits in slices is one wait */
    _Atomic int64_t wait_until; /* the caller's deadline */
    _Atomic int64_t task_since; /* when `task` was taken, to some milliseconds */
};
_Static_assert(sizeof(struct mf_slot) == 256, "a slot is whole cache lines");

/* What a slot says of its wait. since tells two waits apart. */
struct mf_waiting {
    enum mf_waits waits;
    uint32_t object; /* index + 1 */
    uint32_t side;   /* of a queue: 0 put, 1 get */
    uint32_t child;
    bool acts;
    int64_t since, until;
};

/* Reads it, from any process at any time: false when its process was just changing it. What it says
 * may be over by now. */
bool mf__slot_wait(const struct mf_slot *s, struct mf_waiting *ret);

/* The slot's name, a string whatever stands there: of at most 31 printable characters. */
void mf__slot_name(const struct mf_slot *s, char *ret_name);

/* Appends "1234 (Process-1)". */
void mf__slot_text(const mf_runtime *rt, uint32_t index, struct mf_text *t);

/* Prepares the slots of a new arena. */
void mf__slots_init(mf_runtime *rt);

/* How many slots were ever used: where walks end. */
static inline uint32_t mf__slot_top(const mf_runtime *rt)
{
    uint32_t top = atomic_load(&rt->arena->slot_top);
    return top < MF_SLOTS ? top : MF_SLOTS;
}

/* The slot of a number. Any number has one, so that one read from shared memory needs no check. */
struct mf_slot *mf__slot_at(const mf_runtime *rt, uint32_t index);

/* A state: generation << 32 | parent's generation << 16 | (parent + 1) << 4 | phase. */
static inline enum mf_phase mf__phase(uint64_t state)
{
    return (enum mf_phase)(state & 0xf);
}

/* The parent's slot index, or -1 for the first process of a family. */
static inline int mf__parent(uint64_t state)
{
    return (int)(state >> 4 & 0xfff) - 1;
}

/* Of the parent's generation the low 16 bits: a slot is reused by others than the parent. */
static inline uint32_t mf__parent_generation(uint64_t state)
{
    return state >> 16 & 0xffff;
}

static inline uint32_t mf__generation(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

/* Takes a free slot for a child to come. MF_ELIMIT when all MF_SLOTS are in use. */
int mf__slot_take(mf_runtime *rt, uint32_t *ret_index);

/* Makes the slot the calling process's own: locks its life word and goes LIVE. `taken` is the state
 * that mf__slot_take left there. MF_EDIED when somebody has given the slot up meanwhile, and
 * perhaps another taken it. */
int mf__slot_enter(mf_runtime *rt, uint32_t index, uint64_t taken, pid_t pid);

/* True when nobody will reap the process of a slot in that state: its parent is gone, or was none.
 */
bool mf__slot_is_orphan(const mf_runtime *rt, uint64_t state);

/* The same for the first process of a family. */
int mf__slot_enter_first(mf_runtime *rt, pid_t pid);

/* EXITED with a status, for a process that has cleaned up; releases its life word. */
void mf__slot_leave(mf_runtime *rt, int status);

/* For death.c: ends the claim of a slot that was settled: DEAD, or FREE when nobody will reap it.
 */
void mf__slot_bury(mf_runtime *rt, uint32_t index);

/* Frees a slot: of a reaped child (EXITED or DEAD), or of a start that failed (STARTING). */
void mf__slot_free(mf_runtime *rt, uint32_t index);

#endif
