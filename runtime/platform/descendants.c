/* descendants.c - the programs that a process has started: see descendants.h. */
#include "descendants.h"

#include "clock.h"
#include "error.h"
#include "pidfd.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* For a process that was sent SIGSTOP. One that runs, or waits for a processor, will stand still;
 * one that is in vfork() hears nothing until that is over. */
#define PATIENCE_RUNNING (2 * MF_SECOND)
#define PATIENCE (200 * MF_MSEC)

/* The letter of its state; X when there is none. */
static char state_of(pid_t pid)
{
    char path[32], stat[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, stat, sizeof stat - 1);
    if (fd >= 0)
        close(fd);
    stat[n > 0 ? n : 0] = 0;
    const char *name_end = strrchr(stat, ')'); /* then a space, and the letter */
    return name_end && name_end[1] && name_end[2] ? name_end[2] : 'X';
}

/* Until it can start nothing: it is stopped, or has ended. */
static void wait_until_it_stands(pid_t pid)
{
    int64_t begin = mf__now();
    char state;
    while (!strchr("TtZX", state = state_of(pid)) &&
           mf__now() - begin < (state == 'R' ? PATIENCE_RUNNING : PATIENCE))
        sched_yield();
}

static bool is_noted(const struct mf_descendants *d, pid_t pid)
{
    for (int i = 0; i < d->count; i++)
        if (d->pids[i] == pid)
            return true;
    return false;
}

static void note(struct mf_descendants *d, pid_t pid)
{
    int fd = is_noted(d, pid) ? -1 : mf__pidfd_open(pid);
    if (fd < 0)
        return;
    d->pids[d->count] = pid;
    d->pidfds[d->count++] = fd;
}

static void note_children(struct mf_descendants *d, pid_t pid, const char *thread)
{
    char path[320]; /* a name in a directory may be 255 long */
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, thread);
    FILE *f = fopen(path, "re");
    while (f && d->count < MF_DESCENDANTS_MOST && fscanf(f, "%d", &child) == 1)
        note(d, child);
    if (f)
        fclose(f);
}

static void note_those_of(struct mf_descendants *d, pid_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    for (struct dirent *e; threads && (e = readdir(threads));)
        if (e->d_name[0] != '.')
            note_children(d, pid, e->d_name);
    if (threads)
        closedir(threads);
}

void mf__descendants_note(struct mf_descendants *d, pid_t pid)
{
    int first = d->count;
    wait_until_it_stands(pid);
    note_those_of(d, pid);
    for (int i = first; i < d->count; i++)
        note_those_of(d, d->pids[i]);
}

void mf__descendants_forget(struct mf_descendants *d, int from)
{
    while (d->count > from)
        close(d->pidfds[--d->count]);
}

/* One that stands still does so for ever if this process is killed now: so no other is stopped
 * before it has its signal. */
static void stop_and_note_those_of(struct mf_descendants *d, int i)
{
    int before = d->count;
    mf__pidfd_send(d->pidfds[i], SIGSTOP);
    wait_until_it_stands(d->pids[i]);
    note_those_of(d, d->pids[i]);
    if (mf__pidfd_wait(d->pidfds[i], 0) != MF_ETIMEOUT) /* its pid may be a stranger's by now */
        mf__descendants_forget(d, before);
}

void mf__descendants_end(struct mf_descendants *d, int signal)
{
    for (int i = 0; i < d->count; i++) { /* it grows */
        stop_and_note_those_of(d, i);
        mf__pidfd_send(d->pidfds[i], signal);
        mf__pidfd_send(d->pidfds[i], SIGCONT);
    }
    mf__descendants_forget(d, 0);
}
