/* descendants_test.c - what is left of the programs when who ends them is killed in the middle. */
#include "check.h"

#include "clock.h"
#include "descendants.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Each is the parent of the next; the last but one is in vfork(), and so hears no SIGSTOP. */
enum { ROOT, FIRST, DEAF, LAST, PROCESSES };

static _Atomic pid_t *pids; /* shared */

static void stay(void)
{
    for (;;)
        pause();
}

/* A function of its own: what vfork() shares is this frame. */
static __attribute__((noinline)) void be_deaf(void)
{
    if (vfork() == 0) {
        pids[LAST] = getpid();
        stay();
    }
    _exit(0);
}

static pid_t start_chain(void)
{
    pid_t root = fork();
    for (int i = ROOT; root == 0; i++) {
        pids[i] = getpid();
        if (i == DEAF)
            be_deaf();
        if (fork() > 0)
            stay();
    }
    return root;
}

/* Copies a file of /proc/pid; "" when the process is gone. */
static void look_up(pid_t pid, const char *name, char *text, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, room - 1);
    text[n > 0 ? n : 0] = 0;
    if (fd >= 0)
        close(fd);
}

static char state_of(pid_t pid)
{
    char stat[512];
    look_up(pid, "stat", stat, sizeof stat);
    const char *name_end = strrchr(stat, ')');
    return name_end ? name_end[2] : 'X';
}

static bool was_sent_sigstop(pid_t pid)
{
    char status[4096];
    look_up(pid, "status", status, sizeof status);
    const char *pending = strstr(status, "ShdPnd:");
    return pending && strtoull(pending + strlen("ShdPnd:"), NULL, 16) & 1u << (SIGSTOP - 1);
}

static pid_t start_killer(pid_t root)
{
    pid_t killer = fork();
    if (killer == 0) {
        struct mf_descendants d = {0};
        mf__descendants_note(&d, root);
        mf__descendants_end(&d, SIGKILL);
        _exit(0);
    }
    return killer;
}

/* The killer waits 200 ms for the deaf one; on a machine too busy to see that, it has done its
 * work. */
static void kill_while_it_waits(pid_t killer)
{
    while (!was_sent_sigstop(pids[DEAF]) && waitpid(killer, NULL, WNOHANG) == 0)
        usleep(1000);
    kill(killer, SIGKILL);
    waitpid(killer, NULL, 0);
}

static void a_killed_killer_leaves_no_more_than_one_program_standing_still(void)
{
    pids = mmap(NULL, sizeof(pid_t) * PROCESSES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    CHECK(pids != MAP_FAILED && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid_t root = start_chain();
    while (!pids[LAST] || state_of(pids[DEAF]) != 'D')
        usleep(1000);
    kill(root, SIGSTOP);
    kill_while_it_waits(start_killer(root));
    int64_t deadline = mf__now() + 5 * check_slack() * MF_SECOND;
    while (state_of(pids[FIRST]) == 'T' && mf__now() < deadline)
        usleep(1000);
    char state = state_of(pids[FIRST]);
    for (int i = ROOT; i < PROCESSES; i++)
        kill(pids[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    CHECK(state != 'T');
}

int main(void)
{
    RUN(a_killed_killer_leaves_no_more_than_one_program_standing_still);
    return 0;
}
