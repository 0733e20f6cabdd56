/* child.c - the life of a child, in a fresh state that takes over what its parent's scripts stand
 * on. The state is made before the fork, once for all children of a process, and nobody has run
 * anything in it: each child has a copy of its own. See state.h. */
#include "state.h"

#include "entropy.h"
#include "heap.h"
#include "module.h"
#include "preload.h"
#include "standard.h"

#include <errno.h>
#include <lualib.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char name_key;

/* --- before the fork, in the parent -------------------------------------------------------------
 */

/* Pushes a copy of the global `arg` without what cannot travel. */
static void push_arg(lua_State *L)
{
    lua_newtable(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushliteral(L, "arg");
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 2);
        lua_pushnil(L);
        return;
    }
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (!lua_isinteger(L, -2) || lua_type(L, -1) != LUA_TSTRING)
            continue;
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -6);
    }
    lua_pop(L, 1);
}

/* Pushes a field of package if it is a string, else nil. */
static void push_path(lua_State *L, const char *field)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushliteral(L, LUA_LOADLIBNAME);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_istable(L, -1)) {
        lua_pushstring(L, field);
        lua_rawget(L, -2);
        lua_remove(L, -2);
    }
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
}

#define RESULT 256 /* bytes of what a process returns, mostly */

enum { PATH = 1, CPATH, ROCKS, ARG, PRELOAD, LEGACY = PRELOAD };

/* --- in the child -------------------------------------------------------------------------------
 */

/* The state's end from inside: what `os.exit` does in a child. Finalisers that call it again while
 * the state is being closed end the process at once. */
static int child_exit(lua_State *L)
{
    int status = lua_isboolean(L, 1) ? (lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE)
                                     : (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
    mf_lua *lua = mf__lua_peek(L);
    mf_runtime *rt = lua->rt;
    if (lua->on_exit && !lua->exiting)
        lua->on_exit(L, status);
    if (rt && !lua->exiting) {
        lua->exiting = true;
        mf__heap_close(L);
    }
    if (rt)
        mf_process_exit(rt, status);
    _exit(status & 0xff);
}

/* After what is buffered, in one system call if the system lets it. */
static void write_out(const char *text, size_t size)
{
    fflush(stdout);
    while (size > 0) {
        ssize_t n = write(fileno(stdout), text, size);
        if (n < 0 && errno == EAGAIN) /* somebody has made it so that it does not wait */
            poll(&(struct pollfd){.fd = fileno(stdout), .events = POLLOUT}, 1, -1);
        else if (n < 0 && errno != EINTR)
            return;
        text += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

/* As Lua's own, but one write for all: lines of several processes do not mix. */
static int child_print(lua_State *L)
{
    luaL_Buffer b;
    size_t size;
    int n = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_addchar(&b, '\n');
    luaL_pushresult(&b);
    const char *text = lua_tolstring(L, -1, &size);
    write_out(text, size);
    return 0;
}

/* C code that calls exit() in a child takes the runtime's way out, not the parent's exit hooks. */
static void leave_at_exit(int status, void *rt)
{
    mf_process_exit(rt, status);
}

/* In the table of a library that every state has. */
static void replace(lua_State *L, const char *library, const char *name, lua_CFunction function)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, library);
    lua_pushcfunction(L, function);
    lua_setfield(L, -2, name);
    lua_pop(L, 2);
}

static void set_path(lua_State *L, int idx, const char *field)
{
    if (lua_isnil(L, idx))
        return;
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_pushvalue(L, idx);
    lua_setfield(L, -2, field);
    lua_pop(L, 1);
}

static void set_preload(lua_State *L, int idx)
{
    mf__preload_set(L, idx);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_moonfork);
    lua_setfield(L, -2, "moonfork");
    lua_pop(L, 1);
}

static void seed_random(lua_State *L, const struct mf_lua_child *child)
{
    lua_getglobal(L, LUA_MATHLIBNAME);
    lua_getfield(L, -1, "randomseed");
    lua_pushinteger(L, child->has_seed ? child->seed : (lua_Integer)mf__entropy());
    lua_pushinteger(L, child->has_seed ? child->stream : (lua_Integer)mf__entropy());
    lua_call(L, 2, 0);
    lua_pop(L, 1);
}

static void call_on_state(lua_State *L, mf_lua *lua)
{
    int top = lua_gettop(L);
    lua->config.on_state(L, lua->config.arg);
    lua_settop(L, top);
    mf__codec_protect_globals(L, lua->codec, true);
}

/* The context of the state is this child's from now on. */
static void settle_in(lua_State *L, mf_lua *lua, const struct mf_lua_child *child)
{
    mf__codec_rename(lua->codec, mf__serial(child->rt));
    mf__standard_replace("os.exit", child_exit);
    mf__standard_replace("print", child_print);
    lua->daemon = child->daemon;
    lua->parent_pid = (int)getppid();
    lua_pushstring(L, child->name ? child->name : "?");
    lua->name = lua_tostring(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &name_key);
}

/* Puts what is in the message on the stack, and into its places. */
static void take_over(lua_State *L, mf_lua *lua, const uint8_t *bytes, size_t size)
{
    lua_settop(L, 0);
    if (mf__decode(L, lua->codec, bytes, size) != LEGACY)
        luaL_error(L, "the parent's paths did not arrive");
    set_path(L, PATH, "path");
    set_path(L, CPATH, "cpath");
    lua_pushvalue(L, ARG);
    lua_setglobal(L, "arg");
    set_preload(L, PRELOAD);
}

/* What must not have happened before the fork. On the stack is what take_over left there. */
static void awake(lua_State *L, mf_lua *lua)
{
    if (lua->config.on_state && !lua->on_state_done) {
        call_on_state(L, lua);
        set_path(L, PATH, "path"); /* the parent's have what on_state adds to them */
        set_path(L, CPATH, "cpath");
    }
    if (lua_toboolean(L, ROCKS)) {
        lua_getglobal(L, "require");
        lua_pushliteral(L, "luarocks.loader");
        lua_pcall(L, 1, 0, 0);
    }
}

/* Arguments: what prepare_state left, the child. */
static int live(lua_State *L)
{
    const struct mf_lua_child *child = lua_touserdata(L, -1);
    mf_lua *lua = mf__lua_peek(L);
    settle_in(L, lua, child);
    seed_random(L, child);
    if (child->heritage_size)
        take_over(L, lua, child->heritage, child->heritage_size);
    awake(L, lua);
    lua_settop(L, 0);
    lua_pushcfunction(L, child->body);
    lua_pushlightuserdata(L, child->arg);
    lua_call(L, 1, 0);
    return 0;
}

/* The error value at the top, on stderr in one write. */
static void report(lua_State *L, const char *name)
{
    const char *text = lua_tostring(L, -1);
    if (mf__lua_is_error(L, -1)) {
        luaL_tolstring(L, -1, NULL);
        text = lua_tostring(L, -1);
    }
    fprintf(stderr, "moonfork: process %s (pid %d): %s\n", name ? name : "?", (int)getpid(),
            text ? text : "(error object is not a string)");
    fflush(stderr);
}

/* Protected, as it allocates. Arguments: the error value, the name. */
static int protected_report(lua_State *L)
{
    const char *name = lua_touserdata(L, 2);
    lua_settop(L, 1);
    report(L, name);
    return 0;
}

/* Lines up to this length are one write. Not from malloc, which tidies up the parent's heap for a
 * block of this size: that would copy all its pages. */
static void widen_stdout(void)
{
    static char room[64 * 1024]; /* of a process that is all ours */
    setvbuf(stdout, room, _IOLBF, sizeof room);
}

int mf__lua_run_child(const struct mf_lua_child *child)
{
    lua_State *L = child->parent->ready;
    widen_stdout();
    on_exit(leave_at_exit, child->rt);
    lua_pushcfunction(L, mf__lua_handler);
    lua_insert(L, 1);
    lua_pushcfunction(L, live);
    lua_insert(L, 2);
    lua_pushlightuserdata(L, (void *)(uintptr_t)child);
    int status = lua_pcall(L, LEGACY + 1, 0, 1);
    if (status != LUA_OK) {
        lua_pushcfunction(L, protected_report);
        lua_insert(L, -2);
        lua_pushlightuserdata(L, (void *)(uintptr_t)child->name);
        lua_pcall(L, 2, 0, 0);
    }
    mf__heap_close(L);
    return status == LUA_OK ? 0 : 1;
}

/* --- the state, before the fork -----------------------------------------------------------------
 */

/* glibc joins small free blocks when somebody asks for a large one. In a child that would copy all
 * pages of this heap that have such blocks, so it is done here, where it costs little. */
static void tidy_heap(void)
{
    void *volatile block = malloc(2048);
    free(block);
}

/* In the new state; argument: the parent. Leaves on the stack what the parent had noted. */
static int prepare_state(lua_State *L)
{
    const mf_lua *parent = lua_touserdata(L, 1);
    lua_settop(L, 0);
    luaL_openlibs(L);
    mf_lua *lua = mf__lua_new(L, &parent->config, true);
    mf__lua_enter(L, lua, parent->rt);
    mf__buffer_reserve(&lua->scratch, RESULT); /* else the child does, in its parent's heap */
    replace(L, LUA_OSLIBNAME, "exit", child_exit);
    replace(L, LUA_GNAME, "print", child_print);
    take_over(L, lua, parent->inherit.data, parent->inherit.used);
    return LEGACY;
}

/* A state for the children of L's process. Raises when there is no memory for it. */
static void make_ready(lua_State *L, mf_lua *lua)
{
    lua->made_ready++;
    lua_State *ready = lua->ready = mf__heap_newstate();
    if (!ready)
        luaL_error(L, "not enough memory");
    lua_pushcfunction(ready, prepare_state);
    lua_pushlightuserdata(ready, lua);
    if (lua_pcall(ready, 1, LEGACY, 0) != LUA_OK) {
        lua->inherit.used = 0; /* another one is made next time */
        luaL_error(L, "the state of a child: %s", lua_tostring(ready, -1));
    }
    lua_gc(ready, LUA_GCCOLLECT);
}

/* Encodes what a child takes over into lua->scratch. */
static void note_heritage(lua_State *L, mf_lua *lua)
{
    luaL_checkstack(L, 16, NULL);
    int first = lua_gettop(L) + 1;
    push_path(L, "path");
    push_path(L, "cpath");
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushliteral(L, "luarocks.loader");
    lua_rawget(L, -2);
    lua_remove(L, -2);
    lua_pushboolean(L, lua_toboolean(L, -1));
    lua_remove(L, -2);
    push_arg(L);
    mf__preload_push(L);
    lua->scratch.used = 0;
    mf__encode(L, lua->codec, first, LEGACY, "state", &lua->scratch);
    lua_settop(L, first - 1);
}

void mf__lua_prepare(lua_State *L, mf_lua *lua)
{
    tidy_heap();
    note_heritage(L, lua);
    mf_buffer *now = &lua->scratch, *before = &lua->inherit;
    if (lua->ready && now->used == before->used && memcmp(now->data, before->data, now->used) == 0)
        return;
    mf__lua_unprepare(lua);
    mf_buffer spare = *before;
    *before = *now;
    *now = spare;
    make_ready(L, lua);
}

void mf__lua_unprepare(mf_lua *lua)
{
    if (lua->ready)
        mf__heap_drop(lua->ready);
    lua->ready = NULL;
}

void mf__lua_add_heritage(lua_State *L, const mf_lua *lua, mf_buffer *b)
{
    if (lua->made_ready == lua->in_zygote)
        return;
    if (!mf__buffer_append(b, lua->inherit.data, lua->inherit.used))
        luaL_error(L, "not enough memory");
}

int mf__lua_prepared_values(void)
{
    return LEGACY;
}

void mf__lua_call_on_state(lua_State *L)
{
    mf_lua *lua = mf__lua_peek(L);
    if (lua->config.on_state)
        call_on_state(L, lua);
    lua->on_state_done = true;
}
