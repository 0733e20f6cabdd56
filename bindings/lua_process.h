/*
 * lua_process.h - a Process as a Lua object: what its three files share.
 *
 * lua_process.c: the object, its class and fields, the children that run. lua_process_start.c: from
 * options to a child. lua_process_end.c: waiting, ending, the outcome. Methods are C functions with
 * the context and the metatable as upvalues 1 and 2.
 */
#ifndef MF_LUA_PROCESS_H
#define MF_LUA_PROCESS_H

#include "state.h"

/* One userdata; its user values: */
enum {
    SPEC = 1, /* the options, until it is started */
    NAME,
    RESULT,  /* the queue that brings the target's results or error, until they are here */
    OUTCOME, /* a table: n, then the results; or error = error object */
    VALUES = OUTCOME,
};

struct process {
    mf_process *p; /* NULL before the start and after close() */
    bool started, closed, daemon;
    bool self;   /* the current process, seen from inside */
    bool listed; /* among those that run */
};

/* --- lua_process.c --- */

/* The process at argument 1 of a method, started and not closed; raises otherwise, in the name of
 * the method `what`. */
struct process *mf__lua_process_started(lua_State *L, const char *what);

/* The name of the process at `idx`; the process keeps it. */
const char *mf__lua_process_name(lua_State *L, int idx);

/* Pushes a new process whose metatable is at `class`. */
struct process *mf__lua_process_push(lua_State *L, int class);

/* Enters the process at `idx` among those that run, or takes it out. */
void mf__lua_process_set_running(lua_State *L, int idx, struct process *s, bool running);

/* Has the process at `idx` ended? Does not wait. */
bool mf__lua_process_has_ended(lua_State *L, mf_lua *lua, int idx, struct process *s);

/* Reaps what has ended, so that no zombie stays for want of a join. */
void mf__lua_process_sweep(lua_State *L, mf_lua *lua);

/* --- lua_process_start.c: C functions for Lua --- */

int mf__lua_process_construct(lua_State *L); /* mp.Process */
int mf__lua_process_spawn(lua_State *L);     /* mp.spawn */
int mf__lua_process_start(lua_State *L);

/* --- lua_process_end.c: C functions for Lua --- */

int mf__lua_process_join(lua_State *L);
int mf__lua_process_is_alive(lua_State *L);
int mf__lua_process_terminate(lua_State *L);
int mf__lua_process_kill(lua_State *L);
int mf__lua_process_close(lua_State *L);
int mf__lua_process_get(lua_State *L);
int mf__lua_process_scope(lua_State *L);   /* __close */
int mf__lua_process_collect(lua_State *L); /* __gc */

#endif
