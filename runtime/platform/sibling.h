/*
 * sibling.h - a copy of a process that is not its child but its parent's: what fork() cannot make.
 *
 * clone(2) with CLONE_PARENT, which leaves to the caller what the C library's fork() does in the
 * child: it tells the C library the new thread id and the kernel the list of robust mutexes. Only
 * for a process with a single thread, which holds no lock of the C library.
 */
#ifndef MF_SIBLING_H
#define MF_SIBLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where the C library keeps what the kernel knows of this thread. The same in each copy. */
struct mf_sibling {
    int *tid;
    void *robust;
    size_t robust_size;
};

/* False where that cannot be found out: then there can be no siblings. */
bool mf__sibling_prepare(struct mf_sibling *s);

/* 0 in the copy; in the caller its pid, or -1 with errno. The kernel stores the pid in *pid before
 * the copy runs and before the caller can be killed. */
pid_t mf__sibling_fork(const struct mf_sibling *s, _Atomic int32_t *pid);

#endif
