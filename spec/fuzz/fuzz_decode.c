/*
 * fuzz_decode.c - arbitrary bytes to the decoder: what a receiver does with a message, with the
 * stream of a pool's task, and with a function.
 *
 * The first byte of the input says which (modulo 4) and is not part of the message. Promised: no
 * access outside of the bytes, no more memory than G11 allows, an error code that is one, and a
 * stack that is as before but for the values that were announced.
 */
#include "fuzz_state.h"

#include "stream.h"

#include <string.h>

/* What a decoding has answered: a count, and so many values more; or a code, and none. */
static void check_answer(lua_State *L, int answer, int top)
{
    PROMISE(answer >= MF_DECODE_REFUSED);
    PROMISE(lua_gettop(L) == top + (answer > 0 ? answer : 0));
    if (answer == MF_DECODE_FAILED)
        PROMISE(lua_checkstack(L, LUA_MINSTACK));
}

static void check_handles(const uint8_t *data, size_t size)
{
    uint64_t once[8], again[8];
    uint32_t n = mf__message_handles(data, size, once, 8);

    PROMISE(n <= size / sizeof *once);
    PROMISE(mf__message_handles(data, size, again, 8) == n);
    PROMISE(memcmp(once, again, (n < 8 ? n : 8) * sizeof *once) == 0);
}

static void decode_message(struct fuzz_state *s, const uint8_t *data, size_t size)
{
    check_handles(data, size);
    fuzz_state_limit(s, size);
    check_answer(s->L, mf__decode(s->L, s->codec, data, size), 0);
    fuzz_state_free(s);
}

/* The same by a process to which all classes are foreign; now and then the collector is at work
 * meanwhile, which costs a lot. */
static void decode_elsewhere(struct fuzz_state *s, const uint8_t *data, size_t size)
{
    bool collecting = s->runs % 64 == 0;

    if (collecting) {
        lua_gc(s->L, LUA_GCINC, 100, 100, 10);
        lua_gc(s->L, LUA_GCRESTART);
    }
    check_answer(s->L, mf__decode(s->L, s->other, data, size), 0);
    if (collecting)
        lua_gc(s->L, LUA_GCSTOP);
}

static void load_function(struct fuzz_state *s, const uint8_t *data, size_t size)
{
    int code;

    fuzz_state_limit(s, size);
    code = mf__function_load(s->L, s->codec, 7, s->runs + 1, data, size);
    PROMISE(code <= 0 && code >= MF_DECODE_REFUSED);
    PROMISE(lua_gettop(s->L) == (code == 0));
    fuzz_state_free(s);
}

/* --- streams ------------------------------------------------------------------------------------
 */

struct windows {
    const uint8_t *second, *end;
};

static int next_window(struct mf_stream_reader *r)
{
    struct windows *w = r->user;

    if (w->second == NULL)
        return MF_DECODE_CORRUPT;
    r->at = w->second;
    r->end = w->end;
    w->second = NULL;
    return 0;
}

static void read_items(struct fuzz_state *s, struct mf_stream_reader *r)
{
    enum mf_stream_kind kind;
    int n = 0;

    while (r->left > 0 && (n >= 0 || n == MF_DECODE_FAILED)) {
        uint32_t left = r->left;
        n = mf__stream_next(s->L, s->codec, r, &kind);
        check_answer(s->L, n, 0);
        PROMISE(n < 0 || r->left == left - 1);
        PROMISE(r->at <= r->end);
        lua_settop(s->L, 0);
    }
}

/* Two bytes: how many items are committed, and where the second window begins. The first window is
 * copied, so that a read beyond its end is seen. */
static void decode_stream(struct fuzz_state *s, const uint8_t *data, size_t size)
{
    uint64_t handles[4];
    size_t cut;
    uint8_t *first;
    struct windows windows;
    struct mf_stream_reader r = {0};

    if (size < 2)
        return;
    r.left = data[0];
    cut = data[1] == 0 ? size - 2 : data[1] % (size - 1);
    first = malloc(cut + 1);
    PROMISE(first != NULL);
    memcpy(first + 1, data + 2, cut); /* not on its beginning: streams are not aligned */
    r.at = first + 1;
    r.end = r.at + cut;
    r.next_window = next_window;
    r.user = &windows;
    for (int way = 0; way < 3; way++) {
        struct mf_stream_reader copy = r;
        windows = (struct windows){data + 2 + cut, data + size};
        fuzz_state_limit(s, size);
        if (way == 0)
            mf__stream_handles(&copy, handles, 4);
        else if (way == 2 && mf__stream_skip(&copy, r.left / 2) < 0)
            copy.left = 0;
        read_items(s, &copy);
        fuzz_state_free(s);
    }
    free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(struct fuzz_state *, const uint8_t *, size_t) = {
        decode_message, decode_stream, decode_elsewhere, load_function};
    struct fuzz_state *s = fuzz_state();

    if (size == 0)
        return 0;
    targets[*data & 3](s, data + 1, size - 1);
    fuzz_state_rest(s);
    return 0;
}
