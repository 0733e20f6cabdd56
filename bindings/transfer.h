/*
 * transfer.h - Lua values in and out of the runtime's queues, for all bindings that do so.
 */
#ifndef MF_TRANSFER_H
#define MF_TRANSFER_H

#include "queue.h"
#include "state.h"

/* Puts the value at `idx` into q, waiting until the deadline. 0, MF_EFULL, MF_ETIMEOUT, MF_ECLOSED
 * or MF_ENOMEM. Raises when the value cannot be sent, and what hooks raise on a signal. */
int mf__transfer_put(lua_State *L, mf_lua *lua, mf_queue *q, int idx, const char *what,
                     int64_t deadline);

/* Puts bytes that the codec has made, with their handles. Same answers; raises only what hooks
 * raise, after which nothing was put. `bytes` must not be lua->scratch. */
int mf__transfer_put_bytes(lua_State *L, mf_lua *lua, mf_queue *q, const uint8_t *bytes,
                           size_t size, int64_t deadline);

/* Takes a message and pushes its values: their number, or MF_EEMPTY, MF_ETIMEOUT, MF_ECLOSED with
 * nothing pushed. Raises when the message cannot be decoded. */
int mf__transfer_get(lua_State *L, mf_lua *lua, mf_queue *q, int64_t deadline);

/* The same for a caller that waits in slices itself: `call` is what others are told of the wait. */
int mf__transfer_get_of(lua_State *L, mf_lua *lua, mf_queue *q, int64_t deadline,
                        const struct mf_call *call);

#endif
