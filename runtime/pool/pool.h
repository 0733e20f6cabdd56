/*
 * pool.h - a pool of workers, from its creator's side: submitting, collecting, supervising.
 *
 * Roles: the creator submits records and collects news; workers take records from one shared queue,
 * so that they go on while the creator computes; nobody else takes part. All fields of mf_pool and
 * mf_job are private to the creator's process. No helper thread: replacing the dead, retrying and
 * failing their tasks happens inside waits of the creator (supervisor of arena.h) and in
 * mf_pool_collect.
 *
 * If a worker dies: its committed news are read first; then the record that its slot names is
 * settled exactly once, by the creator: DONE counts as finished, never begun goes back into the
 * queue, an item that was begun is tried again while its retries last, else it fails
 * (mf_job_failures) and the rest of the record goes back into the queue. If the creator dies, the
 * kernel kills the workers, and who settles that death frees what the pool owned when the last of
 * them is dead.
 *
 * A forked child must not use its parent's pools.
 */
#ifndef MF_POOL_H
#define MF_POOL_H

#include "process.h"
#include "worker.h"

typedef struct mf_pool mf_pool;
typedef struct mf_job mf_job;
typedef struct mf_code mf_code;

/* An item of a job that has no result because its worker could not give one. */
struct mf_failure {
    uint32_t item;
    enum { MF_FAILED_DIED, MF_FAILED_TIMEOUT, MF_FAILED_NOMEM } reason;
    int pid, status; /* of the worker; status as of mf_process_status */
};

struct mf_pool_hooks {
    /* In a new worker: never returns into the creator's code; calls mf__worker_loop. Its pool is
     * good for mf__pool_worker and mf__pool_tell_broken, and for nothing else. */
    int (*worker_main)(mf_runtime *rt, mf_pool *pool, void *arg);
    /* Of mf_worker; with arg as its ctx. In the workers, or in the creator with processes = 0. */
    void (*run)(void *arg, struct mf_task *t);
    /* The job is finished, cancelled or failed: mf_job_state tells. May submit, must not wait. */
    void (*on_finish)(mf_pool *pool, mf_job *job, void *arg);
    void *arg;
};

#define MF_POOL_HANDLES 64u
#define MF_POOL_PROCESSES (MF_SLOTS - 1u) /* all of a family but the creator */

/* All is copied. */
struct mf_pool_options {
    uint32_t processes;           /* 0: tasks run inside mf_pool_collect, in the calling process;
                                   * at most MF_POOL_PROCESSES; MF_ELIMIT */
    uint32_t max_tasks_per_child; /* 0: no limit */
    const char *name;             /* prefix of the workers' names */
    const uint64_t *handles;      /* objects that workers hold from the start */
    uint32_t handle_count;        /* at most MF_POOL_HANDLES; MF_ELIMIT */
    struct mf_pool_hooks hooks;
    /* Workers are made by the zygote, where there is one (mf_start.by_zygote); not NULL: instead of
     * hooks.arg, worker_main gets a copy of these bytes. The pool keeps a copy of its own. */
    bool by_zygote;
    const void *data;
    size_t data_size;
};

enum mf_pool_state { MF_POOL_OPEN, MF_POOL_CLOSED, MF_POOL_BROKEN, MF_POOL_TERMINATED };
enum mf_job_state {
    MF_JOB_PENDING,
    MF_JOB_FINISHED,
    MF_JOB_CANCELLED,
    MF_JOB_BROKEN,
    MF_JOB_NOMEM /* there was no memory to go on with it */
};

/* Makes a pool and starts its workers. On success the caller owns *ret_pool until mf_pool_free.
 * Errors of mf_process_start; nothing is left then. */
int mf_pool_new(mf_runtime *rt, const struct mf_pool_options *options, mf_pool **ret_pool);

/* Puts a function's bytes into the arena, for any number of jobs. serial and this process's pid
 * name it in the cache of who runs it: a worker may run functions of its own too, in a pool without
 * processes. Referenced once, by the caller; each job adds a reference. MF_ENOMEM, MF_ECLOSED. */
int mf_code_new(mf_runtime *rt, uint64_t serial, const void *bytes, size_t size,
                const uint64_t *handles, uint32_t n, mf_code **ret_code);
void mf_code_unref(mf_runtime *rt, mf_code *code);
uint64_t mf_code_serial(const mf_code *code);

struct mf_submit {
    mf_code *code;
    const void *input; /* copied */
    size_t size;
    const uint64_t *handles; /* that the input mentions */
    uint32_t handle_count;
    uint32_t count; /* items in input */
    uint32_t flags; /* of task.h */
    uint32_t retries;
    double timeout; /* seconds an item may run; 0: no limit */
    bool held;      /* not queued before mf_pool_release */
    void *user;
};

/* Queues a task. The caller owns *ret_job until mf_job_free. MF_ECLOSED when the pool is not open;
 * MF_ENOMEM. */
int mf_pool_submit(mf_pool *pool, const struct mf_submit *submit, mf_job **ret_job);

/* Queues n held jobs: a call of many tasks is queued when all of them could be made. Errors of
 * mf_pool_submit; some of them are still held then, the last ones. */
int mf_pool_release(mf_pool *pool, mf_job *const *jobs, uint32_t n);

/* Takes what there is of news, and waits for some until the deadline when there is none: for any,
 * or (many) for some milliseconds longer, so that several come at once. 0, MF_ETIMEOUT, MF_EINTR.
 * MF_ECLOSED: no job is pending, none will finish. */
int mf_pool_collect(mf_pool *pool, bool many, int64_t deadline);

/* No more submits; the workers end when all is done. */
void mf_pool_close(mf_pool *pool);

/* Ends the workers now, at most grace seconds and one later; pending jobs become CANCELLED. Takes
 * no shared lock before the workers are dead. Idempotent. Nothing in a process that was forked by
 * other means: the workers are not its own. */
void mf_pool_terminate(mf_pool *pool, double grace);

/* Waits for the end of a closed or terminated pool's workers. 0, MF_ETIMEOUT, MF_EINTR; MF_EINVAL
 * when it is open. */
int mf_pool_join(mf_pool *pool, int64_t deadline);

/* Terminates and frees the pool. Its jobs must be freed before. NULL is fine. In a process that was
 * forked by other means it frees only memory of that process, jobs included. */
void mf_pool_free(mf_pool *pool);

enum mf_pool_state mf_pool_state(const mf_pool *pool);
uint32_t mf_pool_processes(const mf_pool *pool);
uint32_t mf_pool_pending(const mf_pool *pool); /* jobs */
mf_runtime *mf_pool_runtime(const mf_pool *pool);

/* What a broken pool's first worker said when its initializer failed: bytes of worker_main's
 * making, or NULL: the workers kept dying, the last with *ret_status. */
const void *mf_pool_broken(const mf_pool *pool, size_t *ret_size, int *ret_status);

/* Why a broken pool's workers could not be started again: an error of mf_process_start, with its
 * errno; or 0. */
int mf_pool_refused(const mf_pool *pool, int *ret_errno);

/* Calls see with the pid of each living worker. */
void mf_pool_each(const mf_pool *pool, void (*see)(int pid, void *arg), void *arg);

enum mf_job_state mf_job_state(const mf_job *job);
void *mf_job_user(const mf_job *job);
uint32_t mf_job_count(const mf_job *job);       /* items, as they were submitted */
struct mf_task *mf_job_task(const mf_job *job); /* its results are readable when FINISHED */

/* The failures of a job so far, in the order of items; the job's until it is freed. */
const struct mf_failure *mf_job_failures(const mf_job *job, uint32_t *ret_n);

/* Cancels a job that no worker has begun. True when it is, or was, cancelled. */
bool mf_job_cancel(mf_pool *pool, mf_job *job);

/* Gives the job up; one that is pending is cancelled if it was not begun, and freed when its worker
 * is through. NULL is fine. */
void mf_job_free(mf_pool *pool, mf_job *job);

/* For worker_main: what mf__worker_loop needs. */
void mf__pool_worker(mf_pool *pool, struct mf_worker *ret_worker);

/* For worker_main: the initializer failed; bytes tell how. */
int mf__pool_tell_broken(mf_runtime *rt, mf_pool *pool, const void *bytes, size_t size);

#endif
