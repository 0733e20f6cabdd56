/* pool_test.c - pools from C: what runs, what is retried, what fails, what is given back. */
#include "check.h"

#include "object.h"
#include "pool_state.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

/* The input is an array of numbers. An item's result is its square, 8 bytes in the output. What a
 * number beyond these does with its worker: */
enum { DIE = 1000001, LOOP, EXIT_3, STAY, DIE_ONCE, DIE_ONCE_AND_BEFORE };

static mf_runtime *rt;
static mf_code *code;
static mf_queue *seen;    /* every input that was run */
static _Atomic int *gate; /* not 0: who STAYs goes on; shared with the workers */
static int finished;

static void run(void *ctx, struct mf_task *t)
{
    struct mf_window *out = mf__task_out_tail(ctx, t);
    size_t used = 0;
    bool fresh = atomic_load(&t->begun) == 0;
    for (uint32_t i = atomic_load(&t->done); i < t->count; i++) {
        int64_t x, square;
        memcpy(&x, t->in_bytes + i * sizeof x, sizeof x);
        if (x == DIE_ONCE_AND_BEFORE && mf_queue_size(seen) == 1) {
            mf_queue_put(ctx, seen, &x, sizeof x, NULL, 0, MF_FOREVER);
            raise(SIGKILL);
        }
        mf__task_begin_item(t);
        mf_queue_put(ctx, seen, &x, sizeof x, NULL, 0, MF_FOREVER);
        if (x == DIE || (x >= DIE_ONCE && t->attempt == 0))
            raise(SIGKILL);
        if (x == EXIT_3)
            mf_process_exit(ctx, 3);
        while (x == LOOP)
            pause();
        while (x == STAY && !atomic_load(gate))
            sched_yield();
        square = x * x;
        if (!fresh || out->size - used < sizeof square) {
            out = mf__task_out_grow(ctx, t, sizeof square);
            CHECK(out);
            used = 0;
            fresh = true;
        }
        memcpy(mf__window_bytes(out) + used, &square, sizeof square);
        used += sizeof square;
        mf__task_commit_item(t);
    }
}

static int worker_main(mf_runtime *mine, mf_pool *pool, void *arg)
{
    struct mf_worker w;
    (void)arg;
    mf__pool_worker(pool, &w);
    w.ctx = mine;
    return mf__worker_loop(mine, &w);
}

static int dying_main(mf_runtime *mine, mf_pool *pool, void *arg)
{
    (void)mine, (void)pool, (void)arg;
    return 9;
}

static void on_finish(mf_pool *pool, mf_job *job, void *arg)
{
    (void)pool, (void)job, (void)arg;
    finished++;
}

static mf_pool *open_pool(uint32_t processes, uint32_t max_tasks)
{
    mf_pool *pool;
    uint64_t handle = mf__object_handle(rt, seen);
    finished = 0;
    CHECK(mf_pool_new(rt,
                      &(struct mf_pool_options){.processes = processes,
                                                .max_tasks_per_child = max_tasks,
                                                .handles = &handle,
                                                .handle_count = 1,
                                                .hooks = {.worker_main = worker_main,
                                                          .run = run,
                                                          .on_finish = on_finish,
                                                          .arg = rt}},
                      &pool) == 0);
    return pool;
}

static mf_job *submit(mf_pool *pool, const int64_t *items, uint32_t n, uint32_t retries,
                      double timeout)
{
    mf_job *job;
    CHECK(mf_pool_submit(pool,
                         &(struct mf_submit){.code = code,
                                             .input = items,
                                             .size = n * sizeof *items,
                                             .count = n,
                                             .retries = retries,
                                             .timeout = timeout},
                         &job) == 0);
    return job;
}

static void collect(mf_pool *pool, int n)
{
    while (finished < n)
        CHECK(mf_pool_collect(pool, false, mf__deadline(20)) == 0);
}

static bool is_failed(const mf_job *job, uint32_t item)
{
    uint32_t n;
    const struct mf_failure *f = mf_job_failures(job, &n);
    for (uint32_t i = 0; i < n; i++)
        if (f[i].item == item)
            return true;
    return false;
}

/* All items of the job but the failed ones have their squares, in order. */
static void check_results(const mf_job *job, const int64_t *items)
{
    const struct mf_task *t = mf_job_task(job);
    uint32_t item = 0;
    CHECK(mf_job_state(job) == MF_JOB_FINISHED && atomic_load(&t->done) == t->count);
    for (const struct mf_window *w = &t->out; w; w = mf__window_next(rt, w)) {
        const uint8_t *at = mf__window_bytes(w);
        for (uint32_t n = mf__window_items(rt, t, w); n; n--, item++) {
            int64_t square;
            if (is_failed(job, item))
                continue;
            memcpy(&square, at, sizeof square);
            at += sizeof square;
            CHECK(square == items[item] * items[item]);
        }
    }
    CHECK(item == t->count);
}

static uint32_t times_seen(int64_t x)
{
    struct mf_message m;
    uint32_t n = 0;
    while (mf__queue_get(rt, seen, &m, 0) == 0) {
        n += memcmp(m.data, &x, sizeof x) == 0;
        mf__queue_delivered(rt);
        mf__message_free(rt, &m);
    }
    return n;
}

static void results_come_in_the_order_of_the_items(void)
{
    int64_t items[100];
    mf_job *jobs[10];
    mf_pool *pool = open_pool(2, 0);
    for (int i = 0; i < 100; i++)
        items[i] = i;
    for (int j = 0; j < 10; j++)
        jobs[j] = submit(pool, items, 100, 0, 0);
    collect(pool, 10);
    for (int j = 0; j < 10; j++) {
        check_results(jobs[j], items);
        mf_job_free(pool, jobs[j]);
    }
    int rc;
    while ((rc = mf_pool_collect(pool, false, 0)) == 0) /* a worker may be ready only now */
        ;
    CHECK(rc == MF_ECLOSED);
    CHECK(times_seen(7) == 10);
    mf_pool_free(pool);
}

static void an_item_that_kills_its_worker_fails_alone(void)
{
    const int64_t items[] = {1, 2, DIE, 4, DIE, DIE, 7};
    uint32_t n;
    mf_pool *pool = open_pool(2, 0);
    mf_job *job = submit(pool, items, 7, 0, 0);
    collect(pool, 1);
    const struct mf_failure *f = mf_job_failures(job, &n);
    CHECK(n == 3 && f[0].item == 2 && f[1].item == 4 && f[2].item == 5);
    CHECK(f[0].reason == MF_FAILED_DIED && f[0].status == -SIGKILL && f[0].pid > 0);
    check_results(job, items);
    CHECK(times_seen(4) == 1);
    mf_job_free(pool, job);
    mf_pool_free(pool);
}

static void an_item_is_tried_again_as_often_as_asked(void)
{
    const int64_t items[] = {1, DIE_ONCE, 3, DIE};
    uint32_t n;
    mf_pool *pool = open_pool(1, 0);
    mf_job *job = submit(pool, items, 4, 2, 0);
    collect(pool, 1);
    mf_job_failures(job, &n);
    CHECK(n == 1 && is_failed(job, 3));
    check_results(job, items);
    CHECK(times_seen(DIE) == 3);
    mf_job_free(pool, job);
    mf_pool_free(pool);
}

static void a_worker_that_dies_before_it_begins_an_item_costs_no_try(void)
{
    const int64_t items[] = {DIE_ONCE_AND_BEFORE, 2};
    mf_pool *pool = open_pool(1, 0);
    mf_job *job = submit(pool, items, 2, 1, 0);
    collect(pool, 1);
    CHECK(!is_failed(job, 0) && !is_failed(job, 1));
    check_results(job, items);
    CHECK(times_seen(DIE_ONCE_AND_BEFORE) == 3);
    mf_job_free(pool, job);
    mf_pool_free(pool);
}

static void an_item_over_its_time_fails_alone(void)
{
    const int64_t items[] = {1, LOOP, 3};
    uint32_t n;
    mf_pool *pool = open_pool(1, 0);
    mf_job *job = submit(pool, items, 3, 5, 0.05);
    collect(pool, 1);
    const struct mf_failure *f = mf_job_failures(job, &n);
    CHECK(n == 1 && f[0].item == 1 && f[0].reason == MF_FAILED_TIMEOUT);
    check_results(job, items);
    CHECK(times_seen(LOOP) == 1);
    mf_job_free(pool, job);
    mf_pool_free(pool);
}

static void a_worker_that_exits_in_a_task_is_told_apart_from_one_that_is_killed(void)
{
    const int64_t items[] = {EXIT_3, 2};
    uint32_t n;
    mf_pool *pool = open_pool(1, 0);
    mf_job *job = submit(pool, items, 2, 0, 0);
    collect(pool, 1);
    const struct mf_failure *f = mf_job_failures(job, &n);
    CHECK(n == 1 && f[0].status == 3);
    mf_job_free(pool, job);
    times_seen(0);
    mf_pool_free(pool);
}

static void workers_are_replaced_after_max_tasks(void)
{
    const int64_t item = 5;
    int pids[6], different = 1;
    mf_pool *pool = open_pool(1, 2);
    for (int i = 0; i < 6; i++) {
        mf_job *job = submit(pool, &item, 1, 0, 0);
        collect(pool, i + 1);
        pids[i] = atomic_load(&mf_job_task(job)->worker);
        different += i > 0 && pids[i] != pids[i - 1];
        mf_job_free(pool, job);
    }
    CHECK(different == 3);
    times_seen(0);
    mf_pool_free(pool);
}

static void a_closed_pool_finishes_its_work_even_when_workers_die(void)
{
    const int64_t items[] = {DIE, 2, 3};
    mf_pool *pool = open_pool(1, 0);
    mf_job *job = submit(pool, items, 3, 0, 0);
    mf_job *none;
    CHECK(mf_pool_join(pool, 0) == MF_EINVAL);
    mf_pool_close(pool);
    CHECK(mf_pool_submit(pool, &(struct mf_submit){.code = code}, &none) == MF_ECLOSED);
    CHECK(mf_pool_join(pool, mf__deadline(20)) == 0);
    check_results(job, items);
    mf_job_free(pool, job);
    times_seen(0);
    mf_pool_free(pool);
}

static void terminate_cancels_what_is_pending(void)
{
    const int64_t loop = LOOP, item = 2;
    mf_pool *pool = open_pool(1, 0);
    mf_job *first = submit(pool, &loop, 1, 0, 0), *second = submit(pool, &item, 1, 0, 0);
    mf_job *dropped = submit(pool, &item, 1, 0, 0);
    mf_job_free(pool, dropped);
    mf_pool_terminate(pool, 0.1);
    CHECK(finished == 2);
    CHECK(mf_job_state(first) == MF_JOB_CANCELLED && mf_job_state(second) == MF_JOB_CANCELLED);
    CHECK(times_seen(item) == 0);
    mf_pool_free(pool);
}

static void a_cancelled_job_is_not_run(void)
{
    const int64_t item = 77;
    mf_pool *pool = open_pool(0, 0);
    mf_job *job = submit(pool, &item, 1, 0, 0);
    CHECK(mf_job_cancel(pool, job) && mf_job_cancel(pool, job));
    collect(pool, 1);
    CHECK(mf_job_state(job) == MF_JOB_CANCELLED);
    CHECK(times_seen(item) == 0);
    mf_job_free(pool, job);
    mf_pool_free(pool);
}

static void who_gathers_results_waits_for_none_that_is_long_in_coming(void)
{
    const int64_t stay = STAY;
    mf_job *jobs[6];
    mf_pool *pool = open_pool(5, 0);
    atomic_store(gate, 0);
    for (int i = 0; i < 4; i++)
        jobs[i] = submit(pool, &stay, 1, 0, 0);
    for (int i = 4; i < 6; i++) {
        jobs[i] = submit(pool, &(int64_t){i}, 1, 0, 0);
        collect(pool, i - 3);
    }
    atomic_store(gate, 1);
    collect(pool, 6);
    for (int i = 0; i < 6; i++)
        mf_job_free(pool, jobs[i]);
    times_seen(0);
    mf_pool_free(pool);
}

static void kill_it(int pid, void *arg)
{
    (void)arg;
    kill(pid, SIGKILL);
}

/* However often it is asked for results meanwhile. A worker that shall hold what is no object
 * cannot be started. */
static void a_worker_that_cannot_be_replaced_for_a_while_breaks_nothing(void)
{
    mf_pool *pool = open_pool(1, 0);
    atomic_store(gate, 0);
    mf_job *job = submit(pool, &(int64_t){STAY}, 1, 1, 0);
    uint64_t handle = pool->handles[0];
    pool->handles[0] = UINT64_MAX;
    mf_pool_each(pool, kill_it, NULL);
    int64_t begin = mf__now();
    for (int i = 0; i < 100 && mf__now() - begin < 500 * MF_MSEC; i++)
        mf_pool_collect(pool, i % 2, mf__deadline(0.004));
    CHECK(pool->refusals > 0 && mf_pool_state(pool) == MF_POOL_OPEN);
    pool->handles[0] = handle;
    atomic_store(gate, 1);
    collect(pool, 1);
    CHECK(mf_job_state(job) == MF_JOB_FINISHED);
    mf_job_free(pool, job);
    times_seen(0);
    mf_pool_free(pool);
}

static void without_processes_tasks_run_in_the_caller(void)
{
    const int64_t items[] = {1, 2, 3};
    mf_pool *pool = open_pool(0, 0);
    mf_job *job = submit(pool, items, 3, 0, 0);
    collect(pool, 1);
    check_results(job, items);
    CHECK(atomic_load(&mf_job_task(job)->worker) == getpid());
    mf_job_free(pool, job);
    times_seen(0);
    mf_pool_free(pool);
}

static void a_pool_whose_workers_do_not_live_is_broken(void)
{
    mf_pool *pool;
    size_t size;
    int status;
    finished = 0;
    CHECK(mf_pool_new(rt,
                      &(struct mf_pool_options){
                          .processes = 2,
                          .hooks = {.worker_main = dying_main, .run = run, .on_finish = on_finish}},
                      &pool) == 0);
    mf_job *job = submit(pool, &(int64_t){1}, 1, 0, 0);
    collect(pool, 1);
    CHECK(mf_job_state(job) == MF_JOB_BROKEN && mf_pool_state(pool) == MF_POOL_BROKEN);
    CHECK(mf_pool_broken(pool, &size, &status) == NULL && status == 9);
    mf_job_free(pool, job);
    mf_pool_free(pool);
}

static void a_pool_of_too_many_processes_is_refused(void)
{
    static const uint32_t counts[] = {MF_POOL_PROCESSES + 1, UINT32_MAX - 1, UINT32_MAX};
    uint32_t objects = mf__object_count(rt);
    mf_pool *pool = NULL;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const struct mf_pool_options o = {.processes = counts[i],
                                          .hooks = {.worker_main = dying_main, .run = run}};
        CHECK(mf_pool_new(rt, &o, &pool) == MF_ELIMIT);
    }
    CHECK(pool == NULL && mf__object_count(rt) == objects);
}

int main(void)
{
    uint64_t blocks;
    uint32_t objects;
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 1u << 30, .budget = 256u << 20}, &rt) == 0);
    gate = mmap(NULL, sizeof *gate, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(gate != MAP_FAILED);
    blocks = mf__block_count(rt);
    objects = mf__object_count(rt);
    CHECK(mf_queue_new(rt, 0, &seen) == 0);
    CHECK(mf_code_new(rt, 1, "code", 4, NULL, 0, &code) == 0);
    RUN(results_come_in_the_order_of_the_items);
    RUN(an_item_that_kills_its_worker_fails_alone);
    RUN(an_item_is_tried_again_as_often_as_asked);
    RUN(a_worker_that_dies_before_it_begins_an_item_costs_no_try);
    RUN(an_item_over_its_time_fails_alone);
    RUN(a_worker_that_exits_in_a_task_is_told_apart_from_one_that_is_killed);
    RUN(workers_are_replaced_after_max_tasks);
    RUN(a_closed_pool_finishes_its_work_even_when_workers_die);
    RUN(terminate_cancels_what_is_pending);
    RUN(a_cancelled_job_is_not_run);
    RUN(who_gathers_results_waits_for_none_that_is_long_in_coming);
    RUN(a_worker_that_cannot_be_replaced_for_a_while_breaks_nothing);
    RUN(without_processes_tasks_run_in_the_caller);
    RUN(a_pool_whose_workers_do_not_live_is_broken);
    RUN(a_pool_of_too_many_processes_is_refused);
    mf_code_unref(rt, code);
    mf__object_drop(rt, seen);
    CHECK(mf__block_count(rt) == blocks && mf__object_count(rt) == objects);
    mf_close(rt);
    return 0;
}
