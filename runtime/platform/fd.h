/*
 * fd.h - file descriptors: closing what a child must not inherit, and standing clear of 0-2.
 */
#ifndef MF_FD_H
#define MF_FD_H

#include <stddef.h>

/* Closes every descriptor >= 3 but the n listed in keep (any order, duplicates allowed). Made for a
 * freshly forked child: allocates nothing. close_range(2), or one close(2) each without it: of what
 * /proc/self/fd lists, or else of all numbers to the limit. */
void mf__fd_close_all(const int *keep, size_t n);

/* The descriptor itself if it is >= 3, or another one like it in its place (CLOEXEC): 0 to 2 belong
 * to the program, closed or not. Below 0 stays; MF_ESYS, and it is closed. */
int mf__fd_high(int fd);

/* Puts /dev/null on descriptor fd (0, 1 or 2), open for reading and writing; where there is none,
 * something as empty, for reading. 0 or MF_ESYS. */
int mf__fd_null(int fd);

#endif
