/* crash.c - named places where a test can end a process: see crash.h. */
#include "crash.h"

#ifdef MF_FAULTS

#include "clock.h"
#include "error.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* The linker makes these of a section whose name is a word of C. */
extern const struct mf_crash_site __start_mf_crash_sites[] __attribute__((visibility("hidden")));
extern const struct mf_crash_site __stop_mf_crash_sites[] __attribute__((visibility("hidden")));

static struct {
    char name[MF_CRASH_NAME]; /* empty: not armed */
    uint32_t hit;
    int signal;
    _Atomic int32_t *struck;
} armed;

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

int mf__crash_arm(const char *name, uint32_t hit, int signal, _Atomic int32_t *struck)
{
    armed.name[0] = 0;
    for (uint32_t i = 0; name && i < mf__crash_count(); i++) {
        if (strcmp(mf__crash_name(i), name) != 0)
            continue;
        armed.hit = hit;
        armed.signal = signal;
        armed.struck = struck;
        memcpy(armed.name, mf__crash_name(i), MF_CRASH_NAME);
        return 0;
    }
    return name ? MF_EINVAL : 0;
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

/* The process may be one that has blocked every signal: SIGKILL and SIGSTOP cannot be. */
static void strike(void)
{
    armed.name[0] = 0;
    if (armed.struck)
        atomic_store(armed.struck, getpid());
    kill(getpid(), armed.signal);
}

void mf__crash_reach(const struct mf_crash_site *site)
{
    uint32_t index = (uint32_t)(site - __start_mf_crash_sites);
    if (tally)
        atomic_fetch_add(&tally[index], 1);
    if (armed.name[0] && strcmp(armed.name, site->name) == 0 && --armed.hit == 0)
        strike();
    if (dwell.at)
        linger(index);
}

#endif
