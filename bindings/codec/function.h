/*
 * Functions to bytes and back: by name where they have one, otherwise bytecode and upvalues. Part
 * of the encoder and of the decoder. May include: Lua, libc, the codec's headers.
 */
#ifndef MF_FUNCTION_H
#define MF_FUNCTION_H

#include "decode.h"
#include "encode.h"

/* Writes the function at the top and pops it. */
bool mf__encode_function(struct mf_encoder *e);

/* Reads the function whose tag was at `offset` and pushes it. */
bool mf__decode_function(struct mf_decoder *d, bool shared, size_t offset);

#endif
