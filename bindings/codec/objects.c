/* Userdata, and tables with a metatable; see objects.h. */
#include "objects.h"

#include "classes.h"
#include "codec_state.h"
#include "standard.h"

#include <lauxlib.h>
#include <stdio.h>

/* Keeps the value at the top alive until the message is complete: the identity map holds addresses,
   and a collected object's address would be given to the next one. Pops nothing. */
static void keep(struct mf_encoder *e)
{
    lua_State *L = e->L;

    mf__encode_push_slot(e, MF_SLOT_KEEP);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

/* Notes whether the bytes of the object are still being written. */
static void set_open(struct mf_encoder *e, const void *object, bool open)
{
    bool entered;
    struct mf_identity_slot *slot = mf__identity_enter(&e->map, object, &entered);

    if (slot != NULL)
        slot->open = open;
}

/*
 * Sends an object through its hook: at the top of the stack is the object, above it the value of
 * its metatable's __mf_encode. Pops both.
 */
static bool encode_hooked(struct mf_encoder *e)
{
    lua_State *L = e->L;
    int object = lua_gettop(L) - 1;
    const void *address = lua_topointer(L, object);
    size_t size;
    const char *module;
    bool done;

    e->complex = true;
    if (lua_type(L, -1) == LUA_TSTRING)
        mf__encode_fail(e, "cannot send this: %s", lua_tostring(L, -1));
    if (mf__encode_reference(e, address)) {
        lua_settop(L, object - 1);
        return true;
    }
    mf__encode_tag(e, MF_TAG_HOOKED);
    set_open(e, address, true);
    lua_pushvalue(L, object);
    if (lua_pcall(L, 1, 2, 0) != LUA_OK)
        mf__encode_fail(e, "cannot send this: %s", luaL_tolstring(L, -1, NULL));
    if (lua_type(L, -2) != LUA_TSTRING)
        mf__encode_fail(e, "__mf_encode must give the name of a module and a value");
    module = lua_tolstring(L, -2, &size);
    mf__encode_name(e, module, size);
    keep(e);
    done = mf__encode_part(e, "__mf_encode", NULL);
    set_open(e, address, false);
    lua_settop(L, object - 1);
    return done;
}

/* Pushes the __mf_encode of the metatable at the top; false: it has none, nothing pushed. */
static bool push_hook(lua_State *L)
{
    lua_pushliteral(L, "__mf_encode");
    if (lua_rawget(L, -2) != LUA_TNIL)
        return true;
    lua_pop(L, 1);
    return false;
}

/* The file at the top is io.stdin, io.stdout or io.stderr: writes which. */
static bool encode_standard_file(struct mf_encoder *e)
{
    luaL_Stream *file = luaL_testudata(e->L, -1, LUA_FILEHANDLE);
    FILE *const standard[] = {stdin, stdout, stderr};

    for (uint8_t i = 0; file != NULL && file->closef != NULL && i < 3; i++) {
        if (file->f == standard[i]) {
            mf__encode_tag(e, MF_TAG_FILE);
            mf__encode_tag(e, i);
            lua_pop(e->L, 1);
            return true;
        }
    }
    return false;
}

/* Raises for the userdata at the top. */
static void refuse_userdata(struct mf_encoder *e)
{
    lua_State *L = e->L;
    const char *name = luaL_getmetafield(L, -1, "__name") == LUA_TSTRING ? lua_tostring(L, -1) : "";

    if (strcmp(name, LUA_FILEHANDLE) == 0)
        mf__encode_fail(e, "cannot send a userdata (FILE*); open it in the task");
    mf__encode_fail(e,
                    "cannot send a userdata%s%s%s; make it in the task, or give its metatable "
                    "an __mf_encode",
                    *name ? " (" : "", name, *name ? ")" : "");
}

bool mf__encode_userdata(struct mf_encoder *e)
{
    lua_State *L = e->L;
    const struct mf_codec_hooks *hooks = &e->codec->hooks;
    uint64_t handle;
    enum mf_written written;

    if (hooks->handle_of != NULL && hooks->handle_of(L, lua_gettop(L), hooks->ctx, &handle)) {
        if (!mf__encode_reference(e, lua_topointer(L, -1))) {
            mf__encode_tag(e, MF_TAG_HANDLE);
            mf__encode_varint(e, mf__encode_handle(e, handle));
        }
        lua_pop(L, 1);
        return true;
    }
    if (encode_standard_file(e))
        return true;
    if (!mf__modules_look(e))
        return false;
    written = mf__encode_named(e);
    if (written != MF_NOT_WRITTEN)
        return written == MF_WRITTEN;
    if (lua_getmetatable(L, -1)) {
        if (push_hook(L)) {
            lua_remove(L, -2);
            return encode_hooked(e);
        }
        lua_pop(L, 1);
    }
    refuse_userdata(e);
    return false;
}

enum mf_written mf__encode_object(struct mf_encoder *e)
{
    lua_State *L = e->L;

    if (push_hook(L)) {
        lua_remove(L, -2);
        return encode_hooked(e) ? MF_WRITTEN : MF_BEGIN_AGAIN;
    }
    if (mf__encode_reference(e, lua_topointer(L, -2))) {
        lua_pop(L, 2);
        return MF_WRITTEN;
    }
    mf__encode_tag(e, MF_TAG_OBJECT);
    return mf__encode_class(e) ? MF_NOT_WRITTEN : MF_BEGIN_AGAIN;
}

/* Reads a name and pushes it, as a string that ends with a zero. */
static bool push_name(struct mf_decoder *d)
{
    const char *name;
    size_t size;

    if (!mf__decode_name(d, &name, &size))
        return false;
    lua_pushlstring(d->L, name, size);
    return true;
}

bool mf__decode_named(struct mf_decoder *d, uint8_t tag)
{
    int top = lua_gettop(d->L);
    const char *name, *field = NULL;
    size_t size;

    if (tag == MF_TAG_STANDARD) {
        if (!mf__decode_name(d, &name, &size))
            return false;
        return mf__standard_push(d->L, name, size) || mf__decode_fail(d, MF_DECODE_CORRUPT);
    }
    if (!push_name(d) || (tag != MF_TAG_MODULE && !push_name(d)))
        return false;
    if (tag != MF_TAG_MODULE)
        field = lua_tostring(d->L, top + 2);
    if (!mf__modules_push(d->L, tag, lua_tostring(d->L, top + 1), field))
        return mf__decode_failed(d);
    lua_replace(d->L, top + 1);
    lua_settop(d->L, top + 1);
    return true;
}

bool mf__decode_file(struct mf_decoder *d)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};
    uint8_t which;

    if (!mf__decode_byte(d, &which))
        return false;
    if (which > 2)
        return mf__decode_fail(d, MF_DECODE_CORRUPT);
    return mf__modules_push(d->L, MF_TAG_FIELD, "io", names[which]) || mf__decode_failed(d);
}

/* Calls the hook push_handle with the handle (a light userdata to a u64) and the codec. */
static int push_handle(lua_State *L)
{
    const uint64_t *handle = lua_touserdata(L, 1);
    const mf_codec *c = lua_touserdata(L, 2);

    c->hooks.push_handle(L, *handle, c->hooks.ctx);
    return 1;
}

bool mf__decode_handle(struct mf_decoder *d)
{
    uint64_t index, handle;

    if (!mf__decode_varint(d, &index))
        return false;
    if (index >= d->handle_count || d->codec->hooks.push_handle == NULL)
        return mf__decode_fail(d, MF_DECODE_CORRUPT);
    memcpy(&handle, d->handles + index * sizeof handle, sizeof handle);
    lua_pushcfunction(d->L, push_handle);
    lua_pushlightuserdata(d->L, &handle);
    lua_pushlightuserdata(d->L, d->codec);
    return lua_pcall(d->L, 2, 1, 0) == LUA_OK || mf__decode_failed(d);
}

/* require(module).__mf_decode(value) */
bool mf__decode_hooked(struct mf_decoder *d)
{
    if (!mf__decode_named(d, MF_TAG_MODULE) || !mf__decode_value(d))
        return false;
    if (!lua_istable(d->L, -2)) {
        lua_pushliteral(d->L, "an object arrived whose module is no table here");
        return mf__decode_failed(d);
    }
    lua_pushliteral(d->L, "__mf_decode");
    if (lua_rawget(d->L, -3) == LUA_TNIL) {
        lua_pushliteral(d->L, "an object arrived whose module has no __mf_decode here");
        return mf__decode_failed(d);
    }
    lua_replace(d->L, -3);
    return lua_pcall(d->L, 1, 1, 0) == LUA_OK || mf__decode_failed(d);
}
