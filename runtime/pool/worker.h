/*
 * worker.h - the loop of a pool's worker, and the words it sends to the creator.
 *
 * A worker knows two queues: `tasks`, from which it takes records, and `news`, in which it tells
 * the creator what happened. Nothing else is shared with it.
 */
#ifndef MF_WORKER_H
#define MF_WORKER_H

#include "crash.h"
#include "queue.h"
#include "task.h"

/* A word in `news`: 8 bytes, kind in the low bits (records stand on 16 bytes). A message longer
 * than that is the encoded error of an initializer. */
enum mf_news {
    MF_NEWS_DONE = 0,      /* offset of a record that is finished, or was cancelled */
    MF_NEWS_READY = 1,     /* pid << 4: the worker has begun, its initializer has run */
    MF_NEWS_LEAVING = 2,   /* pid << 4: the worker ends by itself */
    MF_NEWS_ATTENTION = 3, /* the creator to itself: look after the workers */
    MF_NEWS_KIND = 15
};

struct mf_worker {
    mf_queue *tasks, *news;
    uint32_t max_tasks; /* leave after so many; 0: never */
    /* Runs the items of a record from `done` on, committing each; in the worker, with its ctx. */
    void (*run)(void *ctx, struct mf_task *t);
    void *ctx;
};

/* Takes and runs tasks until the queue is closed and drained, or max_tasks are done. Returns the
 * exit status: 0. Tells READY first. */
int mf__worker_loop(mf_runtime *rt, const struct mf_worker *w);

/* For a pool without processes: takes a task's word if there is one. 0, MF_EEMPTY, MF_ECLOSED …
 * Leaves self->task alone: this process may be a worker itself, in whose slot that names the task
 * of another pool. */
int mf__worker_take(mf_runtime *rt, const struct mf_worker *w, uint64_t *ret_word);

/* Runs the record of a word and reports it; a word that names none is passed over. The report is
 * the last that a worker has to do with the record: from then on it may be gone. 0; MF_EFORKED in a
 * copy of the process that the task has forked; or why it could not be reported. */
int mf__worker_run(mf_runtime *rt, const struct mf_worker *w, uint64_t word);

/* Tells the creator one word: at once, but for MF_NEWS_DONE, which it may gather. 0 or an error of
 * mf_queue_put. */
int mf__worker_tell(mf_runtime *rt, mf_queue *news, uint64_t word);

/* For run: an item is about to be run, and was run (its result is written). The second is the
 * commit. */
static inline void mf__task_begin_item(struct mf_task *t)
{
    if (t->flags & MF_TASK_TIMED)
        atomic_store_explicit(&t->started, mf__now(), memory_order_relaxed);
    mf__note(&t->begun, atomic_load_explicit(&t->done, memory_order_relaxed) + 1);
    MF_CRASH("task.item.begun");
}

static inline void mf__task_commit_item(struct mf_task *t)
{
    uint32_t done = atomic_load_explicit(&t->done, memory_order_relaxed);
    MF_CRASH("task.item.written");
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&t->done, done + 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    MF_CRASH("task.item.committed");
}

#endif
