/* system.c - the clock, the processors, and which values are errors. */
#include "arena.h"
#include "cpu.h"
#include "module.h"
#include "slot.h"
#include "state.h"
#include "wait.h"

#include <unistd.h>

/* Sleeps a while, in which a parent looks after its workers, and anybody after the dead. */
static int nap(mf_runtime *rt, int64_t deadline)
{
    struct mf_said before;
    int64_t slice;
    int rc;
    do {
        slice = mf__now() + MF_LOOK_OFTEN;
        mf__wait_say(rt, MF_WAITS_TIME, 0, deadline, &before);
        rc = mf__sleep_until(rt->supervisors && slice < deadline ? slice : deadline);
        mf__wait_unsay(rt, &before);
        mf__wait_look_around(rt);
    } while (rc == 0 && mf__now() < deadline);
    return rc < 0 ? rc : MF_ETIMEOUT;
}

static int system_sleep(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0, 1, "a time of 0 seconds or more expected");
    int64_t deadline = mf__deadline(seconds), until;
    int rc;
    if (deadline == 0)
        return 0;
    do {
        until = mf__lua_slice(lua, deadline);
        rc = nap(lua->rt, until);
    } while (mf__lua_goes_on(L, lua, rc, until, deadline));
    return 0;
}

static int system_time(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)mf__now() / (lua_Number)MF_SECOND);
    return 1;
}

static int system_getpid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

static int system_cpu_count(lua_State *L)
{
    lua_pushinteger(L, mf__cpu_count());
    return 1;
}

static int system_is_error(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, mf__lua_is_error(L, 1));
    return 1;
}

void mf__open_system(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sleep", system_sleep},         {"time", system_time},         {"getpid", system_getpid},
        {"cpu_count", system_cpu_count}, {"is_error", system_is_error}, {NULL, NULL},
    };
    mf__lua_setfuncs(L, functions);
}
