/* pool.c - the creator's side of a pool: jobs from submit to finish: see pool.h. */
#include "crash.h"
#include "crew.h"
#include "object.h"
#include "wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- code ---------------------------------------------------------------------------------------
 */

struct mf_code {
    uint32_t refs;
    uint64_t serial;
    struct mf_block *block; /* of the arena; the creator's */
};

int mf_code_new(mf_runtime *rt, uint64_t serial, const void *bytes, size_t size,
                const uint64_t *handles, uint32_t n, mf_code **ret_code)
{
    uint8_t *at;
    mf_code *code = malloc(sizeof *code);
    if (!code)
        return MF_ENOMEM;
    *code = (mf_code){.refs = 1, .serial = serial};
    int rc = mf__message_new(rt, NULL, sizeof(struct mf_code_bytes) + size, handles, n,
                             &code->block, &at);
    if (rc < 0) {
        free(code);
        return rc;
    }
    struct mf_code_bytes *c = (struct mf_code_bytes *)at;
    c->sender = (uint64_t)rt->pid;
    c->serial = serial;
    c->size = size;
    memcpy(c->bytes, bytes, size);
    *ret_code = code;
    return 0;
}

void mf_code_unref(mf_runtime *rt, mf_code *code)
{
    if (!code || --code->refs)
        return;
    if (mf__alive(rt) == 0)
        mf__block_free(rt, code->block);
    free(code);
}

uint64_t mf_code_serial(const mf_code *code)
{
    return code->serial;
}

/* --- jobs ---------------------------------------------------------------------------------------
 */

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

static void dispose(mf_pool *pool, mf_job *job)
{
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

static void finish(mf_pool *pool, mf_job *job, enum mf_job_state state)
{
    job->state = state;
    MF_CRASH("pool.finish.finished");
    if (--pool->pending == 0 && pool->state == MF_POOL_CLOSED)
        mf_queue_close(pool->rt, pool->tasks);
    if (job->abandoned)
        dispose(pool, job);
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
    job->timeout = s->timeout > 0 ? (int64_t)(s->timeout * 1e9) : 0;
    job->user = s->user;
    pool->timed |= s->timeout > 0;
    pool->supervisor.acts = pool->timed;
    job->held = true;
    MF_CRASH("pool.submit.made");
    int rc = s->held ? 0 : mf_pool_release(pool, &job, 1);
    if (rc < 0) {
        dispose(pool, job);
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
    atomic_store(&job->task->state, MF_TASK_QUEUED);
    MF_CRASH("pool.requeue.queued");
    if (mf__worker_tell(pool->rt, pool->tasks, job->word) < 0)
        finish(pool, job, MF_JOB_NOMEM);
}

void mf__pool_item_failed(mf_pool *pool, mf_job *job, struct mf_failure why)
{
    struct mf_task *t = job->task;
    uint32_t n = job->failure_count;
    struct mf_failure *list = realloc(job->failures, (n + 1) * sizeof *list);
    if (!list) {
        finish(pool, job, MF_JOB_NOMEM);
        return;
    }
    job->failures = list;
    why.item = atomic_load(&t->done);
    list[job->failure_count++] = why;
    t->failed = 0;
    mf__task_commit_item(t);
    if (atomic_load(&t->done) == job->count)
        finish(pool, job, MF_JOB_FINISHED);
    else
        mf__pool_requeue(pool, job);
}

void mf__pool_returned(mf_pool *pool, mf_job *job)
{
    struct mf_task *t = job->task;
    if (atomic_load(&t->state) == MF_TASK_CANCELLED)
        finish(pool, job, MF_JOB_CANCELLED);
    else if (t->failed)
        mf__pool_item_failed(
            pool, job,
            (struct mf_failure){.reason = MF_FAILED_NOMEM, .pid = atomic_load(&t->worker)});
    else
        finish(pool, job, MF_JOB_FINISHED);
}

void mf__pool_break(mf_pool *pool)
{
    if (pool->state == MF_POOL_TERMINATED)
        return;
    pool->state = MF_POOL_BROKEN;
    for (uint32_t i = 0; i < pool->job_max; i++)
        if (pool->jobs[i] && pool->jobs[i]->state == MF_JOB_PENDING)
            finish(pool, pool->jobs[i], MF_JOB_BROKEN);
}

/* --- news ---------------------------------------------------------------------------------------
 */

/* Keeps the message itself: it needs no memory to be known. */
static void hear_broken(mf_pool *pool, struct mf_message *m)
{
    if (!pool->is_told) {
        pool->is_told = true;
        pool->broken = *m;
        m->block = NULL;
    }
    mf__pool_break(pool);
}

static void hear_word(mf_pool *pool, uint64_t word)
{
    mf_job *job;
    switch (word & MF_NEWS_KIND) {
    case MF_NEWS_DONE:
        if ((job = mf__pool_find(pool, word)))
            mf__pool_returned(pool, job);
        break;
    case MF_NEWS_READY: mf__crew_ready(pool, (int)(word >> 4)); break;
    case MF_NEWS_LEAVING: mf__crew_leaving(pool, (int)(word >> 4)); break;
    case MF_NEWS_ATTENTION:
        pool->attention = false;
        mf__crew_settle(pool);
        break;
    }
}

static void hear(mf_pool *pool, struct mf_message *m)
{
    uint64_t word;
    mf__queue_delivered(pool->rt);
    if (m->size == sizeof word) {
        memcpy(&word, m->data, sizeof word);
        hear_word(pool, word);
    } else {
        hear_broken(pool, m);
    }
    mf__message_free(pool->rt, m);
}

/* The next word of news; what is behind it waits in the pool, for who drains inside of this. */
static bool next_word(mf_pool *pool, uint64_t *ret_word)
{
    if (pool->heard_first == pool->heard_count) {
        pool->heard_first = 0;
        pool->heard_count = mf__queue_get_words(pool->rt, pool->news, pool->heard, MF_POOL_HEARD);
    }
    if (pool->heard_count == 0)
        return false;
    *ret_word = pool->heard[pool->heard_first++];
    return true;
}

bool mf__pool_drain(mf_pool *pool)
{
    struct mf_message m;
    uint64_t word;
    bool some = false;
    for (;; some = true) {
        if (next_word(pool, &word))
            hear_word(pool, word);
        else if (mf__queue_get(pool->rt, pool->news, &m, 0) == 0)
            hear(pool, &m);
        else
            return some;
    }
}

/* Sleeps for news, or until a worker has to be looked after. */
static int wait_for_news(mf_pool *pool, int64_t deadline)
{
    struct mf_message m;
    int64_t limit = pool->timed ? mf__crew_next_limit(pool) : MF_FOREVER;
    pool->collecting = true;
    int rc = mf__queue_get(pool->rt, pool->news, &m, limit < deadline ? limit : deadline);
    pool->collecting = false;
    if (rc == 0)
        hear(pool, &m);
    else if (rc == MF_ETIMEOUT && limit < deadline)
        rc = 0;
    if (limit <= mf__now())
        mf__crew_settle(pool);
    return rc == MF_EEMPTY ? MF_ETIMEOUT : rc;
}

/* Runs the next task in this process. */
static int work_here(mf_pool *pool)
{
    struct mf_worker w;
    uint64_t word = 0;
    pool->rt->call = (struct mf_call){0}; /* the task's waits are not this one */
    mf__pool_worker(pool, &w);
    int rc = mf__worker_step(pool->rt, &w, &word);
    if (rc == MF_EFORKED)
        return rc;
    mf_job *job = rc < 0 ? mf__pool_find(pool, word) : NULL;
    if (job) { /* it was run, and there was no memory to say so */
        mf__pool_returned(pool, job);
        return 0;
    }
    mf__pool_drain(pool);
    return rc == MF_EEMPTY ? MF_ECLOSED : rc;
}

int mf_pool_collect(mf_pool *pool, int64_t deadline)
{
    if (mf__pool_drain(pool))
        return 0;
    if (pool->pending == 0)
        return MF_ECLOSED;
    if (pool->options.processes == 0)
        return work_here(pool);
    int rc = wait_for_news(pool, deadline);
    if (rc == 0)
        mf__pool_drain(pool);
    return rc;
}

/* Called inside waits of this process. In a wait for this pool's own news it must not read them:
 * it sends word, and the waiter does. */
static void look(struct mf_supervisor *s)
{
    mf_pool *pool = (mf_pool *)((char *)s - offsetof(mf_pool, supervisor));
    if (!mf__crew_needs_care(pool))
        return;
    if (!pool->collecting)
        mf__crew_settle(pool);
    else if (!pool->attention)
        pool->attention = mf__worker_tell(pool->rt, pool->news, MF_NEWS_ATTENTION) == 0;
}

static void tell(const struct mf_supervisor *s, struct mf_text *t)
{
    static const char *const states[] = {"open", "closed", "broken", "terminated"};
    const mf_pool *pool = (const mf_pool *)((const char *)s - offsetof(mf_pool, supervisor));
    mf__text_add(t, "a pool of this process, %s: %u workers (%s), %u tasks not finished",
                 states[pool->state], pool->options.processes, pool->name, pool->pending);
}

/* --- the pool -----------------------------------------------------------------------------------
 */

static void unlist(mf_pool *pool)
{
    struct mf_supervisor **at = &pool->rt->supervisors;
    while (*at && *at != &pool->supervisor)
        at = &(*at)->next;
    if (*at)
        *at = pool->supervisor.next;
}

static int copy_options(mf_pool *pool)
{
    struct mf_pool_options *o = &pool->options;
    if (o->handle_count > MF_POOL_HANDLES || o->processes > MF_SLOTS)
        return MF_ELIMIT;
    if (o->handle_count)
        memcpy(pool->handles + 2, o->handles, o->handle_count * sizeof *o->handles);
    o->handles = pool->handles;
    snprintf(pool->name, sizeof pool->name, "%s", o->name ? o->name : "Worker");
    o->name = pool->name;
    return 0;
}

int mf_pool_new(mf_runtime *rt, const struct mf_pool_options *options, mf_pool **ret_pool)
{
    int rc = mf__alive(rt);
    mf_pool *pool = rc == 0 ? calloc(1, sizeof *pool) : NULL;
    if (!pool)
        return rc < 0 ? rc : MF_ENOMEM;
    pool->rt = rt;
    pool->options = *options;
    rc = copy_options(pool);
    pool->members = calloc(options->processes + 1, sizeof *pool->members);
    if (!pool->members) {
        pool->options.processes = 0; /* nobody to be ended below */
        rc = MF_ENOMEM;
    }
    if (rc == 0)
        rc = mf_queue_new(rt, 0, &pool->tasks);
    if (rc == 0)
        rc = mf_queue_new(rt, 0, &pool->news);
    if (rc == 0) {
        mf__object_label(pool->tasks, "Tasks");
        mf__object_label(pool->news, "Results");
    }
    pool->supervisor = (struct mf_supervisor){.look = look, .tell = tell, .next = rt->supervisors};
    rt->supervisors = &pool->supervisor;
    if (rc == 0) {
        pool->handles[0] = mf__object_handle(rt, pool->tasks);
        pool->handles[1] = mf__object_handle(rt, pool->news);
        rc = mf__crew_fill(pool);
        MF_CRASH("pool.new.filled");
    }
    if (rc < 0) {
        int error = errno;
        mf_pool_free(pool);
        errno = error;
        return rc;
    }
    *ret_pool = pool;
    return 0;
}

void mf_pool_close(mf_pool *pool)
{
    if (pool->state != MF_POOL_OPEN)
        return;
    pool->state = MF_POOL_CLOSED;
    MF_CRASH("pool.close.closed");
    if (pool->pending == 0)
        mf_queue_close(pool->rt, pool->tasks);
}

void mf_pool_terminate(mf_pool *pool, double grace)
{
    if (pool->state == MF_POOL_TERMINATED || mf__alive(pool->rt) < 0)
        return;
    pool->state = MF_POOL_TERMINATED;
    mf__crew_end(pool, grace);
    MF_CRASH("pool.terminate.ended");
    if (pool->news)           /* else it is half made: mf_pool_new has failed */
        mf__pool_drain(pool); /* what was committed counts */
    for (uint32_t i = 0; i < pool->job_max; i++)
        if (pool->jobs[i] && pool->jobs[i]->state == MF_JOB_PENDING)
            finish(pool, pool->jobs[i], MF_JOB_CANCELLED);
}

int mf_pool_join(mf_pool *pool, int64_t deadline)
{
    if (pool->state == MF_POOL_OPEN)
        return MF_EINVAL;
    int rc = 0;
    while (pool->state == MF_POOL_CLOSED && pool->pending && rc == 0)
        rc = mf_pool_collect(pool, deadline);
    if (pool->state == MF_POOL_BROKEN)
        mf__crew_end(pool, 0.2);
    return rc < 0 && rc != MF_ECLOSED ? rc : mf__crew_join(pool, deadline);
}

void mf_pool_free(mf_pool *pool)
{
    if (!pool)
        return;
    if (mf__alive(pool->rt) == 0)
        mf_pool_terminate(pool, 0.2);
    for (uint32_t i = 0; i < pool->job_max; i++)
        if (pool->jobs[i])
            dispose(pool, pool->jobs[i]);
    if (pool->tasks)
        mf__object_drop(pool->rt, pool->tasks);
    if (pool->news)
        mf__object_drop(pool->rt, pool->news);
    mf__message_free(pool->rt, &pool->broken);
    unlist(pool);
    free(pool->members);
    free(pool->jobs);
    free(pool);
}

enum mf_pool_state mf_pool_state(const mf_pool *pool)
{
    return pool->state;
}

uint32_t mf_pool_processes(const mf_pool *pool)
{
    return pool->options.processes;
}

uint32_t mf_pool_pending(const mf_pool *pool)
{
    return pool->pending;
}

mf_runtime *mf_pool_runtime(const mf_pool *pool)
{
    return pool->rt;
}

const void *mf_pool_broken(const mf_pool *pool, size_t *ret_size, int *ret_status)
{
    const struct mf_message *m = &pool->broken;
    *ret_size = m->size;
    *ret_status = pool->last_status;
    return !pool->is_told ? NULL : m->block ? m->data : m->small;
}

int mf_pool_refused(const mf_pool *pool, int *ret_errno)
{
    *ret_errno = pool->refused_errno;
    return pool->refused;
}

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
        dispose(pool, job);
        return;
    }
    mf_job_cancel(pool, job);
    job->abandoned = true;
    if (job->held) /* no worker will report it */
        finish(pool, job, MF_JOB_CANCELLED);
}

void mf__pool_worker(mf_pool *pool, struct mf_worker *ret_worker)
{
    *ret_worker = (struct mf_worker){.tasks = pool->tasks,
                                     .news = pool->news,
                                     .max_tasks = pool->options.max_tasks_per_child,
                                     .run = pool->options.hooks.run,
                                     .ctx = pool->options.hooks.arg};
}

int mf__pool_tell_broken(mf_runtime *rt, mf_pool *pool, const void *bytes, size_t size)
{
    return mf_queue_put(rt, pool->news, bytes, size, NULL, 0, MF_FOREVER);
}
