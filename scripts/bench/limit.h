/*
 * limit.h - what the limits share: the programs in C that do what a workload needs the machine for,
 * and nothing else. They measure as measure.lua does.
 *
 * Processes wait for one another by a word of shared memory: they read it for a while, then sleep
 * on it (futex(2)). Who changes a word wakes only where somebody sleeps: the sleeper counts itself
 * before it looks again, the other looks at the count after its store, both sequentially
 * consistent, so that one of them sees the other.
 */
#ifndef LIMIT_H
#define LIMIT_H

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SPINS = 2000, LINE = 64 /* bytes, of the cache */ };

struct word {
    _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
};

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

static inline double scale(void)
{
    const char *text = getenv("MF_BENCH_SCALE");
    return text ? strtod(text, NULL) : 1;
}

static inline long size(long n)
{
    long scaled = (long)((double)n * scale());
    return scaled > 1 ? scaled : 1;
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the list. */
static inline double median(double *list, size_t n)
{
    qsort(list, n, sizeof *list, order);
    return n % 2 ? list[n / 2] : (list[n / 2 - 1] + list[n / 2]) / 2;
}

/* The median of the seconds that f takes, once it is warm. */
static inline double repeated(void (*f)(void))
{
    enum { MOST = 10000 };
    static double times[MOST];
    size_t n = 0;
    f();
    double last = now() + 0.5 * scale();
    while (n < 3 || (n < MOST && now() < last)) {
        double begin = now();
        f();
        times[n++] = now() - begin;
    }
    return median(times, n);
}

/* Zeroed memory that children share. */
static inline void *shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    return memory;
}

static pid_t children[8];
static int child_count;

static inline void join_children(void)
{
    while (child_count > 0)
        waitpid(children[--child_count], NULL, 0);
}

static inline void end_children(void)
{
    for (int i = 0; i < child_count; i++)
        kill(children[i], SIGKILL);
    join_children();
}

/* Runs f in a child, which ends when the program does. */
static inline void child(void (*f)(void))
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0) {
        if (child_count == 0)
            atexit(end_children);
        children[child_count++] = pid;
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        f();
    _exit(0);
}

/* Stays on the first (0) or second (1) processor that this process may use: two that spin for one
 * another on the same one would measure the scheduler. */
static inline void pin(int which)
{
    cpu_set_t may, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof may, &may) != 0 || CPU_COUNT(&may) < 2)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &may) && which-- == 0) {
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
    }
}

static inline void relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

/* Waits until the word has another value than `old`, and gives that. */
static inline uint32_t await(struct word *word, uint32_t old)
{
    uint32_t value;
    for (int i = 0; i < SPINS; i++) {
        value = atomic_load_explicit(&word->value, memory_order_acquire);
        if (value != old)
            return value;
        relax();
    }
    atomic_fetch_add(&word->sleepers, 1);
    while ((value = atomic_load(&word->value)) == old)
        syscall(SYS_futex, &word->value, FUTEX_WAIT, old, NULL, NULL, 0);
    atomic_fetch_sub(&word->sleepers, 1);
    return value;
}

/* Wakes the sleepers, if there are any, after a change of the word. They may wait for different
 * changes: one alone could be the wrong one. */
static inline void wake(struct word *word)
{
    if (atomic_load(&word->sleepers) > 0)
        syscall(SYS_futex, &word->value, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static inline void announce(struct word *word, uint32_t value)
{
    atomic_store(&word->value, value);
    wake(word);
}

/* Forks a second of a process that ends at once, each waited for, n in a row: set `forks` first. */
static long forks;

static inline void fork_in_a_row(void)
{
    for (long i = 0; i < forks; i++) {
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    }
}

static inline double fork_rate(long n)
{
    forks = n;
    return (double)n / repeated(fork_in_a_row);
}

#endif
