/* platform_test.c - errors, time, descriptors and processors. */
#include "check.h"

#include "clock.h"
#include "cpu.h"
#include "entropy.h"
#include "error.h"
#include "fd.h"
#include "futex.h"
#include "pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void every_error_has_a_name_and_a_text(void)
{
#define ONE(code, value, name, text)                                                               \
    CHECK(code == (value) && strcmp(mf_error_name(code), name) == 0);                              \
    CHECK(strcmp(mf_error_text(code), text) == 0);
    MF_ERRORS(ONE)
#undef ONE
    CHECK(strcmp(mf_error_name(0), "ok") == 0 && strcmp(mf_error_name(7), "ok") == 0);
    CHECK(strcmp(mf_error_name(-99), "error") == 0 && mf_error_text(-99) != NULL);
}

static void a_deadline_is_ahead_by_its_seconds(void)
{
    int64_t before = mf__now(), deadline = mf__deadline(2.5), after = mf__now();
    CHECK(deadline >= before + 2500 * MF_MSEC && deadline <= after + 2500 * MF_MSEC);
}

static void a_deadline_of_no_seconds_has_passed(void)
{
    CHECK(mf__deadline(0) == 0 && mf__deadline(-1) == 0 && mf__deadline(-INFINITY) == 0);
}

static void a_deadline_out_of_range_is_for_ever(void)
{
    CHECK(mf__deadline(NAN) == MF_FOREVER && mf__deadline(INFINITY) == MF_FOREVER);
    CHECK(mf__deadline(1e300) == MF_FOREVER && mf__deadline(8.9e9) != MF_FOREVER);
}

static void a_time_after_another_stays_in_range(void)
{
    CHECK(mf__after(7, 1.5) == 7 + 1500 * MF_MSEC && mf__after(7, 0) == 7);
    CHECK(mf__after(7, INFINITY) == MF_FOREVER && mf__after(7, NAN) == MF_FOREVER);
    CHECK(mf__after(MF_FOREVER - 1, 8.9e9) == MF_FOREVER);
}

static void sleeping_ends_at_the_deadline(void)
{
    int64_t deadline = mf__now() + 2 * MF_MSEC;
    CHECK(mf__sleep_until(deadline) == 0 && mf__now() >= deadline);
    CHECK(mf__sleep_until(0) == 0);
}

static void a_futex_gives_timeout_or_returns_at_once(void)
{
    _Atomic uint32_t word = 3;
    CHECK(mf__futex_wait(&word, 4, MF_FOREVER) == 0);
    CHECK(mf__futex_wait(&word, 3, mf__now() + MF_MSEC) == MF_ETIMEOUT);
    CHECK(mf__futex_wait(&word, 3, 0) == MF_ETIMEOUT);
    CHECK(mf__futex_wake(&word, 1) == 0);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void closing_all_descriptors_spares_the_kept_ones(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open("/dev/null", O_RDONLY);
        for (int to = 10; to < 60; to++)
            dup2(fd, to);
        const int keep[] = {40, 12, 40, 11, 59, -1, 1};
        mf__fd_close_all(keep, sizeof keep / sizeof *keep);
        bool good = is_open(0) && is_open(1) && is_open(2);
        for (int to = 3; to < 100; to++)
            good = good && is_open(to) == (to == 40 || to == 12 || to == 11 || to == 59);
        mf__fd_close_all(NULL, 0);
        _exit(good && !is_open(40) && is_open(2) ? 0 : 1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void null_takes_the_place_of_an_open_or_closed_descriptor(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        bool good = mf__fd_null(0) == 0 && read(0, &c, 1) == 0;
        close(0);
        good = good && mf__fd_null(0) == 0 && read(0, &c, 1) == 0;
        _exit(good && fcntl(0, F_GETFD) == 0 ? 0 : 1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Runs a condition in a child, which may do to itself what it likes. */
static bool holds_in_a_child(bool (*condition)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(condition() ? 0 : 1);
    return waitpid(pid, &status, 0) == pid && status == 0;
}

static void allow_descriptors(rlim_t n)
{
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){n, n});
}

static bool descriptors_below_3_are_not_taken(void)
{
    close(0);
    return mf__pidfd_open(getpid()) >= 3 && !is_open(0);
}

static bool no_descriptor_is_left(void)
{
    close(0);
    allow_descriptors(1);
    bool good = mf__pidfd_open(getpid()) == MF_ESYS && !is_open(0);
    allow_descriptors(0);
    return good && mf__pidfd_open(getpid()) == MF_ESYS && mf__fd_null(1) == MF_ESYS;
}

static void a_pidfd_leaves_0_to_2_to_the_program(void)
{
    CHECK(holds_in_a_child(descriptors_below_3_are_not_taken));
    CHECK(holds_in_a_child(no_descriptor_is_left));
}

static void a_pidfd_tells_the_end_of_a_child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    int fd = mf__pidfd_open(pid), status;
    CHECK(fd >= 3 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(mf__pidfd_wait(fd, 0) == MF_ETIMEOUT);
    CHECK(mf__pidfd_wait(fd, mf__now() + MF_MSEC) == MF_ETIMEOUT);
    kill(pid, SIGKILL);
    CHECK(mf__pidfd_wait(fd, MF_FOREVER) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    close(fd);
    CHECK(mf__pidfd_open(pid) == MF_ESYS);
}

/* An old kernel has none, nor has valgrind: process.c does without. */
static bool there_are_pidfds(void)
{
    errno = 0;
    int fd = mf__pidfd_open(getpid());
    bool there = errno != ENOSYS;
    if (fd >= 0)
        close(fd);
    return there;
}

static void the_processors_are_those_of_the_affinity_mask(void)
{
    cpu_set_t old, now;
    int before = mf__cpu_count();
    CHECK(before >= 1 && before <= CPU_SETSIZE);
    CHECK(mf__cpu_pin(&old) == 0);
    CHECK(mf__cpu_count() == 1);
    mf__cpu_unpin(&old);
    CHECK(sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&old, &now));
    CHECK(mf__cpu_count() == before);
    CHECK(mf__memory_limit() >= 1 << 20);
}

static void write_to(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(path);
        _exit(1);
    }
}

/* Gives this process a /sys/fs/cgroup of its own, which is empty, and `groups` as its groups; false
 * where that is not allowed. */
static bool pretend_groups(const char *groups)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    if (mount("none", "/", "", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) != 0)
        return false;
    write_to("/sys/fs/cgroup/groups", groups);
    return mount("/sys/fs/cgroup/groups", "/proc/self/cgroup", "", MS_BIND, NULL) == 0;
}

static bool they_are_those_of_the_narrowest_group(void)
{
    int all = mf__cpu_count();
    unsigned long long memory = mf__memory_limit();
    if (!pretend_groups("no colon\none:colon\n0::/outer/inner\n"))
        return true; /* not ours to try: neither root nor user namespaces */
    mkdir("/sys/fs/cgroup/outer", 0777);
    mkdir("/sys/fs/cgroup/outer/inner", 0777);
    bool good = mf__cpu_count() >= all && mf__memory_limit() >= memory;
    write_to("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
    write_to("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
    good = good && mf__cpu_count() >= all && mf__memory_limit() >= memory;
    write_to("/sys/fs/cgroup/outer/cpu.max", "99999 100000\n");
    write_to("/sys/fs/cgroup/outer/memory.max", "52428800\n");
    good = good && mf__cpu_count() == 1 && mf__memory_limit() == 50 << 20;
    write_to("/sys/fs/cgroup/outer/inner/cpu.max", "100000000 100000\n");
    write_to("/sys/fs/cgroup/outer/inner/memory.max", "1048576000000000\n");
    good = good && mf__cpu_count() == 1 && mf__memory_limit() == 50 << 20;
    write_to("/sys/fs/cgroup/outer/cpu.max", "0 0\n");
    write_to("/sys/fs/cgroup/outer/memory.max", "0\n");
    return good && mf__cpu_count() >= all && mf__memory_limit() >= memory;
}

static bool they_are_those_of_the_older_hierarchies(void)
{
    int all = mf__cpu_count();
    unsigned long long memory = mf__memory_limit();
    if (!pretend_groups("9:cpuset:/\n8:blkio,cpu,cpuacct:/mine\n7:memory:/\n"))
        return true;
    mkdir("/sys/fs/cgroup/memory", 0777);
    mkdir("/sys/fs/cgroup/cpu", 0777);
    mkdir("/sys/fs/cgroup/cpu/mine", 0777);
    write_to("/sys/fs/cgroup/cpu/mine/cpu.cfs_quota_us", "50000\n");
    bool good = mf__cpu_count() >= all && mf__memory_limit() >= memory;
    write_to("/sys/fs/cgroup/cpu/mine/cpu.cfs_period_us", "0\n");
    good = good && mf__cpu_count() >= all;
    write_to("/sys/fs/cgroup/cpu/mine/cpu.cfs_period_us", "100000\n");
    write_to("/sys/fs/cgroup/memory/memory.limit_in_bytes", "52428800\n");
    good = good && mf__cpu_count() == 1 && mf__memory_limit() == 50 << 20;
    write_to("/sys/fs/cgroup/cpu/mine/cpu.cfs_quota_us", "-1\n");
    return good && mf__cpu_count() >= all;
}

static void processors_and_memory_are_those_that_the_groups_allow(void)
{
    CHECK(holds_in_a_child(they_are_those_of_the_narrowest_group));
    CHECK(holds_in_a_child(they_are_those_of_the_older_hierarchies));
}

static void random_numbers_differ(void)
{
    CHECK(mf__entropy() != mf__entropy());
}

int main(void)
{
    RUN(every_error_has_a_name_and_a_text);
    RUN(a_deadline_is_ahead_by_its_seconds);
    RUN(a_deadline_of_no_seconds_has_passed);
    RUN(a_deadline_out_of_range_is_for_ever);
    RUN(a_time_after_another_stays_in_range);
    RUN(sleeping_ends_at_the_deadline);
    RUN(a_futex_gives_timeout_or_returns_at_once);
    RUN(closing_all_descriptors_spares_the_kept_ones);
    RUN(null_takes_the_place_of_an_open_or_closed_descriptor);
    if (there_are_pidfds()) {
        RUN(a_pidfd_leaves_0_to_2_to_the_program);
        RUN(a_pidfd_tells_the_end_of_a_child);
    }
    RUN(the_processors_are_those_of_the_affinity_mask);
    RUN(processors_and_memory_are_those_that_the_groups_allow);
    RUN(random_numbers_differ);
    return 0;
}
