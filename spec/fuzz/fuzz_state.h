/*
 * fuzz_state.h - the Lua state of the fuzz targets: one for all runs, in memory that is counted.
 *
 * A run asks for a limit before it hands hostile bytes to the codec; an allocation that goes beyond
 * it ends the program, which is how libFuzzer learns of a fault. The collector stands still but for
 * the end of a run, so that nothing that the run has allocated is forgotten in between.
 *
 * Functions travel as bytecode, which Lua does not check: mutated bytecode may crash Lua by its own
 * nature. So the targets are linked with --wrap=lua_load, and only bytecode that is the same to the
 * byte as that of one of the functions made here reaches Lua. The codec is the one that is shipped.
 */
#ifndef MF_FUZZ_STATE_H
#define MF_FUZZ_STATE_H

#include "codec.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program with a sentence when something promised is not so. */
#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct fuzz_state {
    lua_State *L;
    mf_codec *codec; /* process 1; */
    mf_codec *other; /* process 2, in the same state: what it decodes came from elsewhere */
    size_t used, limit;
    unsigned runs;
};

/* The state, made at the first call. Its registry holds under "closures" a function(a, b) that
 * gives a list of closures which share the two as upvalues. */
struct fuzz_state *fuzz_state(void);

/* From here to fuzz_state_free no more than 128 bytes for each of the input, and 64 KiB, may be
 * allocated (guarantee G11). */
void fuzz_state_limit(struct fuzz_state *s, size_t input);

/* Takes the limit off. */
void fuzz_state_free(struct fuzz_state *s);

/* Ends a run: empties the stack, and collects what it has left now and then. */
void fuzz_state_rest(struct fuzz_state *s);

/* A userdata that stands for an object of the runtime. */
void fuzz_push_handle(lua_State *L, uint64_t handle, void *ctx);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
