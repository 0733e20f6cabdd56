/*
 * crash.h - named places where a test can end, stop or slow down a process.
 *
 *     MF_CRASH("subject.operation.step");
 *
 * stands between two stores that matter. It is compiled in by -DMF_FAULTS only; else it is nothing,
 * and no product contains its name. Several places may share a name. What is armed and watched is
 * a process's own and inherited over a fork, so that a child can be struck before it has run a line
 * of its own. Used by spec/stress and, through mp.debug, by the specs.
 */
#ifndef MF_CRASH_H
#define MF_CRASH_H

#ifdef MF_FAULTS

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MF_CRASH_NAME 64 /* also the alignment, so that the linker leaves no gaps between sites */

/* One place. The linker gathers all of a program in one array. */
struct mf_crash_site {
    _Alignas(MF_CRASH_NAME) char name[MF_CRASH_NAME];
};

#define MF_CRASH(name_)                                                                            \
    do {                                                                                           \
        static const struct mf_crash_site mf_crash_site_                                           \
            __attribute__((used, section("mf_crash_sites"))) = {name_};                            \
        mf__crash_reach(&mf_crash_site_);                                                          \
    } while (0)

/* For MF_CRASH. */
void mf__crash_reach(const struct mf_crash_site *site);

/* How many places the program has, and the name of one. */
uint32_t mf__crash_count(void);
const char *mf__crash_name(uint32_t index);

/* From now on this process and the children that it forks count their visits to places of that
 * name together, and who makes the hit-th of them (1: the next) sends itself `signal`; its pid is
 * in *struck then, unless that is NULL. Once; arming again, in any of them, replaces it there; NULL
 * disarms. MF_EINVAL when no place has the name, MF_ENOMEM. */
int mf__crash_arm(const char *name, uint32_t hit, int signal, _Atomic int32_t *struck);

/* From now on this process counts its visits in visits[index]; NULL ends that. The array has
 * mf__crash_count() words, outlives this, and may be shared. */
void mf__crash_tally(_Atomic uint32_t *visits);

/* From now on this process stays `usec` microseconds at each place it comes to: *at is the place's
 * index + 1 meanwhile, and 0 again when it goes on. NULL ends that. The word outlives this; who
 * reads it after the process was killed knows where it died. */
void mf__crash_dwell(_Atomic uint32_t *at, unsigned usec);

#else

#define MF_CRASH(name_) ((void)0)

#endif

#endif
