/* cpu.c - processors and memory that the process may use: see cpu.h. */
#include "cpu.h"

#include "error.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Is the controller among those of a hierarchy ("cpu,cpuacct")? */
static int is_listed(const char *names, const char *controller)
{
    size_t n = strlen(controller);
    for (const char *at = names;; at++) {
        if (strncmp(at, controller, n) == 0 && (at[n] == ',' || at[n] == 0))
            return 1;
        at = strchr(at, ',');
        if (!at)
            return 0;
    }
}

/* The path of this process in a cgroup hierarchy: controller "" is v2. */
static int cgroup_path(const char *controller, char *path, size_t size)
{
    char line[512];
    int found = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        char *names = strchr(line, ':'), *where = names ? strchr(names + 1, ':') : NULL;
        if (!where)
            continue;
        *where++ = 0; /* the names end here */
        where[strcspn(where, "\n")] = 0;
        names++;
        found = *controller ? is_listed(names, controller) : !*names;
        if (found)
            snprintf(path, size, "%s", where);
    }
    if (f)
        fclose(f);
    return found;
}

/* Reads up to two numbers of a cgroup file ("max" is none). Gives how many it read. */
static int cgroup_numbers(const char *mount, const char *path, const char *file, long long v[2])
{
    char name[1024];
    int n = 0;
    snprintf(name, sizeof name, "/sys/fs/cgroup%s%s/%s", mount, path, file);
    FILE *f = fopen(name, "re");
    if (f) {
        n = fscanf(f, "%lld %lld", &v[0], &v[1]);
        fclose(f);
    }
    return n < 0 ? 0 : n;
}

/* Calls look with the process's group and each of its ancestors: limits hold for all below. */
static void each_group(const char *mount, const char *controller,
                       void (*look)(const char *mount, const char *path, void *arg), void *arg)
{
    char path[512] = "";
    if (!cgroup_path(controller, path, sizeof path))
        return;
    for (;;) {
        look(mount, strcmp(path, "/") == 0 ? "" : path, arg);
        char *slash = strrchr(path, '/');
        if (!slash || !path[1])
            return;
        slash[slash == path] = 0;
    }
}

static void lower_cpus(long long quota, long long period, int *cpus)
{
    if (quota > 0 && period > 0 && (quota + period - 1) / period < *cpus)
        *cpus = (int)((quota + period - 1) / period);
}

static void look_cpu_v2(const char *mount, const char *path, void *arg)
{
    long long v[2];
    if (cgroup_numbers(mount, path, "cpu.max", v) == 2)
        lower_cpus(v[0], v[1], arg);
}

static void look_cpu_v1(const char *mount, const char *path, void *arg)
{
    long long quota[2], period[2];
    if (cgroup_numbers(mount, path, "cpu.cfs_quota_us", quota) >= 1 &&
        cgroup_numbers(mount, path, "cpu.cfs_period_us", period) >= 1)
        lower_cpus(quota[0], period[0], arg);
}

static void look_memory(const char *mount, const char *path, void *arg)
{
    long long v[2];
    unsigned long long *limit = arg;
    const char *file = *mount ? "memory.limit_in_bytes" : "memory.max";
    if (cgroup_numbers(mount, path, file, v) >= 1 && v[0] > 0 && (unsigned long long)v[0] < *limit)
        *limit = (unsigned long long)v[0];
}

int mf__cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                        : (int)sysconf(_SC_NPROCESSORS_ONLN);
    each_group("", "", look_cpu_v2, &n);
    each_group("/cpu", "cpu", look_cpu_v1, &n);
    return n < 1 ? 1 : n;
}

int mf__cpu(void)
{
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : cpu;
}

unsigned long long mf__memory_limit(void)
{
    unsigned long long limit =
        (unsigned long long)sysconf(_SC_PHYS_PAGES) * (unsigned long long)sysconf(_SC_PAGESIZE);
    each_group("", "", look_memory, &limit);
    each_group("/memory", "memory", look_memory, &limit);
    return limit;
}

int mf__cpu_pin(cpu_set_t *ret_old)
{
    cpu_set_t old, one;
    int cpu = sched_getcpu();
    if (cpu < 0 || sched_getaffinity(0, sizeof old, &old) != 0)
        return MF_ESYS;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        return MF_ESYS;
    *ret_old = old;
    return 0;
}

void mf__cpu_unpin(const cpu_set_t *old)
{
    cpu_set_t all;
    if (sched_setaffinity(0, sizeof *old, old) == 0)
        return;
    /* None of them is allowed any more, say: whatever is, before staying on one. */
    memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
}

void mf__cpu_step(unsigned steps)
{
    cpu_set_t all, one;
    int cpu = sched_getcpu();
    if (cpu < 0 || sched_getaffinity(0, sizeof all, &all) != 0 || !CPU_ISSET((size_t)cpu, &all))
        return;
    for (steps %= (unsigned)CPU_COUNT(&all); steps; steps--)
        do
            cpu = (cpu + 1) % CPU_SETSIZE;
        while (!CPU_ISSET((size_t)cpu, &all));
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0)
        mf__cpu_unpin(&all);
}
