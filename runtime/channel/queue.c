/* queue.c - a queue's birth, what it tells of itself, and its end: see queue.h. */
#include "queue.h"

#include "queue_end.h"
#include "queue_text.h"
#include "segment.h"

int mf_queue_new(mf_runtime *rt, uint64_t capacity, mf_queue **ret_q)
{
    mf_queue *q;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    int rc = mf__object_new(rt, MF_KIND_QUEUE, &q);
    if (rc < 0)
        return rc;
    struct mf_block *b = mf__segment_new(rt, 0, MF_INLINE_NARROW, NULL);
    if (!b) {
        mf__object_drop(rt, q);
        return MF_ENOMEM;
    }
    body(q)->capacity = capacity;
    MF_CRASH("queue.new.segment");
    begin(rt, q, PUT);
    /* As at put: in slot.segment from before it is linked until it is no longer ours. */
    lock(rt, q, PUT, MF_FOREVER);
    mf__note(&rt->self->segment, mf__offset(rt, b));
    MF_CRASH("queue.new.noted");
    mf__note(&q->end[PUT].segment, mf__offset(rt, b));
    MF_CRASH("queue.new.put_end");
    mf__note(&q->end[GET].segment, mf__offset(rt, b));
    MF_CRASH("queue.new.get_end");
    mf__block_disown(rt, b);
    mf__note(&rt->self->segment, 0);
    unlock(q, PUT);
    end(rt);
    *ret_q = q;
    return 0;
}

int mf_queue_close(mf_runtime *rt, mf_queue *q)
{
    if (mf__alive(rt) < 0) /* the slot is the parent's, and so would be what begin notes there */
        return MF_EFORKED;
    begin(rt, q, PUT);
    /* Under the lock: a put that has not seen the close would else commit when the last consumer
     * has gone. Who stands still in there for a second holds nobody up. */
    bool locked = lock(rt, q, PUT, 0) == 0;
    atomic_store(&body(q)->closed, 1);
    MF_CRASH("queue.close.closed");
    if (locked)
        unlock(q, PUT);
    MF_CRASH("queue.close.unlocked");
    mf__wait_wake_all(&body(q)->not_empty);
    mf__wait_wake_all(&body(q)->not_full);
    end(rt);
    MF_CRASH("queue.close.told");
    return 0;
}

/* --- looking ------------------------------------------------------------------------------------
 */

bool mf_queue_is_closed(const mf_queue *q)
{
    return atomic_load(&body(q)->closed) != 0;
}

uint64_t mf_queue_size(const mf_queue *q)
{
    uint64_t h = head(q), t = tail(q);
    return t - h;
}

uint64_t mf_queue_capacity(const mf_queue *q)
{
    return body(q)->capacity;
}

void mf_queue_stats(const mf_queue *q, struct mf_queue_stats *ret)
{
    uint64_t h = head(q);
    ret->put = tail(q);
    ret->queued = ret->put - h;
    ret->lost = atomic_load(&body(q)->lost) >> 32;
    ret->got = h - ret->lost;
}

/* --- the end ------------------------------------------------------------------------------------
 */

/* Gives back the segment that consumers stand in, and steps to the next. */
static void free_segment(mf_runtime *rt, mf_queue *q)
{
    lock(rt, q, GET, MF_FOREVER);
    struct mf_block *b = mf__queue_leave_segment(rt, q);
    unlock(q, GET);
    MF_CRASH("queue.destroy.left");
    mf__block_free(rt, b);
}

static void destroy(mf_runtime *rt, struct mf_object *q)
{
    struct mf_message m;
    begin(rt, q, GET);
    lock(rt, q, PUT, MF_FOREVER); /* settles a death inside */
    if (!segment(q, GET))
        mf__note(&q->end[GET].segment, segment(q, PUT)); /* its maker was killed in between */
    unlock(q, PUT);
    MF_CRASH("queue.destroy.settled");
    while (segment(q, GET) && mf__queue_try_get(rt, q, &m, false, MF_FOREVER) == 0) {
        mf__queue_delivered(rt);
        mf__message_free(rt, &m);
    }
    MF_CRASH("queue.destroy.drained");
    mf__note(&q->end[PUT].segment, 0);
    MF_CRASH("queue.destroy.no_put_end");
    while (segment(q, GET))
        free_segment(rt, q);
    end(rt);
}

const struct mf_kind mf__queue_kind = {.name = "Queue",
                                       .settle = mf__queue_settle,
                                       .destroy = destroy,
                                       .describe = mf__queue_describe,
                                       .is_stuck = mf__queue_is_stuck};
