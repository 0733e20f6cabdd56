/*
 * tasks.c - a pool of one worker, which is the victim, and its creator, which is the parent.
 *
 * Whatever the worker is struck in, all items of the job get their results, each item is run once
 * or, where a worker died in it, once more, and the objects that the results mention are there.
 */
#include "scene.h"

#include <string.h>

/* What the first worker is struck in. */
enum part { TAKE, RUN, ALL };

struct crew {
    struct scene *scene;
    mf_runtime *rt; /* of the worker */
    enum part part;
    bool is_victim;
};

static struct crew crew;

/* An item's result: 40 bytes, so that a third needs another window; every second keeps an object.
 */
struct result {
    uint64_t number, square, spare[3];
};

static void do_item(struct scene *s, struct mf_task *t, struct mf_window **out, size_t *used)
{
    uint32_t i = atomic_load(&t->done);
    mf__task_begin_item(t);
    atomic_fetch_add(&s->page->runs[t->id][i], 1);
    if (!*out || (*out)->size - *used < sizeof(struct result)) {
        *out = mf__task_out_grow(crew.rt, t, sizeof(struct result));
        *used = 0;
        if (!*out)
            give_up("no window");
    }
    const struct result r = {.number = i, .square = i * i};
    memcpy(mf__window_bytes(*out) + *used, &r, sizeof r);
    *used += sizeof r;
    const uint64_t handle = mf__object_handle(s->rt, s->inner);
    if (i % 2 && mf__task_keep(crew.rt, t, &handle, 1) < 0)
        give_up("no keeper");
    mf__task_commit_item(t);
}

static void run(void *ctx, struct mf_task *t)
{
    struct scene *s = crew.scene;
    size_t used = 0;
    (void)ctx;
    if (crew.is_victim && crew.part == TAKE)
        s->leave(s);
    if (crew.is_victim && crew.part == RUN)
        s->enter(s);
    /* After a death the last window may end in garbage. */
    struct mf_window *out = atomic_load(&t->begun) ? NULL : mf__task_out_tail(crew.rt, t);
    while (atomic_load(&t->done) < t->count)
        do_item(s, t, &out, &used);
}

static int worker_main(mf_runtime *rt, mf_pool *pool, void *arg)
{
    struct scene *s = crew.scene;
    struct mf_worker w;
    (void)arg;
    s->rt = crew.rt = rt;
    crew.is_victim = atomic_exchange(&s->page->first, 1) == 0;
    mf__pool_worker(pool, &w);
    if (crew.is_victim && crew.part != RUN)
        s->enter(s);
    int status = mf__worker_loop(rt, &w);
    if (crew.is_victim)
        s->leave(s);
    return status;
}

static void on_finish(mf_pool *pool, mf_job *job, void *arg)
{
    (void)pool, (void)job, (void)arg;
}

static void set_pool(struct scene *s, enum part part, uint32_t jobs)
{
    const uint64_t handles[] = {mf__object_handle(s->rt, s->inner)};
    crew = (struct crew){.scene = s, .part = part};
    if (mf_pool_new(s->rt,
                    &(struct mf_pool_options){.processes = 1,
                                              .max_tasks_per_child = jobs,
                                              .handles = handles,
                                              .handle_count = 1,
                                              .hooks = {worker_main, run, on_finish, NULL}},
                    &s->pool) < 0 ||
        mf_code_new(s->rt, 1, "code", 4, NULL, 0, &s->code) < 0)
        give_up("no pool");
    const struct mf_submit submit = {
        .code = s->code, .input = "input", .size = 5, .count = ITEMS, .retries = 9};
    while (s->job_count < jobs)
        if (mf_pool_submit(s->pool, &submit, &s->jobs[s->job_count++]) < 0)
            give_up("no job");
}

static void set_take(struct scene *s)
{
    set_pool(s, TAKE, 1);
}

static void set_run(struct scene *s)
{
    set_pool(s, RUN, 1);
}

static void set_many(struct scene *s)
{
    set_pool(s, ALL, JOBS);
}

static void note_pid(int pid, void *arg)
{
    *(pid_t *)arg = pid;
}

static pid_t first_worker(struct scene *s)
{
    pid_t pid = 0;
    mf_pool_each(s->pool, note_pid, &pid);
    return pid;
}

/* The results are a chain of windows; what follows the last committed item of each is garbage. */
static void check_results(struct scene *s, mf_job *job)
{
    const struct mf_task *t = mf_job_task(job);
    uint32_t item = 0, failures;
    mf_job_failures(job, &failures);
    s->tally->miscounted += failures || atomic_load(&t->done) != ITEMS;
    for (const struct mf_window *w = &t->out; w; w = mf__window_next(s->rt, w)) {
        const uint8_t *at = mf__window_bytes(w);
        for (uint32_t n = mf__window_items(s->rt, t, w); n;
             n--, item++, at += sizeof(struct result)) {
            struct result r;
            memcpy(&r, at, sizeof r);
            s->tally->torn += r.number != item || r.square != item * item;
        }
    }
    s->tally->miscounted += item != ITEMS;
}

static void check_runs(struct scene *s)
{
    uint32_t extra = 0;
    for (uint32_t i = 0; i < s->job_count * ITEMS; i++) {
        uint32_t runs = atomic_load(&s->page->runs[i / ITEMS][i % ITEMS]);
        s->tally->miscounted += runs == 0;
        extra += runs - 1;
    }
    s->tally->doubled += extra > 1; /* of the item that its one death was in */
}

static void finish(struct scene *s, mf_job *job)
{
    while (mf_job_state(job) == MF_JOB_PENDING)
        if (mf_pool_collect(s->pool, true, MF_FOREVER) < 0)
            break;
    if (mf_job_state(job) == MF_JOB_FINISHED)
        check_results(s, job);
    else
        s->tally->stuck++;
    mf_job_free(s->pool, job);
}

static void collect(struct scene *s)
{
    for (uint32_t i = 0; i < s->job_count; i++)
        finish(s, s->jobs[i]);
    check_runs(s);
    mf_pool_free(s->pool);
    mf_code_unref(s->rt, s->code);
}

static void settle(struct scene *s)
{
    mf__death_check(s->rt);
}

static const struct primitive running = {.set = set_run, .start = first_worker};

/* For crash.c: as often as one likes. */
const struct primitive many_tasks = {
    .name = "many tasks", .once = true, .set = set_many, .start = first_worker, .after = collect};

const struct primitive task_primitives[] = {
    {.name = "take task",
     .weight = 1,
     .once = true,
     .set = set_take,
     .start = first_worker,
     .after = collect},
    {.name = "run and commit result",
     .weight = 5,
     .once = true,
     .set = set_run,
     .start = first_worker,
     .after = collect},
    {.name = "claim a committing worker's",
     .weight = 20,
     .set = set_run,
     .act = settle,
     .first = &running,
     .after = collect},
    {0},
};
