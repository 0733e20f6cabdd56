/* crash.c - named places where a test can end a process: see crash.h. */
#include "crash.h"

#ifdef MF_FAULTS

#include "clock.h"
#include "error.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The linker makes these of a section whose name is a word of C. */
extern const struct mf_crash_site __start_mf_crash_sites[] __attribute__((visibility("hidden")));
extern const struct mf_crash_site __stop_mf_crash_sites[] __attribute__((visibility("hidden")));

/* In a page that forks share. */
static struct trap {
    char name[MF_CRASH_NAME];
    _Atomic uint32_t left;
    int signal;
    _Atomic int32_t *struck;
} * trap;

static _Atomic uint32_t *tally;

static struct {
    _Atomic uint32_t *at;
    unsigned usec;
} dwell;

uint32_t mf__crash_count(void)
{
    return (uint32_t)(__stop_mf_crash_sites - __start_mf_crash_sites);
}

const char *mf__crash_name(uint32_t index)
{
    return __start_mf_crash_sites[index].name;
}

static bool is_known(const char *name)
{
    for (uint32_t i = 0; i < mf__crash_count(); i++)
        if (strcmp(mf__crash_name(i), name) == 0)
            return true;
    return false;
}

int mf__crash_arm(const char *name, uint32_t hit, int signal, _Atomic int32_t *struck)
{
    if (trap)
        munmap(trap, sizeof *trap);
    trap = NULL;
    if (!name)
        return 0;
    if (!is_known(name))
        return MF_EINVAL;
    struct trap *t =
        mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED)
        return MF_ENOMEM;
    strcpy(t->name, name);
    atomic_store(&t->left, hit);
    t->signal = signal;
    t->struck = struck;
    trap = t;
    return 0;
}

void mf__crash_tally(_Atomic uint32_t *visits)
{
    tally = visits;
}

void mf__crash_dwell(_Atomic uint32_t *at, unsigned usec)
{
    dwell.at = at;
    dwell.usec = usec;
}

static void linger(uint32_t index)
{
    int64_t until = mf__now() + dwell.usec * INT64_C(1000);
    atomic_store(dwell.at, index + 1);
    while (mf__now() < until)
        ;
    atomic_store(dwell.at, 0);
}

/* Also in a process that has blocked every signal: SIGKILL and SIGSTOP cannot be. */
static void strike(void)
{
    if (trap->struck)
        atomic_store(trap->struck, getpid());
    kill(getpid(), trap->signal);
}

void mf__crash_reach(const struct mf_crash_site *site)
{
    uint32_t index = (uint32_t)(site - __start_mf_crash_sites);
    if (tally)
        atomic_fetch_add(&tally[index], 1);
    if (trap && strcmp(trap->name, site->name) == 0 && atomic_fetch_sub(&trap->left, 1) == 1)
        strike();
    if (dwell.at)
        linger(index);
}

#endif
