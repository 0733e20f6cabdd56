/*
 * regions.h - the critical regions of the runtime, and how many have died in each.
 *
 * A region is what the crash points of one operation enclose: `queue.put` of `queue.put.unlocked`.
 * There are none in a build without MF_FAULTS: then nobody knows where a victim was.
 */
#ifndef REGIONS_H
#define REGIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Prepares the counts. A region wants victims until it has `goal`. */
void regions_open(unsigned goal);

/* The next victim is wanted where there are less than a number by chance, below the goal: so that
 * the regions that are seldom visited are waited for too. */
void regions_aim(unsigned chance);

/* Does anybody know where a process is? */
bool regions_are_known(void);

/* `at` is a life's word: a crash point + 1, or 0. */
bool region_is_wanted(uint32_t at);
void region_add_death(uint32_t at);
const char *region_point_name(uint32_t at);

/* A point + 1 that bosses, or others, come to, of the region that has the fewest deaths; 0 when
 * none wants victims. */
uint32_t regions_wish(bool boss, unsigned chance);

/* Adds the visits that the ledger has counted. Before it is closed. */
void regions_add_visits(void);

/* How many regions have less than `least` deaths. */
unsigned regions_lacking(unsigned least);

/* Prints the histogram. */
void regions_print(unsigned least);

#endif
