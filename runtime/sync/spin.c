/* spin.c - busy waits: see spin.h. */
#include "spin.h"

#include "clock.h"
#include "cpu.h"
#include "futex.h"
#include "slot.h"

/* Looks at the word, and pauses between two of them: each look takes the word's cache line away
 * from who writes it, so that a reader that looks all the time slows down what it waits for. */
#define MOST 100u /* about 30 us: what a sleep and a wake across processors cost */
#define LEAST 4u
#define PAUSES 16u
#define GATHER 128u /* pauses: some 5 us in all, as each wait is twice the one before */

#define SOON 30u  /* us: a ring after so long would have been seen by the longest spin */
#define TURNS 16u /* sleeps in a row on the waker's processor before one of them moves */
#define MOVE_LEAST (10 * MF_MSEC) /* from one move to the next, when they do not last */
#define MOVE_MOST (1 * MF_SECOND)

#define CPU_BITS 12
#define CPU_MASK ((1u << CPU_BITS) - 1)

static void pause_for(uint32_t pauses)
{
    while (pauses--)
        mf__spin_pause();
}

/* Where the word runs, one step a look's time or more, lets it run on for a while: who takes steps
 * one by one as they come takes the line away from the other side at each. Where two answer one
 * another there is one step at a time, and no delay. */
static void gather(const _Atomic uint64_t *word, uint64_t seen, uint64_t at)
{
    bool runs = at - seen > 1;
    for (uint32_t pauses = PAUSES; runs && pauses <= GATHER; pauses *= 2) {
        pause_for(pauses);
        uint64_t now = atomic_load_explicit(word, memory_order_relaxed);
        runs = now - at >= pauses / PAUSES;
        at = now;
    }
}

bool mf__spin(mf_runtime *rt, const _Atomic uint64_t *word, uint64_t seen)
{
    struct mf_spin *spin = &rt->spin;
    if (rt->cpus < 2)
        return false;
    uint32_t limit = spin->limit ? spin->limit : MOST;
    for (uint32_t i = 0; i < limit; i++) {
        pause_for(PAUSES);
        uint64_t at = atomic_load_explicit(word, memory_order_acquire);
        if (at != seen) {
            gather(word, seen, at);
            spin->limit = limit * 2 < MOST ? limit * 2 : MOST;
            spin->turns = spin->vain = 0;
            return true;
        }
    }
    spin->vain = limit;
    spin->limit = limit / 2 > LEAST ? limit / 2 : LEAST;
    return false;
}

static uint32_t ring_at(int64_t now, int cpu)
{
    return (uint32_t)(now / 1000) << CPU_BITS | ((uint32_t)cpu & CPU_MASK);
}

uint32_t mf__spin_ring(void)
{
    return ring_at(mf__now(), mf__cpu());
}

/* Does the family leave a processor free? Who is not asleep in moonfork counts as running. */
static bool has_room(const mf_runtime *rt)
{
    int running = 0;
    for (uint32_t i = 0, top = mf__slot_top(rt); i < top && running <= rt->cpus; i++) {
        const struct mf_slot *s = mf__slot_at(rt, i);
        if (mf__phase(atomic_load_explicit(&s->state, memory_order_relaxed)) == MF_SLOT_LIVE &&
            atomic_load_explicit(&s->waits, memory_order_relaxed) == MF_WAITS_NOT)
            running++;
    }
    return running <= rt->cpus;
}

/* Moves, unless it did just now: other work may fill the next processor, which nobody here sees. */
static void move(mf_runtime *rt, int64_t now)
{
    struct mf_spin *spin = &rt->spin;
    int64_t since = now - spin->moved;
    if (spin->moved && since < spin->rest)
        return;
    spin->rest = !spin->moved || since > 8 * spin->rest ? MOVE_LEAST
                 : spin->rest * 2 < MOVE_MOST           ? spin->rest * 2
                                                        : MOVE_MOST;
    spin->moved = now;
    spin->limit = MOST;
    mf__cpu_step(1);
}

void mf__spin_slept(mf_runtime *rt, int64_t since, uint32_t ring)
{
    struct mf_spin *spin = &rt->spin;
    uint32_t here = ring_at(since, mf__cpu()), after = (ring - here) >> CPU_BITS;
    if (rt->cpus < 2 || after > SOON)
        return;
    bool was_in_reach = after + spin->vain * SOON / MOST <= SOON;
    bool together = ((ring ^ here) & CPU_MASK) == 0;
    if (!together) {
        spin->turns = 0;
        if (was_in_reach && spin->limit < MOST && has_room(rt))
            spin->limit = MOST;
    } else if (++spin->turns >= TURNS) {
        spin->turns = 0;
        if (has_room(rt))
            move(rt, mf__now());
    }
}
