/*
 * Objects with a metatable of their own: userdata, and tables with a metatable. Part of the
 * encoder. May include: Lua, libc, the codec's headers.
 */
#ifndef MF_OBJECTS_H
#define MF_OBJECTS_H

#include "encode.h"
#include "modules.h"

/* The userdata at the top: a runtime's object by handle, a standard file or a module's userdata by
   name, another through its __mf_encode. Raises for the rest. */
bool mf__encode_userdata(struct mf_encoder *e);

/* The table under its metatable at the top. MF_NOT_WRITTEN: its tag and metatable are written, the
   metatable is popped, and its entries are to be written; otherwise both are popped. */
enum mf_written mf__encode_object(struct mf_encoder *e);

#endif
