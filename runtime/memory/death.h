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
 *   2. blocks: allocator intents, the block in hand, all that it owned
 *   3. objects: pass its locks on, take it off the holders, go on destroying what it was destroying
 *   4. children: free what is finished, give up what is starting (the kernel kills what lives)
 *   5. DEAD, for its parent to reap; FREE, when there is none
 */
#ifndef MF_DEATH_H
#define MF_DEATH_H

#include "arena.h"

/* Looks at every life word; settles the deaths it finds. Returns how many. Takes ~10 ns a slot in
 * use when nobody died. Never blocks for long; not re-entrant, not inside an operation. */
int mf__death_check(mf_runtime *rt);

/* Settles one slot's death, if it is dead and nobody is at it. For a parent that has reaped a child
 * (so that a child that never went LIVE is covered too). True when the slot is EXITED, DEAD or gone
 * afterwards. */
bool mf__death_settle(mf_runtime *rt, uint32_t slot);

/* Frees a slot that was taken for a child which never came: its start failed, or it was reaped, or
 * its parent is dead. Nothing when the child is entering it after all. */
void mf__death_give_up(mf_runtime *rt, uint32_t slot);

/* Cleans the calling process's own slot, as a death would, before it leaves. */
void mf__death_clean_self(mf_runtime *rt);

#endif
