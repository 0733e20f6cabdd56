/*
 * queue_repair.c - what a process that died at a queue had begun there is finished or forgotten:
 * by the next one that takes the lock which it held, and by who settles its death.
 */
#include "queue_end.h"
#include "segment.h"

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

void mf__queue_settle_side(mf_runtime *rt, mf_queue *q, enum side side)
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

/* Counts the message that the dead had taken and not delivered: once, see settle_count. */
static void count_lost(mf_runtime *rt, mf_queue *q, struct mf_slot *dead)
{
    uint64_t lost = atomic_load(&body(q)->lost);
    atomic_store(&body(q)->lost, ((lost >> 32) + 1) << 32 | tag(rt, rt->slot));
    MF_CRASH("queue.settle.counted");
    mf__note(&dead->got, 0);
}

int mf__queue_settle(mf_runtime *rt, mf_queue *q, struct mf_slot *dead, int64_t deadline)
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
    atomic_store(&body(q)->wanted, 0); /* by the dead, or it was about to wake somebody */
    mf__wait_wake_all(&body(q)->not_empty);
    mf__wait_wake_all(&body(q)->not_full);
    return 0;
}
