/* life.c - scenes in which a victim comes to a place a hundred times: see life.h. */
#include "life.h"

#include "crash.h"
#include "wait.h"
#include "zygote.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* --- messages, queues, memory --------------------------------------------------------------------
 */

static void traffic(struct scene *s)
{
    int32_t pid;
    mf_lock_acquire(s->rt, s->lock, MF_FOREVER, &pid);
    scene_put(s, 20, next_id(s));
    scene_put(s, 200, next_id(s));
    scene_put_handles(s, next_id(s));
    mf_lock_release(s->rt, s->lock);
    for (int i = 0; i < 3; i++)
        scene_get(s, 0);
    scene_put(s, LARGE, next_id(s));
    scene_get(s, 0);
}

/* A queue of its own: long enough for a second segment, and in another queue when it ends. */
static void queues(struct scene *s)
{
    static const char text[200];
    struct mf_message m;
    mf_queue *a, *b;
    if (mf_queue_new(s->rt, 0, &a) < 0 || mf_queue_new(s->rt, 0, &b) < 0)
        return;
    for (size_t i = 0; i < 20; i++)
        mf_queue_put(s->rt, a, text, i * 10, NULL, 0, 0);
    for (int i = 0; i < 17; i++) {
        if (mf__queue_get(s->rt, a, &m, 0) < 0)
            continue;
        mf__queue_delivered(s->rt);
        mf__message_free(s->rt, &m);
    }
    mf_queue_wait(s->rt, a, MF_FOREVER);
    mf_queue_close(s->rt, a);
    const uint64_t handle = mf__object_handle(s->rt, a);
    mf_queue_put(s->rt, b, text, 5, &handle, 1, 0);
    mf__object_drop(s->rt, a);
    mf__object_drop(s->rt, b);
}

/* Slabs that fill up, and runs of different lengths that are freed beside each other. */
static void memory(struct scene *s)
{
    struct mf_block *run[3];
    for (int i = 0; i < 8; i++) /* a slab holds as many; they go with the victim */
        mf__block_new(s->rt, 30000, s->rt->slot);
    for (size_t i = 0; i < 3; i++)
        run[i] = mf__block_new(s->rt, 100000 * (i + 1), s->rt->slot);
    for (int i = 2; i >= 0; i--)
        mf__block_free(s->rt, run[i]);
    mf__block_free(s->rt, mf__block_new(s->rt, 500000, MF_IN_HAND));
    scene_fill_slabs(s);
    scene_trim_slabs(s);
    scene_trim_slabs(s);
}

/* --- children ------------------------------------------------------------------------------------
 */

static int live(mf_runtime *rt, void *arg)
{
    struct scene *s = arg;
    s->rt = rt;
    s->victim = s->partner = NULL;
    int32_t pid;
    mf_lock_acquire(rt, s->lock, MF_FOREVER, &pid);
    mf_lock_release(rt, s->lock);
    return 0;
}

static int wait_for_the_end(mf_runtime *rt, void *arg)
{
    (void)rt, (void)arg;
    while (pause() < 0)
        ;
    return 0;
}

static void join(struct scene *s, mf_process *p)
{
    while (mf_process_join(s->rt, p, MF_FOREVER) == MF_EINTR)
        ;
    mf_process_free(s->rt, p);
}

/* One ends by itself, one is killed. */
static void children(struct scene *s)
{
    atomic_fetch_add(&s->page->deaths, 2);
    mf_process *a = scene_child(s, live, s);
    mf_process *b = scene_child(s, wait_for_the_end, s);
    mf_process_signal(b, SIGKILL);
    join(s, a);
    join(s, b);
}

static int live_as_sibling(mf_runtime *rt, void *arg)
{
    return live(rt, *(struct scene **)arg);
}

static mf_process *sibling(struct scene *s, int (*main)(mf_runtime *rt, void *arg))
{
    mf_process *p;
    const uint64_t handles[] = {mf__object_handle(s->rt, s->q), mf__object_handle(s->rt, s->lock)};
    const struct mf_start start = {.main = main,
                                   .handles = handles,
                                   .handle_count = 2,
                                   .by_zygote = true,
                                   .data = &s,
                                   .data_size = sizeof s};
    return mf_process_start(s->rt, &start, &p) < 0 ? NULL : p;
}

/* As children, which a zygote makes; or the victim itself when that has been killed. */
static void siblings(struct scene *s)
{
    char text[100];
    if (mf_zygote_open(s->rt, NULL, NULL, text, sizeof text) < 0)
        return;
    atomic_fetch_add(&s->page->deaths, 2);
    mf_process *a = sibling(s, live_as_sibling);
    mf_process *b = sibling(s, wait_for_the_end);
    if (b)
        mf_process_signal(b, SIGKILL);
    if (a)
        join(s, a);
    if (b)
        join(s, b);
    mf_zygote_close(s->rt);
}

/* In each of them somebody else has to repair something of another kind. */
static const char *const places[] = {
    "queue.put.in_hand",       "queue.put.committed",   "queue.get.in_hand",
    "queue.get.committed",     "queue.link.linked",     "queue.leave.left",
    "class.take.unlisted",     "class.carve.carved",    "class.slab.known",
    "class.slab.taken",        "unit.take.marked",      "unit.take.populated",
    "object.new.alive",        "object.journal.armed",  "lock.release.free",
    "mutex.lock.signed",       "process.start.holding", "class.unlist.unlisted",
    "slab.dissolve.committed",
};

#define PLACES (sizeof places / sizeof *places)

/* Dies at one of these places, or at any, or in the end. */
static int heir_main(mf_runtime *rt, void *arg)
{
    struct scene *s = arg;
    s->rt = rt;
    uint32_t n = atomic_fetch_add(&s->page->turns, 1);
    mf__crash_tally(NULL);
    mf__crash_arm(n % 2 ? mf__crash_name(n / 2 * 101 % mf__crash_count()) : places[n / 2 % PLACES],
                  1, SIGKILL, NULL);
    traffic(s);
    queues(s);
    memory(s);
    mf__block_new(rt, 400000, rt->slot);
    scene_child(s, wait_for_the_end, s);
    _exit(0);
}

/* Its children die in the middle of something, or of a start; the victim settles what they left. */
static void inherit(struct scene *s)
{
    for (uint32_t i = 0; i < PLACES && !atomic_load(&s->page->struck); i++) {
        atomic_fetch_add(&s->page->deaths, 2);
        mf_process *p = scene_child(s, heir_main, s);
        join(s, p);
        mf__wait_look_around(s->rt);
    }
    traffic(s);
}

/* --- sleeping ------------------------------------------------------------------------------------
 */

/* Answers each message by one of the victim's, until the parent's comes. */
static int answer(mf_runtime *rt, void *arg)
{
    struct scene *s = arg;
    struct mf_message m;
    uint32_t id = 0;
    s->rt = rt;
    atomic_store(&s->page->dozing, 1);
    while (id < FIRST_OF_PARENT) {
        if (mf__queue_get(rt, s->q, &m, MF_FOREVER) < 0)
            break;
        memcpy(&id, m.data, sizeof id);
        atomic_fetch_add(&s->page->taken[id], 1);
        mf__queue_delivered(rt);
        atomic_fetch_add(&s->page->delivered[id], 1);
        mf__message_free(rt, &m);
        mf_queue_put(rt, s->inner, &id, sizeof id, NULL, 0, MF_FOREVER);
    }
    return 0;
}

static void start_answerer(struct scene *s)
{
    start_partner(s, answer);
}

static void ask(struct scene *s)
{
    struct mf_message m;
    scene_put(s, 20, next_id(s));
    if (mf__queue_get(s->rt, s->inner, &m, MF_FOREVER) < 0)
        return;
    mf__queue_delivered(s->rt);
    mf__message_free(s->rt, &m);
}

/* --- a creator of pools --------------------------------------------------------------------------
 */

static mf_runtime *worker_rt;

static int creators_worker(mf_runtime *rt, mf_pool *pool, void *arg)
{
    struct mf_worker w;
    (void)arg;
    mf__crash_arm(NULL, 0, 0, NULL);
    mf__crash_tally(NULL);
    worker_rt = rt;
    mf__pool_worker(pool, &w);
    return mf__worker_loop(rt, &w);
}

/* The first attempt at the last item of a job is its worker's death. */
static void run(void *arg, struct mf_task *t)
{
    struct mf_window *out = mf__task_out_tail(worker_rt, t);
    (void)arg;
    if (atomic_load(&t->begun))
        out = mf__task_out_grow(worker_rt, t, 8);
    while (out && atomic_load(&t->done) < t->count) {
        mf__task_begin_item(t);
        if (atomic_load(&t->done) + 1 == t->count && t->attempt == 0)
            raise(SIGKILL);
        mf__task_commit_item(t);
    }
}

static void on_finish(mf_pool *pool, mf_job *job, void *arg)
{
    (void)pool, (void)job, (void)arg;
}

static void create(struct scene *s)
{
    const struct mf_pool_options options = {.processes = 2,
                                            .hooks = {creators_worker, run, on_finish, NULL}};
    mf_pool *pool;
    mf_code *code;
    mf_job *job[2];
    if (mf_pool_new(s->rt, &options, &pool) < 0)
        return;
    mf_code_new(s->rt, 1, "code", 4, NULL, 0, &code);
    const struct mf_submit submit = {
        .code = code, .input = "in", .size = 2, .count = 3, .retries = 2};
    for (int i = 0; i < 2; i++)
        mf_pool_submit(pool, &submit, &job[i]);
    while (mf_job_state(job[0]) == MF_JOB_PENDING || mf_job_state(job[1]) == MF_JOB_PENDING)
        mf_pool_collect(pool, true, MF_FOREVER);
    for (int i = 0; i < 2; i++)
        mf_job_free(pool, job[i]);
    mf_code_unref(s->rt, code);
    mf_pool_close(pool);
    mf_pool_join(pool, MF_FOREVER);
    mf_pool_free(pool);
}

const struct primitive life_primitives[] = {
    {.name = "traffic", .act = traffic},
    {.name = "queues", .act = queues},
    {.name = "memory", .act = memory},
    {.name = "children", .act = children},
    {.name = "siblings", .act = siblings},
    {.name = "heirs", .act = inherit},
    {.name = "question and answer", .prepare = start_answerer, .act = ask},
    {.name = "creator", .act = create},
    {0},
};
