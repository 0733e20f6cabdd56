/* process.c - children: starting, joining, ending: see process.h. */
#include "process.h"

#include "crash.h"
#include "deadlock.h"
#include "death.h"
#include "descendants.h"
#include "fork.h"
#include "lock.h"
#include "object.h"
#include "pidfd.h"
#include "queue.h"
#include "slot.h"
#include "wait.h"
#include "zygote.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLICE_SUPERVISING (80 * MF_MSEC)
#define SLICE_SUSPICIOUS (100 * MF_MSEC)
#define GRACE 1.0
#define WAIT_BY_PIDFD 3 /* P_PIDFD, which not every libc names; since Linux 5.4 */

struct mf_process {
    mf_process *next; /* in rt->children */
    pid_t pid;
    uint32_t slot;
    const struct mf_slot *place; /* the same */
    int pidfd;                   /* -1 when the system gave none */
    int status;                  /* MF_PROCESS_RUNNING until it is finished; then `end` */
    int end;
    uint64_t task, link; /* of its slot, read before that was freed */
    bool daemon, forgotten;
    bool stopped; /* while its programs are looked up */
    bool reaped;  /* and its death is perhaps not settled yet */
    struct mf_suspicion suspicion;
};

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
    mf__arena_leave(rt, 0);
    mf__arena_close(rt);
}

/* --- start --------------------------------------------------------------------------------------
 */

_Noreturn void mf__process_run(mf_runtime *rt, const struct mf_start *start, uint32_t slot,
                               uint64_t taken)
{
    MF_CRASH("process.child.forked");
    mf__zygote_forget(rt);
    if (mf__arena_adopt(rt, slot, taken) < 0)
        _exit(127);
    MF_CRASH("process.child.entered");
    if (start->name)
        snprintf(rt->self->name, sizeof rt->self->name, "%s", start->name);
    void *arg = start->data ? (void *)(uintptr_t)start->data : start->arg;
    mf_process_exit(rt, start->main(rt, arg));
}

static mf_process *new_process(mf_runtime *rt, pid_t pid, uint32_t slot, bool is_daemon,
                               mf_process *p)
{
    *p = (mf_process){.next = rt->children,
                      .pid = pid,
                      .slot = slot,
                      .place = mf__slot_at(rt, slot),
                      .pidfd = mf__pidfd_open(pid),
                      .status = MF_PROCESS_RUNNING,
                      .daemon = is_daemon};
    rt->children = p;
    return p;
}

int mf_process_start(mf_runtime *rt, const struct mf_start *start, mf_process **ret_p)
{
    uint32_t slot;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    mf_process *p = malloc(sizeof *p);
    if (!p)
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
    if (rc < 0) {
        free(p);
        return rc;
    }
    uint64_t taken = atomic_load(&mf__slot_at(rt, slot)->state);
    MF_CRASH("process.start.holding");
    pid_t pid = start->by_zygote ? mf__zygote_fork(rt, start, slot, taken) : 0;
    if (pid == 0)
        pid = mf__fork(start->keep_fds, start->keep_fd_count, start->keep_stdin);
    if (pid == 0) {
        free(p);
        mf__process_run(rt, start, slot, taken);
    }
    if (pid < 0) {
        int e = errno;
        mf__death_give_up(rt, slot);
        free(p);
        errno = e;
        return MF_ESYS;
    }
    MF_CRASH("process.start.forked");
    int32_t none = 0; /* the child does it too, when it comes to it */
    atomic_compare_exchange_strong(&mf__slot_at(rt, slot)->pid, &none, pid);
    *ret_p = new_process(rt, pid, slot, start->daemon, p);
    MF_CRASH("process.start.started");
    return 0;
}

/* --- join ---------------------------------------------------------------------------------------
 */

static void unlist(mf_process **list, mf_process *p)
{
    for (mf_process **at = list; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            return;
        }
}

static int wait_for(idtype_t type, id_t id, siginfo_t *info, int options)
{
    int rc;
    memset(info, 0, sizeof *info);
    do
        rc = waitid(type, id, info, options);
    while (rc < 0 && errno == EINTR);
    return rc;
}

/* waitid() on the child: by its pidfd, because a pid that somebody else reaped may already be that
 * of another child of the program. Linux 5.3 has pidfds, but cannot wait for one. */
static int wait_on(const mf_process *p, siginfo_t *info, int options)
{
    int rc = -1;
    errno = EINVAL;
    if (p->pidfd >= 0)
        rc = wait_for((idtype_t)WAIT_BY_PIDFD, (id_t)p->pidfd, info, options);
    return rc < 0 && errno == EINVAL ? wait_for(P_PID, (id_t)p->pid, info, options) : rc;
}

/* Takes the child's exit status if it has ended. */
static bool reap(mf_process *p)
{
    siginfo_t info;
    int rc = wait_on(p, &info, WEXITED | WNOHANG);
    if (rc == 0 && info.si_pid == 0)
        return false;
    if (rc == 0)
        p->end = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    else if (p->pidfd >= 0 && mf__pidfd_wait(p->pidfd, 0) == MF_ETIMEOUT)
        return false; /* ECHILD, but it lives: SIGCHLD is ignored, and the kernel will reap it */
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
    unlist(&rt->children, p);
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
                    : rt->supervisors || p->pidfd < 0 ? SLICE_SUPERVISING
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
    return p->status != MF_PROCESS_RUNNING || ((p->reaped || reap(p)) && finish(rt, p));
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

/* --- looking and ending -------------------------------------------------------------------------
 */

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

bool mf__process_is_over(const mf_process *p)
{
    siginfo_t info;
    if (p->status != MF_PROCESS_RUNNING || p->reaped)
        return true;
    int rc = wait_on(p, &info, WEXITED | WNOHANG | WNOWAIT);
    return rc < 0 || info.si_pid != 0;
}

uint64_t mf__process_last_task(const mf_process *p)
{
    return p->task;
}

uint64_t mf__process_last_link(const mf_process *p)
{
    return p->link;
}

static bool is_running(const mf_process *p)
{
    return p->status == MF_PROCESS_RUNNING && !p->reaped;
}

/* Is the pid still the child's, running or not? When somebody else has reaped it, it may be a
 * stranger's. */
static bool has_its_pid(const mf_process *p)
{
    siginfo_t info;
    return wait_on(p, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void send_one(mf_process *p, int signal)
{
    if (p->pidfd >= 0 && mf__pidfd_send(p->pidfd, signal))
        return;
    if (has_its_pid(p)) /* no pidfd, or a filter of system calls forbids to use it so */
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
static void note_programs(const mf_process *p, struct mf_descendants *programs)
{
    int before = programs->count;
    mf__descendants_note(programs, p->pid);
    if (!has_its_pid(p))
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
    if (!is_running(p))
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

/* Frees one that was joined. */
static void discard(mf_runtime *rt, mf_process *p)
{
    unlist(&rt->ended, p);
    free(p);
}

void mf_process_free(mf_runtime *rt, mf_process *p)
{
    if (!p)
        return;
    if (p->status == MF_PROCESS_RUNNING && mf_process_join(rt, p, 0) < 0)
        p->forgotten = true; /* stays listed: mf_process_leave or mf_close will reap it */
    else
        discard(rt, p);
}

void mf_process_each(mf_runtime *rt, void (*see)(mf_process *p, void *arg), void *arg)
{
    for (mf_process *p = rt->children, *next; p; p = next) {
        next = p->next;
        see(p, arg);
    }
}

static bool is_to_end(const mf_process *p, bool now)
{
    return p->daemon || now;
}

static void free_if_forgotten(mf_runtime *rt, mf_process *p)
{
    if (p->forgotten)
        discard(rt, p);
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
