/*
 * pool_state.h - the private state of a pool and of its jobs, and what the creator's files of the
 * pool ask of each other: job.c owns the jobs, news.c hears of them, crew.c has the workers.
 */
#ifndef MF_POOL_STATE_H
#define MF_POOL_STATE_H

#include "pool.h"

struct mf_code {
    uint32_t refs;
    uint64_t serial;
    struct mf_block *block; /* of the arena; the creator's */
};

struct mf_job {
    mf_pool *pool;
    struct mf_task *task;
    mf_code *code;
    uint64_t word; /* offset of task, | number << 40: names this job in queues and slots */
    uint32_t id;   /* place in pool->jobs */
    uint32_t count;
    uint32_t retries;
    double timeout; /* seconds; 0: none */
    enum mf_job_state state;
    bool abandoned; /* by its owner, while pending */
    bool held;      /* pending, but not queued yet */
    bool here;      /* this process runs it: the record stays until that is over */
    bool disposed;  /* meanwhile */
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
    struct mf_seed *seed;      /* what a new worker gets */
    size_t seed_size;
    uint32_t stillborn; /* how suspicious the workers' ends before they were ready are */
    int last_status;
    int64_t refused_at; /* when a worker could not be started; 0: the last time it could */
    uint32_t refusals;  /* tries in a row at which no worker was there and none could be started */
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

/* --- job.c --- */

/* Frees a job that is not pending, with its record: at once, or when this process has run it. */
void mf__job_dispose(mf_pool *pool, mf_job *job);

/* A pending job ends: its owner is told, or it is freed where nobody wants it any more. */
void mf__job_finish(mf_pool *pool, mf_job *job, enum mf_job_state state);

/* The pending job of a word, or NULL. */
mf_job *mf__pool_find(mf_pool *pool, uint64_t word);

/* A record has come back: finished, cancelled, or with an item that could not be written. */
void mf__pool_returned(mf_pool *pool, mf_job *job);

/* Gives the item at t->done up; the rest goes on. */
void mf__pool_item_failed(mf_pool *pool, mf_job *job, struct mf_failure why);

/* Puts a record (back) into the queue of tasks. */
void mf__pool_requeue(mf_pool *pool, mf_job *job);

/* The pool cannot work: all pending jobs fail. */
void mf__pool_break(mf_pool *pool);

/* --- news.c --- */

/* Reads all news that are there. True when there were some. */
bool mf__pool_drain(mf_pool *pool);

#endif
