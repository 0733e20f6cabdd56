/*
 * fuzz_values.c - values of every sort there and back.
 *
 * The input builds a value: tables with any keys, cycles and shared parts, runs of numbers, strings
 * of all lengths, classes, closures that share upvalues, handles, what goes by name. The value goes
 * through the codec, through another process, and home, and must be the same each time. What is
 * left of the input then changes bytes of the message: so what the decoder gets is almost right.
 */
#include "fuzz_state.h"
#include "same.h"

#include <string.h>

enum { MOST_VALUES = 80, DEEPEST = 40, OBJECTS = 1, VALUE = 2 };

struct input {
    lua_State *L;
    const uint8_t *at, *end;
    int values, objects;
    lua_Integer keys;
    bool
        in_class; /* a class is a message of its own: what it refers to is not shared with others */
};

static uint64_t take(struct input *in, size_t size)
{
    uint64_t v = 0;
    size_t left = (size_t)(in->end - in->at);

    size = size < left ? size : left;
    memcpy(&v, in->at, size);
    in->at += size;
    return v;
}

static void push_value(struct input *in, int depth);

/* Puts the object at the top on the list of those that may come again. */
static void list(struct input *in)
{
    if (in->in_class)
        return;
    lua_pushvalue(in->L, -1);
    lua_rawseti(in->L, OBJECTS, ++in->objects);
}

/* --- scalars ------------------------------------------------------------------------------------
 */

static void push_float(lua_State *L, uint64_t bits)
{
    lua_Number number;

    memcpy(&number, &bits, sizeof number);
    lua_pushnumber(L, number);
}

/* Up to 39 bytes of the input, or up to 600 alike. */
static void push_string(struct input *in, bool is_long)
{
    static char bytes[600];
    size_t size = is_long ? take(in, 2) % 600 : take(in, 1) % 40;
    size_t left = (size_t)(in->end - in->at);

    if (is_long) {
        memset(bytes, (int)take(in, 1), size);
    } else {
        size = size < left ? size : left;
        memcpy(bytes, in->at, size);
        in->at += size;
    }
    lua_pushlstring(in->L, bytes, size);
    if (size > 40)
        list(in);
}

/* --- tables -------------------------------------------------------------------------------------
 */

/* A key of any type. */
static void push_key(struct input *in, int depth)
{
    lua_State *L = in->L;

    push_value(in, depth);
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER:
        if (lua_rawequal(L, -1, -1))
            return;
        break;
    case LUA_TSTRING:
    case LUA_TBOOLEAN: return;
    case LUA_TTABLE: /* in a table that has a number of its own */
        lua_createtable(L, 2, 0);
        lua_pushinteger(L, ++in->keys);
        lua_rawseti(L, -2, 1);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 2);
        list(in);
        return;
    default: break;
    }
    lua_pop(L, 1);
    lua_pushinteger(L, ++in->keys);
}

static void push_table(struct input *in, int depth)
{
    lua_State *L = in->L;
    uint8_t shape = (uint8_t)take(in, 1);

    lua_newtable(L);
    list(in);
    for (int i = 1; i <= (shape & 7); i++) {
        push_value(in, depth + 1);
        lua_rawseti(L, -2, i);
    }
    for (int i = 0; i < (shape >> 3 & 7); i++) {
        push_key(in, depth + 1);
        push_value(in, depth + 1);
        lua_rawset(L, -3);
    }
}

/* A list of numbers of one width, or floats; perhaps with another value in it. */
static void push_run(struct input *in, bool floats)
{
    lua_State *L = in->L;
    int n = (int)take(in, 2) % 300, shift = (int)take(in, 1) & 63, stranger = (int)take(in, 1);

    lua_createtable(L, n, 0);
    list(in);
    for (int i = 1; i <= n; i++) {
        if (floats)
            lua_pushnumber(L, i / 8.0);
        else
            lua_pushinteger(L, (lua_Integer)((uint64_t)i << shift));
        lua_rawseti(L, -2, i);
    }
    if (stranger > 0 && stranger <= n) {
        push_value(in, DEEPEST);
        lua_rawseti(L, -2, stranger);
    }
}

/* Tables in tables, as list items or as fields. */
static void push_deep(struct input *in)
{
    lua_State *L = in->L;
    int n = (int)take(in, 1);

    lua_pushboolean(L, 1);
    for (int i = 0; i < n; i++) {
        lua_createtable(L, 1, 1);
        lua_insert(L, -2);
        if (n & 1)
            lua_setfield(L, -2, "next");
        else
            lua_rawseti(L, -2, 1);
    }
}

/* An object of a module's class, or of one that travels by value, with a class of its own. */
static void push_object(struct input *in, int depth)
{
    lua_State *L = in->L;
    uint8_t kind = (uint8_t)take(in, 1);
    bool outer = in->in_class;

    push_table(in, depth);
    if (kind & 1) {
        lua_getfield(L, LUA_REGISTRYINDEX, kind & 2 ? "class" : "subclass");
    } else {
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -2, "__index");
        in->in_class = true;
        push_value(in, depth + 1);
        in->in_class = outer;
        lua_setfield(L, -2, "field");
    }
    lua_setmetatable(L, -2);
}

/* --- functions ----------------------------------------------------------------------------------
 */

static void push_closure(struct input *in, int depth)
{
    lua_State *L = in->L;
    lua_Integer which = (lua_Integer)(take(in, 1) % 5) + 1;

    lua_getfield(L, LUA_REGISTRYINDEX, "closures");
    push_value(in, depth + 1);
    push_value(in, depth + 1);
    lua_call(L, 2, 1);
    for (int i = 1; i <= 5; i++) {
        lua_rawgeti(L, -1, i);
        list(in);
        lua_pop(L, 1);
    }
    lua_rawgeti(L, -1, which);
    lua_remove(L, -2);
}

static void push_named(struct input *in)
{
    static const char *const fields[] = {"floor", "max", "huge"};
    static const char *const modules[] = {"math", "string", "_G", "fuzz"};
    lua_State *L = in->L;
    uint8_t which = (uint8_t)take(in, 1);

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (which < 128) {
        lua_getfield(L, -1, modules[which % 4]);
    } else {
        lua_getfield(L, -1, "math");
        lua_getfield(L, -1, fields[which % 3]);
        lua_remove(L, -2);
    }
    lua_remove(L, -2);
}

/* --- values -------------------------------------------------------------------------------------
 */

static void push_small(struct input *in, uint8_t kind)
{
    lua_State *L = in->L;

    switch (kind) {
    case 0: lua_pushboolean(L, (int)take(in, 1) & 1); break;
    case 1: lua_pushinteger(L, (int8_t)take(in, 1)); break;
    case 2: lua_pushinteger(L, (int16_t)take(in, 2)); break;
    case 3: lua_pushinteger(L, (int32_t)take(in, 4)); break;
    case 4: lua_pushinteger(L, (lua_Integer)take(in, 8)); break;
    case 5: push_float(L, take(in, 8)); break;
    case 6: lua_pushnumber(L, (int8_t)take(in, 1)); break;
    case 7: push_float(L, UINT64_C(0x7ff8000000000000) | take(in, 4)); break;
    case 8: lua_pushnumber(L, -0.0); break;
    case 9: lua_pushlightuserdata(L, NULL); break;
    case 10: push_string(in, false); break;
    case 11: push_string(in, true); break;
    case 12: fuzz_push_handle(L, take(in, 1) << 8, NULL); break;
    case 13: push_named(in); break;
    default: lua_pushnil(L); break;
    }
}

static void push_value(struct input *in, int depth)
{
    lua_State *L = in->L;
    uint8_t kind = (uint8_t)take(in, 1);

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (in->at == in->end || ++in->values > MOST_VALUES) {
        lua_pushboolean(L, 1);
        return;
    }
    kind %= 32;
    if (depth >= DEEPEST || kind < 16) {
        push_small(in, kind & 15);
        return;
    }
    switch (kind) {
    case 16:
    case 17:
    case 18:
        if (in->objects == 0 || in->in_class)
            lua_pushnil(L);
        else
            lua_rawgeti(L, OBJECTS, (lua_Integer)(take(in, 1) % (unsigned)in->objects) + 1);
        break;
    case 19: push_run(in, false); break;
    case 20: push_run(in, true); break;
    case 21: push_deep(in); break;
    case 22:
    case 23: push_object(in, depth); break;
    case 24:
    case 25:
    case 26: push_closure(in, depth); break;
    default: push_table(in, depth); break;
    }
}

/* --- a run --------------------------------------------------------------------------------------
 */

static mf_buffer message, again;

static void decode_one(lua_State *L, mf_codec *codec, const mf_buffer *b)
{
    PROMISE(mf__decode(L, codec, b->data, b->used) == 1);
}

/* Changes some bytes, and decodes what comes of it. */
static void decode_changed(struct fuzz_state *s, struct input *in)
{
    uint8_t *bytes;
    size_t size = message.used;
    int n, top = lua_gettop(s->L);

    for (int i = 0; i < 8 && in->at < in->end; i++) {
        size_t at = take(in, 2) % message.used;
        uint8_t how = (uint8_t)take(in, 1);
        if (how < 16)
            size = at;
        else if (how < 64)
            message.data[at] ^= (uint8_t)(1u << (how & 7));
        else
            message.data[at] = (uint8_t)take(in, 1);
    }
    bytes = malloc(size > 0 ? size : 1); /* of its size, so that a read beyond it is seen */
    PROMISE(bytes != NULL);
    memcpy(bytes, message.data, size);
    fuzz_state_limit(s, size);
    n = mf__decode(s->L, s->codec, bytes, size);
    fuzz_state_free(s);
    PROMISE(lua_gettop(s->L) == top + (n > 0 ? n : 0));
    free(bytes);
}

static int body(lua_State *L)
{
    struct input *in = lua_touserdata(L, 1);
    struct fuzz_state *s = fuzz_state();

    lua_settop(L, 0);
    lua_newtable(L);
    push_value(in, 0);
    message.used = again.used = 0;
    mf__encode(L, s->codec, VALUE, 1, "value", &message);
    decode_one(L, s->codec, &message);
    PROMISE(same_values(L, VALUE, VALUE + 1, true));
    lua_settop(L, VALUE);
    decode_one(L, s->other, &message);
    PROMISE(same_values(L, VALUE, VALUE + 1, false));
    mf__encode(L, s->other, VALUE + 1, 1, "value", &again);
    decode_one(L, s->codec, &again);
    PROMISE(same_values(L, VALUE, VALUE + 2, true));
    lua_settop(L, 0);
    decode_changed(s, in);
    return 0;
}

/* Two classes that stay: one of a module, one that inherits from it and travels by value. */
static void make_classes(lua_State *L)
{
    PROMISE(luaL_dostring(L, "local class = package.loaded.fuzz.Class\n"
                             "local subclass = setmetatable({ __name = 'Sub' }, class)\n"
                             "subclass.__index = subclass\n"
                             "return class, subclass") == LUA_OK);
    lua_setfield(L, LUA_REGISTRYINDEX, "subclass");
    lua_setfield(L, LUA_REGISTRYINDEX, "class");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct fuzz_state *s = fuzz_state();
    struct input in = {.L = s->L, .at = data, .end = data + size};

    if (!ready)
        make_classes(s->L);
    ready = true;
    lua_pushcfunction(s->L, body);
    lua_pushlightuserdata(s->L, &in);
    if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", luaL_tolstring(s->L, -1, NULL));
        abort();
    }
    fuzz_state_rest(s);
    return 0;
}
