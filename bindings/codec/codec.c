/*
 * The codec's context, and whole messages; see codec.h and codec_state.h. A message of scalars only
 * is written and read here at once; any other takes an encoder or a decoder. May include: Lua,
 * libc, the codec's headers.
 */
#include "codec.h"

#include "codec_state.h"
#include "decode.h"
#include "encode.h"
#include "scalars.h"
#include "standard.h"

#include <lauxlib.h>

bool mf__codec_no_memory(lua_State *L, int status)
{
    static const char text[] = "not enough memory";
    size_t size;
    const char *said = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;

    return status == LUA_ERRMEM ||
           (said != NULL && size >= sizeof text - 1 &&
            memcmp(said + size - (sizeof text - 1), text, sizeof text - 1) == 0);
}

bool mf__codec_try(lua_State *L, int args, int results)
{
    int status = lua_pcall(L, args, results, 0);

    if (status != LUA_OK && mf__codec_no_memory(L, status))
        lua_error(L);
    return status == LUA_OK;
}

void mf__codec_push(lua_State *L, mf_codec *c, enum mf_codec_field field)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, c);
    lua_rawgeti(L, -1, field);
    lua_remove(L, -2);
}

void mf__codec_set(lua_State *L, mf_codec *c, enum mf_codec_field field)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, c);
    lua_insert(L, -2);
    lua_rawseti(L, -2, field);
    lua_pop(L, 1);
}

static int finalise(lua_State *L)
{
    mf_codec *c = lua_touserdata(L, 1);

    if (c->registered != NULL) /* again: finalisers may have used it since it was finalised */
        mf__encoder_fini(c->registered);
    c->spare = NULL;
    mf__modules_fini(&c->modules);
    return 0;
}

/* Gives the table at the top a field that is a table, with weak keys or values if `mode` says so.
 */
static void add_table(lua_State *L, enum mf_codec_field field, const char *mode)
{
    lua_newtable(L);
    if (mode != NULL) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, mode);
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    lua_rawseti(L, -2, field);
}

/* The metatable of the environments of decoded functions: what they do not hold is _G's. */
static void add_environment_meta(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_setfield(L, -2, "__newindex");
    lua_rawseti(L, -2, MF_FIELD_ENVIRONMENT_META);
}

mf_codec *mf__codec_new(lua_State *L, const struct mf_codec_hooks *hooks, uint64_t process_id)
{
    mf_codec *c;

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (!mf__standard_prepare())
        luaL_error(L, "not enough memory");
    lua_createtable(L, MF_FIELD_FAILURE, 0);
    c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    if (hooks != NULL)
        c->hooks = *hooks;
    c->process_id = process_id;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    c->globals = lua_topointer(L, -1);
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finalise);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawseti(L, -2, MF_FIELD_SELF);
    add_table(L, MF_FIELD_CLASS_RECORDS, "k");
    add_table(L, MF_FIELD_CLASSES, "v");
    add_table(L, MF_FIELD_FINDABLE, NULL);
    add_table(L, MF_FIELD_ENVIRONMENTS, "k");
    add_environment_meta(L);
    add_table(L, MF_FIELD_PROTECTED, NULL);
    add_table(L, MF_FIELD_HOST, "v");
    add_table(L, MF_FIELD_CAPTURES, "k");
    add_table(L, MF_FIELD_LOADED, NULL);
    lua_pushboolean(L, 0);
    c->spare_place = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_rawsetp(L, LUA_REGISTRYINDEX, c);
    return c;
}

void mf__codec_rename(mf_codec *c, uint64_t process_id)
{
    c->process_id = process_id;
}

/* Appends the message to `out`: as one step, so that an error leaves nothing there. */
static void hand_over(struct mf_encoder *e, mf_buffer *out)
{
    mf_buffer old = *out;

    if (old.used > 0) {
        if (!mf__buffer_append(out, e->out.data, e->out.used))
            mf__encode_fail(e, "not enough memory");
        return;
    }
    *out = e->out;
    e->out = old;
}

void mf__encode(lua_State *L, mf_codec *c, int first, int n, const char *what, mf_buffer *out)
{
    size_t start = out->used;
    struct mf_encoder *e;

    first = lua_absindex(L, first);
    for (int i = 0;; i++) {
        if (i == n)
            return;
        if (!mf__put_scalar(L, first + i, lua_type(L, first + i), out))
            break;
    }
    out->used = start;
    e = mf__encode_private(L, c, first, n, what);
    out->used = start; /* hooks may have used the buffer too */
    hand_over(e, out);
    mf__encoder_give(e);
}

bool mf__encode_text(lua_State *L, int idx, uint8_t head[11], size_t *ret_head,
                     const char **ret_text, size_t *ret_size)
{
    if (lua_type(L, idx) != LUA_TSTRING)
        return false;
    *ret_text = lua_tolstring(L, idx, ret_size);
    if (*ret_size <= MF_FORMAT_SHORT) {
        head[0] = (uint8_t)(MF_TAG_STRING + *ret_size);
        *ret_head = 1;
    } else {
        head[0] = MF_TAG_TEXT;
        *ret_head = (size_t)(mf__put_varint(head + 1, *ret_size) - head);
    }
    return true;
}

/* Reads a message of scalars only; -1: it is not one, nothing is pushed. */
static int decode_scalars(lua_State *L, const uint8_t *at, const uint8_t *end)
{
    int top = lua_gettop(L), count = 0;

    while (at < end) {
        if ((count % LUA_MINSTACK == 0 && !lua_checkstack(L, LUA_MINSTACK)) ||
            !mf__push_scalar(L, &at, end)) {
            lua_settop(L, top);
            return -1;
        }
        count++;
    }
    return count;
}

static int decode(lua_State *L, mf_codec *c, const uint8_t *data, size_t size, bool refuse)
{
    struct mf_decoder d;
    int count = decode_scalars(L, data, data + size), top = lua_gettop(L);

    if (count >= 0)
        return count;
    count = 0;
    d.refuse_functions = refuse;
    if (!mf__decode_open(&d, L, c, data, size) || !mf__decode_header(&d) ||
        !mf__decode_body(&d, &count)) {
        lua_settop(L, top);
        return d.error;
    }
    lua_rotate(L, top + 1, -MF_DECODE_SLOTS);
    lua_pop(L, MF_DECODE_SLOTS);
    return count;
}

int mf__decode(lua_State *L, mf_codec *c, const uint8_t *data, size_t size)
{
    return decode(L, c, data, size, false);
}

int mf__decode_plain(lua_State *L, mf_codec *c, const uint8_t *data, size_t size)
{
    return decode(L, c, data, size, true);
}

void mf__decode_push_reason(lua_State *L, mf_codec *c, int code)
{
    switch (code) {
    case MF_DECODE_NOMEM: lua_pushliteral(L, "not enough memory"); break;
    case MF_DECODE_DEEP:
        lua_pushliteral(L, "a message is nested too deeply, or has too many values");
        break;
    case MF_DECODE_REFUSED:
        lua_pushliteral(L, "a message holds a function where none is allowed");
        break;
    case MF_DECODE_FAILED:
        mf__codec_push(L, c, MF_FIELD_FAILURE);
        lua_pushnil(L);
        mf__codec_set(L, c, MF_FIELD_FAILURE);
        break;
    default: lua_pushliteral(L, "a message is damaged");
    }
}

int mf__decode_raise(lua_State *L, mf_codec *c, int code)
{
    mf__decode_push_reason(L, c, code);
    return lua_error(L);
}

uint32_t mf__message_handles(const uint8_t *data, size_t size, uint64_t *ret, uint32_t max)
{
    const uint8_t *at = data + 1, *end = data + size;
    uint64_t count, body;
    uint32_t copied;

    if (size == 0 || *data != MF_TAG_HEADER)
        return 0;
    if (!mf__get_varint(&at, end, &count) || !mf__get_varint(&at, end, &body) ||
        count > (uint64_t)(end - at) / sizeof *ret || count > UINT32_MAX)
        return 0;
    copied = count < max ? (uint32_t)count : max;
    if (copied > 0)
        memcpy(ret, at, copied * sizeof *ret);
    return (uint32_t)count;
}
