/*
 * deadlock.h - a join that can never end is reported, not suffered: for process.c.
 *
 * A process that sleeps for ever can be woken by some others only: at a queue or a lock by whoever
 * holds that object, in a join by the end of the child. When all of these sleep for ever too, and
 * so on until nobody new comes in, none of them will ever wake, and the join is one of them. So a
 * child that puts into a full queue from which only the joiner could get is found, as is one that
 * gets from a queue that only the joiner could fill, or waits for a lock that the joiner has.
 *
 * It must never be wrong. Whoever runs, waits with a deadline, sleeps for a time, or has tasks with
 * time limits to look after may still do something; so may somebody who gets an object from a
 * message, so that an object which is mentioned in messages under way (or in the functions and
 * items of a pool) is left out. And the sleepers must be the same, in the same waits, at several
 * looks. What comes from outside the family (a signal, a kill) is not foreseen.
 */
#ifndef MF_DEADLOCK_H
#define MF_DEADLOCK_H

#include "arena.h"

/* What the looks of one join have seen so far; all zero before the first. */
struct mf_suspicion {
    uint64_t who;  /* the sleepers and their waits, as one number */
    int64_t since; /* of the first look that saw them */
    uint32_t looks;
};

/* One look, by a process that joins the child in that slot without a deadline. True when it will
 * never end: then rt->deadlock says why, and the suspicion is taken back. */
bool mf__deadlock_look(mf_runtime *rt, uint32_t child, struct mf_suspicion *s);

#endif
