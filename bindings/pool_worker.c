/*
 * pool_worker.c - a worker of a Pool: its initializer, and the running of tasks: see pool_core.h.
 *
 * Everything here runs protected. An error in a task's function ends the protected call; it is
 * written as the item's result, and the next protected call goes on with the next item. So an item
 * costs no protected call of its own.
 */
#include "pool_core.h"

#include "crash.h"

#include <string.h>

/* One task on its way. */
struct run {
    struct mf_pool_core *core;
    mf_lua *lua; /* of the state that the task runs in */
    struct mf_task *t;
    struct mf_stream_reader in;
    struct mf_stream_writer out;
    bool sending; /* an item's result is being written: what is raised says why it cannot be sent */
    bool written; /* an item's result that is not committed yet */
    bool broken;  /* no result can be written any more */
};

static int grow_output(struct mf_stream_writer *w, size_t need)
{
    struct run *r = w->user;
    struct mf_window *window = mf__task_out_grow(r->lua->rt, r->t, need);
    if (!window)
        return MF_ENOMEM;
    w->base = w->at = mf__window_bytes(window);
    w->end = mf__window_end(r->lua->rt, window);
    return 0;
}

/* Lets the task keep the objects that the result just written mentions. */
static int keep_handles(lua_State *L, struct run *r)
{
    uint32_t n = mf__message_handles(r->out.message, r->out.message_size, NULL, 0);
    if (n == 0)
        return 0;
    uint64_t *handles = lua_newuserdatauv(L, n * sizeof *handles, 0);
    mf__message_handles(r->out.message, r->out.message_size, handles, n);
    int rc = mf__task_keep(r->lua->rt, r->t, handles, n);
    lua_pop(L, 1);
    return rc;
}

/* Writes the n values at idx as the result of the item at `done`, and commits it. */
static void commit(lua_State *L, struct run *r, int idx, int n, enum mf_stream_kind kind)
{
    int rc = mf__stream_put(L, r->lua->codec, &r->out, idx, n, kind);
    r->written = true;
    MF_CRASH("result.put.written");
    if (rc == 0 && r->out.message)
        rc = keep_handles(L, r);
    if (rc < 0) {
        r->t->failed = rc;
        r->broken = true;
        return;
    }
    MF_CRASH("result.put.kept");
    mf__task_commit_item(r->t);
    r->written = false;
}

/* The input, from an item on. */
static void open_input(struct run *r, uint32_t item)
{
    const struct mf_window *in = &r->t->in;
    r->in = (struct mf_stream_reader){
        .at = mf__window_bytes(in), .end = mf__window_end(r->lua->rt, in), .left = r->t->count};
    mf__stream_skip(&r->in, item);
}

static void open_streams(struct run *r)
{
    struct mf_task *t = r->t;
    struct mf_window *out = mf__task_out_tail(r->lua->rt, t);
    open_input(r, atomic_load(&t->done));
    r->out = (struct mf_stream_writer){.grow = grow_output, .user = r, .what = "result"};
    if (!out)
        return; /* corrupt: there is no window to grow from either */
    r->out.base = r->out.at = mf__window_bytes(out);
    /* After a death the last window may end in garbage: no room in it, so that a new one begins. */
    r->out.end = atomic_load(&t->begun) ? r->out.base : mf__window_end(r->lua->rt, out);
}

/* The arguments of an item that is a list: pushes them instead of it. */
static int spread(lua_State *L)
{
    if (lua_type(L, -1) != LUA_TTABLE)
        luaL_error(L, "starmap: the item is a %s, not a list of arguments", luaL_typename(L, -1));
    int list = lua_gettop(L);
    lua_Integer n = lua_getfield(L, list, "n") == LUA_TNUMBER ? lua_tointeger(L, -1)
                                                              : (lua_Integer)lua_rawlen(L, list);
    lua_pop(L, 1);
    if (n < 0 || n > 1000000 || !lua_checkstack(L, (int)n + 1))
        luaL_error(L, "starmap: too many arguments");
    for (lua_Integer i = 1; i <= n; i++)
        lua_rawgeti(L, list, i);
    lua_remove(L, list);
    return (int)n;
}

static void push_function(lua_State *L, struct run *r)
{
    const struct mf_code_bytes *code = mf__task_code(r->lua->rt, r->t);
    int rc = !code ? MF_DECODE_CORRUPT
                   : mf__function_load(L, r->lua->codec, code->sender, code->serial, code->bytes,
                                       code->size);
    if (rc < 0)
        mf__decode_raise(L, r->lua->codec, rc);
}

/* Is this the copy of the process that the task itself has forked? The record is the original's. */
static bool is_copy(struct run *r)
{
    if (mf__alive(r->lua->rt) == 0)
        return false;
    return r->broken = true;
}

/* Runs items until the last, or until one raises. Stack: the run, as a light userdata. */
static int run_items(lua_State *L)
{
    struct run *r = lua_touserdata(L, 1);
    struct mf_task *t = r->t;
    bool all = t->flags & MF_TASK_ALL, many = t->flags & MF_TASK_SPREAD;
    enum mf_stream_kind kind;
    /* Counted as begun before the function is there: if it cannot be had, the item fails. */
    mf__task_begin_item(t);
    push_function(L, r);
    int f = lua_gettop(L);
    for (;;) {
        lua_pushvalue(L, f);
        int n = mf__stream_next(L, r->lua->codec, &r->in, &kind);
        if (n < 0)
            mf__decode_raise(L, r->lua->codec, n);
        if (many)
            n = spread(L);
        lua_call(L, n, all ? LUA_MULTRET : 1);
        if (is_copy(r))
            return 0;
        r->sending = true;
        commit(L, r, f + 1, lua_gettop(L) - f, MF_STREAM_VALUES);
        r->sending = false;
        lua_settop(L, f);
        if (r->broken || atomic_load_explicit(&t->done, memory_order_relaxed) == t->count)
            return 0;
        mf__task_begin_item(t);
    }
}

/* When memory has run out, no handler has made an object of the error at the top: makes one. */
static void make_error_object(lua_State *L)
{
    if (mf__lua_is_error(L, -1))
        return;
    mf__lua_push_error(L, "error", "%s", luaL_tolstring(L, -1, NULL));
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* Writes the error at 2 as the item's result: a plain table, to which the reader gives its
 * class again. Stack: the run, the error. */
static int write_error(lua_State *L)
{
    struct run *r = lua_touserdata(L, 1);
    if (r->written) /* memory ran out before its commit: what stands there is garbage */
        r->out.end = r->out.at;
    r->written = false;
    bool unsendable = r->sending && mf__lua_is_error(L, 2); /* else memory has run out */
    make_error_object(L);
    lua_createtable(L, 0, 8);
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, 3);
    }
    lua_pushinteger(L, r->lua->rt->pid);
    lua_setfield(L, 3, "pid");
    if (unsendable) {
        lua_pushliteral(L, "unsendable");
        lua_setfield(L, 3, "kind");
    }
    commit(L, r, 3, 1, MF_STREAM_ERROR);
    return 0;
}

/* The same without the thrown value, which may be what cannot be sent. */
static int write_plain_error(lua_State *L)
{
    make_error_object(L);
    lua_pushnil(L);
    lua_setfield(L, 2, "value");
    return write_error(L);
}

static bool insist(lua_State *L, lua_CFunction f, struct run *r, int error)
{
    lua_pushcfunction(L, f);
    lua_pushlightuserdata(L, r);
    lua_pushvalue(L, error);
    return mf__lua_insist(L, 2);
}

/* An item has raised: its error object is at the top. */
static void item_failed(lua_State *L, struct run *r)
{
    if (is_copy(r))
        return;
    int error = lua_gettop(L);
    uint32_t done = atomic_load(&r->t->done);
    if (!insist(L, write_error, r, error) && !insist(L, write_plain_error, r, error)) {
        r->t->failed = MF_ENOMEM;
        r->broken = true;
    }
    r->sending = false;
    /* The reader may stand before the item (its function could not be loaded) or behind it. */
    open_input(r, done + 1);
}

void mf__pool_run(void *arg, struct mf_task *t)
{
    struct mf_pool_core *core = arg;
    lua_State *L = core->L;
    struct run r = {.core = core, .lua = mf__lua_peek(L), .t = t};
    int top = lua_gettop(L);
    open_streams(&r);
    while (!r.broken && atomic_load(&t->done) < t->count) {
        lua_pushcfunction(L, mf__lua_handler);
        lua_pushcfunction(L, run_items);
        lua_pushlightuserdata(L, &r);
        if (lua_pcall(L, 1, 0, top + 1) != LUA_OK)
            item_failed(L, &r);
        lua_settop(L, top);
    }
}

/* --- the worker's life --------------------------------------------------------------------------
 */

/* The initializer, from the message in core->initializer. */
static int initialize(lua_State *L)
{
    struct mf_pool_core *core = lua_touserdata(L, 1);
    mf_lua *lua = mf__lua(L);
    int n = mf__decode(L, lua->codec, core->initializer.data, core->initializer.used);
    if (n < 0)
        mf__decode_raise(L, lua->codec, n);
    lua_call(L, n - 1, 0);
    mf__codec_protect_globals(L, lua->codec, false);
    return 0;
}

/* Runs the initializer; on an error tells the creator, and gives false. */
static bool is_initialized(lua_State *L, struct mf_pool_core *core, mf_lua *lua)
{
    if (!core->initializer.used)
        return true;
    lua_pushcfunction(L, mf__lua_handler);
    lua_pushcfunction(L, initialize);
    lua_pushlightuserdata(L, core);
    if (lua_pcall(L, 1, 0, -3) == LUA_OK) {
        lua_pop(L, 1);
        return true;
    }
    make_error_object(L);
    lua_pushinteger(L, lua->rt->pid);
    lua_setfield(L, -2, "pid");
    lua->scratch.used = 0;
    mf__lua_encode_error(L, lua, &lua->scratch);
    mf__pool_tell_broken(lua->rt, core->pool, lua->scratch.data, lua->scratch.used);
    return false;
}

/* Says at once that this worker is about to be missing. */
static void on_exit(lua_State *L, int status)
{
    mf_lua *lua = mf__lua(L);
    struct mf_worker w;
    (void)status;
    lua_getfield(L, LUA_REGISTRYINDEX, "moonfork.worker");
    struct mf_pool_core *core = lua_touserdata(L, -1);
    lua_pop(L, 1);
    mf__pool_worker(core->pool, &w);
    mf__worker_tell(lua->rt, w.news, (uint64_t)lua->rt->pid << 4 | MF_NEWS_LEAVING);
}

static int worker_body(lua_State *L)
{
    struct mf_pool_core *core = lua_touserdata(L, 1);
    mf_lua *lua = mf__lua(L);
    struct mf_worker w;
    core->L = L;
    lua_pushlightuserdata(L, core);
    lua_setfield(L, LUA_REGISTRYINDEX, "moonfork.worker");
    if (!is_initialized(L, core, lua))
        return 0;
    mf__lua_on_exit(lua, on_exit);
    mf__pool_worker(core->pool, &w);
    w.ctx = core;
    mf__worker_loop(lua->rt, &w);
    return 0;
}

/* What a worker has of its creator's core; behind it the initializer and the heritage. */
struct seed {
    const mf_lua *parent;
    size_t initializer_size, heritage_size;
};

int mf__pool_worker_main(mf_runtime *rt, mf_pool *pool, void *arg)
{
    struct seed *seed = arg;
    uint8_t *bytes = (uint8_t *)(seed + 1);
    struct mf_pool_core core = {.pool = pool,
                                .initializer = {.data = bytes, .used = seed->initializer_size}};
    const struct mf_lua_child child = {.parent = seed->parent,
                                       .heritage = bytes + seed->initializer_size,
                                       .heritage_size = seed->heritage_size,
                                       .rt = rt,
                                       .name = rt->self->name,
                                       .daemon = true,
                                       .body = worker_body,
                                       .arg = &core};
    return mf__lua_run_child(&child);
}

void mf__pool_worker_pack(lua_State *L, const struct mf_pool_core *core, bool by_zygote,
                          mf_buffer *b)
{
    struct seed seed = {.parent = core->lua, .initializer_size = core->initializer.used};
    b->used = 0;
    if (!mf__buffer_append(b, &seed, sizeof seed) ||
        !mf__buffer_append(b, core->initializer.data, core->initializer.used))
        luaL_error(L, "not enough memory");
    if (!by_zygote)
        return;
    mf__lua_add_heritage(L, core->lua, b);
    ((struct seed *)(void *)b->data)->heritage_size =
        b->used - sizeof seed - core->initializer.used;
}
