/*
 * The message format of the codec: its reference. Encoder, decoder and stream share the tags and
 * the small readers and writers below. May include: libc only.
 *
 * A message is a sequence of values, each a tag byte and what the tag asks for; it ends where its
 * bytes end. Numbers are in the machine's own byte order (a family lives on one machine);
 * `varint` is 7 bits a byte, lowest first, the top bit set on all but the last.
 *
 *   message  = [header] body [class ...]
 *   header   = HEADER, varint handles, varint size of the body (0: to the end, no class follows),
 *              u64 handle ...
 *   class    = u64 owner, varint serial, varint version, varint size, message (one table)
 *   body     = value ... global ...
 *   global   = GLOBAL, varint offset of its ENVIRONMENT, string name, value
 *
 *   table    = varint n, u8 hint, item ... [pair ... END]
 *              n announces the list part t[1], t[2] ...: n items, fewer if END comes instead of
 *              one. The hint is 0 if no pair follows, otherwise 1 + ceil(log2(number of pairs)).
 *   item     = value | run
 *   run      = RUN_x, u8 count, count numbers of that width
 *   pair     = key, value
 *
 * Objects. Tags of objects are even and have an odd twin that says "referred to later": the
 * decoder remembers only those. The encoder sets that bit in the tag that it already wrote when it
 * meets the object again, and writes REF with the offset of the tag from the start of the body.
 * So what is not shared costs the receiver nothing.
 *
 * Limits: a receiver believes no count; it checks each length against the bytes left, and pays
 * for what a table announces out of a budget of the message's own size.
 */
#ifndef MF_FORMAT_H
#define MF_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum mf_tag {
    MF_TAG_INT = 0x00,    /* ..0x7F: the integers 0 to 127 */
    MF_TAG_STRING = 0x80, /* ..0x9F: strings of 0 to 31 bytes; the bytes */
    MF_TAG_MINUS = 0xA0,  /* ..0xAF: the integers -16 to -1 */
    MF_TAG_NIL = 0xB0,
    MF_TAG_FALSE,
    MF_TAG_TRUE,
    MF_TAG_INT16, /* i16 */
    MF_TAG_INT32, /* i32 */
    MF_TAG_INT64, /* i64 */
    MF_TAG_FLOAT, /* f64, all its bits */
    MF_TAG_NULL,  /* the light userdata NULL (cjson.null); no other address can travel */

    /* Objects: even tags, the odd twin is "referred to later". */
    MF_TAG_TEXT = 0xC0,        /* varint size, the bytes: strings over 31 bytes */
    MF_TAG_TABLE = 0xC2,       /* table */
    MF_TAG_OBJECT = 0xC4,      /* table with a metatable: class value, then table */
    MF_TAG_FUNCTION = 0xC6,    /* u32 size, bytecode, u8 number of upvalues, upvalue ... */
    MF_TAG_UPVALUE = 0xC8,     /* value: the box of one upvalue of a function */
    MF_TAG_ENVIRONMENT = 0xCA, /* u8: 1 if globals are shipped for it; in an upvalue's place */
    MF_TAG_HANDLE = 0xCC,      /* varint index into the header's handles */
    MF_TAG_HOOKED = 0xCE,      /* string module, value: require(module).__mf_decode(value) */
    MF_TAG_CLASS = 0xD0,       /* u64 owner, varint serial: a table known by its identity */
    MF_TAG_LAST_OBJECT = 0xD1,

    /* What goes by name. */
    MF_TAG_STANDARD = 0xD8, /* string: a function of the standard library, "string.format" */
    MF_TAG_MODULE,          /* string (names, one a line): what require gives */
    MF_TAG_FIELD,           /* string module, string key: a field of a module */
    MF_TAG_FIELD_INDEX,     /* string module, string key: the __index of a field of a module */
    MF_TAG_GLOBALS,         /* _G */
    MF_TAG_FILE,            /* u8: 0 io.stdin, 1 io.stdout, 2 io.stderr */

    MF_TAG_REF = 0xE0, /* varint offset of an object's tag */
    MF_TAG_END,
    MF_TAG_GLOBAL,
    MF_TAG_RUN_INT16, /* runs stand only in list parts and streams */
    MF_TAG_RUN_INT32,
    MF_TAG_RUN_INT64,
    MF_TAG_RUN_FLOAT,
    MF_TAG_HEADER = 0xFF
};

enum {
    MF_FORMAT_SHORT = 31,    /* longest string whose length is in its tag */
    MF_FORMAT_INTERNED = 40, /* up to here Lua interns strings: no identity to preserve */
    MF_FORMAT_RUN = 255,     /* most numbers in one run */
    MF_FORMAT_SCALAR = 9,    /* most bytes of a nil, boolean or number */
    MF_FORMAT_VARINT = 10,   /* most bytes of a varint */
    MF_FORMAT_SHARED = 1,    /* the bit in an object's tag */
    MF_FORMAT_LEVELS = 190   /* nesting of what is not a plain table: closures, classes, keys */
};

/* Writes a number at `p` and returns the place behind it. */
static inline uint8_t *mf__put_varint(uint8_t *p, uint64_t v)
{
    for (; v > 127; v >>= 7)
        *p++ = (uint8_t)(v | 128);
    *p++ = (uint8_t)v;
    return p;
}

static inline uint8_t *mf__put_raw(uint8_t *p, const void *bytes, size_t size)
{
    memcpy(p, bytes, size);
    return p + size;
}

/* The integer `v` as a value. */
static inline uint8_t *mf__put_integer(uint8_t *p, int64_t v)
{
    if (v >= -16 && v <= 127) {
        *p++ = v >= 0 ? (uint8_t)v : (uint8_t)(MF_TAG_MINUS + 16 + v);
    } else if (v >= INT16_MIN && v <= INT16_MAX) {
        int16_t narrow = (int16_t)v;
        *p++ = MF_TAG_INT16;
        p = mf__put_raw(p, &narrow, sizeof narrow);
    } else if (v >= INT32_MIN && v <= INT32_MAX) {
        int32_t narrow = (int32_t)v;
        *p++ = MF_TAG_INT32;
        p = mf__put_raw(p, &narrow, sizeof narrow);
    } else {
        *p++ = MF_TAG_INT64;
        p = mf__put_raw(p, &v, sizeof v);
    }
    return p;
}

/* The float `v` as a value. */
static inline uint8_t *mf__put_float(uint8_t *p, double v)
{
    *p++ = MF_TAG_FLOAT;
    return mf__put_raw(p, &v, sizeof v);
}

/* Reads a varint at *at; false: it does not end before `end`, or is wider than 64 bits. */
static inline bool mf__get_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    const uint8_t *p = *at;

    for (unsigned shift = 0; p < end && shift < 64; shift += 7) {
        uint64_t byte = *p++;
        v |= (byte & 127) << shift;
        if (byte < 128) {
            *at = p;
            *ret = v;
            return shift < 63 || byte < 2;
        }
    }
    return false;
}

/* Reads `size` bytes at *at into `ret`; false: there are fewer. */
static inline bool mf__get_raw(const uint8_t **at, const uint8_t *end, void *ret, size_t size)
{
    if ((size_t)(end - *at) < size)
        return false;
    memcpy(ret, *at, size);
    *at += size;
    return true;
}

#endif
