/* lua_pipe.c - mp.Pipe: two ends, joined by a queue each way.
 *
 * Each end has a token, an object that all processes with that end hold and that carries no other
 * meaning. An end knows the token of its peer by handle, without holding it. When nobody holds a
 * token any more, all copies of that end were closed, collected or died with their process. Whoever
 * closes the last copy closes the queues, which wakes the peer at once; otherwise the peer finds
 * out when it looks, some ten times a second while it waits.
 */
#include "crash.h"
#include "handle.h"
#include "lock.h"
#include "module.h"
#include "transfer.h"

#define LOOK (100 * MF_MSEC)

static const char class_key;

/* User values of an end. */
enum { IN = 1, OUT, TOKEN, VALUES = TOKEN };

struct pipe_end {
    bool closed;
    uint64_t peer; /* handle of the other end's token */
};

static const char recv_hint[] = "use recv(0) not to wait, recv(seconds) to wait that long";

/* --- an end -------------------------------------------------------------------------------------
 */

/* The object of a user value, or NULL: a pipe of one direction has one queue. */
static struct mf_handle *part(lua_State *L, int which)
{
    lua_getiuservalue(L, 1, which);
    struct mf_handle *h = lua_touserdata(L, -1);
    lua_pop(L, 1); /* the end keeps it */
    return h;
}

static mf_queue *open_queue(lua_State *L, int which, const char *what)
{
    struct pipe_end *e = mf__lua_self(L);
    if (e->closed)
        luaL_error(L, "%s on a closed end of a pipe", what);
    struct mf_handle *h = part(L, which);
    if (!h)
        luaL_error(L, "this end of the pipe is for %s", which == IN ? "sending" : "receiving");
    return h->object;
}

/* Pushes an end; parts are at the indices first..first+2, nil for one that it has not. */
static struct pipe_end *push_end(lua_State *L, int first, uint64_t peer, int class)
{
    struct pipe_end *e = lua_newuserdatauv(L, sizeof *e, VALUES);
    *e = (struct pipe_end){.peer = peer};
    for (int i = 0; i < VALUES; i++) {
        lua_pushvalue(L, first + i);
        lua_setiuservalue(L, -2, IN + i);
    }
    lua_pushvalue(L, class);
    lua_setmetatable(L, -2);
    return e;
}

/* --- send and receive ---------------------------------------------------------------------------
 */

static int end_send(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct pipe_end *e = mf__lua_self(L);
    mf_queue *q = open_queue(L, OUT, "send");
    luaL_argcheck(L, lua_gettop(L) >= 2, 2, "value expected");
    luaL_argcheck(L, lua_gettop(L) == 2, 3, "send takes one value: put several into a table");
    int rc = MF_ECLOSED;
    if (mf__handle_is_alive(lua->rt, e->peer))
        rc = mf__transfer_put(L, lua, q, 2, "value", MF_FOREVER);
    if (rc == MF_ECLOSED)
        return luaL_error(L, "send: the other end of the pipe is closed");
    if (rc < 0)
        return mf__lua_fail(L, rc);
    lua_pushboolean(L, 1);
    return 1;
}

/* Waits in slices, between which it looks whether the peer is still there. */
static int receive(lua_State *L, mf_lua *lua, const struct pipe_end *e, mf_queue *q,
                   int64_t deadline)
{
    struct mf_call call = {.until = deadline};
    for (;;) {
        bool alive = mf__handle_is_alive(lua->rt, e->peer); /* before: what it sent is there */
        int64_t now = mf__now(), slice = now + LOOK;
        call.since = call.since ? call.since : now;
        int64_t until = !alive ? 0 : deadline < slice ? deadline : slice;
        int n = mf__transfer_get_of(L, lua, q, until, &call);
        if (n >= 0 || n == MF_ECLOSED)
            return n;
        if (!alive)
            return MF_ECLOSED;
        if (n != MF_ETIMEOUT || deadline <= slice)
            return n;
    }
}

static int end_recv(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct pipe_end *e = mf__lua_self(L);
    mf_queue *q = open_queue(L, IN, "recv");
    int64_t deadline = mf__lua_deadline(L, 2, recv_hint);
    luaL_argcheck(L, lua_gettop(L) <= 2, 3, "recv takes a timeout only");
    int n = receive(L, lua, e, q, deadline);
    return n < 0 ? mf__lua_fail(L, n) : n;
}

/* Is there something to receive, or an end to be told of? */
static int end_poll(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct pipe_end *e = mf__lua_self(L);
    mf_queue *q = open_queue(L, IN, "poll");
    int64_t deadline = lua_isnoneornil(L, 2) ? 0 : mf__lua_deadline(L, 2, NULL), until;
    bool alive;
    int rc;
    do {
        alive = mf__handle_is_alive(lua->rt, e->peer);
        int64_t slice = mf__now() + LOOK;
        until = mf__lua_slice(lua, deadline);
        until = !alive ? 0 : until < slice ? until : slice;
        rc = mf_queue_wait(lua->rt, q, until);
    } while (mf__lua_goes_on(L, lua, rc, until, deadline));
    lua_pushboolean(L, rc == 0 || !alive);
    return 1;
}

/* --- closing ------------------------------------------------------------------------------------
 */

static int end_close(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    struct pipe_end *e = mf__lua_self(L);
    if (e->closed)
        return 0;
    e->closed = true;
    struct mf_handle *token = part(L, TOKEN);
    uint64_t handle = token->handle;
    if (token->object)
        mf__handle_release(L, lua, token);
    MF_CRASH("pipe.close.released");
    if (mf__handle_is_alive(lua->rt, handle))
        return 0; /* another process has this end too */
    for (int i = IN; i <= OUT; i++) {
        struct mf_handle *h = part(L, i);
        if (h && h->object)
            mf_queue_close(lua->rt, h->object);
    }
    return 0;
}

static int end_is_closed(lua_State *L)
{
    mf__lua_upvalue(L);
    const struct pipe_end *e = mf__lua_self(L);
    lua_pushboolean(L, e->closed);
    return 1;
}

static int end_tostring(lua_State *L)
{
    static const char *const what[] = {[IN] = " receives from ", [OUT] = " sends to "};
    mf_lua *lua = mf__lua_upvalue(L);
    struct pipe_end *e = mf__lua_self(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "moonfork.Connection:");
    for (int i = IN; i <= OUT; i++) {
        const struct mf_handle *h = part(L, i);
        if (!h)
            continue;
        luaL_addstring(&b, what[i]);
        mf__handle_push_name(L, lua, h);
        luaL_addvalue(&b);
    }
    if (e->closed)
        luaL_addstring(&b, " (closed)");
    luaL_pushresult(&b);
    return 1;
}

/* --- travelling ---------------------------------------------------------------------------------
 */

/* __mf_encode: the module, and what its __mf_decode makes an end of. */
static int end_encode(lua_State *L)
{
    struct pipe_end *e = mf__lua_self(L);
    if (e->closed) {
        lua_pushliteral(L, "this end of the pipe is closed"); /* no place: the sender's counts */
        return lua_error(L);
    }
    lua_pushliteral(L, "moonfork");
    lua_createtable(L, 4, 0);
    for (int i = IN; i <= TOKEN; i++) {
        if (lua_getiuservalue(L, 1, i) == LUA_TNIL) {
            lua_pop(L, 1);
            lua_pushboolean(L, 0);
        }
        lua_rawseti(L, -2, i);
    }
    lua_pushinteger(L, (lua_Integer)e->peer);
    lua_rawseti(L, -2, TOKEN + 1);
    return 2;
}

/* Is the value at the top an object of this kind? */
static bool is_object(lua_State *L, uint32_t kind)
{
    if (!lua_isuserdata(L, -1) || !lua_getmetatable(L, -1))
        return false;
    mf__handle_push_class(L, kind);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* A function of the module, so that a script may call it with anything. */
static int end_decode(lua_State *L)
{
    mf__lua_upvalue(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    for (int i = IN; i <= TOKEN; i++) {
        bool none = lua_rawgeti(L, 1, i) == LUA_TBOOLEAN && i != TOKEN;
        if (none) {
            lua_pop(L, 1);
            lua_pushnil(L);
        } else if (!is_object(L, i == TOKEN ? MF_KIND_LOCK : MF_KIND_QUEUE)) {
            luaL_argerror(L, 1, "the parts of an end of a pipe expected");
        }
    }
    lua_rawgeti(L, 1, TOKEN + 1);
    push_end(L, 2, (uint64_t)lua_tointeger(L, -1), lua_upvalueindex(2));
    return 1;
}

/* --- the class ----------------------------------------------------------------------------------
 */

static const luaL_Reg methods[] = {
    {"send", end_send},   {"recv", end_recv},           {"poll", end_poll},
    {"close", end_close}, {"is_closed", end_is_closed}, {NULL, NULL},
};

static const luaL_Reg events[] = {
    {"__tostring", end_tostring},
    {"__close", end_close},
    {"__mf_encode", end_encode},
    {NULL, NULL},
};

static void push_class(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    int class = lua_gettop(L);
    mf__lua_set_methods(L, events, class);
    lua_newtable(L);
    mf__lua_set_methods(L, methods, class);
    lua_setfield(L, class, "__index");
    lua_pushliteral(L, "moonfork.Connection");
    lua_setfield(L, class, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, class, "__metatable");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}

static void push_queue(lua_State *L, mf_lua *lua)
{
    mf_queue *q;
    int rc = mf_queue_new(lua->rt, 0, &q);
    if (rc < 0)
        mf__lua_raise(L, rc, "cannot make a pipe");
    mf__object_label(q, "Pipe");
    mf__handle_push(L, lua, q);
}

static uint64_t push_token(lua_State *L, mf_lua *lua)
{
    mf_lock *token;
    int rc = mf_lock_new(lua->rt, &token);
    if (rc < 0)
        mf__lua_raise(L, rc, "cannot make a pipe");
    mf__object_label(token, "PipeEnd");
    mf__handle_push(L, lua, token);
    return ((struct mf_handle *)lua_touserdata(L, -1))->handle;
}

static bool is_duplex(lua_State *L)
{
    static const char *const options[] = {"duplex", NULL};
    luaL_argcheck(L, lua_gettop(L) <= 1, 2, "Pipe takes duplex only");
    if (lua_istable(L, 1)) {
        mf__lua_check_options(L, 1, options);
        lua_getfield(L, 1, "duplex");
        lua_replace(L, 1);
    }
    if (lua_isnoneornil(L, 1))
        return true;
    luaL_argcheck(L, lua_isboolean(L, 1), 1, "duplex: boolean expected");
    return lua_toboolean(L, 1);
}

/* Pipe(false): the first end receives, the second sends. */
static int new_pipe(lua_State *L)
{
    mf_lua *lua = mf__lua_upvalue(L);
    bool duplex = is_duplex(L);
    lua_settop(L, 0);
    push_queue(L, lua); /* 1: in of the first end, out of the second */
    if (duplex)
        push_queue(L, lua);
    else
        lua_pushnil(L);
    uint64_t first = push_token(L, lua);
    lua_pushvalue(L, 2); /* 4 to 6: the parts of the second end */
    lua_pushvalue(L, 1);
    uint64_t second = push_token(L, lua);
    push_end(L, 1, second, lua_upvalueindex(2));
    push_end(L, 4, first, lua_upvalueindex(2));
    return 2;
}

void mf__open_pipe(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"Pipe", new_pipe},
        {"__mf_decode", end_decode},
        {NULL, NULL},
    };
    int module = lua_gettop(L);
    push_class(L);
    lua_pushvalue(L, module);
    mf__lua_set_methods(L, functions, module + 1);
    lua_settop(L, module);
}
