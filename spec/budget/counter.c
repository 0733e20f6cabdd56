/*
 * counter.c - the Lua module `counter`: the instructions of this process, as callgrind counts them.
 * Loaded before all else (LD_PRELOAD), it is also the clock that Lua takes its hash seed from. Used
 * by count.lua.
 */
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>
#include <valgrind/callgrind.h>

__attribute__((visibility("default"))) int luaopen_counter(lua_State *L);
__attribute__((visibility("default"))) time_t time(time_t *ret_now);

static time_t now;
static int dumps; /* callgrind numbers its files so, and goes on after a fork */

/* Instead of libc's. */
time_t time(time_t *ret_now)
{
    if (ret_now)
        *ret_now = now;
    return now;
}

/* seed(n): states that are made from now on, here and in children, have the n-th seed. */
static int seed(lua_State *L)
{
    now = (time_t)luaL_checkinteger(L, 1);
    return 0;
}

/* zero(): counts from here on. */
static int zero(lua_State *L)
{
    (void)L;
    CALLGRIND_ZERO_STATS;
    return 0;
}

/* dump() -> the number of the file in which callgrind has written what was counted. */
static int dump(lua_State *L)
{
    CALLGRIND_DUMP_STATS;
    lua_pushinteger(L, ++dumps);
    return 1;
}

/* A child would have its parent's count. */
static void zero_in_child(void)
{
    CALLGRIND_ZERO_STATS;
}

int luaopen_counter(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"seed", seed}, {"zero", zero}, {"dump", dump}, {NULL, NULL}};
    static bool registered;
    if (!registered)
        registered = pthread_atfork(NULL, NULL, zero_in_child) == 0;
    luaL_newlib(L, functions);
    return 1;
}
