/* embed_test.c - a C program that embeds Lua and opens moonfork as moonfork_lua.h says. Where the
 * module could be found otherwise, package.path and package.cpath are empty. */
#include "check.h"
#include "moonfork_lua.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

static lua_State *open_state(const mf_lua_config *config)
{
    lua_State *L = luaL_newstate();
    CHECK(L);
    luaL_openlibs(L);
    CHECK(luaL_dostring(L, "package.path, package.cpath = '', ''") == LUA_OK);
    mf_lua_open(L, config);
    lua_pop(L, 1);
    return L;
}

static void run(lua_State *L, const char *script)
{
    int status = luaL_dostring(L, script);
    if (status != LUA_OK)
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    CHECK(status == LUA_OK);
}

static void end(lua_State *L)
{
    CHECK(mf_lua_leave(L, 0) == LUA_OK);
    lua_close(L);
}

static void functions_that_use_the_module_travel(void)
{
    lua_State *L = open_state(NULL);
    run(L, "local mp = require 'moonfork'\n"
           "assert(mp.spawn(function() mp.sleep(0) return mp.getpid() end):get() ~= mp.getpid())\n"
           "local pool <close> = mp.Pool(1)\n"
           "assert(pool:apply(function() return mp == require 'moonfork' end))\n"
           "assert(pool:apply(function(f) return f == mp.sleep end, { mp.sleep }))\n");
    end(L);
}

static lua_Alloc counted;
static void *counted_ud;
static size_t allocations;

static void *count(void *ud, void *block, size_t old, size_t size)
{
    (void)ud;
    allocations++;
    return counted(counted_ud, block, old, size);
}

static int push_allocations(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)allocations);
    return 1;
}

static void count_allocations(lua_State *L, void *arg)
{
    (void)arg;
    allocations = 0;
    counted = lua_getallocf(L, &counted_ud);
    lua_setallocf(L, count, NULL);
    lua_register(L, "allocations", push_allocations);
}

static void on_state_may_set_an_allocator(void)
{
    lua_State *L = open_state(&(mf_lua_config){.on_state = count_allocations});
    run(L, "local mp = require 'moonfork'\n"
           "local function work() return allocations() > 0 end\n"
           "local q = mp.Queue()\n"
           "local p = mp.spawn(function()\n"
           "    last = setmetatable({}, { __gc = function() q:put('finaliser') end })\n"
           "    return work()\n"
           "end)\n"
           "assert(p:get() and p.exitcode == 0 and q:get(0) == 'finaliser')\n"
           "p = mp.spawn(function() os.exit(allocations() > 0 and 7 or 1) end)\n"
           "p:join()\n"
           "assert(p.exitcode == 7)\n"
           "local pool <close> = mp.Pool(2)\n"
           "assert(pool:apply(work))\n");
    end(L);
}

static void leaving_tells_what_children_wait_for(void)
{
    lua_State *L = open_state(NULL);
    run(L, "local mp = require 'moonfork'\n"
           "local q = mp.Queue()\n"
           "mp.spawn(function() q:get() end)\n");
    int top = lua_gettop(L);
    CHECK(mf_lua_leave(L, 0) == LUA_ERRRUN && lua_gettop(L) == top + 1);
    CHECK(strstr(lua_tostring(L, -1), "end of the script: "));
    CHECK(mf_lua_leave(L, 1) == LUA_OK && lua_gettop(L) == top + 1);
    end(L);
}

static void leaving_is_fine_where_the_module_is_not_open(void)
{
    lua_State *L = luaL_newstate();
    CHECK(L && mf_lua_leave(L, 0) == LUA_OK && lua_gettop(L) == 0);
    lua_close(L);
}

int main(void)
{
    RUN(functions_that_use_the_module_travel);
    RUN(on_state_may_set_an_allocator);
    RUN(leaving_tells_what_children_wait_for);
    RUN(leaving_is_fine_where_the_module_is_not_open);
    return 0;
}
