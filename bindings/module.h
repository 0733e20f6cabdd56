/*
 * module.h - the parts that make up the module. Each function adds the fields of one subject to the
 * module's table at the top of the stack.
 */
#ifndef MF_MODULE_H
#define MF_MODULE_H

#include <lua.h>

void mf__open_queue(lua_State *L);
void mf__open_pipe(lua_State *L);
void mf__open_lock(lua_State *L);
void mf__open_process(lua_State *L);
void mf__open_system(lua_State *L);
void mf__open_debug(lua_State *L);
void mf__open_pool(lua_State *L);
void mf__open_start_method(lua_State *L);

/* Pushes the compiled chunk of bindings/moonfork/X.lua, by the name "moonfork.X". */
void mf__embedded_load(lua_State *L, const char *name);

#endif
