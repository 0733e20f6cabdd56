/* pool_submit.c - what a Pool for Lua sends: captured functions, items, arguments: see
 * pool_core.h. */
#include "pool_core.h"

#include <stdlib.h>
#include <string.h>

#define CODE "moonfork.PoolCode"
#define HELD 8u /* with the flags of task.h: submit, but do not queue before core:release */

/* --- functions ----------------------------------------------------------------------------------
 */

struct code {
    mf_lua *lua;
    mf_code *code;
};

static int code_gc(lua_State *L)
{
    struct code *c = luaL_checkudata(L, 1, CODE);
    if (c->code && c->lua->rt)
        mf_code_unref(c->lua->rt, c->code);
    c->code = NULL;
    return 0;
}

void mf__pool_make_code_class(lua_State *L)
{
    luaL_newmetatable(L, CODE);
    lua_pushcfunction(L, code_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

/* Puts the captured bytes into the arena and pushes their object. */
static void push_code(lua_State *L, mf_lua *lua, const struct mf_function *f)
{
    struct code *c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (struct code){.lua = lua};
    luaL_setmetatable(L, CODE);
    uint32_t n = mf__message_handles(f->bytes, f->size, NULL, 0);
    uint64_t *handles = n ? lua_newuserdatauv(L, n * sizeof *handles, 0) : NULL;
    if (n)
        mf__message_handles(f->bytes, f->size, handles, n);
    int rc = mf_code_new(lua->rt, f->serial, f->bytes, f->size, handles, n, &c->code);
    if (rc < 0)
        mf__lua_raise(L, rc, "sending the function");
    if (n)
        lua_pop(L, 1);
}

/* core:capture(f) -> its code; the same object while the capture has not changed. */
int mf__pool_capture(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    struct mf_function f;
    mf__function_capture(L, core->lua->codec, 2, "function", &f);
    lua_getiuservalue(L, 1, 1); /* weak: function -> code */
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) == LUA_TUSERDATA) {
        struct code *c = lua_touserdata(L, -1);
        if (mf_code_serial(c->code) == f.serial)
            return 1;
    }
    lua_pop(L, 1);
    push_code(L, core->lua, &f);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    return 1;
}

/* --- submitting ---------------------------------------------------------------------------------
 */

/* The stream's window is the rest of the buffer. */
static int grow_items(struct mf_stream_writer *w, size_t need)
{
    struct mf_pool_core *core = w->user;
    mf_buffer *b = &core->items;
    b->used += (size_t)(w->at - w->base);
    if (!mf__buffer_grow(b, need + b->used + 256)) /* doubles at least */
        return MF_ENOMEM;
    w->base = w->at = b->data + b->used;
    w->end = b->data + b->size;
    return 0;
}

/* Notes the objects that the item just put mentions. */
static void note_handles(lua_State *L, struct mf_pool_core *core, const struct mf_stream_writer *w)
{
    uint32_t n = mf__message_handles(w->message, w->message_size, NULL, 0);
    if (core->handle_count + n > core->handle_max) {
        uint32_t max = (core->handle_count + n) * 2;
        uint64_t *list = realloc(core->handles, max * sizeof *list);
        if (!list)
            mf__lua_raise(L, MF_ENOMEM, "sending a task");
        core->handles = list;
        core->handle_max = max;
    }
    mf__message_handles(w->message, w->message_size, core->handles + core->handle_count, n);
    core->handle_count += n;
}

static void begin_items(struct mf_pool_core *core, struct mf_stream_writer *w)
{
    core->items.used = 0;
    core->handle_count = 0;
    *w = (struct mf_stream_writer){.grow = grow_items, .user = core, .what = "item"};
    w->base = w->at = core->items.data;
    w->end = core->items.data + core->items.size;
}

static void put_item(lua_State *L, struct mf_pool_core *core, struct mf_stream_writer *w, int idx,
                     int n)
{
    int rc = mf__stream_put(L, core->lua->codec, w, idx, n, MF_STREAM_VALUES);
    if (rc < 0)
        mf__lua_raise(L, rc, "sending a task");
    if (w->message)
        note_handles(L, core, w);
}

/* Room in `finished` for one more pending job. */
static void reserve_finished(lua_State *L, struct mf_pool_core *core)
{
    uint32_t need = core->finished_count + mf_pool_pending(core->pool) + 1;
    if (need <= core->finished_max)
        return;
    mf_job **list = realloc(core->finished, need * 2 * sizeof *list);
    if (!list)
        mf__lua_raise(L, MF_ENOMEM, "submitting a task");
    core->finished = list;
    core->finished_max = need * 2;
}

/* Arguments: a table, a key, a value. */
static int set_field(lua_State *L)
{
    lua_rawset(L, 1);
    return 0;
}

/* Arguments 6 and 7 of the caller are a table and what is to stand there under the job. A job that
 * is not listed would never be settled: without memory for that there is none. */
static void list_job(lua_State *L, struct mf_pool_core *core, mf_job *job)
{
    lua_pushcfunction(L, set_field);
    lua_pushvalue(L, 6);
    lua_pushlightuserdata(L, job);
    lua_pushvalue(L, 7);
    if (lua_pcall(L, 3, 0, 0) == LUA_OK)
        return;
    mf_job_free(core->pool, job);
    lua_error(L);
}

/* Queues what begin_items and put_item have built; pushes the job as a light userdata. Arguments 3
 * to 5 of the caller are flags, retries and timeout. */
static int submit(lua_State *L, struct mf_pool_core *core, struct mf_stream_writer *w,
                  uint32_t count)
{
    const struct code *c = luaL_checkudata(L, 2, CODE);
    mf_job *job;
    luaL_checkstack(L, 8, NULL);
    mf__stream_close_run(w);
    core->items.used += (size_t)(w->at - w->base);
    reserve_finished(L, core);
    const struct mf_submit s = {.code = c->code,
                                .input = core->items.data,
                                .size = core->items.used,
                                .handles = core->handles,
                                .handle_count = core->handle_count,
                                .count = count,
                                .flags = (uint32_t)lua_tointeger(L, 3) & ~HELD,
                                .retries = (uint32_t)lua_tointeger(L, 4),
                                .timeout = lua_tonumber(L, 5),
                                .held = lua_tointeger(L, 3) & HELD};
    int rc = mf_pool_submit(core->pool, &s, &job);
    if (rc < 0)
        return mf__lua_fail(L, rc);
    list_job(L, core, job);
    lua_pushlightuserdata(L, job);
    return 1;
}

/* "items[i]", for errors: every item that could have one gets its path, so it has to be quick. */
static const char *item_path(struct mf_pool_core *core, lua_Integer i)
{
    char *at = core->path + sizeof core->path;
    *--at = 0;
    *--at = ']';
    do
        *--at = (char)('0' + i % 10);
    while (i /= 10);
    return memcpy(at - 6, "items[", 6);
}

/* core:submit(code, flags, retries, timeout, jobs, entry, items, first, count, number) -> job:
 * items[first] ... of a list, one argument each (or a list of arguments each, with the flag
 * SPREAD), which errors count from `number` on. Sets jobs[job] = entry. */
int mf__pool_submit(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    lua_Integer first = luaL_checkinteger(L, 9), count = luaL_checkinteger(L, 10);
    lua_Integer shift = luaL_checkinteger(L, 11) - first;
    struct mf_stream_writer w;
    begin_items(core, &w);
    for (lua_Integer i = first; i < first + count; i++) {
        if (lua_geti(L, 8, i) > LUA_TSTRING)
            w.what = item_path(core, i + shift);
        put_item(L, core, &w, -1, 1);
        lua_pop(L, 1);
    }
    return submit(L, core, &w, (uint32_t)count);
}

/* core:submit_values(code, flags, retries, timeout, jobs, entry, ...) -> job: one item, these
 * arguments. */
int mf__pool_submit_values(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    struct mf_stream_writer w;
    begin_items(core, &w);
    w.what = "args";
    put_item(L, core, &w, 8, lua_gettop(L) - 7);
    return submit(L, core, &w, 1);
}

/* core:release(job): queues a job that was submitted with the flag HELD. True; or nil, ... */
int mf__pool_release(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    luaL_checktype(L, 2, LUA_TLIGHTUSERDATA);
    int rc = mf_pool_release(core->pool, lua_touserdata(L, 2));
    if (rc < 0)
        return mf__lua_fail(L, rc);
    lua_pushboolean(L, 1);
    return 1;
}

/* core:is_plain(list, n) -> true when items 1..n are such that sending them cannot be refused. */
int mf__pool_is_plain(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 3);
    bool plain = !luaL_getmetafield(L, 2, "__index");
    lua_settop(L, 3);
    for (lua_Integer i = 1; plain && i <= n; i++) {
        int type = lua_rawgeti(L, 2, i);
        plain = type <= LUA_TSTRING && type != LUA_TLIGHTUSERDATA;
        lua_pop(L, 1);
    }
    lua_pushboolean(L, plain);
    return 1;
}
