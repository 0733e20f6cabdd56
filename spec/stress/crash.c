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

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 60 /* seconds that a play may take */
#define STOP_USEC 200000
#define AT_A_TIME 6
#define SCENES_MOST 64
#define POINTS_MOST 512

struct play {
    const struct primitive *scene;
    uint32_t point, hit, rounds;
    int signal; /* 0: only count the visits */
    _Atomic uint32_t *visits;
    pid_t runner;
    /* The runner's answer, in shared memory. */
    struct tally *tally;
};

struct outcome {
    unsigned plays, missed;
    struct tally tally;
};

static const struct primitive *scenes[SCENES_MOST];
static uint32_t scene_count;
static const char *points[POINTS_MOST];
static uint32_t point_count;
static uint32_t visits[SCENES_MOST][POINTS_MOST]; /* how often a scene comes to a point */
static struct outcome outcomes[POINTS_MOST][2];

/* --- the family of one play ----------------------------------------------------------------------
 */

static struct play play;
static struct primitive repeating;

static void *shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        give_up("no memory");
    return p;
}

static void enter(struct scene *s)
{
    raise(SIGSTOP); /* until the parent is ready */
    if (play.visits)
        mf__crash_tally(play.visits);
    else
        mf__crash_arm(points[play.point], play.hit, play.signal, &s->page->struck);
}

static void leave(struct scene *s)
{
    (void)s;
    mf__crash_arm(NULL, 0, 0, NULL);
    mf__crash_tally(NULL);
}

/* As often as it takes, while there are numbers for messages. */
static void repeat(struct scene *s)
{
    uint32_t most = FIRST_OF_PARTNER - FIRST_OF_VICTIMS - 200;
    for (uint32_t i = 0; i < play.rounds && atomic_load(&s->page->next) < most; i++)
        if (!atomic_load(&s->page->struck))
            play.scene->act(s);
}

/* A process of its own, because the parent may be waiting for the one that is stopped. */
static pid_t start_continuer(struct scene *s)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!atomic_load(&s->page->struck))
        usleep(200);
    usleep(STOP_USEC);
    kill(atomic_load(&s->page->struck), SIGCONT);
    _exit(0);
}

static bool is_over(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

/* Another process goes on with the same things while the victim is stopped. */
static void meddle(struct scene *s)
{
    int32_t pid;
    if (!mf_queue_capacity(s->q))
        scene_put(s, 200, s->next++);
    scene_see(s);
    mf__block_free(s->rt, mf__block_new(s->rt, 30000, s->rt->slot));
    mf__death_check(s->rt);
    if (mf_lock_acquire(s->rt, s->lock, 0, &pid) >= 0)
        mf_lock_release(s->rt, s->lock);
}

/* Until the victim is dead, or through, or a worker that has nothing more to do. */
static void attend(struct scene *s)
{
    bool meddled = play.signal != SIGSTOP;
    while (!is_over(s->victim_pid)) {
        bool struck = atomic_load(&s->page->struck) != 0;
        if (struck && !meddled) {
            meddle(s);
            meddled = true;
        }
        if (is_asleep(s->victim_pid)) {
            if (play.scene->wake)
                play.scene->wake(s);
            else if (play.scene->start)
                return;
        }
        usleep(100);
    }
}

static _Noreturn void run_family(void)
{
    static struct scene s = {.enter = enter, .leave = leave};
    siginfo_t info;
    alarm(PATIENCE); /* the kernel ends a runner that hangs, and its family with it */
    repeating = *play.scene;
    if (!repeating.once)
        repeating.act = repeat;
    scene_set(&s, play.tally);
    if (repeating.set)
        repeating.set(&s);
    pid_t continuer = play.signal == SIGSTOP ? start_continuer(&s) : 0;
    pid_t victim = scene_start(&s, &repeating);
    if (waitid(P_PID, (id_t)victim, &info, WSTOPPED) < 0)
        give_up("a victim does not stop");
    if (repeating.prepare)
        repeating.prepare(&s);
    kill(victim, SIGCONT);
    attend(&s);
    scene_survive(&s, &repeating);
    scene_strike(&s);
    if (continuer) {
        kill(continuer, SIGKILL);
        waitpid(continuer, NULL, 0);
    }
    _exit(play.signal && !atomic_load(&s.page->struck) ? 3 : 0);
}

/* --- many plays at a time ------------------------------------------------------------------------
 */

static struct play running[AT_A_TIME];

static void describe(const struct play *p, const char *what)
{
    printf(
        "%s: %s, %s at visit %u of \"%s\": stuck %u torn %u doubled %u leaked %u miscounted %u\n",
        what, points[p->point],
        p->signal == 0         ? "counted"
        : p->signal == SIGKILL ? "killed"
                               : "stopped",
        p->hit, p->scene->name, p->tally->stuck, p->tally->torn, p->tally->doubled,
        p->tally->leaked, p->tally->miscounted);
    fflush(stdout);
}

static void conclude(struct play *p, int status)
{
    struct outcome *o = &outcomes[p->point][p->signal == SIGSTOP];
    bool missed = WIFEXITED(status) && WEXITSTATUS(status) == 3;
    if (!missed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        p->tally->stuck++;
    if (faults(p->tally))
        describe(p, "wrong");
    o->plays += p->signal && !missed;
    o->missed += missed;
    o->tally.stuck += p->tally->stuck;
    o->tally.torn += p->tally->torn;
    o->tally.doubled += p->tally->doubled;
    o->tally.leaked += p->tally->leaked;
    o->tally.miscounted += p->tally->miscounted;
    munmap(p->tally, sizeof *p->tally);
    p->runner = 0;
}

static void reap_one(void)
{
    int status;
    pid_t pid = wait(&status);
    for (int i = 0; i < AT_A_TIME; i++)
        if (running[i].runner == pid)
            conclude(&running[i], status);
}

static void reap_all(void)
{
    for (int i = 0; i < AT_A_TIME; i++)
        while (running[i].runner)
            reap_one();
}

static void begin(struct play p)
{
    int i = 0;
    while (i < AT_A_TIME && running[i].runner)
        i++;
    if (i == AT_A_TIME) {
        reap_one();
        begin(p);
        return;
    }
    p.tally = shared(sizeof *p.tally);
    play = p;
    p.runner = fork();
    if (p.runner == 0)
        run_family();
    running[i] = p;
}

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
        counts[i] = shared(mf__crash_count() * sizeof **counts);
        begin((struct play){.scene = scenes[i], .rounds = rounds, .visits = counts[i]});
    }
    reap_all();
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
        begin((struct play){
            .scene = scenes[i], .point = point, .hit = hit, .signal = signal, .rounds = rounds});
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
    reap_all();
}

/* --- the report ----------------------------------------------------------------------------------
 */

static size_t subject_size(uint32_t point)
{
    return strcspn(points[point], ".");
}

static void print_subject(uint32_t first)
{
    size_t size = subject_size(first);
    unsigned n = 0, kills = 0, stops = 0;
    struct tally sum = {0};
    for (uint32_t i = first; i < point_count; i++) {
        if (subject_size(i) != size || strncmp(points[i], points[first], size) != 0)
            continue;
        n++;
        kills += outcomes[i][0].plays;
        stops += outcomes[i][1].plays;
        for (int k = 0; k < 2; k++) {
            const struct tally *t = &outcomes[i][k].tally;
            sum.stuck += t->stuck, sum.torn += t->torn, sum.doubled += t->doubled;
            sum.leaked += t->leaked, sum.miscounted += t->miscounted;
        }
    }
    printf("%-10.*s %6u %6u %6u %5u %5u %7u %6u %10u\n", (int)size, points[first], n, kills, stops,
           sum.stuck, sum.torn, sum.doubled, sum.leaked, sum.miscounted);
}

static void print_table(void)
{
    printf("%-10s %6s %6s %6s %5s %5s %7s %6s %10s\n", "subject", "points", "kills", "stops",
           "stuck", "torn", "doubled", "leaked", "miscounted");
    for (uint32_t i = 0; i < point_count; i++) {
        uint32_t before = 0;
        while (before < i && (subject_size(before) != subject_size(i) ||
                              strncmp(points[before], points[i], subject_size(i)) != 0))
            before++;
        if (before == i)
            print_subject(i);
    }
}

/* A point has passed when it was struck both ways, and nothing was wrong. */
static unsigned count_failed(void)
{
    unsigned failed = 0;
    for (uint32_t i = 0; i < point_count; i++) {
        bool struck = outcomes[i][0].plays && outcomes[i][1].plays;
        if (!struck)
            printf("wrong: %s was not come to\n", points[i]);
        failed += !struck || faults(&outcomes[i][0].tally) || faults(&outcomes[i][1].tally);
    }
    return failed;
}

static void print_names(void)
{
    for (uint32_t i = 0; i < point_count; i++)
        printf("%s\n", points[i]);
    exit(0);
}

int main(int argc, char **argv)
{
    bool full = false;
    const char *only = NULL;
    list_all();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            print_names();
        else if (strcmp(argv[i], "--full") == 0)
            full = true;
        else
            only = argv[i];
    }
    uint32_t rounds = full ? 120 : 3, fewer = 0;
    count_visits(rounds);
    for (uint32_t i = 0; i < point_count; i++) {
        if (only && strcmp(only, points[i]) != 0)
            continue;
        uint32_t most = visits[best_scene(i)][i], last = most < 100 ? most : 100;
        fewer += last < 100;
        strike(i, 1, SIGKILL, full ? scene_count : 2, rounds);
        strike(i, 1, SIGSTOP, full ? 3 : 1, rounds);
        for (int again = 0; full && again < 2; again++) {
            strike(i, again ? last : 2, SIGKILL, 3, rounds);
            strike(i, again ? last : 2, SIGSTOP, 1, rounds);
        }
    }
    reap_all();
    strike_again_where_missed(rounds);
    print_table();
    unsigned failed = only ? 0 : count_failed();
    if (full)
        printf("%u points have fewer than 100 visits in a scene\n", fewer);
    printf("%u passed, %u failed\n", point_count - failed, failed);
    return failed ? 1 : 0;
}
