/*
 * pidfd.h - a process as a file descriptor: waiting for its end with a deadline.
 */
#ifndef MF_PIDFD_H
#define MF_PIDFD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A descriptor (>= 3, CLOEXEC; the caller closes it) of a child that was not yet reaped, or
 * MF_ESYS. pidfd_open(2). */
int mf__pidfd_open(pid_t pid);

/* Sleeps until the process has ended, or the deadline. 0, MF_ETIMEOUT or MF_EINTR. */
int mf__pidfd_wait(int pidfd, int64_t deadline);

/* waitid() on a child, whatever signal handlers run: by its pidfd, because a pid that somebody else
 * reaped may already be that of another child of the program. Without one (below 0) by its pid, and
 * on Linux 5.3, which cannot wait for one. *pidfd becomes -1 where it is none any more: the program
 * has closed it, as daemons close all they have. */
int mf__pidfd_waitid(int *pidfd, pid_t pid, siginfo_t *info, int options);

/* Sends a signal: to that process or to nobody. False: it was not sent. */
bool mf__pidfd_send(int pidfd, int signal);

#endif
