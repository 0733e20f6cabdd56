/*
 * What travels by name: loaded modules that the receiver can require, and what is found in them.
 * Used by the encoder (an index from address to name) and the decoder (from name to value). May
 * include: Lua, libc, the codec's headers.
 *
 * A module that is loaded under several names travels under all of them, one a line: what each of
 * them adds to its table is there at the receiver too.
 *
 * The index is made from package.loaded and made again when that table has changed, which the
 * encoder asks once per message, at the first function, class or userdata in it. An entry is
 * believed only after a look at the path that it names, so a stale one does no harm.
 */
#ifndef MF_MODULES_H
#define MF_MODULES_H

#include "buffer.h"

#include <lua.h>

struct mf_encoder;
struct mf_codec;
struct mf_module_entry;

struct mf_modules {
    struct mf_module_entry *entries; /* open addressing by the object's address */
    uint32_t size, used;
    mf_buffer names; /* the names, each with its NUL; entries hold offsets */
    mf_buffer order; /* while the index is made: the names in order, as pointers */
    mf_buffer seen;  /* addresses of the keys and values of package.loaded, as last looked */
};

/* Whether an mf__encode_* function wrote and popped the value at the top. */
enum mf_written { MF_NOT_WRITTEN, MF_WRITTEN, MF_BEGIN_AGAIN };

/* How the value at the top is used: as itself, or as a class (which may be any field). */
enum mf_name_use { MF_USE_VALUE, MF_USE_CLASS };

/* Writes the value at the top by name if it has one, from the index as it is: a table that is a
   module (or _G, or a table of the standard library), a function or userdata in one. */
enum mf_written mf__encode_named(struct mf_encoder *e);
enum mf_written mf__encode_named_as(struct mf_encoder *e, enum mf_name_use use);

/* Looks whether package.loaded changed since the index was made, once per message. False: it did,
   the index is new, and the message must begin again. */
bool mf__modules_look(struct mf_encoder *e);

/* Pushes what require(name) gives, [key] of it, and the __index of that: whichever `tag` says.
   False: it failed; the error value is pushed instead. */
bool mf__modules_push(lua_State *L, int tag, const char *name, const char *key);

void mf__modules_fini(struct mf_modules *m);

#endif
