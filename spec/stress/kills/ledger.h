/*
 * ledger.h - what everybody of the mesh writes down of its doings, and what must be true of it.
 *
 * Used by all of spec/stress/kills. The ledger lies outside the arena, in memory that the killer
 * has mapped: it outlives every process of the family and needs nothing of what is tested. A
 * process writes only into its own life; a kill at any instruction leaves an account from which
 * follows what it had done, but for the one thing that it was just doing.
 *
 * Every process is a life, from its first instruction after the fork on. Messages are told apart by
 * their producer's life and a number that grows by one with each message of it to a queue.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "queue.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    QUEUES = 2,
    LOCKS = 2,
    LIVES = 1024,
    MESSAGES = 2000, /* of one life to one queue */
    TASKS = 1 << 16,
    ITEMS = 4,   /* of one task, at most */
    POINTS = 512 /* crash points */
};

/* X(name): who a life is, and what it is at. */
#define ROLES(X) X(newborn) X(parent) X(middle) X(worker) X(producer) X(consumer)
#define DOINGS(X)                                                                                  \
    X(waking) X(put) X(get) X(lock) X(queues) X(claim) X(task) X(start) X(join) X(pool)

#define AS_ROLE(name) role_##name,
enum role { ROLES(AS_ROLE) ROLE_COUNT };
#define AS_DOING(name) doing_##name,
enum doing { DOINGS(AS_DOING) DOING_COUNT };
extern const char *const role_names[], *const doing_names[];

/* One life's account of one queue. */
struct dealings {
    _Atomic uint32_t begun, put; /* number of the message being put, of the last that was */
    _Atomic uint32_t getting;    /* inside a get, or has a message that is not delivered */
    _Atomic uint32_t hand;       /* has seen a message that is perhaps not delivered */
};

struct life {
    _Alignas(64) _Atomic uint32_t at; /* crash point + 1: see crash.h */
    _Atomic int32_t pid;
    _Atomic uint32_t role, doing, beats;
    _Atomic uint32_t parent; /* life + 1 */
    _Atomic uint32_t left;   /* its account is complete: it ends by itself */
    _Atomic uint32_t trap; /* crash point + 1 at which it kills itself, and its pid when it does */
    _Atomic int32_t struck;
    struct dealings queue[QUEUES];
};

/* One item of a task. */
struct item_log {
    _Atomic uint8_t tries, runs; /* before it says that it begins, and after */
    _Atomic uint8_t committed;
};

struct ledger {
    unsigned seed;           /* of the family */
    _Atomic uint32_t failed; /* 1 while `wrong` is being written, 2 when it is */
    char wrong[256];
    /* Of bosses [1] and others [0]: crash point + 1 that the killer misses victims at; visits. */
    _Atomic uint32_t wish[2];
    _Atomic uint32_t visits[2][POINTS];
    _Atomic uint32_t stop, over; /* the killer: come to an end; the parent: this is the end */
    _Atomic uint32_t life_count, task_count;
    _Atomic uint64_t results, refused;  /* of tasks: items with a result; died too often */
    _Atomic uint64_t locked, abandoned; /* turns with a lock; of these after a holder's death */
    _Atomic uint64_t lost[QUEUES], seen_count[QUEUES];
    _Atomic uint32_t owner[LOCKS]; /* life + 1 of who is between acquire and release */
    uint64_t guarded[LOCKS][2];    /* equal outside the lock */
    struct life lives[LIVES];
    struct item_log tasks[TASKS][ITEMS];
    _Atomic uint8_t seen[QUEUES][LIVES][MESSAGES + 1];
};

extern struct ledger *ledger;
extern struct life *me;

/* Maps a new ledger, and gives one back. */
void ledger_open(unsigned seed);
void ledger_close(void);

/* In a process just forked: claims a life. In the parent it also sees to it that its children do
 * before they run a line of moonfork. */
void ledger_be_born(void);
void ledger_parent(void);

/* The calling life has come to where it can be called by its role. */
void ledger_enter(enum role role);

/* The life's account is complete. */
void ledger_leave(void);

/* Something is happening, and this is what. */
void beat(enum doing doing);

/* An invariant is broken: writes why, and ends the process. The first one counts. */
_Noreturn void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline unsigned life_index(const struct life *l)
{
    return (unsigned)(l - ledger->lives);
}

/* A message of life `from` has come: it may come once, after the earlier ones of its producer that
 * came to this process. */
void ledger_saw(unsigned q, unsigned from, unsigned n);

/* When the queue is drained and everybody else has ended: do the accounts agree with the queue? */
void ledger_check(unsigned q, const struct mf_queue_stats *stats);

#endif
