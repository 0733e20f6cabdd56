/*
 * crew.h - the workers of a pool: how they are started, watched, settled and ended. For the
 * creator's files of the pool.
 */
#ifndef MF_CREW_H
#define MF_CREW_H

#include "pool_state.h"

/* Once, when the pool has its queues: makes what every worker gets. 0 or MF_ENOMEM. */
int mf__crew_prepare(mf_pool *pool);

/* Starts the workers that are missing and wanted. The first error, or 0. */
int mf__crew_fill(mf_pool *pool);

/* Looks after the workers: settles the dead, kills the overdue, replaces both. */
void mf__crew_settle(mf_pool *pool);

/* One worker has said that it is leaving: waits for it and replaces it. */
void mf__crew_leaving(mf_pool *pool, int pid);

void mf__crew_ready(mf_pool *pool, int pid);

/* When the next time limit passes, or MF_FOREVER. */
int64_t mf__crew_next_limit(mf_pool *pool);

/* Would mf__crew_settle find something to do? */
bool mf__crew_needs_care(mf_pool *pool);

/* Ends all workers: SIGTERM, after the grace SIGKILL. */
void mf__crew_end(mf_pool *pool, double grace);

/* Waits until all workers have ended by themselves. */
int mf__crew_join(mf_pool *pool, int64_t deadline);

#endif
