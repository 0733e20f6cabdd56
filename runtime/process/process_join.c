/* process_join.c - waiting for the end of a child: see process.h. */
#include "process_state.h"

#include "crash.h"
#include "death.h"
#include "pidfd.h"
#include "slot.h"
#include "wait.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLICE_SUSPICIOUS (100 * MF_MSEC)

static int wait_on(mf_process *p, siginfo_t *info, int options)
{
    return mf__pidfd_waitid(&p->pidfd, p->pid, info, options);
}

/* Is the child there although nobody can wait for it: SIGCHLD is ignored, and the kernel is about
 * to reap it? Without a pidfd its life word tells. */
static bool is_there(mf_runtime *rt, const mf_process *p)
{
    if (p->pidfd >= 0)
        return mf__pidfd_wait(p->pidfd, 0) == MF_ETIMEOUT;
    return !mf__death_settle(rt, p->slot) &&
           mf__phase(atomic_load(&p->place->state)) == MF_SLOT_LIVE;
}

/* Takes the child's exit status if it has ended. */
static bool reap(mf_runtime *rt, mf_process *p)
{
    siginfo_t info;
    int rc = wait_on(p, &info, WEXITED | WNOHANG);
    if (rc == 0 && info.si_pid == 0)
        return false;
    if (rc == 0)
        p->end = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    else if (errno != ECHILD || is_there(rt, p))
        return false;
    else
        p->end = MF_PROCESS_UNKNOWN;
    MF_CRASH("process.join.reaped");
    return p->reaped = true;
}

/* The child is reaped: settles its death and frees its slot. False while somebody else settles. */
static bool finish(mf_runtime *rt, mf_process *p)
{
    struct mf_slot *s = mf__slot_at(rt, p->slot);
    mf__death_settle(rt, p->slot);
    enum mf_phase phase = mf__phase(atomic_load(&s->state));
    if (phase == MF_SLOT_LIVE)
        return false;
    if (p->end == MF_PROCESS_UNKNOWN && phase == MF_SLOT_EXITED)
        p->end = atomic_load(&s->status);
    MF_CRASH("process.join.settled");
    p->task = atomic_load(&s->task);
    p->link = atomic_load(&s->link);
    if (phase != MF_SLOT_STARTING)
        mf__slot_free(rt, p->slot);
    else if (!mf__death_give_up(rt, p->slot))
        return false;
    MF_CRASH("process.join.freed");
    if (p->pidfd >= 0)
        close(p->pidfd);
    p->pidfd = -1;
    mf__process_unlist(&rt->children, p);
    p->next = rt->ended;
    rt->ended = p;
    p->status = p->end;
    return true;
}

/* Sleeps until the child has probably ended, or a while. */
static int sleep_on(mf_runtime *rt, mf_process *p, int64_t deadline)
{
    int64_t now = mf__now();
    if (deadline <= now)
        return MF_ETIMEOUT;
    int64_t slice = p->reaped                         ? MF_MSEC
                    : rt->supervisors || p->pidfd < 0 ? MF_LOOK_OFTEN
                    : p->suspicion.looks              ? SLICE_SUSPICIOUS
                                                      : MF_SECOND;
    int64_t until = deadline - now < slice ? deadline : now + slice;
    bool can_poll = p->pidfd >= 0 && !p->reaped;
    int rc = can_poll ? mf__pidfd_wait(p->pidfd, until) : mf__sleep_until(until);
    if (rc == MF_EINTR)
        mf__wait_interrupted(rt);
    else if (rc == MF_ETIMEOUT || !can_poll)
        mf__wait_look_around(rt);
    return rc == MF_EINTR ? rc : 0;
}

static bool has_ended(mf_runtime *rt, mf_process *p)
{
    return p->status != MF_PROCESS_RUNNING || ((p->reaped || reap(rt, p)) && finish(rt, p));
}

static int wait_for_end(mf_runtime *rt, mf_process *p, int64_t deadline)
{
    bool for_ever = (rt->call.since ? rt->call.until : deadline) == MF_FOREVER;
    do {
        int rc = sleep_on(rt, p, deadline);
        if (rc < 0)
            return rc;
        if (for_ever && p->status == MF_PROCESS_RUNNING && !p->reaped &&
            mf__deadlock_look(rt, p->slot, &p->suspicion))
            return MF_EDEADLOCK;
    } while (!has_ended(rt, p));
    return 0;
}

int mf_process_join(mf_runtime *rt, mf_process *p, int64_t deadline)
{
    struct mf_said before;
    if (p->status != MF_PROCESS_RUNNING)
        return 0;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    if (has_ended(rt, p))
        return 0;
    if (deadline == 0)
        return MF_ETIMEOUT;
    mf__wait_say(rt, MF_WAITS_CHILD, p->slot, deadline, &before);
    int rc = wait_for_end(rt, p, deadline);
    mf__wait_unsay(rt, &before);
    return rc;
}

bool mf__process_has_its_pid(mf_process *p)
{
    siginfo_t info;
    return wait_on(p, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

bool mf__process_was_alive(const mf_process *p)
{
    return mf__phase(atomic_load(&p->place->state)) == MF_SLOT_LIVE;
}

bool mf__process_is_over(mf_process *p)
{
    siginfo_t info;
    if (p->status != MF_PROCESS_RUNNING || p->reaped)
        return true;
    int rc = wait_on(p, &info, WEXITED | WNOHANG | WNOWAIT);
    return rc < 0 || info.si_pid != 0;
}
