/*
 * heap.h - the Lua state of a child, in memory of its own.
 *
 * malloc would give a child the holes of its parent's heap: each one touched copies a page, which
 * costs more than the rest of the start. So a child's state gets fresh pages: small blocks (to 32
 * KiB) by size class, larger ones from malloc. Nothing is given back to the system before the
 * process ends. Used by child.c alone, in a process that is all its own.
 */
#ifndef MF_HEAP_H
#define MF_HEAP_H

#include <lua.h>

/* A state as luaL_newstate makes it, or NULL. */
lua_State *mf__heap_newstate(void);

/* lua_close, at the end of the process: memory is left to the system. */
void mf__heap_close(lua_State *L);

#endif
