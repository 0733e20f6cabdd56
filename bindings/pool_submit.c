/* pool_submit.c - what a Pool for Lua sends: captured functions, items, arguments: see
 * pool_core.h. */
#include "pool_core.h"

#include <stdlib.h>
#include <string.h>

#define CODE "moonfork.PoolCode"
#define SENDING "moonfork.PoolSending"

/* Where the arguments of core:submit and core:submit_values stand. */
enum {
    CORE_AT = 1,
    OWNER_AT,
    OUT_AT,
    CODE_AT,
    FLAGS_AT,
    RETRIES_AT,
    TIMEOUT_AT,
    ITEMS_AT,
    FIRST_AT,
    COUNT_AT,
    NUMBER_AT,
    CHUNK_AT,
    SENDING_AT,
    BATCH_AT
};

/* --- functions ----------------------------------------------------------------------------------
 */

struct code {
    mf_lua *lua;
    mf_code *code;
};

static const char code_mark;

static void check_code(lua_State *L)
{
    if (!mf__lua_marked(L, CODE_AT, &code_mark))
        luaL_typeerror(L, CODE_AT, CODE);
}

static int code_gc(lua_State *L)
{
    struct code *c = luaL_checkudata(L, 1, CODE);
    if (c->code && c->lua->rt)
        mf_code_unref(c->lua->rt, c->code);
    c->code = NULL;
    return 0;
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
    lua_getiuservalue(L, 1, MF_CORE_CODES); /* weak: function -> code */
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

/* --- what is being sent --------------------------------------------------------------------------
 */

/* The input of a job while it is written. Writing may run Lua code (of metatables), which may
 * submit to the same pool, or raise: so it is a full userdata, in the hands of one call; the core
 * keeps one for the next. */
struct sending {
    mf_buffer items;
    uint64_t *handles; /* that they mention */
    uint32_t handle_count, handle_max;
    char path[32]; /* of the item that is being written */
};

static int sending_gc(lua_State *L)
{
    struct sending *s = luaL_checkudata(L, 1, SENDING);
    mf__buffer_fini(&s->items);
    free(s->handles);
    s->handles = NULL;
    return 0;
}

void mf__pool_make_sending_classes(lua_State *L)
{
    luaL_newmetatable(L, CODE);
    lua_pushcfunction(L, code_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &code_mark);
    luaL_newmetatable(L, SENDING);
    lua_pushcfunction(L, sending_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 2);
}

/* Pushes the one that the core at CORE_AT has kept, or another. */
static struct sending *take_sending(lua_State *L)
{
    if (lua_getiuservalue(L, CORE_AT, MF_CORE_SENDING) == LUA_TUSERDATA) {
        lua_pushnil(L);
        lua_setiuservalue(L, CORE_AT, MF_CORE_SENDING);
        return lua_touserdata(L, -1);
    }
    lua_pop(L, 1);
    struct sending *s = lua_newuserdatauv(L, sizeof *s, 0);
    *s = (struct sending){0};
    luaL_setmetatable(L, SENDING);
    return s;
}

static void keep_sending(lua_State *L, int idx)
{
    lua_pushvalue(L, idx);
    lua_setiuservalue(L, CORE_AT, MF_CORE_SENDING);
}

/* The stream's window is the rest of the buffer. */
static int grow_items(struct mf_stream_writer *w, size_t need)
{
    struct sending *s = w->user;
    mf_buffer *b = &s->items;
    b->used += (size_t)(w->at - w->base);
    if (!mf__buffer_grow(b, need + b->used + 256)) /* doubles at least */
        return MF_ENOMEM;
    w->base = w->at = b->data + b->used;
    w->end = b->data + b->size;
    return 0;
}

/* Notes the objects that the item just put mentions. */
static void note_handles(lua_State *L, struct sending *s, const struct mf_stream_writer *w)
{
    uint32_t n = mf__message_handles(w->message, w->message_size, NULL, 0);
    if (s->handle_count + n > s->handle_max) {
        uint32_t max = (s->handle_count + n) * 2;
        uint64_t *list = realloc(s->handles, max * sizeof *list);
        if (!list)
            mf__lua_raise(L, MF_ENOMEM, "sending a task");
        s->handles = list;
        s->handle_max = max;
    }
    mf__message_handles(w->message, w->message_size, s->handles + s->handle_count, n);
    s->handle_count += n;
}

static void begin_items(struct sending *s, struct mf_stream_writer *w)
{
    s->items.used = 0;
    s->handle_count = 0;
    *w = (struct mf_stream_writer){.grow = grow_items, .user = s, .what = "item"};
    w->base = w->at = s->items.data;
    w->end = s->items.data + s->items.size;
}

static void put_item(lua_State *L, struct mf_pool_core *core, struct mf_stream_writer *w, int idx,
                     int n)
{
    int rc = mf__stream_put(L, core->lua->codec, w, idx, n, MF_STREAM_VALUES);
    if (rc < 0)
        mf__lua_raise(L, rc, "sending a task");
    if (w->message)
        note_handles(L, w->user, w);
}

/* --- submitting ---------------------------------------------------------------------------------
 */

/* Raises why a job cannot be submitted; a pool that has just been found broken knows more. */
static void cannot_submit(lua_State *L, struct mf_pool_core *core, int rc)
{
    if (mf_pool_state(core->pool) == MF_POOL_BROKEN)
        mf__pool_push_broken(L, core);
    else
        mf__lua_push_error(L, mf_error_name(rc), "a task cannot be submitted: %s",
                           mf_error_text(rc));
    lua_error(L);
}

/* How many jobs wait in `finished`, or may come to do so. */
static uint64_t waiting(const struct mf_pool_core *core)
{
    return (uint64_t)core->finished_count + mf_pool_pending(core->pool);
}

/* Room in `finished` for one more pending job. 0 or MF_ENOMEM, MF_ELIMIT. */
static int reserve_finished(struct mf_pool_core *core)
{
    uint64_t need = waiting(core) + 1;
    if (need <= core->finished_max)
        return 0;
    if (need > INT32_MAX)
        return MF_ELIMIT;
    mf_job **list = realloc(core->finished, need * 2 * sizeof *list);
    if (!list)
        return MF_ENOMEM;
    core->finished = list;
    core->finished_max = (uint32_t)need * 2;
    return 0;
}

/* Submits what begin_items and put_item have built as the batch's next job. 0, or why it cannot.
 */
static int submit_job(lua_State *L, struct mf_pool_core *core, struct mf_stream_writer *w,
                      struct mf_batch *b, uint32_t count, bool held)
{
    const struct code *c = lua_touserdata(L, CODE_AT);
    struct sending *sending = w->user;
    struct mf_batch_job *place = &b->jobs[b->count];
    mf__stream_close_run(w);
    sending->items.used += (size_t)(w->at - w->base);
    const struct mf_submit s = {.code = c->code,
                                .input = sending->items.data,
                                .size = sending->items.used,
                                .handles = sending->handles,
                                .handle_count = sending->handle_count,
                                .count = count,
                                .flags = (uint32_t)lua_tointeger(L, FLAGS_AT),
                                .retries = mf__pool_number(lua_tointeger(L, RETRIES_AT)),
                                .timeout = lua_tonumber(L, TIMEOUT_AT),
                                .held = held,
                                .user = place};
    *place = (struct mf_batch_job){.batch = b};
    int rc = reserve_finished(core);
    if (rc == 0)
        rc = mf_pool_submit(core->pool, &s, &place->job);
    if (rc < 0)
        return rc;
    b->count++;
    b->pending++;
    return 0;
}

/* --- lists --------------------------------------------------------------------------------------
 */

/* "items[i]", for errors: every item that could have one gets its path, so it has to be quick. */
static const char *item_path(struct sending *s, lua_Integer i)
{
    char *at = s->path + sizeof s->path;
    *--at = 0;
    *--at = ']';
    do
        *--at = (char)('0' + i % 10);
    while (i /= 10);
    return memcpy(at - 6, "items[", 6);
}

/* Are the items such that sending them cannot be refused? */
static bool is_plain(lua_State *L, lua_Integer first, lua_Integer last)
{
    bool plain = !luaL_getmetafield(L, ITEMS_AT, "__index");
    if (!plain)
        lua_pop(L, 1);
    for (lua_Integer i = first; plain && i <= last; i++) {
        int type = lua_rawgeti(L, ITEMS_AT, i);
        plain = type <= LUA_TSTRING && type != LUA_TLIGHTUSERDATA;
        lua_pop(L, 1);
    }
    return plain;
}

/* The items first to last of the list, which errors count from `number` on, as one job. */
static void submit_chunk(lua_State *L, struct mf_pool_core *core, lua_Integer first,
                         lua_Integer last, lua_Integer number)
{
    struct mf_stream_writer w;
    struct sending *s = lua_touserdata(L, SENDING_AT);
    begin_items(s, &w);
    for (lua_Integer i = first; i <= last; i++) {
        if (lua_geti(L, ITEMS_AT, i) > LUA_TSTRING)
            w.what = item_path(s, i - first + number);
        put_item(L, core, &w, -1, 1);
        lua_pop(L, 1);
    }
    int rc =
        submit_job(L, core, &w, lua_touserdata(L, BATCH_AT), (uint32_t)(last - first + 1), true);
    if (rc < 0)
        cannot_submit(L, core, rc);
}

#define AT_ONCE 64u /* items that are queued together: the first ones wait for the others */

/* Queues the batch's jobs from *released on. */
static void release(lua_State *L, struct mf_pool_core *core, const struct mf_batch *b,
                    uint32_t *released)
{
    mf_job *jobs[AT_ONCE];
    while (*released < b->count) {
        uint32_t n = 0;
        for (; n < AT_ONCE && *released < b->count; n++)
            jobs[n] = b->jobs[(*released)++].job;
        int rc = mf_pool_release(core->pool, jobs, n);
        if (rc < 0)
            cannot_submit(L, core, rc);
    }
}

/* With the arguments of core:submit, what is sent with, and the batch. An item that cannot be
 * sent raises before anything is queued. */
static int submit_list(lua_State *L)
{
    struct mf_pool_core *core = lua_touserdata(L, CORE_AT);
    const struct mf_batch *b = lua_touserdata(L, BATCH_AT);
    lua_Integer first = lua_tointeger(L, FIRST_AT), last = first + b->last - b->first;
    bool plain = is_plain(L, first, last);
    uint32_t released = 0;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    for (lua_Integer at = first; at <= last; at += b->chunk) {
        lua_Integer end = at + b->chunk - 1;
        submit_chunk(L, core, at, end < last ? end : last, at - first + b->first);
        if (plain && (b->count - released) * b->chunk >= AT_ONCE)
            release(L, core, b, &released);
    }
    release(L, core, b, &released);
    return 0;
}

/* core:submit(owner, out, code, flags, retries, timeout, items, first, count, number, chunk) -> its
 * batch: items[first] ... of a list, one argument each (or a list of arguments each, with the flag
 * SPREAD), `chunk` of them a job. They, and their results in `out`, are counted from `number` on.
 */
int mf__pool_submit(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    check_code(L);
    lua_Integer count = luaL_checkinteger(L, COUNT_AT), chunk = luaL_checkinteger(L, CHUNK_AT);
    chunk = chunk < count ? chunk : count;
    lua_Integer jobs = (count - 1) / chunk + 1;
    if (chunk > INT32_MAX || jobs > INT32_MAX - (lua_Integer)waiting(core))
        cannot_submit(L, core, MF_ELIMIT);
    lua_settop(L, CHUNK_AT);
    luaL_checkstack(L, BATCH_AT + 1, NULL);
    take_sending(L);
    struct mf_batch *b = mf__batch_new(L, OWNER_AT, OUT_AT, (uint32_t)jobs);
    b->chunk = (uint32_t)chunk;
    b->first = luaL_checkinteger(L, NUMBER_AT);
    b->last = b->first + count - 1;
    mf__batch_list(L, CORE_AT);
    lua_pushcfunction(L, submit_list);
    for (int i = CORE_AT; i <= BATCH_AT; i++)
        lua_pushvalue(L, i);
    int status = lua_pcall(L, BATCH_AT, 0, 0);
    keep_sending(L, SENDING_AT);
    if (status == LUA_OK)
        return 1;
    mf__batch_give_up(L, core, b);
    return lua_error(L);
}

/* core:submit_values(owner, out, code, flags, retries, timeout, ...) -> its batch: one item, these
 * arguments. */
int mf__pool_submit_values(lua_State *L)
{
    struct mf_pool_core *core = mf__pool_core(L);
    struct mf_stream_writer w;
    check_code(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    int last = lua_gettop(L);
    begin_items(take_sending(L), &w);
    w.what = "args";
    put_item(L, core, &w, ITEMS_AT, last - TIMEOUT_AT);
    struct mf_batch *b = mf__batch_new(L, OWNER_AT, OUT_AT, 1);
    b->chunk = 1;
    b->single = true;
    b->first = b->last = 1;
    mf__batch_list(L, CORE_AT);
    int rc = submit_job(L, core, &w, b, 1, false);
    keep_sending(L, last + 1);
    if (rc == 0)
        return 1;
    mf__batch_give_up(L, core, b);
    cannot_submit(L, core, rc);
    return 0;
}
