/*
 * The codec: Lua values and functions to bytes and back. This is its public face inside bindings/;
 * the queue, process and pool bindings use it. It knows nothing of arenas or processes: handles of
 * the runtime's own objects go through two callbacks. May include: Lua and libc.
 *
 * What travels how (DESIGN D3, D4 and section 6):
 *  - plain values exactly: integers and floats apart, NaN with its bits, -0.0, any string, any key,
 *    cycles and shared references within one message, tables of any depth that Lua's stack holds;
 *  - Lua functions as bytecode with their upvalues, sharing of upvalues included, and with the
 *    globals that they read, transitively;
 *  - functions of the standard library, loaded modules that `require` can find, C functions and
 *    userdata that are fields of such modules, io.stdin/stdout/stderr: by name;
 *  - metatables, and tables with a field __index: by the path in a loaded module where they are
 *    reachable from one, otherwise by value under an identity that holds in the whole family, so
 *    that two objects of one class share it at the receiver, and an object that comes home has its
 *    original metatable. A class that changed since it was last sent arrives as a new copy. A copy
 *    travels on as it arrived: what a receiver changes in its copy of a class stays there. A class
 *    is a message of its own: what it refers to is not the same object as in the message around it
 *    (an instance kept in its own class arrives twice);
 *  - userdata of the runtime as handles; other userdata, and tables, through their metatable:
 *        __mf_encode(object) -> module, value    at the receiver require(module).__mf_decode(value)
 *    A string as __mf_encode says why the object cannot be sent ("a Pool stays where it is").
 *
 * Globals at the receiver. The functions of one message that read globals which the sender shipped
 * get one environment of their own, which holds the shipped globals (and the standard ones that
 * they read) and falls back to the receiver's _G for reading and for setting all others. So two
 * captures with different values of one name each see theirs; a shipped global that a task sets
 * stays set for later calls of the same capture; any other global that a task sets is the worker's.
 * `_G` itself is always the real one. Without shipped globals the environment is _G.
 *
 * Lua errors. Encoding raises; decoding answers a negative code for bad bytes and for failures of
 * user code in it. Both may raise Lua's out of memory. Nothing leaks then.
 *
 * All functions belong to the thread that runs the Lua state and never block. After a fork a child
 * makes a codec for its own state.
 */
#ifndef MF_CODEC_H
#define MF_CODEC_H

#include "buffer.h"

#include <lua.h>

typedef struct mf_codec mf_codec;

/* How handles of the runtime's objects travel. The callbacks leave the stack as they found it, but
   for the pushed object, and are called only for full userdata. */
struct mf_codec_hooks {
    /* Is the userdata at `idx` an object of the runtime? Sets *ret_handle if so. */
    bool (*handle_of)(lua_State *L, int idx, void *ctx, uint64_t *ret_handle);
    /* Pushes the object of `handle` (a Lua error if it cannot). */
    void (*push_handle)(lua_State *L, uint64_t handle, void *ctx);
    void *ctx;
};

/* What decoding answers instead of a count. */
enum mf_decode_error {
    MF_DECODE_CORRUPT = -1, /* not a message of this codec */
    MF_DECODE_NOMEM = -2,
    MF_DECODE_DEEP = -3,   /* more nesting or values than a Lua stack holds */
    MF_DECODE_FAILED = -4, /* user code in it failed: a require, a __mf_decode, a handle */
    MF_DECODE_REFUSED = -5 /* a function where functions are refused */
};

/*
 * Makes the codec of the state of `L`: a userdata anchored in the registry, freed with the state.
 * `hooks` may be NULL (no handles). `process_id` is unique among the processes of the family that
 * ever lived: it marks the identities of this process's classes.
 */
mf_codec *mf__codec_new(lua_State *L, const struct mf_codec_hooks *hooks, uint64_t process_id);

/* The same for a codec that has not been used yet: its state was made before the process. */
void mf__codec_rename(mf_codec *c, uint64_t process_id);

/*
 * Appends the n values at the absolute or relative indices first..first+n-1 to `out` as one
 * message. Raises a Lua error that names the path of what cannot be sent
 * ("args[2].log: cannot send a userdata (FILE*); open it in the task"); `what` names the first part
 * of it: "args" (always numbered), "value" (numbered if n > 1). On an error out->used is as before.
 */
void mf__encode(lua_State *L, mf_codec *c, int first, int n, const char *what, mf_buffer *out);

/*
 * For a message that is one string: true if the value at `idx` is a string, with the message's
 * first bytes in `head` (at most 11, count in *ret_head) to be followed by the string's own bytes.
 * So a large string can be copied straight to where it goes.
 */
bool mf__encode_text(lua_State *L, int idx, uint8_t head[11], size_t *ret_head,
                     const char **ret_text, size_t *ret_size);

/* Pushes the values of a message and returns their number, or a negative mf_decode_error with
   nothing pushed. The bytes are only read, and not after the return. */
int mf__decode(lua_State *L, mf_codec *c, const uint8_t *data, size_t size);

/* As mf__decode, but refuses functions: for bytes that may be damaged, as bytecode is not checked.
 */
int mf__decode_plain(lua_State *L, mf_codec *c, const uint8_t *data, size_t size);

/* Pushes the Lua error that belongs to a negative answer of the last decoding; raises it. */
void mf__decode_push_reason(lua_State *L, mf_codec *c, int code);
int mf__decode_raise(lua_State *L, mf_codec *c, int code);

/*
 * The handles in a message, without decoding it: their number; copies at most `max` of them to
 * `ret`. One handle may be listed more than once, and every call on the same bytes answers the
 * same. A message without handles answers from its first byte.
 */
uint32_t mf__message_handles(const uint8_t *data, size_t size, uint64_t *ret, uint32_t max);

/*
 * Says that the globals which _G has now win over globals of the same name that arrive later; those
 * of the standard library excepted. Call it after the host's on_state hook with `everywhere` true
 * (every process of the family has these, so they are not sent either while unchanged), and again
 * after a pool's initializer, with false. What a function decoded earlier has set among its shipped
 * globals is moved to _G by this.
 */
void mf__codec_protect_globals(lua_State *L, mf_codec *c, bool everywhere);

/* A captured function as a pool sends it. */
struct mf_function {
    uint64_t serial;      /* changes when the capture changed; never 0 */
    const uint8_t *bytes; /* a message of one value; valid until the next capture */
    size_t size;
};

/* Did a call that answered `status` fail for want of memory? The error is at the top: Lua's own, or
 * one that names the path of what could not be sent for that. */
bool mf__codec_no_memory(lua_State *L, int status);

/*
 * Captures the function (or callable value) at `idx` with its upvalues and globals. A second
 * capture of the same function with all of them unchanged answers the same serial, from a weak
 * cache where they are scalars or go by name. Raises as mf__encode does; the path begins with
 * "upvalue 'log'" or "global 'log'", after `what` and a comma if `what` is not empty.
 */
void mf__function_capture(lua_State *L, mf_codec *c, int idx, const char *what,
                          struct mf_function *ret);

/*
 * Pushes the function that `sender` (its process_id) captured under `serial`: from a bounded cache,
 * otherwise decoded from the bytes. 0, or a negative mf_decode_error with nothing pushed. With
 * `bytes` NULL it only looks into the cache and answers MF_DECODE_CORRUPT if it is not there.
 */
int mf__function_load(lua_State *L, mf_codec *c, uint64_t sender, uint64_t serial,
                      const uint8_t *bytes, size_t size);

#endif
