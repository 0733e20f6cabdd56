/* Messages of the command itself; see report.h. */

#include "report.h"

#include "interrupt.h"

#include <lauxlib.h>
#include <stdio.h>

static const char *command_name = "moonfork";

void mf__report_name(const char *name)
{
    command_name = name;
}

const char *mf__report_get_name(void)
{
    return command_name;
}

void mf__report_line(const char *text)
{
    fflush(stdout);
    if (command_name != NULL)
        fprintf(stderr, "%s: ", command_name);
    fprintf(stderr, "%s\n", text);
    fflush(stderr);
}

/* An object that says itself what it is (__tostring) is shown without a traceback. */
static int with_traceback(lua_State *L)
{
    const char *text = lua_tostring(L, 1);
    if (text == NULL) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
            return 1;
        text = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    }
    luaL_traceback(L, L, text, 1);
    return 1;
}

int mf__report_call(lua_State *L, int args, int results)
{
    int handler = lua_gettop(L) - args;
    lua_pushcfunction(L, with_traceback);
    lua_insert(L, handler);
    int status = lua_pcall(L, args, results, handler);
    lua_remove(L, handler);
    return status;
}

int mf__report_status(lua_State *L, int status)
{
    if (status == LUA_OK)
        return status;
    const char *text = lua_tostring(L, -1);
    if (mf__interrupt_signal() == 0)
        mf__report_line(text != NULL ? text : "(error object is not a string)");
    lua_pop(L, 1);
    return status;
}
