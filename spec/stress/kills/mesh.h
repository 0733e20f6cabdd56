/*
 * mesh.h - what everybody of the mesh does with the family's queues and locks. See ledger.h.
 */
#ifndef MESH_H
#define MESH_H

#include "ledger.h"
#include "lock.h"
#include "queue.h"

#define MESH_HANDLES (QUEUES + LOCKS)

/* The first queue is bounded. */
extern mf_queue *queues[QUEUES];
extern mf_lock *locks[LOCKS];

/* The parent makes them, and lets them go. */
void mesh_open(mf_runtime *rt);
void mesh_close(mf_runtime *rt);

/* Their handles, MESH_HANDLES of them, for who is to be started. */
const uint64_t *mesh_handles(mf_runtime *rt);

/* Begins a life in its role: ledger_enter, and dice of its own. */
void mesh_enter(enum role role);

/* Numbers by chance: they follow from the seed of the family and the life's number. */
unsigned dice(unsigned n);

/* Puts a message. False when the queue is closed. */
bool offer(mf_runtime *rt, unsigned q, int64_t deadline);

/* Takes a message and looks whether it is whole, and due. False when the queue is closed and
 * drained. */
bool take(mf_runtime *rt, unsigned q, int64_t deadline);

/* Takes and releases a lock; nobody else may be inside, and a dead holder must have been told. */
void lock_turn(mf_runtime *rt, unsigned k);

/* One of these and others, by chance: with the family's locks, with queues in queues, with the
 * death handler. */
void errand(mf_runtime *rt);

/* The mains of processes. A consumer's argument is the number of its queue. */
int producer_main(mf_runtime *rt, void *arg);
int consumer_main(mf_runtime *rt, void *arg);

#endif
