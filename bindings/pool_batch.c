/*
 * pool_batch.c - the jobs of one call on a pool: listed when they are submitted, settled when they
 * have finished: see pool_core.h.
 *
 * Settling hands a job's results to the batch's table. Memory may run out anywhere in it: what
 * counts is changed last, and what was done before may be done again.
 */
#include "pool_core.h"

#include <stdint.h>

enum { OWNER = 1, OUT, ERROR, VALUES = ERROR }; /* user values */
enum { ERROR_AT = 2, BATCH_AT, OUT_AT };        /* where things are on settle's stack */

/* --- making and finding -------------------------------------------------------------------------
 */

struct mf_batch *mf__batch_new(lua_State *L, int owner, int out, uint32_t jobs)
{
    size_t size = sizeof(struct mf_batch) + jobs * sizeof(struct mf_batch_job);
    struct mf_batch *b = lua_newuserdatauv(L, size, VALUES);
    *b = (struct mf_batch){.error_at = LUA_MAXINTEGER};
    lua_pushvalue(L, owner);
    lua_setiuservalue(L, -2, OWNER);
    lua_pushvalue(L, out);
    lua_setiuservalue(L, -2, OUT);
    return b;
}

/* Pushes the core's table of the batches that are under way: by their addresses, so that nobody
 * else keeps them. */
static void push_batches(lua_State *L, int core)
{
    lua_getiuservalue(L, core, MF_CORE_BATCHES);
}

void mf__batch_list(lua_State *L, int core)
{
    push_batches(L, core);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, lua_touserdata(L, -1));
    lua_pop(L, 1);
}

static void unlist(lua_State *L, int core, const struct mf_batch *b)
{
    push_batches(L, core);
    lua_pushnil(L);
    lua_rawsetp(L, -2, b);
    lua_pop(L, 1);
}

static void push_batch(lua_State *L, int core, const struct mf_batch *b)
{
    push_batches(L, core);
    lua_rawgetp(L, -1, b);
    lua_remove(L, -2);
}

/* Takes a job out of the list of the finished. */
static void unfinish(struct mf_pool_core *core, const mf_job *job)
{
    for (uint32_t i = core->finished_first; i < core->finished_count; i++)
        if (core->finished[i] == job)
            core->finished[i] = NULL;
}

void mf__batch_give_up(lua_State *L, struct mf_pool_core *core, struct mf_batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        unfinish(core, b->jobs[i].job);
        mf_job_free(core->pool, b->jobs[i].job);
        b->jobs[i].job = NULL;
    }
    unlist(L, 1, b);
}

/* --- settling -----------------------------------------------------------------------------------
 */

mf_job *mf__batch_next_finished(struct mf_pool_core *core)
{
    for (; core->finished_first < core->finished_count; core->finished_first++)
        if (core->finished[core->finished_first])
            return core->finished[core->finished_first];
    core->finished_first = core->finished_count = 0;
    return NULL;
}

lua_Integer mf__batch_first(const struct mf_batch_job *place)
{
    const struct mf_batch *b = place->batch;
    return b->first + (lua_Integer)(place - b->jobs) * b->chunk;
}

/* Pushes why a job has no results of its own: an error object. */
static void push_reason(lua_State *L, struct mf_pool_core *core, const mf_job *job)
{
    switch (mf_job_state(job)) {
    case MF_JOB_CANCELLED:
        mf__lua_push_error(
            L, "cancelled", "%s",
            atomic_load(&mf_job_task(job)->begun) == 0 ? "the task was cancelled before it was run"
            : mf_job_count(job) == 1 ? "the pool was terminated while the task ran"
                                     : "the pool was terminated while the task, or another of its "
                                       "chunk, ran");
        break;
    case MF_JOB_NOMEM:
        mf__lua_push_error(L, "limit", "there is not enough memory to go on with the task");
        break;
    default: mf__pool_push_broken(L, core);
    }
}

/* A copy of the error object at idx, for item i. */
static void push_copy(lua_State *L, int idx, lua_Integer i)
{
    static const char *const fields[] = {"kind", "message", "traceback", "pid"};
    mf__lua_push_error(L, "", "");
    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
        lua_getfield(L, idx, fields[k]);
        lua_setfield(L, -2, fields[k]);
    }
    if (i) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, "index");
    }
}

/* Fails all items of the job, each with a copy of the error object at the top; replaces that by the
 * first of them, and gives how many they are. */
static lua_Integer lose(lua_State *L, const struct mf_batch_job *place, int out)
{
    lua_Integer first = mf__batch_first(place), count = mf_job_count(place->job);
    int reason = lua_gettop(L);
    for (lua_Integer i = first + count - 1; i >= first; i--) {
        push_copy(L, reason, place->batch->single ? 0 : i);
        if (i == first) {
            lua_pushvalue(L, -1);
            lua_replace(L, reason);
        }
        lua_rawseti(L, out, i);
    }
    return count;
}

/* Settles a job: its results go into the batch's table, at OUT_AT; gives how many items have
 * failed, with the error object of the first on the stack. */
static lua_Integer settle_job(lua_State *L, struct mf_pool_core *core, struct mf_batch_job *place)
{
    if (!lua_isnil(L, ERROR_AT))
        lua_pushvalue(L, ERROR_AT);
    else if (mf_job_state(place->job) == MF_JOB_FINISHED)
        return mf__pool_take(L, core, place, OUT_AT);
    else
        push_reason(L, core, place->job);
    return lose(L, place, OUT_AT);
}

/* Counts what was settled. Raises nothing. */
static void count_job(lua_State *L, struct mf_pool_core *core, struct mf_batch_job *place,
                      lua_Integer failed)
{
    struct mf_batch *b = place->batch;
    lua_Integer first = mf__batch_first(place);
    if (failed > 0 && first < b->error_at) {
        lua_setiuservalue(L, BATCH_AT, ERROR);
        b->error_at = first;
    }
    b->failed += failed;
    mf_job_free(core->pool, place->job);
    place->job = NULL;
    core->finished_first++;
    core->rest = --b->pending;
    if (b->pending == 0)
        core->ready = b;
}

/* Settles finished jobs until a batch is ready, or none is left. Arguments: the core; an error
 * object for the first of them, in place of what it has, or nil. */
static int settle(lua_State *L)
{
    struct mf_pool_core *core = lua_touserdata(L, 1);
    const mf_job *job;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    while (!core->ready && (job = mf__batch_next_finished(core))) {
        struct mf_batch_job *place = mf_job_user(job);
        push_batch(L, 1, place->batch);
        lua_getiuservalue(L, BATCH_AT, OUT);
        count_job(L, core, place, settle_job(L, core, place));
        lua_settop(L, 1);
        lua_pushnil(L);
    }
    return 0;
}

/* Calls settle with the core at 1 and what is at the top instead of the first job's results. */
static int call_settle(lua_State *L, struct mf_pool_core *core)
{
    lua_pushcfunction(L, settle);
    lua_pushvalue(L, 1);
    lua_rotate(L, -3, 2);
    core->settling = true;
    int status = lua_pcall(L, 2, 0, 0);
    core->settling = false;
    return status;
}

/* Decoding may run Lua code, which is not to settle the job that is being settled. */
void mf__batch_settle(lua_State *L, struct mf_pool_core *core)
{
    if (core->settling)
        luaL_error(L, "a result of the pool is being read: the code that does so cannot wait for "
                      "another");
    while (!core->ready && mf__batch_next_finished(core)) {
        lua_pushnil(L);
        int status = call_settle(L, core);
        if (status == LUA_OK)
            continue;
        if (!mf__codec_no_memory(L, status))
            lua_error(L); /* a signal's hook, which is for the caller; the job waits */
        const char *text = luaL_tolstring(L, -1, NULL);
        mf__lua_push_error(L, "limit", "the result cannot be read: %s", text);
        if (call_settle(L, core) != LUA_OK)
            lua_error(L);
        lua_pop(L, 2);
    }
}

/* --- what Lua calls -----------------------------------------------------------------------------
 */

int mf__batch_push_ready(lua_State *L, const struct mf_pool_core *core)
{
    const struct mf_batch *b = core->ready;
    push_batch(L, 1, b);
    int at = lua_gettop(L);
    lua_getiuservalue(L, at, OWNER);
    lua_pushinteger(L, b->failed);
    lua_getiuservalue(L, at, ERROR);
    lua_pushinteger(L, b->first);
    lua_pushinteger(L, b->last);
    return 5;
}

/* core:drop(): what core:poll gave last was taken. */
int mf__batch_drop(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    if (core->ready) {
        unlist(L, 1, core->ready);
        core->taken++;
    }
    core->ready = NULL;
    return 0;
}

/* core:cancel(batch) -> is anything of it not settled; is all that of it cancelled. */
int mf__batch_cancel(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    struct mf_batch *b = lua_touserdata(L, 2);
    bool all = true;
    for (uint32_t i = 0; i < b->count; i++)
        if (b->jobs[i].job)
            all = mf_job_cancel(core->pool, b->jobs[i].job) && all;
    lua_pushboolean(L, b->pending > 0);
    lua_pushboolean(L, all);
    return 2;
}

/* core:cancel_of(owner): all of its batches. */
int mf__batch_cancel_of(lua_State *L)
{
    lua_settop(L, 2);
    push_batches(L, 1);
    for (lua_pushnil(L); lua_next(L, 3); lua_settop(L, 4)) {
        lua_getiuservalue(L, 5, OWNER);
        if (!lua_rawequal(L, 6, 2))
            continue;
        lua_pushcfunction(L, mf__batch_cancel);
        lua_pushvalue(L, 1);
        lua_pushvalue(L, 5);
        lua_call(L, 2, 0);
    }
    return 0;
}
