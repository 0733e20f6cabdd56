/* wait.c - sleeping and waking: see wait.h. */
#include "wait.h"

#include "crash.h"
#include "death.h"
#include "futex.h"
#include "slab.h"
#include "slot.h"
#include "spin.h"
#include "unit.h"

#include <errno.h>
#include <limits.h>

#define LOOK_SELDOM (1 * MF_SECOND)

#define PATIENCE (50 * MF_MSEC) /* how long a waker may stand between its commit and its wake */

static void set_wait(struct mf_slot *s, const struct mf_said *w)
{
    atomic_store_explicit(&s->waits, MF_WAITS_NOT, memory_order_release);
    atomic_store_explicit(&s->wait_child, w->child, memory_order_release);
    atomic_store_explicit(&s->wait_acts, w->acts, memory_order_release);
    atomic_store_explicit(&s->wait_since, w->since, memory_order_release);
    atomic_store_explicit(&s->wait_until, w->until, memory_order_release);
    atomic_store_explicit(&s->waits, w->waits, memory_order_release);
}

static bool acts(const mf_runtime *rt)
{
    for (const struct mf_supervisor *s = rt->supervisors; s; s = s->next)
        if (s->acts)
            return true;
    return false;
}

void mf__wait_say(mf_runtime *rt, uint32_t waits, uint32_t child, int64_t deadline,
                  struct mf_said *ret_before)
{
    struct mf_slot *s = rt->self;
    struct mf_call *call = &rt->call;
    *ret_before =
        (struct mf_said){.waits = atomic_load_explicit(&s->waits, memory_order_relaxed),
                         .child = atomic_load_explicit(&s->wait_child, memory_order_relaxed),
                         .acts = atomic_load_explicit(&s->wait_acts, memory_order_relaxed),
                         .since = atomic_load_explicit(&s->wait_since, memory_order_relaxed),
                         .until = atomic_load_explicit(&s->wait_until, memory_order_relaxed)};
    call->waits = waits;
    call->child = child;
    call->object = atomic_load_explicit(&s->busy, memory_order_relaxed);
    call->side = atomic_load_explicit(&s->side, memory_order_relaxed);
    set_wait(s, &(struct mf_said){.waits = waits,
                                  .child = child,
                                  .acts = acts(rt),
                                  .since = call->since ? call->since : mf__now(),
                                  .until = call->since ? call->until : deadline});
}

void mf__wait_unsay(mf_runtime *rt, const struct mf_said *before)
{
    if (before->waits == MF_WAITS_NOT)
        atomic_store_explicit(&rt->self->waits, MF_WAITS_NOT, memory_order_release);
    else
        set_wait(rt->self, before);
}

static void supervise(mf_runtime *rt)
{
    if (rt->supervising || !rt->supervisors)
        return;
    struct mf_call call = rt->call;
    rt->call = (struct mf_call){0}; /* what supervisors wait for is another matter */
    /* Operations of a supervisor say what they are busy with; the one that sleeps here goes on. */
    uint32_t busy = atomic_load_explicit(&rt->self->busy, memory_order_relaxed);
    uint32_t side = atomic_load_explicit(&rt->self->side, memory_order_relaxed);
    struct mf_said said;
    mf__wait_say(rt, MF_WAITS_NOT, 0, 0, &said);
    rt->supervising = true;
    for (struct mf_supervisor *s = rt->supervisors, *next; s; s = next) {
        next = s->next;
        s->look(s);
    }
    rt->supervising = false;
    rt->call = call;
    MF_CRASH("wait.supervise.looked");
    mf__note(&rt->self->side, side);
    mf__note(&rt->self->busy, busy);
    mf__wait_unsay(rt, &said);
}

void mf__wait_look_around(mf_runtime *rt)
{
    rt->looked = mf__now();
    if (rt->supervisors) {
        atomic_store_explicit(&rt->arena->looker, rt->slot, memory_order_relaxed);
        atomic_store_explicit(&rt->arena->looked, rt->looked, memory_order_relaxed);
    }
    mf__death_check(rt);
    mf__slabs_trim(rt);
    mf__units_trim(rt);
    supervise(rt);
}

static bool is_look_due(const mf_runtime *rt)
{
    return mf__now() - rt->looked >= MF_LOOK_OFTEN;
}

void mf__wait_interrupted(mf_runtime *rt)
{
    if (is_look_due(rt))
        mf__wait_look_around(rt);
}

/* One sleeper of the family keeps the watch; when it dies the kernel hands the role on. */
static bool keep_watch(mf_runtime *rt)
{
    int rc = pthread_mutex_trylock(&rt->arena->watch.m);
    if (rc == EOWNERDEAD)
        pthread_mutex_consistent(&rt->arena->watch.m);
    return rc == 0 || rc == EOWNERDEAD;
}

/* Does another process look often, because it has children to supervise? */
static bool is_watched(const mf_runtime *rt, int64_t now)
{
    int64_t looked = atomic_load_explicit(&rt->arena->looked, memory_order_relaxed);
    uint32_t looker = atomic_load_explicit(&rt->arena->looker, memory_order_relaxed);
    return looker != rt->slot && now - looked < 2 * MF_LOOK_OFTEN;
}

/* What a sleep answers at the end of its slice, when nobody rang. */
#define SLICE_IS_OVER 1

/* Sleeps until the ticket is void, or a slice. */
static int sleep_on(mf_runtime *rt, struct mf_wait *w, uint32_t ticket, int64_t deadline)
{
    bool watch = keep_watch(rt);
    MF_CRASH("wait.sleep.falling");
    int64_t now = mf__now();
    bool often = rt->supervisors || (watch && !is_watched(rt, now));
    int64_t until = now + (often ? MF_LOOK_OFTEN : LOOK_SELDOM);
    int rc = deadline <= now ? MF_ETIMEOUT
                             : mf__futex_wait(&w->seq, ticket, until < deadline ? until : deadline);
    MF_CRASH("wait.sleep.woken");
    if (watch)
        pthread_mutex_unlock(&rt->arena->watch.m);
    if (rc == 0)
        mf__spin_slept(rt, now, atomic_load_explicit(&w->ring, memory_order_relaxed));
    return rc == MF_ETIMEOUT && until < deadline ? SLICE_IS_OVER : rc;
}

/* The condition holds though nobody rang: either the waker is between its commit and its wake, or
 * a wake was lost. */
static void found_late(mf_runtime *rt, struct mf_wait *w, uint32_t ticket)
{
    if (mf__futex_wait(&w->seq, ticket, mf__now() + PATIENCE) == MF_ETIMEOUT)
        atomic_fetch_add(&rt->arena->late_wakes, 1);
}

static int wait_until(mf_runtime *rt, struct mf_wait *w, mf_condition *holds, const void *arg,
                      int64_t deadline)
{
    for (;;) {
        uint32_t ticket = atomic_load(&w->seq);
        MF_CRASH("wait.enter.ticket");
        atomic_fetch_add(&w->announced, 1);
        MF_CRASH("wait.enter.announced");
        if (holds(arg))
            return 0;
        int rc = sleep_on(rt, w, ticket, deadline);
        bool over = rc == SLICE_IS_OVER || rc == MF_ETIMEOUT;
        if (over && holds(arg))
            found_late(rt, w, ticket);
        /* Whoever waits for short times, again and again, does not look more often for that. */
        bool due = rc == SLICE_IS_OVER || (rc < 0 && is_look_due(rt));
        uint32_t deaths = atomic_load(&rt->arena->deaths);
        if (due || deaths != rt->deaths_seen) {
            rt->deaths_seen = deaths;
            /* The wake that this may have taken goes on: while supervisors are at work, `busy` does
             * not name what is waited for here, and a death would not be followed by a wake. */
            if (holds(arg))
                mf__wait_wake(w);
            mf__wait_look_around(rt);
        }
        if (holds(arg))
            return 0;
        if (rc < 0)
            return rc;
    }
}

int mf__wait_until(mf_runtime *rt, struct mf_wait *w, mf_condition *holds, const void *arg,
                   int64_t deadline)
{
    struct mf_said before;
    mf__wait_say(rt, MF_WAITS_OBJECT, 0, deadline, &before);
    int rc = wait_until(rt, w, holds, arg, deadline);
    mf__wait_unsay(rt, &before);
    return rc;
}

static void wake(struct mf_wait *w, int n)
{
    MF_CRASH("wait.wake.committed");
    uint32_t announced = atomic_load(&w->announced);
    if (announced == atomic_load_explicit(&w->quiet, memory_order_relaxed))
        return;
    atomic_store_explicit(&w->ring, mf__spin_ring(), memory_order_relaxed);
    atomic_fetch_add(&w->seq, 1);
    MF_CRASH("wait.wake.rung");
    if (mf__futex_wake(&w->seq, n) == 0)
        atomic_store(&w->quiet, announced);
    MF_CRASH("wait.wake.woken");
}

void mf__wait_wake(struct mf_wait *w)
{
    wake(w, 1);
}

void mf__wait_wake_some(struct mf_wait *w, int n)
{
    wake(w, n);
}

void mf__wait_wake_all(struct mf_wait *w)
{
    wake(w, INT_MAX);
}
