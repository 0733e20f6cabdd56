/*
 * pool_core.h - what the files of the pool binding share: the core object behind a Lua Pool.
 *
 * pool_core.c is the creator's side (make, poll, close), pool_submit.c sends, pool_result.c reads
 * what came out, pool_worker.c runs tasks. What reads better in Lua (argument forms, Result,
 * iterators) stands in moonfork/pool.lua.
 */
#ifndef MF_POOL_CORE_H
#define MF_POOL_CORE_H

#include "pool.h"
#include "state.h"
#include "stream.h"

/* A full userdata. Jobs that are finished wait in `finished` until Lua polls them. */
struct mf_pool_core {
    mf_lua *lua;
    mf_pool *pool; /* NULL after it was freed */
    lua_State *L;  /* who polls now: with processes = 0 tasks run in it */
    mf_job **finished;
    uint32_t finished_first, finished_count, finished_max; /* NULL: dropped */
    mf_buffer items;                                       /* the input of a task is built here */
    char path[32];                                         /* of the item that is being written */
    mf_buffer initializer; /* a message: the function, its arguments; empty for none */
    uint64_t *handles;     /* that items mention */
    uint32_t handle_count, handle_max;
};

/* The core at argument 1; raises when its pool was freed. */
struct mf_pool_core *mf__pool_core(lua_State *L);

/* pool_submit.c: methods of the core, and the class of captured functions. */
int mf__pool_capture(lua_State *L);
int mf__pool_submit(lua_State *L);
int mf__pool_submit_values(lua_State *L);
int mf__pool_release(lua_State *L);
int mf__pool_is_plain(lua_State *L);
void mf__pool_make_code_class(lua_State *L);

/* core:take(job, out, first) -> number of failed items, first error object; or nil, state. See
 * pool_result.c. */
int mf__pool_take(lua_State *L);

/* core:take_values(job) -> true, the values; or false, an error object; or nil, state. */
int mf__pool_take_values(lua_State *L);

/* The hooks of mf_pool_hooks that run in a worker. arg is the core, as it was at the fork. */
int mf__pool_worker_main(mf_runtime *rt, mf_pool *pool, void *arg);
void mf__pool_run(void *arg, struct mf_task *t);

#endif
