/*
 * Nil, booleans, numbers and short strings, to bytes and back: what most messages consist of.
 * Inline for the loops of encode.c and decode.c. May include: Lua, libc, the codec's headers.
 */
#ifndef MF_SCALARS_H
#define MF_SCALARS_H

#include "buffer.h"
#include "format.h"

#include <lua.h>

/* Writes a nil, boolean, number or interned string, whose type is known; false: it is none, or
 * there is no memory. */
static inline bool mf__put_scalar(lua_State *L, int idx, int type, mf_buffer *out)
{
    uint8_t *p;

    if (!mf__buffer_reserve(out, 2 + MF_FORMAT_INTERNED))
        return false;
    p = out->data + out->used;
    switch (type) {
    case LUA_TNIL: *p++ = MF_TAG_NIL; break;
    case LUA_TBOOLEAN: *p++ = lua_toboolean(L, idx) ? MF_TAG_TRUE : MF_TAG_FALSE; break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, idx))
            p = mf__put_integer(p, lua_tointegerx(L, idx, NULL));
        else
            p = mf__put_float(p, lua_tonumberx(L, idx, NULL));
        break;
    case LUA_TSTRING: {
        size_t size;
        const char *s = lua_tolstring(L, idx, &size);
        if (size > MF_FORMAT_INTERNED)
            return false;
        if (size <= MF_FORMAT_SHORT) {
            *p++ = (uint8_t)(MF_TAG_STRING + size);
        } else {
            *p++ = MF_TAG_TEXT;
            *p++ = (uint8_t)size;
        }
        p = mf__put_raw(p, s, size);
        break;
    }
    default: return false;
    }
    out->used = (size_t)(p - out->data);
    return true;
}

/*
 * Reads a scalar at *at and pushes it. False: what stands there is none, or is cut off; nothing is
 * read then. There must be a free stack slot.
 */
static inline bool mf__push_scalar(lua_State *L, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at;
    size_t left = (size_t)(end - p);
    uint8_t tag;

    if (left == 0)
        return false;
    tag = *p++;
    left--;
    if (tag < MF_TAG_STRING) {
        lua_pushinteger(L, tag);
    } else if (tag < MF_TAG_MINUS) {
        size_t size = tag - MF_TAG_STRING;
        if (size > left)
            return false;
        lua_pushlstring(L, (const char *)p, size);
        p += size;
    } else if (tag < MF_TAG_NIL) {
        lua_pushinteger(L, (lua_Integer)tag - MF_TAG_MINUS - 16);
    } else {
        int64_t v64;
        int32_t v32;
        int16_t v16;
        double number;
        switch (tag) {
        case MF_TAG_NIL: lua_pushnil(L); break;
        case MF_TAG_FALSE: lua_pushboolean(L, 0); break;
        case MF_TAG_TRUE: lua_pushboolean(L, 1); break;
        case MF_TAG_NULL: lua_pushlightuserdata(L, NULL); break;
        case MF_TAG_INT16:
            if (!mf__get_raw(&p, end, &v16, sizeof v16))
                return false;
            lua_pushinteger(L, v16);
            break;
        case MF_TAG_INT32:
            if (!mf__get_raw(&p, end, &v32, sizeof v32))
                return false;
            lua_pushinteger(L, v32);
            break;
        case MF_TAG_INT64:
            if (!mf__get_raw(&p, end, &v64, sizeof v64))
                return false;
            lua_pushinteger(L, v64);
            break;
        case MF_TAG_FLOAT:
            if (!mf__get_raw(&p, end, &number, sizeof number))
                return false;
            lua_pushnumber(L, number);
            break;
        default: return false;
        }
    }
    *at = p;
    return true;
}

#endif
