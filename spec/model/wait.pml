/*
 * wait.pml - sleep and wake on processors that keep their stores back for a while. For SPIN.
 *
 * queue.pml takes every store as seen by all at once. Here each processor has a store buffer: what
 * it stores is seen by the others later, and it goes on to its next load meanwhile. wait.h says
 * what must hold all the same: a sleeper announces itself, then reads its condition; a waker
 * commits, then reads announced; one of the two sees the other. It holds when both stores are
 * sequentially consistent, which is when they leave the buffer before the next load.
 *
 *   here           in the source
 *   commit         queue_put.c put_locked: the store of tail, of the one producer
 *   announce       wait.c wait_until: atomic_fetch_add(&w->announced, 1)
 *   condition      queue_end.h has_some_or_is_closed
 *   ring           wait.c wake; every system call is a fence, and the kernel compares and queues in
 *                  one step
 *
 * As many messages as sleepers, who take one each: who sleeps on is in an invalid end state.
 * -DBUG_COMMIT_RELAXED and -DBUG_ANNOUNCE_RELAXED leave the order to one side's processor.
 */
#define SLEEPERS 2
#define WAKER SLEEPERS

/* Memory. */
byte tail, head, announced, seq;

/* Increments that are still in a buffer: of tail by the waker, of announced by a sleeper. */
byte kept[SLEEPERS + 1];

/* The kernel's: who sleeps. */
bit asleep[SLEEPERS];

#define FENCE (kept[p] == 0)

proctype Buffer(byte p)
{
end:
    do
    :: atomic {
            kept[p] > 0 -> kept[p]--;
            if
            :: p == WAKER -> tail++
            :: else -> announced++
            fi
        }
    od
}

proctype Sleeper(byte p)
{
    byte ticket;
    do
    :: ticket = seq;
        kept[p]++;
#ifndef BUG_ANNOUNCE_RELAXED
        FENCE;
#endif
        if
        :: head < tail -> goto woken
        :: else
        fi;
        FENCE;
        atomic {
            if
            :: ticket == seq -> asleep[p] = 1
            :: else
            fi
        }
        !asleep[p];
woken:
        atomic { /* get, under its lock */
            if
            :: head < tail -> head++; break
            :: else
            fi
        }
    od
}

proctype Waker(byte p)
{
    byte quiet, seen, n;
    do
    :: n < SLEEPERS ->
        n++;
        kept[p]++;
#ifndef BUG_COMMIT_RELAXED
        FENCE;
#endif
        seen = announced;
        if
        :: seen != quiet ->
            FENCE; /* an atomic addition */
            seq++;
            atomic {
                if
                :: asleep[0] -> asleep[0] = 0
                :: asleep[1] -> asleep[1] = 0
                :: else -> quiet = seen
                fi
            }
        :: else
        fi
    :: else -> break
    od
}

init
{
    atomic {
        run Buffer(0); run Buffer(1); run Buffer(WAKER);
        run Sleeper(0); run Sleeper(1); run Waker(WAKER)
    }
}
