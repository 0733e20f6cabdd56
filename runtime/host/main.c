/* The moonfork command: Lua 5.4's stand-alone interpreter with processes built in. A plain client
 * of moonfork.h and moonfork_lua.h. What it does with options, files and errors is what the manual
 * of Lua 5.4 says of `lua` in its section 7; what it does with signals is in interrupt.h. */

#include "commandline.h"
#include "help.h"
#include "interrupt.h"
#include "builtin.h"
#include "repl.h"
#include "report.h"
#include "script.h"

#include "moonfork_lua.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <unistd.h>

static void open_libraries(lua_State *L, const struct mf__commandline *line)
{
    if (line->flags & MF__IGNORES_ENV) { /* the package library looks for this */
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    luaL_openlibs(L);
    mf__builtin_preload(L);
    mf__script_set_arg(L, line);
    lua_gc(L, LUA_GCGEN, 0, 0);
}

/* Neither script nor option has said what to do: ask the user, or run what comes in on stdin. */
static int run_stdin(lua_State *L)
{
    if (!isatty(STDIN_FILENO))
        return mf__script_run_file(L, NULL);
    mf__help_lua_version();
    mf__repl_run(L);
    return LUA_OK;
}

/* All that the command line asks for, up to the first error. Gives Lua's status. */
static int run(lua_State *L, const struct mf__commandline *line)
{
    int has_script = line->script < line->argc;
    int status = LUA_OK;
    if (!(line->flags & MF__IGNORES_ENV))
        status = mf__script_run_init(L);
    if (status == LUA_OK)
        status = mf__script_run_options(L, line);
    if (status == LUA_OK && has_script)
        status = mf__script_run_main(L, line);
    if (status != LUA_OK)
        return status;
    if (line->flags & MF__WANTS_REPL)
        mf__repl_run(L);
    else if (!has_script && !(line->flags & (MF__WANTS_CHUNKS | MF__WANTS_VERSION)))
        status = run_stdin(L);
    return status;
}

/* Called by Lua in protected mode, with the command line as its argument; gives whether all went
 * well. Errors of the script have been reported when it returns. */
static int protected_run(lua_State *L)
{
    const struct mf__commandline *line = lua_touserdata(L, 1);
    luaL_checkversion(L);
    if (line->flags & MF__WANTS_VERSION)
        mf__help_lua_version();
    open_libraries(L, line);
    lua_settop(L, 0);
    lua_pushboolean(L, run(L, line) == LUA_OK);
    return 1;
}

/* The children do not outlive the script. A signal that comes while they are joined is an error
 * there, and then, as after a signal to the script, they are ended with no further errors raised.
 * Gives whether the script may still count as a success. */
static int leave_family(lua_State *L, int succeeded)
{
    int status = LUA_OK;
    if (mf__interrupt_signal() == 0)
        status = mf__report_status(L, mf_lua_leave(L, !succeeded));
    mf__interrupt_release();
    if (status != LUA_OK || mf__interrupt_signal() != 0)
        mf_lua_leave(L, 1);
    return succeeded && status == LUA_OK;
}

static int run_state(lua_State *L, struct mf__commandline *line)
{
    mf__interrupt_watch(L, mf__report_get_name());
    lua_pushcfunction(L, protected_run);
    lua_pushlightuserdata(L, line);
    int status = lua_pcall(L, 1, 1, 0);
    int succeeded = status == LUA_OK && lua_toboolean(L, -1);
    mf__report_status(L, status);
    succeeded = leave_family(L, succeeded);
    lua_close(L);
    return succeeded ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct mf__commandline line;
    if (argc > 0 && argv[0][0] != '\0')
        mf__report_name(argv[0]);
    const char *bad_option = mf__commandline_parse(argc, argv, &line);
    if (bad_option != NULL) {
        mf__help_bad_option(bad_option);
        return EXIT_FAILURE;
    }
    if (line.flags & MF__WANTS_HELP) {
        mf__help_usage(mf__report_get_name());
        return EXIT_SUCCESS;
    }
    if (line.flags & MF__WANTS_ABOUT) {
        mf__help_about();
        return EXIT_SUCCESS;
    }
    lua_State *L = luaL_newstate();
    if (L == NULL) {
        mf__report_line("cannot create state: not enough memory");
        return EXIT_FAILURE;
    }
    return run_state(L, &line);
}
