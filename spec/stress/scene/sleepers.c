/*
 * sleepers.c - a victim that falls asleep, or wakes somebody.
 *
 * Where two sleep, the victim is the first: what wakes one wakes it, and when it is killed with
 * that wake in hand, the partner must be told by who settles the death. It would find out by itself
 * a second later: so it counts as stuck when it still sleeps, by the kernel's word, right after the
 * death was settled.
 */
#include "scene.h"

#include <sched.h>

/* --- partners ------------------------------------------------------------------------------------
 */

static struct scene *doze(mf_runtime *rt, void *arg)
{
    struct scene *s = arg;
    s->rt = rt;
    atomic_store(&s->page->dozing, 1);
    return s;
}

static int take_one(mf_runtime *rt, void *arg)
{
    scene_get(doze(rt, arg), MF_FOREVER);
    return 0;
}

static int gather(mf_runtime *rt, void *arg, unsigned n, unsigned takes)
{
    struct scene *s = doze(rt, arg);
    mf__queue_gather(rt, s->q, n, MF_FOREVER);
    while (takes--)
        scene_get(s, MF_FOREVER);
    return 0;
}

static int gather_three(mf_runtime *rt, void *arg)
{
    return gather(rt, arg, 3, 3);
}

static int gather_many(mf_runtime *rt, void *arg)
{
    return gather(rt, arg, 100, 1);
}

static int put_one(mf_runtime *rt, void *arg)
{
    scene_put(doze(rt, arg), 20, FIRST_OF_PARTNER);
    return 0;
}

static int hold_once(mf_runtime *rt, void *arg)
{
    int32_t pid;
    struct scene *s = doze(rt, arg);
    mf_lock_acquire(rt, s->lock, MF_FOREVER, &pid);
    mf_lock_release(rt, s->lock);
    return 0;
}

static int wait_for_close(mf_runtime *rt, void *arg)
{
    struct mf_message m;
    struct scene *s = doze(rt, arg);
    mf__queue_get(rt, s->inner, &m, MF_FOREVER);
    return 0;
}

/* --- scenes --------------------------------------------------------------------------------------
 */

/* A queue that is full. */
static void set_narrow(struct scene *s)
{
    hold_watch(s);
    mf__object_drop(s->rt, s->q);
    if (mf_queue_new(s->rt, 2, &s->q) < 0)
        give_up("no queue");
    for (unsigned i = 0; i < 2; i++)
        scene_put(s, 20, i);
}

static void parent_holds(struct scene *s)
{
    int32_t pid;
    hold_watch(s);
    mf_lock_acquire(s->rt, s->lock, MF_FOREVER, &pid);
}

static void partner_takes(struct scene *s)
{
    start_partner(s, take_one);
}

static void partner_gathers(struct scene *s)
{
    start_partner(s, gather_three);
}

static void partner_gathers_many(struct scene *s)
{
    start_partner(s, gather_many);
}

static void partner_waits_for_the_lock(struct scene *s)
{
    start_partner(s, hold_once);
}

static void partner_waits_for_the_end(struct scene *s)
{
    start_partner(s, wait_for_close);
}

/* --- the victim ----------------------------------------------------------------------------------
 */

static void get_asleep(struct scene *s)
{
    scene_get(s, MF_FOREVER);
}

static void put(struct scene *s)
{
    scene_put(s, 20, next_id(s));
}

static void look(struct scene *s)
{
    mf_queue_wait(s->rt, s->q, MF_FOREVER);
    scene_get(s, 0);
}

static void gather_asleep(struct scene *s)
{
    mf__queue_gather(s->rt, s->q, 2, MF_FOREVER);
    scene_get(s, 0);
}

static void gather_in_vain(struct scene *s)
{
    mf__queue_gather(s->rt, s->q, 100, mf__deadline(0.005));
}

static void put_urgent(struct scene *s)
{
    scene_put_urgent(s, next_id(s));
}

static void lock(struct scene *s)
{
    int32_t pid;
    mf_lock_acquire(s->rt, s->lock, MF_FOREVER, &pid);
    atomic_fetch_add(&s->page->turns, 1);
}

static void unlock(struct scene *s)
{
    mf_lock_release(s->rt, s->lock);
}

static void lock_and_unlock(struct scene *s)
{
    lock(s);
    unlock(s);
}

static void close_inner(struct scene *s)
{
    mf_queue_close(s->rt, s->inner);
}

/* --- waking it -----------------------------------------------------------------------------------
 */

static void second_getter_and_a_message(struct scene *s)
{
    if (!s->partner)
        start_partner(s, take_one);
    scene_put(s, 20, s->next++);
}

static void a_message(struct scene *s)
{
    scene_put(s, 20, s->next++);
}

static void two_messages(struct scene *s)
{
    scene_put(s, 20, s->next++);
    scene_put(s, 20, s->next++);
}

static void second_putter_and_room(struct scene *s)
{
    if (!s->partner)
        start_partner(s, put_one);
    scene_see(s);
}

static void second_locker_and_release(struct scene *s)
{
    if (!s->partner)
        start_partner(s, hold_once);
    mf_lock_release(s->rt, s->lock);
}

/* --- afterwards ----------------------------------------------------------------------------------
 */

/* What the partner waits for is there: it was woken, and ends. */
static void expect_partner(struct scene *s)
{
    if (s->partner && is_asleep(mf_process_pid(s->partner)))
        s->tally->stuck++;
    join_partner(s);
}

static void let_partner_take(struct scene *s)
{
    if (mf_queue_size(s->q))
        expect_partner(s);
}

/* Whoever comes after a dead one that gathered is woken for each message. */
static void let_another_take(struct scene *s)
{
    while (scene_see(s))
        ;
    start_partner(s, take_one);
    scene_put(s, 20, s->next++);
    expect_partner(s);
}

static void let_partner_gather(struct scene *s)
{
    while (mf_queue_size(s->q) < 3)
        scene_put(s, 20, s->next++);
    expect_partner(s);
}

static void let_partner_hurry(struct scene *s)
{
    if (!mf_queue_size(s->q))
        scene_put_urgent(s, s->next++);
    expect_partner(s);
}

/* One place is free, or the victim has had it. */
static void make_room(struct scene *s)
{
    while (mf_queue_size(s->q) == mf_queue_capacity(s->q))
        scene_see(s);
    expect_partner(s);
    while (scene_see(s))
        ;
}

static void release(struct scene *s)
{
    if (mf_lock_is_mine(s->rt, s->lock))
        mf_lock_release(s->rt, s->lock);
    expect_partner(s);
}

static void close_if_open(struct scene *s)
{
    if (!mf_queue_is_closed(s->inner))
        mf_queue_close(s->rt, s->inner);
    expect_partner(s);
}

const struct primitive sleeper_primitives[] = {
    {.name = "wait: get, asleep",
     .weight = 1,
     .set = hold_watch,
     .act = get_asleep,
     .wake = second_getter_and_a_message,
     .after = let_partner_take},
    {.name = "wait: get, asleep on watch", .weight = 1, .act = get_asleep, .wake = a_message},
    {.name = "wait: put, asleep",
     .weight = 1,
     .set = set_narrow,
     .act = put,
     .wake = second_putter_and_room,
     .after = make_room},
    {.name = "wait: lock, asleep",
     .weight = 1,
     .set = parent_holds,
     .act = lock_and_unlock,
     .wake = second_locker_and_release,
     .after = release},
    {.name = "wait: look, asleep",
     .weight = 1,
     .set = hold_watch,
     .act = look,
     .wake = second_getter_and_a_message,
     .after = let_partner_take},
    {.name = "wait: gather, asleep",
     .weight = 1,
     .set = hold_watch,
     .act = gather_asleep,
     .wake = two_messages,
     .after = let_another_take},
    {.name = "wait: gather, in vain",
     .weight = 1,
     .set = hold_watch,
     .act = gather_in_vain,
     .after = let_another_take},
    {.name = "wake: put",
     .weight = 1,
     .set = hold_watch,
     .prepare = partner_takes,
     .act = put,
     .after = let_partner_take},
    {.name = "wake: put for who gathers",
     .weight = 1,
     .set = hold_watch,
     .prepare = partner_gathers,
     .act = scene_put_words,
     .after = let_partner_gather},
    {.name = "wake: put in a hurry",
     .weight = 1,
     .set = hold_watch,
     .prepare = partner_gathers_many,
     .act = put_urgent,
     .after = let_partner_hurry},
    {.name = "wake: unlock",
     .weight = 1,
     .set = hold_watch,
     .before = lock,
     .prepare = partner_waits_for_the_lock,
     .act = unlock,
     .after = release},
    {.name = "wake: close",
     .weight = 1,
     .set = hold_watch,
     .prepare = partner_waits_for_the_end,
     .act = close_inner,
     .after = close_if_open},
    {0},
};
