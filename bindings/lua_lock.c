/* lua_lock.c - mp.Lock: a lock of the family, and its guard. */
#include "handle.h"
#include "lock.h"
#include "module.h"

static const char guard_key;

static const char hint[] = "acquire(0) does not wait, acquire(seconds) waits that long";

/* Acquires; pushes true, or true and "abandoned", or nil, message, code. Their number. */
static int acquire(lua_State *L, mf_lua *lua, mf_lock *lock, int64_t deadline)
{
    int32_t pid;
    int64_t until;
    int rc;
    lua_pushboolean(L, 1);
    lua_pushliteral(L, "abandoned"); /* before: nothing may raise once the lock is held */
    do {
        until = mf__lua_slice(lua, deadline);
        rc = mf_lock_acquire(lua->rt, lock, until, &pid);
    } while (mf__lua_goes_on(L, lua, rc, until, deadline));
    if (rc < 0)
        return mf__lua_fail(L, rc);
    if (rc == 0) {
        lua_pop(L, 1);
        return 1;
    }
    return 2;
}

static int lock_acquire(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct mf_handle *h = mf__handle_self(L);
    int64_t deadline = mf__lua_deadline(L, 2, hint);
    if (!lua_isnone(L, 3))
        luaL_argerror(L, 3, "acquire takes a timeout only");
    return acquire(L, lua, h->object, deadline);
}

static int lock_release(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct mf_handle *h = mf__handle_self(L);
    if (mf_lock_release(lua->rt, h->object) < 0)
        return luaL_error(L, "release of a lock that nobody holds");
    return 0;
}

static int lock_tostring(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct mf_handle *h = mf__handle_self(L);
    lua_pushfstring(L, "moonfork.Lock: %s%s", mf__handle_push_name(L, lua, h),
                    mf_lock_is_mine(lua->rt, h->object) ? " (held by this process)" : "");
    return 1;
}

/* --- the guard ----------------------------------------------------------------------------------
 */

/* Its user value is the lock. */
struct guard {
    bool holds;
};

static int guard_close(lua_State *L)
{
    mf_lua *lua = lua_touserdata(L, lua_upvalueindex(1));
    struct guard *g = mf__lua_self(L);
    if (!g->holds || !lua->rt || mf__alive(lua->rt) < 0)
        return 0;
    g->holds = false;
    lua_getiuservalue(L, 1, 1);
    struct mf_handle *h = lua_touserdata(L, -1);
    if (h && h->object && mf_lock_is_mine(lua->rt, h->object))
        mf_lock_release(lua->rt, h->object);
    return 0;
}

static void push_guard_class(lua_State *L)
{
    static const luaL_Reg events[] = {
        {"__close", guard_close},
        {"__gc", guard_close},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {{"release", guard_close}, {NULL, NULL}};
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    int class = lua_gettop(L);
    mf__lua_set_methods(L, events, class);
    lua_newtable(L);
    mf__lua_set_methods(L, methods, class);
    lua_setfield(L, class, "__index");
    lua_pushliteral(L, "moonfork.Guard");
    lua_setfield(L, -2, "__name");
    lua_pushliteral(L, "a lock's guard stays in its process");
    lua_setfield(L, -2, "__mf_encode");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_key);
}

static int lock_guard(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct mf_handle *h = mf__handle_self(L);
    int64_t deadline = mf__lua_deadline(L, 2, hint);
    lua_settop(L, 1);
    struct guard *g = lua_newuserdatauv(L, sizeof *g, 1);
    g->holds = false;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 2, 1);
    push_guard_class(L);
    lua_setmetatable(L, 2);
    int n = acquire(L, lua, h->object, deadline);
    if (n == 3)
        return 3;
    g->holds = true;
    lua_pushvalue(L, 2);
    lua_replace(L, 3); /* the guard in place of true */
    return n;
}

/* --- the class ----------------------------------------------------------------------------------
 */

static const luaL_Reg methods[] = {
    {"acquire", lock_acquire},
    {"release", lock_release},
    {"guard", lock_guard},
    {NULL, NULL},
};

static const luaL_Reg events[] = {{"__tostring", lock_tostring}, {NULL, NULL}};

const struct mf_handle_class mf__lock_class = {"moonfork.Lock", MF_KIND_LOCK, methods, events};

static int new_lock(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    mf_lock *lock;
    if (!lua_isnoneornil(L, 1))
        luaL_argerror(L, 1, "Lock takes no argument");
    int rc = mf_lock_new(lua->rt, &lock);
    if (rc < 0)
        return mf__lua_raise(L, rc, "cannot make a lock");
    mf__handle_push(L, lua, lock);
    return 1;
}

void mf__open_lock(lua_State *L)
{
    static const luaL_Reg functions[] = {{"Lock", new_lock}, {NULL, NULL}};
    mf__lua_setfuncs(L, functions);
}
