/*
 * start_method.h - how children of this state's process are made: "fork", or "zygote", by a small
 * process that was forked early. See zygote.h.
 */
#ifndef MF_START_METHOD_H
#define MF_START_METHOD_H

#include "state.h"

/* Raises at argument `arg`, behind `what`, unless the value at `idx` is nil or a method's name. */
void mf__lua_check_start_method(lua_State *L, int idx, int arg, const char *what);

/* Is it "zygote", or nil and that the method of this process? Makes the zygote then, if there is
 * none yet: raises when it cannot be made. */
bool mf__lua_start_method(lua_State *L, mf_lua *lua, int idx);

/* After mf__lua_prepare: false when there are C loaders in package.preload now that the zygote may
 * not have in its memory, so that this child has to be forked. */
bool mf__lua_zygote_fits(const mf_lua *lua);

#endif
