/* queue_get.c - messages out of a queue: see queue.h. */
#include "queue_end.h"
#include "segment.h"

#include <string.h>

struct mf_block *mf__queue_leave_segment(mf_runtime *rt, mf_queue *q)
{
    uint64_t old = segment(q, GET);
    if (!mf__segment_at(rt, old)) {
        mf__note(&q->end[GET].segment, 0);
        return NULL;
    }
    mf__note(&rt->self->segment, old);
    MF_CRASH("queue.leave.noted");
    mf__note(&q->end[GET].segment, mf__segment_next(rt, old));
    MF_CRASH("queue.leave.left");
    mf__block_adopt(rt, mf__block_at(rt, old), rt->slot);
    MF_CRASH("queue.leave.adopted");
    mf__note(&rt->self->segment, 0);
    return mf__block_at(rt, old);
}

/* The descriptor of the oldest message; *ret_old is a segment to free when the lock is left. NULL
 * when there is none where it should be. */
static struct mf_descriptor *oldest(mf_runtime *rt, mf_queue *q, uint32_t *ret_room,
                                    struct mf_block **ret_old)
{
    struct mf_end *e = &q->end[GET];
    struct mf_segment *s = mf__segment_at(rt, segment(q, GET));
    uint64_t seq = atomic_load_explicit(&e->at, memory_order_relaxed);
    if (!s)
        return NULL;
    if (seq - s->base >= s->capacity) {
        struct mf_segment *next = mf__segment_at(rt, mf__segment_next(rt, segment(q, GET)));
        if (!next)
            return NULL;
        *ret_old = mf__queue_leave_segment(rt, q);
        s = next;
    }
    *ret_room = mf__segment_room(s);
    return mf__segment_descriptor(rt, s, seq, *ret_room);
}

/* Fills m from a descriptor whose message is now ours alone. False: that is none. */
static bool receive(mf_runtime *rt, struct mf_message *m, const struct mf_descriptor *d,
                    uint32_t room)
{
    uint64_t block = d->block;
    m->size = d->size;
    m->handle_count = d->handles;
    m->block = NULL;
    if (!block) {
        if (m->size > room || m->handle_count)
            return false;
        memcpy(m->small, d->small, MF_INLINE_NARROW);
        if (m->size > MF_INLINE_NARROW)
            memcpy(m->small + MF_INLINE_NARROW, d->small + MF_INLINE_NARROW,
                   MF_INLINE - MF_INLINE_NARROW);
        m->handles = NULL;
        m->data = m->small;
        return true;
    }
    struct mf_block *b = mf__block_at(rt, block);
    size_t before = m->handle_count * sizeof(uint64_t);
    if (!b || !mf__block_is_used(b) || m->size + before > mf__block_room(rt, b))
        return false;
    m->block = b;
    m->handles = (const uint64_t *)b->payload;
    m->data = b->payload + before;
    return true;
}

/* Under the lock: is there a message number `seq`? */
static bool has_more(mf_queue *q, uint64_t seq)
{
    struct body *b = body(q);
    if (seq != atomic_load_explicit(&b->known, memory_order_relaxed))
        return true;
    uint64_t now = tail(q);
    atomic_store_explicit(&b->known, now, memory_order_release);
    return seq != now;
}

/* One try, under the lock. 0, MF_EEMPTY, MF_ECLOSED, or MF_ECORRUPT: a message that is none is
 * passed over, and where the way to it is lost, nothing is. */
static int get_locked(mf_runtime *rt, mf_queue *q, struct mf_message *m, bool task,
                      struct mf_block **ret_old)
{
    uint64_t seq = atomic_load_explicit(&q->end[GET].at, memory_order_relaxed);
    /* closed before tail: what was put before the close is seen. */
    bool closed = mf_queue_is_closed(q);
    if (!has_more(q, seq))
        return closed ? MF_ECLOSED : MF_EEMPTY;
    uint32_t room;
    struct mf_descriptor *d = oldest(rt, q, &room, ret_old);
    struct mf_slot *s = rt->self;
    if (!d)
        return MF_ECORRUPT;
    if (!receive(rt, m, d, room) || (task && m->size != sizeof(uint64_t))) {
        atomic_store(&q->end[GET].at, seq + 1);
        return MF_ECORRUPT;
    }
    MF_CRASH("queue.get.received");
    mf__note(&s->seq, seq);
    MF_CRASH("queue.get.noted_seq");
    if (task)
        mf__note(&s->task, *(const uint64_t *)m->data);
    else
        mf__note(&s->got, mf__object_index(rt, q) + 1);
    MF_CRASH("queue.get.noted_taker");
    mf__note(&s->hand, m->block ? mf__offset(rt, m->block) : 0);
    MF_CRASH("queue.get.in_hand");
    atomic_store(&q->end[GET].at, seq + 1); /* the commit */
    MF_CRASH("queue.get.committed");
    mf__note(&s->seq, MF_NO_SEQ);
    return 0;
}

int mf__queue_try_get(mf_runtime *rt, mf_queue *q, struct mf_message *m, bool task,
                      int64_t deadline)
{
    struct mf_block *old = NULL;
    int rc = lock(rt, q, GET, deadline);
    if (rc < 0) {
        mf__wait_wake(&body(q)->not_empty); /* the wake that this may have taken goes on */
        return rc;
    }
    rc = get_locked(rt, q, m, task, &old);
    unlock(q, GET);
    MF_CRASH("queue.get.unlocked");
    if (rc == 0 && m->block)
        mf__block_from_hand(rt, m->block);
    if ((rc == 0 || rc == MF_ECORRUPT) && body(q)->capacity)
        mf__wait_wake(&body(q)->not_full);
    if (old)
        mf__block_free(rt, old);
    MF_CRASH("queue.get.done");
    return rc;
}

static int get(mf_runtime *rt, mf_queue *q, struct mf_message *m, bool task, int64_t deadline)
{
    int rc;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    begin(rt, q, task ? GET | OF_TASK : GET);
    for (;;) {
        /* An empty queue is left in peace: who waits reads tail, and takes no lock. */
        rc = has_some_or_is_closed(q) ? mf__queue_try_get(rt, q, m, task, deadline) : MF_EEMPTY;
        if (rc != MF_EEMPTY || !deadline)
            break;
        if (mf__spin(rt, &q->end[PUT].at, head(q)))
            continue;
        rc = mf__wait_until(rt, &body(q)->not_empty, has_some_or_is_closed, q, deadline);
        if (rc < 0)
            break;
    }
    end(rt);
    return rc;
}

int mf__queue_get(mf_runtime *rt, mf_queue *q, struct mf_message *ret_m, int64_t deadline)
{
    return get(rt, q, ret_m, false, deadline);
}

int mf__queue_get_task(mf_runtime *rt, mf_queue *q, uint64_t *ret_task, int64_t deadline)
{
    struct mf_message m;
    int rc = get(rt, q, &m, true, deadline);
    MF_CRASH("queue.get_task.taken");
    if (rc == 0)
        *ret_task = atomic_load_explicit(&rt->self->task, memory_order_relaxed);
    return rc;
}

int mf_queue_wait(mf_runtime *rt, mf_queue *q, int64_t deadline)
{
    struct mf_wait *w = &body(q)->not_empty;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    if (deadline == 0)
        return has_some_or_is_closed(q) ? 0 : MF_EEMPTY;
    begin(rt, q, GET);
    int rc = mf__wait_until(rt, w, has_some_or_is_closed, q, deadline);
    MF_CRASH("queue.wait.over");
    mf__wait_wake(w); /* the wake that this took goes on to a consumer */
    MF_CRASH("queue.wait.passed_on");
    end(rt);
    return rc;
}

/* A condition of wait.h. */
static bool has_what_is_wanted(const void *arg)
{
    const mf_queue *q = arg;
    uint64_t wanted = atomic_load(&body(q)->wanted), now = tail(q);
    return (wanted ? now >= wanted : now != head(q)) || mf_queue_is_closed(q);
}

int mf__queue_gather(mf_runtime *rt, mf_queue *q, uint64_t n, int64_t deadline)
{
    struct body *b = body(q);
    int rc = 0;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    begin(rt, q, GET);
    /* First said, then looked: a message is seen here, or its producer sees what is wanted. */
    atomic_store(&b->wanted, head(q) + n);
    MF_CRASH("queue.gather.said");
    if (!has_some_or_is_closed(q) && !mf__spin(rt, &q->end[PUT].at, head(q)))
        rc = mf__wait_until(rt, &b->not_empty, has_what_is_wanted, q, deadline);
    atomic_store(&b->wanted, 0);
    MF_CRASH("queue.gather.over");
    end(rt);
    return rc;
}

void mf__queue_delivered(mf_runtime *rt)
{
    mf__note(&rt->self->got, 0);
    MF_CRASH("queue.get.delivered");
}

/* --- many words at once -------------------------------------------------------------------------
 */

/* The words at the head of the queue, at most max, as far as the segment goes. Under the lock. How
 * many: 0 when there is nothing, or something else. */
static uint32_t get_words_locked(mf_runtime *rt, mf_queue *q, uint64_t *ret_words, uint32_t max,
                                 struct mf_block **ret_old)
{
    uint64_t seq = atomic_load_explicit(&q->end[GET].at, memory_order_relaxed);
    uint32_t room;
    if (!has_more(q, seq) || !oldest(rt, q, &room, ret_old))
        return 0;
    struct mf_segment *s = mf__segment_at(rt, segment(q, GET));
    if (!s)
        return 0;
    uint64_t end = atomic_load_explicit(&body(q)->known, memory_order_relaxed);
    uint32_t n = 0;
    end = end < s->base + s->capacity ? end : s->base + s->capacity;
    while (n < max && seq + n < end) {
        const struct mf_descriptor *d = mf__segment_descriptor(rt, s, seq + n, room);
        if (!d || d->block || d->handles || d->size != sizeof *ret_words)
            break;
        memcpy(&ret_words[n++], d->small, sizeof *ret_words);
    }
    MF_CRASH("queue.get_words.copied");
    atomic_store(&q->end[GET].at, seq + n); /* the commit */
    MF_CRASH("queue.get_words.committed");
    return n;
}

uint32_t mf__queue_get_words(mf_runtime *rt, mf_queue *q, uint64_t *ret_words, uint32_t max)
{
    struct mf_block *old = NULL;
    uint32_t n = 0;
    if (mf__alive(rt) < 0 || !has_some_or_is_closed(q))
        return 0;
    begin(rt, q, GET);
    if (lock(rt, q, GET, MF_FOREVER) == 0) {
        n = get_words_locked(rt, q, ret_words, max, &old);
        unlock(q, GET);
        MF_CRASH("queue.get_words.unlocked");
    }
    if (old)
        mf__block_free(rt, old);
    end(rt);
    return n;
}
