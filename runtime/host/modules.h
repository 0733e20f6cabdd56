/* The modules that are built into the command: moonfork, lua-cjson. Used by main.c. */

#ifndef MF_HOST_MODULES_H
#define MF_HOST_MODULES_H

#include <lua.h>

/* Enters them into package.preload; none is opened before a script requires it. */
void mf__modules_preload(lua_State *L);

/* The end of the main script. failed != 0 ends the children, else they are joined and the daemons
 * ended. Does nothing where moonfork was never required. May raise, and may be called again then.*/
void mf__modules_leave(lua_State *L, int failed);

#endif
