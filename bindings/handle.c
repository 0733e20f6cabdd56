/* handle.c - queues and locks as Lua values: see handle.h. */
#include "handle.h"

static const char live_key;      /* registry: handle -> userdata, weak values */
static const char mark_key;      /* in the metatables of handles */
static const char class_keys[8]; /* registry: metatables by kind */

static const struct mf_handle_class *const classes[] = {&mf__queue_class, &mf__lock_class};

_Static_assert(MF_KINDS <= sizeof class_keys, "one place a kind");

static void push_live(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &live_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &live_key);
}

/* --- giving up ----------------------------------------------------------------------------------
 */

void mf__handle_release(lua_State *L, mf_lua *lua, struct mf_handle *h)
{
    lua->known[mf__handle_place(h)] = NULL;
    struct mf_object *o = h->object;
    h->object = NULL;
    if (!o || !lua->rt || mf__alive(lua->rt) < 0)
        return;
    /* A collected userdata leaves the weak table before its finaliser runs, and the object may
     * have come back meanwhile: then the newer userdata has the hold. */
    push_live(L);
    lua_rawgeti(L, -1, (lua_Integer)h->handle);
    struct mf_handle *other = lua_touserdata(L, -1);
    lua_pop(L, 2);
    if (other && other != h && other->object)
        return;
    if (mf__object_handle(lua->rt, o) == h->handle)
        mf__object_drop(lua->rt, o);
}

static int collect(lua_State *L)
{
    struct mf_handle *h = lua_touserdata(L, 1);
    mf_lua *lua = lua_touserdata(L, lua_upvalueindex(1));
    if (h && h->object)
        mf__handle_release(L, lua, h);
    return 0;
}

bool mf__handle_is_alive(const mf_runtime *rt, uint64_t handle)
{
    const struct mf_object *o = mf__object_at(rt, (uint32_t)(handle >> 32));
    uint32_t kind = atomic_load(&o->kind);
    uint32_t generation = *(const volatile uint32_t *)&o->generation;
    return generation == (uint32_t)handle && kind && !(kind & MF_DYING);
}

const char *mf__handle_push_name(lua_State *L, const mf_lua *lua, const struct mf_handle *h)
{
    char name[24];
    struct mf_text t = mf__text_in(name, sizeof name);
    mf__object_name(lua->rt, (uint32_t)(h->handle >> 32), &t);
    return lua_pushstring(L, name);
}

/* --- classes ------------------------------------------------------------------------------------
 */

int mf__handle_bad_self(lua_State *L)
{
    mf__lua_self(L);
    lua_getfield(L, lua_upvalueindex(2), "__name");
    return luaL_error(L, "this %s was given up", lua_tostring(L, -1));
}

static void make_class(lua_State *L, const struct mf_handle_class *class)
{
    static const luaL_Reg gc[] = {{"__gc", collect}, {NULL, NULL}};
    lua_newtable(L);
    int metatable = lua_gettop(L);
    mf__lua_set_methods(L, gc, metatable);
    mf__lua_set_methods(L, class->events, metatable);
    lua_newtable(L);
    mf__lua_set_methods(L, class->methods, metatable);
    lua_setfield(L, metatable, "__index");
    lua_pushstring(L, class->name);
    lua_setfield(L, metatable, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, metatable, "__metatable");
    lua_pushboolean(L, 1);
    lua_rawsetp(L, metatable, &mark_key);
}

void mf__handle_push_class(lua_State *L, uint32_t kind)
{
    luaL_checkstack(L, 8, NULL);
    if (kind == MF_KIND_FREE || kind >= MF_KINDS)
        luaL_error(L, "an object of this message is corrupt");
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &class_keys[kind]) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i]->kind == kind)
            make_class(L, classes[i]);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &class_keys[kind]);
}

/* --- userdata -----------------------------------------------------------------------------------
 */

/* Arguments: the object, its kind. Gives the userdata, which has the hold. */
static int wrap(lua_State *L)
{
    mf_lua *lua = mf__lua(L);
    struct mf_object *o = lua_touserdata(L, 1);
    mf__handle_push_class(L, (uint32_t)lua_tointeger(L, 2));
    push_live(L);
    struct mf_handle *h = lua_newuserdatauv(L, sizeof *h, 0);
    h->object = NULL;
    h->handle = mf__object_handle(lua->rt, o);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (lua_Integer)h->handle);
    lua_pushvalue(L, -3);
    lua_setmetatable(L, -2);
    h->object = o;
    return 1;
}

void mf__handle_push(lua_State *L, mf_lua *lua, struct mf_object *o)
{
    lua_pushcfunction(L, wrap);
    lua_pushlightuserdata(L, o);
    lua_pushinteger(L, atomic_load(&o->kind) & 0xff);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK)
        return;
    mf__object_drop(lua->rt, o);
    lua_error(L);
}

static bool handle_of(lua_State *L, int idx, void *ctx, uint64_t *ret_handle)
{
    const struct mf_handle *h = lua_touserdata(L, idx);
    (void)ctx;
    if (!lua_getmetatable(L, idx))
        return false;
    bool ours = lua_rawgetp(L, -1, &mark_key) == LUA_TBOOLEAN && h->object;
    lua_pop(L, 2);
    if (ours)
        *ret_handle = h->handle;
    return ours;
}

static void push_handle(lua_State *L, uint64_t handle, void *ctx)
{
    mf_lua *lua = ctx;
    struct mf_object *o;
    push_live(L);
    lua_rawgeti(L, -1, (lua_Integer)handle);
    lua_remove(L, -2);
    const struct mf_handle *known = lua_touserdata(L, -1);
    if (known && known->object)
        return;
    lua_pop(L, 1);
    if (mf__object_hold(lua->rt, handle, 0, &o) < 0)
        luaL_error(L, "an object of this message is gone");
    mf__handle_push(L, lua, o);
}

struct mf_codec_hooks mf__handle_hooks(mf_lua *lua)
{
    return (struct mf_codec_hooks){handle_of, push_handle, lua};
}
