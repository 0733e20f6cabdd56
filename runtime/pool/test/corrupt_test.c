/*
 * corrupt_test.c - words in shared memory that somebody else has written: each fault that
 * spec/fuzz/fuzz_arena.c has found, and one of each sort of word. See memory/README.md.
 */
#include "check.h"

#include "crew.h"
#include "death.h"
#include "object.h"
#include "process.h"
#include "segment.h"
#include "slot.h"
#include "unit.h"

#include <string.h>

#define NOWHERE UINT64_C(0x7fff00000010)

static mf_runtime *rt;
static mf_queue *q;
static const char text[200];

static void open_queue(void)
{
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 64u << 20, .budget = 16u << 20}, &rt) == 0);
    CHECK(mf_queue_new(rt, 0, &q) == 0);
}

static int put(size_t size)
{
    return mf_queue_put(rt, q, text, size, NULL, 0, 0);
}

static int get(void)
{
    struct mf_message m;
    int rc = mf__queue_get(rt, q, &m, 0);
    if (rc < 0)
        return rc;
    mf__queue_delivered(rt);
    mf__message_free(rt, &m);
    return 0;
}

static struct mf_descriptor *descriptor(unsigned i)
{
    struct mf_segment *s = mf__segment_at(rt, atomic_load(&q->end[1].segment));
    return mf__segment_descriptor(rt, s, i, mf__segment_room(s));
}

static void a_message_that_is_none_is_passed_over(void)
{
    open_queue();
    for (int i = 0; i < 6; i++)
        CHECK(put(i % 2 ? 8 : 200) == 0);
    descriptor(0)->block = NOWHERE;
    descriptor(1)->size = 49;
    descriptor(2)->size = MF_MESSAGE_MOST;
    descriptor(3)->handles = 1;
    descriptor(4)->handles = 1000;
    for (int i = 0; i < 5; i++)
        CHECK(get() == MF_ECORRUPT);
    CHECK(get() == 0 && get() == MF_EEMPTY);
    mf_close(rt);
}

static void a_queue_without_its_segment_is_corrupt(void)
{
    open_queue();
    CHECK(put(8) == 0);
    uint64_t segment = atomic_load(&q->end[0].segment);
    atomic_store(&q->end[0].segment, NOWHERE);
    atomic_store(&q->end[1].segment, segment + 8);
    CHECK(put(8) == MF_ECORRUPT && get() == MF_ECORRUPT);
    atomic_store(&q->end[1].segment, segment);
    mf__segment_at(rt, segment)->capacity = UINT64_MAX;
    mf__segment_at(rt, segment)->base = NOWHERE;
    CHECK(get() == MF_ECORRUPT);
    mf__object_drop(rt, q); /* and its end is one */
    mf_close(rt);
}

static void segments_in_a_circle_have_an_end(void)
{
    open_queue();
    for (int i = 0; i < 20; i++)
        CHECK(put(8) == 0);
    uint64_t last = atomic_load(&q->end[0].segment);
    atomic_store(&mf__segment_at(rt, last)->next, last);
    atomic_store(&q->end[1].at, 1000);
    mf__object_drop(rt, q);
    mf_close(rt);
}

static void lists_of_blocks_that_lead_nowhere_are_empty(void)
{
    open_queue();
    CHECK(put(200) == 0 && get() == 0);
    for (int c = 0; c < MF_CLASSES; c++) {
        atomic_store(&rt->arena->classes[c].free, NOWHERE + (uint64_t)c);
        atomic_store(&rt->arena->classes[c].carve, UINT64_C(0xfffffff0ffffffff));
    }
    CHECK(put(200) == 0 && get() == 0);
    struct mf_block *b = mf__block_new(rt, 100, rt->slot);
    atomic_store(&b->tag, MF_BLOCK_USED | 90);
    CHECK(mf__block_room(rt, b) == 0);
    mf__block_free(rt, b);
    mf_close(rt);
}

static void a_map_of_units_that_says_nothing_is_walked_to_its_end(void)
{
    open_queue();
    struct mf_block *b = mf__block_new(rt, 100000, rt->slot);
    _Atomic uint32_t *map = mf__at(rt, rt->map_at);
    for (uint32_t i = 0; i < rt->unit_max; i++)
        atomic_store(&map[i], i % 2 ? 0 : 0x7f000000);
    rt->arena->units.top = UINT32_MAX;
    rt->arena->units.used = 0;
    mf__block_free(rt, b);
    mf__block_count(rt);
    CHECK(!mf__block_new(rt, 1 << 20, rt->slot)); /* neither free nor beyond the top */
    mf__death_clean_self(rt);
    mf_close(rt);
}

static void objects_and_slots_of_any_number_have_a_place(void)
{
    open_queue();
    struct mf_object *o;
    CHECK(mf__object_hold(rt, NOWHERE << 16, 0, &o) == MF_ECLOSED);
    atomic_store(&rt->arena->objects.top, UINT32_MAX);
    atomic_store(&rt->arena->slot_top, UINT32_MAX);
    atomic_store(&q->kind, 0xfe);
    CHECK(mf__object_count(rt) >= 1 && mf__death_check(rt) == 0);
    mf__object_drop(rt, q);
    atomic_store(&rt->arena->objects.free, 1);
    atomic_store(&q->kind, MF_KIND_QUEUE);
    CHECK(mf_queue_new(rt, 0, &q) == MF_ECORRUPT);
    mf_close(rt);
}

static void nobody_takes_the_slot_that_he_lives_in(void)
{
    uint32_t slot;
    open_queue();
    atomic_store(&rt->self->state, MF_SLOT_FREE);
    CHECK(mf__slot_take(rt, &slot) == 0 && slot != rt->slot && mf__death_give_up(rt, slot));
    mf_close(rt);
}

static void a_record_says_nothing_beyond_the_arena(void)
{
    open_queue();
    struct mf_task *t = mf__task_new(rt, "input", 5, NULL, 0);
    struct mf_window *w = mf__task_out_grow(rt, t, 100);
    const uint8_t *end = (uint8_t *)rt->arena + rt->reserve;
    t->in.size = w->size = UINT64_MAX;
    CHECK(mf__window_end(rt, &t->in) == end && mf__window_end(rt, w) == end);
    w->next = t->out.next; /* a circle */
    t->keepers = mf__task_offset(rt, t);
    t->code = t->out_tail = NOWHERE;
    CHECK(!mf__task_code(rt, t) && !mf__task_out_tail(rt, t) && !mf__task_out_grow(rt, t, 10));
    CHECK(!mf__task_at(rt, NOWHERE));
    mf__task_recover_link(rt, t, NOWHERE);
    mf__task_free(rt, t);
    mf_close(rt);
}

static int never(mf_runtime *own, mf_pool *pool, void *arg)
{
    (void)own, (void)pool, (void)arg;
    return 0;
}

static void a_pool_that_gets_no_queue_is_not_made(void)
{
    mf_pool *pool;
    open_queue();
    while (mf__block_new(rt, 1 << 16, rt->slot) || mf__block_new(rt, 900, rt->slot))
        ;
    CHECK(mf_pool_new(rt,
                      &(struct mf_pool_options){.processes = 1, .hooks = {.worker_main = never}},
                      &pool) == MF_ENOMEM);
    mf_close(rt);
}

int main(void)
{
    RUN(a_message_that_is_none_is_passed_over);
    RUN(a_queue_without_its_segment_is_corrupt);
    RUN(segments_in_a_circle_have_an_end);
    RUN(lists_of_blocks_that_lead_nowhere_are_empty);
    RUN(a_map_of_units_that_says_nothing_is_walked_to_its_end);
    RUN(objects_and_slots_of_any_number_have_a_place);
    RUN(nobody_takes_the_slot_that_he_lives_in);
    RUN(a_record_says_nothing_beyond_the_arena);
    RUN(a_pool_that_gets_no_queue_is_not_made);
    return 0;
}
