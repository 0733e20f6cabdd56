/* queue_threads.c - queues, waits and locks, driven by threads for ThreadSanitizer. */
#include "thread_runtime.h"

#include "block.h"
#include "lock.h"
#include "object.h"
#include "queue.h"
#include "wait.h"

#include <string.h>

#define EACH 8000u

static mf_queue *q;
static mf_lock *lock;
static uint64_t counter; /* guarded by lock */
static _Atomic uint64_t sum, count, producing;

static void open_things(uint64_t capacity, mf_runtime **ret_rt)
{
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 512 << 20, .budget = 256 << 20}, ret_rt) ==
          0);
    CHECK(mf_queue_new(*ret_rt, capacity, &q) == 0 && mf_lock_new(*ret_rt, &lock) == 0);
    counter = 0;
    atomic_store(&sum, 0);
    atomic_store(&count, 0);
    producing = 2;
}

static void close_things(mf_runtime *rt)
{
    mf__object_drop(rt, q);
    mf__object_drop(rt, lock);
    CHECK(mf__object_count(rt) == 0 && mf__block_count(rt) == 0);
    mf_close(rt);
}

static void produce(struct member *m)
{
    uint64_t words[40];
    const uint64_t handle = mf__object_handle(&m->rt, lock);
    for (uint64_t i = 0; i < EACH; i++) {
        size_t n = i % 5 ? i % 3 ? 2 : 12 : 40;
        for (size_t k = 0; k < n; k++)
            words[k] = i;
        CHECK(mf_queue_put(&m->rt, q, words, n * sizeof *words, &handle, i % 7 == 0, MF_FOREVER) ==
              0);
    }
    if (atomic_fetch_sub(&producing, 1) == 1)
        mf_queue_close(&m->rt, q);
}

static void consume(struct member *m)
{
    struct mf_message message;
    int rc;
    while ((rc = mf__queue_get(&m->rt, q, &message, MF_FOREVER)) == 0) {
        uint64_t words[40];
        CHECK(message.size == 16 || message.size == 96 || message.size == 320);
        memcpy(words, message.data, message.size);
        for (size_t k = 1; k < message.size / 8; k++)
            CHECK(words[k] == words[0]);
        atomic_fetch_add(&sum, words[0]);
        atomic_fetch_add(&count, 1);
        mf__queue_delivered(&m->rt);
        mf__message_free(&m->rt, &message);
    }
    CHECK(rc == MF_ECLOSED);
}

static void put_or_get(struct member *m)
{
    m->number < 2 ? produce(m) : consume(m);
}

static void run_queue(uint64_t capacity)
{
    mf_runtime *rt;
    struct mf_queue_stats s;
    open_things(capacity, &rt);
    run_members(rt, 4, put_or_get);
    CHECK(count == 2 * EACH && sum == (uint64_t)EACH * (EACH - 1));
    mf_queue_stats(q, &s);
    CHECK(s.put == 2 * EACH && s.got == s.put && !s.queued && !s.lost);
    close_things(rt);
}

static void threads_share_an_unbounded_queue(void)
{
    run_queue(0);
}

static void threads_share_a_short_queue(void)
{
    run_queue(2);
}

static void count_up(struct member *m)
{
    int32_t pid;
    for (int i = 0; i < 5000; i++) {
        CHECK(mf_lock_acquire(&m->rt, lock, MF_FOREVER, &pid) == 0);
        counter++;
        CHECK(mf_lock_is_mine(&m->rt, lock) && mf_lock_release(&m->rt, lock) == 0);
    }
}

static void threads_exclude_each_other_by_a_lock(void)
{
    mf_runtime *rt;
    open_things(0, &rt);
    run_members(rt, 4, count_up);
    CHECK(counter == 20000);
    close_things(rt);
}

static struct mf_wait bell;
static _Atomic uint32_t tokens;

static bool is_token_there(const void *arg)
{
    (void)arg;
    return atomic_load(&tokens) > 0;
}

/* Even ones make tokens, odd ones take as many: nobody may sleep on while one is there. */
static void trade(struct member *m)
{
    for (int i = 0; i < 5000; i++) {
        if (m->number % 2 == 0) {
            atomic_fetch_add(&tokens, 1);
            mf__wait_wake(&bell);
            continue;
        }
        for (;;) {
            uint32_t n = atomic_load(&tokens);
            if (n && atomic_compare_exchange_weak(&tokens, &n, n - 1))
                break;
            CHECK(mf__wait_until(&m->rt, &bell, is_token_there, NULL, MF_FOREVER) == 0);
        }
    }
}

static void every_wake_reaches_a_sleeper(void)
{
    mf_runtime *rt;
    open_things(0, &rt);
    run_members(rt, 6, trade);
    CHECK(tokens == 0);
    close_things(rt);
}

int main(void)
{
    RUN(threads_share_an_unbounded_queue);
    RUN(threads_share_a_short_queue);
    RUN(threads_exclude_each_other_by_a_lock);
    RUN(every_wake_reaches_a_sleeper);
    return 0;
}
