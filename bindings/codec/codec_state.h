/*
 * What a codec keeps between messages. Used by the codec's own files only. May include: Lua, libc,
 * the codec's headers.
 *
 * The C part is the userdata itself; what must hold Lua values is in one table of the registry
 * (key: the codec's address), its fields numbered by enum mf_codec_field.
 */
#ifndef MF_CODEC_STATE_H
#define MF_CODEC_STATE_H

#include "codec.h"
#include "modules.h"

enum mf_codec_field {
    MF_FIELD_SELF = 1,         /* the userdata */
    MF_FIELD_CLASS_RECORDS,    /* class -> its record (classes.c); weak keys */
    MF_FIELD_CLASSES,          /* identity -> class; weak values */
    MF_FIELD_FINDABLE,         /* module name -> whether require can find it */
    MF_FIELD_ENVIRONMENTS,     /* environment of a decoded message -> shipped globals; weak keys */
    MF_FIELD_ENVIRONMENT_META, /* the metatable of all environments */
    MF_FIELD_PROTECTED,        /* global name -> true: it wins over a shipped one */
    MF_FIELD_HOST,             /* global name -> its value in every process; weak values */
    MF_FIELD_CAPTURES,         /* function -> its capture (capture.c); weak keys */
    MF_FIELD_LOADED,           /* slot -> loaded function */
    MF_FIELD_FAILURE           /* the error value of the last failed decoding */
};

/* One place of the bounded cache of loaded functions. */
struct mf_loaded {
    uint64_t sender, serial, used; /* `used`: the clock of its last use; 0 is a free place */
};

enum { MF_LOADED_FUNCTIONS = 64 };

struct mf_codec {
    struct mf_codec_hooks hooks;
    uint64_t process_id;
    const void *globals;           /* address of _G */
    struct mf_encoder *spare;      /* an encoder that is not in use, or NULL */
    struct mf_encoder *registered; /* the one that was given back last, */
    int spare_place;               /* which the registry keeps there: see mf__encoder_take */
    struct mf_modules modules;
    uint64_t last_class, last_serial; /* given out */
    uint64_t clock;
    struct mf_loaded loaded[MF_LOADED_FUNCTIONS];
};

/* May the table have a name (see modules.h)? Mostly there is none, and nothing to be asked. */
static inline bool mf__may_have_name(const mf_codec *c, const void *table)
{
    return c->modules.used > 0 || table == c->globals;
}

/* lua_checkstack has refused: because Lua's stack is as large as it may be, not for want of memory?
   By the part of it that the running function has. */
static inline bool mf__stack_is_full(lua_State *L)
{
    return lua_gettop(L) > LUAI_MAXSTACK / 2;
}

/* lua_pcall for code whose failure is an answer: false, with the error at the top. But when memory
   has run out, that is no answer, and is raised. */
bool mf__codec_try(lua_State *L, int args, int results);

/* Pushes a field of the codec's registry table. */
void mf__codec_push(lua_State *L, mf_codec *c, enum mf_codec_field field);

/* Sets a field to the value at the top and pops it. */
void mf__codec_set(lua_State *L, mf_codec *c, enum mf_codec_field field);

#endif
