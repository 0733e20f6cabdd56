/* scene.c - the family around a victim, and what must hold afterwards: see scene.h. */
#include "scene.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wchar.h>

unsigned faults(const struct tally *t)
{
    return t->stuck + t->torn + t->doubled + t->leaked + t->miscounted;
}

void tally_add(struct tally *sum, const struct tally *t)
{
    sum->points += t->points;
    sum->stuck += t->stuck;
    sum->torn += t->torn;
    sum->doubled += t->doubled;
    sum->leaked += t->leaked;
    sum->miscounted += t->miscounted;
}

_Noreturn void give_up(const char *why)
{
    perror(why);
    exit(2);
}

/* --- messages that show whether they are whole ---------------------------------------------------
 */

/* The middle of a large one stays as it is: a copy would be a million instructions. */
static void fill(uint8_t *at, size_t size, unsigned id)
{
    wmemset((wchar_t *)(void *)at, (wchar_t)id, (size < 1000 ? size : 8) / sizeof(wchar_t));
    wmemset((wchar_t *)(void *)(at + size - 8), (wchar_t)id, 2);
}

/* The number of a message, or IDS when it is not whole. */
static unsigned id_of(const struct mf_message *m)
{
    uint32_t word, id;
    memcpy(&id, m->data, sizeof id);
    for (size_t i = 0; i < m->size; i += i == 4 && m->size > 1000 ? m->size - 12 : sizeof word) {
        memcpy(&word, m->data + i, sizeof word);
        if (word != id)
            return IDS;
    }
    return id < IDS ? id : IDS;
}

unsigned next_id(struct scene *s)
{
    return FIRST_OF_VICTIMS + atomic_fetch_add(&s->page->next, 1);
}

static void finish_put(struct scene *s, unsigned id, int rc)
{
    if (rc == 0)
        atomic_store(&s->page->done[id], 1);
}

static int put_large(struct scene *s, size_t size, unsigned id)
{
    struct mf_block *b;
    uint8_t *data;
    int rc = mf__message_new(s->rt, NULL, size, NULL, 0, &b, &data);
    if (rc < 0)
        return rc;
    fill(data, size, id);
    rc = mf__queue_put_block(s->rt, s->q, b, size, 0, MF_FOREVER);
    if (rc < 0)
        mf__block_free(s->rt, b);
    return rc;
}

void scene_put(struct scene *s, size_t size, unsigned id)
{
    static _Alignas(8) uint8_t bytes[1000];
    atomic_store(&s->page->begun[id], 1);
    if (size > sizeof bytes) {
        finish_put(s, id, put_large(s, size, id));
        return;
    }
    fill(bytes, size, id);
    finish_put(s, id, mf_queue_put(s->rt, s->q, bytes, size, NULL, 0, MF_FOREVER));
}

void scene_put_words(struct scene *s)
{
    uint64_t words[3];
    unsigned ids[3];
    uint32_t put;
    atomic_fetch_add(&s->page->deaths, 2); /* one that leaves three messages open counts as three */
    for (int i = 0; i < 3; i++) {
        ids[i] = next_id(s);
        fill((uint8_t *)&words[i], sizeof words[i], ids[i]);
        atomic_store(&s->page->begun[ids[i]], 1);
    }
    mf__queue_put_words(s->rt, s->q, words, 3, &put);
    for (uint32_t i = 0; i < put; i++)
        finish_put(s, ids[i], 0);
}

void scene_put_urgent(struct scene *s, unsigned id)
{
    uint64_t word;
    fill((uint8_t *)&word, sizeof word, id);
    atomic_store(&s->page->begun[id], 1);
    finish_put(s, id, mf__queue_put_urgent(s->rt, s->q, word));
}

void scene_put_handles(struct scene *s, unsigned id)
{
    const uint64_t handles[] = {mf__object_handle(s->rt, s->inner),
                                mf__object_handle(s->rt, s->lock)};
    _Alignas(8) uint8_t bytes[20];
    fill(bytes, sizeof bytes, id);
    atomic_store(&s->page->begun[id], 1);
    finish_put(s, id, mf_queue_put(s->rt, s->q, bytes, sizeof bytes, handles, 2, MF_FOREVER));
}

void scene_get(struct scene *s, int64_t deadline)
{
    struct mf_message m;
    if (mf__queue_get(s->rt, s->q, &m, deadline) < 0)
        return;
    unsigned id = id_of(&m);
    if (id == IDS)
        atomic_fetch_add(&s->page->torn, 1);
    else
        atomic_fetch_add(&s->page->taken[id], 1);
    mf__queue_delivered(s->rt);
    if (id < IDS)
        atomic_fetch_add(&s->page->delivered[id], 1);
    mf__message_free(s->rt, &m);
}

/* A message's objects come with it: the parent takes them and lets them go. */
static void take_objects(struct scene *s, const struct mf_message *m)
{
    struct mf_object *o;
    for (uint32_t i = 0; i < m->handle_count; i++) {
        if (mf__object_hold(s->rt, m->handles[i], 0, &o) < 0)
            s->tally->torn++;
        else if (o != s->lock && o != s->inner)
            mf__object_drop(s->rt, o);
    }
}

/* Behind the last number of the producer of `id`. */
static unsigned end_of_producer(unsigned id)
{
    return id < FIRST_OF_VICTIMS   ? FIRST_OF_VICTIMS
           : id < FIRST_OF_PARTNER ? FIRST_OF_PARTNER
           : id < FIRST_OF_PARENT  ? FIRST_OF_PARENT
                                   : IDS;
}

bool scene_see(struct scene *s)
{
    struct mf_message m;
    if (mf__queue_get(s->rt, s->q, &m, 0) < 0)
        return false;
    unsigned id = id_of(&m);
    mf__queue_delivered(s->rt);
    if (id < IDS) {
        s->seen[id]++;
        for (unsigned later = id + 1; later < end_of_producer(id); later++)
            s->tally->torn += s->seen[later] > 0;
    }
    s->tally->torn += id == IDS || !atomic_load(&s->page->begun[id]);
    take_objects(s, &m);
    mf__message_free(s->rt, &m);
    return true;
}

/* --- processes -----------------------------------------------------------------------------------
 */

mf_process *scene_child(struct scene *s, int (*main)(mf_runtime *rt, void *arg), void *arg)
{
    mf_process *p;
    uint64_t handles[3];
    uint32_t n = 0;
    handles[n++] = mf__object_handle(s->rt, s->q);
    handles[n++] = mf__object_handle(s->rt, s->lock);
    if (s->inner)
        handles[n++] = mf__object_handle(s->rt, s->inner);
    struct mf_start start = {.main = main, .arg = arg, .handles = handles, .handle_count = n};
    if (mf_process_start(s->rt, &start, &p) < 0)
        give_up("cannot start a process");
    return p;
}

struct part {
    struct scene *scene;
    const struct primitive *primitive;
};

static int victim_main(mf_runtime *rt, void *arg)
{
    struct part *part = arg;
    struct scene *s = part->scene;
    s->rt = rt;
    if (part->primitive->before)
        part->primitive->before(s);
    s->enter(s);
    part->primitive->act(s);
    s->leave(s);
    _exit(0);
}

pid_t scene_start(struct scene *s, const struct primitive *p)
{
    if (p->start)
        return s->victim_pid = p->start(s);
    struct part part = {s, p};
    s->victim = scene_child(s, victim_main, &part);
    return s->victim_pid = mf_process_pid(s->victim);
}

bool is_asleep(pid_t pid)
{
    char path[40], text[200];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *state = strrchr(text, ')');
    return state && state[2] == 'S';
}

void start_partner(struct scene *s, int (*main)(mf_runtime *rt, void *arg))
{
    atomic_store(&s->page->dozing, 0);
    s->partner = scene_child(s, main, s);
    while (!atomic_load(&s->page->dozing) || !is_asleep(mf_process_pid(s->partner)))
        sched_yield();
}

static void join(struct scene *s, mf_process **p)
{
    if (*p) {
        while (mf_process_join(s->rt, *p, MF_FOREVER) == MF_EINTR)
            ;
        mf_process_free(s->rt, *p);
    }
    *p = NULL;
}

void join_partner(struct scene *s)
{
    join(s, &s->partner);
}

void hold_watch(struct scene *s)
{
    s->watching = pthread_mutex_trylock(&s->rt->arena->watch.m) == 0;
}

/* --- afterwards ----------------------------------------------------------------------------------
 */

static bool is_alone(mf_runtime *rt)
{
    for (uint32_t i = 0; i < atomic_load(&rt->arena->slot_top); i++)
        if (i != rt->slot && mf__phase(atomic_load(&mf__slot_at(rt, i)->state)) != MF_SLOT_FREE)
            return false;
    return true;
}

static void try_lock(struct scene *s)
{
    int32_t pid = 0;
    int rc = mf_lock_acquire(s->rt, s->lock, mf__deadline(5), &pid);
    if (rc < 0)
        s->tally->stuck++;
    else
        mf_lock_release(s->rt, s->lock);
}

/* put = got + queued + lost, message by message. */
static void compare(struct scene *s)
{
    struct page *page = s->page;
    struct mf_queue_stats stats;
    unsigned put = 0, open = 0, missing = 0, unsure = 0, deaths = atomic_load(&page->deaths) + 1;
    mf_queue_stats(s->q, &stats);
    for (unsigned id = 0; id < IDS; id++) {
        unsigned taken = atomic_load(&page->taken[id]), sure = atomic_load(&page->delivered[id]);
        put += atomic_load(&page->begun[id]);
        open += atomic_load(&page->begun[id]) && !atomic_load(&page->done[id]);
        missing += atomic_load(&page->begun[id]) && !sure && !s->seen[id];
        unsure += taken > sure;
        s->tally->doubled += taken + s->seen[id] > 1;
    }
    unsigned uncommitted = put - (unsigned)stats.put, gone = missing - uncommitted;
    bool good = stats.put <= put && uncommitted <= open && open <= deaths &&
                uncommitted <= missing && stats.lost <= gone && gone <= stats.lost + unsure &&
                gone <= deaths && stats.queued == 0;
    s->tally->miscounted += !good;
    s->tally->torn += atomic_load(&page->torn);
}

static void join_one(mf_process *p, void *arg)
{
    join(arg, &p);
}

void scene_survive(struct scene *s, const struct primitive *p)
{
    join(s, &s->victim);
    if (p->after)
        p->after(s);
    scene_put(s, 20, FIRST_OF_PARENT);
    join_partner(s);
    mf_process_each(s->rt, join_one, s);
    while (!is_alone(s->rt))
        mf__death_check(s->rt);
    scene_put(s, 20, FIRST_OF_PARENT + 1);
    while (scene_see(s))
        ;
    s->tally->stuck += !s->seen[FIRST_OF_PARENT + 1];
    try_lock(s);
    compare(s);
}

void scene_set(struct scene *s, struct tally *tally)
{
    static struct page *page;
    void (*enter)(struct scene *) = s->enter, (*leave)(struct scene *) = s->leave;
    if (!page)
        page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        give_up("no memory");
    memset((void *)page, 0, sizeof *page);
    *s = (struct scene){.tally = tally, .page = page, .next = 100, .enter = enter, .leave = leave};
    if (mf_open(&(struct mf_arena_options){.reserve = 64 << 20, .budget = 48 << 20}, &s->rt) < 0)
        give_up("no arena");
    s->rt->cpus = 1; /* nobody waits busily: who has nothing to do sleeps */
    s->blocks = mf__block_count(s->rt);
    s->objects = mf__object_count(s->rt);
    if (mf_queue_new(s->rt, 0, &s->q) < 0 || mf_queue_new(s->rt, 0, &s->inner) < 0 ||
        mf_lock_new(s->rt, &s->lock) < 0)
        give_up("no objects");
    /* Slabs are there of what is used most; few, because a claim walks through all. */
    static const size_t sizes[] = {100, 200, 1000, 2000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        mf__block_free(s->rt, mf__block_new(s->rt, sizes[i], s->rt->slot));
}

void scene_strike(struct scene *s)
{
    if (s->watching)
        pthread_mutex_unlock(&s->rt->arena->watch.m);
    mf__object_drop(s->rt, s->q);
    mf__object_drop(s->rt, s->lock);
    if (s->inner)
        mf__object_drop(s->rt, s->inner);
    s->tally->leaked += mf__block_count(s->rt) != s->blocks;
    s->tally->leaked += mf__object_count(s->rt) != s->objects;
    s->tally->leaked += !heap_is_whole(s->rt);
    mf_close(s->rt);
}
