/*
 * step.c - kills a process after every instruction of every primitive, and looks what is left.
 *
 *     step [stride [primitive]]
 *
 * For each primitive and each k: a fresh family is made, a victim is forked and stopped right
 * before the primitive, single-stepped k instructions (ptrace(2)) and killed. The parent settles
 * the death, uses what the victim used, gives everything back, and compares with what was there
 * before. With a stride only every stride-th k is tried, a little shifted from one primitive to the
 * next. Stride 0 chooses for each what takes a minute at most: 1 for the short ones.
 *
 * A second victim may be killed while it settles the first one's death: the primitives "claim ...".
 * A victim that falls asleep is woken; at the instruction in which it does, it is killed asleep.
 *
 * One line a primitive; exit status 1 when any count but the first three is not 0.
 */
#include "scene/scene.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 20          /* seconds that anything may take once the victim is dead */
#define MOST_STEPS 1000000ul /* of a primitive, all its victims together, with stride 0 */

static struct {
    const char *name;
    unsigned long step;
} now_at;

static void on_alarm(int signal)
{
    char text[160];
    (void)signal;
    int n =
        snprintf(text, sizeof text, "stuck: %s after %lu instructions\n", now_at.name, now_at.step);
    if (write(1, text, (size_t)n) < 0)
        _exit(2);
    _exit(1);
}

/* --- the victim ----------------------------------------------------------------------------------
 */

/* In the victim: from here on it is stepped. */
static void enter(struct scene *s)
{
    (void)s;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(99);
    raise(SIGSTOP);
}

static void leave(struct scene *s)
{
    (void)s;
    raise(SIGSTOP);
}

/* Waits until the step that the victim was told to make is over. A victim that falls asleep in it
 * is woken; or not, when it is the last step: then false. */
static bool is_stepped(struct scene *s, const struct primitive *p, bool last, int *ret_status)
{
    for (unsigned polls = 1;; polls++) {
        pid_t pid = waitpid(s->victim_pid, ret_status, p->wake ? WNOHANG : 0);
        if (pid < 0)
            give_up("a victim cannot be stepped");
        if (pid > 0)
            return true;
        if (polls % 16 == 0 && is_asleep(s->victim_pid)) {
            if (last)
                return false;
            p->wake(s);
        }
        sched_yield();
    }
}

/* Runs a victim for at most k instructions of its act and kills it; it is dead, not reaped, when
 * this returns. Returns how many instructions it ran; *ret_ended tells whether that was all. */
static unsigned long kill_after(struct scene *s, const struct primitive *p, unsigned long k,
                                bool *ret_ended)
{
    int status;
    siginfo_t info;
    pid_t pid = scene_start(s, p);
    if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
        give_up("a victim cannot be traced");
    if (p->prepare)
        p->prepare(s);
    unsigned long i = 0;
    bool ended = false, awake = true;
    while (i < k && !ended && awake) {
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
            give_up("a victim cannot be stepped");
        awake = is_stepped(s, p, i + 1 == k, &status);
        ended = awake && (!WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP);
        i++;
    }
    if (!awake || WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    }
    *ret_ended = ended;
    return i;
}

/* --- the runs ------------------------------------------------------------------------------------
 */

static void set(struct scene *s, const struct primitive *p, struct tally *t)
{
    s->enter = enter;
    s->leave = leave;
    scene_set(s, t);
    if (p->set)
        p->set(s);
}

/* How many instructions the victims' parts have, one after the other. */
static void measure(const struct primitive *p, unsigned long *ret_first, unsigned long *ret_act)
{
    static struct scene s;
    struct tally ignored = {0};
    bool ended;
    set(&s, p, &ignored);
    *ret_first = p->first ? kill_after(&s, p->first, ~0ul, &ended) : 1;
    if (p->first)
        s.victim = NULL;
    *ret_act = kill_after(&s, p, ~0ul, &ended);
    scene_survive(&s, p);
    scene_strike(&s);
}

/* Kills after k instructions. False when there are not that many. */
static bool run(const struct primitive *p, unsigned long k, unsigned long span, struct tally *t)
{
    static struct scene s;
    bool ended;
    unsigned before = faults(t);
    now_at.step = k;
    set(&s, p, t);
    if (p->first) {
        kill_after(&s, p->first, k * 7919 % span, &ended);
        s.victim = NULL; /* still to be found */
        atomic_fetch_add(&s.page->deaths, 1);
    }
    kill_after(&s, p, k, &ended);
    alarm(PATIENCE);
    scene_survive(&s, p);
    alarm(0);
    scene_strike(&s);
    if (faults(t) != before)
        fprintf(stderr, "wrong: %s after %lu instructions\n", p->name, k);
    t->points++;
    return !ended;
}

static bool run_all(const struct primitive *p, unsigned long stride, unsigned place)
{
    struct tally t = {0};
    unsigned long first, act;
    now_at.name = p->name;
    measure(p, &first, &act);
    unsigned long step = stride == 0  ? act * act / 2 / MOST_STEPS + 1
                         : stride > 1 ? stride * p->weight
                                      : 1;
    for (unsigned long k = place % step; run(p, k, first, &t); k += step)
        ;
    printf("%-28s %12lu %6lu %11u %5u %5u %7u %6u %10u\n", p->name, act, step, t.points, t.stuck,
           t.torn, t.doubled, t.leaked, t.miscounted);
    fflush(stdout);
    return faults(&t) == 0;
}

/* Tracer and victim take turns: on one processor that is three times as fast. */
static void stay_here(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
}

int main(int argc, char **argv)
{
    const struct primitive *const tables[] = {queue_primitives, sleeper_primitives,
                                              task_primitives};
    unsigned long stride = argc > 1 ? strtoul(argv[1], NULL, 10) : 41;
    unsigned place = 0;
    bool good = true;
    stay_here();
    signal(SIGALRM, on_alarm);
    printf("%-28s %12s %6s %11s %5s %5s %7s %6s %10s\n", "primitive", "instructions", "every",
           "kill points", "stuck", "torn", "doubled", "leaked", "miscounted");
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct primitive *p = tables[i]; p->name; p++, place++)
            if (argc < 3 || strcmp(argv[2], p->name) == 0)
                good &= run_all(p, stride, place);
    return good ? 0 : 1;
}
