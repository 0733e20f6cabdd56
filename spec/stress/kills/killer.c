/* killer.c - choosing a victim, killing it, and watching the others: see killer.h. */
#include "killer.h"

#include "clock.h"
#include "pidfd.h"
#include "regions.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE (30 * MF_SECOND) /* without a beat; nothing here takes a tenth of a second */
#define AIM (20 * MF_MSEC)        /* looking for somebody in a region that wants victims */
#define EVENTS_MOST 40            /* messages and results between two kills */
#define RESPITE (30 * MF_MSEC)    /* for them */
#define PAUSE_MOST 2000           /* microseconds before a blind kill */

/* A living process. The killer is not its parent: the descriptor says whether it lives, and is
 * nobody else's where the pid has been used again. */
struct target {
    unsigned life;
    int pidfd;
    uint32_t beats; /* when they changed last */
    int64_t since;
};

static struct target targets[LIVES];
static unsigned target_count, lives_known;
static pid_t family;
static unsigned state;
static unsigned killed, killed_by_role[ROLE_COUNT];

static struct life *life_of(const struct target *t)
{
    return &ledger->lives[t->life];
}

unsigned killer_dice(unsigned n)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
}

void killer_open(pid_t parent, unsigned seed)
{
    family = parent;
    state = seed;
    target_count = lives_known = 0;
}

void killer_close(void)
{
    while (target_count)
        close(targets[--target_count].pidfd);
}

/* A pid that was used again is not of the family's session. */
static void add_target(unsigned life)
{
    pid_t pid = atomic_load(&ledger->lives[life].pid);
    int fd = mf__pidfd_open(pid);
    if (fd >= 0 && getsid(pid) == family)
        targets[target_count++] = (struct target){.life = life, .pidfd = fd, .since = mf__now()};
    else if (fd >= 0)
        close(fd);
}

static bool is_dead(const struct target *t)
{
    return mf__pidfd_wait(t->pidfd, 0) != MF_ETIMEOUT;
}

/* Learns of the new, forgets the dead. */
static void look(void)
{
    uint32_t born = atomic_load(&ledger->life_count);
    for (; lives_known < born && lives_known < LIVES; lives_known++) {
        if (!atomic_load(&ledger->lives[lives_known].pid))
            break; /* in a moment */
        add_target(lives_known);
    }
    for (unsigned i = 0; i < target_count; i++) {
        if (!is_dead(&targets[i]))
            continue;
        close(targets[i].pidfd);
        targets[i--] = targets[--target_count];
    }
}

static bool is_allowed(const struct target *t, bool parent_too)
{
    return parent_too || t->life != 0;
}

/* Somebody who is inside a region that wants victims, if one comes by in time. */
static struct target *aim(bool parent_too)
{
    int64_t until = mf__now() + AIM;
    while (mf__now() < until) {
        look();
        for (int n = 0; n < 100; n++)
            for (unsigned i = 0; i < target_count; i++)
                if (is_allowed(&targets[i], parent_too) &&
                    region_is_wanted(atomic_load(&life_of(&targets[i])->at)))
                    return &targets[i];
    }
    return NULL;
}

static void pause_for(unsigned usec)
{
    nanosleep(&(struct timespec){.tv_nsec = usec * 1000}, NULL);
}

static uint64_t progress(void)
{
    uint64_t sum = atomic_load(&ledger->results);
    for (unsigned q = 0; q < QUEUES; q++)
        sum += atomic_load(&ledger->seen_count[q]);
    return sum;
}

/* A family that is killed faster than it can come on shows little. */
static void let_them_come_on(void)
{
    static uint64_t before;
    uint64_t wanted = killer_dice(EVENTS_MOST);
    int64_t until = mf__now() + RESPITE;
    if (progress() < before)
        before = 0; /* another family */
    while (progress() - before < wanted && mf__now() < until)
        pause_for(50);
    before = progress();
}

static struct target *anyone(bool parent_too)
{
    pause_for(killer_dice(PAUSE_MOST));
    look();
    for (int n = 0; n < 10 && target_count; n++) {
        struct target *t = &targets[killer_dice(target_count)];
        if (is_allowed(t, parent_too))
            return t;
    }
    return NULL;
}

static bool strike(const struct target *t)
{
    if (syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0) != 0 ||
        mf__pidfd_wait(t->pidfd, mf__now() + PATIENCE) != 0)
        return false;
    region_add_death(atomic_load(&life_of(t)->at));
    killed_by_role[atomic_load(&life_of(t)->role)]++;
    killed++;
    return true;
}

bool kill_one(bool parent_too)
{
    let_them_come_on();
    struct target *t = regions_are_known() && killer_dice(2) ? aim(parent_too) : NULL;
    if (!t)
        t = anyone(parent_too);
    return t && strike(t);
}

bool kill_parent(void)
{
    look();
    for (unsigned i = 0; i < target_count; i++)
        if (targets[i].life == 0)
            return strike(&targets[i]);
    return false;
}

unsigned killer_count(void)
{
    return killed;
}

void killer_print(void)
{
    for (int role = 0; role < ROLE_COUNT; role++)
        printf("%s %u %s", role ? "," : "  victims:", killed_by_role[role], role_names[role]);
    printf("\n");
}

/* --- when nothing comes on ----------------------------------------------------------------------
 */

/* The first line of a file of a process. */
static const char *line_of(pid_t pid, const char *name, char *line, int size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *f = fopen(path, "re");
    if (!f || !fgets(line, size, f))
        snprintf(line, (size_t)size, "-");
    if (f)
        fclose(f);
    line[strcspn(line, "\n")] = 0;
    return line;
}

void killer_print_lives(void)
{
    char stat[256], chan[64], call[128];
    look();
    printf("  %4s %6s %-9s %-7s %8s %-24s %s\n", "life", "pid", "role", "doing", "beats", "point",
           "state, kernel function, system call");
    for (unsigned i = 0; i < target_count; i++) {
        const struct life *l = life_of(&targets[i]);
        const char *s = strrchr(line_of(l->pid, "stat", stat, sizeof stat), ')');
        printf("  %4u %6d %-9s %-7s %8u %-24s %.1s %s %s\n", targets[i].life, (int)l->pid,
               role_names[l->role], doing_names[l->doing], l->beats, region_point_name(l->at),
               s && s[1] ? s + 2 : "-", line_of(l->pid, "wchan", chan, sizeof chan),
               line_of(l->pid, "syscall", call, sizeof call));
    }
}

bool somebody_is_stuck(void)
{
    look();
    for (unsigned i = 0; i < target_count; i++) {
        struct target *t = &targets[i];
        uint32_t beats = atomic_load(&life_of(t)->beats);
        if (beats != t->beats)
            t->since = mf__now();
        t->beats = beats;
        if (mf__now() - t->since < PATIENCE)
            continue;
        printf("kills: life %u has not come on for %d seconds\n", t->life,
               (int)(PATIENCE / MF_SECOND));
        killer_print_lives();
        return true;
    }
    return false;
}
