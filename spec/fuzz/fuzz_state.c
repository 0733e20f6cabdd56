/* fuzz_state.c - the Lua state of the fuzz targets: see fuzz_state.h. */
#include "fuzz_state.h"

#include "standard.h"

#include <lualib.h>
#include <string.h>

#define HANDLE "fuzz.handle"
#define GARBAGE (1u << 18) /* bytes that may lie about before they are collected */
#define RUNS_BETWEEN 256u

static struct fuzz_state the_state;

/* --- memory -------------------------------------------------------------------------------------
 */

static void *allocate(void *ctx, void *p, size_t old, size_t size)
{
    struct fuzz_state *s = ctx;

    if (p == NULL)
        old = 0;
    if (size == 0) {
        s->used -= old;
        free(p);
        return NULL;
    }
    s->used += size - old;
    if (s->limit != 0 && s->used > s->limit) {
        fprintf(stderr, "allocated more than 128 x the input + 64 KiB\n");
        abort();
    }
    return realloc(p, size);
}

void fuzz_state_limit(struct fuzz_state *s, size_t input)
{
    s->limit = s->used + 128 * input + 65536;
}

void fuzz_state_free(struct fuzz_state *s)
{
    s->limit = 0;
}

void fuzz_state_rest(struct fuzz_state *s)
{
    static size_t kept;

    lua_settop(s->L, 0);
    if (++s->runs % RUNS_BETWEEN != 0 && s->used < kept + GARBAGE)
        return;
    lua_gc(s->L, LUA_GCCOLLECT);
    kept = s->used;
}

/* --- functions ----------------------------------------------------------------------------------
 */

/* Every function that may travel: those that "closures" makes. */
static const char source[] =
    "return function(a, b)\n"
    "    local function get() return a, b end\n"
    "    local function set(v) a = v end\n"
    "    local function again(n) if n > 0 then return again(n - 1) end end\n"
    "    local function globals() return print, answer, string.rep(b) end\n"
    "    return { get, set, again, globals, function(...) return ... end }\n"
    "end";

enum { KNOWN = 5 };

static mf_buffer known[KNOWN];

static int append(lua_State *L, const void *bytes, size_t size, void *buffer)
{
    (void)L;
    return !mf__buffer_append(buffer, bytes, size);
}

static void make_functions(lua_State *L)
{
    PROMISE(luaL_dostring(L, source) == LUA_OK);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, "closures");
    lua_call(L, 0, 1);
    for (int i = 0; i < KNOWN; i++) {
        lua_rawgeti(L, -1, i + 1);
        PROMISE(lua_dump(L, append, &known[i], 0) == 0);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

struct chunk {
    const char *bytes;
    size_t size;
};

static const char *read_chunk(lua_State *L, void *ctx, size_t *size)
{
    struct chunk *chunk = ctx;

    (void)L;
    *size = chunk->size;
    chunk->size = 0;
    return *size > 0 ? chunk->bytes : NULL;
}

static bool is_known(const struct chunk *chunk)
{
    for (int i = 0; i < KNOWN; i++)
        if (known[i].used == chunk->size && memcmp(known[i].data, chunk->bytes, chunk->size) == 0)
            return true;
    return false;
}

int __real_lua_load(lua_State *L, lua_Reader reader, void *ctx, const char *name, const char *mode);
int __wrap_lua_load(lua_State *L, lua_Reader reader, void *ctx, const char *name, const char *mode);

int __wrap_lua_load(lua_State *L, lua_Reader reader, void *ctx, const char *name, const char *mode)
{
    struct chunk chunk;

    if (mode == NULL || strcmp(mode, "b") != 0)
        return __real_lua_load(L, reader, ctx, name, mode);
    chunk.bytes = reader(L, ctx, &chunk.size); /* the codec gives all at once */
    if (chunk.bytes != NULL && is_known(&chunk))
        return __real_lua_load(L, read_chunk, &chunk, name, mode);
    lua_pushliteral(L, "bytecode of nobody's");
    return LUA_ERRSYNTAX;
}

/* A decoded class may have any standard function as its finaliser: os.exit is not wanted here. */
bool __real_mf__standard_push(lua_State *L, const char *name, size_t size);
bool __wrap_mf__standard_push(lua_State *L, const char *name, size_t size);

bool __wrap_mf__standard_push(lua_State *L, const char *name, size_t size)
{
    bool harmless = size > 5 && (memcmp(name, "math.", 5) == 0 || memcmp(name, "strin", 5) == 0);

    return harmless && __real_mf__standard_push(L, name, size);
}

/* --- the state ----------------------------------------------------------------------------------
 */

static bool handle_of(lua_State *L, int idx, void *ctx, uint64_t *ret_handle)
{
    const uint64_t *handle = luaL_testudata(L, idx, HANDLE);

    (void)ctx;
    if (handle != NULL)
        *ret_handle = *handle;
    return handle != NULL;
}

/* A handle whose lowest byte is 0xff is of an object that is gone. */
void fuzz_push_handle(lua_State *L, uint64_t handle, void *ctx)
{
    (void)ctx;
    if ((handle & 0xff) == 0xff)
        luaL_error(L, "an object of this message is gone");
    *(uint64_t *)lua_newuserdatauv(L, sizeof handle, 0) = handle;
    luaL_setmetatable(L, HANDLE);
}

/* The module "fuzz", with what a hook finds there, and nothing that require could load besides. */
static void open_modules(lua_State *L)
{
    static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},
                                         {LUA_LOADLIBNAME, luaopen_package},
                                         {LUA_STRLIBNAME, luaopen_string},
                                         {LUA_MATHLIBNAME, luaopen_math},
                                         {NULL, NULL}};

    for (const luaL_Reg *l = libraries; l->func != NULL; l++)
        luaL_requiref(L, l->name, l->func, 1);
    lua_settop(L, 0);
    PROMISE(luaL_dostring(L, "package.path, package.cpath, print, answer = '', '', nil, 42\n"
                             "package.loaded.fuzz = {\n"
                             "    __mf_decode = function(v) return { v } end,\n"
                             "    Class = { __index = {} }, failing = { }\n"
                             "}\n"
                             "package.preload.fuzz = function() end") == LUA_OK);
}

struct fuzz_state *fuzz_state(void)
{
    struct mf_codec_hooks hooks = {handle_of, fuzz_push_handle, NULL};
    struct fuzz_state *s = &the_state;

    if (s->L != NULL)
        return s;
    s->L = lua_newstate(allocate, s);
    PROMISE(s->L != NULL);
    open_modules(s->L);
    luaL_newmetatable(s->L, HANDLE);
    make_functions(s->L);
    s->codec = mf__codec_new(s->L, &hooks, 1);
    s->other = mf__codec_new(s->L, &hooks, 2);
    mf__standard_name(luaopen_base); /* made once, outside of all limits */
    lua_settop(s->L, 0);
    lua_gc(s->L, LUA_GCSTOP);
    return s;
}
