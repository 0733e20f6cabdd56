/* lua_process_start.c - mp.Process, mp.spawn: from options to a child. What runs in the child is in
 * target.c. See lua_process.h. */
#include "lua_process.h"

#include "handle.h"
#include "start_method.h"
#include "target.h"
#include "transfer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MOST 1000000 /* arguments, or descriptors, of one start */

/* --- making one ---------------------------------------------------------------------------------
 */

static void push_default_name(lua_State *L, mf_lua *lua)
{
    lua->named++;
    if (lua->child)
        lua_pushfstring(L, "%s:%d", lua->name, (int)lua->named);
    else
        lua_pushfstring(L, "Process-%d", (int)lua->named);
}

/* Pushes a new process object with the metatable at `class`. */
static void check_target(lua_State *L, int idx, int arg, const char *name)
{
    if (lua_isfunction(L, idx))
        return;
    if (luaL_getmetafield(L, idx, "__call") != LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    lua_pushfstring(L, "%sfunction expected, got %s", name, luaL_typename(L, idx));
    luaL_argerror(L, arg, lua_tostring(L, -1));
}

static void check_args(lua_State *L, int idx, int arg, const char *name)
{
    if (lua_istable(L, idx) || lua_isnil(L, idx))
        return;
    lua_pushfstring(L, "%stable of arguments expected, got %s: write { ... } around them", name,
                    luaL_typename(L, idx));
    luaL_argerror(L, arg, lua_tostring(L, -1));
}

/* Checks the type of field `name` of the options at `idx` (nil is fine) and leaves it pushed. */
static int get_option(lua_State *L, int idx, int arg, const char *name, int type)
{
    int got = lua_getfield(L, idx, name);
    if (got == LUA_TNIL || got == type)
        return got;
    lua_pushfstring(L, "%s: %s expected, got %s", name, lua_typename(L, type),
                    lua_typename(L, got));
    return luaL_argerror(L, arg, lua_tostring(L, -1));
}

/* Makes a process of the options at `spec`, a table that is its own from now on. */
static struct process *make_process(lua_State *L, mf_lua *lua, int spec, int arg, int class)
{
    struct process *s = mf__lua_process_push(L, class);
    int self = lua_gettop(L);
    if (get_option(L, spec, arg, "name", LUA_TSTRING) == LUA_TNIL) {
        lua_pop(L, 1);
        push_default_name(L, lua);
    }
    if (strlen(lua_tostring(L, -1)) != lua_rawlen(L, -1))
        luaL_argerror(L, arg, "name: a string without a zero byte expected");
    lua_setiuservalue(L, self, NAME);
    get_option(L, spec, arg, "daemon", LUA_TBOOLEAN);
    s->daemon = lua_toboolean(L, -1);
    get_option(L, spec, arg, "stdin", LUA_TBOOLEAN);
    get_option(L, spec, arg, "keep_fds", LUA_TTABLE);
    lua_getfield(L, spec, "start");
    mf__lua_check_start_method(L, -1, arg, "start: ");
    lua_pop(L, 1);
    if (get_option(L, spec, arg, "seed", LUA_TNUMBER) != LUA_TNIL && !lua_isinteger(L, -1))
        luaL_argerror(L, arg, "seed: a whole number expected");
    lua_pop(L, 4);
    lua_pushvalue(L, spec);
    lua_setiuservalue(L, self, SPEC);
    return s;
}

/* Process(target, args, options): as one table of options. */
static void positional(lua_State *L)
{
    check_target(L, 1, 1, "target: ");
    lua_settop(L, 3);
    check_args(L, 2, 2, "args: ");
    if (!lua_isnil(L, 3))
        luaL_checktype(L, 3, LUA_TTABLE);
    else {
        lua_newtable(L);
        lua_replace(L, 3);
    }
}

static void copy_table(lua_State *L, int from)
{
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
}

int mf__lua_process_construct(lua_State *L)
{
    static const char *const options[] = {"target",   "args", "name",  "daemon", "stdin",
                                          "keep_fds", "seed", "start", NULL};
    mf_lua *lua = mf__lua_upvalue(L);
    bool keyword = lua_istable(L, 1) && lua_gettop(L) == 1;
    if (!keyword)
        positional(L);
    int arg = keyword ? 1 : 3;
    mf__lua_check_options(L, arg, options);
    copy_table(L, arg);
    int spec = lua_gettop(L);
    for (int i = 1; !keyword && i <= 2; i++) {
        lua_pushvalue(L, i);
        lua_setfield(L, spec, options[i - 1]);
    }
    lua_getfield(L, spec, "target");
    check_target(L, -1, 1, "target: ");
    lua_getfield(L, spec, "args");
    check_args(L, -1, arg, "args: ");
    make_process(L, lua, spec, arg, lua_upvalueindex(2));
    return 1;
}

/* --- start --------------------------------------------------------------------------------------
 */

/* Pushes the arguments of a call: their number. */
static int push_arguments(lua_State *L, int spec)
{
    if (lua_getfield(L, spec, "args") == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    int args = lua_gettop(L);
    lua_Integer n = luaL_len(L, args);
    if (lua_getfield(L, args, "n") == LUA_TNUMBER)
        n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (n < 0 || n > MOST)
        luaL_error(L, "args: too many of them");
    luaL_checkstack(L, (int)n + LUA_MINSTACK, "args");
    for (lua_Integer i = 1; i <= n; i++)
        lua_geti(L, args, i);
    lua_remove(L, args);
    return (int)n;
}

/* The descriptor at the top. */
static int to_fd(lua_State *L)
{
    if (!lua_isinteger(L, -1))
        luaL_error(L, "keep_fds: a list of descriptors (whole numbers) expected");
    lua_Integer fd = lua_tointeger(L, -1);
    if (fd < 0 || fd > INT_MAX)
        luaL_error(L, "keep_fds: %I is no descriptor", (LUAI_UACINT)fd);
    return (int)fd;
}

/* Descriptors to be left open; pushes the memory they are in. */
static const int *push_fds(lua_State *L, int spec, size_t *ret_n)
{
    *ret_n = 0;
    if (lua_getfield(L, spec, "keep_fds") == LUA_TNIL)
        return NULL;
    lua_Integer n = luaL_len(L, -1);
    if (n < 0 || n > MOST)
        luaL_error(L, "keep_fds: at most %d descriptors expected, got %I", MOST, (LUAI_UACINT)n);
    int *fds = lua_newuserdatauv(L, (size_t)n * sizeof *fds + 1, 0);
    for (lua_Integer i = 0; i < n; i++) {
        lua_geti(L, -2, i + 1);
        fds[i] = to_fd(L);
        lua_pop(L, 1);
    }
    *ret_n = (size_t)n;
    return fds;
}

/* Pushes memory with the handles that the child is to hold. */
static const uint64_t *push_handles(lua_State *L, const struct mf_target *job, uint32_t *ret_n)
{
    uint32_t n = mf__message_handles(job->target, job->target_size, NULL, 0);
    uint32_t more = mf__message_handles(job->args, job->args_size, NULL, 0);
    uint64_t *handles = lua_newuserdatauv(L, (n + more + 1) * sizeof *handles, 0);
    mf__message_handles(job->target, job->target_size, handles, n);
    mf__message_handles(job->args, job->args_size, handles + n, more);
    handles[n + more] = job->result;
    *ret_n = n + more + 1;
    return handles;
}

/* Pushes a new queue for the results. */
static struct mf_handle *push_result_queue(lua_State *L, mf_lua *lua)
{
    mf_queue *q;
    int rc = mf_queue_new(lua->rt, 0, &q);
    if (rc < 0)
        mf__lua_raise(L, rc, "cannot start a process");
    mf__object_label(q, "Outcome");
    mf__handle_push(L, lua, q);
    return lua_touserdata(L, -1);
}

/* A child of the zygote gets the job as bytes; they are pushed. */
static void pack(lua_State *L, mf_lua *lua, struct mf_target *job, struct mf_start *how)
{
    lua->scratch.used = 0;
    mf__lua_add_heritage(L, lua, &lua->scratch);
    job->heritage = lua->scratch.data;
    job->heritage_size = lua->scratch.used;
    how->data = mf__target_pack(L, job, &how->data_size);
}

static int cannot_start(lua_State *L, int rc, int error)
{
    return luaL_error(L, "cannot start a process: %s",
                      rc == MF_ELIMIT ? "too many processes in this family"
                                      : mf__lua_error_text(rc, error));
}

/* Starts the process at 1. The stack above it is free to use. */
static void start(lua_State *L, mf_lua *lua, struct process *s)
{
    struct mf_function target;
    struct mf_target job = {.parent = lua, .daemon = s->daemon};
    struct mf_start how = {.main = mf__target_main, .arg = &job, .daemon = s->daemon};
    luaL_checkstack(L, 20, NULL);
    lua_getiuservalue(L, 1, SPEC);
    int spec = lua_gettop(L);
    lua_getiuservalue(L, 1, NAME); /* it stays: the process may get another one below */
    how.name = job.name = lua_tostring(L, -1);
    job.name_size = strlen(job.name) + 1;
    lua_getfield(L, spec, "start");
    how.by_zygote = mf__lua_start_method(L, lua, -1);
    how.keep_fds = push_fds(L, spec, &how.keep_fd_count);
    lua_getfield(L, spec, "stdin");
    how.keep_stdin = lua_toboolean(L, -1);
    job.has_seed = lua_getfield(L, spec, "seed") == LUA_TNUMBER;
    job.seed = lua_tointeger(L, -1);
    struct mf_handle *result = push_result_queue(L, lua);
    int queue = lua_gettop(L);
    job.result = result->handle;
    mf__lua_prepare(L, lua);
    int n = push_arguments(L, spec);
    lua->scratch.used = 0;
    mf__encode(L, lua->codec, lua_gettop(L) - n + 1, n, "args", &lua->scratch);
    job.args_size = lua->scratch.used;
    job.args = (const uint8_t *)lua_pushlstring(L, (const char *)lua->scratch.data, job.args_size);
    lua_getfield(L, spec, "target");
    mf__function_capture(L, lua->codec, lua_gettop(L), "target", &target);
    job.target = target.bytes;
    job.target_size = target.size;
    how.handles = push_handles(L, &job, &how.handle_count);
    how.by_zygote = how.by_zygote && mf__lua_zygote_fits(lua);
    if (how.by_zygote)
        pack(L, lua, &job, &how);
    if (s->started || s->closed) /* by a metamethod that was called above */
        luaL_error(L, "process '%s' was started or closed while it was started", job.name);
    mf__lua_process_set_running(L, 1, s, true); /* before: it may raise */
    int rc = mf_process_start(lua->rt, &how, &s->p);
    int error = errno;
    if (rc < 0) {
        mf__lua_process_set_running(L, 1, s, false);
        cannot_start(L, rc, error);
    }
    s->started = true;
    lua_pushvalue(L, queue);
    lua_setiuservalue(L, 1, RESULT);
    lua_pushnil(L);
    lua_setiuservalue(L, 1, SPEC);
    lua_settop(L, 1);
}

static void start_checked(lua_State *L, mf_lua *lua, struct process *s)
{
    if (lua->left)
        luaL_error(L, "cannot start a process: the script has ended");
    mf__lua_process_sweep(L, lua);
    start(L, lua, s);
}

int mf__lua_process_start(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = mf__lua_self(L);
    lua_settop(L, 1);
    if (s->closed)
        return luaL_error(L, "start: process '%s' is closed", mf__lua_process_name(L, 1));
    if (s->started || s->self)
        return luaL_error(L, "cannot start process '%s' twice", mf__lua_process_name(L, 1));
    start_checked(L, lua, s);
    return 1;
}

int mf__lua_process_spawn(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    int n = lua_gettop(L);
    check_target(L, 1, 1, "");
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "target");
    lua_createtable(L, n - 1, 1);
    for (int i = 2; i <= n; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, i - 1);
    }
    lua_pushinteger(L, n - 1);
    lua_setfield(L, -2, "n");
    lua_setfield(L, -2, "args");
    struct process *s = make_process(L, lua, lua_gettop(L), 1, lua_upvalueindex(2));
    lua_replace(L, 1);
    lua_settop(L, 1);
    start_checked(L, lua, s);
    return 1;
}
