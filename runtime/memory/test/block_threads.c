/* block_threads.c - the allocator and the objects, driven by threads for ThreadSanitizer. */
#include "thread_runtime.h"

#include "block.h"
#include "death.h"
#include "lock.h"
#include "object.h"
#include "slab.h"
#include "unit.h"

#include <string.h>

static void storm(struct member *m)
{
    struct mf_block *own[40] = {0};
    unsigned state = m->number;
    for (int step = 0; step < 20000; step++) {
        struct mf_block **b = &own[check_random(&state) % 40];
        if (*b) {
            CHECK((*b)->payload[0] == (uint8_t)(b - own + (int)m->number * 40));
            mf__block_free(&m->rt, *b);
            *b = NULL;
            continue;
        }
        unsigned limit = check_random(&state) % 50 ? 3000 : 200000;
        size_t size = 1 + check_random(&state) % limit;
        *b = mf__block_new(&m->rt, size, m->rt.slot);
        CHECK(*b);
        memset((*b)->payload, (int)(b - own + (int)m->number * 40), size < 64 ? size : 64);
    }
    for (int i = 0; i < 40; i++)
        mf__block_free(&m->rt, own[i]);
}

static void threads_share_the_allocator(void)
{
    mf_runtime *rt;
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 512 << 20, .budget = 256 << 20}, &rt) == 0);
    run_members(rt, 4, storm);
    CHECK(mf__block_count(rt) == 0);
    mf_close(rt);
}

/* All at once, and a look at the slabs as if a second had passed. */
static void burst(struct member *m)
{
    enum { MANY = 600 };
    static struct mf_block *all[4][MANY];
    struct mf_block **own = all[m->number];
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < MANY; i++) {
            CHECK((own[i] = mf__block_new(&m->rt, 1000, m->rt.slot)) != NULL);
            memset(own[i]->payload, (int)m->number, 1000);
        }
        for (int i = 0; i < MANY; i++) {
            CHECK(own[i]->payload[i] == m->number);
            mf__block_free(&m->rt, own[i]);
        }
        atomic_store(&m->rt.arena->slab_walk.next, 0);
        mf__slabs_trim(&m->rt);
    }
}

static void threads_take_slabs_apart_while_others_use_them(void)
{
    mf_runtime *rt;
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 512 << 20, .budget = 256 << 20}, &rt) == 0);
    run_members(rt, 4, burst);
    CHECK(mf__block_count(rt) == 0);
    for (int look = 0; look < 2; look++) {
        atomic_store(&rt->arena->slab_walk.next, 0);
        mf__slabs_trim(rt);
    }
    CHECK(rt->arena->units.used == 1); /* the slab that is carved from */
    mf_close(rt);
}

static uint64_t shared_handle;

static void objects(struct member *m)
{
    struct mf_object *o, *again;
    for (int i = 0; i < 3000; i++) {
        mf_lock *lock;
        CHECK(mf_lock_new(&m->rt, &lock) == 0);
        struct mf_block *b = mf__block_new(&m->rt, 100, m->rt.slot);
        const uint64_t handles[2] = {mf__object_handle(&m->rt, lock), shared_handle};
        memcpy(b->payload, handles, sizeof handles);
        CHECK(mf__object_keep(&m->rt, b, (const uint64_t *)b->payload, 2) == 0);
        CHECK(mf__object_hold(&m->rt, shared_handle, 0, &o) == 0);
        mf__object_drop(&m->rt, lock);
        CHECK(mf__object_hold(&m->rt, handles[0], MF_KIND_LOCK, &again) == 0 && again == lock);
        mf__object_drop(&m->rt, again);
        mf__block_free(&m->rt, b);
        mf__object_drop(&m->rt, o);
        if (i % 100 == 0)
            mf__death_check(&m->rt);
    }
}

static void threads_share_the_objects(void)
{
    mf_runtime *rt;
    mf_lock *lock;
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 512 << 20, .budget = 256 << 20}, &rt) == 0);
    CHECK(mf_lock_new(rt, &lock) == 0);
    shared_handle = mf__object_handle(rt, lock);
    run_members(rt, 4, objects);
    CHECK(mf__object_count(rt) == 1 && mf__block_count(rt) == 0);
    mf__object_drop(rt, lock);
    mf_close(rt);
}

/* Ends without leaving: the kernel releases its life word as at a process's death. */
static void die(struct member *m)
{
    struct mf_block *b;
    mf_lock *lock;
    int32_t pid;
    if (m->number % 2) {
        for (int i = 0; i < 2000; i++)
            mf__death_check(&m->rt);
        return;
    }
    CHECK(mf_lock_new(&m->rt, &lock) == 0 && mf_lock_acquire(&m->rt, lock, 0, &pid) == 0);
    for (int i = 0; i < 20; i++)
        CHECK((b = mf__block_new(&m->rt, (size_t)i * 3000, m->rt.slot)) != NULL);
    pthread_exit(NULL);
}

static void threads_settle_the_deaths_of_threads(void)
{
    mf_runtime *rt;
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 512 << 20, .budget = 256 << 20}, &rt) == 0);
    for (int round = 0; round < 20; round++)
        run_members(rt, 4, die);
    CHECK(mf__object_count(rt) == 0 && mf__block_count(rt) == 0);
    mf_close(rt);
}

int main(void)
{
    RUN(threads_share_the_allocator);
    RUN(threads_take_slabs_apart_while_others_use_them);
    RUN(threads_share_the_objects);
    RUN(threads_settle_the_deaths_of_threads);
    return 0;
}
