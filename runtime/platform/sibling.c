/* sibling.c - a copy of a process that is its parent's child: see sibling.h. */
#include "sibling.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool mf__sibling_prepare(struct mf_sibling *s)
{
    *s = (struct mf_sibling){0};
    /* The word that the kernel clears at the thread's end is the one that the library reads. */
    if (prctl(PR_GET_TID_ADDRESS, &s->tid) != 0 || !s->tid)
        return false;
    if (syscall(SYS_get_robust_list, 0, &s->robust, &s->robust_size) != 0)
        return false;
    return *s->tid == (int)syscall(SYS_gettid);
}

static long clone_process(unsigned long flags, _Atomic int32_t *pid, int *tid)
{
#if defined(__s390__) || defined(__CRIS__)
#error "clone has its arguments in another order here"
#elif defined(__x86_64__)
    return syscall(SYS_clone, flags, NULL, pid, tid, NULL);
#else
    return syscall(SYS_clone, flags, NULL, pid, NULL, tid);
#endif
}

pid_t mf__sibling_fork(const struct mf_sibling *s, _Atomic int32_t *pid)
{
    unsigned long flags =
        CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    long rc = clone_process(flags | SIGCHLD, pid, s->tid);
    if (rc == 0 && s->robust)
        syscall(SYS_set_robust_list, s->robust, s->robust_size);
    return (pid_t)rc;
}
