/* public_test.c - the public header, together with the layers' own, so that both agree. */
#include "moonfork.h"

#include "clock.h"
#include "lock.h"
#include "process.h"
#include "queue.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

struct job {
    uint64_t queue, lock;
};

static int work(mf_runtime *rt, void *arg)
{
    const struct job *job = arg;
    mf_queue *q;
    mf_lock *lock;
    int32_t pid;
    if (mf_queue_open(rt, job->queue, &q) < 0 || mf_lock_open(rt, job->lock, &lock) < 0)
        return 1;
    if (mf_lock_acquire(rt, lock, mf_deadline(10), &pid) != 0)
        return 2;
    if (mf_queue_put(rt, q, "from a child", 13, NULL, 0, MF_FOREVER) < 0)
        return 3;
    mf_process_exit(rt, 7); /* holding the lock */
}

static void a_family_lives_on_the_public_header_alone(void)
{
    mf_runtime *rt;
    mf_process *p;
    mf_queue *q;
    mf_lock *lock;
    void *data;
    size_t size;
    int32_t pid;
    CHECK(mf_open(NULL, &rt) == 0);
    CHECK(mf_queue_new(rt, 0, &q) == 0);
    CHECK(mf_lock_new(rt, &lock) == 0);
    struct job job = {mf_queue_handle(rt, q), mf_lock_handle(rt, lock)};
    struct mf_start start = {.main = work, .arg = &job, .name = "worker", .handle_count = 2};
    start.handles = &job.queue;
    CHECK(mf_process_start(rt, &start, &p) == 0);
    CHECK(mf_process_join(rt, p, mf_deadline(10)) == 0);
    CHECK(mf_process_status(p) == 7);
    CHECK(mf_queue_get(rt, q, 0, &data, &size) == 0);
    CHECK(size == 13 && strcmp(data, "from a child") == 0);
    free(data);
    CHECK(mf_queue_get(rt, q, mf_deadline(0), &data, &size) == MF_EEMPTY);
    CHECK(mf_lock_acquire(rt, lock, mf_deadline(10), &pid) >= 0);
    CHECK(mf_lock_release(rt, lock) == 0);
    uint64_t handle = mf_queue_handle(rt, q);
    mf_queue_free(rt, q);
    mf_lock_free(rt, lock);
    CHECK(mf_queue_open(rt, handle, &q) == MF_ECLOSED);
    CHECK(mf_process_pid(p) > 0);
    mf_process_free(rt, p);
    mf_close(rt);
}

static void a_process_holds_a_queue_once(void)
{
    mf_runtime *rt;
    mf_queue *q, *same;
    CHECK(mf_open(NULL, &rt) == 0 && mf_queue_new(rt, 0, &q) == 0);
    uint64_t handle = mf_queue_handle(rt, q);
    CHECK(mf_queue_open(rt, handle, &same) == 0 && same == q);
    mf_queue_free(rt, same);
    CHECK(mf_queue_open(rt, handle, &q) == MF_ECLOSED);
    mf_close(rt);
}

static void what_cannot_be_is_refused(void)
{
    mf_runtime *rt;
    mf_queue *q;
    mf_process *p;
    const struct mf_arena_options little = {.reserve = 15 << 20};
    CHECK(mf_open(&little, &rt) == MF_ENOMEM);
    CHECK(mf_open(NULL, &rt) == 0 && mf_queue_new(rt, 0, &q) == 0);
    const uint64_t gone = mf_queue_handle(rt, q);
    mf_queue_free(rt, q);
    CHECK(mf_queue_new(rt, 0, &q) == 0);
    const struct mf_start start = {.main = work, .handles = &gone, .handle_count = 1};
    CHECK(mf_process_start(rt, &start, &p) == MF_ECLOSED);
    CHECK(mf_queue_put(rt, q, "x", 1, &gone, 1, 0) == MF_ECLOSED);
    CHECK(mf_queue_put(rt, q, "x", UINT64_C(1) << 40, NULL, 0, 0) == MF_ELIMIT);
    CHECK(mf_queue_put(rt, q, "x", 1, &gone, 1 << 24, 0) == MF_ELIMIT);
    CHECK(mf_queue_size(q) == 0);
    mf_close(rt);
}

int main(void)
{
    RUN(a_family_lives_on_the_public_header_alone);
    RUN(a_process_holds_a_queue_once);
    RUN(what_cannot_be_is_refused);
    return 0;
}
