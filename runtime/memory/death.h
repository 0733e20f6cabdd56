/*
 * death.h - the one death handler.
 *
 * Every process locks the life word of its slot for life; the kernel releases it at its death,
 * however it dies. Whoever finds a life word released by the dead owns the claim: it acts in the
 * name of the dead slot (its intents go into the dead slot's fields, its locks are signed with the
 * dead slot's number), so that a claimer that dies too leaves a state that the next claimer goes on
 * with. Order of a claim, each part idempotent:
 *
 *   1. settle the object it was busy with (queue ends, sleepers are woken)
 *   2. its children, whom the kernel is killing. While one of them lives, which may be working on
 *      the dead one's blocks (a pool's records), 4 and 6 are left out, and the claim comes again
 *   3. blocks on their way: allocator intents, the block in hand
 *   4. blocks: all that it owned
 *   5. objects: pass its locks on, take it off the holders, go on destroying what it was destroying
 *   6. DEAD, for its parent to reap; FREE, when there is none
 *
 * A slot of a child
 * that was starting, or that ended and was not reaped, is freed by whoever finds that the parent is
 * gone: until then nobody else touches it, and only under its life word.
 */
#ifndef MF_DEATH_H
#define MF_DEATH_H

#include "arena.h"

/* Looks at every slot: settles the deaths it finds, frees what dead parents left. Returns how many
 * deaths. Takes ~10 ns a slot in
 * use when nobody died. Never blocks for long; not re-entrant, not inside an operation. */
int mf__death_check(mf_runtime *rt);

/* Settles one slot's death, if it is dead and nobody is at it. For a parent that has reaped a child
 * (so that a child that never went LIVE is covered too). True when the slot is EXITED, DEAD or gone
 * afterwards. */
bool mf__death_settle(mf_runtime *rt, uint32_t slot);

/* For its parent: frees a slot that was taken for a child which never came: its start failed, or it
 * was reaped before it entered. False where a stopped process keeps it from being settled, or
 * somebody holds it for more than a second. */
bool mf__death_give_up(mf_runtime *rt, uint32_t slot);

/* Cleans the calling process's own slot, as a death would, before it leaves. */
void mf__death_clean_self(mf_runtime *rt);

#endif
