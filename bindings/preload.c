/* preload.c - what a child takes over of its parent's package.preload: see preload.h. */
#include "preload.h"

#include "codec.h"

#include <lauxlib.h>

/* The loader of a module whose own loader came as a message, which is the upvalue. */
static int load_sent(lua_State *L)
{
    size_t size;
    const char *bytes = lua_tolstring(L, lua_upvalueindex(1), &size);
    mf_codec *codec = mf__lua_peek(L)->codec; /* the zygote may be who loads */
    int n = mf__decode(L, codec, (const uint8_t *)bytes, size);
    if (n < 0)
        mf__decode_raise(L, codec, n);
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* Arguments: a name, a Lua function. Gives the message of the function, or nil. */
static int capture(lua_State *L)
{
    struct mf_function f;
    const char *what = lua_pushfstring(L, "package.preload['%s']", lua_tostring(L, 1));
    mf__function_capture(L, mf__lua(L)->codec, 2, what, &f);
    if (mf__message_handles(f.bytes, f.size, NULL, 0))
        return 0;
    lua_pushlstring(L, (const char *)f.bytes, f.size);
    return 1;
}

/* The loader at the top, of the name below it: pushes what stands for it in a message, or nil. */
static void push_loader(lua_State *L)
{
    lua_CFunction function = lua_tocfunction(L, -1);
    if (function == load_sent) {
        lua_getupvalue(L, -1, 1);
    } else if (function && !lua_getupvalue(L, -1, 1)) {
        lua_pushinteger(L, (lua_Integer)(intptr_t)function);
        mf__lua_peek(L)->loaders += (uint64_t)(uintptr_t)function;
    } else if (function || !lua_isfunction(L, -1)) {
        lua_pushnil(L);
    } else {
        lua_pushcfunction(L, capture);
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -3);
        if (lua_pcall(L, 2, 1, 0) != LUA_OK)
            lua_pushnil(L);
    }
}

void mf__preload_push(lua_State *L)
{
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    mf__lua_peek(L)->loaders = 0;
    lua_newtable(L);
    int table = lua_gettop(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    int preload = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, preload); lua_settop(L, preload + 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            continue;
        push_loader(L);
        lua_pushvalue(L, preload + 1);
        lua_pushvalue(L, -2);
        lua_rawset(L, table);
    }
    lua_settop(L, table);
}

void mf__preload_set(lua_State *L, int idx)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    int preload = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_isinteger(L, -1)) {
            lua_pushcfunction(L, (lua_CFunction)(intptr_t)lua_tointeger(L, -1));
        } else {
            lua_pushvalue(L, -1);
            lua_pushcclosure(L, load_sent, 1);
        }
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -2);
        lua_rawset(L, preload);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}
