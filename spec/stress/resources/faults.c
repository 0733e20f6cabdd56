/*
 * faults.c - makes allocations fail, by number. Used by spec/stress/resources.sh alone.
 *
 * A library to be preloaded: its malloc, calloc and realloc are glibc's, but for the calls that it
 * was told to refuse. The blocks that the state of a child cuts from regions of its own
 * (bindings/heap.c) are not malloc's; a build with MF_FAULTS asks here before each. It is a Lua
 * module too, found by its path, with which a script tells what is to fail:
 *
 *     arm(first, count, who)  calls number first to first + count - 1 fail, of those made from now
 *                             on by this process ("parent"), each of its children ("child"; counted
 *                             from their fork on), or "both": of those, in the one that comes to
 *                             its call first. count 0: all from first on, in all of them
 *     disarm()                gives how many have failed, and how many calls the process that made
 *                             most of them has made: this one, and of the children
 *     live()                  blocks of malloc that this process has not freed
 *     trace(...), untrace()   lets strace, with these options, watch this process and the children
 *                             that it starts from now on; true when it does
 *     unfinalised()           finalisers that have failed: Lua calls one once, and had no memory to
 *
 * MF_FAULTS_AT=first:count in the environment arms it for the start of the process ("parent").
 * What is armed is in shared memory, so that it holds in children that are there already.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum who { PARENT = 1, CHILD = 2 };

struct control {
    _Atomic uint32_t turn;    /* grows with each arming; even: disarmed */
    _Atomic uint32_t claimed; /* a process has come to the first call that is to fail */
    uint64_t first, count;
    uint32_t who;
    _Atomic uint64_t failed;
    _Atomic uint64_t most[2]; /* calls of this process, of the child that made most */
};

static struct control *control;

/* Of this process. */
static uint32_t turn;
static uint64_t calls;
static bool is_child, is_chosen;
static _Atomic int64_t live;
static int unfinalised;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

/* --- to fail or not -----------------------------------------------------------------------------
 */

static void note_most(uint64_t n)
{
    _Atomic uint64_t *most = &control->most[is_child];
    uint64_t old = atomic_load(most);
    while (old < n && !atomic_compare_exchange_weak(most, &old, n))
        ;
}

static bool is_to_fail(void)
{
    uint32_t now = control ? atomic_load(&control->turn) : 0;
    if (now % 2 == 0 || !(control->who & (is_child ? CHILD : PARENT)))
        return false;
    if (turn != now)
        calls = 0;
    turn = now;
    note_most(++calls);
    if (calls == control->first)
        is_chosen = control->count == 0 || !atomic_exchange(&control->claimed, 1);
    if (calls < control->first || !is_chosen ||
        (control->count && calls - control->first >= control->count))
        return false;
    atomic_fetch_add(&control->failed, 1);
    return true;
}

static bool refuse(void)
{
    if (!is_to_fail())
        return false;
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t size)
{
    void *p = refuse() ? NULL : __libc_malloc(size);
    live += p != NULL;
    return p;
}

EXPORT void *calloc(size_t n, size_t size)
{
    void *p = refuse() ? NULL : __libc_calloc(n, size);
    live += p != NULL;
    return p;
}

EXPORT void *realloc(void *old, size_t size)
{
    if (size && refuse())
        return NULL;
    void *p = __libc_realloc(old, size);
    live += (p != NULL) - (old != NULL && (p != NULL || size == 0));
    return p;
}

EXPORT void free(void *p)
{
    live -= p != NULL;
    __libc_free(p);
}

/* --- arming -------------------------------------------------------------------------------------
 */

static void arm(uint64_t first, uint64_t count, uint32_t who)
{
    control->first = first;
    control->count = count;
    control->who = who;
    atomic_store(&control->failed, 0);
    atomic_store(&control->claimed, 0);
    atomic_store(&control->most[0], 0);
    atomic_store(&control->most[1], 0);
    atomic_fetch_add(&control->turn, 1);
}

static void in_child(void)
{
    is_child = true;
    calls = 0;
}

__attribute__((constructor)) static void begin(void)
{
    unsigned long long first, count;
    const char *at = getenv("MF_FAULTS_AT");
    void *p =
        mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    pthread_atfork(NULL, NULL, in_child);
    control = p;
    if (at && sscanf(at, "%llu:%llu", &first, &count) == 2)
        arm(first, count, PARENT);
}

static int lua_arm(lua_State *L)
{
    static const char *const names[] = {"parent", "child", "both", NULL};
    uint64_t first = (uint64_t)luaL_checkinteger(L, 1), count = (uint64_t)luaL_checkinteger(L, 2);
    uint32_t who = (uint32_t)luaL_checkoption(L, 3, NULL, names) + 1;
    arm(first, count, who);
    return 0;
}

static int lua_disarm(lua_State *L)
{
    atomic_fetch_or(&control->turn, 1);
    atomic_fetch_add(&control->turn, 1);
    lua_pushinteger(L, (lua_Integer)atomic_load(&control->failed));
    lua_pushinteger(L, (lua_Integer)atomic_load(&control->most[0]));
    lua_pushinteger(L, (lua_Integer)atomic_load(&control->most[1]));
    return 3;
}

static int lua_live(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)live);
    return 1;
}

/* --- being traced -------------------------------------------------------------------------------
 */

static pid_t tracer;
static int output;

/* In a child: strace, on the process that forked it. Arguments of Lua from 1 on. */
static void run_strace(lua_State *L, pid_t target, int to)
{
    char pid[16];
    char *argv[32] = {"strace", "-f", "-p", pid};
    int n = 4;
    snprintf(pid, sizeof pid, "%d", (int)target);
    for (int i = 1; i <= lua_gettop(L) && n < 31; i++)
        argv[n++] = (char *)(uintptr_t)lua_tostring(L, i);
    dup2(to, 2);
    unsetenv("LD_PRELOAD");
    execvp(argv[0], argv);
    _exit(127);
}

/* Returns when the tracer has stopped this process once: it says so then. The read may be the first
 * call that fails. */
static int lua_trace(lua_State *L)
{
    char said[256];
    int ends[2];
    pid_t target = getpid();
    if (pipe2(ends, O_CLOEXEC) < 0)
        return luaL_error(L, "pipe: %s", strerror(errno));
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    tracer = fork();
    if (tracer == 0)
        run_strace(L, target, ends[1]);
    close(ends[1]);
    ssize_t n = tracer < 0 ? 0 : read(ends[0], said, sizeof said);
    lua_pushboolean(L, n < 0 || (n > 0 && memmem(said, (size_t)n, "attached", 8)));
    lua_pushlstring(L, said, n > 0 ? (size_t)n : 0);
    output = ends[0]; /* open until the end: strace says more */
    return 2;
}

/* Any of these calls may be the one that fails: once. */
static int lua_untrace(lua_State *L)
{
    (void)L;
    for (int i = 0; i < 3 && kill(tracer, SIGINT) < 0; i++)
        ;
    for (int i = 0; i < 3 && waitpid(tracer, NULL, 0) != tracer; i++)
        ;
    for (int i = 0; i < 3 && close(output) < 0; i++)
        ;
    return 0;
}

static int lua_unfinalised(lua_State *L)
{
    lua_pushinteger(L, unfinalised);
    return 1;
}

/* Lua says of them as a warning, in pieces: "error in ", "__gc", ... */
static void note_warning(void *ctx, const char *text, int to_be_continued)
{
    (void)ctx, (void)to_be_continued;
    unfinalised += strcmp(text, "error in ") == 0;
}

EXPORT int luaopen_faults(lua_State *L)
{
    static const luaL_Reg functions[] = {{"arm", lua_arm},     {"disarm", lua_disarm},
                                         {"live", lua_live},   {"unfinalised", lua_unfinalised},
                                         {"trace", lua_trace}, {"untrace", lua_untrace},
                                         {NULL, NULL}};
    bool (**hook)(void) = (bool (**)(void))dlsym(RTLD_DEFAULT, "mf_fault_allocation");
    if (hook)
        *hook = is_to_fail;
    lua_setwarnf(L, note_warning, NULL);
    luaL_newlib(L, functions);
    return 1;
}
