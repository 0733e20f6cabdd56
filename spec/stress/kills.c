/*
 * kills.c - a mesh of processes that use everything at once, and are killed at random.
 *
 *     kills [how-many [seed]]
 *
 * Tokens go round through one queue: a worker takes one, looks whether it is whole, and puts it
 * back. On the way it takes and releases a lock, makes and drops queues, sends handles, allocates.
 * The parent kills a worker, starts another, and goes on. At the end no token is there twice, at
 * most one for each kill is missing, and nothing is left in the arena.
 */
#include "block.h"
#include "death.h"
#include "lock.h"
#include "object.h"
#include "process.h"
#include "queue.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 4
#define PATIENCE 5 /* seconds that anything may take */

static mf_runtime *rt;
static mf_queue *ring, *purse;
static mf_lock *lock;

static void fail(const char *why)
{
    fprintf(stderr, "kills: %s\n", why);
    exit(1);
}

static void on_alarm(int signal)
{
    static const char text[] = "kills: stuck\n";
    (void)signal;
    if (write(2, text, sizeof text - 1) < 0)
        _exit(2);
    _exit(1);
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static size_t size_of(uint32_t id)
{
    static const size_t sizes[] = {16, 48, 200, 3000, 50000};
    return sizes[id % 5];
}

static int put_token(mf_runtime *own, uint32_t id)
{
    static uint32_t words[50000 / 4];
    size_t n = size_of(id) / 4;
    for (size_t i = 0; i < n; i++)
        words[i] = id + (uint32_t)i;
    const uint64_t handle = mf__object_handle(own, purse);
    return mf_queue_put(own, ring, words, n * 4, &handle, id % 3 == 0, MF_FOREVER);
}

/* Takes a token; its number, or -1 when it is not whole. */
static int64_t get_token(mf_runtime *own, int64_t deadline, int *ret_rc)
{
    struct mf_message m;
    *ret_rc = mf__queue_get(own, ring, &m, deadline);
    if (*ret_rc < 0)
        return -1;
    const uint32_t *words = (const uint32_t *)m.data;
    int64_t id = words[0];
    if (m.size != size_of((uint32_t)id) || m.handle_count != (id % 3 == 0))
        id = -1;
    for (size_t i = 0; id >= 0 && i < m.size / 4; i++)
        if (words[i] != (uint32_t)id + i)
            id = -1;
    mf__queue_delivered(own);
    mf__message_free(own, &m);
    return id;
}

/* Queues in queues, dropped with all that is in them. */
static void make_and_drop(mf_runtime *own, unsigned n)
{
    static const uint8_t bytes[1000];
    mf_queue *outer = NULL, *inner;
    for (unsigned i = 0; i < n; i++) {
        if (mf_queue_new(own, 0, &inner) < 0)
            break;
        mf_queue_put(own, inner, bytes, i * 300, NULL, 0, 0);
        if (outer) {
            const uint64_t handle = mf__object_handle(own, outer);
            mf_queue_put(own, inner, bytes, 5, &handle, 1, 0);
            mf__object_drop(own, outer);
        }
        outer = inner;
    }
    if (outer)
        mf__object_drop(own, outer);
}

static int work(mf_runtime *own, void *arg)
{
    unsigned state = *(unsigned *)arg;
    int32_t pid;
    int rc;
    for (;;) {
        int64_t id = get_token(own, MF_FOREVER, &rc);
        if (rc < 0 || id < 0)
            return 1;
        if (next_random(&state) % 4 == 0) {
            if (mf_lock_acquire(own, lock, MF_FOREVER, &pid) < 0)
                return 2;
            mf_lock_release(own, lock);
        }
        if (next_random(&state) % 8 == 0)
            make_and_drop(own, next_random(&state) % 4);
        if (next_random(&state) % 16 == 0)
            mf__death_check(own);
        if (put_token(own, (uint32_t)id) < 0)
            return 3;
    }
}

static mf_process *start(unsigned *seed)
{
    mf_process *p;
    const uint64_t handles[] = {mf__object_handle(rt, ring), mf__object_handle(rt, purse),
                                mf__object_handle(rt, lock)};
    struct mf_start s = {.main = work, .arg = seed, .handles = handles, .handle_count = 3};
    *seed = *seed * 31 + 7;
    if (mf_process_start(rt, &s, &p) < 0)
        fail("a worker cannot be started");
    return p;
}

static void end(mf_process *p)
{
    mf_process_signal(p, SIGKILL);
    if (mf_process_join(rt, p, MF_FOREVER) < 0)
        fail("a worker cannot be joined");
    if (mf_process_status(p) != -SIGKILL)
        fail("a worker found something wrong");
    mf_process_free(rt, p);
}

static void use_what_they_use(void)
{
    int32_t pid;
    int rc;
    int64_t id = get_token(rt, MF_FOREVER, &rc);
    if (rc < 0 || id < 0 || put_token(rt, (uint32_t)id) < 0)
        fail("the parent's turn failed");
    if (mf_lock_acquire(rt, lock, MF_FOREVER, &pid) < 0 || mf_lock_release(rt, lock) < 0)
        fail("the parent cannot have the lock");
}

static unsigned count_tokens(unsigned tokens)
{
    unsigned found = 0;
    int rc;
    uint8_t *seen = calloc(tokens, 1);
    if (!seen)
        fail("no memory");
    for (;;) {
        int64_t id = get_token(rt, 0, &rc);
        if (rc < 0)
            break;
        if (id < 0 || id >= tokens || seen[id]++)
            fail("a token is torn or doubled");
        found++;
    }
    free(seen);
    return found;
}

int main(int argc, char **argv)
{
    unsigned kills = argc > 1 ? (unsigned)atoi(argv[1]) : 300;
    unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    unsigned tokens = kills + 20;
    mf_process *worker[WORKERS];
    struct mf_queue_stats stats;
    signal(SIGALRM, on_alarm);
    if (mf_open(&(struct mf_arena_options){.reserve = 4u << 30, .budget = 1u << 30}, &rt) < 0 ||
        mf_queue_new(rt, 0, &ring) < 0 || mf_queue_new(rt, 0, &purse) < 0 ||
        mf_lock_new(rt, &lock) < 0)
        fail("no arena");
    for (unsigned id = 0; id < tokens; id++)
        put_token(rt, id);
    for (int i = 0; i < WORKERS; i++)
        worker[i] = start(&seed);
    for (unsigned i = 0; i < kills; i++) {
        alarm(PATIENCE);
        for (unsigned n = next_random(&seed) % 20; n > 0; n--)
            use_what_they_use();
        mf_process **victim = &worker[next_random(&seed) % WORKERS];
        end(*victim);
        *victim = start(&seed);
    }
    alarm(PATIENCE);
    for (int i = 0; i < WORKERS; i++)
        end(worker[i]);
    mf_queue_stats(ring, &stats);
    unsigned found = count_tokens(tokens), missing = tokens - found;
    mf__object_drop(rt, ring);
    mf__object_drop(rt, purse);
    mf__object_drop(rt, lock);
    uint64_t blocks = mf__block_count(rt);
    unsigned objects = mf__object_count(rt);
    printf("kills %u, tokens %u, missing %u (%lu counted lost in the queue), rounds %lu, blocks "
           "left %lu, objects left %u\n",
           kills, tokens, missing, (unsigned long)stats.lost, (unsigned long)stats.got,
           (unsigned long)blocks, objects);
    if (missing > kills + WORKERS || stats.lost > missing || stats.queued != found)
        fail("more is missing than was in the victims' hands");
    if (blocks || objects)
        fail("something is left");
    mf_close(rt);
    return 0;
}
