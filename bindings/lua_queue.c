/* lua_queue.c - mp.Queue: the queue of the family. */
#include "handle.h"
#include "module.h"
#include "transfer.h"

static const char put_hint[] = "use put_nowait(value) not to wait, put(value, seconds) to wait";
static const char get_hint[] = "use get_nowait() not to wait, get(seconds) to wait that long";

static void check_count(lua_State *L, int most, const char *hint)
{
    if (lua_gettop(L) > most)
        luaL_argerror(L, most + 1, hint);
}

/* The queue of a method. One that was seen lately is known by its address alone. */
static inline mf_queue *to_queue(lua_State *L, mf_lua *lua)
{
    struct mf_handle *h = lua_touserdata(L, 1);
    const void **known = &lua->known[mf__handle_place(h)];
    if (!h || h != *known || lua_type(L, 1) != LUA_TUSERDATA)
        *known = h = mf__handle_self(L);
    return h->object;
}

/* --- put and get --------------------------------------------------------------------------------
 */

static int finish_put(lua_State *L, int rc)
{
    if (rc == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (rc == MF_ECLOSED)
        return luaL_error(L, "put on a closed queue");
    return mf__lua_fail(L, rc);
}

static int queue_put(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    mf_queue *q = to_queue(L, lua);
    int64_t deadline = MF_FOREVER;
    int top = lua_gettop(L);
    if (top != 2) {
        if (top < 2)
            return luaL_argerror(L, 2, "value expected");
        deadline = mf__lua_deadline(L, 3, put_hint);
        check_count(L, 3, "put takes a value and a timeout");
    }
    return finish_put(L, mf__transfer_put(L, lua, q, 2, "value", deadline));
}

static int queue_put_nowait(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    mf_queue *q = to_queue(L, lua);
    if (lua_gettop(L) < 2)
        return luaL_argerror(L, 2, "value expected");
    check_count(L, 2, "put_nowait takes a value only");
    return finish_put(L, mf__transfer_put(L, lua, q, 2, "value", 0));
}

static int queue_get(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    mf_queue *q = to_queue(L, lua);
    int64_t deadline = MF_FOREVER;
    if (lua_gettop(L) > 1) {
        deadline = mf__lua_deadline(L, 2, get_hint);
        check_count(L, 2, "get takes a timeout only");
    }
    int n = mf__transfer_get(L, lua, q, deadline);
    return n < 0 ? mf__lua_fail(L, n) : n;
}

static int queue_get_nowait(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    mf_queue *q = to_queue(L, lua);
    check_count(L, 1, "get_nowait takes no argument");
    int n = mf__transfer_get(L, lua, q, 0);
    return n < 0 ? mf__lua_fail(L, n) : n;
}

/* --- looking ------------------------------------------------------------------------------------
 */

static int queue_qsize(lua_State *L)
{
    mf__lua_upvalue(L);
    lua_pushinteger(L, (lua_Integer)mf_queue_size(mf__handle_self(L)->object));
    return 1;
}

static int queue_empty(lua_State *L)
{
    mf__lua_upvalue(L);
    lua_pushboolean(L, mf_queue_size(mf__handle_self(L)->object) == 0);
    return 1;
}

static int queue_full(lua_State *L)
{
    mf__lua_upvalue(L);
    mf_queue *q = mf__handle_self(L)->object;
    uint64_t capacity = mf_queue_capacity(q);
    lua_pushboolean(L, capacity && mf_queue_size(q) >= capacity);
    return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t count)
{
    lua_pushinteger(L, (lua_Integer)count);
    lua_setfield(L, -2, name);
}

static int queue_stats(lua_State *L)
{
    struct mf_queue_stats stats;
    mf__lua_upvalue(L);
    mf_queue_stats(mf__handle_self(L)->object, &stats);
    lua_createtable(L, 0, 4);
    set_count(L, "put", stats.put);
    set_count(L, "got", stats.got);
    set_count(L, "queued", stats.queued);
    set_count(L, "lost", stats.lost);
    return 1;
}

static int queue_tostring(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct mf_handle *h = mf__handle_self(L);
    mf_queue *q = h->object;
    lua_pushfstring(L, "moonfork.Queue: %s (%I queued%s)", mf__handle_push_name(L, lua, h),
                    (LUAI_UACINT)mf_queue_size(q), mf_queue_is_closed(q) ? ", closed" : "");
    return 1;
}

/* --- closing ------------------------------------------------------------------------------------
 */

static int queue_close(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    if (mf_queue_close(lua->rt, mf__handle_self(L)->object) < 0)
        mf__lua_unusable(L, lua);
    return 0;
}

static int queue_is_closed(lua_State *L)
{
    mf__lua_upvalue(L);
    lua_pushboolean(L, mf_queue_is_closed(mf__handle_self(L)->object));
    return 1;
}

/* The iterator of a for loop: a value, or nil at the end. */
static int next_message(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    mf_queue *q = mf__handle_self(L)->object;
    lua_settop(L, 1);
    int n = mf__transfer_get(L, lua, q, MF_FOREVER);
    if (n == MF_ECORRUPT)
        return mf__lua_raise(L, n, "cannot read the next message");
    if (n < 0)
        lua_pushnil(L);
    return 1;
}

static int queue_iter(lua_State *L)
{
    mf__lua_upvalue(L);
    mf__handle_self(L);
    check_count(L, 1, "iter takes no argument");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushcclosure(L, next_message, 2);
    lua_pushvalue(L, 1);
    return 2;
}

/* --- the class ----------------------------------------------------------------------------------
 */

static const luaL_Reg methods[] = {
    {"put", queue_put},
    {"get", queue_get},
    {"put_nowait", queue_put_nowait},
    {"get_nowait", queue_get_nowait},
    {"qsize", queue_qsize},
    {"empty", queue_empty},
    {"full", queue_full},
    {"stats", queue_stats},
    {"close", queue_close},
    {"is_closed", queue_is_closed},
    {"iter", queue_iter},
    {NULL, NULL},
};

static const luaL_Reg events[] = {
    {"__tostring", queue_tostring},
    {"__close", queue_close},
    {NULL, NULL},
};

const struct mf_handle_class mf__queue_class = {"moonfork.Queue", MF_KIND_QUEUE, methods, events};

static int new_queue(lua_State *L)
{
    static const char *const options[] = {"maxsize", NULL};
    mf_lua *lua = mf__lua_upvalue(L);
    mf_queue *q;
    check_count(L, 1, "Queue takes a maxsize only");
    if (lua_istable(L, 1)) {
        mf__lua_check_options(L, 1, options);
        lua_getfield(L, 1, "maxsize");
        lua_replace(L, 1);
        if (!lua_isnil(L, 1) && !lua_isinteger(L, 1))
            luaL_argerror(L, 1, "maxsize: a whole number expected");
    }
    lua_Integer capacity = luaL_optinteger(L, 1, 0);
    luaL_argcheck(L, capacity >= 0, 1, "maxsize: 0 (no bound) or more expected");
    int rc = mf_queue_new(lua->rt, capacity > 0 ? (uint64_t)capacity : 0, &q);
    if (rc < 0)
        return mf__lua_raise(L, rc, "cannot make a queue");
    mf__handle_push(L, lua, q);
    return 1;
}

void mf__open_queue(lua_State *L)
{
    static const luaL_Reg functions[] = {{"Queue", new_queue}, {NULL, NULL}};
    mf__lua_setfuncs(L, functions);
}
