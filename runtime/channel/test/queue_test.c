/* queue_test.c - a queue in one process: order, bounds, closing, sizes, counts. */
#include "check.h"

#include "object.h"
#include "process.h"
#include "queue.h"
#include "slot.h"

#include <string.h>

static mf_runtime *rt;
static mf_queue *q;

static void open_queue(uint64_t capacity)
{
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 2u << 30, .budget = 512u << 20}, &rt) == 0);
    CHECK(mf_queue_new(rt, capacity, &q) == 0);
}

static void close_queue(void)
{
    mf__object_drop(rt, q);
    CHECK(mf__block_count(rt) == 0 && mf__object_count(rt) == 0 && rt->self->owned == 0);
    CHECK(rt->self->hand == 0 && rt->self->seq == MF_NO_SEQ && rt->self->busy == 0);
    mf_close(rt);
}

static int put_number(uint64_t n, int64_t deadline)
{
    return mf_queue_put(rt, q, &n, sizeof n, NULL, 0, deadline);
}

static int get_number(uint64_t *ret_n, int64_t deadline)
{
    struct mf_message m;
    int rc = mf__queue_get(rt, q, &m, deadline);
    if (rc < 0)
        return rc;
    CHECK(m.size == sizeof *ret_n && m.handle_count == 0);
    memcpy(ret_n, m.data, sizeof *ret_n);
    mf__queue_delivered(rt);
    mf__message_free(rt, &m);
    return 0;
}

static void check_stats(uint64_t put, uint64_t got, uint64_t queued)
{
    struct mf_queue_stats s;
    mf_queue_stats(q, &s);
    CHECK(s.put == put && s.got == got && s.queued == queued && s.lost == 0);
    CHECK(mf_queue_size(q) == queued);
}

static void messages_come_in_the_order_they_went(void)
{
    open_queue(0);
    uint64_t n, put = 0, got = 0;
    unsigned state = 7;
    while (got < 50000) {
        for (unsigned i = check_random(&state) % 1500; i > 0; i--)
            CHECK(put_number(put++, 0) == 0);
        check_stats(put, got, put - got);
        for (unsigned i = check_random(&state) % 1500; i > 0 && got < put; i--)
            CHECK(get_number(&n, 0) == 0 && n == got++);
    }
    while (got < put)
        CHECK(get_number(&n, 0) == 0 && n == got++);
    CHECK(get_number(&n, 0) == MF_EEMPTY);
    check_stats(put, got, 0);
    close_queue();
}

static void a_full_queue_refuses_until_one_is_taken(void)
{
    uint64_t n;
    open_queue(3);
    CHECK(mf_queue_capacity(q) == 3);
    for (int round = 0; round < 100; round++) {
        for (uint64_t i = 0; i < 3; i++)
            CHECK(put_number(i, 0) == 0);
        CHECK(put_number(9, 0) == MF_EFULL);
        CHECK(put_number(9, mf__deadline(0.0005)) == MF_ETIMEOUT);
        CHECK(get_number(&n, 0) == 0 && n == 0 && put_number(3, 0) == 0);
        for (uint64_t i = 1; i < 4; i++)
            CHECK(get_number(&n, 0) == 0 && n == i);
    }
    check_stats(400, 400, 0);
    close_queue();
}

static void an_empty_queue_gives_empty_or_timeout(void)
{
    uint64_t n = 5;
    open_queue(0);
    CHECK(get_number(&n, 0) == MF_EEMPTY);
    CHECK(get_number(&n, mf__deadline(0.0005)) == MF_ETIMEOUT && n == 5);
    close_queue();
}

static void a_closed_queue_is_drained_and_then_says_so(void)
{
    uint64_t n;
    open_queue(5);
    CHECK(put_number(1, 0) == 0 && put_number(2, 0) == 0 && !mf_queue_is_closed(q));
    mf_queue_close(rt, q);
    mf_queue_close(rt, q);
    CHECK(mf_queue_is_closed(q) && put_number(3, MF_FOREVER) == MF_ECLOSED);
    CHECK(get_number(&n, MF_FOREVER) == 0 && n == 1 && get_number(&n, 0) == 0 && n == 2);
    CHECK(get_number(&n, MF_FOREVER) == MF_ECLOSED && get_number(&n, 0) == MF_ECLOSED);
    check_stats(2, 2, 0);
    close_queue();
}

static uint8_t *bytes_of(size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    CHECK(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251 + size);
    return bytes;
}

static void every_size_arrives_whole(void)
{
    static const size_t sizes[] = {0,     1,     47,      48,      49,      64,
                                   111,   112,   113,     1000,    4096,    32735,
                                   32752, 32768, 1 << 20, 3 << 20, 5 << 20, 64u << 20};
    struct mf_message m;
    open_queue(0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *bytes = bytes_of(sizes[i]);
        CHECK(mf_queue_put(rt, q, bytes, sizes[i], NULL, 0, MF_FOREVER) == 0);
        CHECK(mf__queue_get(rt, q, &m, MF_FOREVER) == 0 && m.size == sizes[i]);
        CHECK((m.block == NULL) == (m.size <= MF_INLINE_NARROW) &&
              memcmp(m.data, bytes, m.size) == 0);
        mf__queue_delivered(rt);
        mf__message_free(rt, &m);
        free(bytes);
    }
    close_queue();
}

/* Puts messages 0..n-1, whose sizes are given in turn; gets them whole and in order. How many of
 * the last n / 2 had a block. */
static unsigned pass_on(const size_t *sizes, unsigned count, unsigned n)
{
    struct mf_message m;
    unsigned blocks = 0;
    for (unsigned i = 0; i < n; i++) {
        uint8_t *bytes = bytes_of(sizes[i % count] + i % 7);
        CHECK(mf_queue_put(rt, q, bytes, sizes[i % count] + i % 7, NULL, 0, MF_FOREVER) == 0);
        free(bytes);
    }
    for (unsigned i = 0; i < n; i++) {
        uint8_t *bytes = bytes_of(sizes[i % count] + i % 7);
        CHECK(mf__queue_get(rt, q, &m, MF_FOREVER) == 0 && m.size == sizes[i % count] + i % 7);
        CHECK(memcmp(m.data, bytes, m.size) == 0);
        blocks += i >= n / 2 && m.block;
        mf__queue_delivered(rt);
        mf__message_free(rt, &m);
        free(bytes);
    }
    return blocks;
}

static void segments_become_as_wide_as_the_messages_need_them(void)
{
    static const size_t small[] = {8}, middle[] = {60, 100}, large[] = {200},
                        mixed[] = {100, 8, 30, 300, 55};
    open_queue(0);
    CHECK(pass_on(small, 1, 2000) == 0);
    CHECK(pass_on(middle, 2, 2000) == 0);
    CHECK(pass_on(large, 1, 2000) == 1000);
    pass_on(mixed, 5, 5000);
    CHECK(pass_on(middle, 2, 2000) == 0);
    close_queue();
}

static void a_message_of_no_bytes_needs_no_address(void)
{
    struct mf_message m;
    open_queue(0);
    CHECK(mf_queue_put(rt, q, NULL, 0, NULL, 0, 0) == 0);
    CHECK(mf__queue_get(rt, q, &m, 0) == 0 && m.size == 0);
    mf__queue_delivered(rt);
    mf__message_free(rt, &m);
    close_queue();
}

static void a_message_too_large_is_refused_and_nothing_is_put(void)
{
    struct mf_block *b;
    open_queue(0);
    CHECK(mf__message_new(rt, NULL, SIZE_MAX, NULL, 0, &b, NULL) == MF_ELIMIT);
    CHECK(mf__message_new(rt, NULL, 600u << 20, NULL, 0, &b, NULL) == MF_ENOMEM);
    check_stats(0, 0, 0);
    close_queue();
}

static void an_unbounded_queue_ends_at_the_budget_and_recovers(void)
{
    static const char text[30000];
    struct mf_message m;
    uint64_t n = 0;
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 64 << 20, .budget = 16 << 20}, &rt) == 0);
    CHECK(mf_queue_new(rt, 0, &q) == 0);
    while (mf_queue_put(rt, q, text, sizeof text, NULL, 0, 0) == 0)
        n++;
    CHECK(n > 300 && mf_queue_put(rt, q, text, sizeof text, NULL, 0, MF_FOREVER) == MF_ENOMEM);
    for (uint64_t i = 0; i < 3 * n; i++) {
        for (int k = 0; k < (i ? 1 : 3); k++) { /* a segment needs a block now and then */
            CHECK(mf__queue_get(rt, q, &m, 0) == 0);
            mf__queue_delivered(rt);
            mf__message_free(rt, &m);
        }
        CHECK(mf_queue_put(rt, q, text, sizeof text, NULL, 0, 0) == 0);
    }
    check_stats(4 * n, 3 * n + 2, n - 2);
    close_queue();
}

static void gathering_takes_nothing_and_leaves_an_ordinary_queue(void)
{
    uint64_t n;
    open_queue(0);
    CHECK(mf__queue_gather(rt, q, 3, mf__deadline(0.01)) == MF_ETIMEOUT);
    CHECK(put_number(1, 0) == 0);
    CHECK(mf__queue_gather(rt, q, 3, MF_FOREVER) == 0);
    check_stats(1, 0, 1);
    CHECK(get_number(&n, 0) == 0 && n == 1);
    CHECK(mf__queue_put_urgent(rt, q, 2) == 0);
    CHECK(mf__queue_gather(rt, q, 3, MF_FOREVER) == 0);
    CHECK(get_number(&n, 0) == 0 && n == 2);
    mf_queue_close(rt, q);
    CHECK(mf__queue_gather(rt, q, 3, MF_FOREVER) == 0);
    CHECK(mf__queue_put_urgent(rt, q, 3) == MF_ECLOSED);
    close_queue();
}

static void tasks_are_in_the_slot_when_they_leave_the_queue(void)
{
    uint64_t task = 0;
    open_queue(0);
    CHECK(mf__queue_get_task(rt, q, &task, 0) == MF_EEMPTY && task == 0);
    for (uint64_t i = 1; i < 100; i++)
        CHECK(put_number(i, 0) == 0);
    for (uint64_t i = 1; i < 100; i++)
        CHECK(mf__queue_get_task(rt, q, &task, 0) == 0 && task == i && rt->self->task == i);
    CHECK(rt->self->got == 0);
    close_queue();
}

int main(void)
{
    RUN(messages_come_in_the_order_they_went);
    RUN(a_full_queue_refuses_until_one_is_taken);
    RUN(an_empty_queue_gives_empty_or_timeout);
    RUN(a_closed_queue_is_drained_and_then_says_so);
    RUN(every_size_arrives_whole);
    RUN(segments_become_as_wide_as_the_messages_need_them);
    RUN(a_message_of_no_bytes_needs_no_address);
    RUN(a_message_too_large_is_refused_and_nothing_is_put);
    RUN(an_unbounded_queue_ends_at_the_budget_and_recovers);
    RUN(gathering_takes_nothing_and_leaves_an_ordinary_queue);
    RUN(tasks_are_in_the_slot_when_they_leave_the_queue);
    return 0;
}
