/*
 * queue_end.h - a queue's two ends, and how a process works at one of them: for the files of the
 * queue and for nobody else. Who may write what is told in queue.h.
 */
#ifndef MF_QUEUE_END_H
#define MF_QUEUE_END_H

#include "crash.h"
#include "object.h"
#include "queue.h"
#include "slot.h"
#include "spin.h"
#include "wait.h"

struct body {
    /* constant */
    uint64_t capacity;
    _Atomic uint32_t closed;
    uint32_t spare;
    struct mf_wait not_empty, not_full;
    _Atomic uint64_t lost;   /* count << 32 | tag of the victim counted last */
    _Atomic uint64_t wanted; /* no wake for a put that leaves the tail below; 0: for each */
    /* The tail as a consumer saw it last, on a line that producers do not write: while there is a
     * backlog, consumers leave the producers' line alone. */
    _Alignas(64) _Atomic uint64_t known;
};
_Static_assert(sizeof(struct body) <= sizeof(((struct mf_object *)0)->body), "fits its object");

enum side { PUT, GET };

/* In slot.side, with GET: this get takes a task into slot.task. In others slot.task is the task
 * that the process is running, and stays. */
#define OF_TASK 2u

static inline struct body *body(const mf_queue *q)
{
    return (struct body *)(uintptr_t)q->body;
}

static inline uint64_t tail(const mf_queue *q)
{
    return atomic_load(&q->end[PUT].at);
}

static inline uint64_t head(const mf_queue *q)
{
    return atomic_load(&q->end[GET].at);
}

/* The segment that a side stands in. Changed under the side's lock, by mf__note. */
static inline uint64_t segment(const mf_queue *q, enum side side)
{
    return atomic_load_explicit(&q->end[side].segment, memory_order_relaxed);
}

/* Under the lock of a side, whose holder died: its move is finished or forgotten, by what was
 * committed. */
void mf__queue_settle_side(mf_runtime *rt, mf_queue *q, enum side side);

/* Counts what the dead had taken from the queue and not delivered, and wakes all: of mf_kind. */
int mf__queue_settle(mf_runtime *rt, mf_queue *q, struct mf_slot *dead, int64_t deadline);

static inline int lock(mf_runtime *rt, mf_queue *q, enum side side, int64_t deadline)
{
    struct mf_mutex *x = &q->end[side].lock;
    int rc = mf__mutex_lock(x, rt->slot, deadline);
    if (rc == MF_OWNER_DIED) {
        mf__queue_settle_side(rt, q, side);
        mf__mutex_settled(x, rt->slot);
        rc = 0;
    }
    return rc;
}

static inline void unlock(mf_queue *q, enum side side)
{
    mf__mutex_unlock(&q->end[side].lock);
}

/* The intents that follow are about this side: a claimer that is killed under the other side's lock
 * has signed with the victim's name too. */
static inline void begin(mf_runtime *rt, const mf_queue *q, uint32_t side)
{
    mf__note(&rt->self->side, side);
    MF_CRASH("queue.begin.side");
    mf__note(&rt->self->busy, mf__object_index(rt, q) + 1);
}

static inline void end(mf_runtime *rt)
{
    mf__note(&rt->self->busy, 0);
}

/* A condition of wait.h. */
static inline bool has_some_or_is_closed(const void *arg)
{
    const mf_queue *q = arg;
    uint64_t seq = head(q);
    return seq < atomic_load_explicit(&body(q)->known, memory_order_acquire) || seq != tail(q) ||
           mf_queue_is_closed(q);
}

/* One try of get. 0, MF_EEMPTY, MF_ECLOSED, MF_ECORRUPT or an error of the lock. */
int mf__queue_try_get(mf_runtime *rt, mf_queue *q, struct mf_message *m, bool task,
                      int64_t deadline);

/* Steps to the next segment. The one that was left is this process's to free; NULL: there was none,
 * by what the queue says. Under the lock of GET. */
struct mf_block *mf__queue_leave_segment(mf_runtime *rt, mf_queue *q);

#endif
