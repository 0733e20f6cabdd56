/* minimal.c - a C program that embeds Lua and lets its scripts run in parallel. Workers call a C
 * function of it. Build with what `pkg-config --cflags --libs --static moonfork-lua` says. */
#include <lauxlib.h>
#include <lualib.h>
#include <moonfork_lua.h>
#include <stdio.h>

static int square(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    lua_pushinteger(L, n * n);
    return 1;
}

/* Runs in every Lua state of the family: here, and in each worker. */
static void on_state(lua_State *L, void *arg)
{
    (void)arg;
    lua_register(L, "square", square);
}

static const char script[] = "local mp = require 'moonfork'\n"
                             "local pool <close> = mp.Pool(4)\n"
                             "local squares = pool:map(function(n) return square(n) end,\n"
                             "                         {1, 2, 3, 4, 5, 6, 7, 8, 9, 10})\n"
                             "print('[' .. table.concat(squares, ', ') .. ']')\n";

int main(void)
{
    mf_lua_config config = {.on_state = on_state};
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    mf_lua_open(L, &config);
    int failed = luaL_dostring(L, script);
    if (failed)
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    if (mf_lua_leave(L, failed) != LUA_OK) { /* some children can never end by themselves */
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
        failed = 1;
        mf_lua_leave(L, failed);
    }
    lua_close(L);
    return failed;
}
