/*
 * The encoder's state: taking and giving it back, the small writes, references, headers, and the
 * path in an error. See encode.h. May include: Lua, libc, the codec's headers.
 */
#include "encode.h"

#include "codec_state.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_SIZE = 800, PATH_ENDS = 6, PATH_KEY = 40 };

/* Buffers that have grown beyond these bytes, or frames, are given back after use. */
enum { OUT_KEPT = 1 << 20, FRAMES_KEPT = 1 << 12 };

void mf__encoder_fini(struct mf_encoder *e)
{
    mf__identity_fini(&e->map);
    free(e->frames);
    free(e->handles);
    e->frames = NULL;
    e->handles = NULL;
    e->frames_size = 0;
    e->handle_size = 0;
    mf__buffer_fini(&e->out);
    mf__buffer_fini(&e->scratch);
}

/* While the state closes, a finaliser that comes later may send something, with this encoder. */
static int finalise(lua_State *L)
{
    mf__encoder_fini(lua_touserdata(L, 1));
    return 0;
}

static struct mf_encoder *new_encoder(lua_State *L)
{
    struct mf_encoder *e = lua_newuserdatauv(L, sizeof *e, MF_ENCODER_INDEX);

    memset(e, 0, sizeof *e);
    lua_pushliteral(L, "__index");
    lua_setiuservalue(L, -2, MF_ENCODER_INDEX);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finalise);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return e;
}

/*
 * The encoder stands on the stack while it is in use, and in the registry when it is given back:
 * one that an error took out of its message is not used again. A nested message, sent by a
 * __mf_encode hook or a finaliser, finds none and makes another, which takes the place in the
 * registry; so does the outer one when it is given back.
 */
struct mf_encoder *mf__encoder_take(lua_State *L, mf_codec *c)
{
    struct mf_encoder *e = c->spare;

    luaL_checkstack(L, MF_SLOTS + LUA_MINSTACK, "a message");
    if (e != NULL) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, c->spare_place);
        c->spare = NULL;
    } else {
        e = new_encoder(L);
    }
    e->L = L;
    e->codec = c;
    e->self = lua_gettop(L);
    e->out.used = 0;
    e->place = e->places = 0;
    e->depth = 0;
    e->link = e->root = NULL;
    e->level = 0;
    e->modules_seen = e->watching = e->complex = false;
    return e;
}

/* Gives back what one large message has needed. */
static void rest(struct mf_encoder *e)
{
    if (e->out.size > OUT_KEPT)
        mf__buffer_fini(&e->out);
    if (e->frames_size > FRAMES_KEPT) {
        free(e->frames);
        e->frames = NULL;
        e->frames_size = 0;
    }
    mf__identity_rest(&e->map);
}

void mf__encoder_give(struct mf_encoder *e)
{
    mf_codec *c = e->codec;

    rest(e);
    if (e == c->registered)
        lua_pop(e->L, 1);
    else
        lua_rawseti(e->L, LUA_REGISTRYINDEX, c->spare_place);
    c->spare = c->registered = e;
}

/* Appends to a path that may be cut off. */
static void path_add(char *path, size_t *used, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void path_add(char *path, size_t *used, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(path + *used, PATH_SIZE - *used, format, args);
    va_end(args);
    if (n > 0)
        *used = *used + (size_t)n < PATH_SIZE ? *used + (size_t)n : PATH_SIZE - 1;
}

static bool is_identifier(const char *s, size_t size)
{
    const char *end = s + size;

    if (size == 0 || (*s >= '0' && *s <= '9'))
        return false;
    while ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' ||
           (*s >= '0' && *s <= '9'))
        s++;
    return s == end;
}

/* Appends the first bytes of a string as Lua would write them: a path is text, without zeros. */
static void path_add_quoted(const char *s, size_t size, char *path, size_t *used)
{
    path_add(path, used, "[\"");
    for (size_t i = 0; i < size && i < PATH_KEY; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < ' ' || c == 127) /* three digits, as a digit may follow */
            path_add(path, used, "\\%03d", c);
        else
            path_add(path, used, "%s%c", c == '"' || c == '\\' ? "\\" : "", c);
    }
    path_add(path, used, "\"]");
}

/* Appends the table key at stack index `idx`. */
static void path_add_key(lua_State *L, int idx, char *path, size_t *used)
{
    switch (lua_type(L, idx)) {
    case LUA_TSTRING: {
        size_t size;
        const char *name = lua_tolstring(L, idx, &size);
        if (is_identifier(name, size))
            path_add(path, used, "%s%s", *used > 0 ? "." : "", name);
        else
            path_add_quoted(name, size, path, used);
        break;
    }
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx))
            path_add(path, used, "[" LUA_INTEGER_FMT "]", lua_tointeger(L, idx));
        else
            path_add(path, used, "[" LUA_NUMBER_FMT "]", lua_tonumber(L, idx));
        break;
    case LUA_TBOOLEAN:
        path_add(path, used, "[%s]", lua_toboolean(L, idx) ? "true" : "false");
        break;
    case LUA_TNIL: break; /* no entry was begun */
    default: path_add(path, used, "[%s]", luaL_typename(L, idx)); break;
    }
}

/* Appends the keys of the frames from..to-1, the ends only if there are many. */
static void path_add_frames(struct mf_encoder *e, size_t from, size_t to, char *path, size_t *used)
{
    for (size_t i = from; i < to; i++) {
        if (to - from > 2 * PATH_ENDS && i == from + PATH_ENDS) {
            path_add(path, used, " ... ");
            i = to - PATH_ENDS;
        }
        path_add_key(e->L, e->frames[i].table + 1, path, used);
    }
}

/* Appends the steps outside of and with `link`, the ends only if there are many: `inside` steps
   follow. Answers the number of frames outside of it. */
static size_t path_add_links(struct mf_encoder *e, const struct mf_link *link, int inside,
                             char *path, size_t *used)
{
    size_t before;
    int outside = 0;

    if (link == NULL)
        return 0;
    before = path_add_links(e, link->up, inside + 1, path, used);
    for (const struct mf_link *up = link->up; up != NULL && outside <= PATH_ENDS; up = up->up)
        outside++;
    if (outside == PATH_ENDS && inside >= PATH_ENDS)
        path_add(path, used, ", ...");
    if (outside >= PATH_ENDS && inside >= PATH_ENDS)
        return link->depth;
    path_add_frames(e, before, link->depth, path, used);
    path_add(path, used, "%s%s", *used > 0 ? ", " : "", link->kind);
    if (link->name != NULL)
        path_add(path, used, " '%.60s'", link->name);
    return link->depth;
}

void mf__encode_fail(struct mf_encoder *e, const char *format, ...)
{
    lua_State *L = e->L;
    char path[PATH_SIZE] = "";
    size_t used = 0, depth;
    va_list args;

    if (e->place > 0 && (e->places > 1 || strcmp(e->what, "args") == 0))
        path_add(path, &used, "%s[%d]", e->what, e->place);
    else if (e->place > 0)
        path_add(path, &used, "%s", e->what);
    depth = path_add_links(e, e->link, 0, path, &used);
    path_add_frames(e, depth, e->depth, path, &used);
    lua_checkstack(L, LUA_MINSTACK);
    lua_pushfstring(L, "%s: ", path);
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lua_concat(L, 2);
    rest(e);
    lua_error(L);
    abort(); /* not reached: lua_error does not return */
}

void mf__encode_deepen(struct mf_encoder *e)
{
    if (!lua_checkstack(e->L, LUA_MINSTACK + 2 * MF_DEEPEN))
        mf__encode_fail(e, "%s",
                        mf__stack_is_full(e->L) ? "nested too deeply" : "not enough memory");
}

uint8_t *mf__encode_room(struct mf_encoder *e, size_t size)
{
    if (!mf__buffer_reserve(&e->out, size))
        mf__encode_fail(e, "not enough memory");
    return e->out.data + e->out.used;
}

void mf__encode_bytes(struct mf_encoder *e, const void *bytes, size_t size)
{
    mf__encode_room(e, size);
    mf__buffer_append(&e->out, bytes, size);
}

void mf__encode_tag(struct mf_encoder *e, int tag)
{
    *mf__encode_room(e, 1) = (uint8_t)tag;
    e->out.used++;
}

void mf__encode_varint(struct mf_encoder *e, uint64_t v)
{
    uint8_t *p = mf__encode_room(e, MF_FORMAT_VARINT);

    e->out.used += (size_t)(mf__put_varint(p, v) - p);
}

void mf__encode_name(struct mf_encoder *e, const char *name, size_t size)
{
    if (size <= MF_FORMAT_SHORT) {
        mf__encode_tag(e, MF_TAG_STRING + (int)size);
    } else {
        mf__encode_tag(e, MF_TAG_TEXT);
        mf__encode_varint(e, size);
    }
    mf__encode_bytes(e, name, size);
}

bool mf__encode_reference(struct mf_encoder *e, const void *object)
{
    bool entered;
    struct mf_identity_slot *slot = mf__identity_enter(&e->map, object, &entered);

    if (slot == NULL)
        mf__encode_fail(e, "not enough memory");
    if (entered) {
        slot->offset = e->out.used - e->body;
        return false;
    }
    if (slot->open)
        mf__encode_fail(e, "an object refers to itself through its __mf_encode");
    e->out.data[e->body + slot->offset] |= MF_FORMAT_SHARED;
    mf__encode_tag(e, MF_TAG_REF);
    mf__encode_varint(e, slot->offset);
    return true;
}

void mf__encode_begin_body(struct mf_encoder *e)
{
    mf__identity_clear(&e->map);
    e->body = e->out.used;
    e->handle_base = e->handle_count;
    e->environment_count = 0;
}

void mf__encode_header(struct mf_encoder *e, size_t body, uint32_t first, size_t body_size)
{
    uint32_t count = e->handle_count - first;
    uint8_t head[1 + 2 * MF_FORMAT_VARINT], *p = head;
    size_t size;

    if (count == 0 && body_size == 0)
        return;
    *p++ = MF_TAG_HEADER;
    p = mf__put_varint(p, count);
    p = mf__put_varint(p, body_size);
    size = (size_t)(p - head);
    if (!mf__buffer_insert(&e->out, body, size + count * sizeof *e->handles))
        mf__encode_fail(e, "not enough memory");
    p = mf__put_raw(e->out.data + body, head, size);
    if (count > 0)
        memcpy(p, e->handles + first, count * sizeof *e->handles);
}

uint32_t mf__encode_handle(struct mf_encoder *e, uint64_t handle)
{
    if (e->handle_count == e->handle_size) {
        uint32_t size = e->handle_size ? e->handle_size * 2 : 16;
        uint64_t *handles = realloc(e->handles, size * sizeof *handles);
        if (handles == NULL)
            mf__encode_fail(e, "not enough memory");
        e->handles = handles;
        e->handle_size = size;
    }
    e->handles[e->handle_count] = handle;
    return e->handle_count++ - e->handle_base;
}

void mf__encode_push_slot(struct mf_encoder *e, enum mf_encode_slot slot)
{
    lua_State *L = e->L;
    int idx = e->slots + 1 + (int)slot;

    e->has_slots = true;
    if (lua_isnil(L, idx)) {
        lua_newtable(L);
        lua_replace(L, idx);
    }
    lua_pushvalue(L, idx);
}
