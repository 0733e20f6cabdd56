/* process_end.c - ending children, and leaving the family: see process.h. */
#include "process_state.h"

#include "crash.h"
#include "descendants.h"
#include "pidfd.h"
#include "slot.h"
#include "zygote.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define GRACE 1.0

static bool is_running(const mf_process *p)
{
    return p->status == MF_PROCESS_RUNNING && !p->reaped;
}

static void send_one(mf_process *p, int signal)
{
    if (p->pidfd >= 0 && mf__pidfd_send(p->pidfd, signal))
        return;
    if (mf__process_has_its_pid(p)) /* no pidfd, or a filter of system calls forbids to use it so */
        kill(p->pid, signal);
}

/* A stopped process would hear SIGTERM when it goes on, and only then. */
static void send_signal(mf_process *p, int signal)
{
    send_one(p, signal);
    if (signal == SIGTERM)
        send_one(p, SIGCONT);
}

/* Notes the programs of a process that was sent SIGSTOP and whose pid was its own all the time. */
static void note_programs(mf_process *p, struct mf_descendants *programs)
{
    int before = programs->count;
    mf__descendants_note(programs, p->pid);
    if (!mf__process_has_its_pid(p))
        mf__descendants_forget(programs, before);
}

/* A child that has not entered its slot has started no program. Nor does it follow this process
 * yet: if that was killed now, a child that stands still would do so for ever. */
static bool is_newborn(const mf_process *p)
{
    return mf__phase(atomic_load(&p->place->state)) == MF_SLOT_STARTING;
}

/* Sends SIGTERM or SIGKILL to those that run, all of which stand still while their programs are
 * looked up. */
static void send_to_all(mf_process **list, size_t n, int signal, struct mf_descendants *programs)
{
    for (size_t i = 0; i < n; i++) {
        list[i]->stopped = is_running(list[i]) && !is_newborn(list[i]);
        if (list[i]->stopped)
            send_one(list[i], SIGSTOP);
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_running(list[i]))
            continue;
        if (list[i]->stopped)
            note_programs(list[i], programs);
        send_signal(list[i], signal);
    }
}

void mf_process_signal(mf_process *p, int signal)
{
    struct mf_descendants programs = {0};
    if (mf__alive(p->rt) < 0 || !is_running(p))
        return;
    if (signal == SIGTERM || signal == SIGKILL)
        send_to_all(&p, 1, signal, &programs);
    else
        send_one(p, signal);
    mf__descendants_end(&programs, signal);
}

/* Joins whatever signal handlers run meanwhile; the deadline bounds it. */
static int join_firmly(mf_runtime *rt, mf_process *p, int64_t deadline)
{
    int rc;
    do
        rc = mf_process_join(rt, p, deadline);
    while (rc == MF_EINTR);
    return rc;
}

/* Asks them all first, so that their graces run side by side. The programs that they have started
 * are killed last, whether they were asked with them or not. */
void mf__process_end_many(mf_runtime *rt, mf_process **list, size_t n, double grace)
{
    struct mf_descendants programs = {0};
    if (mf__alive(rt) < 0)
        return;
    send_to_all(list, n, SIGTERM, &programs);
    int64_t deadline = mf__deadline(grace);
    for (size_t i = 0; i < n; i++)
        join_firmly(rt, list[i], deadline);
    /* All are killed before one is waited for: a stopped one may keep a death from being settled.
     */
    send_to_all(list, n, SIGKILL, &programs);
    deadline = mf__deadline(GRACE);
    for (size_t i = 0; i < n; i++)
        join_firmly(rt, list[i], deadline);
    mf__descendants_end(&programs, SIGKILL);
}

void mf_process_end(mf_runtime *rt, mf_process *p, double grace)
{
    mf__process_end_many(rt, &p, 1, grace);
}

static bool is_to_end(const mf_process *p, bool now)
{
    return p->daemon || now;
}

static void free_if_forgotten(mf_runtime *rt, mf_process *p)
{
    if (p->forgotten)
        mf__process_discard(rt, p);
}

/* Ends the daemons, or all. The list is made before: a join takes its process off rt->children. */
static void end_children(mf_runtime *rt, bool now)
{
    mf_process *list[MF_SLOTS];
    size_t n = 0;
    for (mf_process *p = rt->children; p && n < MF_SLOTS; p = p->next)
        if (is_to_end(p, now))
            list[n++] = p;
    mf__process_end_many(rt, list, n, GRACE);
    for (size_t i = 0; i < n; i++)
        if (list[i]->status != MF_PROCESS_RUNNING)
            free_if_forgotten(rt, list[i]);
}

int mf_process_leave(mf_runtime *rt, bool now)
{
    return mf__process_leave(rt, now, MF_FOREVER);
}

int mf__process_leave(mf_runtime *rt, bool now, int64_t deadline)
{
    if (mf__alive(rt) < 0)
        return 0;
    rt->supervising = true; /* nobody replaces those that are ended now */
    if (rt->children)
        end_children(rt, now);
    while (rt->children) {
        mf_process *p = rt->children;
        int rc = mf_process_join(rt, p, deadline);
        if (rc < 0)
            return rc;
        free_if_forgotten(rt, p);
    }
    mf_zygote_close(rt);
    return 0;
}

_Noreturn void mf_process_exit(mf_runtime *rt, int status)
{
    int rc;
    while ((rc = mf_process_leave(rt, false)) == MF_EINTR)
        ;
    if (rc == MF_EDEADLOCK) /* children that would stay for ever, and so would this one */
        mf_process_leave(rt, true);
    MF_CRASH("process.exit.childless");
    fflush(NULL);
    MF_CRASH("process.exit.flushed");
    mf__arena_leave(rt, status & 0xff);
    MF_CRASH("process.exit.left");
    _exit(status & 0xff);
}
