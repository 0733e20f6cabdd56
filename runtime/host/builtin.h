/* The modules that are built into the command: moonfork, lua-cjson. Used by main.c. */

#ifndef MF_HOST_BUILTIN_H
#define MF_HOST_BUILTIN_H

#include <lua.h>

/* Enters them into package.preload; none is opened before a script requires it. */
void mf__builtin_preload(lua_State *L);

#endif
