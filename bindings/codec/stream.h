/*
 * The item stream: the items of a pool's chunk and the results for them, one after the other in
 * memory that somebody else provides. Used by the pool bindings. May include: Lua, libc, the
 * codec's headers.
 *
 * Roles: one writer and, later or meanwhile, one reader in another process. After each put the
 * owner commits "n items are done" with one release store of its own, elsewhere; a reader that read
 * that n (acquire) may read n items. The writer may be killed at any instruction: all up to the
 * last committed item is readable, what follows is garbage that no reader looks at.
 *
 *   window = entry ...                         an entry never spans two windows
 *   entry  = run tag, u32 count, value ...     consecutive items of one kind
 *          | item tag, u32 size, message       any other item: its values, or its error
 *
 * The count of a run is 0 while the run is open, which means "as many as are committed"; it is set
 * when the run is closed, before the item that closes it is written and so before that is
 * committed. If the writer dies before the count is set, no committed item follows the run.
 *
 * The windows are shared memory; the two structs are private to their process.
 */
#ifndef MF_STREAM_H
#define MF_STREAM_H

#include "codec.h"

enum mf_stream_kind { MF_STREAM_VALUES, MF_STREAM_ERROR };

struct mf_stream_writer {
    uint8_t *base, *at, *end; /* the window; at - base bytes of it are written */
    /*
     * Gives a fresh window of at least `need` bytes: sets base, at and end and returns 0, or a
     * negative error, which the put then returns. The run is closed by then, and at - base is the
     * used length of the old window for good.
     */
    int (*grow)(struct mf_stream_writer *w, size_t need);
    void *user;
    const char *what; /* first part of the path in errors: "item", "result" */

    /* The last item as a message, for mf__message_handles before it is committed; NULL in a run. */
    const uint8_t *message;
    size_t message_size;

    uint8_t *run;       /* count of the open run, in the window; NULL: none is open */
    uint32_t run_count; /* items in it */
    uint8_t run_tag;
};

struct mf_stream_reader {
    const uint8_t *at, *end; /* the window; `end` may be beyond what is written in the last one */
    /* Gives the next window: sets at and end and returns 0, or a negative error. May be NULL. */
    int (*next_window)(struct mf_stream_reader *r);
    void *user;
    uint32_t left; /* committed items not yet read; the caller sets and may raise it */

    uint32_t run_left; /* items of the run that is being read; all that are left if it is open */
    uint8_t run_tag;
};

/*
 * Writes one item: the n values at idx_first.. (VALUES), or one error value. 0, or a negative error
 * of the grow callback with nothing written. Raises a Lua error, nothing written, if a value cannot
 * be sent. Zero the writer before its first use, but for base, at, end, grow, user, what.
 */
int mf__stream_put(lua_State *L, mf_codec *c, struct mf_stream_writer *w, int idx_first, int n,
                   enum mf_stream_kind kind);

/* Closes the open run, if any; for a window that others read on while the writer goes on. */
void mf__stream_close_run(struct mf_stream_writer *w);

/*
 * Pushes the values of the next item and returns their number; a negative mf_decode_error or error
 * of next_window with nothing pushed. r->left must not be 0. An item that cannot be decoded
 * (MF_DECODE_FAILED) is behind the reader then, so that the next call reads on.
 */
int mf__stream_next(lua_State *L, mf_codec *c, struct mf_stream_reader *r,
                    enum mf_stream_kind *ret_kind);

/* Skips n items (<= r->left) without decoding them. 0 or a negative error. */
int mf__stream_skip(struct mf_stream_reader *r, uint32_t n);

/* The handles in all items that are left, which it skips: as mf__message_handles. */
uint32_t mf__stream_handles(struct mf_stream_reader *r, uint64_t *ret, uint32_t max);

#endif
