/* lua_process_end.c - waiting for a process, ending it, and what it brought. See lua_process.h. */
#include "lua_process.h"

#include "handle.h"
#include "transfer.h"

#include <signal.h>
#include <string.h>

#define GRACE 1.0

/* --- waiting and ending -------------------------------------------------------------------------
 */

/* 0 or MF_ETIMEOUT. A hook that runs meanwhile may close the process, which has ended then. */
static int join(lua_State *L, mf_lua *lua, struct process *s, int64_t deadline)
{
    int64_t until;
    int rc;
    do {
        until = mf__lua_slice(lua, deadline);
        rc = s->p ? mf_process_join(lua->rt, s->p, until) : 0;
    } while (mf__lua_goes_on(L, lua, rc, until, deadline));
    if (rc == 0)
        mf__lua_process_set_running(L, 1, s, false);
    else if (rc == MF_EDEADLOCK)
        mf__lua_raise_deadlock(L, lua);
    else if (rc != MF_ETIMEOUT)
        mf__lua_raise(L, rc, "join");
    return rc;
}

int mf__lua_process_join(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = mf__lua_process_started(L, "join");
    int64_t deadline = mf__lua_deadline(L, 2, NULL);
    lua_pushboolean(L, join(L, lua, s, deadline) == 0);
    return 1;
}

int mf__lua_process_is_alive(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = mf__lua_self(L);
    if (s->closed)
        return luaL_error(L, "is_alive: process '%s' is closed", mf__lua_process_name(L, 1));
    lua_pushboolean(L, s->self || (s->started && !mf__lua_process_has_ended(L, lua, 1, s)));
    return 1;
}

static int send_signal(lua_State *L, const char *what, int signal)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = mf__lua_process_started(L, what);
    if (!mf__lua_process_has_ended(L, lua, 1, s))
        mf_process_signal(s->p, signal);
    return 0;
}

int mf__lua_process_terminate(lua_State *L)
{
    return send_signal(L, "terminate", SIGTERM);
}

int mf__lua_process_kill(lua_State *L)
{
    return send_signal(L, "kill", SIGKILL);
}

static void forget(lua_State *L, mf_lua *lua, struct process *s)
{
    mf_process_free(lua->rt, s->p);
    s->p = NULL;
    s->closed = true;
    for (int i = SPEC; i <= VALUES; i++) {
        if (i == NAME)
            continue;
        lua_pushnil(L);
        lua_setiuservalue(L, 1, i);
    }
}

int mf__lua_process_close(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = mf__lua_self(L);
    if (s->self)
        return luaL_error(L, "close: a process cannot close itself");
    if (s->closed)
        return 0;
    if (s->started && !mf__lua_process_has_ended(L, lua, 1, s))
        return luaL_error(L, "close: process '%s' is still running: join it or end it first",
                          mf__lua_process_name(L, 1));
    forget(L, lua, s);
    return 0;
}

/* The end of a variable's scope: the process is joined, or ended when an error leaves the scope. */
int mf__lua_process_scope(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = mf__lua_self(L);
    if (!s->started || !s->p)
        return 0;
    if (lua_isnoneornil(L, 2)) {
        join(L, lua, s, MF_FOREVER);
    } else {
        mf_process_end(lua->rt, s->p, GRACE);
        mf__lua_process_has_ended(L, lua, 1, s);
    }
    return 0;
}

int mf__lua_process_collect(lua_State *L)
{
    mf_lua *lua = lua_touserdata(L, lua_upvalueindex(1));
    struct process *s = lua_touserdata(L, 1);
    if (s->p && lua->rt && mf__alive(lua->rt) == 0)
        mf_process_free(lua->rt, s->p);
    s->p = NULL;
    return 0;
}

/* --- the outcome --------------------------------------------------------------------------------
 */

static void set_integer(lua_State *L, const char *name, lua_Integer v)
{
    lua_pushinteger(L, v);
    lua_setfield(L, -2, name);
}

/* Pushes the error object of a process that ended without a word. */
static void push_silent_end(lua_State *L, int status)
{
    const char *name = mf__lua_process_name(L, 1);
    if (status == MF_PROCESS_UNKNOWN) {
        mf__lua_push_error(L, "died", "process '%s' ended; somebody else took its exit status",
                           name);
    } else if (status < 0) {
        mf__lua_push_error(L, "died", "process '%s' was killed by signal %d (%s)", name, -status,
                           strsignal(-status));
        set_integer(L, "signal", -status);
    } else {
        mf__lua_push_error(L, "exit", "process '%s' ended with status %d, without a result", name,
                           status);
    }
}

/* The binding and the queue of the results, as light userdata; gives what is in there. */
static int take_result(lua_State *L)
{
    int n = mf__transfer_get(L, lua_touserdata(L, 1), lua_touserdata(L, 2), 0);
    return n < 0 ? 0 : n;
}

/* Pushes what take_result gives, and how many values that is; or, where its modules or hooks fail
 * here, an error object. */
static int push_result(lua_State *L, mf_lua *lua, void *queue)
{
    int before = lua_gettop(L);
    lua_pushcfunction(L, take_result);
    lua_pushlightuserdata(L, lua);
    lua_pushlightuserdata(L, queue);
    int status = lua_pcall(L, 2, LUA_MULTRET, 0);
    if (status == LUA_OK)
        return lua_gettop(L) - before;
    if (mf__codec_no_memory(L, status))
        lua_error(L);
    const char *reason = luaL_tolstring(L, -1, NULL);
    mf__lua_push_error(L, "unsendable", "the result cannot be read here: %s", reason);
    return 1;
}

/* Pushes the queue of the ended process and its outcome: a table. The process is asked first, as
 * finalisers and hooks that run later may close it. */
static void push_outcome(lua_State *L, mf_lua *lua, const struct process *s)
{
    int status = mf_process_status(s->p), pid = mf_process_pid(s->p);
    lua_getiuservalue(L, 1, RESULT);
    const struct mf_handle *h = lua_touserdata(L, -1);
    lua_createtable(L, 1, 1);
    int outcome = lua_gettop(L);
    int n = push_result(L, lua, h->object);
    if (n > 0 && lua_isboolean(L, -1)) {
        lua_pop(L, 1);
        for (int i = n - 1; i > 0; i--)
            lua_rawseti(L, outcome, i);
        lua_settop(L, outcome);
        set_integer(L, "n", n - 1);
        return;
    }
    if (n > 0)
        mf__lua_bless_error(L);
    else
        push_silent_end(L, status);
    set_integer(L, "pid", pid);
    if (status != MF_PROCESS_UNKNOWN)
        set_integer(L, "exitcode", status);
    lua_setfield(L, outcome, "error");
    lua_settop(L, outcome);
}

int mf__lua_process_get(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = mf__lua_process_started(L, "get");
    int64_t deadline = mf__lua_deadline(L, 2, NULL);
    lua_settop(L, 1);
    int rc = join(L, lua, s, deadline);
    mf__lua_process_started(L, "get"); /* it may be closed by now */
    if (rc == MF_ETIMEOUT) {
        int pid = mf_process_pid(s->p);
        mf__lua_push_error(L, "timeout", "process '%s' has not ended in time",
                           mf__lua_process_name(L, 1));
        set_integer(L, "pid", pid);
        return lua_error(L);
    }
    if (lua_getiuservalue(L, 1, OUTCOME) != LUA_TTABLE) {
        lua_pop(L, 1);
        push_outcome(L, lua, s);
        lua_replace(L, 2); /* the queue */
        lua_pushvalue(L, 2);
        lua_setiuservalue(L, 1, OUTCOME);
        lua_pushnil(L);
        lua_setiuservalue(L, 1, RESULT);
    }
    if (lua_getfield(L, 2, "error") != LUA_TNIL)
        return lua_error(L);
    lua_getfield(L, 2, "n");
    int n = (int)lua_tointeger(L, -1);
    luaL_checkstack(L, n, "results");
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, 2, i);
    return n;
}
