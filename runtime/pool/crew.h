/*
 * crew.h - what pool.c and crew.c share: the pool's private state, and the care for its workers.
 *
 * pool.c owns the jobs (submit, collect, finish), crew.c the workers (start, watch, settle, end).
 */
#ifndef MF_CREW_H
#define MF_CREW_H

#include "pool.h"

struct mf_job {
    mf_pool *pool;
    struct mf_task *task;
    mf_code *code;
    uint64_t word; /* offset of task, | number << 40: names this job in queues and slots */
    uint32_t id;   /* place in pool->jobs */
    uint32_t count;
    uint32_t retries;
    int64_t timeout; /* ns; 0: none */
    enum mf_job_state state;
    bool abandoned; /* by its owner, while pending */
    bool held;      /* pending, but not queued yet */
    struct mf_failure *failures;
    uint32_t failure_count;
    void *user;
};

struct mf_member {
    mf_process *p; /* NULL: to be started again */
    bool ready;
    uint64_t overdue; /* word of the task that it is being killed for */
};

#define MF_POOL_HEARD 64u

struct mf_pool {
    mf_runtime *rt;
    struct mf_supervisor supervisor;
    struct mf_pool_options options; /* its pointers lead to our own copies */
    char name[24];
    uint64_t handles[MF_POOL_HANDLES + 2]; /* of the queues below, then options.handles */
    mf_queue *tasks, *news;
    enum mf_pool_state state;

    struct mf_member *members; /* options.processes of them */
    uint32_t stillborn;        /* how suspicious the workers' ends before they were ready are */
    int last_status;
    uint32_t refusals; /* looks in a row at which no worker was there and none could be started */
    int refused, refused_errno; /* why, when that broke the pool; else 0 */
    bool settling, collecting, attention;
    bool timed; /* some job has a time limit */

    mf_job **jobs; /* by id; NULL: free */
    uint32_t job_max, job_hint, pending;
    uint64_t numbers;

    uint64_t heard[MF_POOL_HEARD]; /* words of news that are not settled yet */
    uint32_t heard_first, heard_count;

    struct mf_message broken; /* what a failed initializer said, if it is_told */
    bool is_told;
};

/* --- crew.c --- */

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

/* --- pool.c --- */

/* The pending job of a word, or NULL. */
mf_job *mf__pool_find(mf_pool *pool, uint64_t word);

/* A record has come back: finished, cancelled, or with an item that could not be written. */
void mf__pool_returned(mf_pool *pool, mf_job *job);

/* Gives the item at t->done up; the rest goes on. */
void mf__pool_item_failed(mf_pool *pool, mf_job *job, struct mf_failure why);

/* Puts a record (back) into the queue of tasks. */
void mf__pool_requeue(mf_pool *pool, mf_job *job);

/* Reads all news that are there. True when there were some. */
bool mf__pool_drain(mf_pool *pool);

/* The pool cannot work: all pending jobs fail. */
void mf__pool_break(mf_pool *pool);

#endif
