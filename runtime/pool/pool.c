/* pool.c - a pool from birth to end, on the creator's side: see pool.h. */
#include "crash.h"
#include "crew.h"
#include "object.h"
#include "wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void unlist(mf_pool *pool)
{
    struct mf_supervisor **at = &pool->rt->supervisors;
    while (*at && *at != &pool->supervisor)
        at = &(*at)->next;
    if (*at)
        *at = pool->supervisor.next;
}

static void copy_options(mf_pool *pool)
{
    struct mf_pool_options *o = &pool->options;
    if (o->handle_count)
        memcpy(pool->handles + 2, o->handles, o->handle_count * sizeof *o->handles);
    o->handles = pool->handles;
    snprintf(pool->name, sizeof pool->name, "%s", o->name ? o->name : "Worker");
    o->name = pool->name;
}

int mf_pool_new(mf_runtime *rt, const struct mf_pool_options *options, mf_pool **ret_pool)
{
    if (options->processes > MF_POOL_PROCESSES || options->handle_count > MF_POOL_HANDLES)
        return MF_ELIMIT;
    int rc = mf__alive(rt);
    mf_pool *pool = rc == 0 ? calloc(1, sizeof *pool) : NULL;
    if (!pool)
        return rc < 0 ? rc : MF_ENOMEM;
    pool->rt = rt;
    pool->options = *options;
    copy_options(pool);
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
        rc = mf__crew_prepare(pool);
    }
    if (rc == 0) {
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
            mf__job_finish(pool, pool->jobs[i], MF_JOB_CANCELLED);
}

int mf_pool_join(mf_pool *pool, int64_t deadline)
{
    if (pool->state == MF_POOL_OPEN)
        return MF_EINVAL;
    int rc = 0;
    while (pool->state == MF_POOL_CLOSED && pool->pending && rc == 0)
        rc = mf_pool_collect(pool, true, deadline);
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
            mf__job_dispose(pool, pool->jobs[i]);
    if (pool->tasks)
        mf__object_drop(pool->rt, pool->tasks);
    if (pool->news)
        mf__object_drop(pool->rt, pool->news);
    mf__message_free(pool->rt, &pool->broken);
    unlist(pool);
    for (uint32_t i = 0; i < pool->options.processes; i++)
        mf_process_free(pool->rt, pool->members[i].p); /* did not end in time */
    free(pool->members);
    free(pool->seed);
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
