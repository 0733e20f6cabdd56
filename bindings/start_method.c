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
    const char *name = lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : NULL;
    if (lua_isnil(L, idx) || (name && (strcmp(name, "fork") == 0 || strcmp(name, "zygote") == 0)))
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

struct preload {
    lua_State *ready;
    lua_State *L; /* the creator's, with the list of modules at `list`, or 0 */
    int list;
};

/* In the zygote, before it makes children: requires the modules in the state that they will have.
 * Argument: the preload. */
static int require_all(lua_State *L)
{
    const struct preload *p = lua_touserdata(L, 1);
    for (lua_Integer i = 1; lua_rawgeti(p->L, p->list, i) == LUA_TSTRING; i++) {
        lua_getglobal(L, "require");
        lua_pushstring(L, lua_tostring(p->L, -1));
        lua_pop(p->L, 1);
        lua_call(L, 1, 0);
    }
    return 0;
}

static int preload(void *arg, char *text, size_t room)
{
    struct preload *p = arg;
    lua_State *ready = p->ready;
    if (!p->list)
        return 0;
    lua_pushcfunction(ready, require_all);
    lua_pushlightuserdata(ready, p);
    if (lua_pcall(ready, 1, 0, 0) == LUA_OK)
        return 0;
    const char *message = lua_tostring(ready, -1);
    snprintf(text, room, "%s", message ? message : "a module has raised an error that is no text");
    return -1;
}

/* Modules may require moonfork, which is opened here: the zygote is no process of the family. */
static void open_in(lua_State *L, lua_State *ready)
{
    lua_pushcfunction(ready, luaopen_moonfork);
    if (lua_pcall(ready, 0, 0, 0) != LUA_OK)
        luaL_error(L, "cannot make the zygote: %s", lua_tostring(ready, -1));
}

/* The list of modules stands at `list`, or there is none: 0. */
static void make_zygote(lua_State *L, mf_lua *lua, int list)
{
    char text[1000] = "";
    mf__lua_prepare(L, lua);
    if (list)
        open_in(L, lua->ready);
    struct preload p = {.ready = lua->ready, .L = L, .list = list};
    int rc = mf_zygote_open(lua->rt, preload, &p, text, sizeof text);
    if (rc == MF_EZYGOTE)
        luaL_error(L, "cannot make the zygote: %s", text);
    if (rc < 0)
        luaL_error(L, "cannot make the zygote: %s", mf__lua_error_text(rc, errno));
    lua->in_zygote = lua->made_ready;
}

bool mf__lua_start_method(lua_State *L, mf_lua *lua, int idx)
{
    bool by_zygote = lua_isnil(L, idx) ? lua->by_zygote : *lua_tostring(L, idx) == 'z';
    if (by_zygote && !lua->zygote_made)
        make_zygote(L, lua, 0);
    lua->zygote_made |= by_zygote;
    return by_zygote;
}

/* --- functions ----------------------------------------------------------------------------------
 */

static void check_modules(lua_State *L, int list)
{
    if (!lua_istable(L, list))
        luaL_argerror(L, 2, "preload: a list of names of modules expected");
    for (lua_Integer i = 1; lua_geti(L, list, i) != LUA_TNIL; i++) {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_argerror(L, 2, "preload: a list of names of modules expected");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
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
            list = lua_gettop(L);
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
