/* target.c - the child of a Process: see target.h. */
#include "target.h"

#include "crash.h"
#include "object.h"
#include "transfer.h"

#include <string.h>

static void decode(lua_State *L, mf_lua *lua, const uint8_t *bytes, size_t size)
{
    int n = mf__decode(L, lua->codec, bytes, size);
    if (n < 0)
        mf__decode_raise(L, lua->codec, n);
}

/* Argument: the job. Gives the target's results, and true. */
static int perform(lua_State *L)
{
    const struct mf_target *job = lua_touserdata(L, 1);
    mf_lua *lua = mf__lua(L);
    lua_settop(L, 0);
    decode(L, lua, job->target, job->target_size);
    decode(L, lua, job->args, job->args_size);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    luaL_checkstack(L, LUA_MINSTACK, "results");
    lua_pushboolean(L, 1);
    return lua_gettop(L);
}

/* Arguments: the results. */
static int encode_results(lua_State *L)
{
    mf_lua *lua = mf__lua(L);
    mf__encode(L, lua->codec, 1, lua_gettop(L), "result", &lua->scratch);
    return 0;
}

/* What cannot be sent is told to whoever asks for it; the process itself has done its work. */
static void build_results(lua_State *L, mf_lua *lua)
{
    lua_pushcfunction(L, encode_results);
    lua_insert(L, 1);
    if (lua_pcall(L, lua_gettop(L) - 1, 0, 0) == LUA_OK)
        return;
    mf__lua_push_error(L, "unsendable", "%s", luaL_tolstring(L, -1, NULL));
    mf__lua_encode_error(L, lua, &lua->scratch);
}

/* Puts the message that stands in the scratch buffer. */
static int put_message(lua_State *L, mf_lua *lua, mf_queue *result)
{
    mf_buffer message = lua->scratch; /* the queue has no bound: nothing waits, nothing raises */
    lua->scratch = (mf_buffer){0};
    int rc = mf__transfer_put_bytes(L, lua, result, message.data, message.used, MF_FOREVER);
    mf__buffer_fini(&lua->scratch);
    message.used = 0;
    lua->scratch = message; /* with its room, for what comes */
    return rc;
}

static void build_error(lua_State *L, mf_lua *lua)
{
    if (!mf__lua_is_error(L, -1)) /* out of memory, say: no handler has run */
        mf__lua_push_error(L, "error", "%s", luaL_tolstring(L, -1, NULL));
    mf__lua_encode_error(L, lua, &lua->scratch);
}

/* Runs protected in the fresh state. */
static int body(lua_State *L)
{
    struct mf_target *job = lua_touserdata(L, 1);
    mf_lua *lua = mf__lua(L);
    mf_queue *result;
    bool wanted = mf__object_hold(lua->rt, job->result, MF_KIND_QUEUE, &result) == 0;
    lua_settop(L, 0);
    lua_pushcfunction(L, mf__lua_handler);
    lua_pushcfunction(L, perform);
    lua_pushlightuserdata(L, job);
    int status = lua_pcall(L, 1, LUA_MULTRET, 1);
    lua_remove(L, 1);
    if (mf__alive(lua->rt) < 0) /* the target has forked, and this is the copy: nobody asks it */
        return status == LUA_OK ? 0 : lua_error(L);
    lua->scratch.used = 0;
    if (status == LUA_OK)
        build_results(L, lua);
    else
        build_error(L, lua);
    MF_CRASH("target.result.encoded");
    if (wanted && put_message(L, lua, result) == MF_ENOMEM) {
        mf__lua_push_error(L, "limit", "the result did not fit into the family's memory");
        mf__lua_encode_error(L, lua, &lua->scratch);
        put_message(L, lua, result);
        lua_pop(L, 1);
    }
    return status == LUA_OK ? 0 : lua_error(L);
}

/* --- as bytes -----------------------------------------------------------------------------------
 */

static uint8_t *append(uint8_t *at, const void *bytes, size_t size)
{
    if (size)
        memcpy(at, bytes, size);
    return at + size;
}

const void *mf__target_pack(lua_State *L, const struct mf_target *job, size_t *ret_size)
{
    *ret_size =
        sizeof *job + job->name_size + job->target_size + job->args_size + job->heritage_size;
    struct mf_target *packed = lua_newuserdatauv(L, *ret_size, 0);
    *packed = *job;
    packed->name = NULL;
    packed->target = packed->args = packed->heritage = NULL;
    uint8_t *at = (uint8_t *)(packed + 1);
    at = append(at, job->name, job->name_size);
    at = append(at, job->target, job->target_size);
    at = append(at, job->args, job->args_size);
    append(at, job->heritage, job->heritage_size);
    return packed;
}

static void unpack(struct mf_target *job)
{
    const uint8_t *at = (const uint8_t *)(job + 1);
    if (job->name)
        return;
    job->name = (const char *)at;
    job->target = at + job->name_size;
    job->args = job->target + job->target_size;
    job->heritage = job->args + job->args_size;
}

int mf__target_main(mf_runtime *rt, void *arg)
{
    struct mf_target *job = arg;
    unpack(job);
    struct mf_lua_child child = {.parent = job->parent,
                                 .heritage = job->heritage,
                                 .heritage_size = job->heritage_size,
                                 .rt = rt,
                                 .name = job->name,
                                 .daemon = job->daemon,
                                 .has_seed = job->has_seed,
                                 .seed = job->seed,
                                 .body = body,
                                 .arg = job};
    return mf__lua_run_child(&child);
}
