/*
 * tasks.h - the tasks of the mesh's pools: what workers run, and what a boss expects of it.
 *
 * A task has up to ITEMS items. A worker notes in the ledger that it tries an item, runs it and has
 * committed it; the boss compares that with the results and the failures that the pool reports.
 */
#ifndef TASKS_H
#define TASKS_H

#include "mesh.h"
#include "pool.h"

#define TASKS_AT_ONCE 8

struct crew {
    mf_pool *pool;
    mf_code *code;
    mf_job *jobs[TASKS_AT_ONCE];
};

/* Makes a pool, in a boss. */
void crew_open(mf_runtime *rt, struct crew *c, uint32_t processes);

/* Keeps the pool supplied, unless `enough`; hears its news until the deadline; checks what is
 * finished. False when there is nothing left to do. */
bool crew_turn(mf_runtime *rt, struct crew *c, bool enough, int64_t deadline);

/* Closes or (now) terminates it; no job is left in between. */
void crew_close(mf_runtime *rt, struct crew *c, bool now);

#endif
