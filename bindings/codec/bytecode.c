/* The globals that a Lua function reads; see bytecode.h. May include: libc only. */
#include "bytecode.h"

#include <string.h>

/* What every dump of a Lua that we can read begins with: signature, version 5.4, format 0, check
   bytes, the sizes of an instruction, an integer and a float, 0x5678 and 370.5. */
static const uint8_t header[] = {0x1b, 'L',  'u',  'a',  0x54, 0, 0x19, 0x93,
                                 '\r', '\n', 0x1a, '\n', 4,    8, 8};

enum { CHECK_NUMBERS = 16 };

enum opcode { OP_LOADK = 3, OP_LOADKX = 4, OP_GETUPVAL = 9, OP_GETTABUP = 11, OP_GETTABLE = 12 };

enum constant {
    K_NIL = 0x00,
    K_FALSE = 0x01,
    K_TRUE = 0x11,
    K_INT = 0x03,
    K_FLOAT = 0x13,
    K_SHORT = 0x04,
    K_LONG = 0x14
};

/* A string in the dump. */
struct text {
    const char *bytes; /* NULL: the constant is no string */
    size_t size;
};

struct reader {
    const uint8_t *at, *end;
    bool ok; /* false: the dump was not what it should be; all further reads give zeroes */
    bool no_memory;
    mf_buffer *constants; /* struct text of the functions being read, outermost first */
    mf_bytecode_found *found;
    void *ctx;
};

/* One function of the dump. */
struct function {
    const uint8_t *code;
    size_t instructions;
    size_t first_constant, constants; /* in reader.constants */
    const int16_t *environments;
};

static const uint8_t *take(struct reader *r, size_t size)
{
    const uint8_t *at = r->at;

    if (!r->ok || (size_t)(r->end - r->at) < size) {
        r->ok = false;
        return NULL;
    }
    r->at += size;
    return at;
}

static uint8_t take_byte(struct reader *r)
{
    const uint8_t *p = take(r, 1);

    return p ? *p : 0;
}

/* Lua's own variable-length numbers: highest bits first, the top bit set on the last byte. */
static size_t take_size(struct reader *r)
{
    size_t v = 0;
    uint8_t byte;

    do {
        byte = take_byte(r);
        v = v << 7 | (byte & 127);
    } while (r->ok && !(byte & 128));
    return v;
}

static struct text take_text(struct reader *r)
{
    struct text t = {NULL, take_size(r)};

    if (t.size > 0)
        t.bytes = (const char *)take(r, --t.size);
    return t;
}

static void take_constants(struct reader *r, struct function *f)
{
    f->first_constant = r->constants->used / sizeof(struct text);
    f->constants = take_size(r);
    for (size_t i = 0; r->ok && i < f->constants; i++) {
        struct text t = {NULL, 0};
        switch (take_byte(r)) {
        case K_NIL:
        case K_FALSE:
        case K_TRUE: break;
        case K_INT:
        case K_FLOAT: take(r, 8); break;
        case K_SHORT:
        case K_LONG: t = take_text(r); break;
        default: r->ok = false;
        }
        r->no_memory = r->ok && !mf__buffer_append(r->constants, &t, sizeof t);
        r->ok = r->ok && !r->no_memory;
    }
}

/* Reports constant `index` of `f` as read from the environment that is upvalue `upvalue`. */
static void report(struct reader *r, const struct function *f, unsigned upvalue, size_t index)
{
    struct text t;
    int environment = upvalue < MF_UPVALUES ? f->environments[upvalue] : MF_NO_ENVIRONMENT;

    if (environment == MF_NO_ENVIRONMENT || index >= f->constants)
        return;
    memcpy(&t, r->constants->data + (f->first_constant + index) * sizeof t, sizeof t);
    if (t.bytes != NULL)
        r->found(r->ctx, environment, t.bytes, t.size);
}

static uint32_t instruction(const struct function *f, size_t i)
{
    uint32_t v = 0;

    if (i < f->instructions)
        memcpy(&v, f->code + 4 * i, sizeof v);
    return v;
}

/*
 * Finds reads of globals in the code of `f`. GETTABUP takes the name from a constant; where the
 * constant's number does not fit in a byte (a function with over 255 constants, a long name), the
 * compiler writes GETUPVAL, LOADK or LOADKX, GETTABLE.
 */
static void scan(struct reader *r, const struct function *f)
{
    for (size_t i = 0; r->ok && i < f->instructions; i++) {
        uint32_t code = instruction(f, i), load = instruction(f, i + 1), get;
        unsigned upvalue = code >> 16 & 0xff;
        size_t constant = load >> 15;
        if ((code & 0x7f) == OP_GETTABUP) {
            report(r, f, upvalue, code >> 24);
            continue;
        }
        if ((code & 0x7f) != OP_GETUPVAL)
            continue;
        get = instruction(f, i + 2);
        if ((load & 0x7f) == OP_LOADKX) {
            constant = get >> 7;
            get = instruction(f, i + 3);
        } else if ((load & 0x7f) != OP_LOADK) {
            continue;
        }
        if ((get & 0x7f) == OP_GETTABLE && (get >> 16 & 0xff) == (code >> 7 & 0xff) &&
            (get >> 24) == (load >> 7 & 0xff))
            report(r, f, upvalue, constant);
    }
}

static void skip_debug(struct reader *r)
{
    size_t n;

    take(r, take_size(r)); /* a byte per instruction: its line */
    for (n = take_size(r); r->ok && n > 0; n--) {
        take_size(r); /* absolute lines: instruction and line */
        take_size(r);
    }
    for (n = take_size(r); r->ok && n > 0; n--) {
        take_text(r); /* local variables: name, from, to */
        take_size(r);
        take_size(r);
    }
    for (n = take_size(r); r->ok && n > 0; n--)
        take_text(r); /* names of upvalues */
}

/* Reads a function; `given` are the environments of the outermost, whose upvalues are the real
   ones, and of a nested one's parent. */
static void take_function(struct reader *r, const int16_t *given, bool outermost)
{
    int16_t mapped[MF_UPVALUES];
    struct function f = {.environments = outermost ? given : mapped};
    size_t constants = r->constants->used, upvalues;

    take_text(r); /* source */
    take_size(r); /* first and last line */
    take_size(r);
    take(r, 3); /* parameters, vararg, stack size */
    f.instructions = take_size(r);
    f.code = f.instructions < SIZE_MAX / 4 ? take(r, 4 * f.instructions) : NULL;
    r->ok = r->ok && f.code != NULL;
    take_constants(r, &f);
    upvalues = take_size(r);
    r->ok = r->ok && upvalues <= MF_UPVALUES;
    for (size_t i = 0; i < MF_UPVALUES; i++)
        mapped[i] = MF_NO_ENVIRONMENT;
    for (size_t i = 0; r->ok && i < upvalues; i++) {
        const uint8_t *p = take(r, 3); /* in the parent's stack?, index, kind */
        if (p != NULL && p[0] == 0 && p[1] < MF_UPVALUES)
            mapped[i] = given[p[1]];
    }
    scan(r, &f);
    for (size_t n = take_size(r); r->ok && n > 0; n--)
        take_function(r, f.environments, false);
    skip_debug(r);
    r->constants->used = constants;
}

int mf__bytecode_globals(const uint8_t *dump, size_t size, const int16_t environments[MF_UPVALUES],
                         mf_buffer *scratch, mf_bytecode_found *found, void *ctx)
{
    struct reader r = {.at = dump,
                       .end = dump + size,
                       .ok = true,
                       .constants = scratch,
                       .found = found,
                       .ctx = ctx};
    const uint8_t *head = take(&r, sizeof header);
    int64_t integer;
    double number;

    if (head == NULL || memcmp(head, header, sizeof header) != 0)
        return MF_BYTECODE_UNKNOWN;
    head = take(&r, CHECK_NUMBERS);
    if (head == NULL)
        return MF_BYTECODE_UNKNOWN;
    memcpy(&integer, head, sizeof integer);
    memcpy(&number, head + sizeof integer, sizeof number);
    take_byte(&r); /* number of upvalues, which the function repeats */
    if (integer != 0x5678 || number != 370.5)
        return MF_BYTECODE_UNKNOWN;
    scratch->used = 0;
    take_function(&r, environments, true);
    if (r.no_memory)
        return MF_BYTECODE_NOMEM;
    return r.ok && r.at == r.end ? 0 : MF_BYTECODE_UNKNOWN;
}
