/* The modules that are built into the command; see modules.h. */

#include "modules.h"

#include <lauxlib.h>

#ifdef MF_WITH_BINDINGS
#include "moonfork_lua.h"
#endif

#ifdef MF_WITH_CJSON
int luaopen_cjson(lua_State *L);
int luaopen_cjson_safe(lua_State *L);
#endif

static const luaL_Reg builtin[] = {
#ifdef MF_WITH_BINDINGS
    {"moonfork", luaopen_moonfork},
#endif
#ifdef MF_WITH_CJSON
    {"cjson", luaopen_cjson},
    {"cjson.safe", luaopen_cjson_safe},
#endif
    {NULL, NULL},
};

void mf__modules_preload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_setfuncs(L, builtin, 0);
    lua_pop(L, 1);
}

void mf__modules_leave(lua_State *L, int failed)
{
#ifdef MF_WITH_BINDINGS
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    int opened = lua_getfield(L, -1, "moonfork") != LUA_TNIL;
    lua_pop(L, 2);
    if (opened)
        mf_lua_leave(L, failed);
#else
    (void)L;
    (void)failed;
#endif
}
