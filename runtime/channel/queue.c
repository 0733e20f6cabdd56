/* queue.c - put, get and the repair of a queue: see queue.h. */
#include "queue.h"

#include "crash.h"
#include "object.h"
#include "queue_text.h"
#include "segment.h"
#include "slot.h"
#include "wait.h"

#include <string.h>

struct body {
    /* constant */
    uint64_t capacity;
    _Atomic uint32_t closed;
    uint32_t spare;
    struct mf_wait not_empty, not_full;
    _Atomic uint64_t lost; /* count << 32 | tag of the victim counted last */
    /* The tail as a consumer saw it last, on a line that producers do not write: while there is a
     * backlog, consumers leave the producers' line alone. */
    _Alignas(64) _Atomic uint64_t known;
};
_Static_assert(sizeof(struct body) <= sizeof(((struct mf_object *)0)->body), "fits its object");

enum side { PUT, GET };

/* In slot.side, with GET: this get takes a task into slot.task. In others slot.task is the task
 * that the process is running, and stays. */
#define OF_TASK 2u

static struct body *body(const mf_queue *q)
{
    return (struct body *)(uintptr_t)q->body;
}

static uint64_t tail(const mf_queue *q)
{
    return atomic_load(&q->end[PUT].at);
}

static uint64_t head(const mf_queue *q)
{
    return atomic_load(&q->end[GET].at);
}

/* The segment that a side stands in. Changed under the side's lock, by mf__note. */
static uint64_t segment(const mf_queue *q, enum side side)
{
    return atomic_load_explicit(&q->end[side].segment, memory_order_relaxed);
}

/* --- locking an end, and what a dead holder left there ------------------------------------------
 */

/* Under the lock of a side: was the victim's move committed? Settles its intents either way. */
static void settle_move(mf_queue *q, enum side side, struct mf_slot *s)
{
    uint64_t seq = atomic_load(&s->seq);
    if (seq == MF_NO_SEQ)
        return;
    bool moved = atomic_load(&q->end[side].at) > seq;
    MF_CRASH("queue.repair.move");
    if (moved == (side == PUT)) /* in the queue's hands, not in the victim's */
        mf__note(&s->hand, 0);
    if (side == GET && !moved) {
        if (atomic_load(&s->side) & OF_TASK)
            mf__note(&s->task, 0);
        mf__note(&s->got, 0);
    }
    MF_CRASH("queue.repair.moved");
    mf__note(&s->seq, MF_NO_SEQ);
}

static void settle_segment(mf_runtime *rt, mf_queue *q, enum side side, uint32_t victim)
{
    struct mf_slot *s = mf__slot_at(rt, victim);
    struct mf_block *b = mf__block_at(rt, atomic_load(&s->segment));
    if (!b)
        return;
    if (side == PUT && mf__segment_is_linked(rt, segment(q, PUT), b))
        mf__block_disown(rt, b);
    if (side == GET && segment(q, GET) != mf__offset(rt, b))
        mf__block_adopt(rt, b, victim);
    MF_CRASH("queue.repair.segment");
    mf__note(&s->segment, 0);
}

/* What body.lost says of a victim that it counted. */
static uint32_t tag(const mf_runtime *rt, uint32_t slot)
{
    return mf__generation(atomic_load(&mf__slot_at(rt, slot)->state)) * MF_SLOTS + slot;
}

/* Under the lock of GET: a claimer that has counted the victim's message and was killed before it
 * said so. Before anybody counts another: body.lost tells of one victim only. */
static void settle_count(mf_runtime *rt, mf_queue *q, uint32_t victim)
{
    if ((uint32_t)atomic_load(&body(q)->lost) == tag(rt, victim))
        mf__note(&mf__slot_at(rt, victim)->got, 0);
}

static void settle_side(mf_runtime *rt, mf_queue *q, enum side side)
{
    uint32_t holder = atomic_load(&q->end[side].lock.holder);
    if (!holder)
        return;
    uint32_t victim = holder - 1;
    if (side == GET)
        settle_count(rt, q, victim);
    if ((atomic_load(&mf__slot_at(rt, victim)->side) & ~OF_TASK) != side)
        return;
    settle_segment(rt, q, side, victim);
    settle_move(q, side, mf__slot_at(rt, victim));
}

static int lock(mf_runtime *rt, mf_queue *q, enum side side, int64_t deadline)
{
    struct mf_mutex *x = &q->end[side].lock;
    int rc = mf__mutex_lock(x, rt->slot, deadline);
    if (rc == MF_OWNER_DIED) {
        settle_side(rt, q, side);
        mf__mutex_settled(x, rt->slot);
        rc = 0;
    }
    return rc;
}

static void unlock(mf_queue *q, enum side side)
{
    mf__mutex_unlock(&q->end[side].lock);
}

/* The intents that follow are about this side: a claimer that is killed under the other side's lock
 * has signed with the victim's name too. */
static void begin(mf_runtime *rt, const mf_queue *q, uint32_t side)
{
    mf__note(&rt->self->side, side);
    MF_CRASH("queue.begin.side");
    mf__note(&rt->self->busy, mf__object_index(rt, q) + 1);
}

static void end(mf_runtime *rt)
{
    mf__note(&rt->self->busy, 0);
}

/* --- birth and end ------------------------------------------------------------------------------
 */

int mf_queue_new(mf_runtime *rt, uint64_t capacity, mf_queue **ret_q)
{
    mf_queue *q;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    int rc = mf__object_new(rt, MF_KIND_QUEUE, &q);
    if (rc < 0)
        return rc;
    struct mf_block *b = mf__segment_new(rt, 0, 0);
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
    atomic_store(&body(q)->closed, 1);
    MF_CRASH("queue.close.closed");
    mf__wait_wake_all(&body(q)->not_empty);
    mf__wait_wake_all(&body(q)->not_full);
    end(rt);
    MF_CRASH("queue.close.told");
    return 0;
}

/* --- put ----------------------------------------------------------------------------------------
 */

/* The descriptor that the next message goes to, with a segment around it. Under the lock. 0,
 * MF_ENOMEM or MF_ECORRUPT. */
static int next_descriptor(mf_runtime *rt, mf_queue *q, struct mf_descriptor **ret_d)
{
    struct mf_end *e = &q->end[PUT];
    struct mf_segment *s = mf__segment_at(rt, segment(q, PUT));
    uint64_t seq = atomic_load_explicit(&e->at, memory_order_relaxed);
    if (!s)
        return MF_ECORRUPT;
    if (seq - s->base < s->capacity) {
        *ret_d = mf__segment_descriptor(rt, s, seq);
        return *ret_d ? 0 : MF_ECORRUPT;
    }
    uint64_t next = atomic_load_explicit(&s->next, memory_order_relaxed);
    if (!next) {
        struct mf_block *b = mf__segment_new(rt, seq, s->capacity);
        if (!b)
            return MF_ENOMEM;
        next = mf__offset(rt, b);
        mf__note(&rt->self->segment, next);
        MF_CRASH("queue.link.noted");
        mf__note(&s->next, next);
        MF_CRASH("queue.link.linked");
        mf__block_disown(rt, b);
        MF_CRASH("queue.link.disowned");
        mf__note(&rt->self->segment, 0);
    }
    MF_CRASH("queue.link.ready");
    mf__note(&e->segment, next);
    s = mf__segment_at(rt, next);
    *ret_d = s ? mf__segment_descriptor(rt, s, seq) : NULL;
    return *ret_d ? 0 : MF_ECORRUPT;
}

/* What is put: bytes that fit a descriptor, or a block. */
struct parcel {
    const void *data;
    struct mf_block *block;
    size_t size;
    uint32_t handles;
};

/* One try, under the lock. 0, MF_EFULL, MF_ECLOSED, MF_ENOMEM or MF_ECORRUPT. */
static int put_locked(mf_runtime *rt, mf_queue *q, const struct parcel *p)
{
    struct body *b = body(q);
    if (atomic_load_explicit(&b->closed, memory_order_relaxed))
        return MF_ECLOSED;
    uint64_t seq = atomic_load_explicit(&q->end[PUT].at, memory_order_relaxed);
    if (b->capacity && seq - head(q) >= b->capacity)
        return MF_EFULL;
    struct mf_descriptor *d;
    int rc = next_descriptor(rt, q, &d);
    if (rc < 0)
        return rc;
    d->size = p->size;
    d->handles = p->handles;
    if (!p->block) {
        d->block = 0;
        memcpy(d->small, p->data, p->size);
        MF_CRASH("queue.put.copied");
        atomic_store(&q->end[PUT].at, seq + 1); /* the commit */
        MF_CRASH("queue.put.committed_copy");
        return 0;
    }
    d->block = mf__offset(rt, p->block);
    MF_CRASH("queue.put.described");
    mf__note(&rt->self->seq, seq);
    MF_CRASH("queue.put.noted_seq");
    mf__block_to_hand(rt, p->block);
    MF_CRASH("queue.put.in_hand");
    atomic_store(&q->end[PUT].at, seq + 1); /* the commit */
    MF_CRASH("queue.put.committed");
    mf__note(&rt->self->hand, 0);
    MF_CRASH("queue.put.emptied_hand");
    mf__note(&rt->self->seq, MF_NO_SEQ);
    return 0;
}

static int try_put(mf_runtime *rt, mf_queue *q, const struct parcel *p, int64_t deadline)
{
    int rc = lock(rt, q, PUT, deadline);
    if (rc == 0) {
        rc = put_locked(rt, q, p);
        unlock(q, PUT);
        MF_CRASH("queue.put.unlocked");
    }
    if (rc == 0)
        mf__wait_wake(&body(q)->not_empty);
    else if (rc != MF_EFULL)
        mf__wait_wake(&body(q)->not_full); /* the wake that this may have taken goes on */
    return rc;
}

/* Conditions of wait.h. */
static bool has_room_or_is_closed(const void *arg)
{
    const mf_queue *q = arg;
    return tail(q) - head(q) < body(q)->capacity || mf_queue_is_closed(q);
}

static bool has_some_or_is_closed(const void *arg)
{
    const mf_queue *q = arg;
    uint64_t seq = head(q);
    return seq < atomic_load_explicit(&body(q)->known, memory_order_acquire) || seq != tail(q) ||
           mf_queue_is_closed(q);
}

static int put(mf_runtime *rt, mf_queue *q, const struct parcel *p, int64_t deadline)
{
    int rc;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    begin(rt, q, PUT);
    while ((rc = try_put(rt, q, p, deadline)) == MF_EFULL && deadline) {
        struct body *b = body(q);
        if (mf__wait_spin(rt, &q->end[GET].at, tail(q) - b->capacity))
            continue;
        rc = mf__wait_until(rt, &b->not_full, has_room_or_is_closed, q, deadline);
        if (rc < 0)
            break;
    }
    end(rt);
    return rc;
}

/* Words into the rest of the segment, committed at once. Under the lock. How many, or an error of
 * put_locked. */
static int put_words_locked(mf_runtime *rt, mf_queue *q, const uint64_t *words, uint32_t n)
{
    struct mf_descriptor *d;
    if (atomic_load_explicit(&body(q)->closed, memory_order_relaxed))
        return MF_ECLOSED;
    int rc = next_descriptor(rt, q, &d);
    if (rc < 0)
        return rc;
    struct mf_segment *s = mf__segment_at(rt, segment(q, PUT));
    uint64_t seq = atomic_load_explicit(&q->end[PUT].at, memory_order_relaxed);
    uint64_t room = s->base + s->capacity - seq;
    n = n < room ? n : (uint32_t)room;
    for (uint32_t i = 0; i < n && (d = mf__segment_descriptor(rt, s, seq + i)); i++) {
        d->size = sizeof *words;
        d->handles = 0;
        d->block = 0;
        memcpy(d->small, &words[i], sizeof *words);
    }
    if (!d)
        return MF_ECORRUPT;
    MF_CRASH("queue.put_words.copied");
    atomic_store(&q->end[PUT].at, seq + n); /* the commit, of all */
    MF_CRASH("queue.put_words.committed");
    return (int)n;
}

int mf__queue_put_words(mf_runtime *rt, mf_queue *q, const uint64_t *words, uint32_t n,
                        uint32_t *ret_put)
{
    int rc = 0;
    *ret_put = 0;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    begin(rt, q, PUT);
    while (*ret_put < n && (rc = lock(rt, q, PUT, MF_FOREVER)) == 0) {
        rc = put_words_locked(rt, q, words + *ret_put, n - *ret_put);
        unlock(q, PUT);
        MF_CRASH("queue.put_words.unlocked");
        if (rc < 0)
            break;
        *ret_put += (uint32_t)rc;
        mf__wait_wake_some(&body(q)->not_empty, rc);
    }
    end(rt);
    return rc < 0 ? rc : 0;
}

int mf__queue_put_block(mf_runtime *rt, mf_queue *q, struct mf_block *b, size_t size, uint32_t n,
                        int64_t deadline)
{
    return put(rt, q, &(struct parcel){.block = b, .size = size, .handles = n}, deadline);
}

int mf_queue_put(mf_runtime *rt, mf_queue *q, const void *data, size_t size,
                 const uint64_t *handles, uint32_t n, int64_t deadline)
{
    if (size <= MF_INLINE && n == 0)
        return put(rt, q, &(struct parcel){.data = data, .size = size}, deadline);
    struct mf_block *b;
    int rc = mf__message_new(rt, data, size, handles, n, &b, NULL);
    if (rc < 0)
        return rc;
    rc = mf__queue_put_block(rt, q, b, size, n, deadline);
    if (rc < 0)
        mf__block_free(rt, b);
    return rc;
}

/* --- get ----------------------------------------------------------------------------------------
 */

/* Steps to the next segment. The one that was left is this process's to free; NULL: there was none,
 * by what the queue says. Under the lock. */
static struct mf_block *leave_segment(mf_runtime *rt, mf_queue *q)
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
static struct mf_descriptor *oldest(mf_runtime *rt, mf_queue *q, struct mf_block **ret_old)
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
        *ret_old = leave_segment(rt, q);
        s = next;
    }
    return mf__segment_descriptor(rt, s, seq);
}

/* Fills m from a descriptor whose message is now ours alone. False: that is none. */
static bool receive(mf_runtime *rt, struct mf_message *m, const struct mf_descriptor *d)
{
    uint64_t block = d->block;
    m->size = d->size;
    m->handle_count = d->handles;
    m->block = NULL;
    if (!block) {
        memcpy(m->small, d->small, sizeof m->small);
        m->handles = NULL;
        m->data = m->small;
        return m->size <= MF_INLINE && m->handle_count == 0;
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
    struct mf_descriptor *d = oldest(rt, q, ret_old);
    struct mf_slot *s = rt->self;
    if (!d)
        return MF_ECORRUPT;
    if (!receive(rt, m, d) || (task && m->size != sizeof(uint64_t))) {
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

static int try_get(mf_runtime *rt, mf_queue *q, struct mf_message *m, bool task, int64_t deadline)
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
        rc = has_some_or_is_closed(q) ? try_get(rt, q, m, task, deadline) : MF_EEMPTY;
        if (rc != MF_EEMPTY || !deadline)
            break;
        if (mf__wait_spin(rt, &q->end[PUT].at, head(q)))
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

/* The words at the head of the queue, at most max, as far as the segment goes. Under the lock. How
 * many: 0 when there is nothing, or something else. */
static uint32_t get_words_locked(mf_runtime *rt, mf_queue *q, uint64_t *ret_words, uint32_t max,
                                 struct mf_block **ret_old)
{
    uint64_t seq = atomic_load_explicit(&q->end[GET].at, memory_order_relaxed);
    if (!has_more(q, seq) || !oldest(rt, q, ret_old))
        return 0;
    struct mf_segment *s = mf__segment_at(rt, segment(q, GET));
    uint64_t end = atomic_load_explicit(&body(q)->known, memory_order_relaxed);
    uint32_t n = 0;
    end = end < s->base + s->capacity ? end : s->base + s->capacity;
    while (n < max && seq + n < end) {
        const struct mf_descriptor *d = mf__segment_descriptor(rt, s, seq + n);
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

void mf__queue_delivered(mf_runtime *rt)
{
    mf__note(&rt->self->got, 0);
    MF_CRASH("queue.get.delivered");
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

/* --- the kind -----------------------------------------------------------------------------------
 */

/* Counts the message that the dead had taken and not delivered: once, see settle_count. */
static void count_lost(mf_runtime *rt, mf_queue *q, struct mf_slot *dead)
{
    uint64_t lost = atomic_load(&body(q)->lost);
    atomic_store(&body(q)->lost, ((lost >> 32) + 1) << 32 | tag(rt, rt->slot));
    MF_CRASH("queue.settle.counted");
    mf__note(&dead->got, 0);
}

static int settle(mf_runtime *rt, struct mf_object *q, struct mf_slot *dead, int64_t deadline)
{
    if (lock(rt, q, PUT, deadline) < 0) /* settles a death inside */
        return MF_ETIMEOUT;
    unlock(q, PUT);
    if (lock(rt, q, GET, deadline) < 0)
        return MF_ETIMEOUT;
    if (atomic_load(&dead->got) == mf__object_index(rt, q) + 1)
        count_lost(rt, q, dead);
    unlock(q, GET);
    MF_CRASH("queue.settle.visited");
    mf__wait_wake_all(&body(q)->not_empty);
    mf__wait_wake_all(&body(q)->not_full);
    return 0;
}

/* Gives back the segment that consumers stand in, and steps to the next. */
static void free_segment(mf_runtime *rt, mf_queue *q)
{
    lock(rt, q, GET, MF_FOREVER);
    struct mf_block *b = leave_segment(rt, q);
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
    while (segment(q, GET) && try_get(rt, q, &m, false, MF_FOREVER) == 0) {
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
                                       .settle = settle,
                                       .destroy = destroy,
                                       .describe = mf__queue_describe,
                                       .is_stuck = mf__queue_is_stuck};
