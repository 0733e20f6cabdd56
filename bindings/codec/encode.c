/*
 * Values to bytes; see encode.h and format.h. Tables are walked with an explicit stack of frames,
 * so that depth costs no C stack. May include: Lua, libc, the codec's headers.
 */
#include "encode.h"

#include "classes.h"
#include "codec_state.h"
#include "environment.h"
#include "function.h"
#include "objects.h"
#include "scalars.h"

#include <lauxlib.h>
#include <stdlib.h>

/* Writes the string at the top: a long one once per message. */
static void encode_text(struct mf_encoder *e)
{
    size_t size;
    const char *s = lua_tolstring(e->L, -1, &size);

    if (size <= MF_FORMAT_INTERNED) {
        mf__encode_name(e, s, size);
    } else if (!mf__encode_reference(e, lua_topointer(e->L, -1))) {
        mf__encode_tag(e, MF_TAG_TEXT);
        mf__encode_varint(e, size);
        mf__encode_bytes(e, s, size);
    }
    lua_pop(e->L, 1);
}

/* Begins the table at the top: what announces it is written, its first key (nil) pushed. */
static void open_frame(struct mf_encoder *e)
{
    lua_State *L = e->L;
    struct mf_frame *f;
    uint8_t *p;
    uint64_t list = lua_rawlen(L, -1);

    if (e->depth == e->frames_size) {
        size_t size = e->frames_size ? e->frames_size * 2 : 16;
        f = realloc(e->frames, size * sizeof *f);
        if (f == NULL)
            mf__encode_fail(e, "not enough memory");
        e->frames = f;
        e->frames_size = size;
    }
    p = mf__put_varint(mf__encode_room(e, MF_FORMAT_VARINT + 1), list);
    f = &e->frames[e->depth];
    *f = (struct mf_frame){.table = lua_gettop(L), .listing = list > 0, .next = 1, .list = list};
    f->hint = (size_t)(p - e->out.data);
    *p++ = 0;
    e->out.used = f->hint + 1;
    if (e->depth % MF_DEEPEN == MF_DEEPEN - 1)
        mf__encode_deepen(e);
    lua_pushnil(L);
    e->depth++;
}

/* Ends the innermost table, whose entries are all written, and pops it. */
static void close_frame(struct mf_encoder *e)
{
    struct mf_frame *f = &e->frames[e->depth - 1];

    if (f->listing && f->next <= f->list)
        mf__encode_tag(e, MF_TAG_END);
    if (f->pairs > 0) {
        uint8_t log2 = f->pairs > 1 ? (uint8_t)(64 - __builtin_clzll(f->pairs - 1)) : 0;
        e->out.data[f->hint] = (uint8_t)(1 + log2);
        mf__encode_tag(e, MF_TAG_END);
    }
    e->depth--;
    lua_pop(e->L, 1);
}

/*
 * Moves to the next entry of the innermost table. True: its key and value are on the stack.
 * lua_next rather than lua_rawgeti for the list part too: to read a list by index and then to skip
 * it with lua_next costs the same, and here each key is seen exactly once.
 */
static inline bool next_entry(struct mf_encoder *e, struct mf_frame *f)
{
    if (f->fetched) {
        f->fetched = false;
        return true;
    }
    return lua_next(e->L, f->table) != 0;
}

/* The kind of the number at the top as the tag of its run; 0: not worth one. */
static int run_of(lua_State *L)
{
    lua_Integer v;

    if (!lua_isinteger(L, -1))
        return MF_TAG_RUN_FLOAT;
    v = lua_tointegerx(L, -1, NULL);
    if (v >= -16 && v <= 127)
        return 0; /* one byte as it is */
    if (v >= INT16_MIN && v <= INT16_MAX)
        return MF_TAG_RUN_INT16;
    return v >= INT32_MIN && v <= INT32_MAX ? MF_TAG_RUN_INT32 : MF_TAG_RUN_INT64;
}

/* Writes the number at the top in the width of `run` at `p`; false: it does not belong there. */
static inline bool put_in_run(lua_State *L, int run, uint8_t **p)
{
    if (lua_type(L, -1) != LUA_TNUMBER)
        return false;
    if (run == MF_TAG_RUN_FLOAT) {
        lua_Number v;
        if (lua_isinteger(L, -1))
            return false;
        v = lua_tonumberx(L, -1, NULL);
        *p = mf__put_raw(*p, &v, sizeof v);
    } else {
        lua_Integer v;
        if (!lua_isinteger(L, -1))
            return false;
        v = lua_tointegerx(L, -1, NULL);
        if (run == MF_TAG_RUN_INT64) {
            *p = mf__put_raw(*p, &v, sizeof v);
        } else if (run == MF_TAG_RUN_INT32) {
            int32_t narrow = (int32_t)v;
            *p = mf__put_raw(*p, &narrow, sizeof narrow);
            return narrow == v;
        } else {
            int16_t narrow = (int16_t)v;
            *p = mf__put_raw(*p, &narrow, sizeof narrow);
            return narrow == v;
        }
    }
    return true;
}

/*
 * Writes the run of numbers that begins with the item at the top, at most MF_FORMAT_RUN of them.
 * Stops at the first entry that does not belong to it and leaves that one fetched, or at the end
 * of the table (false).
 */
static bool encode_run(struct mf_encoder *e, struct mf_frame *f, int run)
{
    lua_State *L = e->L;
    mf_buffer *out = &e->out;
    int key = f->table + 1;
    unsigned count = 0;
    bool more = true;
    uint8_t *p, *q;

    if (!mf__buffer_reserve(out, 2 + MF_FORMAT_RUN * sizeof(lua_Number)))
        mf__encode_fail(e, "not enough memory");
    p = q = out->data + out->used + 2;
    while (put_in_run(L, run, &q)) {
        p = q;
        count++;
        f->next++;
        lua_settop(L, key);
        more = lua_next(L, f->table) != 0;
        if (!more)
            break;
        f->fetched = true;
        if (count == MF_FORMAT_RUN || f->next > f->list || !lua_isinteger(L, key) ||
            (uint64_t)lua_tointegerx(L, key, NULL) != f->next)
            break;
    }
    out->data[out->used] = (uint8_t)run;
    out->data[out->used + 1] = (uint8_t)count;
    out->used = (size_t)(p - out->data);
    return more;
}

/* Is the entry on the stack the next item of the list part? Fills small holes before it. */
static bool in_list(struct mf_encoder *e, struct mf_frame *f)
{
    enum { LARGEST_HOLE = 4 };
    uint64_t key;

    if (!lua_isinteger(e->L, -2))
        return false;
    key = (uint64_t)lua_tointegerx(e->L, -2, NULL);
    if (key == f->next)
        return true;
    if (key < f->next || key > f->list || key - f->next > LARGEST_HOLE)
        return false;
    for (; f->next < key; f->next++)
        mf__encode_tag(e, MF_TAG_NIL);
    return true;
}

/* Writes the key under the value at the top. */
static bool encode_key(struct mf_encoder *e)
{
    if (mf__put_scalar(e->L, -2, lua_type(e->L, -2), &e->out))
        return true;
    lua_pushvalue(e->L, -2);
    return mf__encode_part(e, "key", NULL);
}

static bool encode_top(struct mf_encoder *e, int type);

/* Writes the next entry of the innermost table, or ends it. A table in it becomes the innermost. */
static bool encode_entry(struct mf_encoder *e)
{
    lua_State *L = e->L;
    struct mf_frame *f = &e->frames[e->depth - 1];
    int run, type;

    if (!next_entry(e, f)) {
        close_frame(e);
        return true;
    }
    if (f->listing && !in_list(e, f)) {
        if (f->next <= f->list)
            mf__encode_tag(e, MF_TAG_END);
        f->listing = false;
    }
    type = lua_type(L, -1);
    if (!f->listing) {
        f->pairs++;
        if (!encode_key(e))
            return false;
    } else if (type == LUA_TNUMBER && (run = run_of(L)) != 0) {
        if (!encode_run(e, f, run))
            close_frame(e);
        return true;
    } else {
        f->next++;
    }
    if (mf__put_scalar(L, -1, type, &e->out)) {
        lua_pop(L, 1);
        return true;
    }
    return encode_top(e, type);
}

bool mf__encode_entries(struct mf_encoder *e)
{
    size_t floor = e->depth;

    open_frame(e);
    while (e->depth > floor)
        if (!encode_entry(e))
            return false;
    return true;
}

/* Begins or writes the table at the top: by name, by reference, as a class, or by value. */
static bool encode_table(struct mf_encoder *e)
{
    lua_State *L = e->L;
    const void *table = lua_topointer(L, -1);
    enum mf_written written;

    if (mf__may_have_name(e->codec, table) && (written = mf__encode_named(e)) != MF_NOT_WRITTEN)
        return written == MF_WRITTEN;
    e->complex = true;
    lua_getiuservalue(L, e->self, MF_ENCODER_INDEX);
    if (lua_rawget(L, -2) != LUA_TNIL) {
        lua_pop(L, 1);
        return mf__encode_class(e);
    }
    lua_pop(L, 1);
    if (!lua_getmetatable(L, -1)) {
        if (mf__encode_reference(e, table)) {
            lua_pop(L, 1);
            return true;
        }
        mf__encode_tag(e, MF_TAG_TABLE);
    } else {
        written = mf__encode_object(e);
        if (written != MF_NOT_WRITTEN)
            return written == MF_WRITTEN;
    }
    open_frame(e);
    return true;
}

/* Writes the value at the top and pops it, but for a table, which it only begins. */
static bool encode_top(struct mf_encoder *e, int type)
{
    lua_State *L = e->L;

    switch (type) {
    case LUA_TSTRING: encode_text(e); return true;
    case LUA_TTABLE: return encode_table(e);
    case LUA_TFUNCTION: return mf__encode_function(e);
    case LUA_TUSERDATA: return mf__encode_userdata(e);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1) != NULL)
            mf__encode_fail(e, "cannot send a light userdata (an address means nothing elsewhere)");
        mf__encode_tag(e, MF_TAG_NULL);
        lua_pop(L, 1);
        return true;
    case LUA_TTHREAD:
        mf__encode_fail(e, "cannot send a coroutine; send the function and start it there");
    default:
        if (!mf__put_scalar(L, -1, type, &e->out))
            mf__encode_fail(e, "not enough memory");
        lua_pop(L, 1);
        return true;
    }
}

bool mf__encode_value(struct mf_encoder *e)
{
    size_t floor = e->depth;
    bool done;

    if (++e->level > MF_FORMAT_LEVELS)
        mf__encode_fail(e, "nested too deeply");
    mf__encode_deepen(e);
    done = encode_top(e, lua_type(e->L, -1));
    while (done && e->depth > floor)
        done = encode_entry(e);
    e->level--;
    return done;
}

bool mf__encode_part(struct mf_encoder *e, const char *kind, const char *name)
{
    struct mf_link link = {.kind = kind, .name = name, .depth = e->depth, .up = e->link};
    bool done;

    e->link = &link;
    done = mf__encode_value(e);
    e->link = link.up;
    return done;
}

/* Writes the values and all that belongs to them; false: begin again. */
static bool encode_all(struct mf_encoder *e, int first, int n)
{
    mf__encode_begin_body(e);
    for (int i = 0; i < n; i++) {
        if (e->places > 0)
            e->place = e->places - n + i + 1;
        lua_pushvalue(e->L, first + i);
        if (!mf__encode_value(e))
            return false;
    }
    e->place = 0;
    if (!e->has_slots && e->handle_count == 0)
        return true;
    return mf__encode_globals(e) && mf__encode_classes(e);
}

void mf__encode_message(struct mf_encoder *e, int first, int n, const char *what)
{
    lua_State *L = e->L;

    e->what = what;
    e->slots = lua_gettop(L);
    do {
        lua_settop(L, e->slots);
        lua_settop(L, e->slots + MF_SLOTS);
        e->has_slots = false;
        e->out.used = 0;
        e->depth = 0;
        e->link = e->root;
        e->level = 0;
        e->handle_count = 0;
        e->complex = false;
    } while (!encode_all(e, first, n));
}

struct mf_encoder *mf__encode_private(lua_State *L, mf_codec *c, int first, int n, const char *what)
{
    struct mf_encoder *e;

    first = lua_absindex(L, first);
    e = mf__encoder_take(L, c);
    e->places = n;
    mf__encode_message(e, first, n, what);
    lua_settop(L, e->slots);
    return e;
}
