/*
 * The encoder's working state, shared by the files that write parts of a message: encode.c (plain
 * values), function.c (functions), environment.c (their globals), classes.c, modules.c (names).
 * May include: Lua, libc, the codec's own headers.
 *
 * Convention: mf__encode_* functions take the value to write from the top of the Lua stack. They
 * return true when it is written and popped. False means "begin again": a module was loaded since
 * the codec looked, so something that is already written may have a name now; mf__encode starts
 * the message over, once.
 */
#ifndef MF_ENCODE_H
#define MF_ENCODE_H

#include "codec.h"
#include "format.h"
#include "identity.h"

/* A table whose entries are being written. Above it on the Lua stack stands its current key. */
struct mf_frame {
    int table;      /* its stack index */
    bool listing;   /* in the list part */
    bool fetched;   /* key and value of the next entry are on the stack already */
    uint64_t next;  /* index of the next item of the list part */
    uint64_t list;  /* announced length of the list part */
    uint64_t pairs; /* written so far */
    size_t hint;    /* offset in `out` of the hint byte */
};

/* A step of the path that is not a table key: a C stack list, innermost first. */
struct mf_link {
    const char *kind; /* "upvalue", "global", "key", "class" */
    const char *name; /* may be NULL */
    size_t depth;     /* number of frames outside of it */
    const struct mf_link *up;
};

/* The user values of an encoder. */
enum { MF_ENCODER_INDEX = 1 /* the string "__index" */ };

/* Stack slots that an encoding reserves; nil until something needs them. */
enum mf_encode_slot {
    MF_SLOT_ENVIRONMENTS, /* see environment.c */
    MF_SLOT_CLASSES,      /* list of the classes of the message, and class -> its place */
    MF_SLOT_KEEP,         /* list of values made during encoding, so that addresses stay theirs */
    MF_SLOT_WATCH,        /* what a capture depends on; see capture.c */
    MF_SLOTS
};

/* A table that functions of the body have as their _ENV. */
struct mf_environment {
    const void *table;
    size_t offset; /* of its tag in the body */
    bool own;      /* globals are shipped for it */
};

enum { MF_ENVIRONMENTS = 16 };

struct mf_encoder {
    lua_State *L;
    mf_codec *codec;
    mf_buffer out; /* the message; owned, as the scratch buffer of bytecode.c below */
    size_t body;   /* offset in `out` of the body that is being written */
    struct mf_identity map;
    struct mf_frame *frames; /* owned; `depth` of `frames_size` are in use */
    size_t depth, frames_size;
    uint64_t *handles; /* owned; all of the message, those of the body from `handle_base` */
    uint32_t handle_count, handle_base, handle_size;
    const struct mf_link *link;
    const struct mf_link *root; /* outermost step of the path, or NULL */
    int level;                  /* nesting of mf__encode_value */
    const char *what;
    int place, places; /* which of how many values, for the path */
    int self;          /* stack index of the encoder itself, while it is in use */
    int slots;         /* stack index below the reserved slots */
    bool modules_seen; /* package.loaded was compared during this message */
    bool watching;     /* a capture: record what it depends on */
    bool complex;      /* it depends on more than scalars and names */
    bool has_slots;    /* one of the reserved slots may have been used */
    struct mf_environment environments[MF_ENVIRONMENTS]; /* of the functions of this body */
    int environment_count;
    mf_buffer scratch;
};

/* Writes the value at the top and pops it. */
bool mf__encode_value(struct mf_encoder *e);

/* The same, as a step of the path. */
bool mf__encode_part(struct mf_encoder *e, const char *kind, const char *name);

/* Writes the table at the top, entry by entry, as a plain table whatever it is. */
bool mf__encode_entries(struct mf_encoder *e);

/* Makes room at the end of `out`, or raises; answers where. */
uint8_t *mf__encode_room(struct mf_encoder *e, size_t size);

/* Appends bytes, a tag, a varint, a string value. */
void mf__encode_bytes(struct mf_encoder *e, const void *bytes, size_t size);
void mf__encode_tag(struct mf_encoder *e, int tag);
void mf__encode_varint(struct mf_encoder *e, uint64_t v);
void mf__encode_name(struct mf_encoder *e, const char *name, size_t size);

/*
 * Enters `object` as written from here on; returns true if it was written before, in which case
 * this wrote a reference to it. Its tag must be the next byte written if not.
 */
bool mf__encode_reference(struct mf_encoder *e, const void *object);

/* Starts a body (of the message, or of a class in it) at the end of `out`. */
void mf__encode_begin_body(struct mf_encoder *e);

/* Puts the header, if one is needed, in front of the body at offset `body`: with the handles from
   `first` on, and the body's size (0: no class follows). */
void mf__encode_header(struct mf_encoder *e, size_t body, uint32_t first, size_t body_size);

/* Notes a handle of the body; answers its index there. */
uint32_t mf__encode_handle(struct mf_encoder *e, uint64_t handle);

/* Pushes the reserved slot's value; makes it a table first if it is nil. */
void mf__encode_push_slot(struct mf_encoder *e, enum mf_encode_slot slot);

/* Makes room on Lua's stack for what another MF_DEEPEN levels of tables need, or raises. */
enum { MF_DEEPEN = 4 };
void mf__encode_deepen(struct mf_encoder *e);

/* Raises the error "path: text". */
_Noreturn void mf__encode_fail(struct mf_encoder *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Takes an encoder from the codec: pushes it, as a userdata. One that an error keeps from being
   given back is not used again, and is garbage when the next one is. */
struct mf_encoder *mf__encoder_take(lua_State *L, mf_codec *c);

/* Gives it back, and pops it: it is at the top. */
void mf__encoder_give(struct mf_encoder *e);

/* Frees what it owns, but itself; it can be used all the same. */
void mf__encoder_fini(struct mf_encoder *e);

/* Writes n values as one message in e->out, with all that belongs to it. The stack above the
   reserved slots is the caller's to clear; the encoder its to give back. */
void mf__encode_message(struct mf_encoder *e, int first, int n, const char *what);

/* Encodes into e->out, valid until the caller gives the encoder back, which this has pushed. */
struct mf_encoder *mf__encode_private(lua_State *L, mf_codec *c, int first, int n,
                                      const char *what);

#endif
