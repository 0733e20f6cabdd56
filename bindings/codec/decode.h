/*
 * The decoder's working state, shared by the files that read parts of a message: decode.c (plain
 * values), function.c, environment.c, classes.c. It lives on the C stack and on the Lua stack, so a
 * finaliser or a __mf_decode that decodes another message in between does no harm. May include:
 * Lua, libc, the codec's headers.
 *
 * Convention: mf__decode_* functions read at d->at and push what they read. False: d->error says
 * why, and the stack is whatever it is; mf__decode clears it.
 */
#ifndef MF_DECODE_H
#define MF_DECODE_H

#include "codec.h"
#include "format.h"

/* A table that is being filled. On the Lua stack: the table, its metatable if any, a pair's key. */
struct mf_filling {
    int table; /* its stack index */
    bool listing, has_class, has_pairs;
    uint64_t next, list;
};

/* Stack slots that a decoding reserves; nil until something needs them. */
enum mf_decode_slot {
    MF_SLOT_REFS, /* offset -> object; of an upvalue: a closure that has it, -1-offset -> where */
    MF_SLOT_IDENTITY, /* owner and serial, packed -> class of this message */
    MF_SLOT_SPILL,    /* a userdata for more frames */
    MF_SLOT_SHELL,    /* a table that the next table tag fills instead of a new one */
    MF_DECODE_SLOTS
};

enum { MF_FRAMES_INLINE = 12 };

struct mf_decoder {
    lua_State *L;
    mf_codec *codec;
    const uint8_t *at, *end, *body;
    const uint8_t *handles; /* unaligned u64s */
    uint64_t handle_count;
    uint64_t budget; /* what tables may still announce, see format.h */
    struct mf_filling *frames;
    size_t depth, frames_size;
    int level;
    int slots; /* stack index below the reserved slots */
    int error; /* enum mf_decode_error */
    bool refuse_functions;
    bool inner; /* decoding a class of a message, which cannot have classes of its own */
    struct mf_filling frames_inline[MF_FRAMES_INLINE];
};

/* Reads one value and pushes it. */
bool mf__decode_value(struct mf_decoder *d);

/* Reads a string value and answers its bytes, which are those of the message. */
bool mf__decode_name(struct mf_decoder *d, const char **ret_name, size_t *ret_size);

bool mf__decode_byte(struct mf_decoder *d, uint8_t *ret);
bool mf__decode_varint(struct mf_decoder *d, uint64_t *ret);

/* Sets d->error and answers false. */
bool mf__decode_fail(struct mf_decoder *d, int error);

/* Takes the error value at the top as the reason of a MF_DECODE_FAILED; answers false. */
bool mf__decode_failed(struct mf_decoder *d);

/* Remembers the value at the top as the object at `key` (its tag's offset); pops nothing. */
void mf__decode_remember(struct mf_decoder *d, lua_Integer key);

/* Pushes the object at `key`; false: there is none. */
bool mf__decode_recall(struct mf_decoder *d, lua_Integer key);

/* Prepares `d` for one message of the codec; reserves its slots on the stack. */
bool mf__decode_open(struct mf_decoder *d, lua_State *L, mf_codec *c, const uint8_t *data,
                     size_t size);

/* Reads the header and the classes, so that d->at..d->end is the body. */
bool mf__decode_header(struct mf_decoder *d);

/* Reads the rest of the body; pushes its values and adds their number to *count. */
bool mf__decode_body(struct mf_decoder *d, int *count);

#endif
