/*
 * fd.h - file descriptors: closing what a child must not inherit, and standing clear of 0-2.
 */
#ifndef MF_FD_H
#define MF_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes every descriptor >= 3 but the n listed in keep (any order, duplicates allowed). Made for a
 * freshly forked child: allocates nothing. close_range(2), or one close(2) each without it: of what
 * /proc/self/fd lists, or else of all numbers to the limit. */
void mf__fd_close_all(const int *keep, size_t n);

/* The descriptor itself if it is >= 3, or another one like it in its place (CLOEXEC): 0 to 2 belong
 * to the program, closed or not. Below 0 stays; MF_ESYS, and it is closed. */
int mf__fd_high(int fd);

/* A descriptor that is kept for long, with the file that it leads to. The program may close all
 * that it has, as daemons do, and open files of its own under the same numbers: those are not ours
 * to use, nor to close. (Before Linux 6.9 all pidfds, epolls and the like count as the same file.)
 */
struct mf_file {
    int fd;
    dev_t device;
    ino_t inode;
};

/* Of a descriptor that was just opened, or of none: below 0. */
struct mf_file mf__file(int fd);

/* Does the descriptor still lead there? */
bool mf__file_is_open(const struct mf_file *f);

/* Closes it, if so. */
void mf__file_close(const struct mf_file *f);

/* Puts /dev/null on descriptor fd (0, 1 or 2), open for reading and writing; where there is none,
 * something as empty, for reading. 0 or MF_ESYS. */
int mf__fd_null(int fd);

#endif
