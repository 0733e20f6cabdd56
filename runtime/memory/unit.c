/* unit.c - runs of 64 KiB units: see unit.h. */
#include "unit.h"

#include "crash.h"
#include "slot.h"

#include <errno.h>
#include <sys/mman.h>

#define RUN_USED UINT32_C(0x80000000)
#define RUN_LENGTH UINT32_C(0x00ffffff)
#define RUN_COLD UINT32_C(0x01000000) /* in the word of a free run: pages of it may be missing */
#define RUN_WARM UINT32_C(0x02000000) /* likewise: pages of it may be there */
#define RUN_PAGES (RUN_COLD | RUN_WARM)

#define WALK_AGAIN 64      /* the part of the map that is given back before a walk is tried again */
#define TRIM_KEEPS 512u    /* idle units that always stay: 32 MiB, or a 64th of the budget */
#define TRIM_AT_ONCE 2048u /* units whose pages are given back in a call: 128 MiB, some 30 ms */

typedef _Atomic uint32_t map_word;

static map_word *map(const mf_runtime *rt)
{
    return mf__at(rt, rt->map_at);
}

static bool is_free(uint32_t word)
{
    return word && !(word & RUN_USED);
}

/* 0 behind the end of the map. */
static uint32_t get(const mf_runtime *rt, uint32_t unit)
{
    return unit < rt->unit_max ? atomic_load_explicit(&map(rt)[unit], memory_order_acquire) : 0;
}

/* The commit of every change of the map. */
static void set(const mf_runtime *rt, uint32_t unit, uint32_t word)
{
    if (unit < rt->unit_max)
        atomic_store_explicit(&map(rt)[unit], word, memory_order_release);
}

/* The length of the run that begins at a unit. Whatever the map says, it ends with the arena. */
static uint32_t length(const mf_runtime *rt, uint32_t unit)
{
    uint32_t n = get(rt, unit) & RUN_LENGTH, most = unit < rt->unit_max ? rt->unit_max - unit : 0;
    return n < most ? n : most;
}

/* From run to run: how far a walk goes on. */
static uint32_t step(const mf_runtime *rt, uint32_t unit)
{
    uint32_t n = length(rt, unit);
    return n ? n : 1;
}

/* Where walks end. */
static uint32_t top_of(const mf_runtime *rt)
{
    uint32_t top = atomic_load(&rt->arena->units.top);
    return top < rt->unit_max ? top : rt->unit_max;
}

void mf__units_init(mf_runtime *rt, uint32_t budget)
{
    struct mf_unit_pool *u = &rt->arena->units;
    mf__mutex_init(&u->lock);
    u->budget = u->keep = budget;
    u->second = mf__now() + MF_SECOND;
}

/* After a death inside: words inside runs may be stale and the caches wrong; and the victim's run
 * is its own only if the map says that it is used. */
static void settle(mf_runtime *rt)
{
    struct mf_unit_pool *u = &rt->arena->units;
    uint32_t victim = atomic_load_explicit(&u->lock.holder, memory_order_relaxed);
    if (victim) {
        _Atomic uint32_t *run = &mf__slot_at(rt, victim - 1)->run;
        uint32_t unit = atomic_load(run);
        if (unit && !(get(rt, unit - 1) & RUN_USED))
            mf__note(run, 0);
        MF_CRASH("unit.settle.run");
    }
    uint32_t used = 0;
    for (uint32_t i = 0, n, top = top_of(rt); i < top; i += n) {
        n = step(rt, i);
        used += get(rt, i) & RUN_USED ? n : 0;
        for (uint32_t k = i + 1; k < i + n; k++)
            set(rt, k, 0);
    }
    for (int i = 0; i < MF_FREE_HINTS; i++)
        u->hints[i] = 0;
    u->absent = 0;
    u->is_warm = true;
    MF_CRASH("unit.settle.wiped");
    u->used = used;
}

static int lock_until(mf_runtime *rt, int64_t deadline)
{
    struct mf_mutex *x = &rt->arena->units.lock;
    int rc = mf__mutex_lock(x, rt->slot, deadline);
    if (rc == MF_OWNER_DIED) {
        settle(rt);
        mf__mutex_settled(x, rt->slot);
        rc = 0;
    }
    return rc;
}

static void lock(mf_runtime *rt)
{
    lock_until(rt, MF_FOREVER);
}

/* Makes one run of the free run at i and the free runs right behind it that have the flags. */
static uint32_t merge(mf_runtime *rt, uint32_t i, uint32_t flags)
{
    uint32_t n = length(rt, i), top = top_of(rt), pages = get(rt, i) & RUN_PAGES, word;
    while (i + n < top && is_free(word = get(rt, i + n)) && (word & flags) == flags) {
        uint32_t behind = i + n;
        pages |= word & RUN_PAGES;
        n += length(rt, behind);
        set(rt, i, pages | n);
        MF_CRASH("unit.merge.longer");
        set(rt, behind, 0);
    }
    return n;
}

/* Makes two runs of the free run at i, of which the first has n units. */
static void split(mf_runtime *rt, uint32_t i, uint32_t n)
{
    uint32_t whole = length(rt, i), pages = get(rt, i) & RUN_PAGES;
    if (n == 0 || n >= whole)
        return;
    set(rt, i + n, pages | (whole - n)); /* inside a free run nobody looks: not a commit yet */
    MF_CRASH("unit.split.prepared");
    set(rt, i, pages | n);
}

/* Cuts n units off the free run at i and marks them used, their content still unknown. */
static void cut(mf_runtime *rt, uint32_t i, uint32_t n)
{
    uint32_t whole = length(rt, i), pages = get(rt, i) & RUN_PAGES;
    if (whole > n)
        set(rt, i + n, pages | (whole - n)); /* inside a free run nobody looks: not a commit yet */
    MF_CRASH("unit.take.cut");
    set(rt, i, RUN_USED | MF_RUN_RAW << 24 | n);
    MF_CRASH("unit.take.marked");
}

/* A free run that was given back lately and is long enough, with its hint; or -1, and NULL. */
static int64_t find_hot(mf_runtime *rt, uint32_t n, uint32_t **ret_hint)
{
    struct mf_unit_pool *u = &rt->arena->units;
    for (uint32_t k = 1; k <= MF_FREE_HINTS; k++) {
        *ret_hint = &u->hints[(u->hint - k) % MF_FREE_HINTS];
        uint32_t hint = **ret_hint;
        if (hint && is_free(get(rt, hint - 1)) && merge(rt, hint - 1, 0) >= n)
            return hint - 1;
    }
    *ret_hint = NULL;
    return -1;
}

/* Walks the whole map, merging on the way. */
static int64_t find_cold(mf_runtime *rt, uint32_t n)
{
    struct mf_unit_pool *u = &rt->arena->units;
    uint32_t top = top_of(rt);
    for (uint32_t i = 0; i < top; i += step(rt, i))
        if (is_free(get(rt, i)) && merge(rt, i, 0) >= n)
            return i;
    u->absent = n;
    u->given = 0;
    return -1;
}

/* May a walk find n units? Where the last one found none, not until a part of the map was given
 * back since: else many takes, from a map full of runs that are too short, would walk through all
 * of them each. */
static bool may_find(mf_runtime *rt, uint32_t n)
{
    struct mf_unit_pool *u = &rt->arena->units;
    bool is_known = u->absent && n >= u->absent && u->given < u->top / WALK_AGAIN;
    return u->top - u->used >= n && !is_known;
}

/* Grows the used part of the map by a free run of n units at its end, or -1. */
static int64_t extend(mf_runtime *rt, uint32_t n)
{
    struct mf_unit_pool *u = &rt->arena->units;
    uint32_t i = top_of(rt);
    if (n > rt->unit_max - i)
        return -1;
    set(rt, i, RUN_COLD | n);
    MF_CRASH("unit.extend.worded");
    mf__note(&u->top, i + n); /* a word below the top is never 0 where a run begins */
    MF_CRASH("unit.extend.topped");
    return i;
}

/* Gives fresh pages a frame each in one call; a refusal is an answer where a fault would kill. */
static int populate(void *at, size_t size)
{
#ifdef MADV_POPULATE_WRITE
    if (madvise(at, size, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno != EINVAL)
        return MF_ENOMEM;
#endif
    for (size_t i = 0; i < size; i += 4096)
        atomic_store_explicit((_Atomic uint8_t *)at + i, 0, memory_order_relaxed);
    return 0;
}

/* What is left of a free run takes the place of its hint. Without that many takes from a long run
 * would walk the whole map each, through all that they have taken. */
static void hint_at_rest(mf_runtime *rt, uint32_t *hint, uint32_t rest)
{
    struct mf_unit_pool *u = &rt->arena->units;
    if (rest < top_of(rt) && is_free(get(rt, rest))) {
        if (!hint)
            hint = &u->hints[u->hint++ % MF_FREE_HINTS];
        *hint = rest + 1;
    }
}

int mf__units_take(mf_runtime *rt, uint32_t n, uint32_t *ret_unit)
{
    struct mf_unit_pool *u = &rt->arena->units;
    uint32_t *hint;
    bool cold = false;
    int64_t at = -1;
    lock(rt);
    if (n <= u->budget && u->used <= u->budget - n) {
        at = find_hot(rt, n, &hint);
        if (at < 0 && may_find(rt, n))
            at = find_cold(rt, n);
        if (at < 0)
            at = extend(rt, n);
        if (at < 0)
            at = find_cold(rt, n);
    }
    if (at >= 0) {
        cold = get(rt, (uint32_t)at) & RUN_COLD;
        mf__note(&rt->self->run, (uint32_t)at + 1);
        MF_CRASH("unit.take.noted_run");
        cut(rt, (uint32_t)at, n);
        hint_at_rest(rt, hint, (uint32_t)at + n);
        u->used += n;
        u->most = u->used > u->most ? u->used : u->most;
    }
    mf__mutex_unlock(&u->lock);
    MF_CRASH("unit.take.unlocked");
    if (at < 0)
        return MF_ENOMEM;
    if (cold && populate(mf__at(rt, mf__unit_offset(rt, (uint32_t)at)), (size_t)n * MF_UNIT) < 0) {
        mf__units_give(rt, (uint32_t)at);
        return MF_ENOMEM;
    }
    MF_CRASH("unit.take.populated");
    *ret_unit = (uint32_t)at;
    return 0;
}

/* What is known of the pages of a run that held `tag`. Where nobody has come to use it, they were
 * refused, or its taker was killed. */
static uint32_t pages_after(uint32_t tag)
{
    if (tag == MF_RUN_GONE)
        return RUN_COLD;
    return tag == MF_RUN_RAW ? RUN_PAGES : RUN_WARM;
}

void mf__units_give(mf_runtime *rt, uint32_t unit)
{
    struct mf_unit_pool *u = &rt->arena->units;
    lock(rt);
    uint32_t n = length(rt, unit), tag = get(rt, unit) >> 24 & 127;
    set(rt, unit, pages_after(tag) | n);
    MF_CRASH("unit.give.marked");
    u->used -= n;
    u->given += n;
    if (tag != MF_RUN_GONE) {
        u->hints[u->hint++ % MF_FREE_HINTS] = unit + 1;
        u->is_warm = true;
    }
    MF_CRASH("unit.give.hinted");
    mf__note(&rt->self->run, 0); /* inside the lock: outside, the run may be another's */
    MF_CRASH("unit.give.forgotten");
    mf__mutex_unlock(&u->lock);
}

static void forget_hints(mf_runtime *rt, uint32_t unit)
{
    for (int i = 0; i < MF_FREE_HINTS; i++)
        if (rt->arena->units.hints[i] == unit + 1)
            rt->arena->units.hints[i] = 0;
}

/* The first warm run behind as many warm units as are to stay, or -1. */
static int64_t find_idle(mf_runtime *rt, uint32_t keep)
{
    uint32_t top = top_of(rt), n;
    for (uint32_t i = 0; i < top; i += n) {
        n = step(rt, i);
        if (!is_free(get(rt, i)) || !(get(rt, i) & RUN_WARM))
            continue;
        if (keep == 0)
            return i;
        n = merge(rt, i, RUN_WARM);
        split(rt, i, keep);
        n = step(rt, i);
        keep -= n < keep ? n : keep;
    }
    return -1;
}

/* Takes a part of that, raw, and noted in self->run. Its length, or 0. */
static uint32_t take_idle(mf_runtime *rt, uint32_t keep, uint32_t *ret_unit)
{
    struct mf_unit_pool *u = &rt->arena->units;
    int64_t at = find_idle(rt, keep);
    if (at < 0)
        return 0;
    uint32_t unit = (uint32_t)at, n = merge(rt, unit, RUN_WARM);
    n = n < TRIM_AT_ONCE ? n : TRIM_AT_ONCE;
    if (n == 0 || n > u->budget || u->used > u->budget - n)
        return 0;
    mf__note(&rt->self->run, unit + 1);
    MF_CRASH("unit.trim.noted_run");
    cut(rt, unit, n);
    forget_hints(rt, unit);
    u->used += n;
    *ret_unit = unit;
    return n;
}

static uint32_t least_kept(const struct mf_unit_pool *u)
{
    return u->budget / 64 < TRIM_KEEPS ? u->budget / 64 : TRIM_KEEPS;
}

/* How many warm units are to stay: as many as were in use, beyond those that are, in the last
 * second and in this one. */
static uint32_t to_keep(mf_runtime *rt, int64_t now)
{
    struct mf_unit_pool *u = &rt->arena->units;
    uint32_t lately = u->most > u->used ? u->most - u->used : 0;
    if (now >= u->second) {
        u->keep = lately > least_kept(u) ? lately : least_kept(u);
        u->most = u->used;
        u->second = now + MF_SECOND;
    }
    return u->keep > lately ? u->keep : lately;
}

/* Takes what is to be given back, if there is something; else the next second decides. */
static uint32_t begin_to_trim(mf_runtime *rt, int64_t now, uint32_t *ret_unit)
{
    struct mf_unit_pool *u = &rt->arena->units;
    uint32_t keep = to_keep(rt, now), n = u->is_warm ? take_idle(rt, keep, ret_unit) : 0;
    if (n == 0) {
        u->is_warm = u->is_warm && keep > least_kept(u);
        atomic_store_explicit(&u->next_trim, u->second, memory_order_relaxed);
    }
    return n;
}

void mf__units_trim(mf_runtime *rt)
{
    struct mf_unit_pool *u = &rt->arena->units;
    int64_t now = mf__now();
    uint32_t unit;
    if (now < atomic_load_explicit(&u->next_trim, memory_order_relaxed))
        return;
    lock(rt);
    uint32_t n = begin_to_trim(rt, now, &unit);
    mf__mutex_unlock(&u->lock);
    if (n == 0)
        return;
    MF_CRASH("unit.trim.taken");
    madvise(mf__at(rt, mf__unit_offset(rt, unit)), (size_t)n * MF_UNIT, MADV_REMOVE);
    MF_CRASH("unit.trim.removed");
    mf__units_tag(rt, unit, MF_RUN_GONE); /* also where the system keeps them: it would again */
    mf__units_give(rt, unit);
}

void mf__units_tag(mf_runtime *rt, uint32_t unit, uint32_t tag)
{
    set(rt, unit, RUN_USED | tag << 24 | length(rt, unit));
}

int mf__units_visit(mf_runtime *rt, int64_t deadline)
{
    int rc = lock_until(rt, deadline);
    if (rc == 0)
        mf__mutex_unlock(&rt->arena->units.lock);
    return rc;
}

uint32_t mf__units_length(const mf_runtime *rt, uint32_t unit)
{
    return length(rt, unit);
}

uint32_t mf__units_tag_of(const mf_runtime *rt, uint32_t unit)
{
    uint32_t word = get(rt, unit);
    return word & RUN_USED ? word >> 24 & 127 : MF_RUN_NONE;
}

bool mf__units_next(mf_runtime *rt, uint32_t *unit, uint32_t *ret_n, uint32_t *ret_tag)
{
    lock(rt);
    uint32_t top = top_of(rt);
    while (*unit < top && !(get(rt, *unit) & RUN_USED))
        *unit += step(rt, *unit);
    *ret_n = step(rt, *unit);
    *ret_tag = mf__units_tag_of(rt, *unit);
    mf__mutex_unlock(&rt->arena->units.lock);
    return *unit < top;
}

void mf__units_each(mf_runtime *rt,
                    void (*see)(mf_runtime *rt, uint32_t unit, uint32_t n, uint32_t tag, void *arg),
                    void *arg)
{
    /* The lock is taken for each run, not for the walk: see() may be slow, and takes locks. */
    for (uint32_t unit = 0, n, tag; mf__units_next(rt, &unit, &n, &tag); unit += n)
        see(rt, unit, n, tag, arg);
}
