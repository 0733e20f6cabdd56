/* descendants.c - the programs that a process has started: see descendants.h. */
#include "descendants.h"

#include "pidfd.h"

#include <dirent.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void note_children(struct mf_descendants *d, pid_t pid, const char *thread)
{
    char path[320]; /* a name in a directory may be 255 long */
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, thread);
    FILE *f = fopen(path, "re");
    while (f && d->count < MF_DESCENDANTS_MOST && fscanf(f, "%d", &child) == 1) {
        int fd = mf__pidfd_open(child);
        if (fd < 0)
            continue;
        d->pidfds[d->count++] = fd;
        mf__descendants_note(d, child);
    }
    if (f)
        fclose(f);
}

void mf__descendants_note(struct mf_descendants *d, pid_t pid)
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

void mf__descendants_forget(struct mf_descendants *d, int from)
{
    while (d->count > from)
        close(d->pidfds[--d->count]);
}

void mf__descendants_end(struct mf_descendants *d, int signal)
{
    for (int i = 0; i < d->count; i++) {
        syscall(SYS_pidfd_send_signal, d->pidfds[i], signal, NULL, 0);
        if (signal == SIGTERM) /* a stopped program hears it when it goes on */
            syscall(SYS_pidfd_send_signal, d->pidfds[i], SIGCONT, NULL, 0);
    }
    mf__descendants_forget(d, 0);
}
