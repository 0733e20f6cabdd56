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
 * ring        waker     when and where it rang last, for spin.h; nothing depends on it
 *
 * All atomics are sequentially consistent: a sleeper announces itself, then reads its condition; a
 * waker commits, then reads announced; one of the two sees the other. A sleeper draws its ticket
 * (seq) before it announces itself: a waker that has read the announcement and then changes seq
 * makes the ticket void, so a wake that finds nobody asleep may forget the announcements it read.
 *
 * A waker makes a system call only when announced differs from quiet. When a wake finds nobody, the
 * announcement that it had read is spent: that sleeper's ticket is void, or it left, or was killed.
 * A sleeper that was woken and killed before it used what it was woken for has passed nothing on;
 * whoever settles its death wakes all sleepers of the object it was busy with.
 */
#ifndef MF_WAIT_H
#define MF_WAIT_H

#include "arena.h"

/* How often the watch looks for deaths, and whoever has children to supervise. */
#define MF_LOOK_OFTEN (100 * MF_MSEC)

struct mf_wait {
    _Atomic uint32_t seq;
    _Atomic uint32_t announced;
    _Atomic uint32_t quiet;
    _Atomic uint32_t ring;
};

/* Does what is waited for hold? Reads shared memory only; cheap; without side effects. */
typedef bool mf_condition(const void *arg);

/* Sleeps until holds(arg). 0; MF_ETIMEOUT past the deadline, MF_EINTR after a signal handler ran:
 * it does not hold then. At the latest after a second (a tenth of that for the watch and for
 * supervisors) a sleeper looks for deaths, gives idle memory back, runs the process's supervisors
 * and checks the condition, so that anything that those may do must be allowed here: the caller
 * holds no lock and has nothing in hand. A condition that was found to hold by such a look alone is
 * counted in arena->late_wakes. */
int mf__wait_until(mf_runtime *rt, struct mf_wait *w, mf_condition *holds, const void *arg,
                   int64_t deadline);

/* A process tells in its slot what it is about to sleep for, and takes it back. They nest: a
 * supervisor waits inside a wait. mf__wait_until does it itself. */
struct mf_said {
    uint32_t waits, child, acts;
    int64_t since, until;
};
void mf__wait_say(mf_runtime *rt, uint32_t waits, uint32_t child, int64_t deadline,
                  struct mf_said *ret_before);
void mf__wait_unsay(mf_runtime *rt, const struct mf_said *before);

/* Wakes one sleeper; call it after the commit that makes its condition hold. No system call when
 * nobody sleeps. */
void mf__wait_wake(struct mf_wait *w);

/* Wakes n of them. */
void mf__wait_wake_some(struct mf_wait *w, int n);

/* Wakes all of them. */
void mf__wait_wake_all(struct mf_wait *w);

/* Looks for deaths, gives idle memory back to the system, and runs the supervisors of this process,
 * outside any wait. */
void mf__wait_look_around(mf_runtime *rt);

/* For a sleep that a signal ended: looks around if the last look was a while ago. Where signals
 * come faster than looks are due no sleep lasts to its end, and nobody would ever look. */
void mf__wait_interrupted(mf_runtime *rt);

#endif
