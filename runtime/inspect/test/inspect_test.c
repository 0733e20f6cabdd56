/* inspect_test.c - a dump where everybody hangs, and over memory that is garbage. */
#include "check.h"

#include "inspect.h"
#include "lock.h"
#include "object.h"
#include "process.h"
#include "queue.h"
#include "slot.h"
#include "unit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static mf_runtime *rt;
static mf_queue *queue;
static char text[1 << 20];

static void add_line(void *arg, const char *line)
{
    struct mf_text *t = arg;
    mf__text_add(t, "%s\n", line);
}

static const char *dump(void)
{
    struct mf_text t = mf__text_in(text, sizeof text);
    mf_dump(rt, add_line, &t);
    return text;
}

static bool says(const char *what)
{
    return strstr(dump(), what) != NULL;
}

static void open_family(void)
{
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 64 << 20, .budget = 32 << 20}, &rt) == 0);
    CHECK(mf_queue_new(rt, 0, &queue) == 0);
}

static mf_process *start(int (*main)(mf_runtime *own, void *arg))
{
    mf_process *p;
    uint64_t handle = mf_queue_handle(rt, queue);
    struct mf_start how = {.main = main, .name = "test", .handles = &handle, .handle_count = 1};
    CHECK(mf_process_start(rt, &how, &p) == 0);
    return p;
}

/* Takes every lock that the runtime has, and stops. */
static int stop_with_all_locks(mf_runtime *own, void *arg)
{
    struct mf_arena *a = own->arena;
    (void)arg;
    mf__mutex_lock(&queue->end[0].lock, own->slot, MF_FOREVER);
    mf__mutex_lock(&queue->end[1].lock, own->slot, MF_FOREVER);
    mf__mutex_lock(&a->units.lock, own->slot, MF_FOREVER);
    mf__mutex_lock(&a->objects.lock, own->slot, MF_FOREVER);
    for (int i = 0; i < MF_CLASSES; i++)
        mf__mutex_lock(&a->classes[i].lock, own->slot, MF_FOREVER);
    pthread_mutex_lock(&a->watch.m);
    raise(SIGSTOP);
    return 0;
}

static void a_dump_takes_no_lock_that_a_stopped_process_holds(void)
{
    siginfo_t info;
    open_family();
    for (int i = 0; i < 100; i++)
        CHECK(mf_queue_put(rt, queue, text, 1024, NULL, 0, 0) == 0);
    mf_process *p = start(stop_with_all_locks);
    CHECK(waitid(P_PID, (id_t)mf_process_pid(p), &info, WSTOPPED | WNOWAIT) == 0);
    CHECK(says("is stopped; it ran"));
    CHECK(says("inside the runtime: the memory is locked by"));
    CHECK(says("inside the runtime: the table of objects is locked by"));
    CHECK(says("inside the runtime: Queue#1's end for puts is locked by"));
    CHECK(says("Queue#1: 100 messages, 100.0 KiB; known to"));
    mf_process_end(rt, p, 0);
    mf_process_free(rt, p);
    mf_queue_free(rt, queue);
    mf_close(rt);
}

static int wait_for_ever(mf_runtime *own, void *arg)
{
    void *data;
    size_t size;
    (void)arg;
    mf_queue_get(own, queue, MF_FOREVER, &data, &size);
    return 0;
}

static void a_death_is_told_before_it_is_settled(void)
{
    siginfo_t info;
    open_family();
    mf_process *p = start(wait_for_ever);
    while (!says("child of"))
        ;
    while (!says("waits to get from Queue#1 for "))
        usleep(1000);
    kill(mf_process_pid(p), SIGKILL);
    CHECK(waitid(P_PID, (id_t)mf_process_pid(p), &info, WEXITED | WNOWAIT) == 0);
    CHECK(says("died, and its death is not settled yet; it waits to get from Queue#1 for "));
    CHECK(mf_process_join(rt, p, MF_FOREVER) == 0 && !says("(test)"));
    mf_process_free(rt, p);
    mf_queue_free(rt, queue);
    mf_close(rt);
}

/* Scribbles over a part of the arena, a word here and there. */
static void scribble(uint64_t from, uint64_t to, unsigned *state)
{
    uint64_t *word = mf__at(rt, from);
    for (uint64_t i = 0; i < (to - from) / 8; i++) {
        unsigned r = check_random(state);
        if (r % 8 == 0)
            word[i] = (uint64_t)check_random(state) << (r >> 8 & 31);
        else if (r % 64 == 1)
            word[i] = ~UINT64_C(0) >> (r >> 8 & 63);
    }
}

/* In a child that is nobody's: the family itself stays whole. */
static void dump_garbage(unsigned seed)
{
    scribble(rt->slots_at, rt->slots_at + 64 * sizeof(struct mf_slot), &seed);
    scribble(rt->objects_at, rt->objects_at + 256 * sizeof(struct mf_object), &seed);
    scribble(rt->units_at, rt->units_at + 8 * MF_UNIT, &seed);
    atomic_store(&rt->arena->objects.top, seed % 2 ? check_random(&seed) : 256);
    atomic_store(&rt->arena->slot_top, seed % 3 ? check_random(&seed) : 64);
    dump();
}

static void a_dump_over_garbage_ends(void)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        open_family();
        for (int i = 0; i < 100; i++)
            CHECK(mf_queue_put(rt, queue, text, 2048, NULL, 0, 0) == 0);
        pid_t pid = fork();
        if (pid == 0) {
            *rt->token = 1;
            dump_garbage(seed);
            _exit(0);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        if (status)
            fprintf(stderr, "seed %u\n", seed);
        CHECK(status == 0);
        *rt->token = 0; /* the arena is garbage now: only unmap it */
        mf_close(rt);
    }
}

static void counts_and_names_are_read_by_people(void)
{
    mf_lock *lock;
    int32_t pid;
    open_family();
    CHECK(says("moonfork " MF_VERSION ": 1 process, "));
    CHECK(says("(MainProcess): runs (this process)"));
    CHECK(says("  and 1 empty queues or free locks, at which nobody waits"));
    CHECK(mf_lock_new(rt, &lock) == 0 && mf_lock_acquire(rt, lock, 0, &pid) == 0);
    CHECK(says("Lock#2: held by ") && says(" (MainProcess) for "));
    CHECK(mf_queue_put(rt, queue, "12345", 5, NULL, 0, 0) == 0);
    mf_queue_close(rt, queue);
    CHECK(says("Queue#1: 1 message, 5 bytes, closed; known to "));
    mf_lock_release(rt, lock);
    mf_lock_free(rt, lock);
    mf_queue_free(rt, queue);
    mf_close(rt);
}

int main(void)
{
    RUN(counts_and_names_are_read_by_people);
    RUN(a_dump_takes_no_lock_that_a_stopped_process_holds);
    RUN(a_death_is_told_before_it_is_settled);
    RUN(a_dump_over_garbage_ends);
    return 0;
}
