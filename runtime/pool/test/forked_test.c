/* forked_test.c - a process that was forked by somebody else than process.c: every call tells so,
 * and none changes what the family has. */
#include "check.h"

#include "moonfork.h"

#include "block.h"
#include "object.h"
#include "pool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static mf_runtime *rt;
static mf_queue *q;
static mf_lock *lock;
static mf_process *child;
static mf_pool *pool;
static mf_code *code;
static mf_job *job;

static int stay(mf_runtime *mine, void *arg)
{
    void *data;
    size_t size;
    (void)arg;
    if (mf_queue_get(mine, q, MF_FOREVER, &data, &size) < 0)
        return 6;
    free(data);
    return size == 4 ? 5 : 7;
}

static int worker_main(mf_runtime *mine, mf_pool *own, void *arg)
{
    struct mf_worker w;
    (void)arg;
    mf__pool_worker(own, &w);
    w.ctx = mine;
    return mf__worker_loop(mine, &w);
}

static void run(void *ctx, struct mf_task *t)
{
    (void)ctx;
    mf__task_begin_item(t);
    mf__task_commit_item(t);
}

static void on_finish(mf_pool *p, mf_job *j, void *arg)
{
    (void)p, (void)j, (void)arg;
}

static struct mf_pool_options pool_options = {
    .processes = 1, .hooks = {.worker_main = worker_main, .run = run, .on_finish = on_finish}};

static struct mf_submit one_item(void)
{
    return (struct mf_submit){.code = code, .input = "x", .size = 1, .count = 1, .held = true};
}

static void open_all(void)
{
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 64 << 20}, &rt) == 0);
    CHECK(mf_queue_new(rt, 0, &q) == 0 && mf_lock_new(rt, &lock) == 0);
    uint64_t handle = mf_queue_handle(rt, q);
    struct mf_start start = {.main = stay, .handles = &handle, .handle_count = 1};
    CHECK(mf_process_start(rt, &start, &child) == 0);
    CHECK(mf_pool_new(rt, &pool_options, &pool) == 0);
    CHECK(mf_code_new(rt, 1, "", 0, NULL, 0, &code) == 0);
    struct mf_submit s = one_item();
    CHECK(mf_pool_submit(pool, &s, &job) == 0);
}

static void close_all(void)
{
    CHECK(mf_queue_put(rt, q, "stay", 4, NULL, 0, MF_FOREVER) == 0);
    CHECK(mf_process_join(rt, child, mf_deadline(20)) == 0 && mf_process_status(child) == 5);
    mf_process_free(rt, child);
    CHECK(mf_pool_release(pool, &job, 1) == 0);
    mf_pool_close(pool);
    CHECK(mf_pool_join(pool, mf_deadline(20)) == 0);
    CHECK(mf_job_state(job) == MF_JOB_FINISHED);
    mf_job_free(pool, job);
    mf_code_unref(rt, code);
    mf_pool_free(pool);
    mf_queue_free(rt, q);
    mf_lock_free(rt, lock);
    CHECK(mf__block_count(rt) == 0 && mf__object_count(rt) == 0);
    mf_close(rt);
}

static bool every_call_tells(void)
{
    void *data;
    size_t size;
    int32_t pid;
    mf_queue *q2;
    mf_lock *lock2;
    mf_process *p2;
    mf_pool *pool2;
    mf_code *code2;
    struct mf_start start = {.main = stay};
    CHECK(mf_queue_new(rt, 0, &q2) == MF_EFORKED && mf_lock_new(rt, &lock2) == MF_EFORKED);
    CHECK(mf_queue_put(rt, q, "x", 1, NULL, 0, MF_FOREVER) == MF_EFORKED);
    CHECK(mf_queue_get(rt, q, MF_FOREVER, &data, &size) == MF_EFORKED);
    CHECK(mf_queue_wait(rt, q, MF_FOREVER) == MF_EFORKED);
    CHECK(mf_lock_acquire(rt, lock, MF_FOREVER, &pid) == MF_EFORKED);
    CHECK(mf_lock_release(rt, lock) == MF_EFORKED);
    CHECK(mf_process_start(rt, &start, &p2) == MF_EFORKED);
    CHECK(mf_process_join(rt, child, MF_FOREVER) == MF_EFORKED);
    CHECK(mf_pool_new(rt, &pool_options, &pool2) == MF_EFORKED);
    CHECK(mf_code_new(rt, 2, "", 0, NULL, 0, &code2) == MF_EFORKED);
    CHECK(mf_pool_release(pool, &job, 1) == MF_EFORKED);
    CHECK(mf_pool_collect(pool, false, MF_FOREVER) == MF_EFORKED);
    return true;
}

static bool nothing_can_be_ended_or_freed(void)
{
    CHECK(mf_queue_close(rt, q) == MF_EFORKED);
    mf_pool_terminate(pool, 0);
    mf_process_leave(rt, true);
    mf_queue_free(rt, q);
    mf_lock_free(rt, lock);
    mf_process_free(rt, child);
    mf_pool_free(pool);
    mf_close(rt);
    return true;
}

static void does(bool (*what)(void))
{
    int status;
    open_all();
    pid_t pid = fork();
    if (pid == 0)
        _exit(what() ? 0 : 1);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close_all();
}

static void a_copy_of_the_process_is_told_that_it_is_one(void)
{
    does(every_call_tells);
}

static void a_copy_of_the_process_leaves_the_family_alone(void)
{
    does(nothing_can_be_ended_or_freed);
}

int main(void)
{
    RUN(a_copy_of_the_process_is_told_that_it_is_one);
    RUN(a_copy_of_the_process_leaves_the_family_alone);
    return 0;
}
