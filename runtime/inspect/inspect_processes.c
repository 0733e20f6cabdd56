/* inspect_processes.c - what a dump says of processes: state, wait, task: see inspect.h. */
#include "inspect.h"

#include "object.h"
#include "slot.h"
#include "task.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define WINDOWS_AT_MOST 1000u

/* What the kernel says of a process: its state's letter, 0 when it is not there, '?' when the
 * kernel does not say. In /proc/PID/stat it follows the last closing parenthesis. */
static char kernel_state(int pid)
{
    char buffer[256];
    struct mf_text t = mf__text_in(buffer, sizeof buffer);
    mf__text_add(&t, "/proc/%d/stat", pid);
    int fd = open(buffer, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return access("/proc/self/stat", R_OK) == 0 ? 0 : '?';
    ssize_t n = read(fd, buffer, sizeof buffer - 1);
    close(fd);
    buffer[n > 0 ? n : 0] = 0;
    const char *name = strrchr(buffer, ')');
    return name && name[1] == ' ' ? name[2] : '?';
}

static bool is_stopped(char state)
{
    return state == 'T' || state == 't';
}

/* --- what it waits for --------------------------------------------------------------------------
 */

static void add_object(const struct mf_dump *d, const struct mf_waiting *w, struct mf_text *t)
{
    const struct mf_kind *kind;
    const struct mf_object *o = mf__object_peek(d->rt, w->object - 1, &kind);
    bool queue = !o || strcmp(kind->name, "Queue") == 0;
    mf__text_add(t, !queue ? "for " : w->side ? "to get from " : "to put into ");
    mf__object_name(d->rt, w->object - 1, t);
}

/* This process may be between two slices of a wait. */
bool mf__dump_wait(const struct mf_dump *d, uint32_t slot, struct mf_waiting *w)
{
    const struct mf_call *call = &d->rt->call;
    if (!mf__slot_wait(mf__slot_at(d->rt, slot), w))
        return false;
    if (w->waits == MF_WAITS_NOT && slot == d->rt->slot && call->since)
        *w = (struct mf_waiting){.waits = (enum mf_waits)call->waits,
                                 .object = call->object,
                                 .side = call->side,
                                 .child = call->child,
                                 .since = call->since,
                                 .until = call->until};
    return w->waits != MF_WAITS_NOT;
}

static bool add_wait(const struct mf_dump *d, uint32_t slot, struct mf_text *t)
{
    struct mf_waiting w;
    if (!mf__dump_wait(d, slot, &w))
        return false;
    mf__text_add(t, "waits ");
    if (w.waits == MF_WAITS_OBJECT && w.object) {
        add_object(d, &w, t);
    } else if (w.waits == MF_WAITS_CHILD && w.child < MF_SLOTS) {
        mf__text_add(t, "for the end of ");
        mf__slot_text(d->rt, w.child, t);
    } else {
        mf__text_add(t, "(sleep)");
    }
    mf__text_add(t, " for ");
    mf__text_span(t, d->now - w.since);
    if (w.until == MF_FOREVER) {
        mf__text_add(t, ", without a deadline");
    } else {
        mf__text_add(t, ", for at most ");
        mf__text_span(t, w.until - d->now);
        mf__text_add(t, " more");
    }
    return true;
}

/* --- its task -----------------------------------------------------------------------------------
 */

static uint32_t count_windows(const mf_runtime *rt, const struct mf_task *t)
{
    uint32_t n = 0;
    for (const struct mf_window *w = &t->out; w && n < WINDOWS_AT_MOST; n++)
        w = mf__window_next(rt, w);
    return n;
}

static void add_task(const struct mf_dump *d, const struct mf_slot *s, struct mf_text *t)
{
    uint64_t word = atomic_load(&s->task);
    const struct mf_task *task = word ? mf__task_at(d->rt, word & MF_TASK_OFFSET) : NULL;
    if (!task)
        return;
    mf__text_add(t, "; its task: %u of %u items done, for ", atomic_load(&task->done),
                 *(const volatile uint32_t *)&task->count);
    mf__text_span(t, d->now - atomic_load(&s->task_since));
    uint32_t windows = count_windows(d->rt, task);
    if (windows > 1)
        mf__text_add(t, ", results in %u pieces", windows);
}

/* --- a process ----------------------------------------------------------------------------------
 */

/* A slot that says LIVE: what is its process doing? */
static void add_life(const struct mf_dump *d, uint32_t slot, struct mf_text *t)
{
    const struct mf_slot *s = mf__slot_at(d->rt, slot);
    char state = kernel_state(atomic_load(&s->pid));
    bool dead = state == 0 || state == 'Z' || state == 'X';
    if (dead)
        mf__text_add(t, "died, and its death is not settled yet; it ");
    else if (is_stopped(state))
        mf__text_add(t, "is stopped; it ");
    if (!add_wait(d, slot, t))
        mf__text_add(t, dead || is_stopped(state) ? "ran" : "runs");
    if (slot == d->rt->slot)
        mf__text_add(t, " (this process)");
    add_task(d, s, t);
}

static void add_start(const struct mf_dump *d, uint32_t slot, struct mf_text *t)
{
    int pid = atomic_load(&mf__slot_at(d->rt, slot)->pid);
    bool stopped = pid && is_stopped(kernel_state(pid));
    mf__text_add(t, stopped ? "is stopped while it is being started" : "is being started");
}

static void dump_process(const struct mf_dump *d, uint32_t slot)
{
    char buffer[MF_DUMP_LINE];
    struct mf_text t = mf__text_in(buffer, sizeof buffer);
    uint64_t state = atomic_load(&mf__slot_at(d->rt, slot)->state);
    int parent = mf__parent(state);
    if (mf__phase(state) == MF_SLOT_FREE)
        return;
    mf__text_add(&t, "  ");
    mf__slot_text(d->rt, slot, &t);
    if (parent >= 0 && parent < MF_SLOTS)
        mf__text_add(&t, ", child of %d", atomic_load(&mf__slot_at(d->rt, (uint32_t)parent)->pid));
    mf__text_add(&t, ": ");
    switch (mf__phase(state)) {
    case MF_SLOT_STARTING: add_start(d, slot, &t); break;
    case MF_SLOT_LIVE: add_life(d, slot, &t); break;
    case MF_SLOT_EXITED: mf__text_add(&t, "has ended, and is not joined yet"); break;
    case MF_SLOT_DEAD: mf__text_add(&t, "died, and is not joined yet"); break;
    default: mf__text_add(&t, "is in a state that there is not: the memory is corrupt");
    }
    d->line(d->arg, buffer);
}

void mf__dump_processes(const struct mf_dump *d)
{
    for (uint32_t i = 0; i < d->slots; i++)
        dump_process(d, i);
}
