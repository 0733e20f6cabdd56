/*
 * heap.h - the Lua state of children, in memory of its own.
 *
 * malloc would give a child the holes of its parent's heap: each one touched copies a page, which
 * costs more than the rest of the start. So the state of children, made before the fork, stands on
 * few pages that nothing else is on: small blocks (to 32 KiB) by size class, larger ones from
 * malloc. Nothing is given back to the system before the state's end. Used by child.c alone.
 */
#ifndef MF_HEAP_H
#define MF_HEAP_H

#include <lua.h>

/* A state as luaL_newstate makes it, or NULL. */
lua_State *mf__heap_newstate(void);

/* What lua_close does for scripts, at the end of the child: to-be-closed variables and finalisers.
 * The objects are left to the system, and nobody may use L afterwards. */
void mf__heap_close(lua_State *L);

/* lua_close, where the process goes on. */
void mf__heap_drop(lua_State *L);

#endif
