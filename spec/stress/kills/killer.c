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

#define LOOKS_MOST 1500 /* without a beat; nothing here takes a tenth of a second */
#define LOOK_PAUSE                                                                                 \
    (20 * MF_MSEC)             /* between two that count: time that nobody has is not counted      \
                                */
#define DYING (30 * MF_SECOND) /* after SIGKILL */
#define AIM (20 * MF_MSEC)     /* looking for somebody in a region that wants victims */
#define EVENTS_MOST 40         /* messages and results between two kills */
#define RESPITE (30 * MF_MSEC) /* for them */
#define PAUSE_MOST 2000        /* microseconds before a blind kill */

/* A living process. The killer is not its parent: the descriptor says whether it lives, and is
 * nobody else's where the pid has been used again. */
struct target {
    unsigned life;
    int pidfd;
    uint32_t beats;
    unsigned looks; /* since they changed */
    bool counted;   /* its death */
};

bool killer_is_patient;

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
        targets[target_count++] = (struct target){.life = life, .pidfd = fd};
    else if (fd >= 0)
        close(fd);
}

static bool is_dead(const struct target *t)
{
    return mf__pidfd_wait(t->pidfd, 0) != MF_ETIMEOUT;
}

static void count_death(struct target *t)
{
    const struct life *l = life_of(t);
    if (t->counted)
        return;
    t->counted = true;
    region_add_death(atomic_load(l->struck ? &l->trap : &l->at));
    killed_by_role[atomic_load(&l->role)]++;
    killed++;
}

/* Learns of the new, forgets the dead; some of these have killed themselves. */
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
        if (atomic_load(&life_of(&targets[i])->struck))
            count_death(&targets[i]);
        close(targets[i].pidfd);
        targets[i--] = targets[--target_count];
    }
}

static bool is_allowed(const struct target *t, bool parent_too)
{
    return parent_too || t->life != 0;
}

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

/* The letter of its state and what follows. */
static const char *state_of(pid_t pid, char *line, int size)
{
    const char *s = strrchr(line_of(pid, "stat", line, size), ')');
    return s && s[1] ? s + 2 : "-";
}

static void send_to(const struct target *t, int signal)
{
    syscall(SYS_pidfd_send_signal, t->pidfd, signal, NULL, 0);
}

/* A signal takes its time, and the place that it was meant for is left: so the victim is stopped,
 * and goes on if it stands elsewhere. */
static bool stop_there(const struct target *t, bool (*fits)(uint32_t at))
{
    char line[256];
    int64_t until = mf__now() + AIM;
    send_to(t, SIGSTOP);
    while (!strchr("TtZX", *state_of(life_of(t)->pid, line, sizeof line)) && mf__now() < until)
        ;
    if (fits(atomic_load(&life_of(t)->at)))
        return true;
    send_to(t, SIGCONT);
    return false;
}

static bool is_in_some_region(uint32_t at)
{
    return at != 0;
}

/* Somebody who is where it `fits`, if one comes by in time. */
static struct target *aim(bool (*fits)(uint32_t at), bool parent_too)
{
    int64_t until = mf__now() + AIM;
    while (mf__now() < until) {
        look();
        for (int n = 0; n < 100; n++)
            for (unsigned i = 0; i < target_count; i++)
                if (is_allowed(&targets[i], parent_too) &&
                    fits(atomic_load(&life_of(&targets[i])->at)) && stop_there(&targets[i], fits))
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

static bool strike(struct target *t)
{
    if (syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0) != 0 ||
        mf__pidfd_wait(t->pidfd, mf__now() + DYING) != 0)
        return false;
    count_death(t);
    return true;
}

void killer_wish(void)
{
    regions_aim(killer_dice(UINT16_MAX));
    for (int boss = 0; boss < 2; boss++)
        atomic_store(&ledger->wish[boss], regions_wish(boss, killer_dice(POINTS)));
}

bool kill_one(bool parent_too)
{
    struct target *t = NULL;
    bool blind = !regions_are_known() || killer_dice(5) == 0;
    if (blind || killer_dice(3)) /* else while the last death is being settled */
        let_them_come_on();
    killer_wish();
    if (blind) {
        t = anyone(parent_too);
    } else {
        t = aim(region_is_wanted, parent_too);
        /* What follows from a death is seen after one in the middle of something. */
        if (!t && (!killer_is_patient || killer_dice(10) == 0))
            t = aim(is_in_some_region, parent_too);
    }
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

void killer_print_lives(void)
{
    char stat[256], chan[64], call[128];
    look();
    printf("  %4s %6s %-9s %-7s %8s %-24s %s\n", "life", "pid", "role", "doing", "beats", "point",
           "state, kernel function, system call");
    for (unsigned i = 0; i < target_count; i++) {
        const struct life *l = life_of(&targets[i]);
        printf("  %4u %6d %-9s %-7s %8u %-24s %.1s %s %s\n", targets[i].life, (int)l->pid,
               role_names[l->role], doing_names[l->doing], l->beats, region_point_name(l->at),
               state_of(l->pid, stat, sizeof stat), line_of(l->pid, "wchan", chan, sizeof chan),
               line_of(l->pid, "syscall", call, sizeof call));
    }
}

bool somebody_is_stuck(void)
{
    static int64_t next;
    if (mf__now() < next)
        return false;
    next = mf__now() + LOOK_PAUSE;
    look();
    for (unsigned i = 0; i < target_count; i++) {
        struct target *t = &targets[i];
        uint32_t beats = atomic_load(&life_of(t)->beats);
        t->looks = beats == t->beats ? t->looks + 1 : 0;
        t->beats = beats;
        if (t->looks < LOOKS_MOST)
            continue;
        printf("kills: life %u does not come on\n", t->life);
        killer_print_lives();
        return true;
    }
    return false;
}
