/*
 * target.h - what runs in the child of a Process: its target, whose results go back through a
 * queue as one message: the results and true, or the table of an error object.
 */
#ifndef MF_TARGET_H
#define MF_TARGET_H

#include "state.h"

/* In the creator's memory, or in bytes that were made of it for a child of the zygote: then what
 * the pointers led to stands behind it, in their order, and they are NULL. */
struct mf_target {
    const mf_lua *parent;
    bool daemon, has_seed;
    int64_t seed;
    uint64_t result; /* handle of the queue */
    const char *name;
    const uint8_t *target, *args, *heritage; /* messages of the codec */
    size_t name_size, target_size, args_size, heritage_size;
};

/* Pushes those bytes. */
const void *mf__target_pack(lua_State *L, const struct mf_target *job, size_t *ret_size);

/* mf_start.main; its argument is a struct mf_target. */
int mf__target_main(mf_runtime *rt, void *job);

#endif
