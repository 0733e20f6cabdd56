/* crew.c - the workers of a pool: starting, watching, settling, ending: see crew.h. */
#include "crew.h"

#include "cpu.h"
#include "crash.h"
#include "wait.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A worker that ends by itself before it is ready will do so again: three in a row are enough. One
 * that is killed by SIGKILL was perhaps in the way of somebody who kills at random. */
#define SUSPICION_MOST 30u
#define SUSPICION_OF_END 10u
#define SUSPICION_OF_KILL 1u

/* Tries, MF_LOOK_OFTEN apart at the least, at which none of the workers could be started. */
#define REFUSALS_MOST 12u

/* --- starting -----------------------------------------------------------------------------------
 */

/* All that a worker has of the pool, as bytes: its creator's memory may be out of its reach. The
 * queues are in the arena, which everybody has at the same place. */
struct mf_seed {
    mf_queue *tasks, *news;
    struct mf_pool_hooks hooks;
    uint32_t max_tasks;
    uint32_t place; /* of the worker among the others, from 1 */
    bool has_data;
    _Alignas(16) char data[];
};

int mf__crew_prepare(mf_pool *pool)
{
    const struct mf_pool_options *o = &pool->options;
    pool->seed_size = sizeof *pool->seed + o->data_size;
    pool->seed = calloc(1, pool->seed_size);
    if (!pool->seed)
        return MF_ENOMEM;
    pool->seed->tasks = pool->tasks;
    pool->seed->news = pool->news;
    pool->seed->hooks = o->hooks;
    pool->seed->max_tasks = o->max_tasks_per_child;
    pool->seed->has_data = o->data != NULL;
    if (o->data_size)
        memcpy(pool->seed->data, o->data, o->data_size);
    return 0;
}

static int worker_main(mf_runtime *rt, void *arg)
{
    struct mf_seed *seed = arg;
    mf_pool own = {.rt = rt,
                   .options = {.hooks = seed->hooks, .max_tasks_per_child = seed->max_tasks},
                   .tasks = seed->tasks,
                   .news = seed->news};
    /* It was made where its creator runs. Two that answer each other in turn never run at once
     * there, and so the system would see no reason to move one. */
    mf__cpu_step(seed->place);
    return seed->hooks.worker_main(rt, &own, seed->has_data ? seed->data : seed->hooks.arg);
}

static int start_member(mf_pool *pool, uint32_t i)
{
    char name[40];
    const struct mf_pool_options *o = &pool->options;
    snprintf(name, sizeof name, "%s-%u", o->name, i + 1);
    const struct mf_start start = {.main = worker_main,
                                   .data = pool->seed,
                                   .data_size = pool->seed_size,
                                   .by_zygote = o->by_zygote,
                                   .name = name,
                                   .handles = o->handles,
                                   .handle_count = o->handle_count + 2,
                                   .daemon = true};
    pool->seed->place = i + 1;
    pool->members[i] = (struct mf_member){0};
    return mf_process_start(pool->rt, &start, &pool->members[i].p);
}

/* Are workers wanted: is there work now, or may some come? */
static bool is_working(const mf_pool *pool)
{
    return pool->state == MF_POOL_OPEN || (pool->state == MF_POOL_CLOSED && pool->pending);
}

int mf__crew_fill(mf_pool *pool)
{
    for (uint32_t i = 0; i < pool->options.processes && is_working(pool); i++) {
        int rc = pool->members[i].p ? 0 : start_member(pool, i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* As mf__crew_fill, long after the pool was made: a system that is short of something is asked
 * again after a while; but not for long when no worker is left to wait for. */
static void refill(mf_pool *pool)
{
    if (pool->refused_at && mf__now() - pool->refused_at < MF_LOOK_OFTEN)
        return;
    int rc = mf__crew_fill(pool), error = errno;
    bool some = rc == 0;
    pool->refused_at = rc < 0 ? mf__now() : 0;
    for (uint32_t i = 0; i < pool->options.processes; i++)
        some |= pool->members[i].p != NULL;
    pool->refusals = some ? 0 : pool->refusals + 1;
    if (pool->refusals < REFUSALS_MOST)
        return;
    pool->refused = rc;
    pool->refused_errno = error;
    mf__pool_break(pool);
}

static struct mf_member *find_member(mf_pool *pool, int pid)
{
    for (uint32_t i = 0; i < pool->options.processes; i++)
        if (pool->members[i].p && mf_process_pid(pool->members[i].p) == pid)
            return &pool->members[i];
    return NULL;
}

void mf__crew_ready(mf_pool *pool, int pid)
{
    struct mf_member *m = find_member(pool, pid);
    pool->stillborn = 0;
    if (m)
        m->ready = true;
}

void mf_pool_each(const mf_pool *pool, void (*see)(int pid, void *arg), void *arg)
{
    for (uint32_t i = 0; i < pool->options.processes; i++)
        if (pool->members[i].p && mf_process_status(pool->members[i].p) == MF_PROCESS_RUNNING)
            see(mf_process_pid(pool->members[i].p), arg);
}

/* --- settling -----------------------------------------------------------------------------------
 */

/* How many workers an item has cost, this one included. */
static uint32_t deaths_of(struct mf_task *t, uint32_t item)
{
    if (t->attempted != item)
        t->attempt = 0;
    t->attempted = item;
    return ++t->attempt;
}

/* What a dead worker had in hand, after all its news were read. */
static void settle_job(mf_pool *pool, mf_job *job, const struct mf_member *m)
{
    struct mf_task *t = job->task;
    uint32_t state = atomic_load(&t->state), done = atomic_load(&t->done);
    bool over = state == MF_TASK_DONE || state == MF_TASK_CANCELLED ||
                (state == MF_TASK_RUNNING && done == job->count);
    bool overdue = m->overdue == job->word;
    if (over) /* it could not tell any more */
        mf__pool_returned(pool, job);
    else if (pool->state == MF_POOL_TERMINATED)
        return; /* mf_pool_terminate cancels it */
    else if (state == MF_TASK_QUEUED || atomic_load(&t->begun) <= done)
        mf__pool_requeue(pool, job);
    else if (!overdue && deaths_of(t, done) <= job->retries)
        mf__pool_requeue(pool, job);
    else
        mf__pool_item_failed(
            pool, job,
            (struct mf_failure){.reason = overdue ? MF_FAILED_TIMEOUT : MF_FAILED_DIED,
                                .pid = mf_process_pid(m->p),
                                .status = mf_process_status(m->p)});
}

/* A join may sleep, and the supervisor that runs meanwhile would settle, and free, what is being
 * joined: it is kept off. */
static int join_member(mf_pool *pool, struct mf_member *m, int64_t deadline)
{
    bool settling = pool->settling;
    pool->settling = true;
    int rc = mf_process_join(pool->rt, m->p, deadline);
    pool->settling = settling;
    return rc;
}

/* A worker was reaped. */
static void bury(mf_pool *pool, struct mf_member *m)
{
    struct mf_member dead = *m;
    uint64_t word = mf__process_last_task(dead.p), link = mf__process_last_link(dead.p);
    m->p = NULL;
    mf__pool_drain(pool); /* what it committed comes first */
    MF_CRASH("crew.bury.drained");
    mf_job *job = mf__pool_find(pool, word);
    mf__task_recover_link(pool->rt, job ? job->task : NULL, link);
    MF_CRASH("crew.bury.relinked");
    if (job)
        settle_job(pool, job, &dead);
    MF_CRASH("crew.bury.settled");
    int status = mf_process_status(dead.p);
    mf_process_free(pool->rt, dead.p);
    if (dead.ready)
        return;
    pool->last_status = status;
    pool->stillborn += status == -SIGKILL ? SUSPICION_OF_KILL : SUSPICION_OF_END;
    if (is_working(pool) && pool->stillborn >= SUSPICION_MOST)
        mf__pool_break(pool);
}

/* When the item that a worker is at has to be over; MF_FOREVER without a limit. */
static int64_t limit_of(mf_pool *pool, const struct mf_member *m, uint64_t *ret_word)
{
    if (!m->p || mf_process_status(m->p) != MF_PROCESS_RUNNING) /* its slot may be another's */
        return MF_FOREVER;
    uint64_t word = atomic_load(&mf__slot_at(pool->rt, mf__process_slot(m->p))->task);
    mf_job *job = mf__pool_find(pool, word);
    if (!job || !job->timeout || atomic_load(&job->task->state) != MF_TASK_RUNNING)
        return MF_FOREVER;
    int64_t started = atomic_load(&job->task->started);
    bool running = atomic_load(&job->task->begun) > atomic_load(&job->task->done);
    *ret_word = word;
    return mf__after(running && started ? started : mf__now(), job->timeout);
}

int64_t mf__crew_next_limit(mf_pool *pool)
{
    /* A task that is taken after this look must be met before its limit can pass. */
    int64_t next = mf__now() + 50 * MF_MSEC;
    uint64_t word;
    for (uint32_t i = 0; i < pool->options.processes; i++) {
        int64_t limit = limit_of(pool, &pool->members[i], &word);
        next = limit < next ? limit : next;
    }
    return next;
}

static void kill_overdue(mf_pool *pool)
{
    uint64_t word = 0;
    for (uint32_t i = 0; pool->timed && i < pool->options.processes; i++) {
        struct mf_member *m = &pool->members[i];
        if (limit_of(pool, m, &word) > mf__now())
            continue;
        m->overdue = word;
        mf_process_end(pool->rt, m->p, 0);
    }
}

bool mf__crew_needs_care(mf_pool *pool)
{
    for (uint32_t i = 0; i < pool->options.processes; i++) {
        mf_process *p = pool->members[i].p;
        bool is_gone = p && !mf__process_was_alive(p) && mf__process_is_over(p);
        if (is_gone || (!p && is_working(pool)))
            return true;
    }
    return pool->timed && mf__crew_next_limit(pool) <= mf__now();
}

void mf__crew_settle(mf_pool *pool)
{
    if (pool->settling || pool->state == MF_POOL_TERMINATED)
        return;
    pool->settling = true;
    kill_overdue(pool);
    for (uint32_t i = 0; i < pool->options.processes; i++) {
        struct mf_member *m = &pool->members[i];
        if (m->p && join_member(pool, m, 0) == 0)
            bury(pool, m);
    }
    refill(pool);
    pool->settling = false;
    MF_CRASH("crew.settle.refilled");
}

void mf__crew_leaving(mf_pool *pool, int pid)
{
    struct mf_member *m = find_member(pool, pid);
    if (m && join_member(pool, m, mf__deadline(1)) == 0)
        mf__crew_settle(pool);
}

/* --- ending -------------------------------------------------------------------------------------
 */

int mf__crew_join(mf_pool *pool, int64_t deadline)
{
    for (uint32_t i = 0; i < pool->options.processes; i++) {
        struct mf_member *m = &pool->members[i];
        int rc = m->p ? join_member(pool, m, deadline) : 0;
        if (rc < 0)
            return rc;
        if (m->p)
            bury(pool, m);
    }
    return 0;
}

void mf__crew_end(mf_pool *pool, double grace)
{
    mf_process *list[MF_SLOTS];
    size_t n = 0;
    for (uint32_t i = 0; i < pool->options.processes && n < MF_SLOTS; i++)
        if (pool->members[i].p)
            list[n++] = pool->members[i].p;
    bool settling = pool->settling;
    pool->settling = true; /* as in join_member */
    mf__process_end_many(pool->rt, list, n, grace);
    MF_CRASH("crew.end.ended");
    pool->settling = settling;
    mf__crew_join(pool, 0);
}
