/* The modules that are built into the command; see builtin.h. */

#include "builtin.h"

#include "interrupt.h"
#include "moonfork_lua.h"

#include <lauxlib.h>

#ifdef MF_WITH_CJSON
int luaopen_cjson(lua_State *L);
int luaopen_cjson_safe(lua_State *L);
#endif

static int forget_family(lua_State *L)
{
    (void)L;
    mf__interrupt_family(NULL);
    return 0;
}

/* The state is closed: whatever was made later is finalised first, the family last. */
static void forget_family_in_time(lua_State *L)
{
    static const char key;
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, forget_family);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

static int open_moonfork(lua_State *L)
{
    int results = mf_lua_open(L, NULL);
    forget_family_in_time(L);
    mf__interrupt_family(mf_lua_runtime(L));
    return results;
}

/* A child has what its parent's package.preload has. */
void mf__builtin_preload(lua_State *L)
{
    static const luaL_Reg modules[] = {
        {"moonfork", open_moonfork},
#ifdef MF_WITH_CJSON
        {"cjson", luaopen_cjson},
        {"cjson.safe", luaopen_cjson_safe},
#endif
        {NULL, NULL},
    };
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_setfuncs(L, modules, 0);
    lua_pop(L, 1);
}
