/* queue_put.c - messages into a queue: see queue.h. */
#include "queue_end.h"
#include "segment.h"

#include <string.h>

/* The segment that the next message, of so many bytes, goes to. Under the lock. 0, MF_ENOMEM or
 * MF_ECORRUPT. */
static int next_segment(mf_runtime *rt, mf_queue *q, size_t size, struct mf_segment **ret_s)
{
    struct mf_end *e = &q->end[PUT];
    struct mf_segment *s = mf__segment_at(rt, segment(q, PUT));
    uint64_t seq = atomic_load_explicit(&e->at, memory_order_relaxed);
    if (!s)
        return MF_ECORRUPT;
    *ret_s = s;
    if (seq - s->base < s->capacity)
        return 0;
    uint64_t next = atomic_load_explicit(&s->next, memory_order_relaxed);
    if (!next) {
        bool wide = size > MF_INLINE_NARROW && size <= MF_INLINE;
        struct mf_block *b = mf__segment_new(rt, seq, wide ? MF_INLINE : MF_INLINE_NARROW, s);
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
    *ret_s = mf__segment_at(rt, next);
    return *ret_s ? 0 : MF_ECORRUPT;
}

/* What is put: bytes that may fit a descriptor, or a block. */
struct parcel {
    const void *data;
    struct mf_block *block;
    size_t size;
    uint32_t handles;
    bool urgent;
};

/* What a put says to its caller alone: the bytes do not fit here. */
#define WITHOUT_ROOM 1

/* One try, under the lock. 0, WITHOUT_ROOM, MF_EFULL, MF_ECLOSED, MF_ENOMEM or MF_ECORRUPT. */
static int put_locked(mf_runtime *rt, mf_queue *q, const struct parcel *p)
{
    struct body *b = body(q);
    if (atomic_load_explicit(&b->closed, memory_order_relaxed))
        return MF_ECLOSED;
    uint64_t seq = atomic_load_explicit(&q->end[PUT].at, memory_order_relaxed);
    if (b->capacity && seq - head(q) >= b->capacity)
        return MF_EFULL;
    struct mf_segment *s;
    int rc = next_segment(rt, q, p->size, &s);
    if (rc < 0)
        return rc;
    uint32_t room = mf__segment_room(s);
    if (!p->block && p->size > room)
        return WITHOUT_ROOM;
    struct mf_descriptor *d = mf__segment_descriptor(rt, s, seq, room);
    if (!d)
        return MF_ECORRUPT;
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

/* Wakes consumers for n messages that were put; not the one that waits for more, unless they are
 * urgent. */
static void wake_consumers(mf_queue *q, int n, bool urgent)
{
    uint64_t wanted = atomic_load(&body(q)->wanted);
    if (wanted && urgent)
        atomic_store(&body(q)->wanted, 0);
    else if (wanted && tail(q) < wanted)
        return;
    MF_CRASH("queue.put.enough");
    mf__wait_wake_some(&body(q)->not_empty, n);
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
        wake_consumers(q, 1, p->urgent);
    else if (rc != MF_EFULL)
        mf__wait_wake(&body(q)->not_full); /* the wake that this may have taken goes on */
    return rc;
}

/* A condition of wait.h. */
static bool has_room_or_is_closed(const void *arg)
{
    const mf_queue *q = arg;
    return tail(q) - head(q) < body(q)->capacity || mf_queue_is_closed(q);
}

static int put(mf_runtime *rt, mf_queue *q, const struct parcel *p, int64_t deadline)
{
    int rc;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    begin(rt, q, PUT);
    while ((rc = try_put(rt, q, p, deadline)) == MF_EFULL && deadline) {
        struct body *b = body(q);
        if (mf__spin(rt, &q->end[GET].at, tail(q) - b->capacity))
            continue;
        rc = mf__wait_until(rt, &b->not_full, has_room_or_is_closed, q, deadline);
        if (rc < 0)
            break;
    }
    end(rt);
    return rc;
}

int mf__queue_put_block(mf_runtime *rt, mf_queue *q, struct mf_block *b, size_t size, uint32_t n,
                        int64_t deadline)
{
    return put(rt, q, &(struct parcel){.block = b, .size = size, .handles = n}, deadline);
}

int mf_queue_put(mf_runtime *rt, mf_queue *q, const void *data, size_t size,
                 const uint64_t *handles, uint32_t n, int64_t deadline)
{
    struct mf_block *b;
    int rc = WITHOUT_ROOM;
    if (n == 0 && size <= MF_INLINE) /* memcpy takes no NULL, not even for no bytes */
        rc = put(rt, q, &(struct parcel){.data = data ? data : "", .size = size}, deadline);
    if (rc <= 0)
        return rc;
    rc = mf__message_new(rt, data, size, handles, n, &b, NULL);
    if (rc < 0)
        return rc;
    rc = mf__queue_put_block(rt, q, b, size, n, deadline);
    if (rc < 0)
        mf__block_free(rt, b);
    return rc;
}

int mf__queue_put_urgent(mf_runtime *rt, mf_queue *q, uint64_t word)
{
    return put(rt, q, &(struct parcel){.data = &word, .size = sizeof word, .urgent = true},
               MF_FOREVER);
}

/* --- many words at once -------------------------------------------------------------------------
 */

/* Words into the rest of the segment, committed at once. Under the lock. How many, or an error of
 * put_locked. */
static int put_words_locked(mf_runtime *rt, mf_queue *q, const uint64_t *words, uint32_t n)
{
    struct mf_descriptor *d = NULL;
    struct mf_segment *s;
    if (atomic_load_explicit(&body(q)->closed, memory_order_relaxed))
        return MF_ECLOSED;
    int rc = next_segment(rt, q, sizeof *words, &s);
    if (rc < 0)
        return rc;
    uint32_t width = mf__segment_room(s);
    uint64_t seq = atomic_load_explicit(&q->end[PUT].at, memory_order_relaxed);
    uint64_t room = s->base + s->capacity - seq;
    n = n < room ? n : (uint32_t)room;
    for (uint32_t i = 0; i < n && (d = mf__segment_descriptor(rt, s, seq + i, width)); i++) {
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
        wake_consumers(q, rc, false);
    }
    end(rt);
    return rc < 0 ? rc : 0;
}
