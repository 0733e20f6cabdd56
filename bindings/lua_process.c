/* lua_process.c - mp.Process, mp.spawn: a Lua function in a process of its own. What runs in the
 * child is in target.c. */
#include "handle.h"
#include "module.h"
#include "target.h"
#include "transfer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GRACE 1.0

static const char class_key, children_key, current_key;

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

/* --- the object ---------------------------------------------------------------------------------
 */

static struct process *to_process(lua_State *L)
{
    struct process *s = lua_touserdata(L, 1);
    if (s && lua_getmetatable(L, 1)) {
        bool same = lua_rawequal(L, -1, lua_upvalueindex(2));
        lua_pop(L, 1);
        if (same)
            return s;
    }
    luaL_typeerror(L, 1, "moonfork.Process");
    return NULL;
}

static const char *name_of(lua_State *L, int idx)
{
    lua_getiuservalue(L, idx, NAME);
    const char *name = lua_tostring(L, -1);
    lua_pop(L, 1); /* the process keeps it */
    return name;
}

/* A process that was started and not closed. */
static struct process *to_started(lua_State *L, const char *what)
{
    struct process *s = to_process(L);
    if (s->closed)
        luaL_error(L, "%s: process '%s' is closed", what, name_of(L, 1));
    if (s->self)
        luaL_error(L, "%s: a process cannot %s itself", what, what);
    if (!s->started)
        luaL_error(L, "%s: process '%s' is not started", what, name_of(L, 1));
    return s;
}

static void push_children(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &children_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &children_key);
}

/* Enters the process at `idx` among those that run, or takes it out. */
static void set_running(lua_State *L, int idx, struct process *s, bool running)
{
    if (s->listed == running)
        return;
    s->listed = running;
    idx = lua_absindex(L, idx);
    push_children(L);
    lua_pushvalue(L, idx);
    if (running)
        lua_pushboolean(L, 1);
    else
        lua_pushnil(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Has the process at `idx` ended? Does not wait. */
static bool has_ended(lua_State *L, mf_lua *lua, int idx, struct process *s)
{
    if (!s->started || !s->p)
        return s->closed;
    if (mf_process_join(lua->rt, s->p, 0) < 0)
        return false;
    set_running(L, idx, s, false);
    return true;
}

/* --- making one ---------------------------------------------------------------------------------
 */

static void push_default_name(lua_State *L, mf_lua *lua)
{
    lua->named++;
    if (lua->child)
        lua_pushfstring(L, "%s:%d", lua->name, (int)lua->named);
    else
        lua_pushfstring(L, "Process-%d", (int)lua->named);
}

/* Pushes a new process object with the metatable at `class`. */
static struct process *push_process(lua_State *L, int class)
{
    struct process *s = lua_newuserdatauv(L, sizeof *s, VALUES);
    *s = (struct process){.p = NULL};
    lua_pushvalue(L, class);
    lua_setmetatable(L, -2);
    return s;
}

static void check_target(lua_State *L, int idx, int arg, const char *name)
{
    if (lua_isfunction(L, idx))
        return;
    if (luaL_getmetafield(L, idx, "__call") != LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    lua_pushfstring(L, "%sfunction expected, got %s", name, luaL_typename(L, idx));
    luaL_argerror(L, arg, lua_tostring(L, -1));
}

static void check_args(lua_State *L, int idx, int arg, const char *name)
{
    if (lua_istable(L, idx) || lua_isnil(L, idx))
        return;
    lua_pushfstring(L, "%stable of arguments expected, got %s: write { ... } around them", name,
                    luaL_typename(L, idx));
    luaL_argerror(L, arg, lua_tostring(L, -1));
}

/* Checks the type of field `name` of the options at `idx` (nil is fine) and leaves it pushed. */
static int get_option(lua_State *L, int idx, int arg, const char *name, int type)
{
    int got = lua_getfield(L, idx, name);
    if (got == LUA_TNIL || got == type)
        return got;
    lua_pushfstring(L, "%s: %s expected, got %s", name, lua_typename(L, type),
                    lua_typename(L, got));
    return luaL_argerror(L, arg, lua_tostring(L, -1));
}

/* Makes a process of the options at `spec`, a table that is its own from now on. */
static struct process *make_process(lua_State *L, mf_lua *lua, int spec, int arg, int class)
{
    struct process *s = push_process(L, class);
    int self = lua_gettop(L);
    if (get_option(L, spec, arg, "name", LUA_TSTRING) == LUA_TNIL) {
        lua_pop(L, 1);
        push_default_name(L, lua);
    }
    lua_setiuservalue(L, self, NAME);
    get_option(L, spec, arg, "daemon", LUA_TBOOLEAN);
    s->daemon = lua_toboolean(L, -1);
    get_option(L, spec, arg, "stdin", LUA_TBOOLEAN);
    get_option(L, spec, arg, "keep_fds", LUA_TTABLE);
    if (get_option(L, spec, arg, "seed", LUA_TNUMBER) != LUA_TNIL && !lua_isinteger(L, -1))
        luaL_argerror(L, arg, "seed: a whole number expected");
    lua_pop(L, 4);
    lua_pushvalue(L, spec);
    lua_setiuservalue(L, self, SPEC);
    return s;
}

/* Process(target, args, options): as one table of options. */
static void positional(lua_State *L)
{
    check_target(L, 1, 1, "target: ");
    lua_settop(L, 3);
    check_args(L, 2, 2, "args: ");
    if (!lua_isnil(L, 3))
        luaL_checktype(L, 3, LUA_TTABLE);
    else {
        lua_newtable(L);
        lua_replace(L, 3);
    }
}

static void copy_table(lua_State *L, int from)
{
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
}

static int new_process(lua_State *L)
{
    static const char *const options[] = {"target", "args",     "name", "daemon",
                                          "stdin",  "keep_fds", "seed", NULL};
    mf_lua *lua = mf__lua_upvalue(L);
    bool keyword = lua_istable(L, 1) && lua_gettop(L) == 1;
    if (!keyword)
        positional(L);
    int arg = keyword ? 1 : 3;
    mf__lua_check_options(L, arg, options);
    copy_table(L, arg);
    int spec = lua_gettop(L);
    for (int i = 1; !keyword && i <= 2; i++) {
        lua_pushvalue(L, i);
        lua_setfield(L, spec, options[i - 1]);
    }
    lua_getfield(L, spec, "target");
    check_target(L, -1, 1, "target: ");
    lua_getfield(L, spec, "args");
    check_args(L, -1, arg, "args: ");
    make_process(L, lua, spec, arg, lua_upvalueindex(2));
    return 1;
}

/* --- start --------------------------------------------------------------------------------------
 */

/* Pushes the arguments of a call: their number. */
static int push_arguments(lua_State *L, int spec)
{
    if (lua_getfield(L, spec, "args") == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    int args = lua_gettop(L);
    lua_Integer n = luaL_len(L, args);
    if (lua_getfield(L, args, "n") == LUA_TNUMBER)
        n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (n < 0 || n > 1000000)
        luaL_error(L, "args: too many of them");
    luaL_checkstack(L, (int)n + LUA_MINSTACK, "args");
    for (lua_Integer i = 1; i <= n; i++)
        lua_geti(L, args, i);
    lua_remove(L, args);
    return (int)n;
}

/* Descriptors to be left open; pushes the memory they are in. */
static const int *push_fds(lua_State *L, int spec, size_t *ret_n)
{
    *ret_n = 0;
    if (lua_getfield(L, spec, "keep_fds") == LUA_TNIL)
        return NULL;
    size_t n = (size_t)luaL_len(L, -1);
    int *fds = lua_newuserdatauv(L, n * sizeof *fds + 1, 0);
    for (size_t i = 0; i < n; i++) {
        lua_geti(L, -2, (lua_Integer)i + 1);
        if (!lua_isinteger(L, -1))
            luaL_error(L, "keep_fds: a list of descriptors (whole numbers) expected");
        fds[i] = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    *ret_n = n;
    return fds;
}

/* Pushes memory with the handles that the child is to hold. */
static const uint64_t *push_handles(lua_State *L, mf_lua *lua, const struct mf_function *target,
                                    size_t args, uint64_t result, uint32_t *ret_n)
{
    const mf_buffer *b = &lua->scratch;
    uint32_t n = mf__message_handles(target->bytes, target->size, NULL, 0);
    uint32_t more = mf__message_handles(b->data + args, b->used - args, NULL, 0);
    uint64_t *handles = lua_newuserdatauv(L, (n + more + 1) * sizeof *handles, 0);
    mf__message_handles(target->bytes, target->size, handles, n);
    mf__message_handles(b->data + args, b->used - args, handles + n, more);
    handles[n + more] = result;
    *ret_n = n + more + 1;
    return handles;
}

/* Pushes a new queue for the results. */
static struct mf_handle *push_result_queue(lua_State *L, mf_lua *lua)
{
    mf_queue *q;
    int rc = mf_queue_new(lua->rt, 0, &q);
    if (rc < 0)
        mf__lua_raise(L, rc, "cannot start a process");
    mf__handle_push(L, lua, q);
    return lua_touserdata(L, -1);
}

static int cannot_start(lua_State *L, int rc, int error)
{
    return luaL_error(L, "cannot start a process: %s",
                      rc == MF_ESYS     ? strerror(error)
                      : rc == MF_ELIMIT ? "too many processes in this family"
                                        : mf_error_text(rc));
}

/* Starts the process at 1. The stack above it is free to use. */
static void start(lua_State *L, mf_lua *lua, struct process *s)
{
    struct mf_function target;
    struct mf_target job = {.parent = lua, .daemon = s->daemon};
    struct mf_start how = {.main = mf__target_main, .arg = &job, .daemon = s->daemon};
    luaL_checkstack(L, 20, NULL);
    lua_getiuservalue(L, 1, SPEC);
    int spec = lua_gettop(L);
    how.name = job.name = name_of(L, 1);
    how.keep_fds = push_fds(L, spec, &how.keep_fd_count);
    lua_getfield(L, spec, "stdin");
    how.keep_stdin = lua_toboolean(L, -1);
    job.has_seed = lua_getfield(L, spec, "seed") == LUA_TNUMBER;
    job.seed = lua_tointeger(L, -1);
    struct mf_handle *result = push_result_queue(L, lua);
    int queue = lua_gettop(L);
    job.result = result->handle;
    mf__lua_prepare(L, lua);
    size_t args = lua->scratch.used;
    int n = push_arguments(L, spec);
    lua_getfield(L, spec, "target");
    mf__function_capture(L, lua->codec, lua_gettop(L), "target", &target);
    mf__encode(L, lua->codec, lua_gettop(L) - n, n, "args", &lua->scratch);
    job.args_size = lua->scratch.used - args;
    how.handles = push_handles(L, lua, &target, args, job.result, &how.handle_count);
    job.target = target.bytes;
    job.target_size = target.size;
    job.args = lua->scratch.data + args;
    int rc = mf_process_start(lua->rt, &how, &s->p);
    int error = errno;
    lua->scratch.used = args;
    if (rc < 0)
        cannot_start(L, rc, error);
    s->started = true;
    lua_pushvalue(L, queue);
    lua_setiuservalue(L, 1, RESULT);
    lua_pushnil(L);
    lua_setiuservalue(L, 1, SPEC);
    lua_settop(L, 1);
    set_running(L, 1, s, true);
}

/* Reaps what has ended, so that no zombie stays for want of a join. */
static void sweep(lua_State *L, mf_lua *lua)
{
    push_children(L);
    int children = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, children); lua_pop(L, 1)) {
        struct process *s = lua_touserdata(L, -2);
        if (s->p && mf_process_join(lua->rt, s->p, 0) == 0) {
            s->listed = false;
            lua_pushvalue(L, -2);
            lua_pushnil(L);
            lua_rawset(L, children); /* of a field that lua_next has visited */
        }
    }
    lua_pop(L, 1);
}

static void start_checked(lua_State *L, mf_lua *lua, struct process *s)
{
    if (lua->left)
        luaL_error(L, "cannot start a process: the script has ended");
    sweep(L, lua);
    start(L, lua, s);
}

static int process_start(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = to_process(L);
    lua_settop(L, 1);
    if (s->closed)
        return luaL_error(L, "start: process '%s' is closed", name_of(L, 1));
    if (s->started || s->self)
        return luaL_error(L, "cannot start process '%s' twice", name_of(L, 1));
    start_checked(L, lua, s);
    return 1;
}

static int spawn(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    int n = lua_gettop(L);
    check_target(L, 1, 1, "");
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "target");
    lua_createtable(L, n - 1, 1);
    for (int i = 2; i <= n; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, i - 1);
    }
    lua_pushinteger(L, n - 1);
    lua_setfield(L, -2, "n");
    lua_setfield(L, -2, "args");
    struct process *s = make_process(L, lua, lua_gettop(L), 1, lua_upvalueindex(2));
    lua_replace(L, 1);
    lua_settop(L, 1);
    start_checked(L, lua, s);
    return 1;
}

/* --- waiting and ending -------------------------------------------------------------------------
 */

/* 0 or MF_ETIMEOUT. */
static int join(lua_State *L, mf_lua *lua, struct process *s, int64_t deadline)
{
    int64_t until;
    int rc;
    do {
        until = mf__lua_slice(deadline);
        rc = mf_process_join(lua->rt, s->p, until);
    } while (mf__lua_goes_on(L, rc, until, deadline));
    if (rc == 0)
        set_running(L, 1, s, false);
    else if (rc != MF_ETIMEOUT)
        mf__lua_raise(L, rc, "join");
    return rc;
}

static int process_join(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = to_started(L, "join");
    int64_t deadline = mf__lua_deadline(L, 2, NULL);
    lua_pushboolean(L, join(L, lua, s, deadline) == 0);
    return 1;
}

static int process_is_alive(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = to_process(L);
    if (s->closed)
        return luaL_error(L, "is_alive: process '%s' is closed", name_of(L, 1));
    lua_pushboolean(L, s->self || (s->started && !has_ended(L, lua, 1, s)));
    return 1;
}

static int send_signal(lua_State *L, const char *what, int signal)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = to_started(L, what);
    if (!has_ended(L, lua, 1, s))
        mf_process_signal(s->p, signal);
    return 0;
}

static int process_terminate(lua_State *L)
{
    return send_signal(L, "terminate", SIGTERM);
}

static int process_kill(lua_State *L)
{
    return send_signal(L, "kill", SIGKILL);
}

static void forget(lua_State *L, mf_lua *lua, struct process *s)
{
    mf_process_free(lua->rt, s->p);
    s->p = NULL;
    s->closed = true;
    for (int i = SPEC; i <= VALUES; i++) {
        if (i == NAME)
            continue;
        lua_pushnil(L);
        lua_setiuservalue(L, 1, i);
    }
}

static int process_close(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = to_process(L);
    if (s->self)
        return luaL_error(L, "close: a process cannot close itself");
    if (s->closed)
        return 0;
    if (s->started && !has_ended(L, lua, 1, s))
        return luaL_error(L, "close: process '%s' is still running: join it or end it first",
                          name_of(L, 1));
    forget(L, lua, s);
    return 0;
}

/* The end of a variable's scope: the process is joined, or ended when an error leaves the scope. */
static int process_scope(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = to_process(L);
    if (!s->started || !s->p)
        return 0;
    if (lua_isnoneornil(L, 2)) {
        join(L, lua, s, MF_FOREVER);
    } else {
        mf_process_end(lua->rt, s->p, GRACE);
        has_ended(L, lua, 1, s);
    }
    return 0;
}

static int process_collect(lua_State *L)
{
    mf_lua *lua = lua_touserdata(L, lua_upvalueindex(1));
    struct process *s = lua_touserdata(L, 1);
    if (s->p && lua->rt && mf__alive(lua->rt) == 0)
        mf_process_free(lua->rt, s->p);
    s->p = NULL;
    return 0;
}

/* --- the outcome --------------------------------------------------------------------------------
 */

static void set_integer(lua_State *L, const char *name, lua_Integer v)
{
    lua_pushinteger(L, v);
    lua_setfield(L, -2, name);
}

/* Pushes the error object of a process that ended without a word. */
static void push_silent_end(lua_State *L, int status)
{
    const char *name = name_of(L, 1);
    if (status == MF_PROCESS_UNKNOWN) {
        mf__lua_push_error(L, "died", "process '%s' ended; somebody else took its exit status",
                           name);
    } else if (status < 0) {
        mf__lua_push_error(L, "died", "process '%s' was killed by signal %d (%s)", name, -status,
                           strsignal(-status));
        set_integer(L, "signal", -status);
    } else {
        mf__lua_push_error(L, "exit", "process '%s' ended with status %d, without a result", name,
                           status);
    }
}

/* Pushes the outcome of the ended process: a table. */
static void push_outcome(lua_State *L, mf_lua *lua, struct process *s)
{
    lua_createtable(L, 1, 1);
    int outcome = lua_gettop(L);
    lua_getiuservalue(L, 1, RESULT);
    struct mf_handle *h = lua_touserdata(L, -1);
    int status = mf_process_status(s->p);
    int n = mf__transfer_get(L, lua, h->object, 0);
    if (n > 0 && lua_isboolean(L, -1)) {
        lua_pop(L, 1);
        for (int i = n - 1; i > 0; i--)
            lua_rawseti(L, outcome, i);
        lua_settop(L, outcome);
        set_integer(L, "n", n - 1);
        return;
    }
    if (n > 0)
        mf__lua_bless_error(L);
    else
        push_silent_end(L, status);
    set_integer(L, "pid", mf_process_pid(s->p));
    if (status != MF_PROCESS_UNKNOWN)
        set_integer(L, "exitcode", status);
    lua_setfield(L, outcome, "error");
    lua_settop(L, outcome);
}

static int process_get(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = to_started(L, "get");
    int64_t deadline = mf__lua_deadline(L, 2, NULL);
    lua_settop(L, 1);
    if (join(L, lua, s, deadline) == MF_ETIMEOUT) {
        mf__lua_push_error(L, "timeout", "process '%s' has not ended in time", name_of(L, 1));
        set_integer(L, "pid", mf_process_pid(s->p));
        return lua_error(L);
    }
    if (lua_getiuservalue(L, 1, OUTCOME) != LUA_TTABLE) {
        lua_pop(L, 1);
        push_outcome(L, lua, s);
        lua_pushvalue(L, 2);
        lua_setiuservalue(L, 1, OUTCOME);
        lua_pushnil(L);
        lua_setiuservalue(L, 1, RESULT);
    }
    if (lua_getfield(L, 2, "error") != LUA_TNIL)
        return lua_error(L);
    lua_getfield(L, 2, "n");
    int n = (int)lua_tointeger(L, -1);
    luaL_checkstack(L, n, "results");
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, 2, i);
    return n;
}

/* --- fields -------------------------------------------------------------------------------------
 */

static int push_pid(lua_State *L, struct process *s)
{
    if (s->self)
        lua_pushinteger(L, getpid());
    else if (s->p)
        lua_pushinteger(L, mf_process_pid(s->p));
    else
        lua_pushnil(L);
    return 1;
}

static int push_exitcode(lua_State *L, mf_lua *lua, struct process *s)
{
    if (s->p && has_ended(L, lua, 1, s) && mf_process_status(s->p) != MF_PROCESS_UNKNOWN)
        lua_pushinteger(L, mf_process_status(s->p));
    else
        lua_pushnil(L);
    return 1;
}

/* Upvalue 3: the methods. */
static int process_index(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = to_process(L);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL)
        return 1;
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, "pid") == 0)
        return push_pid(L, s);
    if (strcmp(key, "exitcode") == 0)
        return push_exitcode(L, lua, s);
    if (strcmp(key, "name") == 0)
        lua_getiuservalue(L, 1, NAME);
    else if (strcmp(key, "daemon") == 0)
        lua_pushboolean(L, s->daemon);
    return 1;
}

static int process_newindex(lua_State *L)
{
    struct process *s = to_process(L);
    const char *key = luaL_checkstring(L, 2);
    bool name = strcmp(key, "name") == 0, daemon = strcmp(key, "daemon") == 0;
    if (!name && !daemon)
        return luaL_error(L, "a process has no field '%s' that can be set", key);
    if (s->started || s->self || s->closed)
        return luaL_error(L, "'%s' can be set before the start only", key);
    luaL_checktype(L, 3, name ? LUA_TSTRING : LUA_TBOOLEAN);
    lua_settop(L, 3);
    if (name)
        lua_setiuservalue(L, 1, NAME);
    else
        s->daemon = lua_toboolean(L, 3);
    return 0;
}

static int process_tostring(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct process *s = to_process(L);
    lua_settop(L, 1);
    const char *name = name_of(L, 1);
    if (s->closed)
        lua_pushfstring(L, "moonfork.Process: %s (closed)", name);
    else if (!s->started && !s->self)
        lua_pushfstring(L, "moonfork.Process: %s (not started)", name);
    else if (s->self || !has_ended(L, lua, 1, s))
        lua_pushfstring(L, "moonfork.Process: %s (pid %d)", name,
                        s->self ? (int)getpid() : (int)mf_process_pid(s->p));
    else
        lua_pushfstring(L, "moonfork.Process: %s (pid %d, ended with %d)", name,
                        (int)mf_process_pid(s->p), mf_process_status(s->p));
    return 1;
}

/* --- the family ---------------------------------------------------------------------------------
 */

static int current_process(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &current_key) == LUA_TUSERDATA)
        return 1;
    struct process *s = push_process(L, lua_upvalueindex(2));
    s->self = true;
    s->daemon = lua->daemon;
    lua_pushstring(L, lua->name);
    lua_setiuservalue(L, -2, NAME);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &current_key);
    return 1;
}

static int active_children(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    lua_settop(L, 0);
    sweep(L, lua);
    lua_newtable(L);
    push_children(L);
    lua_Integer n = 0;
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_rawseti(L, 1, ++n);
    }
    lua_settop(L, 1);
    return 1;
}

/* --- the class ----------------------------------------------------------------------------------
 */

static const luaL_Reg methods[] = {
    {"start", process_start},       {"join", process_join},
    {"is_alive", process_is_alive}, {"terminate", process_terminate},
    {"kill", process_kill},         {"close", process_close},
    {"get", process_get},           {NULL, NULL},
};

static const luaL_Reg events[] = {
    {"__newindex", process_newindex},
    {"__tostring", process_tostring},
    {"__close", process_scope},
    {"__gc", process_collect},
    {NULL, NULL},
};

/* Functions with the context and the metatable at `class` as upvalues 1 and 2. */
static void set_functions(lua_State *L, const luaL_Reg *functions, int class)
{
    mf__lua_push(L);
    lua_pushvalue(L, class);
    luaL_setfuncs(L, functions, 2);
}

static void push_class(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    int class = lua_gettop(L);
    set_functions(L, events, class);
    mf__lua_push(L);
    lua_pushvalue(L, class);
    lua_newtable(L);
    set_functions(L, methods, class);
    lua_pushcclosure(L, process_index, 3);
    lua_setfield(L, class, "__index");
    lua_pushliteral(L, "moonfork.Process");
    lua_setfield(L, class, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, class, "__metatable");
    lua_pushliteral(L, "a Process stays in the process that made it; send its pid or a Queue");
    lua_setfield(L, class, "__mf_encode");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}

void mf__open_process(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"Process", new_process},
        {"spawn", spawn},
        {"current_process", current_process},
        {"active_children", active_children},
        {NULL, NULL},
    };
    int module = lua_gettop(L);
    push_class(L);
    lua_pushvalue(L, module);
    set_functions(L, functions, module + 1);
    lua_settop(L, module);
}
