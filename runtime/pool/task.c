/* task.c - the record of a task: see task.h. */
#include "task.h"

#include "crash.h"
#include "message.h"

#include <string.h>

/* A keeper is a message block whose bytes are the offset of the next keeper. */

struct mf_task *mf__task_at(const mf_runtime *rt, uint64_t offset)
{
    struct mf_block *b = mf__block_at(rt, offset);
    bool fits = mf__is_in_units(rt, offset, sizeof *b + sizeof(struct mf_task));
    return b && fits && mf__block_is_used(b) ? (struct mf_task *)b->payload : NULL;
}

static struct mf_block *block_of(const void *payload)
{
    return (struct mf_block *)((uintptr_t)payload - sizeof(struct mf_block));
}

const struct mf_code_bytes *mf__task_code(const mf_runtime *rt, const struct mf_task *t)
{
    const struct mf_block *b = mf__block_at(rt, t->code);
    if (!b || !mf__block_is_used(b))
        return NULL;
    bool keeps = atomic_load_explicit(&b->tag, memory_order_relaxed) & MF_BLOCK_KEEPS;
    uint64_t room = mf__block_room(rt, b);
    uint64_t before = keeps ? (uint32_t)atomic_load(&b->next) * sizeof(uint64_t) : 0;
    const struct mf_code_bytes *code = (const struct mf_code_bytes *)(b->payload + before);
    if (before + sizeof *code > room || code->size > room - before - sizeof *code)
        return NULL;
    return code;
}

uint64_t mf__task_offset(const mf_runtime *rt, const struct mf_task *t)
{
    return mf__offset(rt, block_of(t));
}

static uint64_t owner_of(const struct mf_task *t)
{
    return atomic_load_explicit(&block_of(t)->owner, memory_order_relaxed) - 1;
}

struct mf_task *mf__task_new(mf_runtime *rt, const void *input, size_t size,
                             const uint64_t *handles, uint32_t n)
{
    struct mf_block *b = mf__block_new(rt, sizeof(struct mf_task) + size, rt->slot);
    if (!b)
        return NULL;
    struct mf_task *t = (struct mf_task *)b->payload;
    memset(t, 0, sizeof *t);
    t->out.size = MF_TASK_ROOM;
    t->out_tail = mf__offset(rt, &t->out);
    t->in.size = size;
    if (size)
        memcpy(t->in_bytes, input, size);
    struct mf_block *keeper;
    if (n && mf__message_new(rt, NULL, sizeof(uint64_t), handles, n, &keeper, NULL) < 0) {
        mf__block_free(rt, b);
        return NULL;
    }
    if (n)
        t->keeper = mf__offset(rt, keeper);
    return t;
}

static struct mf_block *keeper_at(const mf_runtime *rt, uint64_t offset)
{
    struct mf_block *b = mf__block_at(rt, offset);
    return b && mf__block_is_used(b) ? b : NULL;
}

static struct mf_block *next_keeper(const mf_runtime *rt, const struct mf_block *b)
{
    uint64_t n = (uint32_t)atomic_load(&b->next);
    if ((n + 1) * sizeof(uint64_t) > mf__block_room(rt, b))
        return NULL;
    return keeper_at(rt, ((const uint64_t *)b->payload)[n]);
}

void mf__task_free(mf_runtime *rt, struct mf_task *t)
{
    if (!t)
        return;
    for (struct mf_window *w = mf__window_next(rt, &t->out), *next; w; w = next) {
        next = mf__window_next(rt, w);
        mf__block_free(rt, block_of(w));
    }
    for (struct mf_block *b = keeper_at(rt, t->keepers), *next; b; b = next) {
        next = next_keeper(rt, b);
        mf__block_free(rt, b);
    }
    mf__block_free(rt, mf__block_at(rt, t->keeper));
    mf__block_free(rt, block_of(t));
}

struct mf_window *mf__window_next(const mf_runtime *rt, const struct mf_window *w)
{
    struct mf_block *b = mf__block_at(rt, w->next);
    return b && mf__block_is_used(b) ? (struct mf_window *)b->payload : NULL;
}

struct mf_window *mf__task_out_tail(const mf_runtime *rt, const struct mf_task *t)
{
    uint64_t tail = t->out_tail;
    if (tail == mf__offset(rt, &t->out))
        return mf__at(rt, tail);
    struct mf_block *b = mf__block_at(rt, tail - sizeof *b);
    return b ? (struct mf_window *)b->payload : NULL;
}

uint32_t mf__window_items(const mf_runtime *rt, const struct mf_task *t, const struct mf_window *w)
{
    const struct mf_window *next = mf__window_next(rt, w);
    return (uint32_t)((next ? next->first : atomic_load(&t->done)) - w->first);
}

struct mf_window *mf__task_out_grow(mf_runtime *rt, struct mf_task *t, size_t need)
{
    size_t room = t->in.size > need ? t->in.size : need;
    struct mf_window *tail = mf__task_out_tail(rt, t);
    struct mf_block *b =
        !tail
            ? NULL
            : mf__block_new(rt, sizeof(struct mf_window) + (room > 1000 ? room : 1000), MF_IN_HAND);
    if (!b)
        return NULL;
    MF_CRASH("task.grow.in_hand");
    struct mf_window *w = (struct mf_window *)b->payload;
    w->next = 0;
    w->size = mf__block_room(rt, b) - sizeof *w;
    w->first = atomic_load_explicit(&t->done, memory_order_relaxed);
    /* From our hand into the creator's: `link` says so until the chain, and its tail, do. */
    mf__note(&rt->self->link, mf__offset(rt, b));
    mf__block_adopt(rt, b, (uint32_t)owner_of(t));
    MF_CRASH("task.grow.passed");
    mf__note(&rt->self->hand, 0);
    MF_CRASH("task.grow.noted");
    /* In this order: a tail that is not linked would be freed, one that is not the tail would be
     * linked over by who goes on. */
    *(volatile uint64_t *)&tail->next = mf__offset(rt, b);
    MF_CRASH("task.grow.linked");
    *(volatile uint64_t *)&t->out_tail = mf__offset(rt, w);
    MF_CRASH("task.grow.grown");
    mf__note(&rt->self->link, 0);
    MF_CRASH("task.grow.no_note");
    return w;
}

int mf__task_keep(mf_runtime *rt, struct mf_task *t, const uint64_t *handles, uint32_t n)
{
    struct mf_block *b;
    int rc = mf__message_new(rt, &t->keepers, sizeof t->keepers, handles, n, &b, NULL);
    if (rc < 0)
        return rc;
    mf__note(&rt->self->link, mf__offset(rt, b));
    MF_CRASH("task.keep.noted");
    mf__block_pass(rt, b, (uint32_t)owner_of(t));
    MF_CRASH("task.keep.passed");
    *(volatile uint64_t *)&t->keepers = mf__offset(rt, b);
    MF_CRASH("task.keep.linked");
    mf__note(&rt->self->link, 0);
    return 0;
}

void mf__task_recover_link(mf_runtime *rt, struct mf_task *t, uint64_t link)
{
    bool linked = false;
    uint32_t n = 0;
    for (struct mf_window *w = t ? &t->out : NULL, *next; w && n++ < MF_WINDOWS_MOST; w = next) {
        next = mf__window_next(rt, w);
        if (!link || w->next != link || !next)
            continue;
        linked = true;
        t->out_tail = mf__offset(rt, next);
    }
    n = 0;
    for (struct mf_block *b = t ? keeper_at(rt, t->keepers) : NULL; b && n++ < MF_WINDOWS_MOST;
         b = next_keeper(rt, b))
        linked |= mf__offset(rt, b) == link;
    if (link && !linked)
        mf__block_free(rt, mf__block_at(rt, link));
}
