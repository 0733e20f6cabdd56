/* Runs what the command line and the environment name; see script.h. */

#include "script.h"

#include "report.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

void mf__script_set_arg(lua_State *L, const struct mf__commandline *line)
{
    /* Without a script the command itself is at 0. */
    int zero = line->script < line->argc ? line->script : 0;
    lua_createtable(L, line->argc - zero, zero + 1);
    for (int i = 0; i < line->argc; i++) {
        lua_pushstring(L, line->argv[i]);
        lua_rawseti(L, -2, i - zero);
    }
    lua_setglobal(L, "arg");
}

/* Calls the chunk on the stack if it could be loaded. */
static int run_loaded(lua_State *L, int load_status)
{
    if (load_status == LUA_OK)
        load_status = mf__report_call(L, 0, 0);
    return mf__report_status(L, load_status);
}

static int run_text(lua_State *L, const char *text, const char *chunk_name)
{
    return run_loaded(L, luaL_loadbuffer(L, text, strlen(text), chunk_name));
}

int mf__script_run_file(lua_State *L, const char *path)
{
    return run_loaded(L, luaL_loadfile(L, path));
}

int mf__script_run_init(lua_State *L)
{
    const char *name = "=LUA_INIT_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR;
    const char *text = getenv(name + 1);
    if (text == NULL) {
        name = "=LUA_INIT";
        text = getenv(name + 1);
    }
    if (text == NULL)
        return LUA_OK;
    if (text[0] == '@')
        return mf__script_run_file(L, text + 1);
    return run_text(L, text, name);
}

/* `-l mod` and `-l global=mod`. */
static int run_require(lua_State *L, const char *text)
{
    const char *equals = strchr(text, '=');
    const char *module = equals != NULL ? equals + 1 : text;
    if (equals != NULL)
        lua_pushlstring(L, text, (size_t)(equals - text));
    else
        lua_pushstring(L, text);

    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    int status = mf__report_call(L, 1, 1);
    if (status == LUA_OK)
        lua_setglobal(L, lua_tostring(L, -2));
    else
        mf__report_status(L, status);
    lua_pop(L, 1); /* the global's name */
    return status;
}

int mf__script_run_options(lua_State *L, const struct mf__commandline *line)
{
    int index = 0;
    int status = LUA_OK;
    char *text;
    char letter;
    while (status == LUA_OK && (letter = mf__commandline_next(line, &index, &text)) != 0) {
        if (letter == 'e')
            status = run_text(L, text, "=(command line)");
        else if (letter == 'l')
            status = run_require(L, text);
        else
            lua_warning(L, "@on", 0);
    }
    return status;
}

/* Pushes arg[1], arg[2] … as the script may have left them, and gives their number. */
static int push_arguments(lua_State *L)
{
    if (lua_getglobal(L, "arg") != LUA_TTABLE)
        luaL_error(L, "'arg' is not a table");
    int count = (int)luaL_len(L, -1);
    int table = lua_gettop(L);
    luaL_checkstack(L, count + 3, "too many arguments to script");
    for (int i = 1; i <= count; i++)
        lua_rawgeti(L, table, i);
    lua_remove(L, table);
    return count;
}

int mf__script_run_main(lua_State *L, const struct mf__commandline *line)
{
    const char *path = line->argv[line->script];
    int after_dashes = strcmp(line->argv[line->script - 1], "--") == 0;
    if (strcmp(path, "-") == 0 && !after_dashes)
        path = NULL; /* standard input */

    int status = luaL_loadfile(L, path);
    if (status == LUA_OK)
        status = mf__report_call(L, push_arguments(L), LUA_MULTRET);
    return mf__report_status(L, status);
}
