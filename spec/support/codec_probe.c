/*
 * codec_probe: the codec as a Lua module, for specs that run without the runtime.
 *
 *   local probe = require "codec_probe"
 *   local codec = probe.new(process_id)        a codec of its own; its objects are "probe.handle"s
 *   codec:encode(what, ...) -> string          codec:decode(s) -> values, or nil, code
 *   codec:decode_plain(s)                      refuses functions
 *   codec:handle(n) -> userdata                an object of the runtime, as far as the codec knows
 *   codec:capture(f [, what]) -> serial, bytes codec:load(sender, serial, bytes) -> f or nil, code
 *   codec:protect(everywhere)
 *   codec:stream(window, items) -> windows     each item a table {n = , kind = , ...}
 *   codec:unstream(windows, committed [, skip]) -> items
 *   probe.handles(s) -> list                   probe.state(f) runs f's source in a fresh state
 *   probe.globals(dump [, upvalue]) -> names that a dumped function reads from that upvalue (1)
 */
#include "bytecode.h"
#include "codec.h"
#include "stream.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

#define HANDLE "probe.handle"
#define CODEC "probe.codec"
#define BUFFER "probe.buffer"

static bool handle_of(lua_State *L, int idx, void *ctx, uint64_t *ret_handle)
{
    uint64_t *handle = luaL_testudata(L, idx, HANDLE);

    (void)ctx;
    if (handle != NULL)
        *ret_handle = *handle;
    return handle != NULL;
}

static void push_handle(lua_State *L, uint64_t handle, void *ctx)
{
    (void)ctx;
    *(uint64_t *)lua_newuserdatauv(L, sizeof handle, 0) = handle;
    luaL_setmetatable(L, HANDLE);
}

static mf_codec *check_codec(lua_State *L)
{
    return *(mf_codec **)luaL_checkudata(L, 1, CODEC);
}

static int probe_new(lua_State *L)
{
    struct mf_codec_hooks hooks = {handle_of, push_handle, NULL};
    lua_Integer id = luaL_checkinteger(L, 1);
    mf_codec **c = lua_newuserdatauv(L, sizeof *c, 0);

    *c = mf__codec_new(L, &hooks, (uint64_t)id);
    luaL_setmetatable(L, CODEC);
    return 1;
}

static int buffer_gc(lua_State *L)
{
    mf__buffer_fini(lua_touserdata(L, 1));
    return 0;
}

static mf_buffer *new_buffer(lua_State *L)
{
    mf_buffer *b = lua_newuserdatauv(L, sizeof *b, 0);

    *b = (mf_buffer){0};
    luaL_setmetatable(L, BUFFER);
    return b;
}

static int probe_encode(lua_State *L)
{
    mf_codec *c = check_codec(L);
    const char *what = luaL_checkstring(L, 2);
    int n = lua_gettop(L) - 2;
    mf_buffer *b = new_buffer(L);

    mf__encode(L, c, 3, n, what, b);
    lua_pushlstring(L, (const char *)b->data, b->used);
    return 1;
}

/* Results of a decoding: the values, or nil and the code (and the error of user code). */
static int answer(lua_State *L, int n)
{
    if (n >= 0)
        return n;
    luaL_pushfail(L);
    lua_pushinteger(L, n);
    return 2;
}

/* Copies the bytes to an allocation of exactly their size, so that a sanitizer sees a read beyond
   them; kept on the stack. */
static const uint8_t *exact_copy(lua_State *L, const char *s, size_t size)
{
    mf_buffer *b = new_buffer(L);

    b->data = malloc(size > 0 ? size : 1);
    if (b->data == NULL)
        luaL_error(L, "not enough memory");
    memcpy(b->data, s, size);
    return b->data;
}

static int probe_decode(lua_State *L)
{
    mf_codec *c = check_codec(L);
    size_t size;
    const char *s = luaL_checklstring(L, 2, &size);

    return answer(L, mf__decode(L, c, exact_copy(L, s, size), size));
}

static int probe_decode_plain(lua_State *L)
{
    mf_codec *c = check_codec(L);
    size_t size;
    const char *s = luaL_checklstring(L, 2, &size);

    return answer(L, mf__decode_plain(L, c, exact_copy(L, s, size), size));
}

static int probe_raise(lua_State *L)
{
    return mf__decode_raise(L, check_codec(L), (int)luaL_checkinteger(L, 2));
}

static int probe_handle(lua_State *L)
{
    push_handle(L, (uint64_t)luaL_checkinteger(L, 2), NULL);
    return 1;
}

static int probe_handles(lua_State *L)
{
    size_t size;
    const char *s = luaL_checklstring(L, 1, &size);
    uint64_t handles[64];
    uint32_t n = mf__message_handles((const uint8_t *)s, size, handles, 64);

    lua_createtable(L, (int)n, 0);
    for (uint32_t i = 0; i < n && i < 64; i++) {
        lua_pushinteger(L, (lua_Integer)handles[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int handle_value(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer) * (uint64_t *)luaL_checkudata(L, 1, HANDLE));
    return 1;
}

static int probe_capture(lua_State *L)
{
    mf_codec *c = check_codec(L);
    struct mf_function f;

    mf__function_capture(L, c, 2, luaL_optstring(L, 3, ""), &f);
    lua_pushinteger(L, (lua_Integer)f.serial);
    lua_pushlstring(L, (const char *)f.bytes, f.size);
    return 2;
}

static int probe_load(lua_State *L)
{
    mf_codec *c = check_codec(L);
    uint64_t sender = (uint64_t)luaL_checkinteger(L, 2), serial = (uint64_t)luaL_checkinteger(L, 3);
    size_t size = 0;
    const char *s = luaL_optlstring(L, 4, NULL, &size);
    int code = mf__function_load(L, c, sender, serial, (const uint8_t *)s, size);

    return answer(L, code < 0 ? code : 1);
}

static int probe_protect(lua_State *L)
{
    mf__codec_protect_globals(L, check_codec(L), lua_toboolean(L, 2));
    return 0;
}

enum { NO_WINDOW = -32 };

/* The windows of a stream under test: a list of buffers of at least `smallest` bytes. */
struct windows {
    lua_State *L;
    int list; /* stack index of the result: strings of the finished windows */
    size_t smallest;
    lua_Integer most;
    mf_buffer *current;
};

static void finish_window(struct windows *ws, size_t used)
{
    lua_pushlstring(ws->L, (const char *)ws->current->data, used);
    lua_rawseti(ws->L, ws->list, (lua_Integer)lua_rawlen(ws->L, ws->list) + 1);
}

static int grow_window(struct mf_stream_writer *w, size_t need)
{
    struct windows *ws = w->user;
    size_t size = need > ws->smallest ? need : ws->smallest;

    if (w->base != NULL)
        finish_window(ws, (size_t)(w->at - w->base));
    if ((lua_Integer)lua_rawlen(ws->L, ws->list) >= ws->most)
        return NO_WINDOW;
    free(ws->current->data);
    ws->current->data = malloc(size);
    if (ws->current->data == NULL)
        return MF_DECODE_NOMEM;
    w->base = w->at = ws->current->data;
    w->end = w->base + size;
    return 0;
}

/* stream(window, items, open): with `open` the last run is left as a killed writer leaves it. With
   items.most there are so many windows only; where they do not do: nil, code, windows, items put.
 */
static int probe_stream(lua_State *L)
{
    mf_codec *c = check_codec(L);
    struct windows ws = {.L = L, .smallest = (size_t)luaL_checkinteger(L, 2), .list = 5};
    struct mf_stream_writer w = {.grow = grow_window, .user = &ws, .what = "item"};
    lua_Integer i = 1;
    int code = 0;

    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 4);
    lua_getfield(L, 3, "most");
    ws.most = luaL_optinteger(L, -1, LUA_MAXINTEGER);
    lua_settop(L, 4);
    lua_newtable(L);
    ws.current = new_buffer(L);
    for (lua_Integer n = luaL_len(L, 3); code >= 0 && i <= n; i++) {
        int count;
        bool error;
        lua_rawgeti(L, 3, i);
        lua_getfield(L, 7, "n");
        count = (int)lua_tointeger(L, -1);
        lua_getfield(L, 7, "error");
        error = lua_toboolean(L, -1);
        luaL_checkstack(L, count, NULL);
        for (int k = 1; k <= count; k++)
            lua_rawgeti(L, 7, k);
        code = mf__stream_put(L, c, &w, 10, count, error ? MF_STREAM_ERROR : MF_STREAM_VALUES);
        lua_settop(L, 6);
    }
    if (!lua_toboolean(L, 4))
        mf__stream_close_run(&w);
    if (w.base != NULL && lua_rawlen(L, 5) < (lua_Unsigned)ws.most)
        finish_window(&ws, (size_t)(w.at - w.base));
    lua_settop(L, 5);
    if (code >= 0)
        return 1;
    answer(L, code);
    lua_pushvalue(L, 5);
    lua_pushinteger(L, i - 2);
    return 4;
}

struct reading {
    lua_State *L;
    int list, next;
};

static int next_window(struct mf_stream_reader *r)
{
    struct reading *reading = r->user;
    size_t size;

    if (lua_rawgeti(reading->L, reading->list, reading->next) != LUA_TSTRING) {
        lua_pop(reading->L, 1);
        return MF_DECODE_CORRUPT;
    }
    r->at = (const uint8_t *)lua_tolstring(reading->L, -1, &size); /* the list keeps it */
    r->end = r->at + size;
    reading->next++;
    lua_pop(reading->L, 1);
    return 0;
}

/* unstream(windows, committed, skip) -> items; `skip` items are skipped first */
static int probe_unstream(lua_State *L)
{
    mf_codec *c = check_codec(L);
    struct reading reading = {.L = L, .list = 2, .next = 1};
    struct mf_stream_reader r = {.next_window = next_window, .user = &reading};
    enum mf_stream_kind kind;
    int n;

    r.left = (uint32_t)luaL_checkinteger(L, 3);
    lua_settop(L, 4);
    lua_newtable(L);
    n = mf__stream_skip(&r, (uint32_t)luaL_optinteger(L, 4, 0));
    if (n < 0)
        return answer(L, n);
    for (lua_Integer i = 1; r.left > 0; i++) {
        n = mf__stream_next(L, c, &r, &kind);
        if (n < 0)
            return answer(L, n);
        lua_createtable(L, n, 2);
        lua_insert(L, 6);
        lua_pushinteger(L, n);
        lua_setfield(L, 6, "n");
        lua_pushboolean(L, kind == MF_STREAM_ERROR);
        lua_setfield(L, 6, "error");
        for (int k = n; k > 0; k--)
            lua_rawseti(L, 6, k);
        lua_rawseti(L, 5, i);
    }
    return 1;
}

/* stream_handles(windows, committed) -> number, list */
static int probe_stream_handles(lua_State *L)
{
    struct reading reading = {.L = L, .list = 1, .next = 1};
    struct mf_stream_reader r = {.next_window = next_window, .user = &reading};
    uint64_t handles[64];
    uint32_t n;

    r.left = (uint32_t)luaL_checkinteger(L, 2);
    n = mf__stream_handles(&r, handles, 64);
    lua_createtable(L, (int)n, 0);
    for (uint32_t i = 0; i < n && i < 64; i++) {
        lua_pushinteger(L, (lua_Integer)handles[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* numbers(n) -> nothing: n integers through a stream and their squares back, for timing */
static int probe_numbers(lua_State *L)
{
    mf_codec *c = check_codec(L);
    lua_Integer n = luaL_checkinteger(L, 2), sum = 0;
    mf_buffer *b = new_buffer(L);
    struct mf_stream_writer w = {0};
    struct mf_stream_reader r = {0};
    enum mf_stream_kind kind;

    if (!mf__buffer_reserve(b, (size_t)n * 8 + 64))
        return luaL_error(L, "not enough memory");
    w.base = w.at = b->data;
    w.end = b->data + b->size;
    for (lua_Integer i = 1; i <= n; i++) {
        lua_pushinteger(L, i);
        mf__stream_put(L, c, &w, -1, 1, MF_STREAM_VALUES);
        lua_pop(L, 1);
    }
    r.at = w.base;
    r.end = w.at;
    r.left = (uint32_t)n;
    while (r.left > 0) {
        mf__stream_next(L, c, &r, &kind);
        sum += lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_pushinteger(L, sum);
    return 1;
}

static void on_global(void *ctx, int environment, const char *name, size_t size)
{
    lua_State *L = ctx;

    (void)environment;
    lua_pushlstring(L, name, size);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* globals(dump, upvalue) -> list, or nil and the error */
static int probe_globals(lua_State *L)
{
    int16_t environments[MF_UPVALUES];
    size_t size;
    const char *s = luaL_checklstring(L, 1, &size);
    lua_Integer upvalue = luaL_optinteger(L, 2, 1);
    const uint8_t *dump = exact_copy(L, s, size);
    mf_buffer *scratch = new_buffer(L);
    int error;

    for (int i = 0; i < MF_UPVALUES; i++)
        environments[i] = i + 1 == upvalue ? 0 : MF_NO_ENVIRONMENT;
    lua_newtable(L);
    error = mf__bytecode_globals(dump, size, environments, scratch, on_global, L);
    return error < 0 ? answer(L, error) : 1;
}

/* text(s) -> head, text: the two parts of a message that is one string */
static int probe_text(lua_State *L)
{
    uint8_t head[11];
    size_t head_size, size;
    const char *text;

    if (!mf__encode_text(L, 1, head, &head_size, &text, &size))
        return 0;
    lua_pushlstring(L, (const char *)head, head_size);
    lua_pushlstring(L, text, size);
    return 2;
}

/* A message between two Lua states: state:run(code, ...) gives the strings that the code returns.
 */
#define STATE "probe.state"

int luaopen_codec_probe(lua_State *L);

static int probe_state(lua_State *L)
{
    lua_State **state = lua_newuserdatauv(L, sizeof *state, 0);

    *state = NULL;
    luaL_setmetatable(L, STATE);
    *state = luaL_newstate();
    if (*state == NULL)
        return luaL_error(L, "not enough memory");
    luaL_openlibs(*state);
    luaL_requiref(*state, "codec_probe", luaopen_codec_probe, 0);
    lua_settop(*state, 0);
    return 1;
}

static int state_gc(lua_State *L)
{
    lua_State **state = luaL_checkudata(L, 1, STATE);

    if (*state != NULL)
        lua_close(*state);
    *state = NULL;
    return 0;
}

/* Copies scalar values at first.. from one state to the other. */
static void copy_scalars(lua_State *from, lua_State *to, int first)
{
    for (int i = first; i <= lua_gettop(from); i++) {
        size_t size;
        const char *s;
        switch (lua_type(from, i)) {
        case LUA_TNUMBER:
            if (lua_isinteger(from, i))
                lua_pushinteger(to, lua_tointeger(from, i));
            else
                lua_pushnumber(to, lua_tonumber(from, i));
            break;
        case LUA_TBOOLEAN: lua_pushboolean(to, lua_toboolean(from, i)); break;
        case LUA_TSTRING:
            s = lua_tolstring(from, i, &size);
            lua_pushlstring(to, s, size);
            break;
        default: lua_pushnil(to); break;
        }
    }
}

static int state_run(lua_State *L)
{
    lua_State *state = *(lua_State **)luaL_checkudata(L, 1, STATE);
    bool failed = luaL_loadstring(state, luaL_checkstring(L, 2)) != LUA_OK;
    int top = lua_gettop(L);

    if (!failed) {
        copy_scalars(L, state, 3);
        failed = lua_pcall(state, top - 2, LUA_MULTRET, 0) != LUA_OK;
    }
    copy_scalars(state, L, 1);
    lua_settop(state, 0);
    return failed ? lua_error(L) : lua_gettop(L) - top;
}

static const luaL_Reg codec_methods[] = {
    {"encode", probe_encode},     {"decode", probe_decode},   {"decode_plain", probe_decode_plain},
    {"raise", probe_raise},       {"handle", probe_handle},   {"capture", probe_capture},
    {"load", probe_load},         {"protect", probe_protect}, {"stream", probe_stream},
    {"unstream", probe_unstream}, {"numbers", probe_numbers}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"new", probe_new},
                                     {"handles", probe_handles},
                                     {"handle_value", handle_value},
                                     {"stream_handles", probe_stream_handles},
                                     {"text", probe_text},
                                     {"globals", probe_globals},
                                     {"state", probe_state},
                                     {NULL, NULL}};

__attribute__((visibility("default"))) int luaopen_codec_probe(lua_State *L)
{
    luaL_newmetatable(L, HANDLE);
    luaL_newmetatable(L, BUFFER);
    lua_pushcfunction(L, buffer_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newmetatable(L, CODEC);
    luaL_newlib(L, codec_methods);
    lua_setfield(L, -2, "__index");
    luaL_newmetatable(L, STATE);
    lua_pushcfunction(L, state_gc);
    lua_setfield(L, -2, "__gc");
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, state_run);
    lua_setfield(L, -2, "run");
    lua_setfield(L, -2, "__index");
    luaL_newlib(L, functions);
    return 1;
}
