/* preload.h - what a child takes over of its parent's package.preload. Used by child.c. */
#ifndef MF_PRELOAD_H
#define MF_PRELOAD_H

#include "state.h"

/* Pushes a table of the loaders in package.preload, for a message: C functions as their addresses,
 * which are a child's too; Lua functions as messages of their own. Left out are C functions with
 * upvalues, and Lua functions that cannot be sent, or that bring queues along. */
void mf__preload_push(lua_State *L);

/* In the child: makes the loaders of that table, at idx, its own. A Lua function is decoded when
 * its module is required. */
void mf__preload_set(lua_State *L, int idx);

#endif
