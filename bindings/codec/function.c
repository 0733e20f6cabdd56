/*
 * Functions to bytes and back; see function.h. An upvalue is a box that closures may share: it is
 * an object of the message like a table, identified by lua_upvalueid, and joined again with
 * lua_upvaluejoin. May include: Lua, libc, the codec's headers.
 */
#include "function.h"

#include "bytecode.h"
#include "capture.h"
#include "codec_state.h"
#include "environment.h"
#include "modules.h"
#include "standard.h"

#include <lauxlib.h>

enum { SIZE_OF_SIZE = 4 };

/* A C function has a name, or cannot be sent. */
static bool encode_c_function(struct mf_encoder *e)
{
    lua_State *L = e->L;
    const char *name = mf__standard_name(lua_tocfunction(L, -1));

    if (name != NULL) {
        mf__encode_tag(e, MF_TAG_STANDARD);
        mf__encode_name(e, name, strlen(name));
        lua_pop(L, 1);
        return true;
    }
    if (mf__encode_named(e) == MF_WRITTEN)
        return true;
    mf__encode_fail(e, "cannot send a C function that is not a field of a module; "
                       "register it in on_state, or put it into a module");
}

static int dump_part(lua_State *L, const void *bytes, size_t size, void *ctx)
{
    struct mf_encoder *e = ctx;

    (void)L;
    return mf__buffer_append(&e->out, bytes, size) ? 0 : 1;
}

/* Writes the bytecode of the function at the top after its size. */
static void encode_bytecode(struct mf_encoder *e)
{
    size_t start = e->out.used, size;
    uint32_t written = 0;

    mf__encode_bytes(e, &written, SIZE_OF_SIZE);
    if (lua_dump(e->L, dump_part, e, 0) != 0)
        mf__encode_fail(e, "not enough memory");
    size = e->out.used - start - SIZE_OF_SIZE;
    if (size > UINT32_MAX)
        mf__encode_fail(e, "cannot send a function of over 4 GiB");
    written = (uint32_t)size;
    memcpy(e->out.data + start, &written, SIZE_OF_SIZE);
}

/* Tells which upvalues of the function at the top are environments; answers their number. */
static int find_environments(struct mf_encoder *e, int16_t *environments)
{
    lua_State *L = e->L;
    const char *name;
    int n;

    for (n = 0; (name = lua_getupvalue(L, -1, n + 1)) != NULL; n++) {
        environments[n] = (int16_t)mf__encode_environment_of(e, name);
        lua_pop(L, 1);
    }
    return n;
}

static void on_global(void *ctx, int environment, const char *name, size_t size)
{
    mf__encode_global_read(ctx, environment, name, size);
}

/* Finds the globals that the bytecode at `start` in `out` reads. */
static void find_globals(struct mf_encoder *e, size_t start, const int16_t *environments)
{
    const uint8_t *dump = e->out.data + start + SIZE_OF_SIZE;
    size_t size = e->out.used - start - SIZE_OF_SIZE;
    int error;

    if (e->environment_count == 0)
        return;
    error = mf__bytecode_globals(dump, size, environments, &e->scratch, on_global, e);
    if (error == MF_BYTECODE_NOMEM)
        mf__encode_fail(e, "not enough memory");
    if (error < 0)
        mf__encode_fail(e, "cannot find the globals of a function: this Lua's bytecode is of an "
                           "unknown kind");
}

/* Writes upvalue n of the function at stack index `function`. */
static bool encode_upvalue(struct mf_encoder *e, int function, int n)
{
    lua_State *L = e->L;

    if (mf__encode_reference(e, lua_upvalueid(L, function, n)))
        return true;
    mf__encode_tag(e, MF_TAG_UPVALUE);
    mf__watch_upvalue(e, function, n);
    return mf__encode_part(e, "upvalue", lua_getupvalue(L, function, n));
}

bool mf__encode_function(struct mf_encoder *e)
{
    lua_State *L = e->L;
    int function = lua_gettop(L), count;
    int16_t environments[MF_UPVALUES];
    size_t start;

    if (!mf__modules_look(e))
        return false;
    if (lua_iscfunction(L, -1))
        return encode_c_function(e);
    if (mf__encode_named(e) == MF_WRITTEN)
        return true;
    if (!mf__encode_reference(e, lua_topointer(L, -1))) {
        count = find_environments(e, environments);
        mf__encode_tag(e, MF_TAG_FUNCTION);
        start = e->out.used;
        encode_bytecode(e);
        find_globals(e, start, environments);
        mf__encode_tag(e, count);
        for (int i = 0; i < count; i++) {
            if (environments[i] != MF_NO_ENVIRONMENT)
                mf__encode_environment(e, environments[i]);
            else if (!encode_upvalue(e, function, i + 1))
                return false;
        }
    }
    lua_settop(L, function - 1);
    return true;
}

struct chunk {
    const char *bytes;
    size_t size;
};

static const char *read_chunk(lua_State *L, void *ctx, size_t *size)
{
    struct chunk *chunk = ctx;

    (void)L;
    *size = chunk->size;
    chunk->size = 0;
    return *size > 0 ? chunk->bytes : NULL;
}

/* Makes upvalue n of the function at `function` the box whose tag was at `offset`. */
static bool join_upvalue(struct mf_decoder *d, int function, int n)
{
    lua_State *L = d->L;
    uint64_t offset;
    int other;

    if (!mf__decode_varint(d, &offset))
        return false;
    if (offset > INT64_MAX || !mf__decode_recall(d, (lua_Integer)offset) ||
        !mf__decode_recall(d, -1 - (lua_Integer)offset))
        return mf__decode_fail(d, MF_DECODE_CORRUPT); /* it refers to something else */
    other = (int)lua_tointeger(L, -1);
    lua_upvaluejoin(L, function, n, lua_gettop(L) - 1, other);
    lua_settop(L, function);
    return true;
}

/* Reads upvalue n of the function at the top, stack index `function`. */
static bool decode_upvalue(struct mf_decoder *d, int function, int n)
{
    lua_State *L = d->L;
    size_t offset = (size_t)(d->at - d->body);
    bool shared;
    uint8_t tag;

    if (!mf__decode_byte(d, &tag))
        return false;
    shared = (tag & MF_FORMAT_SHARED) != 0;
    if (tag == MF_TAG_REF) {
        /* An environment is referred to by value, an upvalue by its box. */
        const uint8_t *at = d->at;
        uint64_t target;
        if (mf__decode_varint(d, &target) && target < (uint64_t)(d->at - d->body) &&
            (d->body[target] & ~MF_FORMAT_SHARED) == MF_TAG_ENVIRONMENT) {
            if (!mf__decode_recall(d, (lua_Integer)target))
                return mf__decode_fail(d, MF_DECODE_CORRUPT);
        } else {
            d->at = at;
            return join_upvalue(d, function, n);
        }
    } else if ((tag & ~MF_FORMAT_SHARED) == MF_TAG_ENVIRONMENT) {
        if (!mf__decode_environment(d, shared, offset))
            return false;
    } else if ((tag & ~MF_FORMAT_SHARED) == MF_TAG_UPVALUE) {
        if (shared) {
            lua_pushinteger(L, n);
            mf__decode_remember(d, -1 - (lua_Integer)offset);
            lua_pop(L, 1);
            mf__decode_remember(d, (lua_Integer)offset);
        }
        if (!mf__decode_value(d))
            return false;
    } else {
        return mf__decode_fail(d, MF_DECODE_CORRUPT);
    }
    lua_setupvalue(L, function, n);
    return true;
}

bool mf__decode_function(struct mf_decoder *d, bool shared, size_t offset)
{
    lua_State *L = d->L;
    int function = lua_gettop(L) + 1;
    struct chunk chunk;
    uint32_t size;
    uint8_t count;

    if (d->refuse_functions)
        return mf__decode_fail(d, MF_DECODE_REFUSED);
    if (!mf__get_raw(&d->at, d->end, &size, SIZE_OF_SIZE) || size > (size_t)(d->end - d->at))
        return mf__decode_fail(d, MF_DECODE_CORRUPT);
    chunk = (struct chunk){(const char *)d->at, size};
    d->at += size;
    switch (lua_load(L, read_chunk, &chunk, "=moonfork", "b")) {
    case LUA_OK: break;
    case LUA_ERRMEM: return mf__decode_fail(d, MF_DECODE_NOMEM);
    default: return mf__decode_fail(d, MF_DECODE_CORRUPT);
    }
    if (shared)
        mf__decode_remember(d, (lua_Integer)offset);
    if (!mf__decode_byte(d, &count))
        return false;
    if ((count > 0 && lua_getupvalue(L, function, count) == NULL) ||
        lua_getupvalue(L, function, count + 1) != NULL)
        return mf__decode_fail(d, MF_DECODE_CORRUPT);
    lua_settop(L, function);
    for (int n = 1; n <= count; n++)
        if (!decode_upvalue(d, function, n))
            return false;
    return true;
}
