/* object_test.c - handles, holders, references in messages, and the end of objects. */
#include "check.h"

#include "block.h"
#include "lock.h"
#include "object.h"
#include "process.h"
#include "queue.h"
#include "slot.h"

static mf_runtime *rt;

static void open_family(void)
{
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 2u << 30, .budget = 1u << 30}, &rt) == 0);
}

static void close_family(void)
{
    CHECK(mf__object_count(rt) == 0 && mf__block_count(rt) == 0);
    CHECK(rt->self->held == 0 && rt->self->owned == 0);
    mf_close(rt);
}

static mf_queue *new_queue(void)
{
    mf_queue *q;
    CHECK(mf_queue_new(rt, 0, &q) == 0);
    return q;
}

static void put_handle(mf_queue *q, uint64_t handle)
{
    CHECK(mf_queue_put(rt, q, "x", 1, &handle, 1, MF_FOREVER) == 0);
}

static void a_handle_leads_to_its_object_until_that_ends(void)
{
    open_family();
    mf_queue *q = new_queue();
    struct mf_object *o = NULL;
    uint64_t handle = mf__object_handle(rt, q);
    CHECK(handle != 0 && mf__object_at(rt, mf__object_index(rt, q)) == q);
    CHECK(mf__object_hold(rt, handle, MF_KIND_QUEUE, &o) == 0 && o == q);
    CHECK(mf__object_hold(rt, handle, 0, &o) == 0 && o == q);
    CHECK(mf__object_hold(rt, handle, MF_KIND_LOCK, &o) == MF_ECLOSED);
    CHECK(mf__object_count(rt) == 1);
    mf__object_drop(rt, q); /* holding is one bit: it counts once */
    CHECK(mf__object_hold(rt, handle, 0, &o) == MF_ECLOSED);
    close_family();
}

static void a_place_that_is_used_again_has_another_handle(void)
{
    open_family();
    struct mf_object *o;
    mf_queue *q = new_queue();
    uint64_t first = mf__object_handle(rt, q);
    mf__object_drop(rt, q);
    mf_lock *lock;
    CHECK(mf_lock_new(rt, &lock) == 0 && lock == q);
    CHECK(mf__object_handle(rt, lock) != first);
    CHECK(mf__object_hold(rt, first, 0, &o) == MF_ECLOSED);
    CHECK(mf__object_hold(rt, UINT64_MAX, 0, &o) == MF_ECLOSED);
    mf__object_drop(rt, lock);
    close_family();
}

static void a_message_keeps_what_it_carries(void)
{
    open_family();
    struct mf_message m;
    mf_queue *q = new_queue(), *inner = new_queue();
    struct mf_object *o;
    uint64_t handle = mf__object_handle(rt, inner);
    put_handle(q, handle);
    put_handle(q, handle);
    mf__object_drop(rt, inner);
    CHECK(mf__object_count(rt) == 2);
    CHECK(mf__queue_get(rt, q, &m, 0) == 0 && m.handle_count == 1 && m.handles[0] == handle);
    CHECK(m.size == 1 && m.data[0] == 'x');
    CHECK(mf__object_hold(rt, m.handles[0], MF_KIND_QUEUE, &o) == 0 && o == inner);
    mf__message_free(rt, &m);
    mf__message_free(rt, &m);
    mf__object_drop(rt, o);
    CHECK(mf__object_count(rt) == 2); /* the second message is still there */
    CHECK(mf__queue_get(rt, q, &m, 0) == 0);
    mf__message_free(rt, &m);
    CHECK(mf__object_count(rt) == 1);
    mf__object_drop(rt, q);
    close_family();
}

static void a_message_with_a_dead_handle_keeps_nothing(void)
{
    open_family();
    mf_queue *q = new_queue(), *live = new_queue(), *dead = new_queue();
    const uint64_t handles[] = {mf__object_handle(rt, live), mf__object_handle(rt, dead),
                                mf__object_handle(rt, live)};
    mf__object_drop(rt, dead);
    uint64_t blocks = mf__block_count(rt);
    CHECK(mf_queue_put(rt, q, "x", 1, handles, 3, 0) == MF_ECLOSED);
    CHECK(mf__block_count(rt) == blocks && mf_queue_size(q) == 0);
    mf__object_drop(rt, live);
    CHECK(mf__object_count(rt) == 1);
    mf__object_drop(rt, q);
    close_family();
}

static void dropping_a_queue_drops_its_messages_and_what_they_carry(void)
{
    open_family();
    mf_queue *q = new_queue(), *inner = new_queue();
    static const char text[5000];
    for (int i = 0; i < 1000; i++)
        CHECK(mf_queue_put(rt, inner, text, (size_t)i * 5, NULL, 0, 0) == 0);
    for (int i = 0; i < 100; i++)
        put_handle(q, mf__object_handle(rt, inner));
    mf__object_drop(rt, inner);
    CHECK(mf__object_count(rt) == 2);
    mf__object_drop(rt, q);
    close_family();
}

static void ten_thousand_queues_one_in_the_other_end_without_recursion(void)
{
    open_family();
    mf_queue *outer = new_queue();
    for (int i = 0; i < 10000; i++) {
        mf_queue *next = new_queue();
        put_handle(next, mf__object_handle(rt, outer));
        mf__object_drop(rt, outer);
        outer = next;
    }
    CHECK(mf__object_count(rt) == 10001);
    mf__object_drop(rt, outer);
    close_family();
}

static void a_full_object_table_gives_nomem_and_recovers(void)
{
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 16 << 20}, &rt) == 0);
    static mf_lock *locks[1000];
    unsigned n = 0;
    while (n < 1000 && mf_lock_new(rt, &locks[n]) == 0)
        n++;
    CHECK(n > 200 && n < 1000 && mf__object_count(rt) == n);
    mf_queue *q;
    CHECK(mf_queue_new(rt, 0, &q) == MF_ENOMEM);
    mf__object_drop(rt, locks[--n]);
    CHECK(mf_queue_new(rt, 0, &q) == 0);
    mf__object_drop(rt, q);
    while (n)
        mf__object_drop(rt, locks[--n]);
    close_family();
}

int main(void)
{
    RUN(a_handle_leads_to_its_object_until_that_ends);
    RUN(a_place_that_is_used_again_has_another_handle);
    RUN(a_message_keeps_what_it_carries);
    RUN(a_message_with_a_dead_handle_keeps_nothing);
    RUN(dropping_a_queue_drops_its_messages_and_what_they_carry);
    RUN(ten_thousand_queues_one_in_the_other_end_without_recursion);
    RUN(a_full_object_table_gives_nomem_and_recovers);
    return 0;
}
