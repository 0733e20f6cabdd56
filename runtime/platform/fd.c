/* fd.c - file descriptors: see fd.h. */
#include "fd.h"

#include "error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The number in a name of /proc/self/fd; 0 in one that is none. */
static unsigned number_of(const char *name)
{
    unsigned n = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        n = n * 10 + (unsigned)(*name - '0');
    return n;
}

/* Closes those of a folder's entries that are in the span. True when one was closed: then the list
 * is to be read anew, as it has changed meanwhile. */
static bool close_listed(const char *entries, long size, unsigned first, unsigned last, int folder)
{
    bool some = false;
    for (long at = 0; at < size;) {
        const struct dirent64 *e = (const void *)(entries + at);
        unsigned fd = number_of(e->d_name);
        if (fd >= first && fd <= last && (int)fd != folder)
            some |= close((int)fd) == 0;
        at += e->d_reclen;
    }
    return some;
}

/* close_range() where the kernel, or a filter of system calls, has none: goes by the list of what
 * is open, as the limit of descriptors may be a billion. False: there is no list. */
static bool close_by_list(unsigned first, unsigned last)
{
    _Alignas(struct dirent64) char entries[4096];
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return false;
    long size;
    while ((size = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0)
        if (close_listed(entries, size, first, last, folder))
            lseek(folder, 0, SEEK_SET);
    close(folder);
    return size == 0;
}

static void close_span(unsigned first, unsigned last)
{
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    if (close_by_list(first, last))
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

struct mf_file mf__file(int fd)
{
    struct stat s = {0};
    if (fd >= 0)
        fstat(fd, &s);
    return (struct mf_file){.fd = fd, .device = s.st_dev, .inode = s.st_ino};
}

bool mf__file_is_open(const struct mf_file *f)
{
    struct stat s;
    return f->fd >= 0 && fstat(f->fd, &s) == 0 && s.st_dev == f->device && s.st_ino == f->inode;
}

void mf__file_close(const struct mf_file *f)
{
    if (mf__file_is_open(f))
        close(f->fd);
}

/* Where there is no /dev/null: a pipe that nobody writes to is as empty. */
static int open_pipe(void)
{
    int ends[2];
    if (pipe(ends) < 0)
        return -1;
    close(ends[1]);
    return ends[0];
}

int mf__fd_null(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        null = open_pipe();
    if (null < 0)
        return MF_ESYS;
    if (null == fd) { /* fd was closed, and open() took its place: it must survive an exec. */
        fcntl(fd, F_SETFD, 0);
        return 0;
    }
    int rc;
    do
        rc = dup2(null, fd);
    while (rc < 0 && (errno == EINTR || errno == EBUSY));
    close(null);
    return rc < 0 ? MF_ESYS : 0;
}

int mf__fd_high(int fd)
{
    if (fd < 0 || fd >= 3)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int error = errno;
    close(fd);
    errno = error;
    return high < 0 ? MF_ESYS : high;
}
