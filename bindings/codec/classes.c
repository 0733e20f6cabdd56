/* Classes; see classes.h. May include: Lua, libc, the codec's headers. */
#include "classes.h"

#include "codec_state.h"
#include "decode.h"
#include "environment.h"
#include "modules.h"

#include <lauxlib.h>

/*
 * What a process knows about a class that it sent or received: a Lua string of this head and the
 * bytes of the class as a message. It hangs on the class by a weak key.
 */
struct record {
    uint64_t owner, serial;
    uint64_t version; /* 0: not yet encoded */
};

/* The key of a class in MF_FIELD_CLASSES. At home all versions are the one original, key 0. */
static void push_key(lua_State *L, const mf_codec *c, struct record key)
{
    if (key.owner == c->process_id)
        key.version = 0;
    lua_pushlstring(L, (const char *)&key, sizeof key);
}

/* Sets the record of the class at stack index `idx`. */
static void set_record(lua_State *L, mf_codec *c, int idx, const struct record *r,
                       const uint8_t *bytes, size_t size)
{
    luaL_Buffer b;

    idx = lua_absindex(L, idx);
    mf__codec_push(L, c, MF_FIELD_CLASS_RECORDS);
    lua_pushvalue(L, idx);
    luaL_buffinitsize(L, &b, sizeof *r + size);
    luaL_addlstring(&b, (const char *)r, sizeof *r);
    luaL_addlstring(&b, (const char *)bytes, size);
    luaL_pushresult(&b);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Pushes the record of the class at the top and answers its head and bytes; false: it has none,
   nothing pushed. */
static bool push_record(lua_State *L, mf_codec *c, struct record *ret, const uint8_t **ret_bytes,
                        size_t *ret_size)
{
    const char *s;

    mf__codec_push(L, c, MF_FIELD_CLASS_RECORDS);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    s = lua_tolstring(L, -1, ret_size);
    if (s == NULL) {
        lua_pop(L, 1);
        return false;
    }
    memcpy(ret, s, sizeof *ret);
    *ret_bytes = (const uint8_t *)s + sizeof *ret;
    *ret_size -= sizeof *ret;
    return true;
}

/* Puts the class at the top on the message's list of classes, once. */
static void mention(struct mf_encoder *e)
{
    lua_State *L = e->L;

    mf__encode_push_slot(e, MF_SLOT_CLASSES);
    lua_pushvalue(L, -2);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pushvalue(L, -3);
        lua_pushboolean(L, 1);
        lua_rawset(L, -4);
        lua_pushvalue(L, -3);
        lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
    }
    lua_pop(L, 2);
}

/* The identity of the class at the top, given now if it has none. */
static void identify(struct mf_encoder *e, struct record *ret)
{
    lua_State *L = e->L;
    const uint8_t *bytes;
    size_t size;

    if (push_record(L, e->codec, ret, &bytes, &size)) {
        lua_pop(L, 1);
        return;
    }
    *ret = (struct record){e->codec->process_id, ++e->codec->last_class, 0};
    mf__codec_push(L, e->codec, MF_FIELD_CLASSES);
    push_key(L, e->codec, *ret);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    /* Last: a class with a record that is not found by its key would not be known at home. */
    set_record(L, e->codec, -1, ret, (const uint8_t *)"", 0);
}

bool mf__encode_class(struct mf_encoder *e)
{
    lua_State *L = e->L;
    struct record r;

    if (!mf__modules_look(e))
        return false;
    if (lua_topointer(L, -1) == e->codec->globals)
        return mf__encode_named(e) == MF_WRITTEN;
    if (mf__encode_named_as(e, MF_USE_CLASS) == MF_WRITTEN)
        return true;
    e->complex = true;
    if (!mf__encode_reference(e, lua_topointer(L, -1))) {
        identify(e, &r);
        mention(e);
        mf__encode_tag(e, MF_TAG_CLASS);
        mf__encode_bytes(e, &r.owner, sizeof r.owner);
        mf__encode_varint(e, r.serial);
    }
    lua_pop(L, 1);
    return true;
}

/* Encodes the class at stack index `idx` as a message of its own at the end of `out`. */
static bool encode_contents(struct mf_encoder *e, int idx)
{
    lua_State *L = e->L;
    struct mf_link link = {.kind = "class", .up = e->root};

    lua_pushliteral(L, "__name");
    if (lua_rawget(L, idx) == LUA_TSTRING)
        link.name = lua_tostring(L, -1);
    e->link = &link;
    mf__encode_begin_body(e);
    lua_pushvalue(L, idx);
    if (lua_getmetatable(L, -1)) {
        mf__encode_tag(e, MF_TAG_OBJECT);
        if (!mf__encode_class(e))
            return false;
    } else {
        mf__encode_tag(e, MF_TAG_TABLE);
    }
    if (!mf__encode_entries(e) || !mf__encode_globals(e))
        return false;
    e->link = e->root;
    lua_pop(L, 1);
    mf__encode_header(e, e->body, e->handle_base, 0);
    return true;
}

/* Appends the bytes of a class that came from elsewhere, and mentions the handles in them. */
static void copy_contents(struct mf_encoder *e, const uint8_t *bytes, size_t size)
{
    uint32_t count = mf__message_handles(bytes, size, NULL, 0);

    mf__encode_bytes(e, bytes, size);
    for (uint32_t i = 0; i < count; i++)
        mf__encode_handle(e, 0);
    if (count > 0)
        mf__message_handles(bytes, size, e->handles + (e->handle_count - count), count);
}

/* Writes the entry of the class at the top, and pops it. */
static bool encode_entry(struct mf_encoder *e)
{
    lua_State *L = e->L;
    int idx = lua_gettop(L);
    size_t start = e->out.used, size, known;
    uint8_t head[8 + 3 * MF_FORMAT_VARINT], *p = head;
    const uint8_t *bytes;
    struct record r;

    push_record(L, e->codec, &r, &bytes, &known); /* it has one since it was mentioned */
    if (r.owner != e->codec->process_id) {
        copy_contents(e, bytes, known);
    } else {
        if (!encode_contents(e, idx))
            return false;
        size = e->out.used - start;
        if (r.version == 0 || size != known || memcmp(e->out.data + start, bytes, size) != 0) {
            r.version++;
            set_record(L, e->codec, idx, &r, e->out.data + start, size);
        }
    }
    p = mf__put_raw(p, &r.owner, sizeof r.owner);
    p = mf__put_varint(p, r.serial);
    p = mf__put_varint(p, r.version);
    p = mf__put_varint(p, e->out.used - start);
    if (!mf__buffer_insert(&e->out, start, (size_t)(p - head)))
        mf__encode_fail(e, "not enough memory");
    memcpy(e->out.data + start, head, (size_t)(p - head));
    lua_settop(L, idx - 1);
    return true;
}

bool mf__encode_classes(struct mf_encoder *e)
{
    lua_State *L = e->L;
    size_t body = e->body, size = 0;

    if (!lua_isnil(L, e->slots + 1 + MF_SLOT_CLASSES)) {
        size = e->out.used - body;
        for (int i = 1;; i++) {
            mf__encode_push_slot(e, MF_SLOT_CLASSES);
            lua_rawgeti(L, -1, i);
            lua_remove(L, -2);
            if (lua_isnil(L, -1))
                break;
            if (!encode_entry(e))
                return false;
        }
        lua_pop(L, 1);
    }
    mf__encode_header(e, body, 0, size);
    return true;
}

/* One entry of the class section of a message. */
struct entry {
    struct record key;
    const uint8_t *bytes;
    size_t size;
};

static bool read_entry(const uint8_t **at, const uint8_t *end, struct entry *ret)
{
    uint64_t size;

    if (!mf__get_raw(at, end, &ret->key.owner, sizeof ret->key.owner) ||
        !mf__get_varint(at, end, &ret->key.serial) || !mf__get_varint(at, end, &ret->key.version) ||
        !mf__get_varint(at, end, &size) || size > (uint64_t)(end - *at))
        return false;
    ret->bytes = *at;
    ret->size = (size_t)size;
    *at += size;
    return true;
}

/* Notes the class at the top, or a new table if that is nil, for its identity in this message; a
   new one also under `number`, as it is still empty. Pops it. */
static void note_class(struct mf_decoder *d, const struct record *key, lua_Integer number)
{
    lua_State *L = d->L;
    int classes = d->slots + 1 + MF_SLOT_IDENTITY;

    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, classes, number);
    }
    lua_pushlstring(L, (const char *)key, offsetof(struct record, version));
    lua_insert(L, -2);
    lua_rawset(L, classes);
}

/* Fills the empty class at the top from its entry, and registers it. */
static bool fill_class(struct mf_decoder *outer, const struct entry *entry)
{
    lua_State *L = outer->L;
    mf_codec *c = outer->codec;
    int class = lua_gettop(L), count = 0;
    struct mf_decoder d;

    d.refuse_functions = outer->refuse_functions;
    if (!mf__decode_open(&d, L, c, entry->bytes, entry->size))
        return mf__decode_fail(outer, d.error);
    d.inner = true;
    lua_pushvalue(L, outer->slots + 1 + MF_SLOT_IDENTITY);
    lua_replace(L, d.slots + 1 + MF_SLOT_IDENTITY);
    lua_pushvalue(L, class);
    lua_replace(L, d.slots + 1 + MF_SLOT_SHELL);
    if (!mf__decode_header(&d) || !mf__decode_body(&d, &count))
        return mf__decode_fail(outer, d.error);
    if (count != 1 || !lua_rawequal(L, class, -1))
        return mf__decode_fail(outer, MF_DECODE_CORRUPT);
    lua_settop(L, class);
    set_record(L, c, class, &entry->key, entry->bytes, entry->size);
    mf__codec_push(L, c, MF_FIELD_CLASSES);
    push_key(L, c, entry->key);
    lua_pushvalue(L, class);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return true;
}

bool mf__decode_classes(struct mf_decoder *d, const uint8_t *data, const uint8_t *end)
{
    lua_State *L = d->L;
    int classes = d->slots + 1 + MF_SLOT_IDENTITY;
    struct entry entry;

    lua_newtable(L);
    lua_replace(L, classes);
    mf__codec_push(L, d->codec, MF_FIELD_CLASSES);
    for (const uint8_t *at = data; at < end;) {
        lua_Integer number = at - data;
        if (!read_entry(&at, end, &entry))
            return mf__decode_fail(d, MF_DECODE_CORRUPT);
        push_key(L, d->codec, entry.key);
        lua_rawget(L, -2);
        note_class(d, &entry.key, number);
    }
    lua_pop(L, 1);
    for (const uint8_t *at = data; at < end;) {
        lua_Integer number = at - data;
        read_entry(&at, end, &entry);
        if (lua_rawgeti(L, classes, number) != LUA_TNIL && !fill_class(d, &entry))
            return false;
        lua_pop(L, 1);
    }
    return true;
}

bool mf__decode_class(struct mf_decoder *d)
{
    lua_State *L = d->L;
    int classes = d->slots + 1 + MF_SLOT_IDENTITY;
    struct record key;

    if (!mf__get_raw(&d->at, d->end, &key.owner, sizeof key.owner) ||
        !mf__get_varint(&d->at, d->end, &key.serial) || lua_isnil(L, classes))
        return mf__decode_fail(d, MF_DECODE_CORRUPT);
    lua_pushlstring(L, (const char *)&key, offsetof(struct record, version));
    if (lua_rawget(L, classes) == LUA_TTABLE)
        return true;
    return mf__decode_fail(d, MF_DECODE_CORRUPT);
}
