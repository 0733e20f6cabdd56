/* errors.c - error objects: tables that say what failed, where and why. See state.h. */
#include "state.h"

#include <stdarg.h>
#include <string.h>

static const char class_key;

/* --- the class ----------------------------------------------------------------------------------
 */

static void push_message(lua_State *L, int idx)
{
    lua_pushliteral(L, "message");
    lua_rawget(L, idx);
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_pushliteral(L, "(an error without a message)");
    }
}

/* The message, and the traceback of the process where it happened: an interpreter that shows an
 * uncaught error shows this. */
static int error_tostring(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    push_message(L, 1);
    lua_pushliteral(L, "traceback");
    lua_rawget(L, 1);
    if (lua_type(L, 3) != LUA_TSTRING) {
        lua_settop(L, 2);
        return 1;
    }
    lua_pushliteral(L, "\n");
    lua_insert(L, 3);
    lua_concat(L, 3);
    return 1;
}

/* "reading failed: " .. err is one line: the message alone. */
static int error_concat(lua_State *L)
{
    lua_settop(L, 2);
    for (int i = 1; i <= 2; i++) {
        if (mf__lua_is_error(L, i))
            push_message(L, i);
        else
            luaL_tolstring(L, i, NULL);
    }
    lua_concat(L, 2);
    return 1;
}

void mf__lua_push_error_class(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"__tostring", error_tostring},
        {"__concat", error_concat},
        {NULL, NULL},
    };
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    luaL_newlib(L, methods);
    lua_pushliteral(L, "moonfork.Error");
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}

bool mf__lua_is_error(lua_State *L, int idx)
{
    if (!lua_istable(L, idx) || !lua_getmetatable(L, idx))
        return false;
    mf__lua_push_error_class(L);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

void mf__lua_bless_error(lua_State *L)
{
    mf__lua_push_error_class(L);
    lua_setmetatable(L, -2);
}

/* --- making them --------------------------------------------------------------------------------
 */

/* Makes an error object of the message at the top, which it takes. */
static void wrap_message(lua_State *L, const char *kind)
{
    lua_createtable(L, 0, 5);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    mf__lua_bless_error(L);
}

void mf__lua_push_error(lua_State *L, const char *kind, const char *format, ...)
{
    va_list arguments;
    luaL_checkstack(L, 8, NULL);
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    wrap_message(L, kind);
}

static int tolstring(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Pushes what the error value at 1 says. Its own __tostring may fail. */
static void push_text(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING || lua_type(L, 1) == LUA_TNUMBER) {
        lua_pushvalue(L, 1);
        lua_tostring(L, -1);
        return;
    }
    if (luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushcfunction(L, tolstring);
        lua_pushvalue(L, 1);
        int status = lua_pcall(L, 1, 1, 0);
        if (status == LUA_ERRMEM)
            lua_error(L);
        if (status == LUA_OK)
            return;
        lua_pop(L, 1);
    }
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
}

/* Pushes where the task was, without the frames that called it, which have no names. */
static void push_traceback(lua_State *L)
{
    static const char nameless[] = "\n\t[C]: in ?";
    const size_t length = sizeof nameless - 1;
    size_t n;
    luaL_traceback(L, L, NULL, 1);
    const char *text = lua_tolstring(L, -1, &n);
    while (n >= length && memcmp(text + n - length, nameless, length) == 0)
        n -= length;
    lua_pushlstring(L, text, n);
    lua_remove(L, -2);
}

int mf__lua_handler(lua_State *L)
{
    if (mf__lua_is_error(L, 1))
        return 1;
    lua_settop(L, 1);
    push_text(L);
    wrap_message(L, "error");
    push_traceback(L);
    lua_setfield(L, 2, "traceback");
    lua_pushvalue(L, 1);
    lua_setfield(L, 2, "value");
    return 1;
}

/* --- sending them -------------------------------------------------------------------------------
 */

/* Arguments: the table, the buffer. */
static int encode_table(lua_State *L)
{
    mf_buffer *out = lua_touserdata(L, 2);
    mf__encode(L, mf__lua(L)->codec, 1, 1, "error", out);
    return 0;
}

/* Calls a copy of the function and arguments at the top. Lua's status; the stack is as before. */
static int call_copy(lua_State *L, int args, bool *ret_no_memory)
{
    int top = lua_gettop(L);
    for (int i = 0; i <= args; i++)
        lua_pushvalue(L, top - args + i);
    int status = lua_pcall(L, args, 0, 0);
    *ret_no_memory = status != LUA_OK && mf__codec_no_memory(L, status);
    lua_settop(L, top);
    return status;
}

bool mf__lua_insist(lua_State *L, int args)
{
    bool no_memory;
    luaL_checkstack(L, args + 2, NULL);
    int status = call_copy(L, args, &no_memory);
    if (no_memory) {
        lua_gc(L, LUA_GCCOLLECT, 0);
        status = call_copy(L, args, &no_memory);
    }
    lua_pop(L, args + 1);
    return status == LUA_OK;
}

static bool try_encode(lua_State *L, mf_buffer *out)
{
    lua_pushcfunction(L, encode_table);
    lua_pushvalue(L, -2);
    lua_pushlightuserdata(L, out);
    return mf__lua_insist(L, 2);
}

void mf__lua_encode_error(lua_State *L, mf_lua *lua, mf_buffer *out)
{
    static const char *const doubtful[] = {"value", "input"};
    (void)lua;
    luaL_checkstack(L, 8, NULL);
    lua_createtable(L, 0, 10);
    for (lua_pushnil(L); lua_next(L, -3); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
    bool sent = try_encode(L, out);
    for (size_t i = 0; !sent && i < sizeof doubtful / sizeof *doubtful; i++) {
        lua_pushnil(L);
        lua_setfield(L, -2, doubtful[i]);
        sent = try_encode(L, out);
    }
    lua_pop(L, 1);
    if (!sent)
        luaL_error(L, "not enough memory to send an error");
}
