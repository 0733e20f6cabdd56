/* queue_processes.c - producers and consumers as processes: every byte once, in order; and deaths
 * of those who sleep. */
#include "check.h"

#include "death.h"
#include "object.h"
#include "process.h"
#include "queue.h"
#include "slot.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define EACH 60000u
#define PRODUCERS 2

static mf_runtime *rt;
static mf_queue *work, *done;

static mf_process *start(int (*main)(mf_runtime *rt, void *arg), void *arg)
{
    mf_process *p;
    const uint64_t handles[] = {mf__object_handle(rt, work), mf__object_handle(rt, done)};
    struct mf_start s = {.main = main, .arg = arg, .handles = handles, .handle_count = 2};
    CHECK(mf_process_start(rt, &s, &p) == 0);
    return p;
}

static void end(mf_process *p, int status)
{
    CHECK(mf_process_join(rt, p, MF_FOREVER) == 0);
    CHECK(mf_process_status(p) == status);
    mf_process_free(rt, p);
}

static void open_queues(uint64_t capacity)
{
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 1u << 30, .budget = 256u << 20}, &rt) == 0);
    CHECK(mf_queue_new(rt, capacity, &work) == 0 && mf_queue_new(rt, 0, &done) == 0);
}

static void close_queues(void)
{
    mf__object_drop(rt, work);
    mf__object_drop(rt, done);
    CHECK(mf__block_count(rt) == 0 && mf__object_count(rt) == 0);
    mf_close(rt);
}

/* A message: who, which, and bytes made of both. Sizes go over the inline limit and back. */
static size_t compose(uint32_t *at, uint32_t who, uint32_t which)
{
    size_t words = 2 + (which * 7 + who) % (which % 100 ? 40 : 3000);
    for (size_t i = 0; i < words; i++)
        at[i] = i == 0 ? who : i == 1 ? which : who * 1000003u + which * 31u + (uint32_t)i;
    return words * sizeof *at;
}

static int produce(mf_runtime *own, void *arg)
{
    static uint32_t words[4000];
    uint32_t who = *(uint32_t *)arg;
    for (uint32_t i = 0; i < EACH; i++)
        if (mf_queue_put(own, work, words, compose(words, who, i), NULL, 0, MF_FOREVER) < 0)
            return 1;
    return 0;
}

/* Checks what it gets, and reports how many from each producer. */
static int consume(mf_runtime *own, void *arg)
{
    static uint32_t expected[4000];
    uint64_t sums[PRODUCERS][2] = {{0}};
    uint32_t next[PRODUCERS] = {0};
    struct mf_message m;
    int rc;
    (void)arg;
    while ((rc = mf__queue_get(own, work, &m, MF_FOREVER)) == 0) {
        const uint32_t *got = (const uint32_t *)m.data;
        if (m.size < 8 || got[0] >= PRODUCERS || got[1] < next[got[0]])
            return 1;
        if (compose(expected, got[0], got[1]) != m.size || memcmp(expected, got, m.size) != 0)
            return 2;
        next[got[0]] = got[1] + 1;
        sums[got[0]][0]++;
        sums[got[0]][1] += got[1];
        mf__queue_delivered(own);
        mf__message_free(own, &m);
    }
    if (rc != MF_ECLOSED)
        return 3;
    return mf_queue_put(own, done, sums, sizeof sums, NULL, 0, MF_FOREVER) < 0 ? 4 : 0;
}

static void run_producers_and_consumers(uint64_t capacity)
{
    uint32_t who[PRODUCERS];
    uint64_t total[PRODUCERS][2] = {{0}};
    mf_process *p[PRODUCERS], *c[2];
    struct mf_message m;
    struct mf_queue_stats stats;
    open_queues(capacity);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        who[i] = i;
        p[i] = start(produce, &who[i]);
    }
    for (int i = 0; i < 2; i++)
        c[i] = start(consume, NULL);
    for (int i = 0; i < PRODUCERS; i++)
        end(p[i], 0);
    mf_queue_close(rt, work);
    for (int i = 0; i < 2; i++) {
        uint64_t sums[PRODUCERS][2];
        end(c[i], 0);
        CHECK(mf__queue_get(rt, done, &m, MF_FOREVER) == 0 && m.size == sizeof sums);
        memcpy(sums, m.data, sizeof sums);
        mf__queue_delivered(rt);
        mf__message_free(rt, &m);
        for (int k = 0; k < PRODUCERS; k++)
            total[k][0] += sums[k][0], total[k][1] += sums[k][1];
    }
    for (int k = 0; k < PRODUCERS; k++)
        CHECK(total[k][0] == EACH && total[k][1] == (uint64_t)EACH * (EACH - 1) / 2);
    mf_queue_stats(work, &stats);
    CHECK(stats.put == PRODUCERS * EACH && stats.got == stats.put && !stats.queued && !stats.lost);
    close_queues();
}

static void two_producers_and_two_consumers_lose_and_double_nothing(void)
{
    run_producers_and_consumers(0);
}

static void two_producers_and_two_consumers_at_a_short_queue(void)
{
    run_producers_and_consumers(3);
}

static int sleep_in_get(mf_runtime *own, void *arg)
{
    struct mf_message m;
    (void)arg;
    mf_queue_put(own, done, "here", 4, NULL, 0, MF_FOREVER);
    return mf__queue_get(own, work, &m, MF_FOREVER) == MF_ECLOSED ? 0 : 1;
}

static void wait_for_word(void)
{
    struct mf_message m;
    CHECK(mf__queue_get(rt, done, &m, MF_FOREVER) == 0);
    mf__queue_delivered(rt);
    mf__message_free(rt, &m);
}

static void take_the_rest(void)
{
    struct mf_message m;
    while (mf__queue_get(rt, work, &m, 0) == 0) {
        mf__queue_delivered(rt);
        mf__message_free(rt, &m);
    }
}

static void a_getter_killed_in_its_sleep_takes_no_message_along(void)
{
    open_queues(0);
    for (int round = 0; round < 50; round++) {
        mf_process *p = start(sleep_in_get, NULL);
        wait_for_word();
        for (int i = 0; i < round; i++)
            sched_yield(); /* so that it is killed before, at and after its falling asleep */
        mf_process_signal(p, SIGKILL);
        CHECK(mf_queue_put(rt, work, "m", 1, NULL, 0, MF_FOREVER) == 0);
        end(p, -SIGKILL);
        struct mf_queue_stats stats;
        mf_queue_stats(work, &stats);
        CHECK(stats.queued + stats.lost == stats.put - stats.got && stats.queued <= 1);
        take_the_rest();
    }
    close_queues();
}

#define SOME_TASK UINT64_C(77 << 4)

/* As a worker whose task gets a message, and that is killed right before the commit. */
static int die_at_a_get_in_a_task(mf_runtime *own, void *arg)
{
    (void)arg;
    atomic_store(&own->self->task, SOME_TASK);
    atomic_store(&own->self->side, 1);
    atomic_store(&own->self->busy, mf__object_index(own, work) + 1);
    CHECK(mf__mutex_lock(&work->end[1].lock, own->slot, MF_FOREVER) == 0);
    atomic_store(&own->self->seq, atomic_load(&work->end[1].at));
    atomic_store(&own->self->got, mf__object_index(own, work) + 1);
    raise(SIGKILL);
    return 0;
}

static void a_task_whose_worker_dies_at_a_get_of_its_own_is_not_forgotten(void)
{
    struct mf_message m;
    struct mf_queue_stats stats;
    open_queues(0);
    CHECK(mf_queue_put(rt, work, "x", 1, NULL, 0, 0) == 0);
    mf_process *p = start(die_at_a_get_in_a_task, NULL);
    CHECK(mf_process_join(rt, p, MF_FOREVER) == 0);
    CHECK(mf__process_last_task(p) == SOME_TASK);
    CHECK(mf__queue_get(rt, work, &m, 0) == 0 && m.size == 1);
    mf_queue_stats(work, &stats);
    CHECK(stats.put == 1 && stats.lost == 0);
    mf_process_free(rt, p);
    close_queues();
}

static int take_and_die(mf_runtime *own, void *slot)
{
    struct mf_message m;
    *(volatile uint32_t *)slot = own->slot;
    CHECK(mf__queue_get(own, work, &m, MF_FOREVER) == 0);
    raise(SIGKILL);
    return 0;
}

/* As a claimer that has counted what the dead had taken, and is killed before it says so. */
static int count_and_die(mf_runtime *own, void *slot)
{
    mf_runtime ghost = *own;
    ghost.slot = *(volatile uint32_t *)slot;
    ghost.self = mf__slot_at(own, ghost.slot);
    CHECK(mf__queue_kind.settle(&ghost, work, ghost.self, MF_FOREVER) == 0);
    CHECK(mf__mutex_lock(&work->end[1].lock, ghost.slot, MF_FOREVER) == 0);
    atomic_store(&ghost.self->got, mf__object_index(own, work) + 1);
    raise(SIGKILL);
    return 0;
}

/* Dead, and its death seen by nobody. */
static mf_process *start_and_see_die(int (*main)(mf_runtime *rt, void *arg), void *arg)
{
    siginfo_t info;
    mf_process *p = start(main, arg);
    CHECK(waitid(P_PID, (id_t)mf_process_pid(p), &info, WEXITED | WNOWAIT) == 0);
    return p;
}

static void two_deaths_whose_claimers_die_too_are_two_lost_messages(void)
{
    struct mf_queue_stats stats;
    mf_process *p[3];
    uint32_t *slots = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    open_queues(0);
    for (int i = 0; i < 2; i++)
        CHECK(mf_queue_put(rt, work, "m", 1, NULL, 0, 0) == 0);
    for (int i = 0; i < 2; i++)
        p[i] = start_and_see_die(take_and_die, &slots[i]);
    p[2] = start_and_see_die(count_and_die, &slots[0]);
    CHECK(mf__death_settle(rt, slots[1]) && mf__death_settle(rt, slots[0]));
    mf_queue_stats(work, &stats);
    CHECK(stats.put == 2 && stats.lost == 2 && stats.got == 0);
    for (int i = 0; i < 3; i++)
        end(p[i], -SIGKILL);
    munmap(slots, 4096);
    close_queues();
}

static void closing_wakes_those_who_sleep(void)
{
    mf_process *p[3];
    open_queues(0);
    for (int i = 0; i < 3; i++)
        p[i] = start(sleep_in_get, NULL);
    for (int i = 0; i < 3; i++)
        wait_for_word();
    mf_queue_close(rt, work);
    for (int i = 0; i < 3; i++)
        end(p[i], 0);
    close_queues();
}

static int put_until_closed(mf_runtime *own, void *arg)
{
    int rc;
    (void)arg;
    do
        rc = mf_queue_put(own, work, "m", 1, NULL, 0, MF_FOREVER);
    while (rc == 0);
    return rc == MF_ECLOSED ? 0 : 1;
}

static int get_until_closed(mf_runtime *own, void *arg)
{
    struct mf_message m;
    int rc;
    (void)arg;
    while ((rc = mf__queue_get(own, work, &m, MF_FOREVER)) == 0) {
        mf__queue_delivered(own);
        mf__message_free(own, &m);
    }
    return rc == MF_ECLOSED ? 0 : 1;
}

/* The close falls into the midst of puts, each time at another place. */
static void who_drains_a_closed_queue_gets_all_that_was_put(void)
{
    struct mf_queue_stats s;
    for (uint64_t round = 0; round < 150; round++) {
        open_queues(4);
        mf_process *p[] = {start(put_until_closed, NULL), start(put_until_closed, NULL)};
        mf_process *consumer = start(get_until_closed, NULL);
        do
            mf_queue_stats(work, &s);
        while (s.got < 20 * round);
        CHECK(mf_queue_close(rt, work) == 0);
        end(p[0], 0);
        end(p[1], 0);
        end(consumer, 0);
        mf_queue_stats(work, &s);
        CHECK(s.got == s.put && !s.queued && !s.lost);
        close_queues();
    }
}

static int see_and_leave(mf_runtime *own, void *arg)
{
    (void)arg;
    mf_queue_put(own, done, "here", 4, NULL, 0, MF_FOREVER);
    return mf_queue_wait(own, work, MF_FOREVER) < 0;
}

static int sleep_in_get_once(mf_runtime *own, void *arg)
{
    struct mf_message m;
    (void)arg;
    mf_queue_put(own, done, "here", 4, NULL, 0, MF_FOREVER);
    if (mf__queue_get(own, work, &m, MF_FOREVER) < 0)
        return 1;
    mf__queue_delivered(own);
    mf__message_free(own, &m);
    return 0;
}

static void is_asleep(const mf_process *p)
{
    while (mf_process_status(p) == MF_PROCESS_RUNNING &&
           atomic_load(&mf__slot_at(rt, mf__process_slot(p))->waits) != MF_WAITS_OBJECT)
        sched_yield();
}

/* Where it does not, the taker finds the message a second later, and the test is not over before
 * its alarm. */
static void one_that_only_looks_leaves_the_wake_to_one_that_takes(void)
{
    open_queues(0);
    for (int round = 0; round < 100; round++) {
        mf_process *looks = start(see_and_leave, NULL);
        wait_for_word();
        is_asleep(looks); /* first, so that it is woken first */
        mf_process *takes = start(sleep_in_get_once, NULL);
        wait_for_word();
        is_asleep(takes);
        CHECK(mf_queue_put(rt, work, "m", 1, NULL, 0, MF_FOREVER) == 0);
        end(takes, 0);
        CHECK(mf_queue_put(rt, work, "m", 1, NULL, 0, MF_FOREVER) == 0);
        end(looks, 0);
        take_the_rest();
    }
    close_queues();
}

static int pass_on(mf_runtime *own, void *arg)
{
    struct mf_message m;
    struct mf_object *inner;
    (void)arg;
    if (mf__queue_get(own, work, &m, MF_FOREVER) < 0)
        return 1;
    mf__queue_delivered(own);
    if (m.handle_count != 1 || mf__object_hold(own, m.handles[0], MF_KIND_QUEUE, &inner) < 0)
        return 2;
    mf__message_free(own, &m);
    return mf_queue_put(own, inner, "from afar", 10, NULL, 0, MF_FOREVER) < 0 ? 3 : 0;
}

static void a_queue_made_later_is_sent_to_a_process_that_was_forked_before(void)
{
    struct mf_message m;
    mf_queue *inner;
    open_queues(0);
    mf_process *p = start(pass_on, NULL);
    CHECK(mf_queue_new(rt, 0, &inner) == 0);
    const uint64_t handle = mf__object_handle(rt, inner);
    CHECK(mf_queue_put(rt, work, "take this", 10, &handle, 1, MF_FOREVER) == 0);
    end(p, 0);
    CHECK(mf__queue_get(rt, inner, &m, 0) == 0 && memcmp(m.data, "from afar", 10) == 0);
    mf__queue_delivered(rt);
    mf__message_free(rt, &m);
    mf__object_drop(rt, inner);
    close_queues();
}

int main(void)
{
    RUN(two_producers_and_two_consumers_lose_and_double_nothing);
    RUN(two_producers_and_two_consumers_at_a_short_queue);
    RUN(a_getter_killed_in_its_sleep_takes_no_message_along);
    RUN(a_task_whose_worker_dies_at_a_get_of_its_own_is_not_forgotten);
    RUN(two_deaths_whose_claimers_die_too_are_two_lost_messages);
    RUN(closing_wakes_those_who_sleep);
    RUN(who_drains_a_closed_queue_gets_all_that_was_put);
    RUN(one_that_only_looks_leaves_the_wake_to_one_that_takes);
    RUN(a_queue_made_later_is_sent_to_a_process_that_was_forked_before);
    return 0;
}
