/* regions.c - where the victims were: see regions.h. */
#include "regions.h"

#include "crash.h"
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned goal_of_all, wanted_deaths, elsewhere;

void regions_aim(unsigned chance)
{
    wanted_deaths = 1 + chance % goal_of_all;
}

#ifdef MF_FAULTS

struct region {
    char name[MF_CRASH_NAME];
    unsigned points, deaths;
    uint64_t visits;
};

static struct region regions[POINTS];
static unsigned region_count;
static unsigned region_of_point[POINTS];
static bool was_visited[2][POINTS]; /* by bosses, by others */

/* Nobody in the mesh has a zygote: crash.sh strikes it, and those that start or come of one. */
static bool is_apart(const struct region *r)
{
    return strncmp(r->name, "zygote", 6) == 0;
}

static unsigned find_or_add(const char *name, size_t length)
{
    for (unsigned i = 0; i < region_count; i++)
        if (strlen(regions[i].name) == length && memcmp(regions[i].name, name, length) == 0)
            return i;
    memcpy(regions[region_count].name, name, length);
    return region_count++;
}

/* By name, so that the histogram can be read. */
static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct region *)a)->name, ((const struct region *)b)->name);
}

static size_t length_of_region(const char *point)
{
    const char *last = strrchr(point, '.');
    return last ? (size_t)(last - point) : strlen(point);
}

void regions_open(unsigned goal)
{
    goal_of_all = goal;
    if (mf__crash_count() > POINTS) {
        fprintf(stderr, "kills: there are %u crash points, the ledger has room for %d\n",
                mf__crash_count(), POINTS);
        exit(2);
    }
    for (uint32_t i = 0; i < mf__crash_count(); i++)
        find_or_add(mf__crash_name(i), length_of_region(mf__crash_name(i)));
    qsort(regions, region_count, sizeof *regions, by_name);
    for (uint32_t i = 0; i < mf__crash_count(); i++) {
        region_of_point[i] = find_or_add(mf__crash_name(i), length_of_region(mf__crash_name(i)));
        regions[region_of_point[i]].points++;
    }
}

bool regions_are_known(void)
{
    return region_count > 0;
}

const char *region_point_name(uint32_t at)
{
    return at ? mf__crash_name(at - 1) : "";
}

bool region_is_wanted(uint32_t at)
{
    return at && regions[region_of_point[at - 1]].deaths < wanted_deaths;
}

uint32_t regions_wish(bool boss, unsigned chance)
{
    uint32_t best = 0;
    unsigned fewest = goal_of_all;
    for (uint32_t k = 0; k < mf__crash_count(); k++) {
        uint32_t i = (k + chance) % mf__crash_count();
        was_visited[boss][i] |= atomic_load(&ledger->visits[boss][i]) > 0;
        if (!was_visited[boss][i] || regions[region_of_point[i]].deaths >= fewest)
            continue;
        fewest = regions[region_of_point[i]].deaths;
        best = i + 1;
    }
    return best;
}

void region_add_death(uint32_t at)
{
    if (at)
        regions[region_of_point[at - 1]].deaths++;
    else
        elsewhere++;
}

void regions_add_visits(void)
{
    for (uint32_t i = 0; i < mf__crash_count(); i++)
        regions[region_of_point[i]].visits +=
            atomic_load(&ledger->visits[0][i]) + atomic_load(&ledger->visits[1][i]);
}

unsigned regions_lacking(unsigned least)
{
    unsigned n = 0;
    for (unsigned i = 0; i < region_count; i++)
        n += !is_apart(&regions[i]) && regions[i].deaths < least;
    return n;
}

void regions_print(unsigned least)
{
    printf("  %-24s %7s %10s %7s\n", "region", "points", "visits", "deaths");
    for (unsigned i = 0; i < region_count; i++) {
        const struct region *r = &regions[i];
        printf("  %-24s %7u %10lu %7u%s\n", r->name, r->points, r->visits, r->deaths,
               is_apart(r)         ? "  not in the mesh"
               : r->deaths < least ? "  too few"
                                   : "");
    }
    printf("  %-24s %7s %10s %7u\n", "between the points", "", "", elsewhere);
}

#else

void regions_open(unsigned goal)
{
    goal_of_all = goal;
}

bool regions_are_known(void)
{
    return false;
}

const char *region_point_name(uint32_t at)
{
    (void)at;
    return "";
}

bool region_is_wanted(uint32_t at)
{
    return at && wanted_deaths;
}

uint32_t regions_wish(bool boss, unsigned chance)
{
    (void)boss, (void)chance;
    return 0;
}

void region_add_death(uint32_t at)
{
    elsewhere += at == 0;
}

void regions_add_visits(void)
{
}

unsigned regions_lacking(unsigned least)
{
    (void)least;
    return 0;
}

void regions_print(unsigned least)
{
    (void)least;
}

#endif
