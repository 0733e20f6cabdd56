/* The names of the standard library's functions; see standard.h. May include: Lua and libc. */
#include "standard.h"

#include <lauxlib.h>
#include <lualib.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { LONGEST_NAME = 32, MOST_NAMES = 512 };

struct entry {
    lua_CFunction function;
    bool bare;               /* without upvalues: the C function says it all */
    char name[LONGEST_NAME]; /* with its library, but for the basic one */
};

/* Not on the heap: threads may use it to the very end of the process, and an unloaded library takes
 * it along. */
static struct standard {
    size_t count;
    struct entry entries[MOST_NAMES]; /* sorted by function */
} the_names;

/* The process in which a thread makes the table: 0 before, MADE after. A child that was forked
 * meanwhile has no such thread, and begins again. */
static _Atomic pid_t maker;
#define MADE (-1)

/* The basic library stands last: a function with two names goes by that of its library. */
static const char *const libraries[] = {"coroutine", "debug",  "io",    "math", "os",
                                        "package",   "string", "table", "utf8", "_G"};

/* What mf__standard_replace was told. The table stays as it is: it is on pages that a child shares
 * with its parent. */
enum { MOST_REPLACEMENTS = 4 };
static struct replacement {
    const char *name;
    lua_CFunction function;
} replacements[MOST_REPLACEMENTS];

enum { LIBRARIES = sizeof libraries / sizeof *libraries };

static int by_function(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct entry *)a)->function;
    uintptr_t y = (uintptr_t)((const struct entry *)b)->function;

    return x < y ? -1 : x > y;
}

/* Adds the functions of the library at the top of the stack, but those that have a name. */
static void add_library(lua_State *L, const char *library)
{
    struct standard *names = &the_names;
    const char *prefix = strcmp(library, "_G") == 0 ? "" : library;

    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        struct entry *e = &names->entries[names->count];
        lua_CFunction function = lua_tocfunction(L, -1);
        bool known = function == NULL || names->count == MOST_NAMES;
        for (size_t i = 0; !known && i < names->count; i++)
            known = names->entries[i].function == function;
        if (known || lua_type(L, -2) != LUA_TSTRING)
            continue;
        e->function = function;
        e->bare = lua_getupvalue(L, -1, 1) == NULL;
        if (!e->bare)
            lua_pop(L, 1);
        if ((size_t)snprintf(e->name, sizeof e->name, "%s%s%s", prefix, *prefix ? "." : "",
                             lua_tostring(L, -2)) < sizeof e->name)
            names->count++;
    }
}

/* Fills the table from the state it runs in. */
static int collect(lua_State *L)
{
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    the_names.count = 0;
    for (int i = 0; i < LIBRARIES; i++) {
        if (lua_getfield(L, -1, libraries[i]) == LUA_TTABLE)
            add_library(L, libraries[i]);
        lua_pop(L, 1);
    }
    qsort(the_names.entries, the_names.count, sizeof *the_names.entries, by_function);
    return 0;
}

static bool make(void)
{
    lua_State *fresh = luaL_newstate();
    bool made;

    if (fresh == NULL)
        return false;
    lua_pushcfunction(fresh, collect);
    made = lua_pcall(fresh, 0, 0, 0) == LUA_OK;
    lua_close(fresh);
    return made;
}

bool mf__standard_prepare(void)
{
    pid_t who, own = getpid();
    bool made;

    while ((who = atomic_load(&maker)) != MADE) {
        if (who == own) {
            sched_yield(); /* another thread is about to be done */
        } else if (atomic_compare_exchange_strong(&maker, &who, own)) {
            made = make();
            atomic_store(&maker, made ? MADE : 0);
            return made;
        }
    }
    return true;
}

/* The replacement of the function of that name; NULL: there is none. */
static const struct replacement *replaced(const char *name, size_t size)
{
    for (const struct replacement *r = replacements; r < replacements + MOST_REPLACEMENTS; r++)
        if (r->name && strlen(r->name) == size && memcmp(r->name, name, size) == 0)
            return r;
    return NULL;
}

const char *mf__standard_name(lua_CFunction function)
{
    struct entry key = {.function = function}, *found;

    for (int i = 0; i < MOST_REPLACEMENTS && replacements[i].name; i++)
        if (replacements[i].function == function)
            return replacements[i].name;
    found = bsearch(&key, the_names.entries, the_names.count, sizeof key, by_function);
    return found && !replaced(found->name, strlen(found->name)) ? found->name : NULL;
}

void mf__standard_replace(const char *name, lua_CFunction function)
{
    for (int i = 0; i < MOST_REPLACEMENTS; i++)
        if (!replacements[i].name || strcmp(replacements[i].name, name) == 0) {
            replacements[i] = (struct replacement){.name = name, .function = function};
            break;
        }
}

/* Pushes what a library of this state has under the name of `e`. */
static void push_field(lua_State *L, const struct entry *e)
{
    const char *dot = strchr(e->name, '.');

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (dot == NULL)
        lua_pushliteral(L, "_G");
    else
        lua_pushlstring(L, e->name, (size_t)(dot - e->name));
    if (lua_rawget(L, -2) == LUA_TTABLE) {
        lua_pushstring(L, dot ? dot + 1 : e->name);
        lua_rawget(L, -2);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

bool mf__standard_push(lua_State *L, const char *name, size_t size)
{
    const struct replacement *r = replaced(name, size);

    if (r) {
        lua_pushcfunction(L, r->function);
        return true;
    }
    for (size_t i = 0; i < the_names.count; i++) {
        const struct entry *e = &the_names.entries[i];
        if (strlen(e->name) == size && memcmp(e->name, name, size) == 0) {
            if (e->bare)
                lua_pushcfunction(L, e->function);
            else
                push_field(L, e);
            return true;
        }
    }
    return false;
}

bool mf__standard_library(const char *name)
{
    for (int i = 0; i < LIBRARIES; i++)
        if (strcmp(libraries[i], name) == 0)
            return true;
    return false;
}

bool mf__standard_global(lua_State *L, const char *name)
{
    bool same;

    if (lua_iscfunction(L, -1)) {
        const char *standard = mf__standard_name(lua_tocfunction(L, -1));
        return standard != NULL && strcmp(standard, name) == 0;
    }
    if (strcmp(name, "_VERSION") == 0)
        return lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), LUA_VERSION) == 0;
    if (!lua_istable(L, -1) || !mf__standard_library(name))
        return false;
    if (strcmp(name, "_G") == 0) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    } else {
        luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_pushstring(L, name);
        lua_rawget(L, -2);
        lua_remove(L, -2);
    }
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    return same;
}
