/* The interactive mode: reads lines from stdin, runs them, prints what they give. Used by main.c.
 */

#ifndef MF_HOST_REPL_H
#define MF_HOST_REPL_H

#include <lua.h>

/* Returns at the end of stdin, or when a signal has asked the command to end. */
void mf__repl_run(lua_State *L);

#endif
