/*
 * state.h - what moonfork keeps of a Lua state, and the helpers that all bindings share.
 *
 * One mf_lua stands in the registry of each state that opened moonfork: the first process's, and
 * the fresh state of every child. It owns the runtime (in the first process), the codec, and a
 * buffer to build messages in. Used by every file of bindings/ that is not the codec's.
 */
#ifndef MF_STATE_H
#define MF_STATE_H

#include "buffer.h"
#include "codec.h"
#include "moonfork_lua.h"

#include "process.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct mf_lua mf_lua;
struct parcel;

struct mf_lua {
    mf_lua *next;    /* of this thread: see state.c */
    mf_runtime *rt;  /* NULL after the state has left the family */
    mf_codec *codec; /* of this state; the codec's registry table keeps it */
    lua_State *L;    /* the main thread */
    mf_lua_config config;
    mf_buffer scratch;          /* a message that was just made: until anything of Lua is called */
    mf_buffer inherit;          /* what a child takes over of this state: see mf__lua_prepare */
    lua_State *ready;           /* the state of the next child, or NULL: the same */
    uint32_t made_ready;        /* how often one was made */
    uint32_t in_zygote;         /* that number, of the one that the zygote has */
    uint64_t loaders;           /* a sum of the addresses of C loaders that a child takes over */
    uint64_t loaders_in_zygote; /* ... of those that the zygote's children do */
    bool on_state_done;         /* in the zygote, for all its children */
    bool by_zygote;             /* the start method: see start_method.h */
    bool zygote_made;           /* perhaps it is dead by now */
    const void *known[4];       /* queues' userdata that were checked lately: see lua_queue.c */
    struct parcel *parcel;      /* of transfer.c, ready to own a message */
    bool opened;                /* the host's on_state was called, in the first process */
    bool child;                 /* this process was started by moonfork */
    bool daemon;                /* ... as a daemon */
    bool left;                  /* mf_lua_leave was called: nothing more can be started */
    const char *name; /* of this process, "MainProcess" in the first; the state keeps it */
    int parent_pid;   /* who started it; 0 in the first */
    uint32_t named;   /* processes that were given a number as their name */
    bool reports;     /* see debug.h */
    int64_t reported_since, next_report;
    bool exiting;                              /* os.exit closes the state of this child */
    void (*on_exit)(lua_State *L, int status); /* see mf__lua_on_exit */
};

/* --- of this state -------------------------------------------------------------------------------
 */

/* The context of this state. Raises when moonfork is not open in it, when it has left the family,
 * or when this process was forked by other means than moonfork's. A registry lookup: functions
 * where speed matters keep the context as upvalue 1 and call mf__lua_upvalue. */
mf_lua *mf__lua(lua_State *L);

/* The context, or NULL where it is not open. Never raises. */
mf_lua *mf__lua_peek(lua_State *L);

/* The userdata at idx if its metatable has something at the light userdata `mark`, else NULL: for
 * what is called often, as luaL_checkudata makes a string of the class's name each time. */
void *mf__lua_marked(lua_State *L, int idx, const void *mark);

/* Makes the context of a state, once a state, in two steps. The first pushes its userdata; config
 * may be NULL. The second, with the userdata at the top, which it pops, gives it the runtime, which
 * it owns if it is not a child's, and the codec. Both raise for want of memory. */
mf_lua *mf__lua_new(lua_State *L, const mf_lua_config *config, bool child);
void mf__lua_enter(lua_State *L, mf_lua *lua, mf_runtime *rt);

/* Pushes the context's userdata, to be an upvalue. */
void mf__lua_push(lua_State *L);

/* Raises what mf__lua raises, for a context that cannot be used. */
int mf__lua_unusable(lua_State *L, const mf_lua *lua);

/* The same as mf__lua for C functions whose upvalue 1 is the context's userdata. */
static inline mf_lua *mf__lua_upvalue(lua_State *L)
{
    mf_lua *lua = (mf_lua *)lua_touserdata(L, lua_upvalueindex(1));
    if (!lua->rt || mf__alive(lua->rt) < 0)
        mf__lua_unusable(L, lua);
    return lua;
}

/* luaL_setfuncs whose functions have the context as upvalue 1. */
void mf__lua_setfuncs(lua_State *L, const luaL_Reg *functions);

/* The same for methods, whose upvalue 2 is their class: the metatable at `class`. */
void mf__lua_set_methods(lua_State *L, const luaL_Reg *functions, int class);

/* The userdata at argument 1 of such a method; NULL when that is nothing of the class. */
static inline void *mf__lua_find_self(lua_State *L)
{
    void *self = lua_touserdata(L, 1);
    if (!self || !lua_getmetatable(L, 1))
        return NULL;
    bool same = lua_rawequal(L, -1, lua_upvalueindex(2));
    lua_pop(L, 1);
    return same ? self : NULL;
}

/* The same; raises when it is not there. */
void *mf__lua_self(lua_State *L);

/* --- arguments and outcomes ----------------------------------------------------------------------
 */

/* The text of a code; of a failed system call that of `error`, its errno. */
const char *mf__lua_error_text(int code, int error);

/* Pushes nil, a message and the code's name; returns 3. */
int mf__lua_fail(lua_State *L, int code);

/* Raises an error object of kind "deadlock" for a join of a process that waits. Never returns. */
int mf__lua_raise_deadlock(lua_State *L, const mf_lua *lua);

/* Raises "`what`: text of the code" at the caller's line. Never returns. */
int mf__lua_raise(lua_State *L, int code, const char *what);

/* The deadline (clock.h) of a timeout in seconds at argument `arg`: none or nil is MF_FOREVER, 0
 * or less is 0. A boolean, NaN or another type raises, with `hint` (may be NULL: "use get_nowait()
 * not to wait") behind the message. */
int64_t mf__lua_deadline(lua_State *L, int arg, const char *hint);

/* After MF_EINTR: lets Lua's hooks run, which may raise (Ctrl-C). When it returns, go on with the
 * same deadline. Do not call it with something in hand that an error would leak. */
void mf__lua_interrupted(lua_State *L);

/* For loops around blocking calls: true when rc was MF_EINTR and the call is to be made again. */
static inline bool mf__lua_again(lua_State *L, int rc)
{
    if (rc != MF_EINTR)
        return false;
    mf__lua_interrupted(L);
    return true;
}

/* A signal may come just before a call goes to sleep, and its hook would then have to wait. So a
 * long wait is made of slices, for loops of this form:
 *
 *     do {
 *         until = mf__lua_slice(lua, deadline);
 *         rc = wait(until);
 *     } while (mf__lua_goes_on(L, lua, rc, until, deadline));
 *
 * To others the slices are one wait: rt->call says since when and until when.
 */
static inline int64_t mf__lua_slice(mf_lua *lua, int64_t deadline)
{
    if (deadline == 0)
        return 0;
    int64_t now = mf__now(), slice = now + MF_SECOND / 5;
    struct mf_call *call = &lua->rt->call;
    if (!call->since)
        *call = (struct mf_call){.since = now, .until = deadline};
    return deadline < slice ? deadline : slice;
}

/* True when the wait is to be made again: the hooks have run if there was reason to. */
bool mf__lua_goes_on(lua_State *L, mf_lua *lua, int rc, int64_t until, int64_t deadline);

/* Raises "bad argument #arg to 'f' (unknown option 'tineout'; did you mean 'timeout'? known: ...)"
 * when the table at `arg` has a key that is not among the NULL-terminated names. */
void mf__lua_check_options(lua_State *L, int arg, const char *const *names);

/* --- error objects -------------------------------------------------------------------------------
 */

/* Pushes an error object: a table with `kind` and `message` (formatted as lua_pushfstring does) and
 * the metatable that mp.is_error knows. The caller sets more fields: traceback value index input
 * pid signal exitcode. */
void mf__lua_push_error(lua_State *L, const char *kind, const char *format, ...);

/* Is the value at `idx` an error object? */
bool mf__lua_is_error(lua_State *L, int idx);

/* Gives a table at the top, which mf__lua_encode_error sent, the metatable of error objects. */
void mf__lua_bless_error(lua_State *L);

/* Pushes the metatable of error objects. */
void mf__lua_push_error_class(lua_State *L);

/* A message handler for lua_pcall: turns any error value into an error object of kind "error" with
 * message, traceback and value. An error object stays what it is. */
int mf__lua_handler(lua_State *L);

/* lua_pcall of the function under so many arguments, for the telling of an error: when memory runs
 * out in it, garbage is collected and it is called once more. Pops them, and an error; true when it
 * went well. */
bool mf__lua_insist(lua_State *L, int args);

/* Appends the error object at the top to `out` as a message of the codec and leaves it there. When
 * its `value` cannot be sent it is left out. Raises only for want of memory. */
void mf__lua_encode_error(lua_State *L, mf_lua *lua, mf_buffer *out);

/* --- children ------------------------------------------------------------------------------------
 */

/* Before a fork: makes the state that children will have (libraries, package.path, package.cpath,
 * the functions of package.preload, arg), unless there is one and all that is still the same. A
 * child of mf__lua_run_child has a copy of the last one, so a pool may call it once. Raises for
 * want of memory. Uses lua->scratch. */
void mf__lua_prepare(lua_State *L, mf_lua *lua);

/* How many values stand on that state's stack. */
int mf__lua_prepared_values(void);

/* In it: calls the host's on_state, once for the zygote and all its children. */
void mf__lua_call_on_state(lua_State *L);

/* Frees that state, if there is one. */
void mf__lua_unprepare(mf_lua *lua);

/* Appends to b what a child of the zygote has to take over, as the zygote has an older state. */
void mf__lua_add_heritage(lua_State *L, const mf_lua *lua, mf_buffer *b);

struct mf_lua_child {
    const mf_lua *parent;    /* as it is in the child's copy of the memory; only `ready` is read */
    const uint8_t *heritage; /* what mf__lua_add_heritage has added; size 0: nothing */
    size_t heritage_size;
    mf_runtime *rt;   /* as given to mf_start.main */
    const char *name; /* of the process; copied */
    bool daemon;
    bool has_seed; /* math.randomseed(seed, stream); otherwise from the kernel's entropy */
    int64_t seed, stream;
    lua_CFunction body; /* runs protected in the fresh state, with `arg` as light userdata */
    void *arg;
};

/*
 * The whole life of a child, for mf_start.main: makes the prepared state its own (name, random
 * numbers, on_state, os.exit and print of a child), runs body in it, prints an
 * error that leaves it with its traceback on stderr, closes the state, and returns the exit status:
 * 0, or 1 after an error. `os.exit` in it takes the same path from inside, and does not return
 * here.
 */
int mf__lua_run_child(const struct mf_lua_child *child);

/* What os.exit does in a child instead of ending it: gets the status; may raise, or return to let
 * the process end. NULL: ends it. For a pool, where it is an error of the task. */
void mf__lua_on_exit(mf_lua *lua, void (*on_exit)(lua_State *L, int status));

#endif
