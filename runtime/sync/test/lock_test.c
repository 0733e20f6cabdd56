/* lock_test.c - the users' lock: held, released by anyone, abandoned. */
#include "check.h"

#include "death.h"
#include "lock.h"
#include "object.h"
#include "process.h"

#include <signal.h>

static mf_runtime *rt;
static mf_lock *lock, *gate;
static int32_t pid;

static void open_locks(void)
{
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 64 << 20, .budget = 32 << 20}, &rt) == 0);
    CHECK(mf_lock_new(rt, &lock) == 0 && mf_lock_new(rt, &gate) == 0);
}

static void close_locks(void)
{
    mf__object_drop(rt, lock);
    mf__object_drop(rt, gate);
    CHECK(mf__object_count(rt) == 0);
    mf_close(rt);
}

static mf_process *start(int (*main)(mf_runtime *rt, void *arg))
{
    mf_process *p;
    const uint64_t handles[] = {mf__object_handle(rt, lock), mf__object_handle(rt, gate)};
    struct mf_start s = {.main = main, .handles = handles, .handle_count = 2};
    CHECK(mf_process_start(rt, &s, &p) == 0);
    return p;
}

static void end(mf_process *p, int status)
{
    CHECK(mf_process_join(rt, p, MF_FOREVER) == 0 && mf_process_status(p) == status);
    mf_process_free(rt, p);
}

static void a_lock_is_held_by_one_at_a_time(void)
{
    open_locks();
    CHECK(!mf_lock_is_mine(rt, lock) && mf_lock_release(rt, lock) == MF_EINVAL);
    CHECK(mf_lock_acquire(rt, lock, 0, &pid) == 0 && mf_lock_is_mine(rt, lock));
    CHECK(mf_lock_acquire(rt, lock, 0, &pid) == MF_ETIMEOUT);
    CHECK(mf_lock_acquire(rt, lock, mf__deadline(0.001), &pid) == MF_ETIMEOUT);
    CHECK(mf_lock_release(rt, lock) == 0 && !mf_lock_is_mine(rt, lock));
    CHECK(mf_lock_release(rt, lock) == MF_EINVAL);
    CHECK(mf_lock_acquire(rt, lock, MF_FOREVER, &pid) == 0 && mf_lock_release(rt, lock) == 0);
    close_locks();
}

static int release_both(mf_runtime *own, void *arg)
{
    (void)arg;
    if (mf_lock_is_mine(own, lock))
        return 1;
    return mf_lock_release(own, lock) < 0 || mf_lock_release(own, gate) < 0;
}

static void another_process_may_release_it(void)
{
    open_locks();
    CHECK(mf_lock_acquire(rt, lock, 0, &pid) == 0 && mf_lock_acquire(rt, gate, 0, &pid) == 0);
    mf_process *p = start(release_both);
    CHECK(mf_lock_acquire(rt, lock, MF_FOREVER, &pid) == 0);
    CHECK(mf_lock_acquire(rt, gate, MF_FOREVER, &pid) == 0);
    end(p, 0);
    CHECK(mf_lock_release(rt, lock) == 0 && mf_lock_release(rt, gate) == 0);
    close_locks();
}

/* Holds `lock`, opens the gate, and dies or stays. */
static int hold_and_die(mf_runtime *own, void *arg)
{
    int32_t who;
    (void)arg;
    mf_lock_acquire(own, lock, MF_FOREVER, &who);
    mf_lock_release(own, gate);
    raise(SIGKILL);
    return 0;
}

static void a_dead_holders_lock_passes_on_and_the_next_is_told(void)
{
    open_locks();
    for (int round = 0; round < 20; round++) {
        CHECK(mf_lock_acquire(rt, gate, 0, &pid) == 0);
        mf_process *p = start(hold_and_die);
        CHECK(mf_lock_acquire(rt, gate, MF_FOREVER, &pid) == 0);
        CHECK(mf_lock_acquire(rt, lock, MF_FOREVER, &pid) == MF_ABANDONED);
        CHECK(pid == mf_process_pid(p) && mf_lock_is_mine(rt, lock));
        CHECK(mf_lock_release(rt, lock) == 0);
        CHECK(mf_lock_acquire(rt, lock, 0, &pid) == 0 && mf_lock_release(rt, lock) == 0);
        CHECK(mf_lock_release(rt, gate) == 0);
        end(p, -SIGKILL);
    }
    close_locks();
}

static int hold_and_leave(mf_runtime *own, void *arg)
{
    int32_t who;
    (void)arg;
    return mf_lock_acquire(own, lock, MF_FOREVER, &who) < 0 ||
           mf_lock_acquire(own, gate, MF_FOREVER, &who) < 0;
}

static void a_holder_that_exits_abandons_all_its_locks(void)
{
    open_locks();
    mf_process *p = start(hold_and_leave);
    int32_t child = mf_process_pid(p);
    end(p, 0);
    CHECK(mf_lock_acquire(rt, lock, 0, &pid) == MF_ABANDONED && pid == child);
    CHECK(mf_lock_acquire(rt, gate, 0, &pid) == MF_ABANDONED && pid == child);
    close_locks();
}

static int hold_while_dropped(mf_runtime *own, void *arg)
{
    int32_t who;
    (void)arg;
    mf_lock_acquire(own, lock, MF_FOREVER, &who);
    mf__object_drop(own, lock); /* the handle, not the lock */
    raise(SIGKILL);
    return 0;
}

static void a_holder_without_a_handle_still_abandons_it(void)
{
    open_locks();
    mf_process *p = start(hold_while_dropped);
    CHECK(mf_process_join(rt, p, MF_FOREVER) == 0);
    CHECK(mf_lock_acquire(rt, lock, 0, &pid) == MF_ABANDONED && pid == mf_process_pid(p));
    mf_process_free(rt, p);
    close_locks();
}

static int count_under_lock(mf_runtime *own, void *arg)
{
    volatile uint64_t *shared = arg;
    int32_t who;
    for (int i = 0; i < 20000; i++) {
        if (mf_lock_acquire(own, lock, MF_FOREVER, &who) < 0)
            return 1;
        shared[0]++;
        shared[1]++;
        if (mf_lock_release(own, lock) < 0)
            return 2;
    }
    return 0;
}

static void many_processes_exclude_each_other(void)
{
    open_locks();
    struct mf_start s = {.main = count_under_lock};
    const uint64_t handle = mf__object_handle(rt, lock);
    s.handles = &handle;
    s.handle_count = 1;
    s.arg = mf__at(rt, rt->units_at); /* nobody has blocks here */
    volatile uint64_t *shared = s.arg;
    mf_process *p[4];
    for (int i = 0; i < 4; i++)
        CHECK(mf_process_start(rt, &s, &p[i]) == 0);
    for (int i = 0; i < 4; i++)
        end(p[i], 0);
    CHECK(shared[0] == 80000 && shared[1] == 80000);
    close_locks();
}

int main(void)
{
    RUN(a_lock_is_held_by_one_at_a_time);
    RUN(another_process_may_release_it);
    RUN(a_dead_holders_lock_passes_on_and_the_next_is_told);
    RUN(a_holder_that_exits_abandons_all_its_locks);
    RUN(a_holder_without_a_handle_still_abandons_it);
    RUN(many_processes_exclude_each_other);
    return 0;
}
