/*
 * moonfork_lua.h - moonfork in a Lua state: what a C program that embeds Lua includes.
 *
 *     lua_State *L = luaL_newstate();
 *     luaL_openlibs(L);
 *     mf_lua_open(L, NULL);              // package.loaded.moonfork, and the module on the stack
 *     lua_pop(L, 1);
 *     ... run scripts that say: local mp = require "moonfork" ...
 *     if (mf_lua_leave(L, failed)) {     // join or end the children
 *         puts(luaL_tolstring(L, -1, NULL)); // why they cannot be joined
 *         mf_lua_leave(L, 1);
 *     }
 *     lua_close(L);                      // without mf_lua_leave: as mf_lua_leave(L, 0)
 *
 * Link with libmoonfork-lua.a and libmoonfork.a (pkg-config moonfork-lua).
 *
 * Each state that opens moonfork is the first process of a family of its own. All functions belong
 * to the thread that runs the state; that thread must outlive the children it starts. The library
 * installs no signal handler, never prints in the calling process, never exits, and reaps no child
 * that is not its own.
 */
#ifndef MOONFORK_LUA_H
#define MOONFORK_LUA_H

#include <lua.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef MF_API
#define MF_API __attribute__((visibility("default")))
#endif

/* What a host may say when it opens moonfork. Zero is the default of every field. */
typedef struct mf_lua_config {
    /*
     * Makes the host's own things known to a Lua state: registers C functions, sets globals. Runs
     * in every state of the family: in the first one inside mf_lua_open, and in the fresh state of
     * each child and worker before anything else does, with the same `arg` (a child has the memory
     * of its parent as it was at the fork). The globals that it sets are there in every process,
     * so they do not travel with functions that use them. An allocator that it sets must have its
     * memory from the one that it found (lua_getallocf): a child's is not malloc. It leaves the
     * stack as it found it. It may raise Lua errors: mf_lua_open raises the first one, a child dies
     * of its own with the message on stderr.
     */
    void (*on_state)(lua_State *L, void *arg);
    void *arg;
    size_t memory;  /* bytes that messages and shared objects may use; 0: half of the machine's */
    size_t reserve; /* bytes of address space for them; 0: chosen */
} mf_lua_config;

/*
 * Opens moonfork in a state whose standard libraries are open: pushes the module, as require
 * would, enters it into package.loaded, and returns 1. The configuration is copied. Opening it
 * again in the same state gives the same module, and ignores the configuration. Raises a Lua error
 * when the system gives no memory: a host that is to survive that calls it, as luaL_openlibs,
 * protected.
 */
MF_API int mf_lua_open(lua_State *L, const mf_lua_config *config);

/* mf_lua_open with the defaults, for require and for package.preload. */
MF_API int luaopen_moonfork(lua_State *L);

/*
 * The end of the main script. failed == 0: daemons are ended, all other children are joined,
 * however long they run. failed != 0: all children are ended at once (SIGTERM, after a second of
 * grace SIGKILL). Never raises. Returns LUA_OK when none is left; else, as lua_pcall does, a status
 * of Lua, with the error value on the stack: a text that tells when children wait for what can
 * never come, or what Lua's hooks have raised on a signal meanwhile. It may then be called again,
 * with failed != 0. Processes cannot be started afterwards. LUA_OK where moonfork is not open.
 * lua_close without it does the same as mf_lua_leave(L, 0), signals aside; exit() in the thread of
 * the state without either, as os.exit calls it, as mf_lua_leave(L, 1).
 */
MF_API int mf_lua_leave(lua_State *L, int failed);

/*
 * The runtime of a state, for the functions of moonfork.h; NULL where moonfork is not open, or has
 * been left. The state's still: valid until it is closed.
 */
struct mf_runtime;
MF_API struct mf_runtime *mf_lua_runtime(lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
