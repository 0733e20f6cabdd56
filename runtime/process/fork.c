/* fork.c - the one function that calls fork(): see fork.h. */
#include "fork.h"

#include "cpu.h"
#include "fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

static void reset_signals(void)
{
    for (int s = 1; s < NSIG; s++) {
        struct sigaction a;
        if (sigaction(s, NULL, &a) != 0 || a.sa_handler == SIG_DFL)
            continue;
        if (a.sa_handler == SIG_IGN && s != SIGCHLD)
            continue;
        sigaction(s, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    }
}

/* First of all: a child that is stopped before would outlive its parent. */
static void follow(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(127);
}

/* A child that cannot be what it should be is none: its parent's stdin is not its own. */
static void settle_in(const int *keep, size_t n, bool keep_stdin)
{
    reset_signals();
    mf__fd_close_all(keep, n);
    if (!keep_stdin && mf__fd_null(0) < 0)
        _exit(127);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
}

pid_t mf__fork(const int *keep, size_t n, bool keep_stdin)
{
    sigset_t all, before;
    cpu_set_t cpus;
    sigfillset(&all);
    fflush(NULL); /* what is buffered now would be written twice */
    bool pinned = mf__cpu_pin(&cpus) == 0;
    pid_t parent = getpid();
    pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of the parent runs in the child */
    pid_t pid = fork();
    int e = errno;
    if (pid == 0) {
        follow(parent);
        settle_in(keep, n, keep_stdin);
    }
    if (pinned)
        mf__cpu_unpin(&cpus);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = e;
    return pid;
}
