/* boss.c - the processes that have children: see boss.h. */
#include "boss.h"

#include "block.h"
#include "clock.h"
#include "death.h"
#include "object.h"
#include "process.h"
#include "slot.h"
#include "tasks.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
    enum role role;
    unsigned queue; /* of a consumer */
    mf_process *p;
};

struct boss {
    mf_runtime *rt;
    uint32_t workers;
    uint32_t child_count;
    struct child children[6];
};

static const struct boss of_the_parent = {
    .workers = 3,
    .child_count = 6,
    .children = {{.role = role_producer},
                 {.role = role_producer},
                 {.role = role_consumer, .queue = 0},
                 {.role = role_consumer, .queue = 1},
                 {.role = role_middle},
                 {.role = role_middle}},
};

static const struct boss of_the_middle = {
    .workers = 2,
    .child_count = 2,
    .children = {{.role = role_producer}, {.role = role_consumer, .queue = 0}},
};

static int middle_main(mf_runtime *rt, void *arg);

static void start_child(struct boss *b, struct child *c)
{
    static int (*const mains[])(mf_runtime *, void *) = {[role_producer] = producer_main,
                                                         [role_consumer] = consumer_main,
                                                         [role_middle] = middle_main};
    const struct mf_start start = {.main = mains[c->role],
                                   .arg = &c->queue,
                                   .name = role_names[c->role],
                                   .handles = mesh_handles(b->rt),
                                   .handle_count = MESH_HANDLES};
    beat(doing_start);
    int rc = mf_process_start(b->rt, &start, &c->p);
    if (rc < 0)
        wrong("a %s cannot be started: '%s'", role_names[c->role], mf_error_name(rc));
}

/* True when the child has ended, by itself or by SIGKILL. */
static bool join_child(struct boss *b, struct child *c, int64_t deadline)
{
    beat(doing_join);
    int rc = mf_process_join(b->rt, c->p, deadline);
    if (rc == MF_ETIMEOUT)
        return false;
    int status = rc < 0 ? rc : mf_process_status(c->p);
    if (status != 0 && status != -SIGKILL)
        wrong("a %s, %d, ended with %d", role_names[c->role], (int)mf_process_pid(c->p), status);
    mf_process_free(b->rt, c->p);
    c->p = NULL;
    return true;
}

static void replace_children(struct boss *b)
{
    for (uint32_t i = 0; i < b->child_count; i++) {
        struct child *c = &b->children[i];
        if (!c->p || join_child(b, c, 0))
            start_child(b, c);
    }
}

/* Seldom long: then a death is found by the looks that belong to a wait. */
static int64_t some_deadline(void)
{
    return mf__now() + (dice(20) ? 2 : 300) * MF_MSEC;
}

/* Works until told to stop, or has worked enough. */
static void work(struct boss *b, unsigned turns)
{
    struct crew crew;
    crew_open(b->rt, &crew, b->workers);
    for (unsigned n = 0; n < turns && !mf_queue_is_closed(queues[0]) && !ledger->stop; n++) {
        replace_children(b);
        crew_turn(b->rt, &crew, false, some_deadline());
        errand(b->rt);
    }
    bool now = dice(3) == 0;
    while (!now && crew_turn(b->rt, &crew, true, some_deadline()))
        ;
    crew_close(b->rt, &crew, now);
}

static void join_children(struct boss *b)
{
    for (uint32_t i = 0; i < b->child_count; i++)
        while (b->children[i].p && !join_child(b, &b->children[i], MF_FOREVER))
            ;
}

/* A few short pools. */
static int middle_main(mf_runtime *rt, void *arg)
{
    struct boss b = of_the_middle;
    (void)arg;
    mesh_enter(role_middle);
    b.rt = rt;
    for (unsigned n = dice(10); n && !mf_queue_is_closed(queues[0]); n--)
        work(&b, dice(50));
    for (uint32_t i = 0; i < b.child_count; i++)
        if (b.children[i].p && !mf_queue_is_closed(queues[0]))
            mf_process_signal(b.children[i].p, SIGKILL);
    join_children(&b);
    ledger_leave();
    return 0;
}

/* --- the parent ---------------------------------------------------------------------------------
 */

static unsigned count_files(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void drain(mf_runtime *rt)
{
    for (unsigned q = 0; q < QUEUES; q++)
        while (take(rt, q, 0))
            ;
}

/* The children of a middle process that was killed die a little later than it. */
static void wait_for_orphans(mf_runtime *rt)
{
    bool some = true;
    for (int64_t limit = mf__now() + 10 * MF_SECOND; some && mf__now() < limit;) {
        some = false;
        mf__death_check(rt);
        for (uint32_t i = 0; i < atomic_load(&rt->arena->slot_top); i++)
            some |= i != rt->slot && mf__phase(mf__slot_at(rt, i)->state) != MF_SLOT_FREE;
        beat(doing_claim);
    }
    if (some)
        wrong("a process is left, or its place");
}

/* What is known of the first object that is left. */
static void complain_of_objects(mf_runtime *rt)
{
    for (uint32_t i = 0; i < atomic_load(&rt->arena->objects.top); i++) {
        const struct mf_object *o = mf__object_at(rt, i);
        uint32_t slot = 0;
        if (!o->kind)
            continue;
        while (slot < MF_SLOTS && !(o->holders[slot / 64] >> slot % 64 & 1))
            slot++;
        wrong("%lu blocks and %u objects are left, of these number %u: kind %x, %lu references, "
              "undertaker %u, held by slot %u, which is in state %lx",
              mf__block_count(rt), mf__object_count(rt), i, o->kind, o->refs, o->undertaker, slot,
              slot < MF_SLOTS ? (unsigned long)mf__slot_at(rt, slot)->state : 0);
    }
}

static void complain_of_blocks(mf_runtime *rt)
{
    const struct mf_block *b = mf__block_first(rt);
    const uint32_t *w = (const uint32_t *)b->payload;
    wrong("%lu blocks are left, of these one of %zu bytes: tag %x, owner %u, next %lx; it begins "
          "with %x %x %x %x %x %x %x %x",
          mf__block_count(rt), mf__block_room(rt, b), b->tag, b->owner, b->next, w[0], w[1], w[2],
          w[3], w[4], w[5], w[6], w[7]);
}

/* Nobody else is there: the queues agree with the accounts, and the arena is empty. */
static void check_end(mf_runtime *rt)
{
    siginfo_t info;
    struct mf_queue_stats stats;
    wait_for_orphans(rt);
    drain(rt);
    for (unsigned q = 0; q < QUEUES; q++) {
        mf_queue_stats(queues[q], &stats);
        ledger_check(q, &stats);
    }
    for (unsigned k = 0; k < LOCKS; k++)
        lock_turn(rt, k);
    mesh_close(rt);
    complain_of_objects(rt);
    if (mf__block_count(rt))
        complain_of_blocks(rt);
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD)
        wrong("a child is left, %d perhaps", (int)info.si_pid);
}

int parent_main(void)
{
    struct boss b = of_the_parent;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    ledger_parent();
    mesh_enter(role_parent);
    unsigned files = count_files();
    if (mf_open(&(struct mf_arena_options){.reserve = 4u << 30, .budget = 1u << 30}, &b.rt) < 0)
        wrong("no arena");
    mesh_open(b.rt);
    work(&b, UINT32_MAX);
    for (unsigned q = 0; q < QUEUES; q++)
        mf_queue_close(b.rt, queues[q]);
    join_children(&b);
    atomic_store(&ledger->over, 1);
    check_end(b.rt);
    mf_close(b.rt);
    if (count_files() != files)
        wrong("%u files were open, %u are left", files, count_files());
    ledger_leave();
    return 0;
}
