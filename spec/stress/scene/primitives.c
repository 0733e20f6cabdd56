/* primitives.c - queues, blocks, objects, locks, processes, and the settling of deaths in them. */
#include "scene.h"
#include "slab.h"
#include "unit.h"

#include <unistd.h>

/* --- scenes --------------------------------------------------------------------------------------
 */

static void set_some(struct scene *s)
{
    for (unsigned i = 0; i < 5; i++)
        scene_put(s, 20, i);
}

static void set_blocks(struct scene *s)
{
    for (unsigned i = 0; i < 5; i++)
        scene_put(s, 200, i);
}

static void set_large(struct scene *s)
{
    for (unsigned i = 0; i < 3; i++)
        scene_put(s, LARGE, i);
}

/* The first segment holds 15. */
static void set_full_segment(struct scene *s)
{
    for (unsigned i = 0; i < 15; i++)
        scene_put(s, 20, i);
}

static void set_nearly_full_segment(struct scene *s)
{
    for (unsigned i = 0; i < 13; i++)
        scene_put(s, 20, i);
}

static void set_read_segment(struct scene *s)
{
    for (unsigned i = 0; i < 17; i++)
        scene_put(s, i < 15 ? 20 : 200, i);
    for (int i = 0; i < 15; i++)
        scene_see(s);
}

/* The second segment is wide. */
static void set_wide(struct scene *s)
{
    for (unsigned i = 0; i < 18; i++)
        scene_put(s, i < 15 ? 20 : 100, i);
    for (int i = 0; i < 16; i++)
        scene_see(s);
}

static void fill_inner(struct scene *s)
{
    static const char text[100];
    for (int i = 0; i < 20; i++)
        mf_queue_put(s->rt, s->inner, text, sizeof text, NULL, 0, MF_FOREVER);
}

static void set_handles(struct scene *s)
{
    fill_inner(s);
    scene_put_handles(s, 0);
    scene_put_handles(s, 1);
}

/* The victim gets the last reference there is. */
static void set_last_reference(struct scene *s)
{
    fill_inner(s);
    scene_put_handles(s, 0);
    mf__object_drop(s->rt, s->inner);
    s->inner = NULL;
}

/* --- what the victim does ------------------------------------------------------------------------
 */

static void put_inline(struct scene *s)
{
    scene_put(s, 20, next_id(s));
}

static void put_block(struct scene *s)
{
    scene_put(s, 200, next_id(s));
}

static void put_wide(struct scene *s)
{
    scene_put(s, 100, next_id(s));
}

static void put_large(struct scene *s)
{
    scene_put(s, LARGE, next_id(s));
}

static void put_handles(struct scene *s)
{
    scene_put_handles(s, next_id(s));
}

static void get(struct scene *s)
{
    scene_get(s, 0);
}

static void block_small(struct scene *s)
{
    mf__block_free(s->rt, mf__block_new(s->rt, 100, s->rt->slot));
}

/* The first block of a class, which takes a slab; then one from the slab, then two from the list.
 */
static void block_slab(struct scene *s)
{
    struct mf_block *a = mf__block_new(s->rt, 30000, s->rt->slot);
    struct mf_block *b = mf__block_new(s->rt, 30000, MF_IN_HAND);
    mf__block_free(s->rt, a);
    mf__block_free(s->rt, b);
    a = mf__block_new(s->rt, 30000, s->rt->slot);
    b = mf__block_new(s->rt, 30000, s->rt->slot);
    mf__block_to_hand(s->rt, b);
    mf__block_from_hand(s->rt, b);
    mf__block_free(s->rt, a);
    mf__block_free(s->rt, b);
}

static void block_large(struct scene *s)
{
    struct mf_block *a = mf__block_new(s->rt, 100000, s->rt->slot);
    struct mf_block *b = mf__block_new(s->rt, 300000, s->rt->slot);
    mf__block_free(s->rt, a);
    a = mf__block_new(s->rt, 40000, MF_IN_HAND); /* cut from the run just freed */
    mf__block_free(s->rt, a);
    mf__block_free(s->rt, b);
}

void scene_fill_slabs(struct scene *s)
{
    enum { BLOCKS = 20 }; /* the first slab holds 2, the others 9 */
    struct mf_block *b[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        b[i] = mf__block_new(s->rt, 28000, s->rt->slot);
    for (int i = 0; i < BLOCKS; i++)
        mf__block_free(s->rt, b[i]);
}

void scene_trim_slabs(struct scene *s)
{
    s->rt->arena->slab_walk.next = 0;
    mf__slabs_trim(s->rt);
}

static void mark_slabs(struct scene *s)
{
    scene_fill_slabs(s);
    scene_trim_slabs(s);
}

static void trim(struct scene *s)
{
    struct mf_unit_pool *u = &s->rt->arena->units;
    mf__block_free(s->rt, mf__block_new(s->rt, 2 << 20, s->rt->slot));
    u->most = u->used;
    u->second = 0;
    u->next_trim = 0;
    mf__units_trim(s->rt);
}

static void object(struct scene *s)
{
    mf_queue *q = NULL;
    mf_lock *l = NULL;
    mf_queue_new(s->rt, 0, &q);
    mf_lock_new(s->rt, &l);
    if (q)
        mf__object_drop(s->rt, q);
    if (l)
        mf__object_drop(s->rt, l);
}

static void lock(struct scene *s)
{
    int32_t pid;
    mf_lock_acquire(s->rt, s->lock, MF_FOREVER, &pid);
}

static void unlock(struct scene *s)
{
    mf_lock_release(s->rt, s->lock);
}

static void end(struct scene *s)
{
    lock(s);
    scene_put(s, 200, next_id(s));
    mf_process_exit(s->rt, 0);
}

static int wait_for_the_end(mf_runtime *rt, void *arg)
{
    (void)rt, (void)arg;
    while (pause() < 0)
        ;
    return 0;
}

static void start(struct scene *s)
{
    mf_process *p;
    const uint64_t handle = mf__object_handle(s->rt, s->q);
    mf_process_start(
        s->rt, &(struct mf_start){.main = wait_for_the_end, .handles = &handle, .handle_count = 1},
        &p);
}

static void settle(struct scene *s)
{
    mf__death_check(s->rt);
}

/* --- the table -----------------------------------------------------------------------------------
 */

static const struct primitive put_block_at_end = {.set = set_full_segment, .act = put_block};
static const struct primitive put_large_block = {.set = set_large, .act = put_large};
static const struct primitive get_at_end = {.set = set_read_segment, .act = get};
static const struct primitive get_last = {.set = set_last_reference, .act = get};
static const struct primitive slab = {.act = block_slab};
static const struct primitive large = {.act = block_large};
static const struct primitive trimming = {.act = trim};
static const struct primitive dissolving = {.before = mark_slabs, .act = scene_trim_slabs};
static const struct primitive making = {.act = object};
static const struct primitive holding = {.act = lock};

const struct primitive queue_primitives[] = {
    {.name = "put inline", .weight = 1, .set = set_some, .act = put_inline},
    {.name = "put block", .weight = 1, .set = set_blocks, .act = put_block},
    {.name = "put large block", .weight = 1, .set = set_large, .act = put_large},
    {.name = "put into a wide segment", .weight = 1, .set = set_wide, .act = put_wide},
    {.name = "put at a segment's end", .weight = 1, .set = set_full_segment, .act = put_inline},
    {.name = "put block at a segment's end",
     .weight = 1,
     .set = set_full_segment,
     .act = put_block},
    {.name = "put handles", .weight = 1, .set = set_handles, .act = put_handles},
    {.name = "put words", .weight = 1, .set = set_some, .act = scene_put_words},
    {.name = "put words over a segment's end",
     .weight = 1,
     .set = set_nearly_full_segment,
     .act = scene_put_words},
    {.name = "get inline", .weight = 1, .set = set_some, .act = get},
    {.name = "get block", .weight = 1, .set = set_blocks, .act = get},
    {.name = "get large block", .weight = 1, .set = set_large, .act = get},
    {.name = "get from a wide segment", .weight = 1, .set = set_wide, .act = get},
    {.name = "get at a segment's end", .weight = 1, .set = set_read_segment, .act = get},
    {.name = "get from nothing", .weight = 1, .act = get},
    {.name = "get handles", .weight = 1, .set = set_handles, .act = get},
    {.name = "get the last reference", .weight = 10, .set = set_last_reference, .act = get},
    {.name = "allocate and free, small", .weight = 1, .act = block_small},
    {.name = "allocate and free, a slab", .weight = 2, .act = block_slab},
    {.name = "allocate and free, large", .weight = 2, .act = block_large},
    {.name = "give idle memory back", .weight = 20, .act = trim},
    {.name = "dissolve idle slabs",
     .weight = 10,
     .once = true,
     .before = mark_slabs,
     .act = scene_trim_slabs},
    {.name = "object new and drop", .weight = 5, .act = object},
    {.name = "lock", .weight = 1, .once = true, .act = lock},
    {.name = "unlock", .weight = 1, .before = lock, .act = unlock},
    {.name = "process start", .weight = 10, .once = true, .act = start},
    {.name = "process exit", .weight = 20, .once = true, .set = set_some, .act = end},
    {.name = "claim a dead putter's slot",
     .weight = 10,
     .set = set_full_segment,
     .act = settle,
     .first = &put_block_at_end},
    {.name = "claim a large putter's",
     .weight = 10,
     .set = set_large,
     .act = settle,
     .first = &put_large_block},
    {.name = "claim a getter's",
     .weight = 20,
     .set = set_read_segment,
     .act = settle,
     .first = &get_at_end},
    {.name = "claim the last holder's",
     .weight = 30,
     .set = set_last_reference,
     .act = settle,
     .first = &get_last},
    {.name = "claim an allocator's", .weight = 10, .act = settle, .first = &slab},
    {.name = "claim a large allocator's", .weight = 10, .act = settle, .first = &large},
    {.name = "claim a trimmer's", .weight = 20, .act = settle, .first = &trimming},
    {.name = "claim a dissolver's", .weight = 20, .act = settle, .first = &dissolving},
    {.name = "claim a maker's", .weight = 10, .act = settle, .first = &making},
    {.name = "claim a lock holder's", .weight = 10, .act = settle, .first = &holding},
    {0},
};
