/* The codec's context: what it keeps per Lua state. See codec.h and codec_state.h. */
#include "codec.h"

#include "codec_state.h"
#include "encode.h"

#include <lauxlib.h>

void mf__codec_push(lua_State *L, mf_codec *c, enum mf_codec_field field)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, c);
    lua_rawgeti(L, -1, field);
    lua_remove(L, -2);
}

void mf__codec_set(lua_State *L, mf_codec *c, enum mf_codec_field field)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, c);
    lua_insert(L, -2);
    lua_rawseti(L, -2, field);
    lua_pop(L, 1);
}

static int finalise(lua_State *L)
{
    mf_codec *c = lua_touserdata(L, 1);
    struct mf_encoder *e = c->all;

    while (e != NULL) {
        struct mf_encoder *next = e->next;
        mf__encoder_free(e);
        e = next;
    }
    c->all = c->spare = NULL;
    mf__modules_fini(&c->modules);
    return 0;
}

/* Gives the table at the top a field that is a table, with weak keys or values if `mode` says so.
 */
static void add_table(lua_State *L, enum mf_codec_field field, const char *mode)
{
    lua_newtable(L);
    if (mode != NULL) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, mode);
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    lua_rawseti(L, -2, field);
}

/* The metatable of the environments of decoded functions: what they do not hold is _G's. */
static void add_environment_meta(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_setfield(L, -2, "__newindex");
    lua_rawseti(L, -2, MF_FIELD_ENVIRONMENT_META);
}

mf_codec *mf__codec_new(lua_State *L, const struct mf_codec_hooks *hooks, uint64_t process_id)
{
    mf_codec *c;

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_createtable(L, MF_FIELD_FAILURE, 0);
    c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    if (hooks != NULL)
        c->hooks = *hooks;
    c->process_id = process_id;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    c->globals = lua_topointer(L, -1);
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finalise);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawseti(L, -2, MF_FIELD_SELF);
    add_table(L, MF_FIELD_CLASS_RECORDS, "k");
    add_table(L, MF_FIELD_CLASSES, "v");
    add_table(L, MF_FIELD_FINDABLE, NULL);
    add_table(L, MF_FIELD_ENVIRONMENTS, "k");
    add_environment_meta(L);
    add_table(L, MF_FIELD_PROTECTED, NULL);
    add_table(L, MF_FIELD_HOST, "v");
    add_table(L, MF_FIELD_CAPTURES, "k");
    add_table(L, MF_FIELD_LOADED, NULL);
    lua_rawsetp(L, LUA_REGISTRYINDEX, c);
    return c;
}
