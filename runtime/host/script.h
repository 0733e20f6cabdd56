/* Runs what the command line and the environment name: LUA_INIT, the options -e -l -W, the
 * script. Used by main.c. Each function reports its error itself and gives Lua's status. */

#ifndef MF_HOST_SCRIPT_H
#define MF_HOST_SCRIPT_H

#include "commandline.h"

#include <lua.h>

/* Sets the global `arg`: the script at 0, its arguments from 1, what stands before it below 0. */
void mf__script_set_arg(lua_State *L, const struct mf__commandline *line);

/* The text in LUA_INIT_5_4 or LUA_INIT, or the file that it names with a leading `@`. */
int mf__script_run_init(lua_State *L);

/* -e, -l and -W, in their order, up to the first error. */
int mf__script_run_options(lua_State *L, const struct mf__commandline *line);

/* The script, with the present contents of `arg` as its arguments. */
int mf__script_run_main(lua_State *L, const struct mf__commandline *line);

/* A file without arguments; NULL is standard input. */
int mf__script_run_file(lua_State *L, const char *path);

#endif
