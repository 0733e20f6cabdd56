/* fd.c - file descriptors: see fd.h. */
#include "fd.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void close_span(unsigned first, unsigned last)
{
    if (first > last)
        return;
    if (syscall(SYS_close_range, first, last, 0) == 0)
        return;
    long limit = sysconf(_SC_OPEN_MAX);
    for (unsigned fd = first; fd <= last && (long)fd < limit; fd++)
        close((int)fd);
}

/* The smallest descriptor of keep that is >= from, or -1: keep need not be sorted. */
static int next_kept(const int *keep, size_t n, unsigned from)
{
    int best = -1;
    for (size_t i = 0; i < n; i++)
        if (keep[i] >= 0 && (unsigned)keep[i] >= from && (best < 0 || keep[i] < best))
            best = keep[i];
    return best;
}

void mf__fd_close_all(const int *keep, size_t n)
{
    unsigned from = 3;
    for (int kept; (kept = next_kept(keep, n, from)) >= 0; from = (unsigned)kept + 1)
        close_span(from, (unsigned)kept - 1);
    close_span(from, ~0u);
}

int mf__fd_null(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return MF_ESYS;
    if (null == fd) { /* fd was closed, and open() took its place: it must survive an exec. */
        fcntl(fd, F_SETFD, 0);
        return 0;
    }
    int rc;
    do
        rc = dup2(null, fd);
    while (rc < 0 && errno == EINTR);
    close(null);
    return rc < 0 ? MF_ESYS : 0;
}
