/*
 * Captured functions: the caches on both sides of a pool. codec.h has the public functions; here is
 * what the encoder tells a capture about. May include: Lua, libc, the codec's headers.
 *
 * A capture that depends only on functions, scalars and what goes by name remembers each upvalue
 * and global that was read on the way, with its value. The next capture of the function compares
 * them, which is much quicker than to encode again, and as sure: nothing else can have changed.
 */
#ifndef MF_CAPTURE_H
#define MF_CAPTURE_H

#include "encode.h"

/* Notes that the message depends on upvalue n of the function at stack index `function`. */
void mf__watch_upvalue(struct mf_encoder *e, int function, int n);

/* Notes that it depends on a global: on the stack environment, name and value (all stay). */
void mf__watch_global(struct mf_encoder *e);

#endif
