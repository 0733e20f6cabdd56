/*
 * same.h - are two values the same to every Lua program that could look at them? In C, for the fuzz
 * targets; spec/support/deep_equal.lua asks the same of the specs.
 *
 * Tells 1 from 1.0, -0.0 from 0.0 and one NaN from another; compares who shares what with whom
 * (tables, functions, upvalues), functions by bytecode and upvalues, but for what their globals
 * are. A table that is a key holds at [1] a number of its own, by which its counterpart is known.
 */
#ifndef MF_SAME_H
#define MF_SAME_H

#include <lua.h>

#include <stdbool.h>

/* Compares the values at the indices a and b. With `home` the metatables must be the same tables,
 * else only alike. */
bool same_values(lua_State *L, int a, int b, bool home);

#endif
