/*
 * The globals of functions on their way: which ones go along (the sender), and where they live (the
 * receiver). codec.h says what a user sees of it. May include: Lua, libc, the codec's headers.
 */
#ifndef MF_ENVIRONMENT_H
#define MF_ENVIRONMENT_H

#include "decode.h"
#include "encode.h"

/*
 * The number of the environment that the upvalue called `name`, whose value is at the top, is; or
 * MF_NO_ENVIRONMENT. It is one if it is the _ENV of its function, by name or without debug
 * information, and its value is _G, or a table through which `_G` can be read (a busted spec's).
 * Any other table is an ordinary upvalue, an _ENV that somebody made out of a few functions too.
 */
int mf__encode_environment_of(struct mf_encoder *e, const char *name);

/* Writes environment `number` in an upvalue's place. */
void mf__encode_environment(struct mf_encoder *e, int number);

/* Notes that a function of the body reads global `name` in that environment. */
void mf__encode_global_read(struct mf_encoder *e, int number, const char *name, size_t size);

/* Writes the globals that the body's functions read, and theirs, until there is none left. */
bool mf__encode_globals(struct mf_encoder *e);

/* Pushes the environment whose tag was at `offset`. */
bool mf__decode_environment(struct mf_decoder *d, bool shared, size_t offset);

/* Reads a global and sets it in its environment, unless a protected one wins. */
bool mf__decode_global(struct mf_decoder *d);

#endif
