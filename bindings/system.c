/* system.c - the clock, the processors, and what tests want to know of the runtime. */
#include "arena.h"
#include "block.h"
#include "cpu.h"
#include "crash.h"
#include "module.h"
#include "object.h"
#include "slot.h"
#include "state.h"
#include "wait.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOOK (80 * MF_MSEC)

/* Sleeps a while, in which a parent looks after its workers, and anybody after the dead. */
static int nap(mf_runtime *rt, int64_t deadline)
{
    int64_t slice = mf__now() + LOOK;
    int rc = mf__sleep_until(rt->supervisors && slice < deadline ? slice : deadline);
    mf__wait_look_around(rt);
    return rc;
}

static int system_sleep(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0, 1, "a time of 0 seconds or more expected");
    int64_t deadline = mf__deadline(seconds);
    while (mf__now() < deadline) {
        int64_t until = mf__lua_slice(deadline);
        int rc = nap(lua->rt, until);
        mf__lua_goes_on(L, rc < 0 ? rc : MF_ETIMEOUT, until, deadline);
    }
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

/* --- for tests ----------------------------------------------------------------------------------
 */

static void set_count(lua_State *L, const char *name, uint64_t count)
{
    lua_pushinteger(L, (lua_Integer)count);
    lua_setfield(L, -2, name);
}

static int debug_counts(lua_State *L)
{
    mf_runtime *rt = mf__lua_upvalue(L)->rt;
    uint64_t slots = 0, top = mf__slot_top(rt);
    for (uint32_t i = 0; i < top; i++)
        slots += mf__phase(atomic_load(&mf__slot_at(rt, i)->state)) != MF_SLOT_FREE;
    lua_createtable(L, 0, 4);
    set_count(L, "blocks", mf__block_count(rt));
    set_count(L, "objects", mf__object_count(rt));
    set_count(L, "slots", slots);
    set_count(L, "late_wakes", atomic_load(&rt->arena->late_wakes));
    return 1;
}

#ifdef MF_FAULTS

/* Shared with the children of who first asks for it. */
static struct watch {
    _Atomic int32_t struck;
    _Atomic uint32_t visits[1024];
} * watch;

static void open_watch(lua_State *L)
{
    if (mf__crash_count() > sizeof watch->visits / sizeof *watch->visits)
        luaL_error(L, "too many crash points");
    if (!watch)
        watch =
            mmap(NULL, sizeof *watch, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (watch == MAP_FAILED)
        luaL_error(L, "no memory");
}

/* _crash(point, visit): SIGKILL there; see mf__crash_arm. */
static int debug_crash(lua_State *L)
{
    open_watch(L);
    int rc = mf__crash_arm(luaL_optstring(L, 1, NULL), (uint32_t)luaL_optinteger(L, 2, 1), SIGKILL,
                           &watch->struck);
    return rc < 0 ? luaL_error(L, "cannot arm: %s", mf_error_text(rc)) : 0;
}

/* _crash_struck(): the pid that was struck last since the call before, or 0. */
static int debug_crash_struck(lua_State *L)
{
    open_watch(L);
    lua_pushinteger(L, atomic_exchange(&watch->struck, 0));
    return 1;
}

/* _crash_visits(): a table, point -> visits since the call before; they are counted in this process
 * and its children. */
static int debug_crash_visits(lua_State *L)
{
    open_watch(L);
    mf__crash_tally(NULL);
    lua_createtable(L, 0, (int)mf__crash_count());
    for (uint32_t i = 0; i < mf__crash_count(); i++) {
        uint64_t n = atomic_exchange(&watch->visits[i], 0);
        lua_getfield(L, -1, mf__crash_name(i)); /* several places may share the name */
        n += (uint64_t)lua_tointeger(L, -1);
        lua_pop(L, 1);
        set_count(L, mf__crash_name(i), n);
    }
    mf__crash_tally(watch->visits);
    return 1;
}

#endif

void mf__open_system(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sleep", system_sleep},         {"time", system_time},         {"getpid", system_getpid},
        {"cpu_count", system_cpu_count}, {"is_error", system_is_error}, {NULL, NULL},
    };
    static const luaL_Reg debug[] = {
        {"counts", debug_counts},
#ifdef MF_FAULTS
        {"_crash", debug_crash},
        {"_crash_struck", debug_crash_struck},
        {"_crash_visits", debug_crash_visits},
#endif
        {NULL, NULL},
    };
    mf__lua_setfuncs(L, functions);
    lua_newtable(L);
    mf__lua_setfuncs(L, debug);
    lua_setfield(L, -2, "debug");
}
