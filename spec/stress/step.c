/*
 * step.c - kills a process after every instruction of every primitive, and looks what is left.
 *
 *     step [stride [primitive]]
 *
 * For each primitive and each k: a fresh family is made, a victim is forked and stopped right
 * before the primitive, single-stepped k instructions (ptrace(2)) and killed. The parent settles
 * the death, uses what the victim used, gives everything back, and compares with what was there
 * before. With a stride only every stride-th k is tried, a little shifted from one primitive to the
 * next.
 *
 * A second victim may be killed while it settles the first one's death: the primitives "settle
 * ...".
 *
 * One line a primitive; exit status 1 when any count but the first is not 0.
 */
#include "block.h"
#include "death.h"
#include "lock.h"
#include "object.h"
#include "process.h"
#include "queue.h"
#include "slot.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 2 /* seconds that anything may take once the victim is dead */
#define IDS 64
#define VICTIMS_ID 40
#define PARENTS_ID 41
#define LARGE 40000u

/* --- what is counted ----------------------------------------------------------------------------
 */

struct tally {
    unsigned points, stuck, torn, doubled, leaked, miscounted;
};

static unsigned faults(const struct tally *t)
{
    return t->stuck + t->torn + t->doubled + t->leaked + t->miscounted;
}

static struct {
    const char *name;
    unsigned long step;
} now_at;

static void on_alarm(int signal)
{
    char text[160];
    (void)signal;
    int n =
        snprintf(text, sizeof text, "stuck: %s after %lu instructions\n", now_at.name, now_at.step);
    if (write(1, text, (size_t)n) < 0)
        _exit(2);
    _exit(1);
}

/* --- messages that show whether they are whole --------------------------------------------------
 */

static void fill(uint8_t *at, size_t size, uint8_t id)
{
    memset(at, id, size < 1000 ? size : 8);
    memset(at + size - 8, id, 8);
}

static bool is_whole(const struct mf_message *m)
{
    for (size_t i = 0; i < (m->size < 1000 ? m->size : 8); i++)
        if (m->data[i] != m->data[0])
            return false;
    for (size_t i = m->size - 8; i < m->size; i++)
        if (m->data[i] != m->data[0])
            return false;
    return true;
}

/* --- one run ------------------------------------------------------------------------------------
 */

struct scene {
    mf_runtime *rt;
    mf_queue *q, *inner;
    mf_lock *lock;
    uint64_t blocks, objects; /* before the scene was set */
    unsigned seen[IDS];
    volatile uint8_t *delivery; /* shared: is the victim about to say delivered, has it said so */
    int32_t victim;
    struct tally *tally;
};

struct primitive {
    const char *name;
    unsigned weight; /* it is about this many times as long as a simple one: the stride grows */
    void (*set)(struct scene *s);
    void (*act)(struct scene *s);
    void (*first)(struct scene *s); /* what another victim did, whose death nobody has settled */
};

static void put(struct scene *s, size_t size, uint8_t id)
{
    static uint8_t bytes[64 * 1024];
    fill(bytes, size, id);
    if (size < 1000) {
        mf_queue_put(s->rt, s->q, bytes, size, NULL, 0, MF_FOREVER);
        return;
    }
    struct mf_block *b;
    uint8_t *data;
    mf__message_new(s->rt, NULL, size, NULL, 0, &b, &data);
    fill(data, size, id); /* its middle stays as it is: a copy would be a million instructions */
    mf__queue_put_block(s->rt, s->q, b, size, 0, MF_FOREVER);
}

static void put_handles(struct scene *s, uint8_t id)
{
    const uint64_t handles[] = {mf__object_handle(s->rt, s->inner),
                                mf__object_handle(s->rt, s->lock)};
    uint8_t bytes[20];
    fill(bytes, sizeof bytes, id);
    mf_queue_put(s->rt, s->q, bytes, sizeof bytes, handles, 2, MF_FOREVER);
}

static void get(struct scene *s)
{
    struct mf_message m;
    if (mf__queue_get(s->rt, s->q, &m, 0) < 0)
        return;
    s->delivery[0] = 1;
    mf__queue_delivered(s->rt);
    s->delivery[1] = 1;
    mf__message_free(s->rt, &m);
}

static void fill_inner(struct scene *s)
{
    static const char text[100];
    for (int i = 0; i < 20; i++)
        mf_queue_put(s->rt, s->inner, text, sizeof text, NULL, 0, MF_FOREVER);
}

static void set_nothing(struct scene *s)
{
    (void)s;
}

static void set_some(struct scene *s)
{
    for (uint8_t i = 0; i < 5; i++)
        put(s, 20, i);
}

static void set_blocks(struct scene *s)
{
    for (uint8_t i = 0; i < 5; i++)
        put(s, 200, i);
}

static void set_large(struct scene *s)
{
    for (uint8_t i = 0; i < 3; i++)
        put(s, LARGE, i);
}

/* The first segment holds 15. */
static void set_full_segment(struct scene *s)
{
    for (uint8_t i = 0; i < 15; i++)
        put(s, 20, i);
}

static void set_read_segment(struct scene *s)
{
    struct mf_message m;
    for (uint8_t i = 0; i < 17; i++)
        put(s, i < 15 ? 20 : 200, i);
    for (int i = 0; i < 15; i++) {
        mf__queue_get(s->rt, s->q, &m, 0);
        mf__queue_delivered(s->rt);
        s->seen[m.data[0]]++;
        mf__message_free(s->rt, &m);
    }
}

static void set_handles(struct scene *s)
{
    fill_inner(s);
    put_handles(s, 0);
    put_handles(s, 1);
}

/* The victim gets the last reference there is. */
static void set_last_reference(struct scene *s)
{
    fill_inner(s);
    put_handles(s, 0);
    mf__object_drop(s->rt, s->inner);
    s->inner = NULL;
}

static void act_put_inline(struct scene *s)
{
    put(s, 20, VICTIMS_ID);
}

static void act_put_block(struct scene *s)
{
    put(s, 200, VICTIMS_ID);
}

static void act_put_large(struct scene *s)
{
    put(s, LARGE, VICTIMS_ID);
}

static void act_put_handles(struct scene *s)
{
    put_handles(s, VICTIMS_ID);
}

static void act_block_small(struct scene *s)
{
    mf__block_free(s->rt, mf__block_new(s->rt, 100, s->rt->slot));
}

/* The first block of a class, which takes a slab; then one from the slab, then two from the list.
 */
static void act_block_slab(struct scene *s)
{
    struct mf_block *a = mf__block_new(s->rt, 30000, s->rt->slot);
    struct mf_block *b = mf__block_new(s->rt, 30000, MF_IN_HAND);
    mf__block_free(s->rt, a);
    mf__block_free(s->rt, b);
    a = mf__block_new(s->rt, 30000, s->rt->slot);
    b = mf__block_new(s->rt, 30000, s->rt->slot);
    mf__block_to_hand(s->rt, b);
    mf__block_from_hand(s->rt, b);
    mf__block_free(s->rt, a);
    mf__block_free(s->rt, b);
}

static void act_block_large(struct scene *s)
{
    struct mf_block *a = mf__block_new(s->rt, 100000, s->rt->slot);
    struct mf_block *b = mf__block_new(s->rt, 300000, s->rt->slot);
    mf__block_free(s->rt, a);
    a = mf__block_new(s->rt, 40000, MF_IN_HAND); /* cut from the run just freed */
    mf__block_free(s->rt, a);
    mf__block_free(s->rt, b);
}

static void act_object(struct scene *s)
{
    mf_queue *q = NULL;
    mf_lock *l = NULL;
    mf_queue_new(s->rt, 0, &q);
    mf_lock_new(s->rt, &l);
    if (q)
        mf__object_drop(s->rt, q);
    if (l)
        mf__object_drop(s->rt, l);
}

static void act_lock(struct scene *s)
{
    int32_t pid;
    mf_lock_acquire(s->rt, s->lock, MF_FOREVER, &pid);
    mf_lock_release(s->rt, s->lock);
}

static void act_exit(struct scene *s)
{
    act_lock(s);
    put(s, 200, VICTIMS_ID);
    mf_process_exit(s->rt, 0);
}

static int grandchild(mf_runtime *rt, void *arg)
{
    (void)rt, (void)arg;
    while (pause() < 0)
        ;
    return 0;
}

static void act_start(struct scene *s)
{
    mf_process *p;
    const uint64_t handle = mf__object_handle(s->rt, s->q);
    mf_process_start(
        s->rt, &(struct mf_start){.main = grandchild, .handles = &handle, .handle_count = 1}, &p);
}

static void act_settle(struct scene *s)
{
    mf__death_check(s->rt);
}

static const struct primitive primitives[] = {
    {"put inline", 1, set_some, act_put_inline, NULL},
    {"put block", 1, set_blocks, act_put_block, NULL},
    {"put large block", 1, set_large, act_put_large, NULL},
    {"put at a segment's end", 1, set_full_segment, act_put_inline, NULL},
    {"put block at a segment's end", 1, set_full_segment, act_put_block, NULL},
    {"get inline", 1, set_some, get, NULL},
    {"get block", 1, set_blocks, get, NULL},
    {"get large block", 1, set_large, get, NULL},
    {"get at a segment's end", 1, set_read_segment, get, NULL},
    {"get from nothing", 1, set_nothing, get, NULL},
    {"put handles", 1, set_handles, act_put_handles, NULL},
    {"get handles", 1, set_handles, get, NULL},
    {"get the last reference", 10, set_last_reference, get, NULL},
    {"blocks, small", 1, set_nothing, act_block_small, NULL},
    {"blocks, a slab", 2, set_nothing, act_block_slab, NULL},
    {"blocks, large", 2, set_nothing, act_block_large, NULL},
    {"object new and drop", 5, set_nothing, act_object, NULL},
    {"lock acquire and release", 1, set_nothing, act_lock, NULL},
    {"process exit", 20, set_some, act_exit, NULL},
    {"process start", 10, set_nothing, act_start, NULL},
    {"settle a putter's death", 10, set_full_segment, act_settle, act_put_block},
    {"settle a large putter's death", 10, set_large, act_settle, act_put_large},
    {"settle a getter's death", 20, set_read_segment, act_settle, get},
    {"settle the last holder's death", 30, set_last_reference, act_settle, get},
    {"settle an allocator's death", 10, set_nothing, act_settle, act_block_slab},
    {"settle a large allocator's death", 10, set_nothing, act_settle, act_block_large},
    {"settle a maker's death", 10, set_nothing, act_settle, act_object},
    {"settle a lock holder's death", 10, set_nothing, act_settle, act_lock},
};

/* --- the victim ---------------------------------------------------------------------------------
 */

struct part {
    struct scene *scene;
    void (*act)(struct scene *s);
};

static int victim_main(mf_runtime *rt, void *arg)
{
    struct part *part = arg;
    part->scene->rt = rt;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(99);
    raise(SIGSTOP);
    part->act(part->scene);
    raise(SIGSTOP);
    _exit(0);
}

static void give_up(const char *why)
{
    perror(why);
    exit(2);
}

static mf_process *start_victim(struct scene *s, void (*act)(struct scene *s))
{
    mf_process *p;
    uint64_t handles[3];
    uint32_t n = 0;
    handles[n++] = mf__object_handle(s->rt, s->q);
    handles[n++] = mf__object_handle(s->rt, s->lock);
    if (s->inner)
        handles[n++] = mf__object_handle(s->rt, s->inner);
    struct part part = {s, act};
    struct mf_start start = {
        .main = victim_main, .arg = &part, .handles = handles, .handle_count = n};
    if (mf_process_start(s->rt, &start, &p) < 0)
        give_up("cannot start a victim");
    return p;
}

/* Runs a victim for at most k instructions of act and kills it; it is dead, not reaped, when this
 * returns. Returns how many instructions it ran; *ret_ended tells whether that was all of them. */
static unsigned long kill_after(struct scene *s, void (*act)(struct scene *s), unsigned long k,
                                bool *ret_ended)
{
    int status;
    siginfo_t info;
    pid_t pid = mf_process_pid(start_victim(s, act));
    if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
        give_up("a victim cannot be traced");
    unsigned long i = 0;
    bool ended = false;
    while (i < k && !ended) {
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid)
            give_up("a victim cannot be stepped");
        ended = !WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP;
        i++;
    }
    if (WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    }
    s->victim = pid;
    *ret_ended = ended;
    return i;
}

/* --- the survivor -------------------------------------------------------------------------------
 */

static void join_one(mf_process *p, void *arg)
{
    mf_process_join(arg, p, MF_FOREVER);
    mf_process_free(arg, p);
}

static bool is_alone(mf_runtime *rt)
{
    for (uint32_t i = 0; i < atomic_load(&rt->arena->slot_top); i++)
        if (i != rt->slot && mf__phase(atomic_load(&mf__slot_at(rt, i)->state)) != MF_SLOT_FREE)
            return false;
    return true;
}

/* A message's objects come with it: the parent takes them and lets them go. */
static void take_objects(struct scene *s, const struct mf_message *m)
{
    struct mf_object *o;
    for (uint32_t i = 0; i < m->handle_count; i++) {
        if (mf__object_hold(s->rt, m->handles[i], 0, &o) < 0)
            s->tally->torn++;
        else if (o != s->lock && o != s->inner)
            mf__object_drop(s->rt, o);
    }
}

static void drain(struct scene *s)
{
    struct mf_message m;
    int last = -1;
    while (mf__queue_get(s->rt, s->q, &m, 0) == 0) {
        uint8_t id = m.data[0];
        mf__queue_delivered(s->rt);
        s->tally->torn += id >= IDS || !is_whole(&m);
        s->tally->doubled += id < IDS && s->seen[id]++ > 0;
        s->tally->torn += (int)id <= last; /* out of order */
        last = id;
        take_objects(s, &m);
        mf__message_free(s->rt, &m);
    }
}

static void compare_stats(struct scene *s, unsigned puts)
{
    struct mf_queue_stats stats;
    unsigned missing = 0;
    for (unsigned id = 0; id < puts; id++)
        missing += !s->seen[id];
    mf_queue_stats(s->q, &stats);
    bool lost = stats.lost == missing || (s->delivery[0] && stats.lost == 0);
    s->tally->miscounted += stats.put != puts + 1 + s->seen[VICTIMS_ID] || stats.queued != 0 ||
                            !lost || (s->delivery[1] && stats.lost) || missing > 1 ||
                            !s->seen[PARENTS_ID];
}

static void try_lock(struct scene *s)
{
    int32_t pid = s->victim;
    int rc = mf_lock_acquire(s->rt, s->lock, mf__deadline(1), &pid);
    if (rc < 0)
        s->tally->stuck++;
    else
        mf_lock_release(s->rt, s->lock);
}

static void survive(struct scene *s)
{
    mf_process_each(s->rt, join_one, s->rt);
    while (!is_alone(s->rt))
        mf__death_check(s->rt);
    put(s, 20, PARENTS_ID);
    drain(s);
    try_lock(s);
}

static void set_scene(struct scene *s, struct tally *tally)
{
    static volatile uint8_t *page;
    if (!page)
        page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *s = (struct scene){.tally = tally, .delivery = page};
    page[0] = page[1] = 0;
    if (mf_open(&(struct mf_arena_options){.reserve = 64 << 20, .budget = 48 << 20}, &s->rt) < 0)
        give_up("no arena");
    s->blocks = mf__block_count(s->rt);
    s->objects = mf__object_count(s->rt);
    if (mf_queue_new(s->rt, 1000, &s->q) < 0 || mf_queue_new(s->rt, 0, &s->inner) < 0 ||
        mf_lock_new(s->rt, &s->lock) < 0)
        give_up("no objects");
    for (size_t size = 100; size < 3000; size += 100) /* slabs are there, but of one class */
        mf__block_free(s->rt, mf__block_new(s->rt, size, s->rt->slot));
}

static void strike_scene(struct scene *s)
{
    mf__object_drop(s->rt, s->q);
    mf__object_drop(s->rt, s->lock);
    if (s->inner)
        mf__object_drop(s->rt, s->inner);
    s->tally->leaked += mf__block_count(s->rt) != s->blocks;
    s->tally->leaked += mf__object_count(s->rt) != s->objects;
    mf_close(s->rt);
}

/* How many instructions the first victim's part has. */
static unsigned long span_of(const struct primitive *p)
{
    struct scene s;
    struct tally ignored = {0};
    bool ended;
    set_scene(&s, &ignored);
    p->set(&s);
    unsigned long n = kill_after(&s, p->first, ~0ul, &ended);
    survive(&s);
    strike_scene(&s);
    return n;
}

/* Kills after k instructions. False when there are not that many. */
static bool run(const struct primitive *p, unsigned long k, unsigned long span, struct tally *t)
{
    struct scene s;
    bool ended;
    unsigned before = faults(t);
    now_at.step = k;
    set_scene(&s, t);
    p->set(&s);
    unsigned puts = (unsigned)atomic_load(&s.q->end[0].at);
    if (p->first)
        kill_after(&s, p->first, k * 7919 % span, &ended);
    kill_after(&s, p->act, k, &ended);
    alarm(PATIENCE);
    survive(&s);
    alarm(0);
    compare_stats(&s, puts);
    strike_scene(&s);
    if (faults(t) != before)
        fprintf(stderr, "wrong: %s after %lu instructions\n", p->name, k);
    t->points++;
    return !ended;
}

static bool run_all(const struct primitive *p, unsigned long stride)
{
    struct tally t = {0};
    now_at.name = p->name;
    unsigned long span = p->first ? span_of(p) : 1;
    unsigned long step = stride > 1 ? stride * p->weight : 1;
    for (unsigned long k = (unsigned long)(p - primitives) % step; run(p, k, span, &t); k += step)
        ;
    printf("%-34s %8u %6u %6u %8u %7u %11u\n", p->name, t.points, t.stuck, t.torn, t.doubled,
           t.leaked, t.miscounted);
    fflush(stdout);
    return faults(&t) == 0;
}

/* Tracer and victim take turns: on one processor that is three times as fast. */
static void stay_here(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
}

int main(int argc, char **argv)
{
    stay_here();
    unsigned long stride = argc > 1 ? strtoul(argv[1], NULL, 10) : 41;
    bool good = true;
    signal(SIGALRM, on_alarm);
    printf("%-34s %8s %6s %6s %8s %7s %11s\n", "primitive", "kills", "stuck", "torn", "doubled",
           "leaked", "miscounted");
    for (size_t i = 0; i < sizeof primitives / sizeof *primitives; i++)
        if (argc < 3 || strcmp(argv[2], primitives[i].name) == 0)
            good &= run_all(&primitives[i], stride ? stride : 1);
    return good ? 0 : 1;
}
