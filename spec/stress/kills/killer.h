/*
 * killer.h - who stands outside the family, watches its lives and ends some of them.
 */
#ifndef KILLER_H
#define KILLER_H

#include "ledger.h"

/* Begins with a new family, whose parent has that pid. */
void killer_open(pid_t parent, unsigned seed);
void killer_close(void);

/* Says in the ledger where the next of those who are born may kill themselves. */
void killer_wish(void);

/* A number by chance, below n. */
unsigned killer_dice(unsigned n);

/* Kills one: mostly somebody in a region that wants victims, every fifth time anyone at any time;
 * the parent only if it may be. False when nobody was there. */
bool kill_one(bool parent_too);

/* Who waits for somebody in such a region kills nobody else meanwhile, but every tenth time. */
extern bool killer_is_patient;

bool kill_parent(void);

/* How many were killed so far, in all families, and a line about who they were. */
unsigned killer_count(void);
void killer_print(void);

/* True when a living process has not come on for a long time; then it prints who was where. */
bool somebody_is_stuck(void);
void killer_print_lives(void);

#endif
