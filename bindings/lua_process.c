/*
 * lua_process.c - the Process object of Lua: its fields, its class, the children that run. See
 * lua_process.h.
 */
#include "lua_process.h"

#include "module.h"

#include <string.h>
#include <unistd.h>

static const char class_key, children_key, current_key;

const char *mf__lua_process_name(lua_State *L, int idx)
{
    lua_getiuservalue(L, idx, NAME);
    const char *name = lua_tostring(L, -1);
    lua_pop(L, 1); /* the process keeps it */
    return name;
}

struct process *mf__lua_process_started(lua_State *L, const char *what)
{
    struct process *s = mf__lua_self(L);
    if (s->closed)
        luaL_error(L, "%s: process '%s' is closed", what, mf__lua_process_name(L, 1));
    if (s->self)
        luaL_error(L, "%s: a process cannot %s itself", what, what);
    if (!s->started)
        luaL_error(L, "%s: process '%s' is not started", what, mf__lua_process_name(L, 1));
    return s;
}

static void push_children(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &children_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &children_key);
}

void mf__lua_process_set_running(lua_State *L, int idx, struct process *s, bool running)
{
    if (s->listed == running)
        return;
    idx = lua_absindex(L, idx);
    push_children(L);
    lua_pushvalue(L, idx);
    if (running)
        lua_pushboolean(L, 1);
    else
        lua_pushnil(L);
    lua_rawset(L, -3); /* raises for want of memory, but not when it takes away */
    s->listed = running;
    lua_pop(L, 1);
}

bool mf__lua_process_has_ended(lua_State *L, mf_lua *lua, int idx, struct process *s)
{
    if (!s->started || !s->p)
        return s->closed;
    if (mf_process_join(lua->rt, s->p, 0) < 0)
        return false;
    mf__lua_process_set_running(L, idx, s, false);
    return true;
}

struct process *mf__lua_process_push(lua_State *L, int class)
{
    struct process *s = lua_newuserdatauv(L, sizeof *s, VALUES);
    *s = (struct process){.p = NULL};
    lua_pushvalue(L, class);
    lua_setmetatable(L, -2);
    return s;
}

void mf__lua_process_sweep(lua_State *L, mf_lua *lua)
{
    push_children(L);
    int children = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, children); lua_pop(L, 1)) {
        struct process *s = lua_touserdata(L, -2);
        if (s->p && mf_process_join(lua->rt, s->p, 0) == 0) {
            s->listed = false;
            lua_pushvalue(L, -2);
            lua_pushnil(L);
            lua_rawset(L, children); /* of a field that lua_next has visited */
        }
    }
    lua_pop(L, 1);
}

/* --- fields -------------------------------------------------------------------------------------
 */

static int push_pid(lua_State *L, struct process *s)
{
    if (s->self)
        lua_pushinteger(L, getpid());
    else if (s->p)
        lua_pushinteger(L, mf_process_pid(s->p));
    else
        lua_pushnil(L);
    return 1;
}

static int push_exitcode(lua_State *L, mf_lua *lua, struct process *s)
{
    if (s->p && mf__lua_process_has_ended(L, lua, 1, s) &&
        mf_process_status(s->p) != MF_PROCESS_UNKNOWN)
        lua_pushinteger(L, mf_process_status(s->p));
    else
        lua_pushnil(L);
    return 1;
}

/* Upvalue 3: the methods. */
static int process_index(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = mf__lua_self(L);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL)
        return 1;
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, "pid") == 0)
        return push_pid(L, s);
    if (strcmp(key, "exitcode") == 0)
        return push_exitcode(L, lua, s);
    if (strcmp(key, "name") == 0)
        lua_getiuservalue(L, 1, NAME);
    else if (strcmp(key, "daemon") == 0)
        lua_pushboolean(L, s->daemon);
    return 1;
}

static int process_newindex(lua_State *L)
{
    struct process *s = mf__lua_self(L);
    const char *key = luaL_checkstring(L, 2);
    bool name = strcmp(key, "name") == 0, daemon = strcmp(key, "daemon") == 0;
    if (!name && !daemon)
        return luaL_error(L, "a process has no field '%s' that can be set", key);
    if (s->started || s->self || s->closed)
        return luaL_error(L, "'%s' can be set before the start only", key);
    if (lua_type(L, 3) != (name ? LUA_TSTRING : LUA_TBOOLEAN))
        return luaL_error(L, "%s: a %s expected, got %s", key, name ? "string" : "boolean",
                          luaL_typename(L, 3));
    lua_settop(L, 3);
    if (name)
        lua_setiuservalue(L, 1, NAME);
    else
        s->daemon = lua_toboolean(L, 3);
    return 0;
}

static int process_tostring(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = mf__lua_self(L);
    lua_settop(L, 1);
    const char *name = mf__lua_process_name(L, 1);
    if (s->closed)
        lua_pushfstring(L, "moonfork.Process: %s (closed)", name);
    else if (!s->started && !s->self)
        lua_pushfstring(L, "moonfork.Process: %s (not started)", name);
    else if (s->self || !mf__lua_process_has_ended(L, lua, 1, s))
        lua_pushfstring(L, "moonfork.Process: %s (pid %d)", name,
                        s->self ? (int)getpid() : (int)mf_process_pid(s->p));
    else
        lua_pushfstring(L, "moonfork.Process: %s (pid %d, ended with %d)", name,
                        (int)mf_process_pid(s->p), mf_process_status(s->p));
    return 1;
}

/* --- the family ---------------------------------------------------------------------------------
 */

static int current_process(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &current_key) == LUA_TUSERDATA)
        return 1;
    struct process *s = mf__lua_process_push(L, lua_upvalueindex(2));
    s->self = true;
    s->daemon = lua->daemon;
    lua_pushstring(L, lua->name);
    lua_setiuservalue(L, -2, NAME);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &current_key);
    return 1;
}

static int active_children(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    lua_settop(L, 0);
    mf__lua_process_sweep(L, lua);
    lua_newtable(L);
    push_children(L);
    lua_Integer n = 0;
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_rawseti(L, 1, ++n);
    }
    lua_settop(L, 1);
    return 1;
}

/* --- the class ----------------------------------------------------------------------------------
 */

static const luaL_Reg methods[] = {
    {"start", mf__lua_process_start},       {"join", mf__lua_process_join},
    {"is_alive", mf__lua_process_is_alive}, {"terminate", mf__lua_process_terminate},
    {"kill", mf__lua_process_kill},         {"close", mf__lua_process_close},
    {"get", mf__lua_process_get},           {NULL, NULL},
};

static const luaL_Reg events[] = {
    {"__newindex", process_newindex},
    {"__tostring", process_tostring},
    {"__close", mf__lua_process_scope},
    {"__gc", mf__lua_process_collect},
    {NULL, NULL},
};

static void push_class(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    int class = lua_gettop(L);
    mf__lua_set_methods(L, events, class);
    mf__lua_push(L);
    lua_pushvalue(L, class);
    lua_newtable(L);
    mf__lua_set_methods(L, methods, class);
    lua_pushcclosure(L, process_index, 3);
    lua_setfield(L, class, "__index");
    lua_pushliteral(L, "moonfork.Process");
    lua_setfield(L, class, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, class, "__metatable");
    lua_pushliteral(L, "a Process stays in the process that made it; send its pid or a Queue");
    lua_setfield(L, class, "__mf_encode");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}

void mf__open_process(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"Process", mf__lua_process_construct},
        {"spawn", mf__lua_process_spawn},
        {"current_process", current_process},
        {"active_children", active_children},
        {NULL, NULL},
    };
    int module = lua_gettop(L);
    push_class(L);
    lua_pushvalue(L, module);
    mf__lua_set_methods(L, functions, module + 1);
    lua_settop(L, module);
}
