/*
 * Objects with a metatable of their own: userdata, and tables with a metatable. Part of the
 * encoder and of the decoder. May include: Lua, libc, the codec's headers.
 */
#ifndef MF_OBJECTS_H
#define MF_OBJECTS_H

#include "decode.h"
#include "encode.h"
#include "modules.h"

/* The userdata at the top: a runtime's object by handle, a standard file or a module's userdata by
   name, another through its __mf_encode. Raises for the rest. */
bool mf__encode_userdata(struct mf_encoder *e);

/* The table under its metatable at the top. MF_NOT_WRITTEN: its tag and metatable are written, the
   metatable is popped, and its entries are to be written; otherwise both are popped. */
enum mf_written mf__encode_object(struct mf_encoder *e);

/* Read what such objects left in the message, after its tag: what goes by name, a standard file, a
   runtime's object, one with a hook. `tag` is one of MF_TAG_STANDARD to MF_TAG_FIELD_INDEX. */
bool mf__decode_named(struct mf_decoder *d, uint8_t tag);
bool mf__decode_file(struct mf_decoder *d);
bool mf__decode_handle(struct mf_decoder *d);
bool mf__decode_hooked(struct mf_decoder *d);

#endif
