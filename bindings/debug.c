/* debug.c - mp.debug: what the family is doing, for people, and what it has in use, for tests. */
#include "debug.h"

#include "block.h"
#include "crash.h"
#include "inspect.h"
#include "module.h"
#include "object.h"
#include "slot.h"

#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FIRST_REPORT (10 * MF_SECOND)

/* --- the dump -----------------------------------------------------------------------------------
 */

static void add_line(void *arg, const char *text)
{
    luaL_Buffer *b = arg;
    luaL_addstring(b, text);
    luaL_addchar(b, '\n');
}

/* dump(file): to anything that has a method `write`; io.stderr by default. */
static int debug_dump(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    luaL_Buffer b;
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_getfield(L, -1, LUA_IOLIBNAME);
        lua_getfield(L, -1, "stderr");
        lua_replace(L, 1);
    }
    if (!lua_isuserdata(L, 1) && !lua_istable(L, 1))
        luaL_argerror(L, 1, "an open file expected, or another object with a method 'write'");
    lua_settop(L, 1);
    lua_getfield(L, 1, "write");
    lua_pushvalue(L, 1);
    luaL_buffinit(L, &b);
    mf_dump(lua->rt, add_line, &b);
    luaL_pushresult(&b);
    lua_call(L, 2, 0);
    return 0;
}

/* --- MOONFORK_DEBUG -----------------------------------------------------------------------------
 */

void mf__debug_enable(mf_lua *lua)
{
    const char *wanted = getenv("MOONFORK_DEBUG");
    lua->reports = wanted && *wanted && strcmp(wanted, "0") != 0;
}

static void print_line(void *arg, const char *text)
{
    fprintf(arg, "%s\n", text);
}

static void report(lua_State *L, mf_lua *lua, const struct mf_call *call, int64_t waited)
{
    fflush(stdout);
    fprintf(stderr, "moonfork: the script has been waiting for %d s\n", (int)(waited / MF_SECOND));
    luaL_traceback(L, L, NULL, 0);
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_pop(L, 1);
    lua->rt->call = *call; /* it is this process's wait */
    mf_dump(lua->rt, print_line, stderr);
    lua->rt->call = (struct mf_call){0};
    fflush(stderr);
}

void mf__debug_waits(lua_State *L, mf_lua *lua, const struct mf_call *call)
{
    int64_t waited = mf__now() - call->since;
    if (lua->reported_since != call->since) {
        lua->reported_since = call->since;
        lua->next_report = FIRST_REPORT;
    }
    if (waited < lua->next_report)
        return;
    luaL_checkstack(L, 4, NULL);
    report(L, lua, call, waited);
    while (lua->next_report <= waited)
        lua->next_report *= 2;
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

void mf__open_debug(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"counts", debug_counts},
        {"dump", debug_dump},
#ifdef MF_FAULTS
        {"_crash", debug_crash},
        {"_crash_struck", debug_crash_struck},
        {"_crash_visits", debug_crash_visits},
#endif
        {NULL, NULL},
    };
    lua_newtable(L);
    mf__lua_setfuncs(L, functions);
    lua_setfield(L, -2, "debug");
}
