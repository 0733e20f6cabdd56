/* What travels by name; see modules.h. May include: Lua, libc, the codec's headers. */
#include "modules.h"

#include "codec_state.h"
#include "encode.h"
#include "standard.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

struct mf_module_entry {
    const void *object; /* NULL: free */
    uint32_t module, key;
    int tag; /* MF_TAG_MODULE, _FIELD or _FIELD_INDEX */
};

/* The place of `object`, or the free one where it belongs. `m` has entries. */
static struct mf_module_entry *find(const struct mf_modules *m, const void *object)
{
    uint64_t mixed = ((uintptr_t)object >> 3) * UINT64_C(0x9E3779B97F4A7C15);
    uint32_t i = (uint32_t)(mixed >> 32) & (m->size - 1);

    while (m->entries[i].object != NULL && m->entries[i].object != object)
        i = (i + 1) & (m->size - 1);
    return &m->entries[i];
}

static bool grow(struct mf_modules *m)
{
    struct mf_modules bigger = {.size = m->size ? m->size * 2 : 256};

    bigger.entries = calloc(bigger.size, sizeof *bigger.entries);
    if (bigger.entries == NULL)
        return false;
    for (uint32_t i = 0; i < m->size; i++)
        if (m->entries[i].object != NULL)
            *find(&bigger, m->entries[i].object) = m->entries[i];
    free(m->entries);
    m->entries = bigger.entries;
    m->size = bigger.size;
    return true;
}

/* Copies a name; answers its offset. */
static bool keep_name(struct mf_modules *m, const char *name, uint32_t *ret_offset)
{
    if (m->names.used > UINT32_MAX / 2)
        return false;
    *ret_offset = (uint32_t)m->names.used;
    return mf__buffer_append(&m->names, name, strlen(name) + 1);
}

/* Gives `object` a name unless it has one. */
static bool add(struct mf_modules *m, const void *object, int tag, uint32_t module, const char *key)
{
    struct mf_module_entry *entry;
    uint32_t offset = 0;

    if (m->used >= m->size / 2 && !grow(m))
        return false;
    entry = find(m, object);
    if (entry->object != NULL)
        return true;
    if (key != NULL && !keep_name(m, key, &offset))
        return false;
    m->used++;
    *entry = (struct mf_module_entry){object, module, offset, tag};
    return true;
}

/* Adds the tables, C functions and userdata in the module at the top, and the tables' __index. */
static bool add_fields(lua_State *L, struct mf_modules *m, uint32_t module)
{
    bool ok = true;

    for (lua_pushnil(L); ok && lua_next(L, -2) != 0; lua_pop(L, 1)) {
        int type = lua_type(L, -1);
        const char *key;
        if (lua_type(L, -2) != LUA_TSTRING ||
            (type != LUA_TTABLE && type != LUA_TUSERDATA && !lua_iscfunction(L, -1)))
            continue;
        key = lua_tostring(L, -2);
        ok = add(m, lua_topointer(L, -1), MF_TAG_FIELD, module, key);
        if (ok && type == LUA_TTABLE) {
            lua_pushliteral(L, "__index");
            if (lua_rawget(L, -2) == LUA_TTABLE)
                ok = add(m, lua_topointer(L, -1), MF_TAG_FIELD_INDEX, module, key);
            lua_pop(L, 1);
        }
    }
    if (!ok)
        lua_pop(L, 2);
    return ok;
}

/* Adds the modules of package.loaded (at the top) themselves, or what is in them. */
static bool add_modules(lua_State *L, struct mf_modules *m, bool fields)
{
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        uint32_t module;
        bool ok = true;
        if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "_G") == 0)
            continue;
        if (lua_istable(L, -1) || lua_isfunction(L, -1) || lua_type(L, -1) == LUA_TUSERDATA) {
            ok = keep_name(m, lua_tostring(L, -2), &module);
            if (ok && !fields)
                ok = add(m, lua_topointer(L, -1), MF_TAG_MODULE, module, NULL);
            else if (ok && lua_istable(L, -1))
                ok = add_fields(L, m, module);
        }
        if (!ok) {
            lua_pop(L, 2);
            return false;
        }
    }
    return true;
}

/* Compares package.loaded (at the top) with what was seen; notes it if it changed. */
static bool changed(lua_State *L, struct mf_modules *m, bool *ret_ok)
{
    size_t used = 0;
    bool differs = false;

    *ret_ok = true;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        const void *pair[2] = {lua_topointer(L, -2), lua_topointer(L, -1)};
        if (used + sizeof pair > m->seen.used ||
            memcmp(m->seen.data + used, pair, sizeof pair) != 0) {
            differs = true;
            m->seen.used = used;
            *ret_ok = *ret_ok && mf__buffer_append(&m->seen, pair, sizeof pair);
        }
        used += sizeof pair;
    }
    differs = differs || m->seen.used != used;
    m->seen.used = used < m->seen.used ? used : m->seen.used;
    return differs;
}

bool mf__modules_look(struct mf_encoder *e)
{
    struct mf_modules *m = &e->codec->modules;
    lua_State *L = e->L;
    bool ok, differs;

    if (e->modules_seen)
        return true;
    e->modules_seen = true;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    differs = changed(L, m, &ok);
    if (differs) {
        m->used = 0;
        m->names.used = 0;
        if (m->size > 0)
            memset(m->entries, 0, m->size * sizeof *m->entries);
        ok = ok && add_modules(L, m, false) && add_modules(L, m, true);
    }
    lua_pop(L, 1);
    if (!ok) {
        m->seen.used = 0; /* incomplete: look again next time */
        mf__encode_fail(e, "not enough memory");
    }
    return !differs;
}

void mf__modules_fini(struct mf_modules *m)
{
    free(m->entries);
    mf__buffer_fini(&m->names);
    mf__buffer_fini(&m->seen);
    *m = (struct mf_modules){0};
}

/* Does the raw path of `entry` lead to the value at the top now? */
static bool leads_to_top(lua_State *L, const struct mf_modules *m,
                         const struct mf_module_entry *entry)
{
    int top = lua_gettop(L);
    bool same;

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushstring(L, (const char *)m->names.data + entry->module);
    lua_rawget(L, -2);
    if (entry->tag != MF_TAG_MODULE && lua_istable(L, -1)) {
        lua_pushstring(L, (const char *)m->names.data + entry->key);
        lua_rawget(L, -2);
        if (entry->tag == MF_TAG_FIELD_INDEX && lua_istable(L, -1)) {
            lua_pushliteral(L, "__index");
            lua_rawget(L, -2);
        }
    }
    same = lua_rawequal(L, top, -1);
    lua_settop(L, top);
    return same;
}

/* package.searchpath(name, package[field]) finds a file. `package` is at the top. */
static bool on_path(lua_State *L, const char *name, const char *field)
{
    int top = lua_gettop(L);
    bool found = false;

    lua_getfield(L, top, "searchpath");
    lua_pushstring(L, name);
    lua_getfield(L, top, field);
    if (lua_isstring(L, -1) && lua_pcall(L, 2, 1, 0) == LUA_OK)
        found = lua_isstring(L, -1);
    lua_settop(L, top);
    return found;
}

/* One of package.searchers has a loader. For luarocks.loader, all-in-one C modules, own ones. */
static bool has_searcher(lua_State *L, const char *name)
{
    int top = lua_gettop(L);
    bool found = false;

    if (lua_getfield(L, top, "searchers") == LUA_TTABLE) {
        for (int i = 1; !found && lua_rawgeti(L, top + 1, i) != LUA_TNIL; i++) {
            lua_pushstring(L, name);
            found = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_isfunction(L, -1);
            lua_settop(L, top + 1);
        }
    }
    lua_settop(L, top);
    return found;
}

/* Can `require` find the module in another state with the same paths and preloads? */
static bool search(lua_State *L, const char *name)
{
    int top = lua_gettop(L);
    bool found;

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    found = lua_getfield(L, -1, name) != LUA_TNIL;
    lua_settop(L, top);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (!found && lua_getfield(L, -1, "package") == LUA_TTABLE)
        found = on_path(L, name, "path") || on_path(L, name, "cpath") || has_searcher(L, name);
    lua_settop(L, top);
    return found;
}

/* The same from the codec's memory: files do not come and go while modules stay loaded. */
static bool findable(lua_State *L, mf_codec *c, const char *name)
{
    bool found;

    if (mf__standard_library(name))
        return true;
    mf__codec_push(L, c, MF_FIELD_FINDABLE);
    lua_pushstring(L, name);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushboolean(L, search(L, name));
        lua_pushstring(L, name);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    found = lua_toboolean(L, -1) != 0;
    lua_pop(L, 2);
    return found;
}

/* May the table at the top go by this entry? A plain table in a module is data, and goes by value,
   but for those of the standard library (package.loaded). */
static bool fits(lua_State *L, const struct mf_modules *m, const struct mf_module_entry *entry,
                 enum mf_name_use use)
{
    if (use == MF_USE_CLASS || entry->tag == MF_TAG_MODULE || !lua_istable(L, -1))
        return true;
    return entry->tag == MF_TAG_FIELD &&
           mf__standard_library((const char *)m->names.data + entry->module);
}

enum mf_written mf__encode_named_as(struct mf_encoder *e, enum mf_name_use use)
{
    const struct mf_modules *m = &e->codec->modules;
    const struct mf_module_entry *entry;
    const char *module, *key;
    lua_State *L = e->L;

    if (m->used == 0)
        return MF_NOT_WRITTEN;
    entry = find(m, lua_topointer(L, -1));
    if (entry->object == NULL || !fits(L, m, entry, use) || !leads_to_top(L, m, entry) ||
        !findable(L, e->codec, (const char *)m->names.data + entry->module))
        return MF_NOT_WRITTEN;
    module = (const char *)m->names.data + entry->module;
    mf__encode_tag(e, entry->tag);
    mf__encode_name(e, module, strlen(module));
    if (entry->tag != MF_TAG_MODULE) {
        key = (const char *)m->names.data + entry->key;
        mf__encode_name(e, key, strlen(key));
    }
    lua_pop(L, 1);
    return MF_WRITTEN;
}

enum mf_written mf__encode_named(struct mf_encoder *e)
{
    lua_State *L = e->L;

    if (lua_topointer(L, -1) == e->codec->globals) {
        mf__encode_tag(e, MF_TAG_GLOBALS);
        lua_pop(L, 1);
        return MF_WRITTEN;
    }
    return mf__encode_named_as(e, MF_USE_VALUE);
}

bool mf__modules_push(lua_State *L, int tag, const char *name, const char *key)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushstring(L, name);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_getglobal(L, "require");
        lua_pushstring(L, name);
        if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
            lua_remove(L, -2);
            return false;
        }
    }
    lua_remove(L, -2);
    if (tag == MF_TAG_MODULE)
        return true;
    if (lua_istable(L, -1)) {
        lua_pushstring(L, key);
        lua_rawget(L, -2);
        lua_remove(L, -2);
        if (tag == MF_TAG_FIELD_INDEX && lua_istable(L, -1)) {
            lua_pushliteral(L, "__index");
            lua_rawget(L, -2);
            lua_remove(L, -2);
        }
    }
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    lua_pushfstring(L, "module '%s' has no field '%s' here", name, key);
    return false;
}
