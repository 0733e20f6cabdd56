/*
 * object.h - the shared things that have a handle: queues and locks, their holders and their end.
 *
 * An object lives in one array of fixed places, so that a place that held a lock holds one for ever
 * (the kernel may still look at it after a killed unlocker). A handle is index and generation.
 *
 * An object is kept by its holders (processes with a handle in hand: one bit each) and by refs
 * (messages under way that carry its handle). Both change under the pool's lock; refs together
 * with the message's count of its counted handles through the journal, so that a kill at any
 * instruction leaves both or neither changed. When both are gone the object is marked DYING with
 * its undertaker's slot; an undertaker that dies is followed by whoever settles its death.
 */
#ifndef MF_OBJECT_H
#define MF_OBJECT_H

#include "arena.h"

/* One side of an object: its lock and the two words that the lock guards, in one cache line. */
struct mf_end {
    _Alignas(64) struct mf_mutex lock;
    _Atomic uint64_t at;
    _Atomic uint64_t segment; /* each change is one mf__note */
};
_Static_assert(sizeof(struct mf_end) == 64, "one cache line");

struct mf_object {
    _Alignas(64) _Atomic uint32_t kind; /* enum of arena.h, | MF_DYING */
    uint32_t generation;
    uint64_t refs;
    uint32_t next;               /* index + 1: in the free list; DYING, in its undertaker's list */
    _Atomic uint32_t undertaker; /* slot + 1 of who destroys it */
    char label[8]; /* what people call it, where that is not its kind's name; no zero at 8 */
    struct mf_end end[2];
    _Atomic uint64_t holders[MF_SLOTS / 64];
    _Alignas(64) uint8_t body[576]; /* of the kind's own making; zeroed at birth */
};
_Static_assert(sizeof(struct mf_object) == 1024, "objects stand on 1 KiB");

#define MF_DYING 0x100u

struct mf_block;

/* Index << 32 | generation: what travels in messages. Never 0. */
uint64_t mf__object_handle(const mf_runtime *rt, const struct mf_object *o);

/* Makes an object of the kind, held by this process. Its body is zero, its ends' words too.
 * MF_ENOMEM when all places are taken; MF_ECORRUPT. */
int mf__object_new(mf_runtime *rt, uint32_t kind, struct mf_object **ret_o);

/* The object of a handle if it is alive and of that kind (0: any), now also held by this process;
 * else MF_ECLOSED. The caller knows that somebody keeps it: a message, or a holder. */
int mf__object_hold(mf_runtime *rt, uint64_t handle, uint32_t kind, struct mf_object **ret_o);

/* Lets a child that is about to be forked hold what this process holds. */
int mf__object_hold_for(mf_runtime *rt, uint64_t handle, uint32_t slot);

/* This process lets go of the object; the last one destroys it. Nothing in a process that somebody
 * else forked: it holds nothing. */
void mf__object_drop(mf_runtime *rt, struct mf_object *o);

/* The message in block b (owned by the caller) keeps the n objects of handles. MF_ECLOSED, and
 * nothing kept, when one is gone. The handles are read again from the message when it is freed. */
int mf__object_keep(mf_runtime *rt, struct mf_block *b, const uint64_t *handles, uint32_t n);

/* Undoes mf__object_keep, for a message that is about to be freed. */
void mf__object_unkeep(mf_runtime *rt, struct mf_block *b, const uint64_t *handles);

/* Says what people call an object that this process has just made: at most 8 letters. */
void mf__object_label(struct mf_object *o, const char *label);

/* Appends "Queue#3" or the like, for any index: numbers begin with 1, and are used again. */
void mf__object_name(const mf_runtime *rt, uint32_t index, struct mf_text *t);

/* The object of an index if it is alive, with its kind; takes no lock: it may end at once. */
struct mf_object *mf__object_peek(const mf_runtime *rt, uint32_t index,
                                  const struct mf_kind **ret_kind);

/* The object of an index: of place 0 for one that is none. */
struct mf_object *mf__object_at(const mf_runtime *rt, uint32_t index);
uint32_t mf__object_index(const mf_runtime *rt, const struct mf_object *o);

/* For death.c: takes and leaves the lock, so that a death inside it is settled (which may leave the
 * dead objects to destroy that it did not know of). 0 or MF_ETIMEOUT. */
int mf__objects_visit(mf_runtime *rt, int64_t deadline);

/* After that, rt acting for the dead: takes it off all objects, passes its locks on, goes on with
 * what it was destroying. */
void mf__object_bereave_all(mf_runtime *rt);

/* Prepares the pool of a new arena. */
void mf__objects_init(mf_runtime *rt);

/* What the layers above do for an object whose word `kind` is this; NULL for a word that is none.
 */
const struct mf_kind *mf__object_kind(const mf_runtime *rt, uint32_t word);

/* Objects alive now, for tests. */
uint32_t mf__object_count(mf_runtime *rt);

#endif
