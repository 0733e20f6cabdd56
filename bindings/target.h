/*
 * target.h - what runs in the child of a Process: its target, whose results go back through a
 * queue as one message: the results and true, or the table of an error object.
 */
#ifndef MF_TARGET_H
#define MF_TARGET_H

#include "state.h"

/* All in the parent's memory as it was at the fork. */
struct mf_target {
    const mf_lua *parent;
    const char *name;
    bool daemon, has_seed;
    int64_t seed;
    const uint8_t *target, *args; /* messages of the codec */
    size_t target_size, args_size;
    uint64_t result; /* handle of the queue */
};

/* mf_start.main; its argument is a struct mf_target. */
int mf__target_main(mf_runtime *rt, void *job);

#endif
