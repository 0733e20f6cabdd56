/* surroundings.c - what a process has of the world, as bytes: see surroundings.h. */
#include "surroundings.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static uint64_t bit(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

static uint64_t ignored_signals(void)
{
    uint64_t ignored = 0;
    struct sigaction a;
    for (int s = 1; s < NSIG && s <= 64; s++)
        if (sigaction(s, NULL, &a) == 0 && a.sa_handler == SIG_IGN && s != SIGCHLD)
            ignored |= bit(s);
    return ignored;
}

/* A number in /proc/self/status, or `otherwise`. */
static unsigned of_status(const char *format, unsigned otherwise)
{
    unsigned n = otherwise;
    char line[256];
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f) && sscanf(line, format, &n) != 1)
        ;
    if (f)
        fclose(f);
    return n;
}

/* It can only be read by changing it, which another thread would notice. */
static mode_t read_umask(void)
{
    struct stat threads;
    if (stat("/proc/self/task", &threads) != 0 || threads.st_nlink > 3)
        return (mode_t)of_status("Umask: %o", 022);
    mode_t mask = umask(077);
    umask(mask);
    return mask;
}

void mf__surroundings_take(struct mf_surroundings *s)
{
    memset(s, 0, sizeof *s); /* compared as bytes */
    pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
    s->ignored = ignored_signals();
    s->has_cpus = sched_getaffinity(0, sizeof s->cpus, &s->cpus) == 0;
    s->umask = read_umask();
    s->group = getpgrp();
    errno = 0;
    s->nice = getpriority(PRIO_PROCESS, 0);
    for (int i = 0; i < RLIM_NLIMITS; i++)
        if (getrlimit((__rlimit_resource_t)i, &s->limits[i]) != 0)
            s->limits[i] = (struct rlimit){1, 0}; /* which nobody lets us set */
}

void mf__surroundings_apply(const struct mf_surroundings *s, const struct mf_surroundings *own)
{
    for (int i = 1; i < NSIG && i <= 64; i++)
        if ((s->ignored ^ own->ignored) & bit(i))
            signal(i, s->ignored & bit(i) ? SIG_IGN : SIG_DFL);
    if (s->has_cpus)
        sched_setaffinity(0, sizeof s->cpus, &s->cpus);
    if (s->umask != own->umask)
        umask(s->umask);
    if (s->group != own->group)
        setpgid(0, s->group);
    if (s->nice != own->nice)
        setpriority(PRIO_PROCESS, 0, s->nice);
    for (int i = 0; i < RLIM_NLIMITS; i++)
        if (memcmp(&s->limits[i], &own->limits[i], sizeof own->limits[i]) != 0)
            setrlimit((__rlimit_resource_t)i, &s->limits[i]);
    pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
}

static uint64_t capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    syscall(SYS_capget, &header, data);
    return (uint64_t)data[1].effective << 32 | data[0].effective;
}

void mf__identity_take(struct mf_identity *id)
{
    struct stat root = {0};
    memset(id, 0, sizeof *id); /* compared as bytes */
    getresuid(&id->uids[0], &id->uids[1], &id->uids[2]);
    getresgid(&id->gids[0], &id->gids[1], &id->gids[2]);
    id->group_count = getgroups(sizeof id->groups / sizeof *id->groups, id->groups);
    id->session = getsid(0);
    id->capabilities = capabilities();
    stat("/", &root);
    id->root_device = root.st_dev;
    id->root = root.st_ino;
    id->no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    id->seccomp = prctl(PR_GET_SECCOMP);
    if (id->seccomp > 0) /* where the kernel does not count them, one more is not seen */
        id->filters = (int)of_status("Seccomp_filters: %u", 0);
}

bool mf__identity_is_same(const struct mf_identity *a, const struct mf_identity *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

size_t mf__environment_take(char *bytes, size_t room)
{
    size_t size = 0;
    for (char **at = environ; at && *at; at++) {
        size_t n = strlen(*at) + 1;
        if (size + n <= room)
            memcpy(bytes + size, *at, n);
        size += n;
    }
    return size;
}

void mf__environment_apply(char *bytes, size_t size)
{
    static char **volatile kept; /* setenv() leaves it for a list of its own: it is not lost */
    size_t n = 0, i = 0;
    for (size_t at = 0; at < size; at += strlen(bytes + at) + 1)
        n++;
    char **list = kept = malloc((n + 1) * sizeof *list);
    if (!list)
        _exit(127);
    for (size_t at = 0; at < size; at += strlen(bytes + at) + 1)
        list[i++] = bytes + at;
    list[n] = NULL;
    environ = list;
}
