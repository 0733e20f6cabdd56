/* heap.c - the Lua state of children, in memory of its own: see heap.h. */
#include "heap.h"

#include <lauxlib.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
/* The sanitizer watches malloc's blocks. */
lua_State *mf__heap_newstate(void)
{
    return luaL_newstate();
}

void mf__heap_close(lua_State *L)
{
    lua_close(L);
}

void mf__heap_drop(lua_State *L)
{
    lua_close(L);
}
#else

enum {
    GRAIN = 16,
    LEVEL = 512, /* to here the classes are a grain apart, then a quarter of a power of two */
    LEVEL_LOG2 = 9,
    MOST = 32768,
    CLASSES = LEVEL / GRAIN + 4 * 6,
    FIRST_REGION = 64 * 1024, /* what a state that does little needs, faulted in at once */
    REGION = 256 * 1024,
};

#ifdef MF_FAULTS
/* Set by spec/stress/resources/faults.c: is this allocation to fail? */
__attribute__((visibility("default"))) bool (*mf_fault_allocation)(void);
#define IS_TO_FAIL() (mf_fault_allocation && mf_fault_allocation())
#else
#define IS_TO_FAIL() false
#endif

struct hole {
    struct hole *next;
};

struct region {
    struct region *next; /* older */
    size_t size;
};

/* At the beginning of the first region. */
struct heap {
    struct region *regions;
    uint8_t *at, *end; /* of the newest region: where new blocks are cut from */
    struct hole *holes[CLASSES];
    jmp_buf *leave; /* set while the state of an ending child is closed */
};

static unsigned class_of(size_t size)
{
    if (size <= LEVEL)
        return (unsigned)((size + GRAIN - 1) / GRAIN - 1);
    unsigned log2 = 63u - (unsigned)__builtin_clzll(size - 1);
    size_t quarter = (size - 1 - ((size_t)1 << log2)) >> (log2 - 2);
    return LEVEL / GRAIN + (log2 - LEVEL_LOG2) * 4 + (unsigned)quarter;
}

static size_t room_of(unsigned class)
{
    if (class < LEVEL / GRAIN)
        return (class + 1) * (size_t)GRAIN;
    class -= LEVEL / GRAIN;
    size_t base = (size_t)LEVEL << class / 4;
    return base + (class % 4 + 1) * base / 4;
}

static size_t rounded(size_t size)
{
    return (size + GRAIN - 1) / GRAIN * GRAIN;
}

static struct region *map(size_t size, int flags)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return p == MAP_FAILED ? NULL : p; /* zeroed by the system */
}

/* Blocks are cut from the region from now on, behind its first `taken` bytes. */
static void add_region(struct heap *h, struct region *r, size_t size, size_t taken)
{
    *r = (struct region){.next = h->regions, .size = size};
    h->regions = r;
    h->at = (uint8_t *)r + rounded(taken);
    h->end = (uint8_t *)r + size;
}

static void *take(struct heap *h, unsigned class)
{
    struct hole *hole = h->holes[class];
    if (hole) {
        h->holes[class] = hole->next;
        return hole;
    }
    size_t room = room_of(class);
    if ((size_t)(h->end - h->at) < room) {
        struct region *r = map(REGION, 0);
        if (!r)
            return NULL;
        add_region(h, r, REGION, sizeof *r);
    }
    void *p = h->at;
    h->at += room;
    return p;
}

static void give(struct heap *h, void *p, unsigned class)
{
    struct hole *hole = p;
    hole->next = h->holes[class];
    h->holes[class] = hole;
}

static void release(struct heap *h, void *p, size_t size)
{
    if (!p || h->leave)
        return;
    if (size > MOST)
        free(p);
    else
        give(h, p, class_of(size));
}

/* A lua_Alloc. */
static void *allocate(void *heap, void *p, size_t old, size_t size)
{
    struct heap *h = heap;
    if (!p)
        old = 0;
    if (size == 0) {
        if (old > 0)
            release(h, p, old);
        return NULL;
    }
    if (size > old && IS_TO_FAIL())
        return NULL;
    if (size > MOST && old > MOST)
        return realloc(p, size);
    if (size <= MOST && old > 0 && old <= MOST && class_of(old) == class_of(size))
        return p;
    void *moved = size > MOST ? malloc(size) : take(h, class_of(size));
    if (!moved)
        return old >= size ? p : NULL;
    if (old > 0) {
        memcpy(moved, p, old < size ? old : size);
        release(h, p, old);
    }
    return moved;
}

static int panic(lua_State *L)
{
    const char *text = lua_tostring(L, -1);
    fprintf(stderr, "PANIC: unprotected error in call to Lua API (%s)\n", text ? text : "?");
    return 0;
}

/* --- warnings: as lauxlib's, off until "@on" ----------------------------------------------------
 */

static void warn_off(void *L, const char *text, int to_be_continued);
static void warn_on(void *L, const char *text, int to_be_continued);

static bool is_control(lua_State *L, const char *text, int to_be_continued)
{
    if (to_be_continued || *text != '@')
        return false;
    if (strcmp(text, "@on") == 0)
        lua_setwarnf(L, warn_on, L);
    else if (strcmp(text, "@off") == 0)
        lua_setwarnf(L, warn_off, L);
    return true;
}

static void warn_off(void *L, const char *text, int to_be_continued)
{
    is_control(L, text, to_be_continued);
}

static void warn_more(void *L, const char *text, int to_be_continued)
{
    fputs(text, stderr);
    if (to_be_continued)
        return;
    fputc('\n', stderr);
    fflush(stderr);
    lua_setwarnf(L, warn_on, L);
}

static void warn_on(void *L, const char *text, int to_be_continued)
{
    if (is_control(L, text, to_be_continued))
        return;
    fputs("Lua warning: ", stderr);
    lua_setwarnf(L, warn_more, L);
    warn_more(L, text, to_be_continued);
}

/* --- the state ----------------------------------------------------------------------------------
 */

static const char last_key;

/* Not by lua_getallocf: the host's on_state may have put an allocator of its own before ours. NULL
 * in a state whose registry a script has wiped. */
static struct heap *heap_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &last_key);
    struct heap *const *heap = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return heap ? *heap : NULL;
}

static void unmap_all(struct heap *h)
{
    for (struct region *r = h->regions, *next; r; r = next) {
        next = r->next;
        munmap(r, r->size);
    }
}

/* The finaliser that runs last, because its object was the first that got one. What would follow in
 * lua_close is a walk through all objects to free them, one by one. */
static int last_finaliser(lua_State *L)
{
    struct heap *h = heap_of(L);
    /* Collected before its time, in a state whose registry a script has wiped, it does nothing. */
    if (h && h->leave)
        longjmp(*h->leave, 1);
    return 0;
}

/* Argument: the heap. */
static int set_last_finaliser(lua_State *L)
{
    struct heap **heap = lua_newuserdatauv(L, sizeof *heap, 0);
    *heap = lua_touserdata(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, last_finaliser);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &last_key);
    return 0;
}

lua_State *mf__heap_newstate(void)
{
    struct region *first = map(FIRST_REGION, MAP_POPULATE);
    if (!first)
        return NULL;
    struct heap *h = (struct heap *)(first + 1);
    add_region(h, first, FIRST_REGION, sizeof *first + sizeof *h);
    lua_State *L = lua_newstate(allocate, h);
    if (!L) {
        unmap_all(h);
        return NULL;
    }
    lua_atpanic(L, panic);
    lua_setwarnf(L, warn_off, L);
    lua_pushcfunction(L, set_last_finaliser);
    lua_pushlightuserdata(L, h);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        lua_close(L);
        unmap_all(h);
        return NULL;
    }
    return L;
}

void mf__heap_close(lua_State *L)
{
    jmp_buf leave;
    struct heap *h = heap_of(L);
    /* Finalisers run, and may still allocate: that needs no holes. */
    if (h)
        h->leave = &leave;
    if (setjmp(leave) == 0)
        lua_close(L);
}

void mf__heap_drop(lua_State *L)
{
    struct heap *h = heap_of(L);
    lua_close(L);
    if (h)
        unmap_all(h);
}
#endif
