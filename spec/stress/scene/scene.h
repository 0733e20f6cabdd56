/*
 * scene.h - what the programs share that strike a process in the middle of something (step.c,
 * crash.c): a family, a victim that does one primitive, and who looks what it has left behind.
 *
 * Roles: the parent sets the scene, starts the victim, and survives it; now and then a partner
 * sleeps in what the victim does. All write into the page what they put and what they took, so that
 * the parent can tell whether each message came once, whole and in order.
 */
#ifndef SCENE_H
#define SCENE_H

#include "block.h"
#include "death.h"
#include "lock.h"
#include "object.h"
#include "pool.h"
#include "process.h"
#include "queue.h"
#include "slot.h"

/* Messages are numbered: the first by who sets the scene, then those of victims, of their partner,
 * and of the parent once the victim is gone. */
enum { FIRST_OF_VICTIMS = 1024, FIRST_OF_PARTNER = 7168, FIRST_OF_PARENT = 8064, IDS = 8192 };

#define LARGE 40000u
#define ITEMS 6u /* of each job in a scene with a pool */
#define JOBS 120u

struct tally {
    unsigned points, stuck, torn, doubled, leaked, miscounted;
};

unsigned faults(const struct tally *t);
void tally_add(struct tally *sum, const struct tally *t);

/* Shared with all processes of the scene. */
struct page {
    _Atomic uint32_t next;                             /* number for the next message of a victim */
    _Atomic uint8_t begun[IDS], done[IDS];             /* a put of it has begun, has given 0 */
    _Atomic uint8_t taken[IDS], delivered[IDS];        /* by others than the parent, how often */
    _Atomic uint32_t deaths;                           /* at most so many besides the victim's */
    _Atomic uint32_t torn, turns, dozing, first, over; /* see who writes them */
    _Atomic uint32_t runs[JOBS][ITEMS];                /* of each item of each job */
    _Atomic int32_t struck;                            /* crash.c: who was struck */
};

struct scene;

/* Each part is NULL where there is nothing to do. */
struct primitive {
    const char *name;
    unsigned weight;                  /* so many times as long as a simple one: the stride grows */
    bool once;                        /* cannot be done twice by one victim */
    void (*set)(struct scene *s);     /* parent, before there is a victim */
    void (*before)(struct scene *s);  /* victim, before it may be struck */
    void (*prepare)(struct scene *s); /* parent, while the victim stands before act */
    void (*act)(struct scene *s);     /* victim: what it is struck in */
    void (*wake)(struct scene *s);    /* parent, when the victim has fallen asleep */
    void (*after)(struct scene *s);   /* parent, when its death is settled */
    const struct primitive *first;    /* in which another victim died, whom nobody has settled */
    pid_t (*start)(struct scene *s);  /* for a victim that is not an ordinary child */
};

/* Ends with one without a name. */
extern const struct primitive queue_primitives[], sleeper_primitives[], task_primitives[];

struct scene {
    mf_runtime *rt;
    mf_queue *q, *inner;
    mf_lock *lock;
    uint64_t blocks, objects; /* before the scene was set */
    unsigned seen[IDS];       /* by the parent */
    unsigned next;            /* number for the next message of who sets the scene */
    struct page *page;
    struct tally *tally;
    mf_process *victim, *partner;
    int32_t victim_pid;
    bool watching; /* the parent keeps the watch: see hold_watch */
    mf_pool *pool;
    mf_job *jobs[JOBS];
    uint32_t job_count;
    mf_code *code;
    /* Of the program: called in the victim around act, whoever calls that. */
    void (*enter)(struct scene *s);
    void (*leave)(struct scene *s);
};

_Noreturn void give_up(const char *why);

/* A family, two queues, a lock, and counts of what there is. */
void scene_set(struct scene *s, struct tally *tally);

/* Starts the victim of a primitive; its pid. It calls s->enter, act, s->leave. */
pid_t scene_start(struct scene *s, const struct primitive *p);

/* The victim is dead, or has ended. Settles that, uses all that it used, looks at the messages. */
void scene_survive(struct scene *s, const struct primitive *p);

/* Ends the family, and counts what is left. */
void scene_strike(struct scene *s);

/* Of heap.c: what is not in use is in a free list, and the count of units is right. */
bool heap_is_whole(mf_runtime *rt);

/* Is the process asleep in a system call? */
bool is_asleep(pid_t pid);

/* --- for primitives --- */

/* Puts message `id` into s->q. */
void scene_put(struct scene *s, size_t size, unsigned id);
void scene_put_urgent(struct scene *s, unsigned id); /* 8 bytes */
void scene_put_handles(struct scene *s, unsigned id);
void scene_put_words(struct scene *s); /* three, of a victim */
unsigned next_id(struct scene *s);

/* Takes one message from s->q, in a process other than the parent. */
void scene_get(struct scene *s, int64_t deadline);

/* A few slabs of a class that nothing else uses here, all of whose blocks are free again; and a
 * look at idle slabs, without the second between two of them. */
void scene_fill_slabs(struct scene *s);
void scene_trim_slabs(struct scene *s);

/* The parent takes one, or none. */
bool scene_see(struct scene *s);

/* Starts a child that holds what there is. */
mf_process *scene_child(struct scene *s, int (*main)(mf_runtime *rt, void *arg), void *arg);

/* Starts the partner, and waits until it sleeps; main sets page->dozing right before it does. */
void start_partner(struct scene *s, int (*main)(mf_runtime *rt, void *arg));

/* Joins the partner, which shall have been woken by now. */
void join_partner(struct scene *s);

/* While another keeps the watch a sleeper looks around once a second only: so long it does not find
 * by itself what nobody has told it. */
void hold_watch(struct scene *s);

#endif
