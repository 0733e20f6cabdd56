/*
 * The globals that a Lua function reads, from its lua_dump output. May include: libc only.
 *
 * This follows ldump.c and lopcodes.h of Lua 5.4.0 to 5.4.7. Only output of our own lua_dump is
 * read here, never bytes that came from elsewhere.
 */
#ifndef MF_BYTECODE_H
#define MF_BYTECODE_H

#include "buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MF_UPVALUES = 255, MF_NO_ENVIRONMENT = -1 };

/* Called for each read of a global, names more than once; `name` is not terminated. */
typedef void mf_bytecode_found(void *ctx, int environment, const char *name, size_t size);

/* What mf__bytecode_globals answers instead of 0. */
enum { MF_BYTECODE_UNKNOWN = -1, MF_BYTECODE_NOMEM = -2 };

/*
 * Calls `found` for every name that the dumped function, or one nested in it, reads from an upvalue
 * which is an environment: environments[i] is the caller's number of the environment that the
 * function's upvalue i (from 0) is, or MF_NO_ENVIRONMENT. Reads by a constant name only: `x`, not
 * `_ENV[k]`. `scratch` is the caller's working memory, kept for the next call, so that `found` may
 * leave by a longjmp. 0; MF_BYTECODE_UNKNOWN: the dump is not of a kind that this knows; or
 * MF_BYTECODE_NOMEM.
 */
int mf__bytecode_globals(const uint8_t *dump, size_t size, const int16_t environments[MF_UPVALUES],
                         mf_buffer *scratch, mf_bytecode_found *found, void *ctx);

#endif
