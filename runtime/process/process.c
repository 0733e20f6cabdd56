/* process.c - children: starting them, and what their parent keeps of them: see process.h. */
#include "process_state.h"

#include "crash.h"
#include "death.h"
#include "fork.h"
#include "lock.h"
#include "object.h"
#include "pidfd.h"
#include "queue.h"
#include "slot.h"
#include "zygote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int mf_open(const struct mf_arena_options *options, mf_runtime **ret_rt)
{
    mf_runtime *rt;
    int rc = mf__arena_open(options, &rt);
    if (rc < 0)
        return rc;
    rt->kinds[MF_KIND_QUEUE] = &mf__queue_kind;
    rt->kinds[MF_KIND_LOCK] = &mf__lock_kind;
    *ret_rt = rt;
    return 0;
}

static void free_list(mf_runtime *rt, mf_process **list)
{
    for (mf_process *p = *list, *next; p; p = next) {
        next = p->next;
        if (p->pidfd >= 0 && mf__alive(rt) == 0)
            close(p->pidfd);
        free(p);
    }
    *list = NULL;
}

void mf_close(mf_runtime *rt)
{
    if (!rt)
        return;
    if (mf__alive(rt) == 0)
        mf_process_leave(rt, true);
    mf_zygote_close(rt);
    free_list(rt, &rt->children);
    free_list(rt, &rt->ended);
    free(rt->spare);
    mf__arena_leave(rt, 0);
    mf__arena_close(rt);
}

/* --- start --------------------------------------------------------------------------------------
 */

/* Without snprintf, whose code lies on pages that no new child has mapped. */
static void set_name(struct mf_slot *s, const char *name)
{
    size_t size = strnlen(name, sizeof s->name - 1);
    memcpy(s->name, name, size);
    s->name[size] = 0;
}

_Noreturn void mf__process_run(mf_runtime *rt, const struct mf_start *start, uint32_t slot,
                               uint64_t taken)
{
    MF_CRASH("process.child.forked");
    mf__zygote_forget(rt);
    if (mf__arena_adopt(rt, slot, taken) < 0)
        _exit(127);
    MF_CRASH("process.child.entered");
    if (start->name)
        set_name(rt->self, start->name);
    void *arg = start->data ? (void *)(uintptr_t)start->data : start->arg;
    mf_process_exit(rt, start->main(rt, arg));
}

/* The spare becomes one. */
static mf_process *new_process(mf_runtime *rt, pid_t pid, uint32_t slot, bool is_daemon)
{
    mf_process *p = rt->spare;
    rt->spare = NULL;
    *p = (mf_process){.next = rt->children,
                      .rt = rt,
                      .pid = pid,
                      .slot = slot,
                      .place = mf__slot_at(rt, slot),
                      .pidfd = mf__pidfd_open(pid),
                      .status = MF_PROCESS_RUNNING,
                      .daemon = is_daemon};
    rt->children = p;
    return p;
}

/* Those that had not ended when their handle was given up, and have since. */
static void reap_forgotten(mf_runtime *rt)
{
    for (mf_process *p = rt->children, *next; p; p = next) {
        next = p->next;
        if (p->forgotten && mf_process_join(rt, p, 0) == 0)
            mf__process_discard(rt, p);
    }
}

int mf_process_start(mf_runtime *rt, const struct mf_start *start, mf_process **ret_p)
{
    uint32_t slot;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    reap_forgotten(rt);
    if (!rt->spare && !(rt->spare = malloc(sizeof *rt->spare)))
        return MF_ENOMEM;
    int rc = mf__slot_take(rt, &slot);
    if (rc == MF_ELIMIT) { /* dead parents may have left some */
        mf__death_check(rt);
        rc = mf__slot_take(rt, &slot);
    }
    MF_CRASH("process.start.taken");
    for (uint32_t i = 0; rc == 0 && i < start->handle_count; i++)
        if ((rc = mf__object_hold_for(rt, start->handles[i], slot)) < 0)
            mf__death_give_up(rt, slot);
    if (rc < 0)
        return rc;
    uint64_t taken = atomic_load(&mf__slot_at(rt, slot)->state);
    MF_CRASH("process.start.holding");
    pid_t pid = start->by_zygote ? mf__zygote_fork(rt, start, slot, taken) : 0;
    if (pid == 0)
        pid = mf__fork(start->keep_fds, start->keep_fd_count, start->keep_stdin);
    if (pid == 0)
        mf__process_run(rt, start, slot, taken);
    if (pid < 0) {
        int e = errno;
        mf__death_give_up(rt, slot);
        errno = e;
        return MF_ESYS;
    }
    MF_CRASH("process.start.forked");
    int32_t none = 0; /* the child does it too, when it comes to it */
    atomic_compare_exchange_strong(&mf__slot_at(rt, slot)->pid, &none, pid);
    *ret_p = new_process(rt, pid, slot, start->daemon);
    MF_CRASH("process.start.started");
    return 0;
}

/* --- what is kept of them -----------------------------------------------------------------------
 */

void mf__process_unlist(mf_process **list, mf_process *p)
{
    for (mf_process **at = list; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            return;
        }
}

int mf_process_status(const mf_process *p)
{
    return p->status;
}

pid_t mf_process_pid(const mf_process *p)
{
    return p->pid;
}

uint32_t mf__process_slot(const mf_process *p)
{
    return p->slot;
}

bool mf_process_is_daemon(const mf_process *p)
{
    return p->daemon;
}

uint64_t mf__process_last_task(const mf_process *p)
{
    return p->task;
}

uint64_t mf__process_last_link(const mf_process *p)
{
    return p->link;
}

void mf__process_discard(mf_runtime *rt, mf_process *p)
{
    mf__process_unlist(&rt->ended, p);
    free(p);
}

void mf_process_free(mf_runtime *rt, mf_process *p)
{
    if (!p)
        return;
    if (p->status == MF_PROCESS_RUNNING && mf_process_join(rt, p, 0) < 0)
        p->forgotten = true; /* stays listed: the next start will reap it, or mf_process_leave */
    else
        mf__process_discard(rt, p);
}

void mf_process_each(mf_runtime *rt, void (*see)(mf_process *p, void *arg), void *arg)
{
    for (mf_process *p = rt->children, *next; p; p = next) {
        next = p->next;
        see(p, arg);
    }
}
