/* same.c - are two values the same: see same.h. */
#include "same.h"

#include "buffer.h"

#include <lauxlib.h>
#include <string.h>

struct comparison {
    lua_State *L;
    int there, back; /* stack indices of tables: address -> address of the counterpart */
    bool home;
};

static bool compare(struct comparison *c, int a, int b);

/* Notes that the two objects correspond: 1 when that is new, 0 when it is known, -1 when it
 * contradicts. */
static int pair(struct comparison *c, const void *a, const void *b)
{
    const void *there, *back;

    lua_rawgetp(c->L, c->there, a);
    lua_rawgetp(c->L, c->back, b);
    there = lua_touserdata(c->L, -2);
    back = lua_touserdata(c->L, -1);
    lua_pop(c->L, 2);
    if (there != NULL || back != NULL)
        return there == b && back == a ? 0 : -1;
    lua_pushlightuserdata(c->L, (void *)(uintptr_t)b);
    lua_rawsetp(c->L, c->there, a);
    lua_pushlightuserdata(c->L, (void *)(uintptr_t)a);
    lua_rawsetp(c->L, c->back, b);
    return 1;
}

static bool same_number(lua_State *L, int a, int b)
{
    lua_Number x = lua_tonumber(L, a), y = lua_tonumber(L, b);

    if (lua_isinteger(L, a) != lua_isinteger(L, b))
        return false;
    if (lua_isinteger(L, a))
        return lua_tointeger(L, a) == lua_tointeger(L, b);
    return memcmp(&x, &y, sizeof x) == 0;
}

static int entries(lua_State *L, int table)
{
    int n = 0;

    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1))
        n++;
    return n;
}

/* Pushes the key of table b that corresponds to the key at the top, which is a table. */
static bool push_counterpart(lua_State *L, int b)
{
    int key = lua_gettop(L);

    lua_rawgeti(L, key, 1);
    for (lua_pushnil(L); lua_next(L, b) != 0; lua_pop(L, 1)) {
        bool found = false;
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TTABLE) {
            lua_rawgeti(L, -1, 1);
            found = lua_rawequal(L, -1, key + 1);
            lua_pop(L, 1);
        }
        if (found) {
            lua_replace(L, key + 1);
            return true;
        }
        lua_pushnil(L);
    }
    return false;
}

/* The pair at the top (key, value) of a and its counterpart in b. */
static bool same_entry(struct comparison *c, int b)
{
    lua_State *L = c->L;
    int key = lua_gettop(L) - 1;

    lua_pushvalue(L, key);
    if (lua_type(L, key) == LUA_TTABLE && (!push_counterpart(L, b) || !compare(c, key, key + 3)))
        return false;
    lua_rawget(L, b);
    return compare(c, key + 1, lua_gettop(L));
}

static bool same_metatables(struct comparison *c, int a, int b)
{
    lua_State *L = c->L;
    int top = lua_gettop(L);
    bool same, has_a = lua_getmetatable(L, a), has_b = lua_getmetatable(L, b);

    if (!has_a || !has_b)
        return has_a == has_b;
    same = c->home ? lua_rawequal(L, top + 1, top + 2) : compare(c, top + 1, top + 2);
    lua_settop(L, top);
    return same;
}

static bool same_tables(struct comparison *c, int a, int b)
{
    lua_State *L = c->L;

    if (entries(L, a) != entries(L, b))
        return false;
    for (lua_pushnil(L); lua_next(L, a) != 0;) {
        int key = lua_gettop(L) - 1;
        if (!same_entry(c, b))
            return false;
        lua_settop(L, key);
    }
    return same_metatables(c, a, b);
}

static int append(lua_State *L, const void *bytes, size_t size, void *buffer)
{
    (void)L;
    return !mf__buffer_append(buffer, bytes, size);
}

static bool same_bytecode(lua_State *L, int a, int b)
{
    static mf_buffer x, y;

    x.used = y.used = 0;
    lua_pushvalue(L, a);
    lua_dump(L, append, &x, 0);
    lua_pushvalue(L, b);
    lua_dump(L, append, &y, 0);
    lua_pop(L, 2);
    return x.used == y.used && memcmp(x.data, y.data, x.used) == 0;
}

static bool same_functions(struct comparison *c, int a, int b)
{
    lua_State *L = c->L;
    const char *name;
    int top = lua_gettop(L);

    if (!same_bytecode(L, a, b))
        return false;
    for (int n = 1; (name = lua_getupvalue(L, a, n)) != NULL; n++) {
        int known = pair(c, lua_upvalueid(L, a, n), lua_upvalueid(L, b, n));
        bool global = strcmp(name, "_ENV") == 0;
        lua_getupvalue(L, b, n);
        if (!global && (known < 0 || (known > 0 && !compare(c, top + 1, top + 2))))
            return false;
        lua_settop(L, top);
    }
    return true;
}

static bool compare(struct comparison *c, int a, int b)
{
    lua_State *L = c->L;
    int type = lua_type(L, a), known;
    bool object = type == LUA_TTABLE || (type == LUA_TFUNCTION && !lua_iscfunction(L, a));

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (type != lua_type(L, b))
        return false;
    if (type == LUA_TNUMBER)
        return same_number(L, a, b);
    if (type == LUA_TUSERDATA)
        return memcmp(lua_touserdata(L, a), lua_touserdata(L, b), sizeof(uint64_t)) == 0;
    if (!object)
        return lua_rawequal(L, a, b);
    known = pair(c, lua_topointer(L, a), lua_topointer(L, b));
    if (known <= 0 || lua_rawequal(L, a, b)) /* a module, _G, a class that is at home */
        return known >= 0;
    return type == LUA_TTABLE ? same_tables(c, a, b) : same_functions(c, a, b);
}

bool same_values(lua_State *L, int a, int b, bool home)
{
    struct comparison c = {.L = L, .home = home};
    bool same;
    int top = lua_gettop(L);

    a = lua_absindex(L, a);
    b = lua_absindex(L, b);
    lua_newtable(L);
    c.there = lua_gettop(L);
    lua_newtable(L);
    c.back = lua_gettop(L);
    same = compare(&c, a, b);
    lua_settop(L, top);
    return same;
}
