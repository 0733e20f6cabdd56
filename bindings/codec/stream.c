/* The item stream; see stream.h. May include: Lua, libc, the codec's headers. */
#include "stream.h"

#include "encode.h"

#include <limits.h>

/* The tags of a stream; they are not those of messages. Integers up to the widest are in order. */
enum stream_tag {
    RUN_NONE = 1, /* items without a value, */
    RUN_NIL,      /* items that are nil: nothing follows the count */
    RUN_BOOLEAN,  /* u8 */
    RUN_INT16,
    RUN_INT32,
    RUN_INT64,
    RUN_FLOAT,
    RUN_STRING, /* u8 size, bytes */
    ITEM_VALUES,
    ITEM_ERROR
};

static const uint8_t widths[] = {[RUN_BOOLEAN] = 1, [RUN_INT16] = 2, [RUN_INT32] = 4,
                                 [RUN_INT64] = 8,   [RUN_FLOAT] = 8, [RUN_STRING] = 0};

enum { HEAD = 1 + sizeof(uint32_t), LONGEST_STRING = 255 };

void mf__stream_close_run(struct mf_stream_writer *w)
{
    if (w->run != NULL)
        memcpy(w->run, &w->run_count, sizeof w->run_count);
    w->run = NULL;
}

/* Makes room for `need` bytes in the window or a fresh one. */
static int make_room(struct mf_stream_writer *w, size_t need)
{
    if ((size_t)(w->end - w->at) >= need)
        return 0;
    mf__stream_close_run(w);
    return w->grow(w, need);
}

/* Opens a run for a value of `width` bytes, for which it makes room too. */
static int open_run(struct mf_stream_writer *w, uint8_t tag, size_t width)
{
    static const uint8_t head[HEAD]; /* count 0: open */
    int error;

    mf__stream_close_run(w);
    error = make_room(w, HEAD + width);
    if (error < 0)
        return error;
    memcpy(w->at, head, sizeof head);
    *w->at = tag;
    w->run = w->at + 1;
    w->at += HEAD;
    w->run_tag = tag;
    w->run_count = 0;
    return 0;
}

/* Goes on with a run of `tag`, or opens one, with room for a value of `width` bytes. */
static inline int join_run(struct mf_stream_writer *w, uint8_t tag, size_t width)
{
    if (w->run == NULL || w->run_tag != tag || (size_t)(w->end - w->at) < width ||
        w->run_count == UINT32_MAX) {
        int error = open_run(w, tag, width);
        if (error < 0)
            return error;
    }
    w->run_count++;
    return 0;
}

/* The run that an integer belongs to: the open one if it is wide enough. */
static inline uint8_t integer_run(const struct mf_stream_writer *w, lua_Integer v)
{
    uint8_t tag = RUN_INT64;

    if (v >= INT16_MIN && v <= INT16_MAX)
        tag = RUN_INT16;
    else if (v >= INT32_MIN && v <= INT32_MAX)
        tag = RUN_INT32;
    if (w->run != NULL && w->run_tag > tag && w->run_tag <= RUN_INT64)
        tag = w->run_tag;
    return tag;
}

static int put_integer(struct mf_stream_writer *w, lua_Integer v)
{
    uint8_t tag = integer_run(w, v);
    int error = join_run(w, tag, widths[tag]);
    int32_t v32 = (int32_t)v;
    int16_t v16 = (int16_t)v;

    if (error < 0)
        return error;
    switch (tag) {
    case RUN_INT64: w->at = mf__put_raw(w->at, &v, sizeof v); break;
    case RUN_INT32: w->at = mf__put_raw(w->at, &v32, sizeof v32); break;
    default: w->at = mf__put_raw(w->at, &v16, sizeof v16); break;
    }
    return 0;
}

static int put_raw(struct mf_stream_writer *w, uint8_t tag, const void *bytes, size_t size)
{
    int error = join_run(w, tag, size);

    if (error == 0)
        w->at = mf__put_raw(w->at, bytes, size);
    return error;
}

static int put_string(struct mf_stream_writer *w, const char *s, size_t size)
{
    int error = join_run(w, RUN_STRING, 1 + size);

    if (error < 0)
        return error;
    *w->at++ = (uint8_t)size;
    w->at = mf__put_raw(w->at, s, size);
    return 0;
}

/* Writes an item that belongs to no run. It is encoded in private memory first: encoding may raise,
   and its size is not known before. */
static int put_message(lua_State *L, mf_codec *c, struct mf_stream_writer *w, int first, int n,
                       enum mf_stream_kind kind)
{
    struct mf_encoder *e = mf__encode_private(L, c, first, n, w->what);
    uint32_t size = (uint32_t)e->out.used;
    int error;

    if (e->out.used > UINT32_MAX)
        mf__encode_fail(e, "cannot send an item of over 4 GiB");
    mf__stream_close_run(w);
    error = make_room(w, HEAD + e->out.used);
    if (error == 0) {
        *w->at = kind == MF_STREAM_ERROR ? ITEM_ERROR : ITEM_VALUES;
        memcpy(w->at + 1, &size, sizeof size);
        w->message = w->at + HEAD;
        w->message_size = size;
        memcpy(w->at + HEAD, e->out.data, size);
        w->at += HEAD + size;
    }
    mf__encoder_give(e);
    return error;
}

int mf__stream_put(lua_State *L, mf_codec *c, struct mf_stream_writer *w, int idx_first, int n,
                   enum mf_stream_kind kind)
{
    w->message = NULL;
    if (kind == MF_STREAM_VALUES && n == 0)
        return put_raw(w, RUN_NONE, "", 0);
    if (kind == MF_STREAM_VALUES && n == 1) {
        lua_Number number;
        uint8_t boolean;
        size_t size;
        const char *s;
        switch (lua_type(L, idx_first)) {
        case LUA_TNUMBER:
            if (lua_isinteger(L, idx_first))
                return put_integer(w, lua_tointegerx(L, idx_first, NULL));
            number = lua_tonumberx(L, idx_first, NULL);
            return put_raw(w, RUN_FLOAT, &number, sizeof number);
        case LUA_TNIL: return put_raw(w, RUN_NIL, "", 0);
        case LUA_TBOOLEAN:
            boolean = lua_toboolean(L, idx_first) ? 1 : 0;
            return put_raw(w, RUN_BOOLEAN, &boolean, 1);
        case LUA_TSTRING:
            s = lua_tolstring(L, idx_first, &size);
            if (size <= LONGEST_STRING)
                return put_string(w, s, size);
            break;
        default: break;
        }
    }
    return put_message(L, c, w, idx_first, n, kind);
}

/* Begins the next entry: goes to the next window if this one is read, and reads a tag and the
   count or size after it. */
static int begin_entry(struct mf_stream_reader *r, uint8_t *ret_tag, uint32_t *ret_count)
{
    int error;

    while (r->at == r->end) {
        error = r->next_window != NULL ? r->next_window(r) : MF_DECODE_CORRUPT;
        if (error < 0)
            return error;
    }
    if ((size_t)(r->end - r->at) < HEAD || *r->at < RUN_NONE || *r->at > ITEM_ERROR)
        return MF_DECODE_CORRUPT;
    *ret_tag = *r->at;
    memcpy(ret_count, r->at + 1, sizeof *ret_count);
    r->at += HEAD;
    return 0;
}

/* Pushes the next value of the run that is being read. */
static inline int next_of_run(lua_State *L, struct mf_stream_reader *r)
{
    size_t left = (size_t)(r->end - r->at), size = widths[r->run_tag];
    lua_Number number;
    int64_t v64;
    int32_t v32;
    int16_t v16;

    if (left < size)
        return MF_DECODE_CORRUPT;
    switch (r->run_tag) {
    case RUN_INT64:
        memcpy(&v64, r->at, sizeof v64);
        lua_pushinteger(L, v64);
        break;
    case RUN_INT32:
        memcpy(&v32, r->at, sizeof v32);
        lua_pushinteger(L, v32);
        break;
    case RUN_INT16:
        memcpy(&v16, r->at, sizeof v16);
        lua_pushinteger(L, v16);
        break;
    case RUN_FLOAT:
        memcpy(&number, r->at, sizeof number);
        lua_pushnumber(L, number);
        break;
    case RUN_BOOLEAN: lua_pushboolean(L, *r->at); break;
    case RUN_NIL: lua_pushnil(L); break;
    case RUN_STRING:
        if (left == 0 || left - 1 < *r->at)
            return MF_DECODE_CORRUPT;
        size = 1 + (size_t)*r->at;
        lua_pushlstring(L, (const char *)r->at + 1, size - 1);
        break;
    default: break;
    }
    r->at += size;
    r->run_left--;
    r->left--;
    return r->run_tag != RUN_NONE;
}

int mf__stream_next(lua_State *L, mf_codec *c, struct mf_stream_reader *r,
                    enum mf_stream_kind *ret_kind)
{
    uint8_t tag;
    uint32_t count;
    const uint8_t *message;
    int error;

    *ret_kind = MF_STREAM_VALUES;
    if (r->run_left > 0)
        return next_of_run(L, r);
    if (r->left == 0)
        return MF_DECODE_CORRUPT;
    error = begin_entry(r, &tag, &count);
    if (error < 0)
        return error;
    if (tag < ITEM_VALUES) {
        r->run_tag = tag;
        r->run_left = count == 0 || count > r->left ? r->left : count;
        return next_of_run(L, r);
    }
    if (count > (size_t)(r->end - r->at))
        return MF_DECODE_CORRUPT;
    if (tag == ITEM_ERROR)
        *ret_kind = MF_STREAM_ERROR;
    message = r->at;
    r->at += count;
    r->left--;
    return mf__decode(L, c, message, count);
}

/* Skips n items of the run that is being read. */
static int skip_run(struct mf_stream_reader *r, uint32_t n)
{
    size_t left = (size_t)(r->end - r->at), size = (size_t)n * widths[r->run_tag];

    if (r->run_tag == RUN_STRING) {
        size = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (size >= left)
                return MF_DECODE_CORRUPT;
            size += 1 + (size_t)r->at[size];
        }
    }
    if (size > left)
        return MF_DECODE_CORRUPT;
    r->at += size;
    r->run_left -= n;
    r->left -= n;
    return 0;
}

/* Skips one entry, or the `most` first items of it; adds the handles in it from ret[*count] on. */
static int skip_entry(struct mf_stream_reader *r, uint32_t most, uint64_t *ret, uint32_t max,
                      uint32_t *count)
{
    uint32_t size;
    uint8_t tag;
    int error;

    if (r->run_left == 0) {
        error = begin_entry(r, &tag, &size);
        if (error < 0)
            return error;
        if (tag >= ITEM_VALUES) {
            uint32_t copied = *count < max ? *count : max;
            if (size > (size_t)(r->end - r->at))
                return MF_DECODE_CORRUPT;
            *count += mf__message_handles(r->at, size, ret ? ret + copied : NULL, max - copied);
            r->at += size;
            r->left--;
            return 0;
        }
        r->run_tag = tag;
        r->run_left = size == 0 || size > r->left ? r->left : size;
    }
    return skip_run(r, r->run_left < most ? r->run_left : most);
}

int mf__stream_skip(struct mf_stream_reader *r, uint32_t n)
{
    uint32_t count = 0, target = r->left - n;
    int error = 0;

    if (n > r->left)
        return MF_DECODE_CORRUPT;
    while (error == 0 && r->left > target)
        error = skip_entry(r, r->left - target, NULL, 0, &count);
    return error;
}

uint32_t mf__stream_handles(struct mf_stream_reader *r, uint64_t *ret, uint32_t max)
{
    uint32_t count = 0;

    while (r->left > 0)
        if (skip_entry(r, r->left, ret, max, &count) < 0)
            break;
    return count;
}
