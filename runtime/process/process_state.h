/*
 * process_state.h - a child as its parent knows it: for the process_*.c and for nobody else.
 */
#ifndef MF_PROCESS_STATE_H
#define MF_PROCESS_STATE_H

#include "deadlock.h"
#include "process.h"

#include <sys/types.h>

struct mf_process {
    mf_process *next;     /* in rt->children */
    const mf_runtime *rt; /* its parent's */
    pid_t pid;
    uint32_t slot;
    const struct mf_slot *place; /* the same */
    int pidfd;                   /* -1 when the system gave none */
    int status;                  /* MF_PROCESS_RUNNING until it is finished; then `end` */
    int end;
    uint64_t task, link; /* of its slot, read before that was freed */
    bool daemon, forgotten;
    bool stopped; /* while its programs are looked up */
    bool reaped;  /* and its death is perhaps not settled yet */
    struct mf_suspicion suspicion;
};

/* Takes a child off a list of the runtime's. */
void mf__process_unlist(mf_process **list, mf_process *p);

/* Frees one that was joined. */
void mf__process_discard(mf_runtime *rt, mf_process *p);

/* Is the pid still the child's, running or not? When somebody else has reaped it, it may be a
 * stranger's. */
bool mf__process_has_its_pid(mf_process *p);

#endif
