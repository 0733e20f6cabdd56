/*
 * kills.c - a mesh of processes that use everything at once, and are killed at random.
 *
 *     kills [how-many [seed [least]]]
 *
 * A family after the other: a parent with a pool, queues, locks, producers, consumers, and a
 * process in the middle that has children of its own (boss.c). This process stands outside, kills
 * any of them at any instruction (killer.c), and at the end of a family the parent, or tells it to
 * come to an end. All write down what they do (ledger.c); the accounts must agree with what the
 * queues, the pools and the locks say, nobody may be stuck, and nobody and nothing be left.
 *
 * The seed gives the same plan again, not the same instants. In a build with MF_FAULTS every
 * second process dwells at the crash points, and a histogram tells where the victims were. Each
 * region must have `least` of them: up to twice as many are killed as was asked for.
 */
#include "kills/boss.h"
#include "clock.h"
#include "cpu.h"
#include "kills/killer.h"
#include "kills/ledger.h"
#include "kills/regions.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FAMILY_LEAST = 20,
    FAMILY_MORE = 100, /* kills in one family */
    LIVES_MOST = LIVES / 4 * 3
};
#define LEAVING (120 * MF_SECOND) /* of a parent that was told to come to an end */

static const char *const folders[] = {"/dev/shm", "/tmp"};

static struct {
    unsigned families, orphaned; /* of these ended by a kill of the parent */
    uint64_t messages, lost, results, refused, locked, abandoned;
    int64_t longest; /* that somebody outlived the parent */
} sum;

/* --- the family's end ---------------------------------------------------------------------------
 */

/* By itself, when its parent was gone before it began, killed, or ended with a pool. */
static bool is_an_end(int status)
{
    return WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM
                               : WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 127;
}

/* Whoever loses its parent becomes a child of this process: none is left when there is no child.
 * Returns the parent's status once it has ended, else -1. */
static int reap(pid_t parent, bool *ret_none)
{
    static int status;
    static pid_t reaped;
    int s;
    pid_t pid;
    while ((pid = waitpid(-1, &s, WNOHANG)) > 0) {
        if (pid == parent) {
            status = s;
            reaped = pid;
        } else if (!is_an_end(s)) {
            printf("kills: %d, whose parent is gone, ended with status %x\n", (int)pid, s);
            atomic_store(&ledger->failed, 2);
        }
    }
    *ret_none = pid < 0 && errno == ECHILD;
    return reaped == parent ? status : -1;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

/* The second that somebody may outlive the parent; more of them where many want to run. */
static int64_t survival(void)
{
    double load, busy = 1;
    if (getloadavg(&load, 1) == 1 && load > mf__cpu_count())
        busy = load / mf__cpu_count();
    return (int64_t)(busy * (double)MF_SECOND);
}

/* Waits until all are gone. */
static bool is_extinct(pid_t parent)
{
    bool none;
    int64_t begin = mf__now();
    for (reap(parent, &none); !none && mf__now() - begin < survival(); reap(parent, &none))
        nap();
    if (mf__now() - begin > sum.longest)
        sum.longest = mf__now() - begin;
    if (!none) {
        printf("kills: somebody lives long after the parent's end\n");
        killer_print_lives();
    }
    return none;
}

/* The parent is told to come to an end; some of its children are killed meanwhile. */
static bool ends_in_order(pid_t parent)
{
    bool none;
    int status;
    unsigned more = killer_dice(2) ? killer_dice(15) : 0;
    int64_t limit = mf__now() + LEAVING;
    atomic_store(&ledger->stop, 1);
    while ((status = reap(parent, &none)) < 0 && mf__now() < limit && !ledger->failed)
        if (more && kill_one(false))
            more--;
        else
            nap();
    if (status < 0 && !ledger->failed) {
        printf("kills: the parent does not come to an end\n");
        killer_print_lives();
    } else if (status != 0 && !ledger->failed && !ledger->lives[0].struck) {
        printf("kills: the parent ended with status %x\n", (unsigned)status);
    }
    return status == 0 || ledger->lives[0].struck;
}

/* --- a family -----------------------------------------------------------------------------------
 */

static bool live_and_kill(pid_t parent, unsigned quota)
{
    bool none;
    unsigned begin = killer_count();
    while (killer_count() - begin < quota && ledger->life_count < LIVES_MOST) {
        kill_one(killer_dice(16) == 0);
        if (reap(parent, &none) >= 0)
            return true; /* the parent was killed, or has found something */
        if (ledger->failed || somebody_is_stuck())
            return false;
    }
    return true;
}

static void add_up(void)
{
    for (unsigned q = 0; q < QUEUES; q++) {
        sum.messages += ledger->seen_count[q];
        sum.lost += ledger->lost[q];
    }
    sum.results += ledger->results;
    sum.refused += ledger->refused;
    sum.locked += ledger->locked;
    sum.abandoned += ledger->abandoned;
    regions_add_visits();
}

static bool run_family(unsigned seed, unsigned left)
{
    bool none;
    ledger_open(seed);
    killer_wish();
    fflush(stdout);
    pid_t parent = fork();
    if (parent == 0)
        _exit(parent_main());
    killer_open(parent, seed);
    unsigned quota = FAMILY_LEAST + killer_dice(FAMILY_MORE);
    bool fine = live_and_kill(parent, quota < left ? quota : left);
    bool over = reap(parent, &none) >= 0;
    if (fine && !over && killer_dice(3) == 0)
        over = kill_parent();
    if (fine && !over)
        fine = ends_in_order(parent);
    else
        sum.orphaned++;
    if (!fine)
        kill(parent, SIGKILL);
    fine &= is_extinct(parent) && !ledger->failed;
    if (!fine)
        printf("kills: family of seed %u: %s\n", seed,
               ledger->failed ? ledger->wrong : "see above");
    add_up();
    sum.families++;
    killer_close();
    ledger_close();
    return fine;
}

/* --- what is left in the file system ------------------------------------------------------------
 */

/* Folders of our own, where the system lets us: else others' files come and go in them. */
static void take_folders(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mount("tmpfs", folders[i], "tmpfs", 0, NULL) != 0)
            return;
}

static unsigned count_names(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        DIR *d = opendir(folders[i]);
        while (d && readdir(d))
            n++;
        if (d)
            closedir(d);
    }
    return n;
}

static void print_sums(unsigned seed, int64_t begin)
{
    printf("kills: %u by seed %u, %.0f s; %u families, %u ended by a kill of the parent\n",
           killer_count(), seed, (double)(mf__now() - begin) / 1e9, sum.families, sum.orphaned);
    killer_print();
    printf("  queues: %lu messages arrived, %lu counted lost\n", sum.messages, sum.lost);
    printf("  pools: %lu results, %lu refused after more deaths than retries\n", sum.results,
           sum.refused);
    printf("  locks: %lu turns, %lu after a holder's death\n", sum.locked, sum.abandoned);
    printf("  after the parent's end the last was gone in %.1f ms or less\n",
           (double)sum.longest / 1e6);
}

static bool is_to_go_on(unsigned kills, unsigned least)
{
    unsigned n = killer_count();
    return n < kills || (n < 2 * kills && regions_lacking(least));
}

int main(int argc, char **argv)
{
    unsigned kills = argc > 1 ? (unsigned)atoi(argv[1]) : 300;
    unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    unsigned least = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
    int64_t begin = mf__now();
    take_folders();
    unsigned names = count_names();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    regions_open(least ? least : 3);
    killer_is_patient = least > 0;
    bool fine = true;
    for (unsigned n = 0; fine && is_to_go_on(kills, least); n++)
        fine = run_family(seed + n, kills > killer_count() ? kills - killer_count() : kills);
    print_sums(seed, begin);
    regions_print(least);
    unsigned fewer = regions_lacking(least);
    if (fewer)
        printf("kills: %u regions have less than %u deaths\n", fewer, least);
    if (count_names() != names)
        printf("kills: there were %u names in /dev/shm and /tmp, now there are %u\n", names,
               count_names());
    return fine && !fewer && count_names() == names ? 0 : 1;
}
