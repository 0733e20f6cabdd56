/* tasks.c - the tasks of the mesh's pools: see tasks.h. */
#include "tasks.h"

#include "clock.h"
#include "object.h"

#include <signal.h>
#include <string.h>

enum { TASKS_OF_WORKER = 60, RETRIES = 30 };

struct order {
    uint32_t task;    /* its place in the ledger */
    uint32_t retries; /* of each item */
};

/* What an item leaves in the output; bytes of filling follow. */
struct result {
    uint32_t task, item, size;
    uint32_t sum; /* of the three */
};

/* --- in the worker ------------------------------------------------------------------------------
 */

static void begin(struct mf_task *t, const struct order *o, uint32_t item)
{
    struct item_log *log = &ledger->tasks[o->task][item];
    if (atomic_load(&log->committed))
        wrong("item %u of task %u is run again after its result was committed", item, o->task);
    atomic_fetch_add(&log->tries, 1);
    mf__task_begin_item(t);
    if (atomic_fetch_add(&log->runs, 1) > o->retries)
        wrong("item %u of task %u runs more than 1 + %u times", item, o->task, o->retries);
}

static void use_the_mesh(mf_runtime *rt)
{
    unsigned q = dice(QUEUES);
    errand(rt);
    if (dice(2))
        offer(rt, q, dice(2) ? 0 : mf__now() + MF_MSEC);
    else
        take(rt, q, dice(2) ? 0 : mf__now() + MF_MSEC);
}

/* Where the next result goes: into the window, or a new one. */
static uint8_t *room_for(mf_runtime *rt, struct mf_task *t, struct mf_window **out, size_t *used,
                         size_t size)
{
    if (!*out || (*out)->size - *used < size) {
        *out = mf__task_out_grow(rt, t, size);
        *used = 0;
    }
    if (!*out)
        wrong("no room for a result");
    return mf__window_bytes(*out) + *used;
}

static void run(void *ctx, struct mf_task *t)
{
    mf_runtime *rt = ctx;
    struct order o;
    size_t used = 0;
    /* Who goes on after a death begins with a window of its own. */
    struct mf_window *out = atomic_load(&t->begun) ? NULL : mf__task_out_tail(rt, t);
    memcpy(&o, t->in_bytes, sizeof o);
    for (uint32_t i = atomic_load(&t->done); i < t->count; i++) {
        beat(doing_task);
        begin(t, &o, i);
        use_the_mesh(rt);
        beat(doing_task);
        const uint64_t handle = mf__object_handle(rt, queues[0]);
        if (dice(4) == 0 && mf__task_keep(rt, t, &handle, 1) < 0)
            wrong("a result cannot keep a queue");
        struct result r = {o.task, i, (uint32_t)sizeof r + dice(3) * dice(1000), 0};
        r.sum = r.task + r.item + r.size;
        uint8_t *at = room_for(rt, t, &out, &used, r.size);
        memcpy(at, &r, sizeof r);
        memset(at + sizeof r, (int)i, r.size - sizeof r);
        used += r.size;
        mf__task_commit_item(t);
        atomic_store(&ledger->tasks[o.task][i].committed, 1);
    }
}

static int worker_main(mf_runtime *rt, mf_pool *pool, void *arg)
{
    struct mf_worker w;
    (void)arg;
    mesh_enter(role_worker);
    mf__pool_worker(pool, &w);
    w.ctx = rt;
    int rc = mf__worker_loop(rt, &w);
    ledger_leave();
    return rc;
}

/* --- in the boss --------------------------------------------------------------------------------
 */

static const struct mf_failure *failure_of(const mf_job *job, uint32_t item)
{
    uint32_t n;
    const struct mf_failure *f = mf_job_failures(job, &n);
    for (uint32_t i = 0; i < n; i++)
        if (f[i].item == item)
            return &f[i];
    return NULL;
}

/* An item may fail only by the deaths that it may not survive. */
static void check_failure(const struct mf_failure *f, const struct order *o)
{
    const struct item_log *log = &ledger->tasks[o->task][f->item];
    if (f->reason != MF_FAILED_DIED || f->status != -SIGKILL)
        wrong("item %u of task %u fails by %d of %d", f->item, o->task, (int)f->reason, f->status);
    if (atomic_load(&log->tries) <= o->retries)
        wrong("item %u of task %u is lost: retries %u, but tried %u times", f->item, o->task,
              o->retries, atomic_load(&log->tries));
    if (atomic_load(&log->committed))
        wrong("item %u of task %u fails after its result was committed", f->item, o->task);
    atomic_fetch_add(&ledger->refused, 1);
}

static size_t check_result(const uint8_t *at, const struct order *o, uint32_t item)
{
    struct result r;
    memcpy(&r, at, sizeof r);
    if (r.task != o->task || r.item != item || r.sum != r.task + r.item + r.size)
        wrong("item %u of task %u has a result that is not its own", item, o->task);
    for (uint32_t i = sizeof r; i < r.size; i++)
        if (at[i] != item)
            wrong("item %u of task %u has a torn result", item, o->task);
    if (!atomic_load(&ledger->tasks[o->task][item].runs))
        wrong("item %u of task %u has a result, and was never run", item, o->task);
    atomic_fetch_add(&ledger->results, 1);
    return r.size;
}

static void check_finished(mf_runtime *rt, const mf_job *job)
{
    struct order o;
    uint32_t item = 0;
    const struct mf_task *t = mf_job_task(job);
    memcpy(&o, t->in_bytes, sizeof o);
    for (const struct mf_window *w = &t->out; w; w = mf__window_next(rt, w)) {
        const uint8_t *at = mf__window_bytes(w);
        for (uint32_t n = mf__window_items(rt, t, w); n; n--, item++) {
            const struct mf_failure *f = failure_of(job, item);
            if (f)
                check_failure(f, &o);
            else
                at += check_result(at, &o, item);
        }
    }
    if (item != t->count)
        wrong("task %u has %u results of %u", o.task, item, t->count);
}

static void on_finish(mf_pool *pool, mf_job *job, void *arg)
{
    (void)arg;
    if (mf_job_state(job) == MF_JOB_FINISHED)
        check_finished(mf_pool_runtime(pool), job);
    else if (mf_job_state(job) == MF_JOB_BROKEN)
        wrong("a pool is broken");
}

void crew_open(mf_runtime *rt, struct crew *c, uint32_t processes)
{
    *c = (struct crew){0};
    beat(doing_start);
    int rc = mf_pool_new(
        rt,
        &(struct mf_pool_options){
            .processes = processes,
            .max_tasks_per_child = TASKS_OF_WORKER,
            .handles = mesh_handles(rt),
            .handle_count = MESH_HANDLES,
            .hooks = {.worker_main = worker_main, .run = run, .on_finish = on_finish, .arg = rt}},
        &c->pool);
    if (rc == 0)
        rc = mf_code_new(rt, 1, "", 0, NULL, 0, &c->code);
    if (rc < 0)
        wrong("a pool cannot be made: '%s'", mf_error_name(rc));
}

static mf_job *submit(struct crew *c)
{
    mf_job *job;
    struct order o = {.task = atomic_fetch_add(&ledger->task_count, 1),
                      .retries = dice(4) ? RETRIES : dice(3)};
    if (o.task >= TASKS)
        return NULL;
    int rc = mf_pool_submit(c->pool,
                            &(struct mf_submit){.code = c->code,
                                                .input = &o,
                                                .size = sizeof o,
                                                .count = 1 + dice(ITEMS),
                                                .retries = o.retries},
                            &job);
    if (rc < 0)
        wrong("a task cannot be submitted: '%s'", mf_error_name(rc));
    return job;
}

bool crew_turn(mf_runtime *rt, struct crew *c, bool enough, int64_t deadline)
{
    (void)rt;
    bool some = false;
    beat(doing_pool);
    for (int i = 0; i < TASKS_AT_ONCE; i++) {
        mf_job **job = &c->jobs[i];
        if (*job && mf_job_state(*job) != MF_JOB_PENDING) {
            mf_job_free(c->pool, *job);
            *job = NULL;
        }
        if (!*job && !enough)
            *job = submit(c);
        some |= *job != NULL;
    }
    int rc = mf_pool_collect(c->pool, true, deadline);
    if (rc < 0 && rc != MF_ETIMEOUT && rc != MF_ECLOSED)
        wrong("collect says '%s'", mf_error_name(rc));
    return some;
}

static void free_jobs(struct crew *c)
{
    for (int i = 0; i < TASKS_AT_ONCE; i++) {
        if (c->jobs[i] && mf_job_state(c->jobs[i]) == MF_JOB_PENDING)
            wrong("a task has no result when its pool has ended");
        mf_job_free(c->pool, c->jobs[i]);
        c->jobs[i] = NULL;
    }
}

void crew_close(mf_runtime *rt, struct crew *c, bool now)
{
    beat(doing_join);
    if (now)
        mf_pool_terminate(c->pool, dice(2) ? 0 : 0.05);
    else
        mf_pool_close(c->pool);
    int rc = mf_pool_join(c->pool, MF_FOREVER);
    if (rc < 0)
        wrong("the pool cannot be joined: '%s'", mf_error_name(rc));
    free_jobs(c);
    mf_pool_free(c->pool);
    mf_code_unref(rt, c->code);
}
