/* worker.c - the loop of a pool's worker: see worker.h. */
#include "worker.h"

#include "crash.h"

#include <stdio.h>
#include <string.h>

int mf__worker_tell(mf_runtime *rt, mf_queue *news, uint64_t word)
{
    if ((word & MF_NEWS_KIND) != MF_NEWS_DONE)
        return mf__queue_put_urgent(rt, news, word);
    return mf_queue_put(rt, news, &word, sizeof word, NULL, 0, MF_FOREVER);
}

int mf__worker_run(mf_runtime *rt, const struct mf_worker *w, uint64_t word)
{
    struct mf_task *t = mf__task_at(rt, word & MF_TASK_OFFSET);
    uint32_t queued = MF_TASK_QUEUED;
    if (!t)
        return 0;
    MF_CRASH("worker.run.taken");
    atomic_store_explicit(&t->worker, rt->pid, memory_order_relaxed);
    if (atomic_compare_exchange_strong(&t->state, &queued, MF_TASK_RUNNING)) {
        MF_CRASH("worker.run.running");
        w->run(w->ctx, t);
        if (mf__alive(rt) < 0) /* the task has forked, and this is the copy: it reports nothing */
            return MF_EFORKED;
        MF_CRASH("worker.run.ran");
        fflush(stdout);
        MF_CRASH("worker.run.flushed");
        atomic_store(&t->state, MF_TASK_DONE);
        MF_CRASH("worker.run.done");
    }
    return mf__worker_tell(rt, w->news, word | MF_NEWS_DONE);
}

static int take(mf_runtime *rt, const struct mf_worker *w)
{
    uint64_t word;
    int rc = mf__queue_get_task(rt, w->tasks, &word, MF_FOREVER);
    if (rc == 0) {
        atomic_store_explicit(&rt->self->task_since, mf__now_roughly(), memory_order_relaxed);
        rc = mf__worker_run(rt, w, word);
        MF_CRASH("worker.run.told");
    }
    if (rc == 0)
        mf__note(&rt->self->task, 0); /* else it stays, and the creator finds it at our end */
    MF_CRASH("worker.run.forgotten");
    return rc;
}

int mf__worker_take(mf_runtime *rt, const struct mf_worker *w, uint64_t *ret_word)
{
    struct mf_message m;
    int rc = mf__queue_get(rt, w->tasks, &m, 0);
    if (rc < 0)
        return rc;
    memcpy(ret_word, m.data, sizeof *ret_word);
    mf__queue_delivered(rt);
    mf__message_free(rt, &m);
    return 0;
}

int mf__worker_loop(mf_runtime *rt, const struct mf_worker *w)
{
    uint64_t me = (uint64_t)rt->pid << 4; /* not the slot, which the next may have soon */
    int rc = mf__worker_tell(rt, w->news, me | MF_NEWS_READY);
    MF_CRASH("worker.loop.ready");
    for (uint32_t n = 0; rc == 0 && (w->max_tasks == 0 || n < w->max_tasks); n++)
        do
            rc = take(rt, w);
        while (rc == MF_EINTR);
    mf__worker_tell(rt, w->news, me | MF_NEWS_LEAVING);
    MF_CRASH("worker.loop.leaving");
    return 0;
}
