/* play.c - one scene with one strike, in processes of its own: see play.h. */
#include "play.h"

#include "crash.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 60 /* seconds that a play may take */
#define STOP_USEC 200000
#define AT_A_TIME 6

/* --- the family of one play ----------------------------------------------------------------------
 */

#define MISSED 3 /* status of a runner whose victim did not come to the point */

static struct play play;
static struct primitive repeating;

void *play_share(size_t size)
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
        mf__crash_arm(play.name, play.hit, play.signal, &s->page->struck);
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

static _Noreturn void run_family(const struct play *p, struct tally *tally)
{
    static struct scene s = {.enter = enter, .leave = leave};
    siginfo_t info;
    alarm(PATIENCE); /* the kernel ends a runner that hangs, and its family with it */
    play = *p;
    repeating = *play.scene;
    if (!repeating.once)
        repeating.act = repeat;
    scene_set(&s, tally);
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
    _exit(play.signal && !atomic_load(&s.page->struck) ? MISSED : 0);
}

/* --- many plays at a time ------------------------------------------------------------------------
 */

static struct running {
    struct play play;
    pid_t runner; /* 0: none */
    struct tally *tally;
} running[AT_A_TIME];

static void describe(const struct play *p, const struct tally *t)
{
    const char *how = p->signal == SIGKILL ? "killed" : p->signal ? "stopped" : "not struck";
    printf("wrong: %s, %s at visit %u of \"%s\": stuck %u torn %u doubled %u leaked %u miscounted "
           "%u\n",
           p->name, how, p->hit, p->scene->name, t->stuck, t->torn, t->doubled, t->leaked,
           t->miscounted);
    fflush(stdout);
}

static void conclude(struct running *r, int status)
{
    bool missed = WIFEXITED(status) && WEXITSTATUS(status) == MISSED;
    if (!missed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        r->tally->stuck++;
    if (faults(r->tally))
        describe(&r->play, r->tally);
    struct outcome *o = r->play.outcome;
    o->plays += !missed;
    o->missed += missed;
    tally_add(&o->tally, r->tally);
    munmap(r->tally, sizeof *r->tally);
    r->runner = 0;
}

static void reap_one(void)
{
    int status;
    pid_t pid = wait(&status);
    for (int i = 0; i < AT_A_TIME; i++)
        if (running[i].runner == pid)
            conclude(&running[i], status);
}

void play_all(void)
{
    for (int i = 0; i < AT_A_TIME; i++)
        while (running[i].runner)
            reap_one();
}

static struct running *free_place(void)
{
    for (;;) {
        for (int i = 0; i < AT_A_TIME; i++)
            if (!running[i].runner)
                return &running[i];
        reap_one();
    }
}

void play_begin(const struct play *p)
{
    struct running *r = free_place();
    r->play = *p;
    r->tally = play_share(sizeof *r->tally);
    fflush(stdout);
    r->runner = fork();
    if (r->runner == 0)
        run_family(p, r->tally);
}
