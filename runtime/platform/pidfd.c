/* pidfd.c - a process as a file descriptor: see pidfd.h. */
#include "pidfd.h"

#include "clock.h"
#include "error.h"
#include "fd.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_BY_PIDFD 3 /* P_PIDFD, which not every libc names; since Linux 5.4 */

int mf__pidfd_open(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* CLOEXEC by itself */
    return fd < 0 ? MF_ESYS : mf__fd_high(fd);
}

int mf__pidfd_wait(int pidfd, int64_t deadline)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    struct timespec ts, *span = NULL;
    if (deadline != MF_FOREVER) {
        int64_t left = deadline - mf__now();
        left = left < 0 ? 0 : left;
        ts = (struct timespec){.tv_sec = left / MF_SECOND, .tv_nsec = left % MF_SECOND};
        span = &ts;
    }
    int n = ppoll(&p, 1, span, NULL);
    if (n > 0)
        return 0;
    if (n < 0 && errno != EINTR) { /* no memory, or a limit of descriptors below one: look again */
        int64_t soon = mf__now() + MF_MSEC;
        return mf__sleep_until(soon < deadline ? soon : deadline) == MF_EINTR ? MF_EINTR
                                                                              : MF_ETIMEOUT;
    }
    return n < 0 ? MF_EINTR : MF_ETIMEOUT;
}

static int wait_for(idtype_t type, id_t id, siginfo_t *info, int options)
{
    int rc;
    memset(info, 0, sizeof *info);
    do
        rc = waitid(type, id, info, options);
    while (rc < 0 && errno == EINTR);
    return rc;
}

int mf__pidfd_waitid(int *pidfd, pid_t pid, siginfo_t *info, int options)
{
    int rc = -1;
    errno = EINVAL;
    if (*pidfd >= 0)
        rc = wait_for((idtype_t)WAIT_BY_PIDFD, (id_t)*pidfd, info, options);
    if (rc < 0 && errno == EBADF) {
        *pidfd = -1;
        errno = EINVAL;
    }
    return rc < 0 && errno == EINVAL ? wait_for(P_PID, (id_t)pid, info, options) : rc;
}

bool mf__pidfd_send(int pidfd, int signal)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0;
}
