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

/* package.searchpath(name, package[field]) finds a file. `package` is at the top. */
static bool on_path(lua_State *L, const char *name, const char *field)
{
    int top = lua_gettop(L);
    bool found = false;

    lua_getfield(L, top, "searchpath");
    lua_pushstring(L, name);
    lua_getfield(L, top, field);
    if (lua_isstring(L, -1) && mf__codec_try(L, 2, 1))
        found = lua_isstring(L, -1);
    lua_settop(L, top);
    return found;
}

/* Is the searcher at the top one that another state has, too? Lua's own are C functions, and a
 * host's, which its on_state sets everywhere; of those in Lua, that of luarocks.loader. */
static bool is_everywhere(lua_State *L)
{
    int top = lua_gettop(L);
    bool is = lua_iscfunction(L, top);

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (!is && lua_getfield(L, -1, "luarocks.loader") == LUA_TTABLE) {
        lua_getfield(L, -1, "luarocks_loader");
        is = lua_rawequal(L, -1, top);
    }
    lua_settop(L, top);
    return is;
}

/* One of package.searchers has a loader. For luarocks.loader, all-in-one C modules, a host's. */
static bool has_searcher(lua_State *L, const char *name)
{
    int top = lua_gettop(L);
    bool found = false;

    if (lua_getfield(L, top, "searchers") == LUA_TTABLE) {
        for (int i = 1; !found && lua_rawgeti(L, top + 1, i) != LUA_TNIL; i++) {
            bool everywhere = is_everywhere(L);
            lua_pushstring(L, name);
            found = everywhere && mf__codec_try(L, 1, 1) && lua_isfunction(L, -1);
            lua_settop(L, top + 1);
        }
    }
    lua_settop(L, top);
    return found;
}

/* Can `require` find the module in another state with the same paths and preloads? Moonfork is in
 * each that messages go to, also where a host has opened this one and `require` finds nothing. */
static bool search(lua_State *L, const char *name)
{
    int top = lua_gettop(L);
    bool found = strcmp(name, "moonfork") == 0;

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    found = lua_getfield(L, -1, name) != LUA_TNIL || found;
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

/* The same for the names of an entry: of several, each was found. */
static bool is_findable_entry(lua_State *L, mf_codec *c, const char *names)
{
    return strchr(names, '\n') != NULL || findable(L, c, names);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Lists the names in package.loaded (at the top) in m->order, sorted: in the order of the table one
   run would differ from the next. The strings are kept by that table. */
static bool list_names(lua_State *L, struct mf_modules *m, size_t *ret_count)
{
    bool ok = true;

    m->order.used = 0;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        const char *name;
        if (lua_type(L, -2) != LUA_TSTRING ||
            !(lua_istable(L, -1) || lua_isfunction(L, -1) || lua_type(L, -1) == LUA_TUSERDATA))
            continue;
        name = lua_tostring(L, -2);
        if (strcmp(name, "_G") != 0 && strchr(name, '\n') == NULL)
            ok = ok && mf__buffer_append(&m->order, &name, sizeof name);
    }
    *ret_count = m->order.used / sizeof(const char *);
    if (*ret_count > 1)
        qsort(m->order.data, *ret_count, sizeof(const char *), by_name);
    return ok;
}

/* A second name for a module that is in the table. What makes it may be spread over the modules of
   both names (one requires the other and adds to its table), so it travels under both. */
static bool add_alias(lua_State *L, mf_codec *c, struct mf_module_entry *entry, const char *name)
{
    struct mf_modules *m = &c->modules;
    const char *known = (const char *)m->names.data + entry->module;

    if (!findable(L, c, name))
        return true;
    if (!is_findable_entry(L, c, known))
        return keep_name(m, name, &entry->module);
    lua_pushfstring(L, "%s\n%s", known, name);
    bool ok = keep_name(m, lua_tostring(L, -1), &entry->module);
    lua_pop(L, 1);
    return ok;
}

/* Adds the module of `name`, which is at the top. */
static bool add_module(lua_State *L, mf_codec *c, const char *name)
{
    struct mf_modules *m = &c->modules;
    struct mf_module_entry *entry = m->size > 0 ? find(m, lua_topointer(L, -1)) : NULL;
    uint32_t module;

    if (entry != NULL && entry->object != NULL)
        return add_alias(L, c, entry, name);
    return keep_name(m, name, &module) && add(m, lua_topointer(L, -1), MF_TAG_MODULE, module, NULL);
}

/* Adds the modules of package.loaded (at the top), then what is in them. */
static bool add_modules(lua_State *L, mf_codec *c)
{
    struct mf_modules *m = &c->modules;
    size_t count;
    bool ok = list_names(L, m, &count);
    const char **names = (const char **)(void *)m->order.data;

    for (size_t i = 0; ok && i < count; i++) {
        lua_pushstring(L, names[i]);
        lua_rawget(L, -2);
        ok = add_module(L, c, names[i]);
        lua_pop(L, 1);
    }
    for (size_t i = 0; ok && i < count; i++) {
        lua_pushstring(L, names[i]);
        if (lua_rawget(L, -2) == LUA_TTABLE)
            ok = add_fields(L, m, find(m, lua_topointer(L, -1))->module);
        lua_pop(L, 1);
    }
    return ok;
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
    size_t seen;

    if (e->modules_seen)
        return true;
    e->modules_seen = true;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    differs = changed(L, m, &ok);
    if (differs) {
        seen = m->seen.used;
        m->seen.used = 0; /* until all is added, which may raise: look again next time */
        m->used = 0;
        m->names.used = 0;
        if (m->size > 0)
            memset(m->entries, 0, m->size * sizeof *m->entries);
        ok = ok && add_modules(L, e->codec);
        if (!ok)
            mf__encode_fail(e, "not enough memory");
        m->seen.used = seen;
    }
    lua_pop(L, 1);
    return !differs;
}

void mf__modules_fini(struct mf_modules *m)
{
    free(m->entries);
    mf__buffer_fini(&m->names);
    mf__buffer_fini(&m->seen);
    mf__buffer_fini(&m->order);
    *m = (struct mf_modules){0};
}

static void push_first_name(lua_State *L, const char *names)
{
    lua_pushlstring(L, names, strcspn(names, "\n"));
}

/* Does the raw path of `entry` lead to the value at the top now? */
static bool leads_to_top(lua_State *L, const struct mf_modules *m,
                         const struct mf_module_entry *entry)
{
    int top = lua_gettop(L);
    bool same;

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    push_first_name(L, (const char *)m->names.data + entry->module);
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
        !is_findable_entry(L, e->codec, (const char *)m->names.data + entry->module))
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

/* Pushes the module of a name, loading it if need be; or an error, and gives false. */
static bool push_module(lua_State *L, const char *name, size_t size)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushlstring(L, name, size);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_getglobal(L, "require");
        lua_pushlstring(L, name, size);
        if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
            lua_remove(L, -2);
            return false;
        }
    }
    lua_remove(L, -2);
    return true;
}

/* The same for a list of names: loads them all, pushes the first. */
static bool push_modules(lua_State *L, const char *names)
{
    for (const char *next = strchr(names, '\n'); next != NULL; next = strchr(next, '\n')) {
        next++;
        if (!push_module(L, next, strcspn(next, "\n")))
            return false;
        lua_pop(L, 1);
    }
    return push_module(L, names, strcspn(names, "\n"));
}

bool mf__modules_push(lua_State *L, int tag, const char *name, const char *key)
{
    if (!push_modules(L, name))
        return false;
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
