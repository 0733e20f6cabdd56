/* pidfd.c - a process as a file descriptor: see pidfd.h. */
#include "pidfd.h"

#include "clock.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int mf__pidfd_open(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* CLOEXEC by itself */
    if (fd < 0)
        return MF_ESYS;
    if (fd >= 3)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* 0-2 belong to the program, closed or not */
    close(fd);
    return high < 0 ? MF_ESYS : high;
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
