/* start_method.c - mp.set_start_method, mp.get_start_method: see start_method.h. */
#include "start_method.h"

#include "module.h"
#include "zygote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- the names ----------------------------------------------------------------------------------
 */

void mf__lua_check_start_method(lua_State *L, int idx, int arg, const char *what)
{
    size_t size;
    const char *name = lua_type(L, idx) == LUA_TSTRING ? lua_tolstring(L, idx, &size) : NULL;
    bool known = name && (strcmp(name, "fork") == 0 || strcmp(name, "zygote") == 0);
    if (lua_isnil(L, idx) || (known && strlen(name) == size))
        return;
    if (name)
        lua_pushfstring(L, "%s\"fork\" or \"zygote\" expected, got \"%s\"", what, name);
    else
        lua_pushfstring(L, "%s\"fork\" or \"zygote\" expected, got %s", what,
                        luaL_typename(L, idx));
    luaL_argerror(L, arg, lua_tostring(L, -1));
}

/* --- making the zygote --------------------------------------------------------------------------
 */

/* In the zygote, before it makes children: requires the modules in the state that they will have.
 * Arguments: their names. */
static int require_all(lua_State *L)
{
    int n = lua_gettop(L);
    mf__lua_call_on_state(L);
    for (int i = 1; i <= n; i++) {
        lua_getglobal(L, "require");
        lua_pushvalue(L, i);
        lua_call(L, 1, 0);
    }
    return 0;
}

/* On the state's stack is the call of require_all, if there are modules. */
static int preload(void *arg, char *text, size_t room)
{
    lua_State *ready = arg;
    int n = lua_gettop(ready) - mf__lua_prepared_values();
    if (n == 0)
        return 0;
    if (lua_pcall(ready, n - 1, 0, 0) == LUA_OK) {
        lua_gc(ready, LUA_GCCOLLECT); /* files that nobody has closed, for one */
        return 0;
    }
    const char *message = lua_tostring(ready, -1);
    snprintf(text, room, "%s", message ? message : "a module has raised an error that is no text");
    return -1;
}

/* Protected, in the prepared state; arguments: the state of the creator, which has the list of
 * names on top. Modules may require moonfork, which is opened here: the zygote is no process of the
 * family. */
static int set_up(lua_State *L)
{
    lua_State *creator = lua_touserdata(L, 1);
    int n = (int)lua_rawlen(creator, -1);
    lua_settop(L, 0);
    luaopen_moonfork(L);
    lua_settop(L, 0);
    luaL_checkstack(L, n + 1, "preload: too many modules");
    lua_pushcfunction(L, require_all);
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(creator, -1, i);
        lua_pushstring(L, lua_tostring(creator, -1));
        lua_pop(creator, 1);
    }
    return n + 1;
}

/* What set_up has left is not for children that are forked. */
static void clear_up(mf_lua *lua)
{
    if (lua->ready)
        lua_settop(lua->ready, mf__lua_prepared_values());
}

static int open_zygote(mf_lua *lua, char *text, size_t room)
{
    int rc = mf_zygote_open(lua->rt, preload, lua->ready, text, room), error = errno;
    clear_up(lua);
    errno = error;
    return rc;
}

/* Puts the modules of the list, if there is one, before `preload`. */
static void set_up_for(lua_State *L, mf_lua *lua, int list)
{
    char text[1000];
    mf__lua_prepare(L, lua);
    lua->in_zygote = lua->made_ready;
    lua->loaders_in_zygote = lua->loaders;
    if (!list)
        return;
    lua_pushvalue(L, list);
    lua_pushcfunction(lua->ready, set_up);
    lua_pushlightuserdata(lua->ready, L);
    if (lua_pcall(lua->ready, 1, LUA_MULTRET, 0) != LUA_OK) {
        snprintf(text, sizeof text, "%s", lua_tostring(lua->ready, -1));
        clear_up(lua);
        luaL_error(L, "cannot make the zygote: %s", text);
    }
    lua_pop(L, 1);
}

static int let_hooks_run(lua_State *L)
{
    mf__lua_interrupted(L);
    return 0;
}

/* As mf__lua_again, but that a half-made zygote does not outlive the error of a hook. */
static bool goes_on(lua_State *L, mf_lua *lua, int rc)
{
    if (rc != MF_EINTR)
        return false;
    lua_pushcfunction(L, let_hooks_run);
    if (lua_pcall(L, 0, 0, 0) == LUA_OK)
        return true;
    mf_zygote_close(lua->rt);
    return lua_error(L);
}

/* The list of modules stands at `list`, or there is none: 0. */
static void make_zygote(lua_State *L, mf_lua *lua, int list)
{
    char text[1000] = "";
    int rc;
    do {
        if (!mf__zygote_is_there(lua->rt)) /* else it is half-made */
            set_up_for(L, lua, list);
        rc = open_zygote(lua, text, sizeof text);
    } while (goes_on(L, lua, rc));
    if (rc == MF_EZYGOTE)
        luaL_error(L, "cannot make the zygote: %s", text);
    if (rc < 0)
        luaL_error(L, "cannot make the zygote: %s", mf__lua_error_text(rc, errno));
}

bool mf__lua_start_method(lua_State *L, mf_lua *lua, int idx)
{
    bool by_zygote = lua_isnil(L, idx) ? lua->by_zygote : *lua_tostring(L, idx) == 'z';
    if (by_zygote && !lua->zygote_made)
        make_zygote(L, lua, 0);
    lua->zygote_made |= by_zygote;
    return by_zygote;
}

bool mf__lua_zygote_fits(const mf_lua *lua)
{
    return lua->loaders == lua->loaders_in_zygote;
}

/* --- functions ----------------------------------------------------------------------------------
 */

static void check_modules(lua_State *L, int list)
{
    bool fine = lua_istable(L, list);
    lua_Integer n = fine ? (lua_Integer)lua_rawlen(L, list) : 0;
    for (lua_Integer i = 1; i <= n && fine; i++) {
        fine = lua_rawgeti(L, list, i) == LUA_TSTRING;
        lua_pop(L, 1);
    }
    if (!fine)
        luaL_argerror(L, 2, "preload: a list of names of modules expected");
}

/* set_start_method(method, { preload = names }) */
static int set_start_method(lua_State *L)
{
    static const char *const options[] = {"preload", NULL};
    mf_lua *lua = mf__lua_upvalue(L);
    int list = 0;
    luaL_checktype(L, 1, LUA_TSTRING);
    mf__lua_check_start_method(L, 1, 1, "");
    bool by_zygote = *lua_tostring(L, 1) == 'z';
    if (!lua_isnoneornil(L, 2)) {
        mf__lua_check_options(L, 2, options);
        if (lua_getfield(L, 2, "preload") != LUA_TNIL) {
            check_modules(L, lua_gettop(L));
            list = lua_rawlen(L, -1) > 0 ? lua_gettop(L) : 0;
        }
    }
    if (list && !by_zygote)
        luaL_argerror(L, 2, "preload: only the method \"zygote\" loads modules beforehand");
    if (list && lua->zygote_made)
        luaL_argerror(L, 2,
                      "preload: the zygote has been made already; name its modules when you "
                      "ask for it first");
    if (by_zygote && !lua->zygote_made)
        make_zygote(L, lua, list);
    if (!by_zygote)
        mf_zygote_close(lua->rt);
    lua->zygote_made = lua->by_zygote = by_zygote;
    return 0;
}

static int get_start_method(lua_State *L)
{
    lua_pushstring(L, mf__lua_upvalue(L)->by_zygote ? "zygote" : "fork");
    return 1;
}

void mf__open_start_method(lua_State *L)
{
    static const luaL_Reg functions[] = {{"set_start_method", set_start_method},
                                         {"get_start_method", get_start_method},
                                         {NULL, NULL}};
    mf__lua_setfuncs(L, functions);
}
