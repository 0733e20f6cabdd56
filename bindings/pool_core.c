/* pool_core.c - the creator's side of a Pool for Lua: making, polling, ending: see
 * pool_core.h. */
#include "module.h"
#include "pool_core.h"
#include "start_method.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CORE "moonfork.PoolCore"

static const char core_mark;
#define GRACE 0.2

struct mf_pool_core *mf__pool_core(lua_State *L)
{
    struct mf_pool_core *core = mf__lua_marked(L, 1, &core_mark);
    if (!core)
        luaL_typeerror(L, 1, CORE);
    if (!core->pool || !core->lua->rt)
        luaL_error(L, "the pool is gone: it was terminated, or its state has left the family");
    if (mf__alive(core->lua->rt) < 0)
        mf__lua_unusable(L, core->lua);
    if (core->lua->left) /* its workers were ended, and nobody replaces them */
        mf_pool_terminate(core->pool, 0);
    core->L = L;
    return core;
}

/* --- birth and end ------------------------------------------------------------------------------
 */

/* Room for all jobs is made at submit, so that this cannot fail. */
static void on_finish(mf_pool *pool, mf_job *job, void *arg)
{
    struct mf_pool_core *core = arg;
    (void)pool;
    core->finished[core->finished_count++] = job;
}

static uint32_t field_number(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    uint32_t n = mf__pool_number(lua_tointeger(L, -1));
    lua_pop(L, 1);
    return n;
}

static void push_weak_table(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

/* core.new{ processes, max_tasks, name, initializer (function and arguments, in a list) }: the
 * fields were checked in Lua. Gives a core, or nil, message, code. */
static int core_new(lua_State *L)
{
    mf_lua *lua = mf__lua(L);
    if (lua->left)
        return luaL_error(L, "cannot make a pool: the script has ended");
    struct mf_pool_core *core = lua_newuserdatauv(L, sizeof *core, MF_CORE_VALUES);
    memset(core, 0, sizeof *core);
    core->lua = lua;
    core->L = L;
    luaL_setmetatable(L, CORE);
    int self = lua_gettop(L);
    lua_getfield(L, 1, "initializer");
    if (!lua_isnil(L, -1)) {
        lua_Integer n = luaL_len(L, -1);
        int list = lua_gettop(L);
        luaL_checkstack(L, (int)n + 2, "initargs");
        for (lua_Integer i = 1; i <= n; i++)
            lua_geti(L, list, i);
        mf__encode(L, lua->codec, list + 1, (int)n, "initializer", &core->initializer);
    }
    lua_settop(L, self);
    push_weak_table(L); /* function -> code */
    lua_setiuservalue(L, self, MF_CORE_CODES);
    lua_newtable(L);
    lua_setiuservalue(L, self, MF_CORE_BATCHES);
    lua_getfield(L, 1, "name");
    uint64_t handles[MF_POOL_HANDLES];
    uint32_t n = 0;
    if (core->initializer.used)
        n = mf__message_handles(core->initializer.data, core->initializer.used, handles,
                                MF_POOL_HANDLES);
    mf__lua_prepare(L, lua);
    lua_getfield(L, 1, "start");
    bool by_zygote = mf__lua_start_method(L, lua, -1) && mf__lua_zygote_fits(lua);
    lua_pop(L, 1);
    mf__pool_worker_pack(L, core, by_zygote, &lua->scratch);
    const struct mf_pool_options options = {.processes = field_number(L, "processes"),
                                            .max_tasks_per_child = field_number(L, "max_tasks"),
                                            .name = lua_tostring(L, -1),
                                            .handles = handles,
                                            .handle_count = n,
                                            .by_zygote = by_zygote,
                                            .data = lua->scratch.data,
                                            .data_size = lua->scratch.used,
                                            .hooks = {.worker_main = mf__pool_worker_main,
                                                      .run = mf__pool_run,
                                                      .on_finish = on_finish,
                                                      .arg = core}};
    int rc = mf_pool_new(lua->rt, &options, &core->pool), error = errno;
    if (rc < 0) {
        lua_pushnil(L);
        lua_pushstring(L, mf__lua_error_text(rc, error));
        lua_pushstring(L, mf_error_name(rc));
        return 3;
    }
    lua_settop(L, self);
    return 1;
}

static int core_gc(lua_State *L)
{
    struct mf_pool_core *core = luaL_checkudata(L, 1, CORE);
    if (core->lua->rt && core->pool)
        mf_pool_free(core->pool);
    core->pool = NULL;
    free(core->finished);
    core->finished = NULL;
    mf__buffer_fini(&core->initializer);
    return 0;
}

/* --- polling ------------------------------------------------------------------------------------
 */

/* core:poll(timeout) -> the owner of a batch that is ready (the same until core:drop), how many of
 * its items failed, the first error object, and the numbers of its items, first and last; or nil,
 * message, code: "timeout", "empty" when nothing is pending, or "interrupted" when code that ran
 * meanwhile (a hook, a task of a pool without processes) has taken another. timeout nil: for ever.
 */
static int core_poll(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    int64_t deadline = mf__lua_deadline(L, 2, NULL), until;
    uint32_t taken = core->taken;
    int rc = 0;
    bool again;
    do {
        core->rest = 0;
        mf__batch_settle(L, core);
        if (core->ready)
            return mf__batch_push_ready(L, core);
        if (core->taken != taken)
            return mf__lua_fail(L, MF_EINTR);
        until = mf__lua_slice(core->lua, deadline);
        /* Whoever was woken for a part of a batch, and has nothing else to come, is not woken again
         * for each of the other parts. */
        rc = mf_pool_collect(core->pool, core->rest == mf_pool_pending(core->pool), until);
        /* News that finish nothing (a worker was replaced, say) end a slice, not the wait. */
        bool none = rc == 0 && !mf__batch_next_finished(core);
        again = mf__lua_goes_on(L, core->lua, none ? MF_ETIMEOUT : rc, none ? 0 : until, deadline);
        if (rc == MF_ECLOSED && !mf__batch_next_finished(core))
            return mf__lua_fail(L, MF_EEMPTY);
        if (rc == MF_ECORRUPT)
            return mf__lua_raise(L, rc, "cannot read what the workers say");
    } while (again || rc >= 0 || rc == MF_ECLOSED);
    return mf__lua_fail(L, rc == MF_EEMPTY ? MF_ETIMEOUT : rc);
}

/* --- ending and looking -------------------------------------------------------------------------
 */

static int core_close(lua_State *L)
{
    mf_pool_close(mf__pool_core(L)->pool);
    return 0;
}

static int core_terminate(lua_State *L)
{
    mf_pool_terminate(mf__pool_core(L)->pool, GRACE);
    return 0;
}

/* core:join(timeout) -> true, or nil, message, code. */
static int core_join(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    int64_t deadline = mf__lua_deadline(L, 2, NULL), until;
    int rc;
    do {
        until = mf__lua_slice(core->lua, deadline);
        rc = mf_pool_join(core->pool, until);
    } while (mf__lua_goes_on(L, core->lua, rc, until, deadline));
    if (rc == MF_EDEADLOCK)
        mf__lua_raise_deadlock(L, core->lua);
    if (rc < 0)
        return mf__lua_fail(L, rc);
    lua_pushboolean(L, 1);
    return 1;
}

struct pid_list {
    lua_State *L;
    lua_Integer n;
};

static void add_pid(int pid, void *arg)
{
    struct pid_list *list = arg;
    lua_pushinteger(list->L, pid);
    lua_rawseti(list->L, -2, ++list->n);
}

/* core:pids() -> list of the workers' pids. */
static int core_pids(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    struct pid_list list = {.L = L};
    lua_newtable(L);
    mf_pool_each(core->pool, add_pid, &list);
    return 1;
}

void mf__pool_push_broken(lua_State *L, struct mf_pool_core *core)
{
    size_t size;
    int status, error, refused = mf_pool_refused(core->pool, &error);
    const void *bytes = mf_pool_broken(core->pool, &size, &status);
    if (refused < 0)
        mf__lua_push_error(L, "broken", "no worker can be started: %s",
                           mf__lua_error_text(refused, error));
    else if (bytes && mf__decode(L, core->lua->codec, bytes, size) == 1)
        mf__lua_bless_error(L);
    else if (status == MF_PROCESS_UNKNOWN)
        mf__lua_push_error(L, "broken", "the pool's workers end before they are ready");
    else
        mf__lua_push_error(L, "broken", "the pool's workers end before they are ready (%s %d)",
                           status < 0 ? "signal" : "exit status", status < 0 ? -status : status);
}

/* core:state() -> "open" "closed" "broken" "terminated", jobs pending; for a broken one also an
 * error object that says why. */
static int core_state(lua_State *L)
{
    static const char *const names[] = {"open", "closed", "broken", "terminated"};
    struct mf_pool_core *core = mf__pool_core(L);
    lua_pushstring(L, names[mf_pool_state(core->pool)]);
    lua_pushinteger(L, mf_pool_pending(core->pool));
    if (mf_pool_state(core->pool) != MF_POOL_BROKEN)
        return 2;
    mf__pool_push_broken(L, core);
    return 3;
}

static const luaL_Reg core_methods[] = {{"capture", mf__pool_capture},
                                        {"submit", mf__pool_submit},
                                        {"submit_values", mf__pool_submit_values},
                                        {"poll", core_poll},
                                        {"drop", mf__batch_drop},
                                        {"cancel", mf__batch_cancel},
                                        {"cancel_of", mf__batch_cancel_of},
                                        {"close", core_close},
                                        {"terminate", core_terminate},
                                        {"join", core_join},
                                        {"pids", core_pids},
                                        {"state", core_state},
                                        {NULL, NULL}};

/* error(kind, message) -> an error object. */
static int new_error(lua_State *L)
{
    mf__lua_push_error(L, luaL_checkstring(L, 1), "%s", luaL_checkstring(L, 2));
    return 1;
}

static void push_core(lua_State *L)
{
    mf__pool_make_sending_classes(L);
    luaL_newmetatable(L, CORE);
    luaL_newlib(L, core_methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, core_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &core_mark);
    lua_pop(L, 1);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, core_new);
    lua_setfield(L, -2, "new");
    lua_pushinteger(L, MF_POOL_PROCESSES);
    lua_setfield(L, -2, "most_processes");
}

static void call_part(lua_State *L, const char *name, int module)
{
    mf__embedded_load(L, name);
    lua_pushvalue(L, module);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 0);
}

/* The Lua parts, which set the module's Pool, map and iter. Stack: the module. */
static int read_parts(lua_State *L)
{
    lua_settop(L, 1);
    lua_newtable(L); /* internals: what the parts share */
    push_core(L);
    lua_setfield(L, -2, "core");
    lua_pushcfunction(L, new_error);
    lua_setfield(L, -2, "error");
    call_part(L, "moonfork.common", 1);
    call_part(L, "moonfork.items", 1);
    call_part(L, "moonfork.result", 1);
    call_part(L, "moonfork.imap", 1);
    call_part(L, "moonfork.pool", 1);
    return 0;
}

void mf__open_pool(lua_State *L)
{
    int module = lua_gettop(L);
    lua_pushcfunction(L, read_parts);
    call_part(L, "moonfork.lazy", module);
    lua_settop(L, module);
}
