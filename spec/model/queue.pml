/*
 * queue.pml - the queue, its sleepers and the death handler, with a kill at any store. For SPIN.
 *
 * README.md tells which step stands for what, and what is left out; check.sh runs it. A process
 * that is killed goes to its label `killed`, where the kernel does its part. A kill may follow each
 * store to shared memory (KILL): a load leaves no trace, so that a kill after it is one before it.
 *
 * A GROUP is one step that the others can see, or the taking or leaving of a lock beside it, and
 * the stores that nobody reads while their writer lives: notes in its own slot, owners of its own
 * blocks, what its lock guards. With -DFINE each store is a step of its own.
 */

/* --- the configuration, and the bugs to seed ------------------------------------------------- */

#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef PUTS /* of each producer */
#define PUTS 1
#endif
#ifndef GETS /* of each consumer */
#define GETS 1
#endif
#ifndef READY /* messages that are in the queue before anything happens */
#define READY 0
#endif
#ifndef CAPACITY /* of the queue; 0: no bound */
#define CAPACITY 1
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef LOOKS /* sleepers settle deaths themselves, and run supervisors */
#define LOOKS 0
#endif
#ifndef WATCHES /* processes that do nothing but settle deaths, and may be killed at it */
#define WATCHES 0
#endif
#ifndef TRIES /* a mask of processes that do not sleep (deadline 0) */
#define TRIES 0
#endif
#ifndef TIMED /* a mask of processes whose deadline may pass at any time */
#define TIMED 0
#endif
#ifndef POLLS /* a mask of consumers that call mf_queue_wait, and take nothing */
#define POLLS 0
#endif
#ifndef INLINES /* a mask of producers whose messages fit their descriptors */
#define INLINES 0
#endif
#ifndef ROOM /* descriptors in a segment */
#define ROOM 1
#endif

#define N (PRODUCERS + CONSUMERS) /* the slots: producers, then consumers */
#define PARENT (N + WATCHES)      /* settles deaths; is never killed; closes when all sleep */
#define MESSAGES (READY + PRODUCERS * PUTS)
#define SEGMENTS (MESSAGES / ROOM + 1 + KILLS)
#define BLOCKS (MESSAGES + SEGMENTS) /* block m is message m's payload, those above are segments */

#define IN(mask, p) (((mask) >> (p)) & 1)

#ifdef FINE
#define GROUP
#else
#define GROUP atomic
#endif

#define KILL                                                                                       \
    if                                                                                             \
    :: me != PARENT && kills < KILLS -> kills++; goto killed                                       \
    :: skip                                                                                        \
    fi

/* What fails is named in the report: assertion violated (name). These stay 0. */
hidden byte doubled, out_of_order, torn, lost_twice, unaccounted; /* messages */
hidden byte freed_twice, leaked;                                  /* blocks */
hidden byte starved;                                              /* sleepers */
hidden byte stuck;                                                /* locks */
#define MUST(name, condition)                                                                      \
    if                                                                                             \
    :: condition                                                                                   \
    :: else -> assert(name)                                                                        \
    fi

/* Results. */
#define OK 0
#define FULL 1
#define EMPTY 1
#define CLOSED 2
#define TIMEOUT 3

/* --- shared memory --------------------------------------------------------------------------- */

/* The two ends, and the pool of objects: a robust mutex each. */
#define PUT 0
#define GET 1
#define POOL 2
byte own[3];    /* the kernel's word: process + 1 */
bit passed[3];  /* the kernel has released it: EOWNERDEAD until it is made consistent */
byte holder[3]; /* mf_mutex.holder: slot + 1 */

byte at[2];      /* mf_end.at: tail and head */
byte segment[2]; /* mf_end.segment: a block */
byte known;
bit closed;
byte lost;
byte tag; /* of the victim counted last: slot + 1 */

/* struct mf_wait. seq is not a number here: what counts is whose ticket a change has made void. */
#define NOT_EMPTY 0
#define NOT_FULL 1
byte announced[2];
byte quiet[2];
bit ticket[N]; /* drawn, and valid still */
bit asleep[N]; /* in the futex's queue: consumers on not_empty, producers on not_full */

/* struct mf_slot. */
#define LIVE 0
#define EXITED 1
#define DEAD 2
byte life[N];  /* process + 1; 0: released */
byte phase[N];  /* of mf_slot.state */
byte hand[N];   /* a block */
byte seq[N];    /* + 1; 0: MF_NO_SEQ */
byte taking[N]; /* mf_slot.segment: a block */
bit busy[N];
bit side[N];
bit got[N];

/* struct mf_object. */
#define GONE 0
#define ALIVE 1
#define DYING 2
byte kind;
bit held[N];
byte undertaker;

/* struct mf_block, struct mf_segment. */
bit used[BLOCKS + 1];
byte owner[BLOCKS + 1];
byte base[SEGMENTS + 1];
byte next[SEGMENTS + 1]; /* a block */
byte descriptor[(SEGMENTS + 1) * ROOM];

byte deaths; /* arena.deaths */

/* --- what the checker knows ------------------------------------------------------------------- */

byte kills;
bit over;
byte waking[2]; /* how many processes have a number of an announcement in hand */
#define MADE 0
#define QUEUED 1
#define TAKEN 2
#define DELIVERED 3
byte fate[MESSAGES + 1];
byte newest[PRODUCERS + 1]; /* the last message taken of each producer */
bit counted[N];

#define IS_DEAD(p) (phase[p] == LIVE && life[p] == 0)
#define IS_STILL(p) (phase[p] != LIVE || (life[p] == p + 1 && asleep[p]))
#define SLEEPS_RIGHTLY(p)                                                                          \
    (!asleep[p] ||                                                                                 \
     (!closed && (p < PRODUCERS -> at[PUT] - at[GET] >= CAPACITY : at[PUT] == at[GET])))

#if N == 1
#define ALL(is) (is(0))
#define ANY(is) (is(0))
#elif N == 2
#define ALL(is) (is(0) && is(1))
#define ANY(is) (is(0) || is(1))
#elif N == 3
#define ALL(is) (is(0) && is(1) && is(2))
#define ANY(is) (is(0) || is(1) || is(2))
#else
#define ALL(is) (is(0) && is(1) && is(2) && is(3))
#define ANY(is) (is(0) || is(1) || is(2) || is(3))
#endif
#define IS_HELD(p) held[p]
#define SLEEPS(p) asleep[p]
#define PRODUCER_SLEEPS(p) (p < PRODUCERS && asleep[p])
#define CONSUMER_SLEEPS(p) (p >= PRODUCERS && asleep[p])
#define SOMEBODY_SLEEPS(w) (w == NOT_EMPTY -> ANY(CONSUMER_SLEEPS) : ANY(PRODUCER_SLEEPS))

/* Message m of READY ones has no producer: number 0. */
#define PRODUCER(m) ((m) <= READY -> 0 : 1 + ((m) - READY - 1) / PUTS)
#define IS_INLINE(m) ((m) > READY && IN(INLINES, ((m) - READY - 1) / PUTS))

/* --- blocks ----------------------------------------------------------------------------------- */

/* mf__block_new and mf__block_free are one step each: the allocator is not modelled. */
inline block_free(block)
{
    MUST(freed_twice, used[block]);
    d_step {
        used[block] = 0;
        owner[block] = 0;
        if
        :: block > MESSAGES ->
            base[block - MESSAGES] = 0;
            next[block - MESSAGES] = 0;
            for (n : 0 .. ROOM - 1) {
                descriptor[(block - MESSAGES) * ROOM + n] = 0
            };
            n = 0
        :: else
        fi
    }
}

inline segment_new(number, as)
{
    d_step {
        b = MESSAGES + 1;
        do
        :: used[b] -> b++
        :: else -> break
        od;
        used[b] = 1;
        owner[b] = as + 1;
        base[b - MESSAGES] = number
    }
}

/* --- the mutex -------------------------------------------------------------------------------- */

inline unlock(x)
{
    holder[x] = 0;
    KILL;
    own[x] = 0;
    KILL
}

/* What the dead whose name stands in an end's lock has left at that end: settle_side. */
inline settle_segment(e)
{
    b = taking[v - 1];
    if
    :: b != 0 ->
        if
        :: e == PUT && segment[PUT] != 0 &&
           (segment[PUT] == b || next[segment[PUT] - MESSAGES] == b) ->
            owner[b] = 0;
            KILL
        :: e == GET && segment[GET] != b ->
            owner[b] = v;
            KILL
        :: else
        fi;
        taking[v - 1] = 0;
        b = 0;
        KILL
    :: else
    fi
}

inline settle_move(e)
{
    if
    :: seq[v - 1] != 0 ->
        if
        :: (at[e] >= seq[v - 1]) == (e == PUT) ->
            hand[v - 1] = 0;
            KILL
        :: else
        fi;
        if
        :: e == GET && at[e] < seq[v - 1] ->
            got[v - 1] = 0;
            KILL
        :: else
        fi;
        seq[v - 1] = 0;
        KILL
    :: else
    fi
}

inline settle_side(e)
{
    if
    :: v != 0 && v <= N ->
#if !defined(BUG_COUNT_OPEN) && !defined(BUG_LOST_TWICE)
        if
        :: e == GET && tag == v ->
            got[v - 1] = 0;
            KILL
        :: else
        fi;
#endif
        if
        :: side[v - 1] == e ->
            settle_segment(e);
            settle_move(e)
        :: else
        fi
    :: else
    fi
}

/* Under the pool's lock: who has lost its last holder is doomed in the victim's name. */
inline settle_pool()
{
    if
    :: v != 0 && v <= N && kind == ALIVE && !ANY(IS_HELD) ->
        undertaker = v;
        KILL;
        kind = DYING;
        KILL
    :: else
    fi
}

#ifdef BUG_UNSIGNED
#define NAME (me + 1)
#else
#define NAME (g + 1)
#endif

/* mf__mutex_lock, the settling, mf__mutex_settled. rc = TIMEOUT where `timed`, and not locked. */
inline lock(x, timed)
{
    if
    :: atomic { own[x] == 0 -> own[x] = me + 1 }
        KILL;
        if
        :: passed[x] ->
            v = holder[x];
#ifndef BUG_NO_SETTLING
            if
            :: x == POOL -> settle_pool()
            :: else -> settle_side(x)
            fi;
#endif
            v = 0;
            holder[x] = NAME;
            KILL;
            passed[x] = 0
        :: else ->
            holder[x] = NAME
        fi;
        KILL
    :: timed && own[x] != 0 -> rc = TIMEOUT
    fi
}

/* --- sleep and wake --------------------------------------------------------------------------- */

#define DONE 255 /* no announcement to forget: the wake has found somebody */

/* Who sleeps on a wait. */
#define FIRST(w) (w == NOT_EMPTY -> PRODUCERS : 0)
#define LAST(w) (w == NOT_EMPTY -> N : PRODUCERS)
#define IS_LATER(p, v, w) (p < LAST(w) && p > v && asleep[(p < N -> p : 0)])

/* A change of mf_wait.seq: all tickets drawn before are void. */
inline void_tickets(w)
{
    d_step {
        n = FIRST(w);
        do
        :: n < LAST(w) -> ticket[n] = 0; n++
        :: else -> break
        od;
        n = 0
    }
}

/* Wakes any one, or all; n = 1 when there was somebody. */
inline futex_wake(w, all)
{
    n = SOMEBODY_SLEEPS(w);
    v = FIRST(w);
    do
    :: n && !all && asleep[v] -> asleep[v] = 0; break
    :: n && !all && (IS_LATER(1, v, w) || IS_LATER(2, v, w) || IS_LATER(3, v, w)) -> v++
    :: n && all && v < LAST(w) -> asleep[v] = 0; v++
    :: !n || v == LAST(w) -> break
    od;
    v = 0
}

/* The numbers of announcements are only compared: while nobody has one in hand, two will do. */
inline renumber(w)
{
    if
    :: waking[w] == 0 && quiet[w] == announced[w] -> quiet[w] = 0; announced[w] = 0
    :: waking[w] == 0 && quiet[w] != announced[w] -> quiet[w] = 0; announced[w] = 1
    :: else
    fi
}

inline announce(w)
{
    d_step {
        announced[w]++;
        renumber(w)
    }
    KILL
}

inline forget_wake(w)
{
    d_step {
        a = 0;
        wakes = 0;
        waking[w]--;
        renumber(w)
    }
}

/* mf__wait_wake, mf__wait_wake_all, where `due`. */
inline wake(w, all, due)
{
    if
    :: d_step {
            due ->
                a = announced[w];
                wakes = w + 1;
                waking[w]++
        }
        do
        :: atomic { a == quiet[w] -> forget_wake(w); break }
        :: a != quiet[w] ->
            GROUP {
                void_tickets(w);
                KILL
            }
            GROUP {
                atomic { futex_wake(w, all) }
                KILL;
                if
                :: n -> n = 0; forget_wake(w); break
                :: else
                fi
            }
            GROUP {
#ifdef BUG_QUIET_ANEW
                quiet[w] = announced[w];
#else
                quiet[w] = a;
#endif
                KILL;
                forget_wake(w);
                break
            }
        od
    :: else
    fi
}

/* The conditions of wait.h, has_room_or_is_closed and has_some_or_is_closed: jump to yes, where the
 * ticket is given up, or go on. known <= tail, and both grow: to look at them is one step. */
#define OR_CLOSED(yes)                                                                             \
    atomic {                                                                                       \
        h = 0;                                                                                     \
        if                                                                                         \
        :: closed -> ticket[me] = 0; goto yes                                                      \
        :: else                                                                                    \
        fi                                                                                         \
    }
#define HAS_ROOM(yes)                                                                              \
    h = at[PUT];                                                                                   \
    if                                                                                             \
    :: atomic { h >= at[GET] && h - at[GET] < CAPACITY -> h = 0; ticket[me] = 0; goto yes }        \
    :: else -> OR_CLOSED(yes)                                                                      \
    fi
#define HAS_SOME(yes)                                                                              \
    h = at[GET];                                                                                   \
    if                                                                                             \
    :: atomic { h < known || h != at[PUT] -> h = 0; ticket[me] = 0; goto yes }                     \
    :: else -> OR_CLOSED(yes)                                                                      \
    fi

/* --- put -------------------------------------------------------------------------------------- */

inline begin(e)
{
    side[g] = e;
    KILL;
    busy[g] = 1;
    KILL
}

/* next_descriptor, and the message in it. Nobody else looks there before the commit. */
inline next_descriptor()
{
    MUST(torn, used[segment[PUT]]);
    if
    :: at[PUT] - base[segment[PUT] - MESSAGES] >= ROOM ->
        b = next[segment[PUT] - MESSAGES];
        if
        :: b == 0 ->
            segment_new(at[PUT], me);
            KILL;
            taking[me] = b;
            KILL;
            next[segment[PUT] - MESSAGES] = b;
            KILL;
            owner[b] = 0;
            KILL;
            taking[me] = 0;
            KILL
        :: else
        fi;
        segment[PUT] = b;
        KILL
    :: else
    fi;
    b = segment[PUT] - MESSAGES;
    descriptor[b * ROOM + at[PUT] - base[b]] = m;
    b = 0;
    KILL
}

inline intend_put()
{
    if
    :: !IS_INLINE(m) ->
        seq[me] = at[PUT] + 1;
        KILL;
        hand[me] = m;
        KILL;
        owner[m] = 0;
        KILL
    :: else
    fi
}

inline commit_put()
{
    atomic { at[PUT]++; fate[m] = QUEUED }
    KILL
}

inline forget_put()
{
    if
    :: !IS_INLINE(m) ->
        hand[me] = 0;
        KILL;
        seq[me] = 0;
        KILL
    :: else
    fi
}

/* --- get -------------------------------------------------------------------------------------- */

/* What consumers leave is theirs to free. */
inline leave_segment()
{
    old = segment[GET];
    MUST(torn, used[old]);
    taking[g] = old;
    KILL;
    segment[GET] = next[old - MESSAGES];
    KILL;
    owner[old] = g + 1;
    KILL;
    taking[g] = 0;
    KILL
}

inline oldest()
{
    if
    :: at[GET] - base[segment[GET] - MESSAGES] >= ROOM -> leave_segment()
    :: else
    fi;
    MUST(torn, segment[GET] != 0 && used[segment[GET]]);
    b = segment[GET] - MESSAGES;
    m = descriptor[b * ROOM + at[GET] - base[b]];
    b = 0;
    MUST(torn, m != 0)
}

inline intend_get()
{
    seq[g] = at[GET] + 1;
    KILL;
#ifndef BUG_GOT_LATE
    got[g] = 1;
    KILL;
#endif
    hand[g] = (IS_INLINE(m) -> 0 : m);
    KILL
}

/* Of a queue that is being destroyed nobody counts the messages. */
inline commit_get()
{
    atomic {
        at[GET]++;
        MUST(doubled, fate[m] == QUEUED);
        fate[m] = (kind == ALIVE -> TAKEN : DELIVERED);
        MUST(out_of_order, newest[PRODUCER(m)] < m);
        newest[PRODUCER(m)] = m
    }
    KILL
}

inline forget_get()
{
#ifdef BUG_GOT_LATE
    got[g] = 1;
    KILL;
#endif
    seq[g] = 0;
    KILL
}

/* rc = OK, EMPTY, CLOSED or TIMEOUT; m, the message; old, a segment that was left. */
inline try_get()
{
    GROUP {
        rc = OK;
        lock(GET, IN(TIMED, me));
        if
        :: rc == OK -> ok = closed; h = (at[GET] != known)
        :: else
        fi
    }
    do
    :: rc == TIMEOUT -> break
    :: atomic { rc == OK && !h -> h = at[PUT] }
        GROUP {
            known = h;
            h = 0;
            KILL;
            if
            :: at[GET] != known -> h = 1
            :: else ->
                rc = (ok -> CLOSED : EMPTY);
                ok = 0;
                unlock(GET);
                break
            fi
        }
    :: GROUP {
            rc == OK && h;
            ok = 0;
            h = 0;
            oldest();
            intend_get();
            commit_get();
            forget_get();
            unlock(GET);
            if
            :: !IS_INLINE(m) ->
                owner[m] = g + 1;
                KILL;
                hand[g] = 0;
                KILL
            :: else
            fi;
            break
        }
    od;
    wake(NOT_FULL, 0, rc == OK && CAPACITY != 0)
}

inline free_left_segment()
{
    if
    :: old != 0 ->
        block_free(old);
        old = 0;
        KILL
    :: else
    fi
}

/* mf__queue_delivered, mf__message_free. */
inline deliver()
{
    MUST(torn, IS_INLINE(m) || used[m]);
    atomic { got[g] = 0; fate[m] = DELIVERED }
    KILL;
    if
    :: !IS_INLINE(m) ->
        block_free(m);
        KILL
    :: else
    fi;
    m = 0
}

/* --- the death handler: g is the dead slot ---------------------------------------------------- */

/* Under the lock of the end GET. */
inline count_lost()
{
    if
    :: got[g] ->
#ifdef BUG_COUNT_OPEN
        if
        :: tag == g + 1
        :: else ->
#endif
            MUST(lost_twice, !counted[g] || kind != ALIVE);
            atomic { /* one word */
                counted[g] = 1;
                lost = lost + (kind == ALIVE); /* nobody asks a queue that is being destroyed */
                tag = g + 1
            }
            KILL
#ifdef BUG_COUNT_OPEN
        fi
#endif
        ;
        got[g] = 0;
        KILL
    :: else
    fi
}

/* queue_repair.c mf__queue_settle, for what the slot is busy with and for what it got. */
inline settle()
{
    do
    :: busy[g] || got[g] ->
        GROUP {
            lock(PUT, 0);
            unlock(PUT)
        }
        GROUP {
            lock(GET, 0);
            count_lost();
            unlock(GET)
        }
#ifndef BUG_NO_REWAKE
        wake(NOT_EMPTY, 1, 1);
        wake(NOT_FULL, 1, 1);
#endif
        GROUP {
            if
            :: busy[g] -> busy[g] = 0
            :: else -> got[g] = 0
            fi;
            KILL
        }
    :: else -> break
    od
}

/* mf__blocks_recover: the block in hand, and all that the dead owned. */
inline recover_blocks()
{
    if
    :: hand[g] != 0 ->
        owner[hand[g]] = g + 1;
        KILL;
        hand[g] = 0;
        KILL
    :: else
    fi;
    b = 1;
    do
    :: b <= BLOCKS ->
        if
        :: used[b] && owner[b] == g + 1 ->
            block_free(b);
            KILL
        :: else
        fi;
        b++
    :: else -> break
    od;
    b = 0
}

/* queue.c destroy, and the rest of object.c destroy: by who was doomed to do it, or in its name. */
inline destroy()
{
    GROUP {
        begin(GET)
    }
    GROUP {
        lock(PUT, 0);
        unlock(PUT)
    }
    do
    :: segment[GET] != 0 ->
        try_get();
        if
        :: rc == OK ->
            GROUP {
                free_left_segment();
                deliver()
            }
        :: else -> break
        fi
    :: else -> break
    od;
    GROUP {
        segment[PUT] = 0;
        KILL
    }
    do
    :: segment[GET] != 0 ->
        GROUP {
            lock(GET, 0);
            leave_segment();
            unlock(GET);
            block_free(old);
            old = 0;
            KILL
        }
    :: else -> break
    od;
    GROUP {
        busy[g] = 0;
        KILL
    }
    GROUP {
        lock(POOL, 0);
        kind = GONE;
        KILL;
        undertaker = 0;
        KILL;
        unlock(POOL)
    }
}

/* Under the pool's lock: the holder lets go, and when it was the last the queue is doomed. */
inline let_go()
{
    held[g] = 0;
    KILL;
    if
    :: kind == ALIVE && !ANY(IS_HELD) ->
        undertaker = g + 1;
        KILL;
        kind = DYING;
        KILL
    :: else
    fi
}

#define CHOOSE(p) p < N && IS_DEAD((p < N -> p : 0)) -> g = p; life[g] = me + 1

/* The kernel's part: the robust mutexes pass on, the life words that were claimed, and its own. */
inline end_process()
{
    d_step {
        for (n : 0 .. 2) {
            if
            :: own[n] == me + 1 -> own[n] = 0; passed[n] = 1
            :: else
            fi
        };
        for (n : 0 .. N - 1) {
            if
            :: life[n] == me + 1 -> life[n] = 0
            :: else
            fi
        };
        if
        :: me < N -> asleep[me] = 0; ticket[me] = 0
        :: else
        fi;
        if
        :: wakes != 0 -> waking[wakes - 1]--; renumber((wakes - 1)); wakes = 0
        :: else
        fi
    }
}

/* All is over: who has died is settled, the queue is gone, and every message has had one fate. */
inline check_the_end()
{
    MUST(leaked, kind == GONE);
    for (b : 1 .. BLOCKS) {
        MUST(leaked, !used[b])
    };
    MUST(stuck, own[PUT] == 0 && own[GET] == 0 && own[POOL] == 0);
    n = 0;
    for (b : 1 .. MESSAGES) {
        MUST(unaccounted, fate[b] != QUEUED);
        n = n + (fate[b] == TAKEN)
    };
    MUST(unaccounted, n == lost && lost <= kills && at[GET] == at[PUT])
}

/* --- a process: a producer, a consumer, a watch, or the parent -------------------------------- */

#define IS_PRODUCER (me < PRODUCERS)
#define IS_POLLER IN(POLLS, me)
#define IS_TRIER IN(TRIES, me)
#define MY_WAIT (IS_PRODUCER -> NOT_FULL : NOT_EMPTY)
#define MY_SIDE (IS_PRODUCER -> PUT : GET)

proctype Process(byte me)
{
    byte g = me; /* the slot that it acts for: rt->slot */
    byte rc, n, v, b, a, wakes, h, ok, m, old, seen, i;
    if
    :: me >= N -> goto idle
    :: else
    fi;

work: /* mf__queue_put_block with a block of its own, mf__queue_get, or mf_queue_wait */
    GROUP {
        i++;
        if
        :: IS_PRODUCER ->
            m = READY + me * PUTS + i;
            if
            :: !IS_INLINE(m) ->
                used[m] = 1;
                owner[m] = me + 1;
                KILL
            :: else
            fi
        :: else
        fi;
        begin(MY_SIDE);
        if
        :: IS_PRODUCER -> goto put
        :: IS_POLLER -> goto wait
        :: else -> goto get
        fi
    }

put: /* try_put, put_locked */
    GROUP {
        rc = OK;
        lock(PUT, IN(TIMED, me));
        if
        :: rc == TIMEOUT -> goto pass
        :: rc == OK && closed -> rc = CLOSED; unlock(PUT); goto worked
        :: else
        fi
    }
    GROUP {
        if
        :: CAPACITY != 0 && at[PUT] - at[GET] >= CAPACITY ->
            rc = FULL;
            goto no_room
        :: else
        fi;
        next_descriptor();
#ifndef BUG_INTENT_LATE
        intend_put();
#endif
#ifdef BUG_INTENT_EARLY
        forget_put();
#endif
    }
#ifdef BUG_WAKE_EARLY
    wake(NOT_EMPTY, 0, 1);
#endif
    GROUP {
        commit_put();
#ifdef BUG_INTENT_LATE
        intend_put();
#endif
        forget_put();
        unlock(PUT)
    }
#if !defined(BUG_NO_WAKE) && !defined(BUG_WAKE_EARLY)
    wake(NOT_EMPTY, 0, 1);
#endif
    goto worked;

no_room:
    GROUP {
        unlock(PUT);
        if
        :: IS_TRIER -> goto worked
        :: else -> goto wait
        fi
    }

get: /* get, try_get, get_locked */
    HAS_SOME(got_some);
    rc = EMPTY;
    if
    :: IS_TRIER -> goto worked
    :: else -> goto wait
    fi;
got_some:
    try_get();
    if
    :: rc == TIMEOUT -> goto pass
    :: rc == EMPTY && !IS_TRIER -> goto wait
    :: else -> goto worked
    fi;

wait: /* mf__wait_until */
#ifdef BUG_TICKET_LATE
    GROUP {
        announce(MY_WAIT)
    }
#endif
    ticket[me] = 1;
#ifndef BUG_TICKET_LATE
    GROUP {
        announce(MY_WAIT)
    }
#endif
    if
    :: IS_PRODUCER -> HAS_ROOM(put)
    :: IS_POLLER -> HAS_SOME(polled)
    :: else -> HAS_SOME(get)
    fi;

sleep: /* sleep_on. A slice is over when there is a death to settle, and not before. */
    atomic { /* the kernel compares, and queues, in one */
        if
        :: ticket[me] ->
            asleep[me] = 1;
            KILL
        :: else -> goto woken
        fi
    }
    atomic {
        if
        :: !asleep[me] ->
            KILL;
            goto woken
#if LOOKS
        :: asleep[me] && ANY(IS_DEAD) ->
            asleep[me] = 0;
            goto look
#endif
        :: asleep[me] && IN(TIMED, me) ->
            asleep[me] = 0;
            rc = TIMEOUT
        fi
    }

woken:
#if LOOKS
    if
    :: rc != TIMEOUT && seen != deaths ->
#ifndef BUG_LOOK_FIRST
        if
        :: IS_PRODUCER -> HAS_ROOM(pass_and_look)
        :: else -> HAS_SOME(pass_and_look)
        fi;
#endif
        goto look
    :: else
    fi;
#endif
    if
    :: IS_PRODUCER -> HAS_ROOM(put)
    :: IS_POLLER -> HAS_SOME(polled)
    :: else -> HAS_SOME(get)
    fi;
    if
    :: rc == TIMEOUT -> ticket[me] = 0; goto worked
    :: else -> goto wait
    fi;

#if LOOKS
pass_and_look: /* The wake that it may have taken goes on. */
    wake(MY_WAIT, 0, 1);
    goto look;
#endif

pass: /* Its deadline passed at the lock: a wake that it may have taken goes on. */
#ifndef BUG_NO_PASSING
    wake(MY_WAIT, 0, 1);
#endif
    goto worked;

polled:
#ifdef BUG_END_FIRST
    busy[me] = 0;
    KILL;
#endif
    wake(NOT_EMPTY, 0, 1);

worked:
    GROUP {
        free_left_segment();
        busy[me] = 0;
        KILL;
        if
        :: rc == OK && !IS_PRODUCER && !IS_POLLER -> deliver()
        :: rc != OK && IS_PRODUCER && !IS_INLINE(m) -> block_free(m); KILL
        :: else
        fi;
        m = 0;
        rc = OK;
        if
        :: i < (IS_PRODUCER -> PUTS : GETS) -> goto work
        :: else -> goto bereave
        fi
    }

look: /* mf__wait_look_around: any one of the dead; then supervisors run. */
    atomic {
        seen = (me < N -> deaths : 0);
        if
        :: CHOOSE(0)
        :: CHOOSE(1)
        :: CHOOSE(2)
        :: CHOOSE(3)
        :: !ANY(IS_DEAD) -> goto looked
        fi
    }

clean: /* death.c clean. A process does it for itself at its end, with nothing in hand. */
    settle();
    GROUP {
        lock(POOL, 0); /* mf__objects_visit */
        unlock(POOL);
        recover_blocks()
    }
bereave: /* mf__object_bereave_all, mf__object_drop */
    GROUP {
        if
        :: kind == ALIVE && held[g] ->
            lock(POOL, 0);
            let_go();
            unlock(POOL)
        :: else
        fi;
        if
        :: kind == DYING && undertaker == g + 1
        :: else -> goto cleaned
        fi
    }
    destroy();
cleaned:
    GROUP {
        phase[g] = (g == me -> EXITED : DEAD);
        KILL;
        deaths = deaths + (g != me);
        KILL;
        life[g] = 0;
        if
        :: g == me -> goto done
        :: else -> g = me; rc = OK
        fi;
        KILL
    }
looked:
    if
    :: me < N ->
        GROUP {
            busy[me] = 0; /* a supervisor's operation has said what it was busy with */
            KILL;
            busy[me] = 1;
            KILL
        }
        goto sleep
    :: else
    fi;

idle: /* a watch, or the parent */
    do
    :: ANY(IS_DEAD) -> goto look
    :: atomic { me == PARENT && ALL(IS_STILL) && ANY(SLEEPS) ->
            MUST(starved, ALL(SLEEPS_RIGHTLY)) }
        closed = 1; /* mf_queue_close */
        wake(NOT_EMPTY, 1, 1);
        wake(NOT_FULL, 1, 1)
    :: atomic { me == PARENT && ALL(IS_STILL) && !ANY(SLEEPS) && !ANY(IS_DEAD) ->
            check_the_end();
            over = 1 }
        goto done
    :: me != PARENT && over -> goto done
    od;

killed:
    end_process();
done:
    atomic { /* states that differ in nothing that matters are one */
        g = 0; rc = OK; n = 0; v = 0; b = 0; a = 0; h = 0; ok = 0; m = 0; old = 0; seen = 0; i = 0
    }
}

/* The queue as its maker leaves it; READY messages were put by somebody else. */
inline make_queue()
{
    kind = ALIVE;
    for (n : 0 .. N - 1) {
        life[n] = n + 1;
        held[n] = 1
    };
    segment_new(0, 254);
    owner[b] = 0;
    segment[PUT] = b;
    segment[GET] = b;
    m = 0;
    do
    :: m < READY ->
        m++;
        used[m] = 1;
        fate[m] = QUEUED;
        if
        :: at[PUT] - base[segment[PUT] - MESSAGES] >= ROOM ->
            n = segment[PUT] - MESSAGES;
            segment_new(at[PUT], 254);
            owner[b] = 0;
            next[n] = b;
            segment[PUT] = b
        :: else
        fi;
        b = segment[PUT] - MESSAGES;
        descriptor[b * ROOM + at[PUT] - base[b]] = m;
        at[PUT]++
    :: else -> break
    od
}

init
{
    byte n, b, m;
    atomic {
        d_step {
            make_queue();
            n = 0; b = 0; m = 0
        }
        do
        :: n <= PARENT -> run Process(n); n++
        :: else -> n = 0; break
        od
    }
}
