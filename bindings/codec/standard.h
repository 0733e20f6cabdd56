/*
 * The names of the standard library's functions. Used by the codec: such a function travels by
 * name. May include: Lua and libc.
 *
 * The names come from a fresh Lua state, so that what a script replaced is told from the original
 * by its C function. The table is made with the first codec, never changes, and serves the whole
 * process to its end: a forked child inherits it.
 */
#ifndef MF_STANDARD_H
#define MF_STANDARD_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

/* Makes the table, if it is not there: before all that follow. False: no memory. */
bool mf__standard_prepare(void);

/* The name of `function` ("print", "string.format"), or NULL: it is not a standard one. */
const char *mf__standard_name(lua_CFunction function);

/*
 * In a forked child, before its Lua state is used: the standard function `name` (static text) is
 * `function`, without upvalues, from now on. For a few names.
 */
void mf__standard_replace(const char *name, lua_CFunction function);

/* Pushes the standard function of that name; false: there is none, nothing pushed. */
bool mf__standard_push(lua_State *L, const char *name, size_t size);

/* Is `name` a standard library that every state has ("string"; "_G" too)? */
bool mf__standard_library(const char *name);

/* Is the value at the top what the standard library has as the global `name`? Pops nothing. */
bool mf__standard_global(lua_State *L, const char *name);

#endif
