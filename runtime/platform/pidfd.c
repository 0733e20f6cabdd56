/* pidfd.c - a process as a file descriptor: see pidfd.h. */
#include "pidfd.h"

#include "clock.h"
#include "error.h"
#include "fd.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

bool mf__pidfd_send(int pidfd, int signal)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0;
}
