/* The globals of functions on their way; see environment.h. */
#include "environment.h"

#include "bytecode.h"
#include "capture.h"
#include "codec_state.h"
#include "modules.h"
#include "standard.h"

#include <lauxlib.h>

/*
 * MF_SLOT_ENVIRONMENTS holds, for the body that is being written: [k] the environment of number
 * k - 1, [-k] the set of names read in it, QUEUE the names still to be looked at, each after its
 * k, and STANDARD the same of those that are the standard library's.
 */
enum { QUEUE = 1000, STANDARD = 1001 };

static int index_it(lua_State *L)
{
    lua_gettable(L, 1);
    return 1;
}

/* Pushes table[name] as the table's users see it, the table at `idx`, the name at the top, which it
   pops; nil where that raises. */
static void push_global(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    if (!lua_getmetatable(L, idx)) {
        lua_rawget(L, idx);
        return;
    }
    lua_pop(L, 1);
    lua_pushcfunction(L, index_it);
    lua_insert(L, -2);
    lua_pushvalue(L, idx);
    lua_insert(L, -2);
    if (!mf__codec_try(L, 2, 1)) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
}

/* Does the table at the top lead to _G? */
static bool leads_to_globals(struct mf_encoder *e)
{
    lua_State *L = e->L;
    bool leads;

    if (lua_topointer(L, -1) == e->codec->globals)
        return true;
    lua_pushliteral(L, "_G");
    push_global(L, -2);
    leads = lua_topointer(L, -1) == e->codec->globals;
    lua_pop(L, 1);
    return leads;
}

int mf__encode_environment_of(struct mf_encoder *e, const char *name)
{
    lua_State *L = e->L;
    const void *table = lua_topointer(L, -1);
    int k;

    if (!lua_istable(L, -1) || (strcmp(name, "_ENV") != 0 && strcmp(name, "(no name)") != 0))
        return MF_NO_ENVIRONMENT;
    for (k = 0; k < e->environment_count; k++)
        if (e->environments[k].table == table)
            return k;
    if (!leads_to_globals(e))
        return MF_NO_ENVIRONMENT;
    if (k == MF_ENVIRONMENTS)
        mf__encode_fail(e, "too many different environments (_ENV) in one message");
    e->environments[e->environment_count++] = (struct mf_environment){.table = table};
    mf__encode_push_slot(e, MF_SLOT_ENVIRONMENTS);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, k + 1);
    lua_newtable(L);
    lua_rawseti(L, -2, -(k + 1));
    lua_pop(L, 1);
    return k;
}

void mf__encode_environment(struct mf_encoder *e, int number)
{
    struct mf_environment *environment = &e->environments[number];
    size_t offset = e->out.used - e->body;

    /* The table itself may also stand in the message as a value: this is another address. */
    if (mf__encode_reference(e, (const char *)environment->table + 1))
        return;
    environment->offset = offset;
    mf__encode_tag(e, MF_TAG_ENVIRONMENT);
    mf__encode_tag(e, 0);
}

/* Appends (k, name at the top) to a list of MF_SLOT_ENVIRONMENTS; pops the name. */
static void enqueue(struct mf_encoder *e, int list, int number)
{
    lua_State *L = e->L;
    lua_Integer n;

    mf__encode_push_slot(e, MF_SLOT_ENVIRONMENTS);
    if (lua_rawgeti(L, -1, list) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, list);
    }
    n = (lua_Integer)lua_rawlen(L, -1);
    lua_pushinteger(L, number + 1);
    lua_rawseti(L, -2, n + 1);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, n + 2);
    lua_pop(L, 3);
}

void mf__encode_global_read(struct mf_encoder *e, int number, const char *name, size_t size)
{
    lua_State *L = e->L;

    mf__encode_push_slot(e, MF_SLOT_ENVIRONMENTS);
    lua_rawgeti(L, -1, -(number + 1));
    lua_pushlstring(L, name, size);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushboolean(L, 1);
        lua_rawset(L, -4);
        enqueue(e, QUEUE, number);
        lua_pop(L, 2);
    } else {
        lua_pop(L, 4);
    }
}

/* Pushes the environment's table, a name and its value: entry i of a list. -1: no such entry,
   nothing pushed; otherwise the environment's number. */
static int push_entry(struct mf_encoder *e, int list, int i)
{
    lua_State *L = e->L;
    int number, top = lua_gettop(L);

    mf__encode_push_slot(e, MF_SLOT_ENVIRONMENTS);
    if (lua_rawgeti(L, -1, list) == LUA_TNIL || lua_rawgeti(L, -1, 2 * i + 1) == LUA_TNIL) {
        lua_settop(L, top);
        return -1;
    }
    number = (int)lua_tointeger(L, -1) - 1;
    lua_rawgeti(L, -3, number + 1);
    lua_rawgeti(L, -3, 2 * i + 2);
    lua_pushvalue(L, -1);
    push_global(L, -3);
    lua_rotate(L, -6, 3);
    lua_pop(L, 3);
    return number;
}

/* Is the global at the top one that every process has from its host? */
static bool is_hosts(struct mf_encoder *e, const char *name)
{
    lua_State *L = e->L;
    bool same;

    mf__codec_push(L, e->codec, MF_FIELD_HOST);
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    same = !lua_isnil(L, -1) && lua_rawequal(L, -1, -3);
    lua_pop(L, 2);
    return same;
}

/* Writes the global at the top, called `name`, and pops it. */
static bool encode_global(struct mf_encoder *e, int number, const char *name, size_t size)
{
    struct mf_environment *environment = &e->environments[number];

    environment->own = true;
    e->out.data[e->body + environment->offset + 1] = 1;
    mf__encode_tag(e, MF_TAG_GLOBAL);
    mf__encode_varint(e, environment->offset);
    mf__encode_name(e, name, size);
    return mf__encode_part(e, "global", name);
}

bool mf__encode_globals(struct mf_encoder *e)
{
    lua_State *L = e->L;
    int number, base = lua_gettop(L);
    size_t size;

    if (lua_isnil(L, e->slots + 1 + MF_SLOT_ENVIRONMENTS))
        return true;
    for (int i = 0; (number = push_entry(e, QUEUE, i)) >= 0; i++) {
        const char *name = lua_tolstring(L, -2, &size);
        mf__watch_global(e);
        if (lua_isnil(L, -1) || is_hosts(e, name)) {
            lua_settop(L, base);
        } else if (mf__standard_global(L, name)) {
            lua_pop(L, 1);
            enqueue(e, STANDARD, number);
            lua_settop(L, base);
        } else {
            if (!encode_global(e, number, name, size))
                return false;
            lua_settop(L, base);
        }
    }
    for (int i = 0; (number = push_entry(e, STANDARD, i)) >= 0; i++) {
        const char *name = lua_tolstring(L, -2, &size);
        if (e->environments[number].own && !encode_global(e, number, name, size))
            return false;
        lua_settop(L, base);
    }
    lua_pushnil(L);
    lua_replace(L, e->slots + 1 + MF_SLOT_ENVIRONMENTS);
    return true;
}

bool mf__decode_environment(struct mf_decoder *d, bool shared, size_t offset)
{
    lua_State *L = d->L;
    uint8_t own;

    if (!mf__decode_byte(d, &own))
        return false;
    if (own) {
        lua_newtable(L);
        mf__codec_push(L, d->codec, MF_FIELD_ENVIRONMENT_META);
        lua_setmetatable(L, -2);
        mf__codec_push(L, d->codec, MF_FIELD_ENVIRONMENTS);
        lua_pushvalue(L, -2);
        lua_newtable(L);
        lua_rawset(L, -3);
        lua_pop(L, 1);
    } else {
        lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    }
    if (own || shared)
        mf__decode_remember(d, (lua_Integer)offset);
    return true;
}

/* Sets the global `name` to the value at the top in the environment under it, unless protected;
   notes what was shipped. */
static void set_shipped(struct mf_decoder *d, const char *name, size_t size)
{
    lua_State *L = d->L;
    int environment = lua_gettop(L) - 1;

    lua_pushlstring(L, name, size);
    mf__codec_push(L, d->codec, MF_FIELD_PROTECTED);
    lua_pushvalue(L, environment + 2);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pushvalue(L, environment + 2);
        lua_pushvalue(L, environment + 1);
        lua_rawset(L, environment);
        mf__codec_push(L, d->codec, MF_FIELD_ENVIRONMENTS);
        lua_pushvalue(L, environment);
        lua_rawget(L, -2);
        lua_pushvalue(L, environment + 2);
        lua_pushvalue(L, environment + 1);
        lua_rawset(L, -3);
    }
    lua_settop(L, environment + 1);
}

bool mf__decode_global(struct mf_decoder *d)
{
    lua_State *L = d->L;
    int top = lua_gettop(L);
    uint64_t offset;
    const char *name;
    size_t size;

    if (!mf__decode_varint(d, &offset))
        return false;
    mf__codec_push(L, d->codec, MF_FIELD_ENVIRONMENTS);
    if (offset > INT64_MAX || !mf__decode_recall(d, (lua_Integer)offset))
        return mf__decode_fail(d, MF_DECODE_CORRUPT);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TTABLE) /* it is no environment */
        return mf__decode_fail(d, MF_DECODE_CORRUPT);
    lua_pop(L, 1);
    if (!mf__decode_name(d, &name, &size) || !mf__decode_value(d))
        return false;
    set_shipped(d, name, size);
    lua_settop(L, top);
    return true;
}

/* Moves what a function changed among its shipped globals to _G: stack: environment, shipped. */
static void publish(lua_State *L, mf_codec *c)
{
    int environment = lua_gettop(L) - 1;

    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    mf__codec_push(L, c, MF_FIELD_PROTECTED);
    for (lua_pushnil(L); lua_next(L, environment + 1) != 0; lua_settop(L, environment + 4)) {
        lua_pushvalue(L, -2);
        if (lua_rawget(L, environment) == LUA_TNIL || lua_rawequal(L, -1, -2))
            continue;
        lua_pushvalue(L, environment + 4);
        lua_pushvalue(L, -2);
        lua_rawset(L, environment + 2);
        lua_pushvalue(L, environment + 4);
        lua_pushboolean(L, 1);
        lua_rawset(L, environment + 3);
        lua_pushvalue(L, environment + 4);
        lua_pushnil(L);
        lua_rawset(L, environment);
    }
    lua_settop(L, environment + 1);
}

/* Notes the globals that are there now and are not the standard library's. */
static void protect(lua_State *L, mf_codec *c, bool everywhere)
{
    int base = lua_gettop(L);

    mf__codec_push(L, c, MF_FIELD_PROTECTED);
    mf__codec_push(L, c, MF_FIELD_HOST);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    for (lua_pushnil(L); lua_next(L, base + 3) != 0; lua_settop(L, base + 4)) {
        if (lua_type(L, -2) != LUA_TSTRING || mf__standard_global(L, lua_tostring(L, -2)))
            continue;
        lua_pushvalue(L, -2);
        lua_pushboolean(L, 1);
        lua_rawset(L, base + 1);
        if (everywhere) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, base + 2);
        }
    }
    lua_settop(L, base);
}

void mf__codec_protect_globals(lua_State *L, mf_codec *c, bool everywhere)
{
    int base = lua_gettop(L);

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    mf__codec_push(L, c, MF_FIELD_ENVIRONMENTS);
    for (lua_pushnil(L); lua_next(L, base + 1) != 0; lua_settop(L, base + 2))
        publish(L, c);
    lua_settop(L, base);
    protect(L, c, everywhere);
}
