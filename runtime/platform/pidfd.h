/*
 * pidfd.h - a process as a file descriptor: waiting for its end with a deadline.
 */
#ifndef MF_PIDFD_H
#define MF_PIDFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A descriptor (>= 3, CLOEXEC; the caller closes it) of a child that was not yet reaped, or
 * MF_ESYS. pidfd_open(2). */
int mf__pidfd_open(pid_t pid);

/* Sleeps until the process has ended, or the deadline. 0, MF_ETIMEOUT or MF_EINTR. */
int mf__pidfd_wait(int pidfd, int64_t deadline);

/* Sends a signal: to that process or to nobody. False: it was not sent. */
bool mf__pidfd_send(int pidfd, int signal);

#endif
