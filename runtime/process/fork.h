/*
 * fork.h - the one function that calls fork().
 */
#ifndef MF_FORK_H
#define MF_FORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Forks with stdio flushed. In the child (0): it dies with its parent from now on (prctl(2)), and
 * has ended with status 127 where that is dead already; descriptors >= 3 but those of keep are
 * closed, signal handlers are reset (ignored signals stay ignored, SIGCHLD excepted), the parent's
 * signal mask and processors are set again, stdin is /dev/null unless keep_stdin, stdout is
 * line-buffered. In the parent the pid, or -1 with errno. Runs the hooks of pthread_atfork. */
pid_t mf__fork(const int *keep, size_t n, bool keep_stdin);

#endif
