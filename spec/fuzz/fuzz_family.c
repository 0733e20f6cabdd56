/* fuzz_family.c - a family in the middle of its work: see fuzz_family.h. */
#include "fuzz_family.h"

#include "class.h"
#include "lock.h"
#include "process.h"
#include "queue.h"
#include "segment.h"
#include "slot.h"
#include "unit.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESERVE ((size_t)16 << 20)
#define ROUND ((size_t)1 << 40) /* address space in which nothing is but the arena */

static struct fuzz_family the_family;
static mf_runtime at_first;

/* Parts of the arena, and behind one another what is in them at first. */
static struct {
    uint32_t offset, size;
} ranges[512];
static uint32_t range_count;
static uint8_t copies[1 << 20];
static unsigned runs;

/* --- the place ----------------------------------------------------------------------------------
 */

void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);

/* The arena comes to lie where a wrong address is a fault and not somebody else's memory. */
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    if (flags & MAP_NORESERVE && flags & MAP_SHARED) {
        uint8_t *round =
            __real_mmap(NULL, ROUND, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        PROMISE(round != MAP_FAILED);
        at = round + ROUND / 2;
        flags |= MAP_FIXED;
    }
    return __real_mmap(at, size, prot, flags, fd, offset);
}

/* Puts a private copy in the arena's place. */
static void make_private(struct fuzz_family *f)
{
    uint8_t *arena = (uint8_t *)f->rt->arena;
    size_t used = mf__unit_offset(f->rt, f->rt->arena->units.top);
    int fd = memfd_create("fuzz", 0);

    PROMISE(fd >= 0 && ftruncate(fd, RESERVE) == 0);
    for (size_t at = 0; at < used;) {
        ssize_t n = pwrite(fd, arena + at, used - at, (off_t)at);
        PROMISE(n > 0);
        at += (size_t)n;
    }
    PROMISE(__real_mmap(arena, RESERVE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) ==
            arena);
    close(fd);
}

/* What runs write to as a rule is copied back each time. Now and then all the rest is too: from a
 * page that was given back the kernel makes a new one out of the file. */
void fuzz_family_again(struct fuzz_family *f)
{
    *f->rt = at_first;
    if (runs++ % 1024 == 0) {
        PROMISE(madvise(f->rt->arena, RESERVE, MADV_DONTNEED) == 0);
        return;
    }
    for (uint32_t i = 0, at = 0; i < range_count; at += ranges[i++].size)
        memcpy(mf__at(f->rt, ranges[i].offset), copies + at, ranges[i].size);
}

bool fuzz_family_has(const struct fuzz_family *f, const void *p, size_t size)
{
    size_t offset = (size_t)((const uint8_t *)p - (const uint8_t *)f->rt->arena);

    return offset <= RESERVE && size <= RESERVE - offset;
}

/* --- the living ---------------------------------------------------------------------------------
 */

static void put(struct fuzz_family *f, struct mf_object *q, size_t size, uint32_t n)
{
    static uint8_t bytes[200000];
    const uint64_t handles[] = {mf__object_handle(f->rt, f->small_queue),
                                mf__object_handle(f->rt, f->lock),
                                mf__object_handle(f->rt, f->dead_lock)};

    memset(bytes, 0x21, size);
    PROMISE(mf_queue_put(f->rt, q, bytes, size, handles, n, 0) == 0);
}

static void make_objects(struct fuzz_family *f)
{
    PROMISE(mf_queue_new(f->rt, 0, &f->queue) == 0);
    PROMISE(mf_queue_new(f->rt, 4, &f->small_queue) == 0);
    PROMISE(mf_lock_new(f->rt, &f->lock) == 0);
    PROMISE(mf_lock_new(f->rt, &f->dead_lock) == 0);
    for (int i = 0; i < 15; i++)
        put(f, f->queue, 8, 0);
    for (int i = 0; i < 3; i++) {
        put(f, f->queue, 100, 0); /* the second segment is wide */
        put(f, f->queue, 48, 0);
        put(f, f->queue, FUZZ_BLOCK, 0);
        put(f, f->queue, 700, 2);
        put(f, f->queue, 100000, 0);
        put(f, f->queue, 1800, 3);
    }
    put(f, f->small_queue, 8, 0);
    put(f, f->small_queue, 800, 1);
}

/* Takes some messages, so that the queue stands in the middle, and free blocks lie about. */
static void take_some(struct fuzz_family *f)
{
    struct mf_message m;

    for (int i = 0; i < 14; i++) {
        PROMISE(mf__queue_get(f->rt, f->queue, &m, 0) == 0);
        mf__queue_delivered(f->rt);
        mf__message_free(f->rt, &m);
    }
    for (int i = 0; i < 3; i++)
        mf__block_free(f->rt, mf__block_new(f->rt, FUZZ_BLOCK + 100000 * (size_t)i, f->rt->slot));
    f->owned = mf__offset(f->rt, mf__block_new(f->rt, FUZZ_BLOCK, f->rt->slot));
}

/* A record with two windows of output, code, and what both keep. */
static void make_task(struct fuzz_family *f)
{
    uint64_t handles[60]; /* many, as all blocks are large here: see fuzz_family.h */
    uint8_t input[FUZZ_BLOCK] = {4, 3, 0, 0, 0, 1, 0, 2, 0, 3, 0}; /* three int16 */
    struct mf_block *code;
    uint8_t *at;
    struct mf_code_bytes head = {.sender = 1, .serial = 1, .size = FUZZ_BLOCK};

    for (int i = 0; i < 60; i++)
        handles[i] = mf__object_handle(f->rt, i % 2 ? f->lock : f->queue);
    f->task = mf__task_new(f->rt, input, sizeof input, handles, 60);
    PROMISE(f->task != NULL);
    PROMISE(mf__message_new(f->rt, NULL, sizeof head + FUZZ_BLOCK, handles, 1, &code, &at) == 0);
    memcpy(at, &head, sizeof head);
    memset(at + sizeof head, 1, FUZZ_BLOCK);
    f->task->code = mf__offset(f->rt, code);
    f->task->count = 3;
    memcpy(f->task->out_room, input, 11);
    atomic_store(&f->task->done, 2);
    PROMISE(mf__task_keep(f->rt, f->task, handles, 60) == 0);
    PROMISE(mf__task_keep(f->rt, f->task, handles, 50) == 0);
    at = mf__window_bytes(mf__task_out_grow(f->rt, f->task, 200));
    memcpy(at, input, 11);
    atomic_store(&f->task->begun, 3);
    atomic_store(&f->task->state, MF_TASK_RUNNING);
    f->word = mf__task_offset(f->rt, f->task) | UINT64_C(1) << 40;
    PROMISE(mf_queue_put(f->rt, f->small_queue, &f->word, 8, NULL, 0, 0) == 0);
}

/* --- the dead -----------------------------------------------------------------------------------
 */

/* With messages, blocks, a lock and a task in its hands. */
static void die_with_full_hands(mf_runtime *rt)
{
    struct mf_message m;
    int32_t pid;

    mf_lock_acquire(rt, the_family.dead_lock, 0, &pid);
    mf__queue_get(rt, the_family.queue, &m, 0);
    mf__queue_get(rt, the_family.queue, &m, 0);
    mf__block_new(rt, FUZZ_BLOCK, rt->slot);
    mf__block_new(rt, 100000, rt->slot);
    atomic_store(&rt->self->link, mf__offset(rt, mf__block_new(rt, FUZZ_BLOCK, rt->slot)));
    mf__block_new(rt, FUZZ_BLOCK, MF_IN_HAND);
    atomic_store(&rt->self->task, the_family.word);
    atomic_store(&rt->self->busy, mf__object_index(rt, the_family.queue) + 1);
}

/* Inside a lock of a queue, with a block, a segment and a place in hand. */
static void die_at_end(mf_runtime *rt, struct mf_object *q, uint32_t side)
{
    struct mf_block *b = mf__block_new(rt, FUZZ_BLOCK, MF_IN_HAND);
    struct mf_block *s = mf__segment_new(rt, 100, MF_INLINE, NULL);

    (void)b;
    mf__mutex_lock(&q->end[side].lock, rt->slot, MF_FOREVER);
    atomic_store(&rt->self->busy, mf__object_index(rt, q) + 1);
    atomic_store(&rt->self->side, side);
    atomic_store(&rt->self->seq, atomic_load(&q->end[side].at));
    atomic_store(&rt->self->segment, mf__offset(rt, s));
}

static void die_at_put(mf_runtime *rt)
{
    die_at_end(rt, the_family.queue, 0);
}

static void die_at_get(mf_runtime *rt)
{
    die_at_end(rt, the_family.small_queue, 1);
}

static void die_in_class(mf_runtime *rt)
{
    struct mf_class *class = &rt->arena->classes[16]; /* of 1 KiB: blocks and segments */

    mf__mutex_lock(&class->lock, rt->slot, MF_FOREVER);
    atomic_store(&rt->self->fresh, atomic_load(&class->free));
    atomic_store(&rt->self->run, 1);
}

/* Half of a slab's blocks are out of the list. */
static void die_in_slab(mf_runtime *rt)
{
    enum { SIZE = 28000, MANY = 20, HALF = 4 };
    uint32_t c = mf__class_of(SIZE + sizeof(struct mf_block));
    struct mf_block *b[MANY];

    for (int i = 0; i < MANY; i++)
        PROMISE((b[i] = mf__block_new(rt, SIZE, rt->slot)) != NULL);
    for (int i = 0; i < MANY; i++)
        mf__block_free(rt, b[i]);
    uint32_t unit = (uint32_t)((mf__offset(rt, b[0]) - rt->units_at) / MF_UNIT);
    mf__class_lock(rt, c, MF_FOREVER);
    atomic_store(&rt->self->run, mf__run_dissolving(c, unit));
    mf__units_tag(rt, unit, MF_RUN_LEAVING);
    for (int i = 0; i < HALF; i++)
        mf__class_unlist(rt, c, b[i]);
}

static void die_in_units(mf_runtime *rt)
{
    mf__mutex_lock(&rt->arena->units.lock, rt->slot, MF_FOREVER);
    atomic_store(&rt->self->run, 5);
}

static void die_in_objects(mf_runtime *rt)
{
    struct mf_object_pool *p = &rt->arena->objects;
    struct mf_object *o = the_family.lock;

    mf__mutex_lock(&p->lock, rt->slot, MF_FOREVER);
    p->journal.write[0].at = mf__offset(rt, &o->refs);
    p->journal.write[0].value = o->refs;
    p->journal.write[1].at = the_family.owned + offsetof(struct mf_block, next);
    p->journal.n = 2;
    atomic_store(&p->journal.armed, 1);
}

static int victim_main(mf_runtime *rt, void *die)
{
    ((void (*)(mf_runtime *))(uintptr_t)die)(rt);
    return raise(SIGKILL);
}

static void kill_one(struct fuzz_family *f, void (*die)(mf_runtime *rt))
{
    uint64_t handles[] = {mf__object_handle(f->rt, f->queue),
                          mf__object_handle(f->rt, f->small_queue)};
    struct mf_start start = {.main = victim_main,
                             .arg = (void *)(uintptr_t)die,
                             .handles = handles,
                             .handle_count = die == die_with_full_hands ? 2 : 0};
    mf_process *p;
    int status;

    PROMISE(mf_process_start(f->rt, &start, &p) == 0);
    PROMISE(waitpid(mf_process_pid(p), &status, 0) > 0);
    PROMISE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* A child that ended, and whose parent is gone: its slot is for anyone to free. */
static void leave_orphan(struct fuzz_family *f)
{
    uint32_t slot;

    PROMISE(mf__slot_take(f->rt, &slot) == 0);
    atomic_store(&mf__slot_at(f->rt, slot)->state,
                 UINT64_C(1) << 32 | 7 << 16 | 2 << 4 | MF_SLOT_EXITED);
}

/* --- where hostile words go ---------------------------------------------------------------------
 */

static void add_range(struct fuzz_family *f, const volatile void *p, size_t size)
{
    static uint32_t used;

    PROMISE(range_count < sizeof ranges / sizeof *ranges && used + size <= sizeof copies);
    ranges[range_count].offset = (uint32_t)mf__offset(f->rt, (const void *)(uintptr_t)p);
    ranges[range_count++].size = (uint32_t)size;
    used += (uint32_t)size;
}

static void keep_ranges(struct fuzz_family *f)
{
    for (uint32_t i = 0, at = 0; i < range_count; at += ranges[i++].size)
        memcpy(copies + at, mf__at(f->rt, ranges[i].offset), ranges[i].size);
}

static void add_place(struct fuzz_family *f, const volatile void *p, size_t size)
{
    size_t offset = mf__offset(f->rt, (const void *)(uintptr_t)p) & ~(size_t)7;

    for (; size > 0 && f->place_count < FUZZ_PLACES; offset += 8, size -= size < 8 ? size : 8)
        f->places[f->place_count++] = (uint32_t)offset;
}

static void add_value(struct fuzz_family *f, uint64_t value)
{
    if (f->value_count < FUZZ_VALUES)
        f->values[f->value_count++] = value;
}

/* All that stands behind a mutex at the beginning of a structure of that size. */
static void add_behind(struct fuzz_family *f, struct mf_mutex *x, size_t size)
{
    add_place(f, &x->holder, size - offsetof(struct mf_mutex, holder));
}

static void add_block(struct fuzz_family *f, struct mf_block *b, size_t size)
{
    if (!(atomic_load(&b->tag)))
        return;
    add_place(f, b, size < 400 ? size : 400);
    add_range(f, b, size < 2048 ? size : 2048);
    add_value(f, mf__offset(f->rt, b));
}

static void add_run(mf_runtime *rt, uint32_t unit, uint32_t n, uint32_t tag, void *arg)
{
    uint8_t *at = mf__at(rt, mf__unit_offset(rt, unit));
    size_t size = tag < MF_CLASSES ? (size_t)(4 + tag % 4) << (tag / 4 + 4) : 0;

    if (tag >= MF_CLASSES)
        add_block(arg, (struct mf_block *)at, 32);
    for (size_t i = 0; size > 0 && i + size <= (size_t)n * MF_UNIT; i += size)
        add_block(arg, (struct mf_block *)(at + i), size);
}

/* The next messages of the queue, many times: of all that a process reads, it reads these most. */
static void add_next_messages(struct fuzz_family *f)
{
    uint64_t head = atomic_load(&f->queue->end[1].at);
    struct mf_segment *s = mf__segment_at(f->rt, atomic_load(&f->queue->end[1].segment));

    for (int n = 0; n < 40; n++)
        for (uint64_t i = 0; i < 5; i++)
            add_place(f,
                      mf__segment_descriptor(f->rt, s, s->base + (head - s->base + i) % s->capacity,
                                             mf__segment_room(s)),
                      16);
}

static void find_places(struct fuzz_family *f)
{
    struct mf_arena *a = f->rt->arena;

    add_place(f, a, offsetof(struct mf_arena, watch));
    add_behind(f, &a->units.lock, sizeof a->units);
    add_behind(f, &a->objects.lock, sizeof a->objects);
    add_place(f, mf__at(f->rt, f->rt->map_at), 64 * sizeof(uint32_t));
    for (int i = 0; i < MF_CLASSES; i++)
        add_behind(f, &a->classes[i].lock, sizeof a->classes[i]);
    for (uint32_t i = 0; i < atomic_load(&a->slot_top); i++)
        add_behind(f, &mf__slot_at(f->rt, i)->life, sizeof(struct mf_slot));
    for (uint32_t i = 0; i < atomic_load(&a->objects.top); i++) {
        struct mf_object *o = mf__object_at(f->rt, i);
        add_place(f, o, offsetof(struct mf_object, end));
        add_behind(f, &o->end[0].lock, sizeof o->end[0]);
        add_behind(f, &o->end[1].lock, sizeof o->end[1]);
        add_place(f, o->holders, 8);
        add_place(f, o->body, 192);
        add_value(f, mf__object_handle(f->rt, o));
    }
    add_next_messages(f);
    add_value(f, f->word);
    add_value(f, UINT64_MAX);
    add_value(f, RESERVE);
    add_value(f, RESERVE - 16);
    add_value(f, mf__unit_offset(f->rt, 0));
}

struct fuzz_family *fuzz_family(void)
{
    const struct mf_arena_options options = {.reserve = RESERVE, .budget = RESERVE / 2};
    struct fuzz_family *f = &the_family;

    if (f->rt != NULL)
        return f;
    PROMISE(mf_open(&options, &f->rt) == 0);
    make_objects(f);
    take_some(f);
    make_task(f);
    kill_one(f, die_with_full_hands);
    leave_orphan(f);
    find_places(f); /* walks under the locks: before somebody dies in them */
    mf__units_each(f->rt, add_run, f);
    kill_one(f, die_at_put);
    kill_one(f, die_at_get);
    for (uint32_t i = 4; i < 10; i++)
        add_behind(f, &mf__slot_at(f->rt, i)->life, sizeof(struct mf_slot));
    kill_one(f, die_in_class);
    kill_one(f, die_in_slab);
    kill_one(f, die_in_objects);
    kill_one(f, die_in_units);
    add_range(f, f->rt->arena, sizeof *f->rt->arena);
    add_range(f, mf__slot_at(f->rt, 0), 16 * sizeof(struct mf_slot));
    add_range(f, mf__object_at(f->rt, 0), 12 * sizeof(struct mf_object));
    add_range(f, mf__at(f->rt, f->rt->map_at), 256 * sizeof(uint32_t));
    keep_ranges(f);
    at_first = *f->rt;
    make_private(f);
    return f;
}
