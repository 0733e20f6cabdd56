/* state.c - the context of a Lua state: see state.h. */
#include "state.h"

#include "debug.h"
#include "handle.h"

#include <string.h>

static const char context_key, listener_key;

/* The contexts of this thread's states in which a family began, for leave_at_exit. */
static _Thread_local mf_lua *open_contexts;

/* --- the context --------------------------------------------------------------------------------
 */

void *mf__lua_marked(lua_State *L, int idx, const void *mark)
{
    if (!lua_isuserdata(L, idx) || !lua_getmetatable(L, idx))
        return NULL;
    bool is_marked = lua_rawgetp(L, -1, mark) != LUA_TNIL;
    lua_pop(L, 2);
    return is_marked ? lua_touserdata(L, idx) : NULL;
}

mf_lua *mf__lua_peek(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key);
    mf_lua *lua = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return lua;
}

void mf__lua_push(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &context_key);
}

int mf__lua_unusable(lua_State *L, const mf_lua *lua)
{
    if (!lua)
        return luaL_error(L, "moonfork is not open in this Lua state");
    if (!lua->rt)
        return luaL_error(L, "moonfork has left this Lua state, which is being closed");
    if (lua->child && !lua->parent_pid)
        return luaL_error(L, "a module that the zygote loads beforehand cannot make or use queues, "
                             "locks and processes: do that in a function that a task calls");
    return luaL_error(L, "this process was forked by other means than moonfork's own: "
                         "the queues, locks and processes of its parent are out of its reach");
}

mf_lua *mf__lua(lua_State *L)
{
    mf_lua *lua = mf__lua_peek(L);
    if (!lua || !lua->rt || mf__alive(lua->rt) < 0)
        mf__lua_unusable(L, lua);
    return lua;
}

void mf__lua_setfuncs(lua_State *L, const luaL_Reg *functions)
{
    mf__lua_push(L);
    luaL_setfuncs(L, functions, 1);
}

void mf__lua_set_methods(lua_State *L, const luaL_Reg *functions, int class)
{
    mf__lua_push(L);
    lua_pushvalue(L, class);
    luaL_setfuncs(L, functions, 2);
}

void *mf__lua_self(lua_State *L)
{
    void *self = mf__lua_find_self(L);
    if (!self) {
        lua_getfield(L, lua_upvalueindex(2), "__name");
        const char *name = lua_tostring(L, -1);
        lua_pop(L, 1); /* its class keeps it; it must not look like an argument */
        luaL_typeerror(L, 1, name);
    }
    return self;
}

/* exit() without the end of the states, by os.exit or by the host, is an end all the same: the
 * children are ended with the programs that they have started, which would survive them. A process
 * that was forked by others ends nothing. */
__attribute__((destructor)) static void leave_at_exit(void)
{
    for (mf_lua *lua = open_contexts; lua; lua = lua->next)
        while (lua->rt && mf_process_leave(lua->rt, true) == MF_EINTR)
            ;
}

static void unlist(const mf_lua *lua)
{
    mf_lua **at = &open_contexts;
    while (*at && *at != lua)
        at = &(*at)->next;
    if (*at)
        *at = lua->next;
}

/* The end of the state. In a child the process goes on to mf_process_exit, which leaves. */
static int close_context(lua_State *L)
{
    mf_lua *lua = lua_touserdata(L, 1);
    mf_runtime *rt = lua->rt;
    unlist(lua);
    lua->rt = NULL;
    mf__buffer_fini(&lua->scratch);
    mf__buffer_fini(&lua->inherit);
    mf__lua_unprepare(lua);
    if (!rt || lua->child)
        return 0;
    int rc;
    while ((rc = mf_process_leave(rt, false)) == MF_EINTR)
        ;
    if (rc == MF_EDEADLOCK) {
        lua_warning(L, "moonfork: at the end of the script: ", 1);
        lua_warning(L, mf_deadlock_text(rt), 0);
    }
    mf_close(rt);
    return 0;
}

mf_lua *mf__lua_new(lua_State *L, const mf_lua_config *config, bool child)
{
    mf_lua *lua = lua_newuserdatauv(L, sizeof *lua, 0);
    memset(lua, 0, sizeof *lua);
    lua->name = "MainProcess";
    lua->child = child;
    if (config)
        lua->config = *config;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, close_context);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return lua;
}

void mf__lua_enter(lua_State *L, mf_lua *lua, mf_runtime *rt)
{
    lua->rt = rt;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua->L = lua_tothread(L, -1);
    lua_pop(L, 1);
    struct mf_codec_hooks hooks = mf__handle_hooks(lua);
    lua->codec = mf__codec_new(L, &hooks, mf__serial(rt));
    lua_rawsetp(L, LUA_REGISTRYINDEX, &context_key);
    if (lua->child)
        return;
    lua->next = open_contexts;
    open_contexts = lua;
}

void mf__lua_on_exit(mf_lua *lua, void (*on_exit)(lua_State *L, int status))
{
    lua->on_exit = on_exit;
}

/* Argument: has the script failed? */
static int leave(lua_State *L)
{
    mf_lua *lua = mf__lua_peek(L);
    bool failed = lua_toboolean(L, 1);
    if (!lua || !lua->rt || mf__alive(lua->rt) < 0)
        return 0;
    lua->left = true;
    int64_t until;
    int rc;
    do {
        until = mf__lua_slice(lua, MF_FOREVER);
        rc = mf__process_leave(lua->rt, failed, until);
    } while (mf__lua_goes_on(L, lua, rc, until, MF_FOREVER));
    if (rc == MF_EDEADLOCK)
        luaL_error(L, "at the end of the script: %s", lua->rt->deadlock);
    return 0;
}

int mf_lua_leave(lua_State *L, int failed)
{
    lua_pushcfunction(L, leave);
    lua_pushboolean(L, failed);
    return lua_pcall(L, 1, 0, 0);
}

mf_runtime *mf_lua_runtime(lua_State *L)
{
    mf_lua *lua = mf__lua_peek(L);
    return lua ? lua->rt : NULL;
}

/* --- arguments and outcomes ---------------------------------------------------------------------
 */

const char *mf__lua_error_text(int code, int error)
{
    return code == MF_ESYS ? strerror(error) : mf_error_text(code);
}

int mf__lua_fail(lua_State *L, int code)
{
    lua_pushnil(L);
    lua_pushstring(L, mf_error_text(code));
    lua_pushstring(L, mf_error_name(code));
    return 3;
}

int mf__lua_raise_deadlock(lua_State *L, const mf_lua *lua)
{
    mf__lua_push_error(L, "deadlock", "join: %s", mf_deadlock_text(lua->rt));
    lua_pushinteger(L, lua->rt->deadlock_pid);
    lua_setfield(L, -2, "pid");
    return lua_error(L);
}

int mf__lua_raise(lua_State *L, int code, const char *what)
{
    return luaL_error(L, "%s: %s", what, mf_error_text(code));
}

static int bad_timeout(lua_State *L, int arg, const char *got, const char *hint)
{
    lua_pushfstring(L, "timeout in seconds expected, got %s%s%s", got, hint ? ": " : "",
                    hint ? hint : "");
    return luaL_argerror(L, arg, lua_tostring(L, -1));
}

int64_t mf__lua_deadline(lua_State *L, int arg, const char *hint)
{
    int type = lua_type(L, arg);
    if (type <= LUA_TNIL)
        return MF_FOREVER;
    if (type != LUA_TNUMBER)
        bad_timeout(L, arg, luaL_typename(L, arg), hint);
    lua_Number seconds = lua_tonumber(L, arg);
    if (seconds != seconds)
        bad_timeout(L, arg, "NaN", NULL);
    return seconds <= 0 ? 0 : mf__deadline(seconds);
}

/* Pushes a Lua function that does nothing: count hooks run only in those. */
static void push_listener(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &listener_key) == LUA_TFUNCTION)
        return;
    lua_pop(L, 1);
    if (luaL_loadbuffer(L, "", 0, "=moonfork") != LUA_OK)
        lua_error(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &listener_key);
}

/* A signal handler sets its hook in the main thread; this may be a coroutine. The hook runs here,
 * and when it takes itself away, here, it is taken away there too: it is to run once. */
static void run_hook_of(lua_State *L, lua_State *main, lua_Hook hook)
{
    lua_Hook own = lua_gethook(L);
    int own_mask = lua_gethookmask(L), own_count = lua_gethookcount(L);
    lua_sethook(L, hook, lua_gethookmask(main), lua_gethookcount(main));
    int status = lua_pcall(L, 0, 0, 0);
    if (lua_gethook(L) == NULL && lua_gethook(main) == hook)
        lua_sethook(main, NULL, 0, 0);
    lua_sethook(L, own, own_mask, own_count);
    if (status != LUA_OK)
        lua_error(L);
}

void mf__lua_interrupted(lua_State *L)
{
    lua_State *main = mf__lua(L)->L;
    lua_Hook hook = lua_gethook(main);
    luaL_checkstack(L, 2, NULL);
    push_listener(L);
    if (main != L && hook && hook != lua_gethook(L))
        run_hook_of(L, main, hook);
    else
        lua_call(L, 0, 0);
}

bool mf__lua_goes_on(lua_State *L, mf_lua *lua, int rc, int64_t until, int64_t deadline)
{
    struct mf_call call = lua->rt->call;
    lua->rt->call = (struct mf_call){0}; /* a hook may raise, or wait for something of its own */
    bool again = rc == MF_EINTR || (rc == MF_ETIMEOUT && until < deadline);
    if (again && (rc == MF_EINTR || lua_gethook(lua->L)))
        mf__lua_interrupted(L);
    if (again && lua->reports && call.since)
        mf__debug_waits(L, lua, &call);
    if (again)
        lua->rt->call = call;
    return again;
}

/* --- options ------------------------------------------------------------------------------------
 */

/* How many letters differ: enough to tell a slip from another word. */
static int distance(const char *a, const char *b)
{
    enum { LONGEST = 24 };
    size_t n = strlen(b);
    int row[LONGEST + 1];
    if (n > LONGEST || strlen(a) > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (size_t i = 1; a[i - 1]; i++) {
        int corner = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            int change = corner + (a[i - 1] != b[j - 1]);
            int least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            corner = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[n];
}

static int unknown_option(lua_State *L, int arg, const char *const *names)
{
    const char *key = luaL_tolstring(L, -2, NULL);
    const char *nearest = NULL;
    int best = 3;
    luaL_Buffer b;
    for (int i = 0; names[i]; i++)
        if (distance(key, names[i]) < best) {
            best = distance(key, names[i]);
            nearest = names[i];
        }
    luaL_buffinit(L, &b);
    lua_pushfstring(L, "unknown option '%s'", key);
    luaL_addvalue(&b);
    if (nearest) {
        lua_pushfstring(L, ", did you mean '%s'?", nearest);
        luaL_addvalue(&b);
    }
    luaL_addstring(&b, "; known:");
    for (int i = 0; names[i]; i++) {
        luaL_addchar(&b, ' ');
        luaL_addstring(&b, names[i]);
    }
    luaL_pushresult(&b);
    return luaL_argerror(L, arg, lua_tostring(L, -1));
}

static bool is_known(lua_State *L, int key, const char *const *names)
{
    if (lua_type(L, key) != LUA_TSTRING)
        return false;
    for (; *names; names++)
        if (strcmp(lua_tostring(L, key), *names) == 0)
            return true;
    return false;
}

void mf__lua_check_options(lua_State *L, int arg, const char *const *names)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    luaL_checkstack(L, 6, NULL);
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1))
        if (!is_known(L, -2, names))
            unknown_option(L, arg, names);
}
