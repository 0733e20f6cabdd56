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

struct mf_batch;

/* A job of a batch; its user pointer. */
struct mf_batch_job {
    struct mf_batch *batch;
    mf_job *job; /* NULL once it is settled */
};

/* The jobs of one call on the pool: a full userdata, listed with the core until Lua has taken the
 * outcome. Its user values are the Lua object that it belongs to, the table that the results go to,
 * and the first error object. */
struct mf_batch {
    uint32_t count, pending; /* jobs that were submitted; of these, not settled yet */
    uint32_t chunk;          /* items of a job; the last may have fewer */
    bool single;             /* one call: its errors have no index */
    lua_Integer first, last; /* its items, as they are counted in the results */
    lua_Integer failed;      /* items */
    lua_Integer error_at;    /* the item of the first error object */
    struct mf_batch_job jobs[];
};

/* user values; SENDING: see pool_submit.c */
enum { MF_CORE_CODES = 1, MF_CORE_BATCHES, MF_CORE_SENDING, MF_CORE_VALUES = MF_CORE_SENDING };

/* A full userdata. Jobs that are finished wait in `finished` until Lua polls. */
struct mf_pool_core {
    mf_lua *lua;
    mf_pool *pool; /* NULL after it was freed */
    lua_State *L;  /* who polls now: with processes = 0 tasks run in it */
    mf_job **finished;
    uint32_t finished_first, finished_count, finished_max; /* NULL: dropped */
    struct mf_batch *ready; /* has its outcome, which Lua has not taken yet */
    uint32_t rest;          /* what is pending of the batch that was settled last */
    uint32_t taken;         /* how many outcomes Lua has taken */
    bool settling;          /* values are being decoded: see mf__batch_settle */
    mf_buffer initializer;  /* a message: the function, its arguments; empty for none */
};

/* A number of Lua, 0 or more, for the runtime: one that is larger than any that it counts to is the
 * largest. */
static inline uint32_t mf__pool_number(lua_Integer n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* The core at argument 1; raises when its pool was freed. */
struct mf_pool_core *mf__pool_core(lua_State *L);

/* Pushes the error object that says why the pool is broken. */
void mf__pool_push_broken(lua_State *L, struct mf_pool_core *core);

/* pool_submit.c: methods of the core, and the classes of captured functions and of what is being
 * sent. */
int mf__pool_capture(lua_State *L);
int mf__pool_submit(lua_State *L);
int mf__pool_submit_values(lua_State *L);
void mf__pool_make_sending_classes(lua_State *L);

/* pool_batch.c. Pushes a batch with room for so many jobs; owner and out are indices. */
struct mf_batch *mf__batch_new(lua_State *L, int owner, int out, uint32_t jobs);

/* Lists the batch at the top with the core at an index, for as long as it is under way. */
void mf__batch_list(lua_State *L, int core);

/* Gives its jobs up, none of which is settled, and takes it from the list of the core at 1. */
void mf__batch_give_up(lua_State *L, struct mf_pool_core *core, struct mf_batch *b);

/* The number of the first item of a job. */
lua_Integer mf__batch_first(const struct mf_batch_job *place);

/* A finished job that is not settled, or NULL. */
mf_job *mf__batch_next_finished(struct mf_pool_core *core);

/* Settles finished jobs, of the core at 1, until a batch is ready or none is left. A job whose
 * results cannot be read for want of memory fails, so that it is not in the way of the others; when
 * there is no memory for that either this raises, and may be called again. */
void mf__batch_settle(lua_State *L, struct mf_pool_core *core);

/* Pushes the outcome of the batch that is ready: its owner, how many items failed, the first error
 * object, and the numbers of its first and last item; gives 5. */
int mf__batch_push_ready(lua_State *L, const struct mf_pool_core *core);

/* Methods of the core. */
int mf__batch_drop(lua_State *L);
int mf__batch_cancel(lua_State *L);
int mf__batch_cancel_of(lua_State *L);

/* pool_result.c: sets the results of a finished job, or error objects, in the table at `out`. Gives
 * how many items failed, and pushes the first error object of them, or nil. */
lua_Integer mf__pool_take(lua_State *L, struct mf_pool_core *core, const struct mf_batch_job *place,
                          int out);

/* The hooks of mf_pool_hooks that run in a worker. arg is the core, as it was at the fork. */
int mf__pool_worker_main(mf_runtime *rt, mf_pool *pool, void *arg);

/* What mf__pool_worker_main gets, for mf_pool_options.data; of the core its lua and initializer. */
void mf__pool_worker_pack(lua_State *L, const struct mf_pool_core *core, bool by_zygote,
                          mf_buffer *b);
void mf__pool_run(void *arg, struct mf_task *t);

#endif
