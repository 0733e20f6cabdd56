/* queue_text.c - what there is to say about a queue, for people who ask why nothing goes on: see
 * mf_kind in arena.h. It takes no lock and believes nothing that it reads: others go on meanwhile,
 * or have been killed in the middle. */
#include "queue_text.h"

#include "object.h"
#include "queue.h"
#include "segment.h"

#include <inttypes.h>

#define LOOK_AT_MOST 100000u /* messages whose bytes are added up */

/* Adds up the bytes of the messages from `seq` on, up to `end`. The first that it did not see, as
 * the chain of segments ended, or was taken away meanwhile. */
static uint64_t add_bytes(const mf_runtime *rt, const struct mf_object *q, uint64_t seq,
                          uint64_t end, uint64_t *ret_bytes)
{
    struct mf_segment *s = mf__segment_at(rt, atomic_load(&q->end[1].segment));
    *ret_bytes = 0;
    for (uint32_t n = 0; s && seq < end && n < 2 * LOOK_AT_MOST; n++) {
        uint64_t at = seq - *(const volatile uint64_t *)&s->base;
        uint64_t capacity = *(const volatile uint64_t *)&s->capacity;
        const struct mf_descriptor *d =
            at < capacity ? mf__segment_descriptor(rt, s, seq, mf__segment_room(s)) : NULL;
        if (d) {
            *ret_bytes += d->size;
            seq++;
        } else if (at == capacity) {
            s = mf__segment_at(rt, atomic_load(&s->next));
        } else {
            break;
        }
    }
    return seq;
}

bool mf__queue_describe(const mf_runtime *rt, const struct mf_object *q, struct mf_text *t)
{
    struct mf_queue_stats stats;
    uint64_t capacity = mf_queue_capacity(q), bytes;
    mf_queue_stats(q, &stats);
    if (stats.queued > stats.put) /* head was read before tail */
        stats.queued = 0;
    uint64_t head = stats.put - stats.queued;
    uint64_t some = stats.queued < LOOK_AT_MOST ? stats.queued : LOOK_AT_MOST;
    mf__text_add(t, "%" PRIu64, stats.queued);
    if (capacity)
        mf__text_add(t, " of %" PRIu64, capacity);
    mf__text_add(t, stats.queued == 1 && !capacity ? " message" : " messages");
    if (some) {
        uint64_t seen = add_bytes(rt, q, head, head + some, &bytes);
        mf__text_add(t, seen < stats.put ? ", at least " : ", ");
        mf__text_bytes(t, bytes);
    }
    if (capacity && stats.queued >= capacity)
        mf__text_add(t, ", full");
    if (mf_queue_is_closed(q))
        mf__text_add(t, ", closed");
    if (stats.lost)
        mf__text_add(t, ", %" PRIu64 " lost with who had taken them", stats.lost);
    return stats.queued > 0;
}

bool mf__queue_is_stuck(const mf_runtime *rt, const struct mf_object *q, uint32_t side)
{
    (void)rt;
    uint64_t n = mf_queue_size(q), capacity = mf_queue_capacity(q);
    return !mf_queue_is_closed(q) && (side == 0 ? capacity && n >= capacity : n == 0);
}
