/* news.c - what workers tell the creator, and how it waits for that: see pool.h. */
#include "crew.h"

#include <string.h>

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

#define GATHER (5 * MF_MSEC)

/* Sleeps for half of the news that are to come, but not for long: to wake for each would cost a
 * worker the processor each time. */
static int gather(mf_pool *pool, int64_t deadline)
{
    int64_t soon = mf__now() + GATHER;
    if (pool->pending < 4 || soon > deadline) /* also: it must not sleep */
        return 0;
    return mf__queue_gather(pool->rt, pool->news, pool->pending / 2, soon);
}

/* Sleeps for news, or until a worker has to be looked after. */
static int wait_for_news(mf_pool *pool, bool many, int64_t deadline)
{
    struct mf_message m;
    int64_t limit = pool->timed ? mf__crew_next_limit(pool) : MF_FOREVER;
    int64_t until = limit < deadline ? limit : deadline;
    pool->collecting = true;
    int rc = many ? gather(pool, until) : 0;
    if (rc == 0 || rc == MF_ETIMEOUT)
        rc = mf__queue_get(pool->rt, pool->news, &m, until);
    pool->collecting = false;
    if (rc == 0)
        hear(pool, &m);
    else if (rc == MF_ETIMEOUT && limit < deadline)
        rc = 0;
    if (limit <= mf__now())
        mf__crew_settle(pool);
    return rc == MF_EEMPTY ? MF_ETIMEOUT : rc;
}

/* Runs a job whose task may do with its pool, and so with the job, what it likes. */
static int run_here(mf_pool *pool, const struct mf_worker *w, mf_job *job)
{
    job->here = true;
    int rc = mf__worker_run(pool->rt, w, job->word);
    job->here = false;
    if (rc == MF_EFORKED)
        return rc;
    if (job->disposed)
        mf__job_dispose(pool, job);
    else if (rc < 0 && job->state == MF_JOB_PENDING) /* there was no memory to say that it ran */
        mf__pool_returned(pool, job);
    return 0;
}

/* Runs the next task in this process. */
static int work_here(mf_pool *pool)
{
    struct mf_worker w;
    uint64_t word;
    pool->rt->call = (struct mf_call){0}; /* the task's waits are not this one */
    mf__pool_worker(pool, &w);
    int rc = mf__worker_take(pool->rt, &w, &word);
    mf_job *job = rc == 0 ? mf__pool_find(pool, word) : NULL;
    if (job)
        rc = run_here(pool, &w, job);
    if (rc == MF_EFORKED)
        return rc;
    mf__pool_drain(pool);
    return rc == MF_EEMPTY ? MF_ECLOSED : rc;
}

int mf_pool_collect(mf_pool *pool, bool many, int64_t deadline)
{
    if (mf__pool_drain(pool))
        return 0;
    if (pool->pending == 0)
        return MF_ECLOSED;
    if (pool->options.processes == 0)
        return work_here(pool);
    int rc = wait_for_news(pool, many, deadline);
    if (rc == 0)
        mf__pool_drain(pool);
    return rc;
}
