/* mutex_test.c - the robust mutex between processes: its owner's death, and a wake that is lost. */
#include "check.h"
#include "clock.h"
#include "error.h"
#include "mutex.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    struct mf_mutex x;
    _Atomic int waiting, got;
};

static struct shared *share(void)
{
    struct shared *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    mf__mutex_init(&s->x);
    return s;
}

/* A child that waits for the mutex, and tells what it got. */
static pid_t start_waiter(struct shared *s, int64_t deadline)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    atomic_store(&s->waiting, 1);
    atomic_store(&s->got, 1 + mf__mutex_lock(&s->x, 1, deadline));
    _exit(0);
}

#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__) /* which sleeps elsewhere */
/* The word of the futex: the first of a mutex, by the rules that the kernel has for robust ones. */
static _Atomic uint32_t *word_of(struct shared *s)
{
    return (_Atomic uint32_t *)(void *)&s->x.m;
}

#define SOMEBODY_SLEEPS 0x80000000u

static void wait_for_sleeper(struct shared *s)
{
    for (int64_t limit = mf__deadline(20); !(atomic_load(word_of(s)) & SOMEBODY_SLEEPS);)
        CHECK(mf__now() < limit);
}

/* What is left when a sleeper was woken and killed while another process took the mutex and gave it
 * back: a free mutex, sleepers, and no mark of them. */
static void a_lost_wake_is_made_up_for(void)
{
    struct shared *s = share();
    int status;
    CHECK(mf__mutex_lock(&s->x, 0, MF_FOREVER) == 0);
    pid_t pid = start_waiter(s, MF_FOREVER);
    wait_for_sleeper(s);
    atomic_fetch_and(word_of(s), ~SOMEBODY_SLEEPS);
    mf__mutex_unlock(&s->x);
    for (int64_t limit = mf__deadline(20); !atomic_load(&s->got) && mf__now() < limit;)
        mf__sleep_until(mf__now() + MF_MSEC);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    CHECK(atomic_load(&s->got) == 1);
}
#endif

static void the_death_of_an_owner_is_told(void)
{
    struct shared *s = share();
    CHECK(mf__mutex_lock(&s->x, 0, MF_FOREVER) == 0);
    mf__mutex_unlock(&s->x);
    pid_t pid = start_waiter(s, MF_FOREVER);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(mf__mutex_lock(&s->x, 0, MF_FOREVER) == MF_OWNER_DIED);
    CHECK(atomic_load(&s->x.holder) == 2);
    mf__mutex_settled(&s->x, 0);
    CHECK(atomic_load(&s->x.holder) == 1);
    mf__mutex_unlock(&s->x);
}

static void a_deadline_ends_the_wait(void)
{
    struct shared *s = share();
    CHECK(mf__mutex_lock(&s->x, 0, MF_FOREVER) == 0);
    pid_t pid = start_waiter(s, mf__deadline(0.2));
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(atomic_load(&s->got) == 1 + MF_ETIMEOUT);
    mf__mutex_unlock(&s->x);
}

int main(void)
{
#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)
    RUN(a_lost_wake_is_made_up_for);
#endif
    RUN(the_death_of_an_owner_is_told);
    RUN(a_deadline_ends_the_wait);
    return 0;
}
