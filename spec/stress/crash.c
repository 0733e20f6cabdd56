/*
 * crash.c - strikes a process at every crash point (crash.h), and looks what is left.
 *
 *     crash [--full] [--list] [POINT]
 *
 * First each scene is played once without a strike, and the visits to each point are counted: a
 * point that no scene comes to is a failure. Then, for each point, scenes that come to it are
 * played with a victim that is killed there, or stopped and continued 200 ms later, while another
 * process uses what the victim uses. The short form strikes at the first visit; --full also at the
 * second and the hundredth (the last, where there are fewer), and in more scenes.
 *
 * Each play is a family of its own, several at a time. Afterwards the checks of scene.h must hold.
 * The last line is `N passed, N failed`.
 */
#include "crash.h"
#include "scene/life.h"
#include "scene/play.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCENES_MOST 64
#define POINTS_MOST 512

static const struct primitive *scenes[SCENES_MOST];
static uint32_t scene_count;
static const char *points[POINTS_MOST];
static uint32_t point_count;
static uint32_t visits[SCENES_MOST][POINTS_MOST]; /* how often a scene comes to a point */
static struct outcome outcomes[POINTS_MOST][2];   /* by SIGKILL, by SIGSTOP */
static struct outcome peaceful;                   /* of the plays in which nobody is struck */

/* --- what there is to play -----------------------------------------------------------------------
 */

static uint32_t point_of(const char *name)
{
    uint32_t i = 0;
    while (i < point_count && strcmp(points[i], name) != 0)
        i++;
    if (i == point_count)
        points[point_count++] = name;
    return i;
}

static void add_scenes(const struct primitive *table)
{
    for (; table->name; table++)
        if (!table->first) /* "heirs" settles deaths at all points */
            scenes[scene_count++] = table;
}

static void list_all(void)
{
    for (uint32_t i = 0; i < mf__crash_count(); i++)
        point_of(mf__crash_name(i));
    add_scenes(queue_primitives);
    add_scenes(sleeper_primitives);
    add_scenes(task_primitives);
    scenes[scene_count++] = &many_tasks;
    add_scenes(life_primitives);
}

/* Plays each scene without a strike. */
static void count_visits(uint32_t rounds)
{
    _Atomic uint32_t *counts[SCENES_MOST];
    for (uint32_t i = 0; i < scene_count; i++) {
        counts[i] = play_share(mf__crash_count() * sizeof **counts);
        play_begin(&(struct play){.scene = scenes[i],
                                  .name = "no point",
                                  .rounds = rounds,
                                  .visits = counts[i],
                                  .outcome = &peaceful});
    }
    play_all();
    for (uint32_t i = 0; i < scene_count; i++)
        for (uint32_t site = 0; site < mf__crash_count(); site++)
            visits[i][point_of(mf__crash_name(site))] += atomic_load(&counts[i][site]);
}

/* The scene that comes to a point most often. */
static uint32_t best_scene(uint32_t point)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < scene_count; i++)
        best = visits[i][point] > visits[best][point] ? i : best;
    return best;
}

/* Strikes at one visit of a point, in at most `most` of the scenes that come there so often: in the
 * one that does so most, and in others, which change from point to point. */
static void strike(uint32_t point, uint32_t hit, int signal, uint32_t most, uint32_t rounds)
{
    uint32_t best = best_scene(point);
    for (uint32_t n = 0; n <= scene_count && most; n++) {
        uint32_t i = n == 0 ? best : (point + n) % scene_count;
        if (visits[i][point] < hit || (n > 0 && i == best))
            continue;
        play_begin(&(struct play){.scene = scenes[i],
                                  .name = points[point],
                                  .hit = hit,
                                  .signal = signal,
                                  .rounds = rounds,
                                  .outcome = &outcomes[point][signal == SIGSTOP]});
        most--;
    }
}

/* Where the system's timing decides how far a scene comes, it may have missed the point. */
static void strike_again_where_missed(uint32_t rounds)
{
    for (uint32_t i = 0; i < point_count; i++) {
        if (outcomes[i][0].missed && !outcomes[i][0].plays)
            strike(i, 1, SIGKILL, scene_count, rounds);
        if (outcomes[i][1].missed && !outcomes[i][1].plays)
            strike(i, 1, SIGSTOP, scene_count, rounds);
    }
    play_all();
}

/* --- the report ----------------------------------------------------------------------------------
 */

static bool is_same_subject(uint32_t a, uint32_t b)
{
    size_t size = strcspn(points[a], ".");
    return strcspn(points[b], ".") == size && strncmp(points[a], points[b], size) == 0;
}

static void print_subject(uint32_t first)
{
    unsigned n = 0, kills = 0, stops = 0;
    struct tally sum = {0};
    for (uint32_t i = 0; i < first; i++)
        if (is_same_subject(first, i))
            return; /* printed with that one */
    for (uint32_t i = first; i < point_count; i++) {
        if (!is_same_subject(first, i))
            continue;
        n++;
        kills += outcomes[i][0].plays;
        stops += outcomes[i][1].plays;
        tally_add(&sum, &outcomes[i][0].tally);
        tally_add(&sum, &outcomes[i][1].tally);
    }
    printf("%-10.*s %6u %6u %6u %5u %5u %7u %6u %10u\n", (int)strcspn(points[first], "."),
           points[first], n, kills, stops, sum.stuck, sum.torn, sum.doubled, sum.leaked,
           sum.miscounted);
}

static void print_table(void)
{
    printf("%-10s %6s %6s %6s %5s %5s %7s %6s %10s\n", "subject", "points", "kills", "stops",
           "stuck", "torn", "doubled", "leaked", "miscounted");
    for (uint32_t i = 0; i < point_count; i++)
        print_subject(i);
}

/* A point has passed when a victim was struck there both ways, and nothing was wrong. */
static bool has_passed(uint32_t i)
{
    bool struck = outcomes[i][0].plays && outcomes[i][1].plays;
    if (!struck)
        printf("wrong: no scene comes to %s\n", points[i]);
    return struck && !faults(&outcomes[i][0].tally) && !faults(&outcomes[i][1].tally);
}

/* --- the plan ------------------------------------------------------------------------------------
 */

/* True when it was come to a hundred times. */
static bool strike_at(uint32_t point, bool full, uint32_t rounds)
{
    uint32_t most = visits[best_scene(point)][point], last = most < 100 ? most : 100;
    strike(point, 1, SIGKILL, full ? scene_count : 2, rounds);
    strike(point, 1, SIGSTOP, full ? 3 : 1, rounds);
    for (int again = 0; full && again < 2; again++) {
        strike(point, again ? last : 2, SIGKILL, 3, rounds);
        strike(point, again ? last : 2, SIGSTOP, 1, rounds);
    }
    return last == 100;
}

static unsigned strike_everywhere(bool full, const char *only)
{
    unsigned passed = 0, hundreds = 0;
    uint32_t rounds = full ? 120 : 3;
    count_visits(rounds);
    for (uint32_t i = 0; i < point_count; i++)
        if (!only || strcmp(only, points[i]) == 0)
            hundreds += strike_at(i, full, rounds);
    play_all();
    strike_again_where_missed(rounds);
    print_table();
    if (full)
        printf("%u of %u points were come to a hundred times\n", hundreds, point_count);
    for (uint32_t i = 0; i < point_count; i++)
        if (!only || strcmp(only, points[i]) == 0)
            passed += has_passed(i);
    return passed;
}

int main(int argc, char **argv)
{
    bool full = false, list = false;
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        full |= strcmp(argv[i], "--full") == 0;
        list |= strcmp(argv[i], "--list") == 0;
        only = argv[i][0] != '-' ? argv[i] : only;
    }
    list_all();
    for (uint32_t i = 0; list && i < point_count; i++)
        printf("%s\n", points[i]);
    if (list)
        return 0;
    unsigned passed = strike_everywhere(full, only), failed = (only ? 1 : point_count) - passed;
    if (faults(&peaceful.tally))
        failed++;
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
