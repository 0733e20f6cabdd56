/*
 * handle.h - queues and locks as Lua values.
 *
 * One userdata a state and object, found again by its handle in a table with weak values, so that
 * an object that comes back is the same value. The userdata stands for this process's hold of the
 * object (object.h): when it is collected the object is dropped.
 */
#ifndef MF_HANDLE_H
#define MF_HANDLE_H

#include "object.h"
#include "state.h"

struct mf_handle {
    struct mf_object *object; /* NULL: given up */
    uint64_t handle;
};

/* What a kind of object is in Lua. */
struct mf_handle_class {
    const char *name;                 /* "moonfork.Queue" */
    uint32_t kind;                    /* MF_KIND_... */
    const luaL_Reg *methods, *events; /* functions; __gc is added. Upvalues: context, metatable */
};

/* How handles travel through the codec. */
struct mf_codec_hooks mf__handle_hooks(mf_lua *lua);

/* Pushes the userdata of an object that this process holds from now on through it alone. When this
 * raises (no memory) the object was dropped. */
void mf__handle_push(lua_State *L, mf_lua *lua, struct mf_object *o);

/* Pushes the metatable of a kind, made when it is first needed. */
void mf__handle_push_class(lua_State *L, uint32_t kind);

/* Pushes what a dump calls the object: "Queue#3". */
const char *mf__handle_push_name(lua_State *L, const mf_lua *lua, const struct mf_handle *h);

/* Raises what is wrong with argument 1 of a method. */
int mf__handle_bad_self(lua_State *L);

/* Argument 1 of a method whose upvalue 2 is its metatable; anything else raises. */
static inline struct mf_handle *mf__handle_self(lua_State *L)
{
    struct mf_handle *h = (struct mf_handle *)mf__lua_find_self(L);
    if (!h || !h->object)
        mf__handle_bad_self(L);
    return h;
}

/* The place of a handle in mf_lua.known, which forgets it in mf__handle_release. */
static inline unsigned mf__handle_place(const struct mf_handle *h)
{
    return (unsigned)((uintptr_t)h >> 6 & 3);
}

/* Gives this process's hold of the object up, before the userdata is collected. */
void mf__handle_release(lua_State *L, mf_lua *lua, struct mf_handle *h);

/* Is there still an object of this handle, held by whomever? */
bool mf__handle_is_alive(const mf_runtime *rt, uint64_t handle);

extern const struct mf_handle_class mf__queue_class, mf__lock_class;

#endif
