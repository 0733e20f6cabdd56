/*
 * task.h - the record of a task: what to run, on which items, and what came out.
 *
 * A record is one block of the arena that belongs to the pool's creator (block.h: owner), so that
 * it outlives any worker and goes with the creator. It travels as its offset in the pool's queues.
 *
 * field            writer                                reader
 * code, in, count  creator, before it is queued          worker
 * state            creator: QUEUED, CANCELLED;           both
 *                  worker: QUEUED -> RUNNING -> DONE
 * begun, started   worker, before each item;             creator
 *                  begun: creator, between runs
 * done             worker, after each item: THE COMMIT   creator
 * out, keepers     worker, before done covers it         creator, up to done
 * attempt...       creator, between runs                 creator
 *
 * Input and output are streams of items in windows (a chain of memory pieces; the first of each
 * lies in the record). An item never spans two windows. What follows the last committed item is
 * garbage.
 *
 * If the worker dies: items before `done` have their results, the item at `done` was begun if
 * begun > done; the creator goes on with the rest (pool.h). Whoever runs the rest begins with a new
 * window, as the last one may end in garbage. A window that the worker had made and
 * not linked is named by its slot (`link`).
 */
#ifndef MF_TASK_H
#define MF_TASK_H

#include "block.h"
#include "slot.h"

/* A record's name in queues and slots: its offset (a multiple of 16, so that the low bits can say
 * something else), and from bit 40 on a number that tells it from one that lay there before. */
#define MF_TASK_OFFSET ((UINT64_C(1) << 40) - 16)

enum mf_task_state { MF_TASK_QUEUED, MF_TASK_RUNNING, MF_TASK_DONE, MF_TASK_CANCELLED };

enum mf_task_flags {
    MF_TASK_TIMED = 1u << 0,  /* `started` is kept */
    MF_TASK_ALL = 1u << 1,    /* all results of an item are wanted, not the first alone */
    MF_TASK_SPREAD = 1u << 2, /* an item is a list of arguments */
};

struct mf_window {
    uint64_t next;  /* offset of the next one's block, or 0 */
    uint64_t size;  /* bytes that follow */
    uint64_t first; /* output: number of the first item in it; it ends where the next one begins */
};

struct mf_code_bytes {
    uint64_t sender, serial; /* name the function in the caches of who runs it: see mf_code_new */
    uint64_t size;
    uint8_t bytes[];
};

#define MF_TASK_ROOM 96u /* bytes of output that lie in the record */

struct mf_task {
    uint64_t id;      /* the creator's number of the job */
    uint64_t code;    /* block of the function: its handles, then struct mf_code_bytes */
    uint64_t keepers; /* blocks that keep the objects which the results mention; see task.c */
    uint64_t keeper;  /* the same for the input */
    uint32_t flags;
    uint32_t count;   /* items */
    uint32_t attempt; /* deaths of the item `attempted` */
    uint32_t attempted;
    int32_t failed; /* the worker could not write a result: an error code */
    _Atomic uint32_t state;
    _Atomic uint32_t begun, done;
    _Atomic int32_t worker; /* pid that runs or ran it */
    _Atomic int64_t started;
    uint64_t out_tail; /* offset of the last window of out: struct mf_window itself */
    struct mf_window out;
    uint8_t out_room[MF_TASK_ROOM];
    struct mf_window in;
    uint8_t in_bytes[];
};

/* Makes a record with a copy of the input and of what it keeps (handles of objects). NULL when the
 * budget is used up. */
struct mf_task *mf__task_new(mf_runtime *rt, const void *input, size_t size,
                             const uint64_t *handles, uint32_t n);

/* How many items a window of the output holds, failed ones (which have no bytes) included. */
uint32_t mf__window_items(const mf_runtime *rt, const struct mf_task *t, const struct mf_window *w);

/* Frees the record, its windows and its keepers; not its code. NULL is fine. */
void mf__task_free(mf_runtime *rt, struct mf_task *t);

/* The function that a task runs. NULL where the record names none. */
const struct mf_code_bytes *mf__task_code(const mf_runtime *rt, const struct mf_task *t);

/* The record at an offset that was read from shared memory, or NULL when there can be none. */
struct mf_task *mf__task_at(const mf_runtime *rt, uint64_t offset);
uint64_t mf__task_offset(const mf_runtime *rt, const struct mf_task *t);

/* The bytes of a window, and their end: in the arena, whatever the window says. */
static inline uint8_t *mf__window_bytes(const struct mf_window *w)
{
    return (uint8_t *)(uintptr_t)w + sizeof *w;
}

static inline uint8_t *mf__window_end(const mf_runtime *rt, const struct mf_window *w)
{
    uint64_t size = w->size, left = rt->reserve - mf__offset(rt, mf__window_bytes(w));
    return mf__window_bytes(w) + (size < left ? size : left);
}

/* The window behind it, NULL at the end. A chain may lead back into itself if somebody made it so:
 * who follows it counts the steps, to MF_WINDOWS_MOST. */
#define MF_WINDOWS_MOST (1u << 20)
struct mf_window *mf__window_next(const mf_runtime *rt, const struct mf_window *w);

/* The window that output is being appended to. NULL where the record names none. */
struct mf_window *mf__task_out_tail(const mf_runtime *rt, const struct mf_task *t);

/* Ends that window before the item at `done` and links a new one with room for at least `need`, for
 * the worker. NULL when the budget is used up. */
struct mf_window *mf__task_out_grow(mf_runtime *rt, struct mf_task *t, size_t need);

/* Makes the task keep n objects that the next result mentions. 0, MF_ENOMEM or MF_ECLOSED. */
int mf__task_keep(mf_runtime *rt, struct mf_task *t, const uint64_t *handles, uint32_t n);

/* Frees a block that a dead worker had made for task t (NULL: gone) and perhaps not linked. */
void mf__task_recover_link(mf_runtime *rt, struct mf_task *t, uint64_t link);

#endif
