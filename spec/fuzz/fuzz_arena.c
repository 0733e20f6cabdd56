/*
 * fuzz_arena.c - a process that reads shared memory into which another has scribbled.
 *
 * The input is a row of commands. The first ones write hostile words into a private copy of a
 * family's arena (fuzz_family.h), the others are what a process does: get, put, look, hold and
 * drop objects, read a task's record, settle deaths, allocate. Promised: no access outside of the
 * arena, no endless loop, an answer that is one, and a message that lies in the arena as a whole.
 */
#include "fuzz_family.h"

#include "block.h"
#include "crew.h"
#include "death.h"
#include "lock.h"
#include "queue.h"
#include "slot.h"
#include "wait.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_COMMANDS = 32, MOST_WALKS = 2 };

struct input {
    const uint8_t *at, *end;
};

static uint64_t take(struct input *in, size_t size)
{
    uint64_t v = 0;
    size_t left = (size_t)(in->end - in->at);

    size = size < left ? size : left;
    memcpy(&v, in->at, size);
    in->at += size;
    return v;
}

/* --- scribbling ---------------------------------------------------------------------------------
 */

static uint64_t pick_value(struct fuzz_family *f, struct input *in, uint64_t old)
{
    switch (take(in, 1) & 7) {
    case 0: return old ^ UINT64_C(1) << (take(in, 1) & 63);
    case 1: return take(in, 1);
    case 2: return take(in, 8);
    case 3: return f->values[take(in, 1) % f->value_count];
    case 4: return old + (uint64_t)(int8_t)take(in, 1);
    case 5: return (old & UINT64_C(0xffffffff00000000)) | take(in, 4);
    case 6: return (old & UINT64_C(0xffffffff)) | take(in, 4) << 32;
    default: return f->values[take(in, 1) % f->value_count] + (uint64_t)(int8_t)take(in, 1);
    }
}

static void scribble(struct fuzz_family *f, struct input *in)
{
    volatile uint64_t *word = mf__at(f->rt, f->places[take(in, 2) % f->place_count]);

    *word = pick_value(f, in, *word);
}

/* --- reading ------------------------------------------------------------------------------------
 */

/* Touches the first and the last byte, and one a page, as a decoder would touch them all. */
static void read_bytes(const struct fuzz_family *f, const uint8_t *at, size_t size)
{
    const volatile uint8_t *p = at;

    PROMISE(fuzz_family_has(f, at, size));
    for (size_t i = 0; i < size; i += 4096)
        (void)p[i];
    if (size > 0)
        (void)p[size - 1];
}

static void check_code(int rc)
{
    PROMISE(rc >= MF_EUNKNOWN && rc <= 1);
}

static void get(struct fuzz_family *f, struct mf_object *q)
{
    struct mf_message m;
    int rc = mf__queue_get(f->rt, q, &m, 0);

    check_code(rc);
    if (rc < 0)
        return;
    if (m.block) {
        PROMISE(m.size + m.handle_count * sizeof *m.handles <= mf__block_room(f->rt, m.block));
        read_bytes(f, m.data, m.size);
        read_bytes(f, (const uint8_t *)m.handles, m.handle_count * sizeof *m.handles);
    } else {
        PROMISE(m.size <= MF_INLINE && m.handle_count == 0);
    }
    for (uint32_t i = 0; i < m.handle_count && i < 4; i++) {
        struct mf_object *o;
        if (mf__object_hold(f->rt, m.handles[i], 0, &o) == 0)
            mf__object_drop(f->rt, o);
    }
    mf__queue_delivered(f->rt);
    mf__message_free(f->rt, &m);
}

static void look_at_queue(struct fuzz_family *f, struct mf_object *q)
{
    struct mf_queue_stats stats;

    mf_queue_size(q);
    mf_queue_capacity(q);
    mf_queue_is_closed(q);
    mf_queue_stats(q, &stats);
    check_code(mf_queue_wait(f->rt, q, 0));
}

static void read_window(const struct fuzz_family *f, const struct mf_window *w)
{
    const uint8_t *end = mf__window_end(f->rt, w);

    PROMISE(end >= mf__window_bytes(w));
    read_bytes(f, mf__window_bytes(w), (size_t)(end - mf__window_bytes(w)));
}

static void read_task(struct fuzz_family *f)
{
    struct mf_task *t = mf__task_at(f->rt, f->word & MF_TASK_OFFSET);
    const struct mf_code_bytes *code = t ? mf__task_code(f->rt, t) : NULL;
    int windows = 0;

    if (!t)
        return;
    if (code)
        read_bytes(f, (const uint8_t *)code, sizeof *code + code->size);
    read_window(f, &t->in);
    for (struct mf_window *w = &t->out; w && windows++ < 20; w = mf__window_next(f->rt, w)) {
        mf__window_items(f->rt, t, w);
        read_window(f, w);
    }
}

/* --- writing ------------------------------------------------------------------------------------
 */

static void put(struct fuzz_family *f, struct mf_object *q, size_t size, uint32_t n)
{
    static const uint8_t bytes[40000];
    const uint64_t handles[] = {mf__object_handle(f->rt, f->lock)};

    check_code(mf_queue_put(f->rt, q, bytes, size, handles, n, 0));
}

static void write_task(struct fuzz_family *f)
{
    struct mf_task *t = mf__task_at(f->rt, f->word & MF_TASK_OFFSET);
    uint64_t handles[60];
    struct mf_window *w;

    if (!t)
        return;
    w = mf__task_out_tail(f->rt, t);
    if (w)
        read_window(f, w);
    w = mf__task_out_grow(f->rt, t, 300);
    if (w)
        memset(mf__window_bytes(w), 7, (size_t)(mf__window_end(f->rt, w) - mf__window_bytes(w)));
    for (int i = 0; i < 60; i++)
        handles[i] = mf__object_handle(f->rt, f->queue);
    check_code(mf__task_keep(f->rt, t, handles, 60));
}

static void allocate(struct fuzz_family *f, size_t size)
{
    struct mf_block *b = mf__block_new(f->rt, size, f->rt->slot);

    if (!b)
        return;
    PROMISE(fuzz_family_has(f, b->payload, size));
    memset(b->payload, 0xee, size < 5000 ? size : 5000);
    mf__block_free(f->rt, b);
}

static void use_lock(struct fuzz_family *f, struct mf_object *lock)
{
    int32_t pid;

    check_code(mf_lock_acquire(f->rt, lock, 0, &pid));
    mf_lock_is_mine(f->rt, lock);
    check_code(mf_lock_release(f->rt, lock));
}

static void make_queue(struct fuzz_family *f)
{
    mf_queue *q;

    if (mf_queue_new(f->rt, 2, &q) < 0)
        return;
    put(f, q, FUZZ_BLOCK, 1);
    put(f, q, 8, 0);
    get(f, q);
    mf__object_drop(f->rt, q);
}

static void take_slot(struct fuzz_family *f)
{
    uint32_t slot;

    if (mf__slot_take(f->rt, &slot) == 0)
        mf__death_give_up(f->rt, slot);
}

/* As if the last look at slabs was a second ago. */
static void look_around(struct fuzz_family *f)
{
    atomic_store(&f->rt->arena->slab_walk.next, 0);
    mf__wait_look_around(f->rt);
}

/* --- a pool -------------------------------------------------------------------------------------
 */

static void run(void *arg, struct mf_task *t)
{
    struct fuzz_family *f = arg;
    struct mf_window *w = mf__task_out_tail(f->rt, t);

    mf__task_begin_item(t);
    if (w)
        read_window(f, w);
    mf__task_out_grow(f->rt, t, 200);
    mf__task_commit_item(t);
}

static void on_finish(mf_pool *pool, mf_job *job, void *arg)
{
    struct fuzz_family *f = arg;
    struct mf_task *t = mf_job_task(job);
    int windows = 0;

    (void)pool;
    for (struct mf_window *w = &t->out; w && windows++ < 20; w = mf__window_next(f->rt, w))
        read_window(f, w);
}

/* Jobs of a pool without processes: the scribbling is done between their submission and the rest.
 */
static void use_pool(struct fuzz_family *f, struct input *in)
{
    const struct mf_pool_options options = {
        .name = "Fuzz", .hooks = {.run = run, .on_finish = on_finish, .arg = f}};
    static const uint8_t bytes[FUZZ_BLOCK] = {1};
    struct mf_submit submit = {.input = bytes, .size = sizeof bytes, .count = 1};
    mf_pool *pool;
    mf_job *jobs[2] = {NULL, NULL};

    if (mf_pool_new(f->rt, &options, &pool) < 0)
        return;
    if (mf_code_new(f->rt, 1, bytes, sizeof bytes, NULL, 0, &submit.code) == 0) {
        for (int i = 0; i < 2; i++)
            if (mf_pool_submit(pool, &submit, &jobs[i]) < 0)
                jobs[i] = NULL;
        mf_code_unref(f->rt, submit.code);
    }
    if (jobs[0]) { /* one word in the record, at a place that comes with the input */
        uint8_t *record = (uint8_t *)mf_job_task(jobs[0]) - sizeof(struct mf_block);
        volatile uint64_t *word = (uint64_t *)(record + (take(in, 1) & 31) * 8);
        *word = pick_value(f, in, *word);
    }
    for (int i = 0; i < 4; i++)
        check_code(mf_pool_collect(pool, false, 0));
    for (int i = 0; i < 2; i++)
        mf_job_free(pool, jobs[i]);
    mf_pool_free(pool);
}

/* --- a run --------------------------------------------------------------------------------------
 */

/* Commands that walk over the whole arena: few of them in a run, as they take most of the time. */
enum { FIRST_WALK = 20, LAST_WALK = 25 };

static int walks;

static void act(struct fuzz_family *f, uint8_t command, struct input *in)
{
    struct mf_slot *dead = mf__slot_at(f->rt, 1);
    uint64_t word;

    if (command >= FIRST_WALK && command <= LAST_WALK && walks++ == MOST_WALKS)
        return;
    switch (command) {
    case 0: get(f, f->queue); break;
    case 1: get(f, f->small_queue); break;
    case 2: look_at_queue(f, f->queue); break;
    case 3: put(f, f->queue, 20, 0); break;
    case 4: put(f, f->queue, FUZZ_BLOCK, 1); break;
    case 5: put(f, f->small_queue, 40000, 0); break;
    case 6: check_code(mf__queue_get_task(f->rt, f->small_queue, &word, 0)); break;
    case 7: mf_queue_close(f->rt, f->queue); break;
    case 8: use_lock(f, f->lock); break;
    case 9: use_lock(f, f->dead_lock); break;
    case 10: mf__object_count(f->rt); break;
    case 11: allocate(f, (size_t)take(in, 3)); break;
    case 12: make_queue(f); break;
    case 13: read_task(f); break;
    case 14: write_task(f); break;
    case 15: mf__task_free(f->rt, mf__task_at(f->rt, f->word & MF_TASK_OFFSET)); break;
    case 16:
        mf__task_recover_link(f->rt, mf__task_at(f->rt, atomic_load(&dead->task) & MF_TASK_OFFSET),
                              atomic_load(&dead->link));
        break;
    case 17: mf__object_drop(f->rt, f->queue); break;
    case 18: mf__object_drop(f->rt, f->small_queue); break;
    case 19: allocate(f, FUZZ_BLOCK); break;
    case 20: mf__death_check(f->rt); break;
    case 21: look_around(f); break;
    case 22: mf__death_clean_self(f->rt); break;
    case 23: take_slot(f); break;
    case 24: mf__block_count(f->rt); break;
    case 25: mf__death_settle(f->rt, (uint32_t)take(in, 1)); break;
    case 26: use_pool(f, in); break;
    case 27: mf__block_free(f->rt, mf__block_at(f->rt, f->owned)); break;
    default: scribble(f, in); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_family *f = fuzz_family();
    struct input in = {data, data + size};

    walks = 0;
    for (int i = 0; i < MOST_COMMANDS && in.at < in.end; i++)
        act(f, (uint8_t)take(&in, 1) & 63, &in);
    fuzz_family_again(f);
    return 0;
}
