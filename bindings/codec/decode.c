/*
 * Bytes to values; see decode.h and format.h. Tables are filled with an explicit stack of frames,
 * so that depth costs no C stack. May include: Lua, libc, the codec's headers.
 */
#include "decode.h"

#include "classes.h"
#include "codec_state.h"
#include "environment.h"
#include "function.h"
#include "objects.h"
#include "scalars.h"

#include <lauxlib.h>
#include <limits.h>

enum outcome { FAILED, DONE, OPENED };

bool mf__decode_fail(struct mf_decoder *d, int error)
{
    d->error = error;
    return false;
}

static bool corrupt(struct mf_decoder *d)
{
    return mf__decode_fail(d, MF_DECODE_CORRUPT);
}

/* lua_checkstack has refused. */
static bool stack_failed(struct mf_decoder *d)
{
    return mf__decode_fail(d, mf__stack_is_full(d->L) ? MF_DECODE_DEEP : MF_DECODE_NOMEM);
}

/* Makes room on Lua's stack for what another level needs. */
static bool deepen(struct mf_decoder *d)
{
    return lua_checkstack(d->L, LUA_MINSTACK) || stack_failed(d);
}

bool mf__decode_failed(struct mf_decoder *d)
{
    mf__codec_set(d->L, d->codec, MF_FIELD_FAILURE);
    return mf__decode_fail(d, MF_DECODE_FAILED);
}

bool mf__decode_byte(struct mf_decoder *d, uint8_t *ret)
{
    return mf__get_raw(&d->at, d->end, ret, 1) || corrupt(d);
}

bool mf__decode_varint(struct mf_decoder *d, uint64_t *ret)
{
    return mf__get_varint(&d->at, d->end, ret) || corrupt(d);
}

void mf__decode_remember(struct mf_decoder *d, lua_Integer key)
{
    lua_State *L = d->L;
    int refs = d->slots + 1 + MF_SLOT_REFS;

    if (lua_isnil(L, refs)) {
        lua_newtable(L);
        lua_replace(L, refs);
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, refs, key);
}

bool mf__decode_recall(struct mf_decoder *d, lua_Integer key)
{
    int refs = d->slots + 1 + MF_SLOT_REFS;

    if (lua_isnil(d->L, refs))
        return false;
    if (lua_rawgeti(d->L, refs, key) != LUA_TNIL)
        return true;
    lua_pop(d->L, 1);
    return false;
}

bool mf__decode_name(struct mf_decoder *d, const char **ret_name, size_t *ret_size)
{
    uint8_t tag;
    uint64_t size;

    if (!mf__decode_byte(d, &tag))
        return false;
    if (tag >= MF_TAG_STRING && tag < MF_TAG_MINUS)
        size = (uint64_t)(tag - MF_TAG_STRING);
    else if (tag != MF_TAG_TEXT || !mf__get_varint(&d->at, d->end, &size))
        return corrupt(d);
    if (size > (uint64_t)(d->end - d->at))
        return corrupt(d);
    *ret_name = (const char *)d->at;
    *ret_size = (size_t)size;
    d->at += size;
    return true;
}

/* The long string whose tag was at `offset`. */
static bool decode_text(struct mf_decoder *d, bool shared, size_t offset)
{
    uint64_t size;

    if (!mf__decode_varint(d, &size))
        return false;
    if (size > (uint64_t)(d->end - d->at))
        return corrupt(d);
    lua_pushlstring(d->L, (const char *)d->at, (size_t)size);
    d->at += size;
    if (shared)
        mf__decode_remember(d, (lua_Integer)offset);
    return true;
}

/* Makes room for one more frame: first those of the decoder, then a userdata on the Lua stack. */
static struct mf_filling *new_frame(struct mf_decoder *d)
{
    if (d->depth == d->frames_size) {
        size_t size = d->frames_size * 2;
        struct mf_filling *frames = lua_newuserdatauv(d->L, size * sizeof *frames, 0);
        memcpy(frames, d->frames, d->depth * sizeof *frames);
        lua_replace(d->L, d->slots + 1 + MF_SLOT_SPILL);
        d->frames = frames;
        d->frames_size = size;
    }
    return &d->frames[d->depth++];
}

/* How much of an announced number may be paid for out of the budget. */
static int afford(struct mf_decoder *d, uint64_t count, uint64_t bytes_each)
{
    if (count > (uint64_t)(d->end - d->at) || count * bytes_each > d->budget || count > INT_MAX / 2)
        return 0;
    d->budget -= count * bytes_each;
    return (int)count;
}

/*
 * Begins a table: pushes it, and its metatable if it has one. It is remembered before its contents
 * are read, as they may refer to it.
 */
static enum outcome open_table(struct mf_decoder *d, bool has_class, bool shared, size_t offset)
{
    lua_State *L = d->L;
    int shell = d->slots + 1 + MF_SLOT_SHELL;
    struct mf_filling *f;
    uint64_t list;
    uint8_t hint;
    int table = lua_gettop(L) + 1;

    if (!deepen(d))
        return FAILED;
    lua_pushnil(L);
    if (has_class && !mf__decode_value(d))
        return FAILED;
    if ((has_class && !lua_istable(L, -1)) || !mf__get_varint(&d->at, d->end, &list) ||
        !mf__get_raw(&d->at, d->end, &hint, 1) || hint > 32) {
        corrupt(d);
        return FAILED;
    }
    if (lua_isnil(L, shell)) {
        uint64_t pairs = hint > 0 ? UINT64_C(1) << (hint - 1) : 0;
        int items = afford(d, list, 1);
        lua_createtable(L, items, afford(d, pairs, 1));
    } else {
        lua_pushvalue(L, shell);
        lua_pushnil(L);
        lua_replace(L, shell);
    }
    if (shared)
        mf__decode_remember(d, (lua_Integer)offset);
    lua_replace(L, table);
    f = new_frame(d);
    *f = (struct mf_filling){.table = table,
                             .listing = list > 0,
                             .has_class = has_class,
                             .has_pairs = hint > 0,
                             .next = 1,
                             .list = list};
    return OPENED;
}

/* Ends the innermost table: sets its metatable, so that a __gc in it counts, and leaves the table
   at the top. */
static void close_table(struct mf_decoder *d)
{
    struct mf_filling *f = &d->frames[--d->depth];

    if (f->has_class)
        lua_setmetatable(d->L, f->table);
}

static bool decode_ref(struct mf_decoder *d)
{
    uint64_t offset;

    if (!mf__decode_varint(d, &offset))
        return false;
    return (offset <= INT64_MAX && mf__decode_recall(d, (lua_Integer)offset)) || corrupt(d);
}

/* Reads an object that is not a table and pushes it; it is remembered if it is shared. */
static bool decode_object(struct mf_decoder *d, uint8_t tag, size_t offset)
{
    bool shared = (tag & MF_FORMAT_SHARED) != 0, done;

    switch (tag & ~MF_FORMAT_SHARED) {
    case MF_TAG_TEXT: return decode_text(d, shared, offset);
    case MF_TAG_FUNCTION: return mf__decode_function(d, shared, offset);
    case MF_TAG_HANDLE: done = mf__decode_handle(d); break;
    case MF_TAG_HOOKED: done = mf__decode_hooked(d); break;
    case MF_TAG_CLASS: done = mf__decode_class(d); break;
    default: return corrupt(d);
    }
    if (done && shared)
        mf__decode_remember(d, (lua_Integer)offset);
    return done;
}

/* Reads a value and pushes it; of a table only what announces it, and its frame is new. */
static enum outcome begin_value(struct mf_decoder *d)
{
    size_t offset = (size_t)(d->at - d->body);
    bool done;
    uint8_t tag;

    if (mf__push_scalar(d->L, &d->at, d->end))
        return DONE;
    if (!mf__decode_byte(d, &tag))
        return FAILED;
    switch (tag) {
    case MF_TAG_TABLE:
    case MF_TAG_TABLE | MF_FORMAT_SHARED: return open_table(d, false, tag & 1, offset);
    case MF_TAG_OBJECT:
    case MF_TAG_OBJECT | MF_FORMAT_SHARED: return open_table(d, true, tag & 1, offset);
    case MF_TAG_STANDARD:
    case MF_TAG_MODULE:
    case MF_TAG_FIELD:
    case MF_TAG_FIELD_INDEX: done = mf__decode_named(d, tag); break;
    case MF_TAG_FILE: done = mf__decode_file(d); break;
    case MF_TAG_REF: done = decode_ref(d); break;
    case MF_TAG_GLOBALS: lua_rawgeti(d->L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); return DONE;
    default: done = decode_object(d, tag, offset); break;
    }
    return done ? DONE : FAILED;
}

/* Reads a run of numbers into the list part of the innermost table. */
static bool decode_run(struct mf_decoder *d, struct mf_filling *f, uint8_t tag)
{
    static const uint8_t widths[] = {2, 4, 8, 8};
    uint8_t width = widths[tag - MF_TAG_RUN_INT16], count;
    lua_State *L = d->L;
    const uint8_t *p;

    d->at++;
    if (!mf__decode_byte(d, &count))
        return false;
    if ((size_t)(d->end - d->at) < (size_t)count * width || f->list - f->next + 1 < count)
        return corrupt(d);
    for (p = d->at; count > 0; count--, p += width) {
        int64_t v64;
        int32_t v32;
        int16_t v16;
        double number;
        switch (tag) {
        case MF_TAG_RUN_FLOAT:
            memcpy(&number, p, sizeof number);
            lua_pushnumber(L, number);
            break;
        case MF_TAG_RUN_INT64:
            memcpy(&v64, p, sizeof v64);
            lua_pushinteger(L, v64);
            break;
        case MF_TAG_RUN_INT32:
            memcpy(&v32, p, sizeof v32);
            lua_pushinteger(L, v32);
            break;
        default:
            memcpy(&v16, p, sizeof v16);
            lua_pushinteger(L, v16);
            break;
        }
        lua_rawseti(L, f->table, (lua_Integer)f->next++);
    }
    d->at = p;
    return true;
}

/* Stores the value at the top in the innermost table. */
static void store(struct mf_decoder *d)
{
    struct mf_filling *f = &d->frames[d->depth - 1];

    if (f->listing)
        lua_rawseti(d->L, f->table, (lua_Integer)f->next++);
    else
        lua_rawset(d->L, f->table);
}

/* Reads what comes next in the list part of the innermost table. */
static bool fill_item(struct mf_decoder *d)
{
    struct mf_filling *f = &d->frames[d->depth - 1]; /* until a value is read: frames move */
    uint8_t tag;

    if (d->at == d->end)
        return corrupt(d);
    tag = *d->at;
    if (tag == MF_TAG_END) {
        d->at++;
        f->listing = false;
        return true;
    }
    if (tag >= MF_TAG_RUN_INT16 && tag <= MF_TAG_RUN_FLOAT)
        return decode_run(d, f, tag);
    switch (begin_value(d)) {
    case FAILED: return false;
    case OPENED: return true;
    default: store(d); return true;
    }
}

/* Is the value at the top fit for a key: neither nil nor NaN? */
static bool is_key(lua_State *L)
{
    int type = lua_type(L, -1);

    return type == LUA_TNUMBER ? lua_rawequal(L, -1, -1) : type != LUA_TNIL;
}

/* Reads the next pair of the innermost table, or the end of the table. */
static bool fill_pair(struct mf_decoder *d)
{
    if (!d->frames[d->depth - 1].has_pairs) {
        close_table(d);
        return true;
    }
    if (d->at < d->end && *d->at == MF_TAG_END) {
        d->at++;
        close_table(d);
        return true;
    }
    if (!mf__decode_value(d))
        return false;
    if (!is_key(d->L))
        return corrupt(d);
    switch (begin_value(d)) {
    case FAILED: return false;
    case OPENED: return true;
    default: store(d); return true;
    }
}

bool mf__decode_value(struct mf_decoder *d)
{
    size_t floor = d->depth;
    enum outcome outcome;

    if (mf__push_scalar(d->L, &d->at, d->end))
        return true;
    if (++d->level > MF_FORMAT_LEVELS)
        return mf__decode_fail(d, MF_DECODE_DEEP);
    if (!deepen(d))
        return false;
    outcome = begin_value(d);
    while (outcome == OPENED && d->depth > floor) {
        size_t depth = d->depth;
        struct mf_filling *f = &d->frames[depth - 1];
        if (f->listing && f->next > f->list)
            f->listing = false;
        if (!(f->listing ? fill_item(d) : fill_pair(d)))
            return false;
        if (d->depth < depth && d->depth > floor)
            store(d);
    }
    d->level--;
    return outcome != FAILED;
}

bool mf__decode_open(struct mf_decoder *d, lua_State *L, mf_codec *c, const uint8_t *data,
                     size_t size)
{
    d->L = L;
    d->codec = c;
    d->at = d->body = data;
    d->end = data + size;
    d->handles = NULL;
    d->handle_count = 0;
    d->budget = size;
    d->frames = d->frames_inline;
    d->depth = 0;
    d->frames_size = MF_FRAMES_INLINE;
    d->level = 0;
    d->slots = lua_gettop(L);
    d->error = 0;
    d->inner = false;
    if (!lua_checkstack(L, MF_DECODE_SLOTS + LUA_MINSTACK))
        return stack_failed(d);
    lua_settop(L, d->slots + MF_DECODE_SLOTS);
    return true;
}

bool mf__decode_header(struct mf_decoder *d)
{
    uint64_t size;

    if (d->at == d->end || *d->at != MF_TAG_HEADER)
        return true;
    d->at++;
    if (!mf__decode_varint(d, &d->handle_count) || !mf__decode_varint(d, &size))
        return false;
    if (d->handle_count > (uint64_t)(d->end - d->at) / sizeof(uint64_t))
        return corrupt(d);
    d->handles = d->at;
    d->at += d->handle_count * sizeof(uint64_t);
    d->body = d->at;
    if (size > (uint64_t)(d->end - d->at) || (size > 0 && d->inner))
        return corrupt(d);
    if (size > 0) {
        const uint8_t *classes = d->at + size, *end = d->end;
        d->end = classes;
        return mf__decode_classes(d, classes, end);
    }
    return true;
}

bool mf__decode_body(struct mf_decoder *d, int *count)
{
    while (d->at < d->end) {
        if (*d->at == MF_TAG_GLOBAL) {
            d->at++;
            if (!mf__decode_global(d))
                return false;
        } else {
            if (!deepen(d) || !mf__decode_value(d))
                return false;
            ++*count;
        }
    }
    return true;
}
