/*
 * lock.h - the Lock that users hold: across Lua code, for any length of time, released by anyone.
 *
 * One word says who holds it, changed by compare-and-swap only, so a kill leaves it held or free.
 * When its holder dies, whoever settles the death turns the word to "abandoned by pid" and wakes
 * one sleeper; the next to acquire it is told. The kernel's robust lists, which recover 2048 locks
 * at most, are not involved. A forked child holds none of its parent's locks.
 */
#ifndef MF_LOCK_H
#define MF_LOCK_H

#include "arena.h"

typedef struct mf_object mf_lock;

/* What mf_lock_acquire answers, besides 0, when the last holder died holding it. */
#define MF_ABANDONED 1

/* Makes a lock, held (as a handle) by this process. MF_ENOMEM. */
int mf_lock_new(mf_runtime *rt, mf_lock **ret_lock);

/* Acquires it, sleeping until the deadline (clock.h; 0 does not sleep). 0; MF_ABANDONED, acquired,
 * with the dead holder's pid in *ret_pid; MF_ETIMEOUT; MF_EINTR; MF_EFORKED. Not recursive. */
int mf_lock_acquire(mf_runtime *rt, mf_lock *lock, int64_t deadline, int32_t *ret_pid);

/* Releases it, whoever holds it. MF_EINVAL when nobody does; MF_EFORKED. */
int mf_lock_release(mf_runtime *rt, mf_lock *lock);

/* True when this process holds it. */
bool mf_lock_is_mine(const mf_runtime *rt, const mf_lock *lock);

/* The slot of the process that holds it; -1 when nobody does. */
int mf__lock_holder(const mf_lock *lock);

extern const struct mf_kind mf__lock_kind;

#endif
