/* block_test.c - blocks of every size, compared with a model; the unit map after each storm. */
#include "check.h"

#include "block.h"
#include "process.h"
#include "slab.h"
#include "slot.h"
#include "unit.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static mf_runtime *open_family(size_t reserve, size_t budget)
{
    mf_runtime *rt;
    CHECK(mf_open(&(struct mf_arena_options){.reserve = reserve, .budget = budget}, &rt) == 0);
    return rt;
}

static void note_run(mf_runtime *rt, uint32_t unit, uint32_t n, uint32_t tag, void *arg)
{
    uint32_t *end = arg;
    (void)tag;
    CHECK(n > 0 && unit >= *end && unit + n <= rt->arena->units.top);
    *end = unit + n;
}

/* Walks the map by lengths from unit 0 to top, and counts what is in use. */
static void check_map(mf_runtime *rt)
{
    struct mf_unit_pool *u = &rt->arena->units;
    const _Atomic uint32_t *map = mf__at(rt, rt->map_at);
    uint32_t used = 0, i = 0, end = 0;
    while (i < u->top) {
        uint32_t n = mf__units_length(rt, i);
        CHECK(n > 0 && i + n <= u->top);
        used += map[i] >> 31 ? n : 0;
        for (uint32_t k = i + 1; k < i + n; k++)
            CHECK(map[k] == 0);
        i += n;
    }
    CHECK(i == u->top && used == u->used && used <= u->budget && u->top <= rt->unit_max);
    mf__units_each(rt, note_run, &end);
}

static void check_at_rest(mf_runtime *rt)
{
    CHECK(rt->self->fresh == 0 && rt->self->hand == 0 && rt->self->run == 0);
    CHECK(rt->self->segment == 0 && rt->self->busy == 0 && rt->self->seq == MF_NO_SEQ);
    CHECK(mf__block_count(rt) == 0 && rt->self->owned == 0);
    check_map(rt);
}

static void a_block_has_room_for_its_size_and_stands_on_16_bytes(void)
{
    mf_runtime *rt = open_family(0, 256 << 20);
    for (size_t size = 0; size < 200000; size += size < 5000 ? 1 : 997) {
        struct mf_block *b = mf__block_new(rt, size, rt->slot);
        CHECK(b && (uintptr_t)b->payload % 16 == 0 && mf__block_room(rt, b) >= size);
        CHECK(size < 200 || size > 32000 || mf__block_room(rt, b) < size + size / 4 + 16);
        memset(b->payload, 0xa5, mf__block_room(rt, b));
        mf__block_free(rt, b);
    }
    check_at_rest(rt);
    mf_close(rt);
}

static void a_size_beyond_the_arena_gives_null(void)
{
    mf_runtime *rt = open_family(64 << 20, 32 << 20);
    CHECK(!mf__block_new(rt, SIZE_MAX, rt->slot) && !mf__block_new(rt, SIZE_MAX - 15, rt->slot));
    CHECK(!mf__block_new(rt, (size_t)1 << 40, rt->slot) && !mf__block_new(rt, 33 << 20, rt->slot));
    struct mf_block *b = mf__block_new(rt, 31 << 20, rt->slot);
    CHECK(b);
    mf__block_free(rt, b);
    mf__block_free(rt, NULL);
    check_at_rest(rt);
    mf_close(rt);
}

struct model {
    struct mf_block *b;
    size_t size;
    uint8_t byte;
};

static void paint(struct model *m)
{
    memset(m->b->payload, m->byte, m->size < 4096 ? m->size : 4096);
    if (m->size)
        m->b->payload[m->size - 1] = m->byte;
}

static void look(const struct model *m)
{
    for (size_t i = 0; i < m->size && i < 4096; i += 61)
        CHECK(m->b->payload[i] == m->byte);
    CHECK(!m->size || m->b->payload[m->size - 1] == m->byte);
}

static size_t random_size(unsigned *state)
{
    unsigned kind = check_random(state) % 16;
    unsigned limit = kind < 10 ? 300 : kind < 14 ? 40000 : kind < 15 ? 300000 : 3000000;
    return check_random(state) % limit;
}

static void a_storm_of_blocks_keeps_every_byte_apart(void)
{
    mf_runtime *rt = open_family(0, 128 << 20);
    static struct model model[500];
    unsigned state = 1, refused = 0;
    for (int step = 0; step < 200000; step++) {
        struct model *m = &model[check_random(&state) % 500];
        if (m->b) {
            look(m);
            mf__block_free(rt, m->b);
            m->b = NULL;
            continue;
        }
        m->size = random_size(&state);
        m->byte = (uint8_t)step;
        m->b = mf__block_new(rt, m->size, step % 7 ? rt->slot : MF_IN_HAND);
        refused += !m->b;
        if (!m->b)
            continue;
        if (step % 7 == 0)
            mf__block_from_hand(rt, m->b);
        paint(m);
        if (step % 5000 == 0)
            check_map(rt);
    }
    uint64_t live = 0;
    for (int i = 0; i < 500; i++)
        live += model[i].b != NULL;
    CHECK(refused == 0 && mf__block_count(rt) == live && rt->self->owned == live);
    for (int i = 0; i < 500; i++)
        mf__block_free(rt, model[i].b);
    check_at_rest(rt);
    mf_close(rt);
}

/* Takes blocks of a size until there are no more, then gives them back. */
static unsigned exhaust(mf_runtime *rt, size_t size)
{
    static struct mf_block *got[1 << 17];
    unsigned n = 0;
    while (n < 1 << 17 && (got[n] = mf__block_new(rt, size, rt->slot)) != NULL)
        n++;
    CHECK(n < 1 << 17);
    check_map(rt);
    for (unsigned i = 0; i < n; i++)
        mf__block_free(rt, got[i % 2 ? i : n - 1 - (n - 1) % 2 - i]);
    check_at_rest(rt);
    return n;
}

static void an_exhausted_budget_gives_null_and_recovers(void)
{
    mf_runtime *rt = open_family(64 << 20, 16 << 20);
    unsigned large = exhaust(rt, 1 << 20), odd = exhaust(rt, 100000);
    CHECK(large == 15 && odd == 128);
    CHECK(exhaust(rt, 1 << 20) == large && exhaust(rt, 100000) == odd);
    unsigned small = exhaust(rt, 1000);
    CHECK(small > 10000 && exhaust(rt, 1000) == small);
    CHECK(!mf__block_new(rt, 1 << 20, rt->slot)); /* small memory stays in its class */
    mf_close(rt);
}

static void neighbours_that_are_free_become_one_run(void)
{
    mf_runtime *rt = open_family(64 << 20, 16 << 20);
    struct mf_block *b[16];
    for (int i = 0; i < 16; i++)
        CHECK((b[i] = mf__block_new(rt, 900000, rt->slot)) != NULL);
    for (int i = 0; i < 16; i += 2)
        mf__block_free(rt, b[i]);
    for (int i = 1; i < 16; i += 2)
        mf__block_free(rt, b[i]);
    struct mf_block *all = mf__block_new(rt, 15 << 20, rt->slot);
    CHECK(all);
    mf__block_free(rt, all);
    mf_close(rt);
}

/* With so much address space, is the first process of a family opened, and works? */
static int open_within(rlim_t bytes)
{
    mf_runtime *rt;
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes});
        int rc = mf_open(NULL, &rt);
        if (rc < 0)
            _exit(rc == MF_ENOMEM ? 1 : 2);
        struct mf_block *b = mf__block_new(rt, 100000, rt->slot);
        mf__block_free(rt, b);
        bool good = b && rt->reserve <= bytes / 4;
        mf_close(rt);
        _exit(good ? 0 : 3);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The address space of this process, which is huge where a sanitizer, or valgrind, has its own. */
static size_t address_space(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    return pages * 4096;
}

/* Takes of a run each; the unit of the last one. */
static uint32_t take_runs(mf_runtime *rt, uint32_t n, uint32_t *ret_units)
{
    for (uint32_t i = 0; i < n; i++) {
        CHECK(mf__units_take(rt, 1, &ret_units[i]) == 0);
        mf__note(&rt->self->run, 0);
    }
    return ret_units[n - 1];
}

static void give_run(mf_runtime *rt, uint32_t unit)
{
    mf__note(&rt->self->run, unit + 1);
    mf__units_give(rt, unit);
}

static void takes_from_a_long_free_run_go_on_where_the_last_one_ended(void)
{
    enum { RUNS = 200, HALF = RUNS / 2 };
    mf_runtime *rt = open_family(0, 256 << 20);
    uint32_t units[RUNS], first[MF_FREE_HINTS], again[HALF];
    take_runs(rt, RUNS, units);
    give_run(rt, units[0]); /* where a walk would come first */
    for (uint32_t i = RUNS - 1; i >= HALF; i--)
        give_run(rt, units[i]);
    take_runs(rt, HALF, again);
    for (uint32_t i = 0; i < HALF; i++)
        CHECK(again[i] == units[HALF] + i);
    CHECK(take_runs(rt, 1, first) == units[0]);
    check_map(rt);
    mf_close(rt);
}

static void memory_in_short_runs_is_found_again_when_neighbours_come_back(void)
{
    enum { RUNS = 512 };
    mf_runtime *rt = open_family(64 << 20, 48 << 20);
    uint32_t units[RUNS], unit;
    take_runs(rt, RUNS, units);
    for (uint32_t i = 0; i < RUNS; i += 2)
        give_run(rt, units[i]);
    uint32_t top = rt->arena->units.top;
    CHECK(mf__units_take(rt, 2, &unit) == 0 && unit == top);
    CHECK(rt->arena->units.absent == 2);
    give_run(rt, unit);
    for (uint32_t i = 1; i < RUNS; i += 2)
        give_run(rt, units[i]);
    for (uint32_t i = 0; i < RUNS / 2; i++)
        CHECK(mf__units_take(rt, 2, &unit) == 0 && unit < top + 2);
    mf__note(&rt->self->run, 0);
    check_map(rt);
    mf_close(rt);
}

/* MiB of the arena's units that have pages. */
static size_t resident(mf_runtime *rt)
{
    static unsigned char pages[65536];
    size_t size = (size_t)rt->arena->units.top * MF_UNIT, n = 0;
    CHECK(size <= sizeof pages * 4096);
    CHECK(mincore(mf__at(rt, rt->units_at), size, pages) == 0);
    for (size_t i = 0; i < size / 4096; i++)
        n += pages[i] & 1;
    return n * 4096 >> 20;
}

/* What a process that waits does in a second and more. */
static void trim_for_a_second(mf_runtime *rt)
{
    struct mf_unit_pool *u = &rt->arena->units;
    u->second = 0;
    do {
        u->next_trim = 0;
        mf__units_trim(rt);
    } while (u->next_trim < u->second);
}

static void idle_memory_goes_back_to_the_system_when_a_second_has_not_needed_it(void)
{
    enum { MIB = 200 };
    mf_runtime *rt = open_family(0, 256 << 20);
    struct mf_block *b[MIB];
    for (int i = 0; i < MIB; i++) {
        CHECK((b[i] = mf__block_new(rt, (1 << 20) - 16, rt->slot)) != NULL);
        memset(b[i]->payload, 0xa5, 1000);
    }
    trim_for_a_second(rt);
    CHECK(resident(rt) == MIB);
    for (int i = 0; i < MIB; i += 2)
        mf__block_free(rt, b[i]);
    trim_for_a_second(rt);
    CHECK(resident(rt) == MIB); /* was in use in the second that is over */
    trim_for_a_second(rt);
    CHECK(resident(rt) == MIB / 2 + 4);
    for (int i = 1; i < MIB; i += 2) {
        CHECK(b[i]->payload[999] == 0xa5);
        mf__block_free(rt, b[i]);
    }
    trim_for_a_second(rt);
    trim_for_a_second(rt);
    CHECK(resident(rt) == 4);
    struct mf_block *all = mf__block_new(rt, 190 << 20, rt->slot);
    CHECK(all && resident(rt) >= 190);
    mf__block_free(rt, all);
    check_at_rest(rt);
    mf_close(rt);
}

/* A look at all slabs, as if the last one was a second ago. */
static void trim_slabs(mf_runtime *rt)
{
    struct mf_slab_walk *walk = &rt->arena->slab_walk;
    do {
        walk->next = 0;
        mf__slabs_trim(rt);
    } while (walk->unit != 0);
}

static void small_blocks_that_nobody_needs_for_a_second_become_units(void)
{
    enum { MANY = 100000, SIZE = 240 };
    static struct mf_block *b[MANY];
    mf_runtime *rt = open_family(0, 256 << 20);
    for (int i = 0; i < MANY; i++)
        CHECK((b[i] = mf__block_new(rt, SIZE, rt->slot)) != NULL);
    uint32_t full = rt->arena->units.used;
    for (int i = 0; i < MANY; i++)
        mf__block_free(rt, b[i * 7919L % MANY]);
    trim_slabs(rt);
    CHECK(rt->arena->units.used == full);
    trim_slabs(rt);
    CHECK(rt->arena->units.used == 1); /* the one that is carved from */
    for (int i = 0; i < MANY; i++)
        CHECK((b[i] = mf__block_new(rt, SIZE, rt->slot)) != NULL);
    CHECK(rt->arena->units.used == full);
    for (int i = 0; i < MANY; i++)
        mf__block_free(rt, b[i]);
    check_at_rest(rt);
    mf_close(rt);
}

static void a_slab_with_a_block_in_use_stays_and_so_does_one_that_was_used_since_the_last_look(void)
{
    enum { MANY = 4096, SIZE = 1000, LAST = 512 }; /* 64 in a slab */
    static struct mf_block *b[MANY];
    mf_runtime *rt = open_family(0, 256 << 20);
    for (int i = 0; i < MANY; i++)
        CHECK((b[i] = mf__block_new(rt, SIZE, rt->slot)) != NULL);
    memset(b[100]->payload, 0xa5, SIZE);
    for (int i = 0; i < MANY; i++)
        if (i != 100)
            mf__block_free(rt, b[i]);
    trim_slabs(rt);
    for (int i = MANY - LAST; i < MANY; i++)
        b[i] = mf__block_new(rt, SIZE, rt->slot);
    for (int i = MANY - LAST; i < MANY; i++)
        mf__block_free(rt, b[i]);
    trim_slabs(rt);
    CHECK(rt->arena->units.used == 1 + 8); /* of block 100; the last, which were used since */
    for (int i = 0; i < SIZE; i++)
        CHECK(b[100]->payload[i] == 0xa5);
    mf__block_free(rt, b[100]);
    trim_slabs(rt);
    trim_slabs(rt);
    CHECK(rt->arena->units.used == 1);
    check_at_rest(rt);
    mf_close(rt);
}

static void a_family_takes_a_quarter_of_the_address_space_that_is_allowed(void)
{
    if (address_space() > 30 << 20)
        return;
    CHECK(open_within((rlim_t)1 << 30) == 0);
    CHECK(open_within((rlim_t)100 << 20) == 0);
    CHECK(open_within((rlim_t)60 << 20) == 1); /* less than 16 MiB would be left for it */
    CHECK(open_within((rlim_t)1 << 20) == 1);
}

static void a_family_takes_what_the_system_gives_of_what_was_asked_for(void)
{
    mf_runtime *rt = open_family((size_t)1 << 60, 1);
    CHECK(rt->reserve >= 16 << 20 && rt->reserve < (size_t)1 << 60);
    CHECK(mf__block_new(rt, 1 << 20, rt->slot) == NULL); /* over the budget of one unit */
    mf_close(rt);
    mf_close(NULL);
}

int main(void)
{
    RUN(a_block_has_room_for_its_size_and_stands_on_16_bytes);
    RUN(a_size_beyond_the_arena_gives_null);
    RUN(a_storm_of_blocks_keeps_every_byte_apart);
    RUN(an_exhausted_budget_gives_null_and_recovers);
    RUN(neighbours_that_are_free_become_one_run);
    RUN(takes_from_a_long_free_run_go_on_where_the_last_one_ended);
    RUN(memory_in_short_runs_is_found_again_when_neighbours_come_back);
    RUN(idle_memory_goes_back_to_the_system_when_a_second_has_not_needed_it);
    RUN(small_blocks_that_nobody_needs_for_a_second_become_units);
    RUN(a_slab_with_a_block_in_use_stays_and_so_does_one_that_was_used_since_the_last_look);
    RUN(a_family_takes_a_quarter_of_the_address_space_that_is_allowed);
    RUN(a_family_takes_what_the_system_gives_of_what_was_asked_for);
    return 0;
}
