/*
 * wait.h - sleeping until something that another process does, and waking.
 *
 * Roles: sleepers and wakers, any number of processes each; nobody owns a wait, so a death leaves
 * nothing behind in it.
 *
 * field       writer    meaning
 * seq         waker     grows with each wake; the futex word that sleepers sleep on
 * announced   sleeper   grows before each sleep
 * quiet       waker     the value of announced at which a wake found nobody asleep
 *
 * The one correct loop (all atomics sequentially consistent: the sleeper announces, then reads the
 * condition; the waker commits, then reads announced; one of the two sees the other):
 *
 *     while (!condition()) {
 *         uint32_t ticket = mf__wait_prepare(w);
 *         if (condition())
 *             break;
 *         if ((rc = mf__wait_sleep(rt, w, ticket, deadline)) < 0)
 *             return rc;
 *     }
 *
 * A waker makes a system call only when announced differs from quiet. When a wake finds nobody, the
 * announcement that it had read is spent: that sleeper's ticket is void, or it left, or was killed.
 * A sleeper that was woken and killed before it used what it was woken for has passed nothing on;
 * whoever settles its death wakes all sleepers of the object it was busy with.
 */
#ifndef MF_WAIT_H
#define MF_WAIT_H

#include "arena.h"

struct mf_wait {
    _Atomic uint32_t seq;
    _Atomic uint32_t announced;
    _Atomic uint32_t quiet;
    uint32_t spare;
};

/* Announces a sleeper; the ticket goes to mf__wait_sleep. The ticket is drawn first: a waker that
 * has read the announcement and then changes seq makes the ticket void, so that a wake that finds
 * nobody asleep may forget all the announcements it has read. */
static inline uint32_t mf__wait_prepare(struct mf_wait *w)
{
    uint32_t ticket = atomic_load(&w->seq);
    atomic_fetch_add(&w->announced, 1);
    return ticket;
}

/* Sleeps until woken after the ticket was drawn, at most some while: 0 says look again.
 * MF_ETIMEOUT past the deadline, MF_EINTR after a signal handler ran. On the way it looks for
 * deaths and runs the process's supervisors, so that anything that those may do must be allowed
 * here: the caller holds no lock and has nothing in hand. */
int mf__wait_sleep(mf_runtime *rt, struct mf_wait *w, uint32_t ticket, int64_t deadline);

/* Wakes one sleeper; call it after the commit that makes the condition true. No system call when
 * nobody sleeps. */
void mf__wait_wake(struct mf_wait *w);

/* Wakes all of them. */
void mf__wait_wake_all(struct mf_wait *w);

/* A short busy wait for *word to differ from seen, when more than one processor is there and such
 * waits have paid of late. True when it differs. Only reads. */
bool mf__wait_spin(mf_runtime *rt, const _Atomic uint64_t *word, uint64_t seen);

/* Looks for deaths and runs the supervisors of this process, outside any wait. */
void mf__wait_look_around(mf_runtime *rt);

#endif
