/* The modules that are built into the command; see builtin.h. */

#include "builtin.h"

#include "moonfork_lua.h"

#include <lauxlib.h>

#ifdef MF_WITH_CJSON
int luaopen_cjson(lua_State *L);
int luaopen_cjson_safe(lua_State *L);
#endif

/* In every state of the family, the fresh ones of the children too. */
static void preload_everywhere(lua_State *L, void *arg)
{
    (void)arg;
    static const luaL_Reg modules[] = {
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

static int open_moonfork(lua_State *L)
{
    const mf_lua_config config = {.on_state = preload_everywhere};
    return mf_lua_open(L, &config);
}

void mf__builtin_preload(lua_State *L)
{
    preload_everywhere(L, NULL);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_moonfork);
    lua_setfield(L, -2, "moonfork");
    lua_pop(L, 1);
}
