/* transfer.c - Lua values in and out of queues: see transfer.h. */
#include "transfer.h"

#include "crash.h"
#include "format.h"

#include <string.h>

/* A message up to here is copied to the C stack, so that its block is free before it is decoded. */
#define SMALL 4096u

/* A buffer that has grown beyond this is given back after use. */
#define SCRATCH_KEPT (1u << 20)

static const char parcel_key, parcel_class_key;

/* --- put ----------------------------------------------------------------------------------------
 */

/* The handles in a message: in `few`, or in a userdata that it pushes. */
static const uint64_t *find_handles(lua_State *L, const uint8_t *bytes, size_t size, uint64_t *few,
                                    uint32_t room, uint32_t *ret_n)
{
    uint32_t n = mf__message_handles(bytes, size, few, room);
    *ret_n = n;
    if (n <= room)
        return few;
    uint64_t *many = lua_newuserdatauv(L, n * sizeof *many, 0);
    mf__message_handles(bytes, size, many, n);
    return many;
}

int mf__transfer_put_bytes(lua_State *L, mf_lua *lua, mf_queue *q, const uint8_t *bytes,
                           size_t size, int64_t deadline)
{
    uint64_t few[8];
    uint32_t n;
    int top = lua_gettop(L);
    const uint64_t *handles = find_handles(L, bytes, size, few, 8, &n);
    int64_t until;
    int rc;
    do {
        until = mf__lua_slice(lua, deadline);
        rc = mf_queue_put(lua->rt, q, bytes, size, handles, n, until);
    } while (mf__lua_goes_on(L, lua, rc, until, deadline));
    lua_settop(L, top);
    return rc;
}

/* The message is all that stands in the scratch buffer. Waiting may run Lua code, which may use the
 * buffer: for that the message moves to a string, which is filled before anything else can run. */
static int put_scratch(lua_State *L, mf_lua *lua, mf_queue *q, int64_t deadline)
{
    mf_buffer *b = &lua->scratch;
    uint64_t few[8];
    uint32_t n = mf__message_handles(b->data, b->used, few, 8);
    int rc = MF_EFULL;
    if (n <= 8)
        rc = mf_queue_put(lua->rt, q, b->data, b->used, few, n, 0);
    if (rc == MF_EFULL && (deadline || n > 8)) {
        size_t size = b->used;
        const char *copy = lua_pushlstring(L, (const char *)b->data, size);
        rc = mf__transfer_put_bytes(L, lua, q, (const uint8_t *)copy, size, deadline);
        lua_pop(L, 1);
    }
    if (b->size > SCRATCH_KEPT)
        mf__buffer_fini(b);
    return rc;
}

/* A long string goes straight to its block. */
static int put_text(lua_State *L, mf_lua *lua, mf_queue *q, const uint8_t *head, size_t head_size,
                    const char *text, size_t size, int64_t deadline)
{
    struct mf_block *block;
    uint8_t *to;
    int rc = mf__message_new(lua->rt, NULL, head_size + size, NULL, 0, &block, &to);
    if (rc < 0)
        return rc;
    memcpy(to, head, head_size);
    memcpy(to + head_size, text, size);
    rc = mf__queue_put_block(lua->rt, q, block, head_size + size, 0, 0);
    if (rc < 0)
        mf__block_free(lua->rt, block);
    if (rc != MF_EFULL || !deadline)
        return rc;
    uint8_t *copy = lua_newuserdatauv(L, head_size + size, 0);
    memcpy(copy, head, head_size);
    memcpy(copy + head_size, text, size);
    rc = mf__transfer_put_bytes(L, lua, q, copy, head_size + size, deadline);
    lua_pop(L, 1);
    return rc;
}

int mf__transfer_put(lua_State *L, mf_lua *lua, mf_queue *q, int idx, const char *what,
                     int64_t deadline)
{
    uint8_t head[MF_FORMAT_SCALAR > 11 ? MF_FORMAT_SCALAR : 11];
    size_t head_size, size;
    const char *text;
    if (lua_isinteger(L, idx)) {
        head_size = (size_t)(mf__put_integer(head, lua_tointeger(L, idx)) - head);
        int rc = mf_queue_put(lua->rt, q, head, head_size, NULL, 0, 0);
        if (rc != MF_EFULL || !deadline)
            return rc;
        return mf__transfer_put_bytes(L, lua, q, head, head_size, deadline);
    }
    if (lua_type(L, idx) == LUA_TSTRING && lua_rawlen(L, idx) > SMALL &&
        mf__encode_text(L, idx, head, &head_size, &text, &size))
        return put_text(L, lua, q, head, head_size, text, size, deadline);
    lua->scratch.used = 0;
    mf__encode(L, lua->codec, idx, 1, what, &lua->scratch);
    return put_scratch(L, lua, q, deadline);
}

/* --- get ----------------------------------------------------------------------------------------
 */

/* Owns a message's block while it is decoded, whatever the decoding raises. */
struct parcel {
    mf_lua *lua;
    struct mf_message m;
};

static int parcel_free(lua_State *L)
{
    struct parcel *p = lua_touserdata(L, 1);
    if (p->m.block && p->lua->rt && mf__alive(p->lua->rt) == 0)
        mf__message_free(p->lua->rt, &p->m);
    p->m.block = NULL;
    return 0;
}

static void push_parcel_class(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &parcel_class_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, parcel_free);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &parcel_class_key);
}

/* One is kept ready, so that nothing can fail between taking a message and owning it. */
static void ready_parcel(lua_State *L, mf_lua *lua)
{
    if (lua->parcel)
        return;
    struct parcel *p = lua_newuserdatauv(L, sizeof *p, 0);
    p->lua = lua;
    p->m.block = NULL;
    push_parcel_class(L);
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &parcel_key);
    lua->parcel = p;
}

static int decode_small(lua_State *L, mf_lua *lua, struct mf_message *m)
{
    uint8_t bytes[SMALL];
    size_t size = m->size;
    memcpy(bytes, m->data, size);
    mf__message_free(lua->rt, m);
    return mf__decode(L, lua->codec, bytes, size);
}

static int decode_parcel(lua_State *L, mf_lua *lua, const struct mf_message *m)
{
    struct parcel *p = lua->parcel;
    lua->parcel = NULL; /* what runs inside may need one of its own */
    p->m = *m;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &parcel_key);
    int at = lua_gettop(L);
    int n = mf__decode(L, lua->codec, p->m.data, p->m.size);
    mf__message_free(lua->rt, &p->m);
    lua_remove(L, at);
    if (!lua->parcel)
        lua->parcel = p;
    return n;
}

/* Pushes the values of a message, which is freed. */
static int decode(lua_State *L, mf_lua *lua, struct mf_message *m)
{
    int n;
    if (!m->block)
        n = mf__decode(L, lua->codec, m->small, m->size);
    else if (m->size <= SMALL && m->handle_count == 0)
        n = decode_small(L, lua, m);
    else
        n = decode_parcel(L, lua, m);
    MF_CRASH("transfer.get.decoded");
    mf__queue_delivered(lua->rt);
    return n < 0 ? mf__decode_raise(L, lua->codec, n) : n;
}

static int wait_for_message(lua_State *L, mf_lua *lua, mf_queue *q, struct mf_message *m,
                            int64_t deadline, const struct mf_call *call)
{
    int64_t until;
    int rc;
    if (call)
        lua->rt->call = *call;
    do {
        until = mf__lua_slice(lua, deadline);
        rc = mf__queue_get(lua->rt, q, m, until);
    } while (mf__lua_goes_on(L, lua, rc, until, deadline));
    return rc;
}

int mf__transfer_get(lua_State *L, mf_lua *lua, mf_queue *q, int64_t deadline)
{
    return mf__transfer_get_of(L, lua, q, deadline, NULL);
}

int mf__transfer_get_of(lua_State *L, mf_lua *lua, mf_queue *q, int64_t deadline,
                        const struct mf_call *call)
{
    struct mf_message m;
    int rc;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    ready_parcel(L, lua);
    rc = mf__queue_get(lua->rt, q, &m, 0);
    if (rc == MF_EEMPTY && deadline)
        rc = wait_for_message(L, lua, q, &m, deadline, call);
    if (rc < 0)
        return rc;
    if (!m.block) {
        const uint8_t *at = m.small;
        if (m.size == 1 && *at <= 127) {
            lua_pushinteger(L, *at);
        } else if (m.size == 3 && *at == MF_TAG_INT16) {
            int16_t v;
            memcpy(&v, at + 1, sizeof v);
            lua_pushinteger(L, v);
        } else if (m.size == 5 && *at == MF_TAG_INT32) {
            int32_t v;
            memcpy(&v, at + 1, sizeof v);
            lua_pushinteger(L, v);
        } else {
            return decode(L, lua, &m);
        }
        mf__queue_delivered(lua->rt);
        return 1;
    }
    return decode(L, lua, &m);
}
