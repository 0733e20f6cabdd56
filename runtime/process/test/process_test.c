/* process_test.c - starting, joining, ending; what a child inherits; who outlives whom. */
#include "check.h"

#include "block.h"
#include "death.h"
#include "object.h"
#include "process.h"
#include "queue.h"
#include "slot.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static mf_runtime *rt;

static void open_family(void)
{
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 64 << 20, .budget = 32 << 20}, &rt) == 0);
}

/* Everybody is gone and has left nothing. */
static void close_family(void)
{
    for (uint32_t i = 1; i < MF_SLOTS; i++)
        CHECK(mf__phase(atomic_load(&mf__slot_at(rt, i)->state)) == MF_SLOT_FREE);
    CHECK(mf__block_count(rt) == 0 && mf__object_count(rt) == 0);
    mf_close(rt);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static mf_process *start(int (*main)(mf_runtime *rt, void *arg), void *arg)
{
    mf_process *p;
    CHECK(mf_process_start(rt, &(struct mf_start){.main = main, .arg = arg, .name = "test"}, &p) ==
          0);
    return p;
}

static void end(mf_process *p, int status)
{
    CHECK(mf_process_join(rt, p, MF_FOREVER) == 0);
    CHECK(mf_process_join(rt, p, 0) == 0 && mf_process_status(p) == status);
    mf_process_signal(p, SIGKILL); /* nothing: it has been reaped */
    mf_process_free(rt, p);
}

static int give(mf_runtime *own, void *arg)
{
    (void)own;
    return *(int *)arg;
}

static int stay(mf_runtime *own, void *arg)
{
    (void)own, (void)arg;
    while (pause() < 0)
        ;
    return 0;
}

static int raise_it(mf_runtime *own, void *arg)
{
    (void)own;
    raise(*(int *)arg);
    return 0;
}

static void a_status_is_the_low_byte_of_what_main_gave(void)
{
    open_family();
    for (int status = 0; status < 300; status += 37)
        end(start(give, &status), status & 0xff);
    close_family();
}

static void a_signal_is_a_negative_status(void)
{
    static int signals[] = {SIGKILL, SIGTERM, SIGINT, SIGUSR1, SIGHUP};
    open_family();
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        end(start(raise_it, &signals[i]), -signals[i]);
    close_family();
}

static void joining_a_child_that_stays_times_out(void)
{
    open_family();
    mf_process *p = start(stay, NULL);
    CHECK(mf_process_join(rt, p, 0) == MF_ETIMEOUT);
    CHECK(mf_process_join(rt, p, mf__deadline(0.001)) == MF_ETIMEOUT);
    CHECK(mf_process_status(p) == MF_PROCESS_RUNNING && !mf__process_is_over(p));
    mf_process_end(rt, p, 1);
    CHECK(mf_process_status(p) == -SIGTERM && mf__process_is_over(p));
    mf_process_free(rt, p);
    close_family();
}

static int shrug(mf_runtime *own, void *arg)
{
    signal(SIGTERM, SIG_IGN);
    mf_queue_put(own, arg, "ready", 5, NULL, 0, MF_FOREVER);
    return stay(own, arg);
}

static void a_child_that_ignores_the_request_is_killed(void)
{
    mf_queue *q;
    mf_process *p;
    struct mf_message m;
    open_family();
    CHECK(mf_queue_new(rt, 0, &q) == 0);
    const uint64_t handle = mf__object_handle(rt, q);
    struct mf_start s = {.main = shrug, .arg = q, .handles = &handle, .handle_count = 1};
    CHECK(mf_process_start(rt, &s, &p) == 0);
    CHECK(mf__queue_get(rt, q, &m, MF_FOREVER) == 0);
    mf__queue_delivered(rt);
    mf_process_end(rt, p, 0.01);
    CHECK(mf_process_status(p) == -SIGKILL);
    mf_process_free(rt, p);
    mf__object_drop(rt, q);
    close_family();
}

static void a_status_is_found_where_sigchld_is_ignored(void)
{
    open_family();
    int status = 3;
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 20; i++)
        end(start(give, &status), 3); /* its slot tells what the kernel does not */
    mf_process *p = start(stay, NULL);
    mf_process_signal(p, SIGKILL);
    end(p, MF_PROCESS_UNKNOWN);
    signal(SIGCHLD, SIG_DFL);
    close_family();
}

static void a_status_is_found_where_somebody_else_reaped(void)
{
    open_family();
    int status = 4, ignored;
    mf_process *p = start(give, &status);
    CHECK(waitpid(-1, &ignored, 0) == mf_process_pid(p));
    end(p, 4);
    p = start(stay, NULL);
    mf_process_signal(p, SIGKILL);
    CHECK(waitpid(-1, &ignored, 0) == mf_process_pid(p));
    end(p, MF_PROCESS_UNKNOWN);
    close_family();
}

/* Writes its child's pid to the pipe and stays. */
static int have_a_child(mf_runtime *own, void *arg)
{
    int fd = *(int *)arg;
    mf_process *p;
    struct mf_start s = {.main = stay, .keep_fds = &fd, .keep_fd_count = 1};
    if (mf_process_start(own, &s, &p) < 0)
        return 1;
    pid_t pids[2] = {getpid(), mf_process_pid(p)};
    if (write(fd, pids, sizeof pids) != sizeof pids)
        return 2;
    return stay(own, arg);
}

static void wait_for_end_of_file(int fd)
{
    char c;
    ssize_t n;
    do
        n = read(fd, &c, 1);
    while (n > 0 || (n < 0 && errno == EINTR));
    CHECK(n == 0);
}

static void the_death_of_a_child_takes_its_children_along(void)
{
    int fd[2];
    pid_t pids[2];
    open_family();
    CHECK(pipe(fd) == 0);
    mf_process *p;
    struct mf_start s = {
        .main = have_a_child, .arg = &fd[1], .keep_fds = &fd[1], .keep_fd_count = 1};
    CHECK(mf_process_start(rt, &s, &p) == 0);
    close(fd[1]);
    CHECK(read(fd[0], pids, sizeof pids) == sizeof pids);
    mf_process_signal(p, SIGKILL);
    wait_for_end_of_file(fd[0]); /* both held the other end */
    close(fd[0]);
    end(p, -SIGKILL);
    while (mf__phase(atomic_load(&mf__slot_at(rt, 2)->state)) != MF_SLOT_FREE) {
        mf__death_check(rt);
        sched_yield();
    }
    close_family();
}

/* As a child is for the moment between its parent's death and its own. */
static int outlive_the_parent(mf_runtime *own, void *arg)
{
    pid_t pid = getpid();
    prctl(PR_SET_PDEATHSIG, 0);
    if (write(*(int *)arg, &pid, sizeof pid) != sizeof pid)
        return 1;
    return stay(own, arg);
}

static int have_a_child_and_a_block(mf_runtime *own, void *arg)
{
    mf_process *p;
    struct mf_start s = {
        .main = outlive_the_parent, .arg = arg, .keep_fds = arg, .keep_fd_count = 1};
    if (!mf__block_new(own, 1000, own->slot) || mf_process_start(own, &s, &p) < 0)
        return 1;
    return stay(own, arg);
}

static void the_blocks_of_the_dead_stay_while_a_child_may_work_on_them(void)
{
    int fd[2];
    pid_t child;
    mf_process *p;
    open_family();
    CHECK(pipe(fd) == 0);
    struct mf_start s = {
        .main = have_a_child_and_a_block, .arg = &fd[1], .keep_fds = &fd[1], .keep_fd_count = 1};
    CHECK(mf_process_start(rt, &s, &p) == 0);
    CHECK(read(fd[0], &child, sizeof child) == sizeof child);
    kill(mf_process_pid(p), SIGKILL); /* not the programs that it has started */
    while (!mf__process_is_over(p))
        sched_yield();
    for (int i = 0; i < 3; i++)
        CHECK(mf__death_check(rt) == 0 && mf_process_join(rt, p, 0) == MF_ETIMEOUT);
    CHECK(mf__block_count(rt) == 1);
    kill(child, SIGKILL);
    end(p, -SIGKILL);
    mf__death_check(rt); /* the child's slot, which has no parent any more */
    close(fd[0]);
    close(fd[1]);
    close_family();
}

static void the_death_of_the_first_process_takes_all_along(void)
{
    int fd[2];
    pid_t pids[2];
    CHECK(pipe(fd) == 0);
    pid_t first = fork();
    if (first == 0) {
        close(fd[0]);
        open_family();
        mf_process *p;
        struct mf_start s = {
            .main = have_a_child, .arg = &fd[1], .keep_fds = &fd[1], .keep_fd_count = 1};
        CHECK(mf_process_start(rt, &s, &p) == 0);
        stay(rt, NULL);
    }
    close(fd[1]);
    CHECK(read(fd[0], pids, sizeof pids) == sizeof pids);
    kill(first, SIGKILL);
    CHECK(waitpid(first, NULL, 0) == first);
    wait_for_end_of_file(fd[0]);
    close(fd[0]);
}

static int count_fds(mf_runtime *own, void *arg)
{
    int n = 0;
    char c;
    (void)own;
    for (int fd = 3; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    if (read(0, &c, 1) != 0)
        return 100;
    return fcntl(*(int *)arg, F_GETFD) >= 0 ? n : 101;
}

static void a_child_has_only_the_descriptors_that_it_is_to_keep(void)
{
    int fd[4];
    open_family();
    CHECK(pipe(fd) == 0 && pipe(fd + 2) == 0);
    mf_process *p;
    struct mf_start s = {.main = count_fds, .arg = &fd[2], .keep_fds = &fd[2], .keep_fd_count = 1};
    CHECK(mf_process_start(rt, &s, &p) == 0);
    end(p, 1);
    for (int i = 0; i < 4; i++)
        close(fd[i]);
    close_family();
}

static int look_at_signals(mf_runtime *own, void *arg)
{
    struct sigaction term, usr1;
    sigset_t mask;
    (void)own, (void)arg;
    sigaction(SIGTERM, NULL, &term);
    sigaction(SIGUSR1, NULL, &usr1);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return term.sa_handler != SIG_DFL || usr1.sa_handler != SIG_IGN ||
           !sigismember(&mask, SIGUSR2) || sigismember(&mask, SIGTERM);
}

static void on_signal(int signal)
{
    (void)signal;
}

static void handlers_are_reset_and_the_mask_is_kept(void)
{
    sigset_t mask;
    open_family();
    signal(SIGTERM, on_signal);
    signal(SIGUSR1, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    end(start(look_at_signals, NULL), 0);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    close_family();
}

static void a_process_forked_by_others_is_told_so(void)
{
    open_family();
    mf_queue *q;
    struct mf_message m;
    CHECK(mf_queue_new(rt, 0, &q) == 0 && mf_queue_put(rt, q, "x", 1, NULL, 0, 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        mf_process *p;
        mf_queue *other;
        int status = 0;
        struct mf_start s = {.main = give, .arg = &status};
        bool good = mf_process_start(rt, &s, &p) == MF_EFORKED &&
                    mf_queue_new(rt, 0, &other) == MF_EFORKED &&
                    mf_queue_put(rt, q, "x", 1, NULL, 0, 0) == MF_EFORKED &&
                    mf_queue_put(rt, q, &s, sizeof s, NULL, 0, 0) == MF_EFORKED &&
                    mf__queue_get(rt, q, &m, 0) == MF_EFORKED;
        mf__object_drop(rt, q);
        mf_close(rt);
        _exit(good ? 0 : 1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(mf__object_count(rt) == 1 && mf_queue_size(q) == 1);
    mf__object_drop(rt, q);
    close_family();
}

static void a_process_forked_by_others_ends_no_child_of_its_parent(void)
{
    open_family();
    mf_process *p = start(stay, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        mf_process_signal(p, SIGKILL);
        mf_process_end(rt, p, 0);
        mf_process_free(rt, p);
        mf_close(rt);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(mf_process_join(rt, p, mf__deadline(0.05)) == MF_ETIMEOUT);
    mf_process_end(rt, p, 1);
    end(p, -SIGTERM);
    close_family();
}

static void closing_ends_all_children(void)
{
    open_family();
    for (int i = 0; i < 5; i++) {
        mf_process *p = start(stay, NULL);
        if (i % 2)
            mf_process_free(rt, p); /* forgotten, not abandoned */
    }
    mf_close(rt);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void a_child_is_joined_though_the_program_has_closed_all_descriptors(void)
{
    open_family();
    int status = 7;
    mf_process *p = start(give, &status), *q = start(stay, NULL);
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    end(p, 7);
    mf_process_end(rt, q, 0);
    CHECK(mf_process_status(q) == -SIGKILL || mf_process_status(q) == -SIGTERM);
    mf_process_free(rt, q);
    close_family();
}

static void a_child_whose_handle_was_given_up_is_reaped_at_a_later_start(void)
{
    open_family();
    int status = 0;
    mf_process *p = start(give, &status);
    pid_t pid = mf_process_pid(p);
    siginfo_t info;
    mf_process_free(rt, p);
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0 && info.si_pid != pid)
        ;
    end(start(give, &status), 0);
    CHECK(waitpid(pid, NULL, WNOHANG) < 0 && errno == ECHILD);
    close_family();
}

static void a_slot_is_there_for_every_start(void)
{
    open_family();
    int status = 0;
    for (int i = 0; i < 3000; i++) /* more than there are slots */
        end(start(give, &status), 0);
    CHECK(atomic_load(&rt->arena->slot_top) <= 3);
    close_family();
}

static void a_death_is_settled_by_whoever_looks(void)
{
    open_family();
    static int kill_signal = SIGKILL;
    mf_process *p = start(raise_it, &kill_signal);
    const struct mf_slot *s = mf__slot_at(rt, mf__process_slot(p));
    while (mf__phase(atomic_load(&s->state)) != MF_SLOT_DEAD) {
        mf__death_check(rt);
        sched_yield();
    }
    end(p, -SIGKILL);
    close_family();
}

/* Stops itself in the middle of the allocator, whoever tells it to go on or to end. */
static int stop_in_a_lock(mf_runtime *own, void *arg)
{
    (void)arg;
    signal(SIGTERM, SIG_IGN);
    mf__mutex_lock(&own->arena->classes[5].lock, own->slot, MF_FOREVER);
    while (raise(SIGSTOP) == 0)
        ;
    return 1;
}

static void a_process_stopped_in_a_lock_keeps_nobody_from_looking_or_ending(void)
{
    siginfo_t info;
    open_family();
    mf_process *list[3] = {start(stay, NULL), start(stop_in_a_lock, NULL), start(stay, NULL)};
    CHECK(waitid(P_PID, (id_t)mf_process_pid(list[1]), &info, WSTOPPED | WNOWAIT) == 0);
    mf_process_signal(list[0], SIGKILL);
    CHECK(mf_process_join(rt, list[0], mf__deadline(0.2)) == MF_ETIMEOUT);
    CHECK(mf__process_is_over(list[0]) && mf__death_check(rt) == 0);
    mf__process_end_many(rt, list, 3, 0.2 * check_slack());
    CHECK(mf_process_status(list[0]) == -SIGKILL && mf_process_status(list[1]) == -SIGKILL);
    CHECK(mf_process_status(list[2]) == -SIGTERM);
    for (int i = 0; i < 3; i++)
        mf_process_free(rt, list[i]);
    close_family();
}

int main(void)
{
    RUN(a_status_is_the_low_byte_of_what_main_gave);
    RUN(a_signal_is_a_negative_status);
    RUN(joining_a_child_that_stays_times_out);
    RUN(a_child_that_ignores_the_request_is_killed);
    RUN(a_status_is_found_where_sigchld_is_ignored);
    RUN(a_status_is_found_where_somebody_else_reaped);
    RUN(the_death_of_a_child_takes_its_children_along);
    RUN(the_blocks_of_the_dead_stay_while_a_child_may_work_on_them);
    RUN(the_death_of_the_first_process_takes_all_along);
    RUN(a_child_has_only_the_descriptors_that_it_is_to_keep);
    RUN(handlers_are_reset_and_the_mask_is_kept);
    RUN(a_process_forked_by_others_is_told_so);
    RUN(a_process_forked_by_others_ends_no_child_of_its_parent);
    RUN(closing_ends_all_children);
    RUN(a_child_is_joined_though_the_program_has_closed_all_descriptors);
    RUN(a_child_whose_handle_was_given_up_is_reaped_at_a_later_start);
    RUN(a_slot_is_there_for_every_start);
    RUN(a_death_is_settled_by_whoever_looks);
    RUN(a_process_stopped_in_a_lock_keeps_nobody_from_looking_or_ending);
    return 0;
}
