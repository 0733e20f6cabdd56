/*
 * thread_runtime.h - threads of one process that each take part as a process would: with a slot and
 * an mf_runtime of their own, so that ThreadSanitizer sees what processes do to each other.
 */
#ifndef MF_THREAD_RUNTIME_H
#define MF_THREAD_RUNTIME_H

#include "check.h"

#include "arena.h"
#include "death.h"
#include "process.h"
#include "slot.h"

#include <sched.h>

struct member {
    pthread_t thread;
    mf_runtime rt;
    uint32_t slot;
    uint32_t number;
    void (*run)(struct member *m);
    const mf_runtime *first;
};

static void *member_main(void *arg)
{
    struct member *m = arg;
    uint64_t taken;
    m->rt = *m->first;
    CHECK(mf__slot_take(&m->rt, &m->slot) == 0);
    taken = atomic_load(&mf__slot_at(&m->rt, m->slot)->state);
    m->rt.slot = m->slot;
    m->rt.self = mf__slot_at(&m->rt, m->slot);
    m->rt.spin = (struct mf_spin){0};
    CHECK(mf__slot_enter(&m->rt, m->slot, taken, m->rt.pid) == 0);
    m->run(m);
    mf__arena_leave(&m->rt, 0);
    return NULL;
}

/* Runs n threads side by side, run(m) in each, m->number counting up; waits for all. */
static inline void run_members(mf_runtime *first, uint32_t n, void (*run)(struct member *m))
{
    struct member members[16];
    CHECK(n <= 16);
    for (uint32_t i = 0; i < n; i++) {
        members[i].number = i;
        members[i].run = run;
        members[i].first = first;
        CHECK(pthread_create(&members[i].thread, NULL, member_main, &members[i]) == 0);
    }
    for (uint32_t i = 0; i < n; i++) {
        CHECK(pthread_join(members[i].thread, NULL) == 0);
        while (!mf__death_settle(first, members[i].slot)) /* another may be at it */
            sched_yield();
        mf__slot_free(first, members[i].slot);
    }
}

#endif
