/* job.c - a pool's jobs, from submit to finish, on the creator's side: see pool.h. */
#include "crash.h"
#include "pool_state.h"

#include <stdlib.h>
#include <string.h>

static int take_id(mf_pool *pool, mf_job *job)
{
    for (uint32_t n = 0; n < pool->job_max; n++) {
        uint32_t id = (pool->job_hint + n) % pool->job_max;
        if (pool->jobs[id])
            continue;
        pool->jobs[id] = job;
        job->id = id;
        pool->job_hint = id + 1;
        return 0;
    }
    uint32_t more = pool->job_max ? pool->job_max * 2 : 64;
    mf_job **jobs = realloc(pool->jobs, more * sizeof *jobs);
    if (!jobs)
        return MF_ENOMEM;
    memset(jobs + pool->job_max, 0, (more - pool->job_max) * sizeof *jobs);
    pool->jobs = jobs;
    pool->job_hint = pool->job_max;
    pool->job_max = more;
    return take_id(pool, job);
}

mf_job *mf__pool_find(mf_pool *pool, uint64_t word)
{
    word &= ~(uint64_t)MF_NEWS_KIND;
    if (!word)
        return NULL;
    /* The record may be long gone: its id is a hint, the job has the truth. */
    const struct mf_task *t = mf__task_at(pool->rt, word & MF_TASK_OFFSET);
    uint64_t id = t ? t->id : UINT64_MAX;
    mf_job *job = id < pool->job_max ? pool->jobs[id] : NULL;
    return job && job->word == word && job->state == MF_JOB_PENDING ? job : NULL;
}

void mf__job_dispose(mf_pool *pool, mf_job *job)
{
    job->disposed = job->here;
    if (job->here)
        return;
    if (mf__alive(pool->rt) == 0)
        mf__task_free(pool->rt, job->task);
    mf_code_unref(pool->rt, job->code);
    MF_CRASH("pool.dispose.freed");
    pool->jobs[job->id] = NULL;
    if (job->id < pool->job_hint)
        pool->job_hint = job->id;
    free(job->failures);
    free(job);
}

void mf__job_finish(mf_pool *pool, mf_job *job, enum mf_job_state state)
{
    job->state = state;
    MF_CRASH("pool.finish.finished");
    if (--pool->pending == 0 && pool->state == MF_POOL_CLOSED)
        mf_queue_close(pool->rt, pool->tasks);
    if (job->abandoned)
        mf__job_dispose(pool, job);
    else
        pool->options.hooks.on_finish(pool, job, pool->options.hooks.arg);
}

int mf_pool_submit(mf_pool *pool, const struct mf_submit *s, mf_job **ret_job)
{
    if (pool->state != MF_POOL_OPEN)
        return MF_ECLOSED;
    mf_job *job = calloc(1, sizeof *job);
    struct mf_task *t = mf__task_new(pool->rt, s->input, s->size, s->handles, s->handle_count);
    if (!job || !t || take_id(pool, job) < 0) {
        mf__task_free(pool->rt, t);
        free(job);
        return MF_ENOMEM;
    }
    t->id = job->id;
    t->code = mf__offset(pool->rt, s->code->block);
    job->code = s->code;
    s->code->refs++;
    t->count = job->count = s->count;
    t->flags = s->flags | (s->timeout > 0 ? MF_TASK_TIMED : 0);
    job->pool = pool;
    job->task = t;
    job->word = mf__task_offset(pool->rt, t) | ++pool->numbers << 40;
    job->retries = s->retries;
    job->timeout = s->timeout > 0 ? s->timeout : 0;
    job->user = s->user;
    pool->timed |= s->timeout > 0;
    pool->supervisor.acts = pool->timed;
    job->held = true;
    MF_CRASH("pool.submit.made");
    int rc = s->held ? 0 : mf_pool_release(pool, &job, 1);
    if (rc < 0) {
        mf__job_dispose(pool, job);
        return rc;
    }
    pool->pending++;
    *ret_job = job;
    return 0;
}

#define AT_ONCE 64u /* words that go through a queue together */

int mf_pool_release(mf_pool *pool, mf_job *const *jobs, uint32_t n)
{
    uint64_t words[AT_ONCE];
    uint32_t put;
    int rc = 0;
    if (pool->state != MF_POOL_OPEN)
        return MF_ECLOSED;
    while (n && rc == 0) {
        uint32_t some = n < AT_ONCE ? n : AT_ONCE;
        for (uint32_t i = 0; i < some; i++)
            words[i] = jobs[i]->word;
        rc = mf__queue_put_words(pool->rt, pool->tasks, words, some, &put);
        MF_CRASH("pool.submit.queued");
        for (uint32_t i = 0; i < put; i++)
            jobs[i]->held = false;
        jobs += some;
        n -= some;
    }
    return rc;
}

void mf__pool_requeue(mf_pool *pool, mf_job *job)
{
    struct mf_task *t = job->task;
    /* Nobody is at an item any more: a worker that dies before it begins one has cost none. */
    atomic_store(&t->begun, atomic_load(&t->done));
    atomic_store(&t->state, MF_TASK_QUEUED);
    MF_CRASH("pool.requeue.queued");
    if (mf__worker_tell(pool->rt, pool->tasks, job->word) < 0)
        mf__job_finish(pool, job, MF_JOB_NOMEM);
}

void mf__pool_item_failed(mf_pool *pool, mf_job *job, struct mf_failure why)
{
    struct mf_task *t = job->task;
    uint32_t n = job->failure_count;
    struct mf_failure *list = realloc(job->failures, (n + 1) * sizeof *list);
    if (!list) {
        mf__job_finish(pool, job, MF_JOB_NOMEM);
        return;
    }
    job->failures = list;
    why.item = atomic_load(&t->done);
    list[job->failure_count++] = why;
    t->failed = 0;
    mf__task_commit_item(t);
    if (atomic_load(&t->done) == job->count)
        mf__job_finish(pool, job, MF_JOB_FINISHED);
    else
        mf__pool_requeue(pool, job);
}

void mf__pool_returned(mf_pool *pool, mf_job *job)
{
    struct mf_task *t = job->task;
    if (atomic_load(&t->state) == MF_TASK_CANCELLED)
        mf__job_finish(pool, job, MF_JOB_CANCELLED);
    else if (t->failed)
        mf__pool_item_failed(
            pool, job,
            (struct mf_failure){.reason = MF_FAILED_NOMEM, .pid = atomic_load(&t->worker)});
    else
        mf__job_finish(pool, job, MF_JOB_FINISHED);
}

void mf__pool_break(mf_pool *pool)
{
    if (pool->state == MF_POOL_TERMINATED)
        return;
    pool->state = MF_POOL_BROKEN;
    for (uint32_t i = 0; i < pool->job_max; i++)
        if (pool->jobs[i] && pool->jobs[i]->state == MF_JOB_PENDING)
            mf__job_finish(pool, pool->jobs[i], MF_JOB_BROKEN);
}

/* --- what its owner sees and does ---------------------------------------------------------------
 */

enum mf_job_state mf_job_state(const mf_job *job)
{
    return job->state;
}

void *mf_job_user(const mf_job *job)
{
    return job->user;
}

uint32_t mf_job_count(const mf_job *job)
{
    return job->count;
}

struct mf_task *mf_job_task(const mf_job *job)
{
    return job->task;
}

const struct mf_failure *mf_job_failures(const mf_job *job, uint32_t *ret_n)
{
    *ret_n = job->failure_count;
    return job->failures;
}

bool mf_job_cancel(mf_pool *pool, mf_job *job)
{
    uint32_t queued = MF_TASK_QUEUED;
    (void)pool;
    if (job->state != MF_JOB_PENDING)
        return job->state == MF_JOB_CANCELLED;
    if (atomic_load(&job->task->done) > 0)
        return false; /* back in the queue, but some of its items have run */
    return atomic_compare_exchange_strong(&job->task->state, &queued, MF_TASK_CANCELLED) ||
           queued == MF_TASK_CANCELLED;
}

void mf_job_free(mf_pool *pool, mf_job *job)
{
    if (!job)
        return;
    if (job->state != MF_JOB_PENDING) {
        mf__job_dispose(pool, job);
        return;
    }
    mf_job_cancel(pool, job);
    job->abandoned = true;
    if (job->held) /* no worker will report it */
        mf__job_finish(pool, job, MF_JOB_CANCELLED);
}
