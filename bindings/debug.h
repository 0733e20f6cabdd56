/*
 * debug.h - the reports that MOONFORK_DEBUG=1 asks for; for state.c, whose waits make them.
 *
 * In the first process of a family, when one wait of the script has lasted 10 seconds, and at each
 * doubling: its traceback and a dump of the family, on stderr. It is the one thing that the module
 * prints in the process of its user, who has asked for it.
 */
#ifndef MF_DEBUG_H
#define MF_DEBUG_H

#include "state.h"

/* Reads the environment, for a state that opens a family. */
void mf__debug_enable(mf_lua *lua);

/* A wait of a state with reports goes on: makes one if it is time. Holds nothing. */
void mf__debug_waits(lua_State *L, mf_lua *lua, const struct mf_call *call);

#endif
