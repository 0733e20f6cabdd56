/* Captured functions; see capture.h and codec.h. May include: Lua, libc, the codec's headers. */
#include "capture.h"

#include "codec_state.h"

#include <lauxlib.h>

/* A capture is a table in MF_FIELD_CAPTURES under its function. */
enum { SERIAL = 1, BYTES, WATCH };

/* A watch list: [0] its length n, then for 1..n three fields each: function or environment, number
   of the upvalue or name of the global, value (which may be nil). */
enum { WIDTH = 3 };

/* Appends the three values at the top to the watch list; pops them. */
static void watch(struct mf_encoder *e)
{
    lua_State *L = e->L;
    int top = lua_gettop(L) - WIDTH;
    lua_Integer n;

    mf__encode_push_slot(e, MF_SLOT_WATCH);
    lua_rawgeti(L, -1, 0);
    n = lua_tointeger(L, -1); /* 0 at first */
    lua_pop(L, 1);
    for (int i = 1; i <= WIDTH; i++) {
        lua_pushvalue(L, top + i);
        lua_rawseti(L, -2, n * WIDTH + i);
    }
    lua_pushinteger(L, n + 1);
    lua_rawseti(L, -2, 0);
    lua_settop(L, top);
}

void mf__watch_upvalue(struct mf_encoder *e, int function, int n)
{
    if (!e->watching || e->complex)
        return;
    lua_pushvalue(e->L, function);
    lua_pushinteger(e->L, n);
    lua_getupvalue(e->L, function, n);
    watch(e);
}

void mf__watch_global(struct mf_encoder *e)
{
    if (!e->watching || e->complex)
        return;
    for (int i = 0; i < WIDTH; i++)
        lua_pushvalue(e->L, -WIDTH);
    watch(e);
}

/* Does the entry of a watch list on the stack (holder, which, value) still hold? A global is looked
   up without its environment's __index: behind one, it is always looked at as changed. */
static bool holds(lua_State *L)
{
    if (lua_isfunction(L, -3)) {
        if (lua_getupvalue(L, -3, (int)lua_tointeger(L, -2)) == NULL)
            return false;
    } else {
        if (lua_getmetatable(L, -3))
            return false;
        lua_pushvalue(L, -2);
        lua_rawget(L, -4);
    }
    return lua_rawequal(L, -1, -2) != 0;
}

/* Is all on the watch list at the top unchanged? */
static bool unchanged(lua_State *L)
{
    int list = lua_gettop(L);
    lua_Integer n;
    bool same = true;

    lua_rawgeti(L, list, 0);
    n = lua_tointeger(L, -1);
    lua_settop(L, list);
    for (lua_Integer i = 0; same && i < n; i++) {
        for (int k = 1; k <= WIDTH; k++)
            lua_rawgeti(L, list, i * WIDTH + k);
        same = holds(L);
        lua_settop(L, list);
    }
    return same;
}

/* Encodes the value at `idx` as a capture; pushes the bytes, and the watch list or nil. */
static void encode_capture(lua_State *L, mf_codec *c, int idx, const char *what)
{
    struct mf_encoder *e = mf__encoder_take(L, c);
    struct mf_link link = {.kind = what};
    int top = e->self;

    e->root = *what != '\0' ? &link : NULL;
    e->watching = true;
    mf__encode_message(e, idx, 1, what);
    lua_pushlstring(L, (const char *)e->out.data, e->out.used);
    if (e->complex) {
        lua_pushnil(L);
    } else {
        mf__encode_push_slot(e, MF_SLOT_WATCH);
        lua_pushinteger(L, 0); /* a list that was empty until now says so */
        if (lua_rawgeti(L, -2, 0) == LUA_TNIL) {
            lua_pop(L, 1);
            lua_rawseti(L, -2, 0);
        } else {
            lua_pop(L, 2);
        }
    }
    lua_rotate(L, top + 1, 2);
    lua_settop(L, top + 2);
    lua_rotate(L, top, -1);
    mf__encoder_give(e);
}

/* Puts the bytes and watch list at the top into the capture under them, with a new serial if the
   bytes are new. Pops both. */
static void renew(lua_State *L, mf_codec *c)
{
    int capture = lua_gettop(L) - 2;

    lua_rawgeti(L, capture, BYTES);
    if (!lua_rawequal(L, -1, capture + 1)) {
        lua_pushinteger(L, (lua_Integer)++c->last_serial);
        lua_rawseti(L, capture, SERIAL);
        lua_pushvalue(L, capture + 1);
        lua_rawseti(L, capture, BYTES);
    }
    lua_settop(L, capture + 2);
    lua_rawseti(L, capture, WATCH);
    lua_settop(L, capture);
}

/* Pushes the capture of the value at `idx`, an empty one if it has none. */
static void push_capture(lua_State *L, mf_codec *c, int idx)
{
    mf__codec_push(L, c, MF_FIELD_CAPTURES);
    lua_pushvalue(L, idx);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, idx);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
}

void mf__function_capture(lua_State *L, mf_codec *c, int idx, const char *what,
                          struct mf_function *ret)
{
    int top = lua_gettop(L);

    idx = lua_absindex(L, idx);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    push_capture(L, c, idx);
    if (lua_rawgeti(L, -1, WATCH) != LUA_TTABLE || !unchanged(L)) {
        lua_settop(L, top + 1);
        encode_capture(L, c, idx, what);
        renew(L, c);
    }
    lua_settop(L, top + 1);
    lua_rawgeti(L, top + 1, SERIAL);
    ret->serial = (uint64_t)lua_tointeger(L, -1);
    lua_rawgeti(L, top + 1, BYTES);
    ret->bytes = (const uint8_t *)lua_tolstring(L, -1, &ret->size);
    lua_settop(L, top);
}

/* The place of a loaded function: where it is, or the one unused for longest. */
static struct mf_loaded *find_loaded(mf_codec *c, uint64_t sender, uint64_t serial)
{
    struct mf_loaded *oldest = c->loaded;

    for (int i = 0; i < MF_LOADED_FUNCTIONS; i++) {
        struct mf_loaded *place = &c->loaded[i];
        if (place->serial == serial && place->sender == sender && place->used != 0)
            return place;
        if (place->used < oldest->used)
            oldest = place;
    }
    return oldest;
}

int mf__function_load(lua_State *L, mf_codec *c, uint64_t sender, uint64_t serial,
                      const uint8_t *bytes, size_t size)
{
    struct mf_loaded *place = find_loaded(c, sender, serial);
    int top = lua_gettop(L), count;

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (place->used == 0 || place->serial != serial || place->sender != sender) {
        if (bytes == NULL)
            return MF_DECODE_CORRUPT;
        count = mf__decode(L, c, bytes, size);
        if (count != 1) {
            lua_settop(L, top);
            return count < 0 ? count : MF_DECODE_CORRUPT;
        }
        place = find_loaded(c, sender, serial); /* decoding may have loaded another one */
        mf__codec_push(L, c, MF_FIELD_LOADED);
        lua_pushvalue(L, -2);
        lua_rawseti(L, -2, place - c->loaded + 1);
        lua_pop(L, 1);
        *place = (struct mf_loaded){.sender = sender, .serial = serial};
    } else {
        mf__codec_push(L, c, MF_FIELD_LOADED);
        lua_rawgeti(L, -1, place - c->loaded + 1);
        lua_remove(L, -2);
    }
    place->used = ++c->clock;
    return 0;
}
