/* module.c - the module: require "moonfork". See moonfork_lua.h and module.h. */
#include "module.h"

#include "debug.h"
#include "moonfork.h"
#include "state.h"

#include <errno.h>
#include <string.h>

static const char module_key;

/* --- the Lua part, compiled in: see embed.cmake -------------------------------------------------
 */

struct mf__embedded {
    const char *name;
    const unsigned char *text;
    size_t size;
};

extern const struct mf__embedded mf__embedded_modules[];

void mf__embedded_load(lua_State *L, const char *name)
{
    for (const struct mf__embedded *m = mf__embedded_modules; m->name; m++) {
        if (strcmp(m->name, name) != 0)
            continue;
        lua_pushfstring(L, "=%s", name);
        if (luaL_loadbuffer(L, (const char *)m->text, m->size, lua_tostring(L, -1)) != LUA_OK)
            lua_error(L);
        lua_remove(L, -2);
        return;
    }
    luaL_error(L, "no part of the module is called %s", name);
}

/* --- opening ------------------------------------------------------------------------------------
 */

static void open_family(lua_State *L, const mf_lua_config *config)
{
    struct mf_arena_options options = {0};
    mf_lua *lua = mf__lua_new(L, config, false);
    mf_runtime *rt;
    if (config) {
        options.budget = config->memory;
        options.reserve = config->reserve;
    }
    int rc = mf_open(&options, &rt);
    if (rc < 0)
        luaL_error(L, "cannot open moonfork: %s", mf__lua_error_text(rc, errno));
    mf__debug_enable(lua);
    mf__lua_enter(L, lua, rt);
}

/* Once a family, in its first state: an opening that failed before goes on here. */
static void call_on_state(lua_State *L, mf_lua *lua)
{
    int top = lua_gettop(L);
    if (lua->child || lua->opened)
        return;
    lua->opened = true;
    if (!lua->config.on_state)
        return;
    lua->config.on_state(L, lua->config.arg);
    lua_settop(L, top);
    mf__codec_protect_globals(L, lua->codec, true);
}

static void make_module(lua_State *L)
{
    lua_createtable(L, 0, 32);
    mf__open_queue(L);
    mf__open_pipe(L);
    mf__open_lock(L);
    mf__open_process(L);
    mf__open_system(L);
    mf__open_debug(L);
    mf__open_pool(L);
    mf__open_start_method(L);
    mf__lua_push_error_class(L);
    lua_setfield(L, -2, "Error");
    lua_pushliteral(L, MF_VERSION);
    lua_setfield(L, -2, "version");
}

int mf_lua_open(lua_State *L, const mf_lua_config *config)
{
    luaL_checkversion(L);
    luaL_checkstack(L, 20, NULL);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key) == LUA_TTABLE)
        return 1;
    lua_pop(L, 1);
    if (!mf__lua_peek(L))
        open_family(L, config);
    make_module(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "moonfork");
    lua_pop(L, 1);
    call_on_state(L, mf__lua(L));
    return 1;
}

int luaopen_moonfork(lua_State *L)
{
    return mf_lua_open(L, NULL);
}
