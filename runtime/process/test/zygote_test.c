/* zygote_test.c - children that the zygote makes: they are what forked ones are; and its death. */
#include "check.h"

#include "block.h"
#include "death.h"
#include "object.h"
#include "process.h"
#include "queue.h"
#include "slot.h"
#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static mf_runtime *rt;
static mf_queue *words; /* that children tell the test something through */
static int of_prepare;

static int prepare(void *arg, char *text, size_t room)
{
    (void)text, (void)room;
    of_prepare = *(int *)arg;
    return 0;
}

static void open_family(void)
{
    char text[100];
    int seven = 7;
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 64 << 20, .budget = 32 << 20}, &rt) == 0);
    CHECK(mf_zygote_open(rt, prepare, &seven, text, sizeof text) == 0);
    CHECK(mf_zygote_open(rt, NULL, NULL, text, sizeof text) == 0); /* there is one */
    CHECK(mf_queue_new(rt, 0, &words) == 0);
}

static void close_family(void)
{
    mf__object_drop(rt, words);
    for (uint32_t i = 1; i < MF_SLOTS; i++)
        CHECK(mf__phase(atomic_load(&mf__slot_at(rt, i)->state)) == MF_SLOT_FREE);
    CHECK(mf__block_count(rt) == 0 && mf__object_count(rt) == 0);
    mf_close(rt);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

/* The queue is known to children by its address: the arena was there before the zygote. */
struct note {
    mf_queue *words;
    int number;
    char path[64];
};

static mf_process *start_with(int (*main)(mf_runtime *rt, void *arg), const void *data, size_t size,
                              const int *keep, size_t n)
{
    mf_process *p;
    uint64_t handle = mf__object_handle(rt, words);
    const struct mf_start start = {.main = main,
                                   .name = "test",
                                   .handles = &handle,
                                   .handle_count = 1,
                                   .keep_fds = keep,
                                   .keep_fd_count = n,
                                   .by_zygote = true,
                                   .data = data,
                                   .data_size = size};
    CHECK(mf_process_start(rt, &start, &p) == 0);
    return p;
}

static mf_process *start(int (*main)(mf_runtime *rt, void *arg), int number)
{
    struct note note = {.words = words, .number = number};
    return start_with(main, &note, sizeof note, NULL, 0);
}

static void end(mf_process *p, int status)
{
    CHECK(mf_process_join(rt, p, MF_FOREVER) == 0);
    CHECK(mf_process_status(p) == status);
    mf_process_free(rt, p);
}

static int give(mf_runtime *own, void *arg)
{
    (void)own;
    return ((struct note *)arg)->number;
}

static int give_prepared(mf_runtime *own, void *arg)
{
    (void)own, (void)arg;
    return of_prepare;
}

static int raise_it(mf_runtime *own, void *arg)
{
    (void)own;
    raise(((struct note *)arg)->number);
    return 0;
}

static int stay(mf_runtime *own, void *arg)
{
    (void)own, (void)arg;
    while (pause() < 0)
        ;
    return 0;
}

static void its_children_are_those_of_their_creator(void)
{
    open_family();
    for (int n = 0; n < 100; n++)
        end(start(give, n), n);
    end(start(give_prepared, 0), 7);
    end(start(raise_it, SIGKILL), -SIGKILL);
    end(start(raise_it, SIGTERM), -SIGTERM);
    mf_process *p = start(stay, 0);
    CHECK(mf_process_join(rt, p, 0) == MF_ETIMEOUT);
    mf_process_end(rt, p, 10);
    end(p, -SIGTERM);
    close_family();
}

static int sum(mf_runtime *own, void *arg)
{
    (void)own;
    uint32_t total = 0;
    const uint8_t *bytes = arg;
    for (size_t i = 0; i < 1000000; i++)
        total += bytes[i];
    return total % 251;
}

static void a_million_bytes_arrive(void)
{
    static uint8_t bytes[1000000];
    uint32_t total = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        total += bytes[i] = (uint8_t)(i * 7 + i / 1000);
    open_family();
    end(start_with(sum, bytes, sizeof bytes, NULL, 0), (int)(total % 251));
    end(start(give, 3), 3);
    close_family();
}

static int hold_and_die(mf_runtime *own, void *arg)
{
    struct note *note = arg;
    mf__mutex_lock(&note->words->end[0].lock, own->slot, MF_FOREVER);
    raise(SIGKILL);
    return 0;
}

static void a_mutex_of_a_killed_child_is_free_again(void)
{
    open_family();
    end(start(hold_and_die, 0), -SIGKILL);
    CHECK(mf_queue_put(rt, words, "x", 1, NULL, 0, 0) == 0);
    close_family();
}

/* --- what a child has of the world --------------------------------------------------------------
 */

static int tell_surroundings(mf_runtime *own, void *arg)
{
    const struct note *note = arg;
    struct rlimit limit;
    struct sigaction a;
    sigset_t mask;
    char here[64];
    umask(umask(0));
    bool same = getcwd(here, sizeof here) && strcmp(here, note->path) == 0;
    same = same && getenv("MF_TEST_NEW") && strcmp(getenv("MF_TEST_NEW"), "as now") == 0;
    same = same && !getenv("MF_TEST_OLD");
    same = same && umask(0) == 031;
    same = same && getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 4096;
    same = same && sigaction(SIGUSR2, NULL, &a) == 0 && a.sa_handler == SIG_IGN;
    same = same && sigaction(SIGUSR1, NULL, &a) == 0 && a.sa_handler == SIG_DFL;
    same = same && sigprocmask(0, NULL, &mask) == 0 && sigismember(&mask, SIGWINCH) == 1 &&
           sigismember(&mask, SIGTERM) == 0;
    same = same && write(note->number, "k", 1) == 1 && fcntl(note->number + 1, F_GETFD) < 0;
    same = same && write(1, "o", 1) == 1 && read(0, here, 1) == 0;
    same = same && strcmp(own->self->name, "test") == 0;
    return same ? 0 : 1;
}

static void a_child_has_what_its_creator_has_at_the_start(void)
{
    struct note note = {0};
    int kept[2], out[2], before = dup(1);
    char byte;
    sigset_t mask;
    setenv("MF_TEST_OLD", "of the zygote", 1);
    open_family();
    unsetenv("MF_TEST_OLD");
    setenv("MF_TEST_NEW", "as now", 1);
    CHECK(chdir("/proc") == 0 && pipe(kept) == 0 && pipe(out) == 0);
    umask(031);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGWINCH);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    CHECK(setrlimit(RLIMIT_CORE, &(struct rlimit){4096, RLIM_INFINITY}) == 0 ||
          setrlimit(RLIMIT_CORE, &(struct rlimit){4096, 4096}) == 0);
    note.number = fcntl(kept[1], F_DUPFD, 50);
    snprintf(note.path, sizeof note.path, "/proc");
    fflush(stdout);
    dup2(out[1], 1);
    mf_process *p = start_with(tell_surroundings, &note, sizeof note, &note.number, 1);
    dup2(before, 1);
    end(p, 0);
    CHECK(read(kept[0], &byte, 1) == 1 && byte == 'k');
    CHECK(read(out[0], &byte, 1) == 1 && byte == 'o');
    close_family();
}

/* --- its end ------------------------------------------------------------------------------------
 */

/* The only child that is no process of the family. */
static pid_t pid_of_zygote(void)
{
    char path[64], line[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && read(fd, line, sizeof line - 1) > 0);
    close(fd);
    return atoi(line);
}

static void without_the_zygote_the_creator_forks(void)
{
    open_family();
    kill(pid_of_zygote(), SIGKILL);
    end(start(give, 5), 5);
    end(start(give, 6), 6);
    close_family();
}

static void a_zygote_that_is_stopped_is_given_up(void)
{
    open_family();
    kill(pid_of_zygote(), SIGSTOP);
    end(start(give, 5), 5);
    end(start(give, 6), 6);
    close_family();
}

static int fail(void *arg, char *text, size_t room)
{
    (void)arg;
    snprintf(text, room, "no such thing");
    return -1;
}

static void a_failed_preparation_is_told(void)
{
    char text[100] = "";
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 64 << 20, .budget = 32 << 20}, &rt) == 0);
    CHECK(mf_zygote_open(rt, fail, NULL, text, sizeof text) == MF_EZYGOTE);
    CHECK(strcmp(text, "no such thing") == 0);
    CHECK(mf_queue_new(rt, 0, &words) == 0);
    end(start(give, 6), 6);
    close_family();
}

/* As a daemon does, which then opens files of its own. */
static void files_under_the_numbers_of_the_zygote_are_the_program_s(void)
{
    enum { FIRST = 3, FILES = 12 };
    char byte;
    open_family();
    for (int fd = FIRST; fd < 64; fd++)
        close(fd);
    for (int fd = FIRST, ends[2]; fd < FIRST + FILES; fd += 2)
        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 && ends[0] == fd);
    end(start(give, 5), 5);
    end(start(give, 6), 6);
    close_family();
    for (int fd = FIRST; fd < FIRST + FILES; fd++)
        CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    for (int fd = FIRST; fd < FIRST + FILES; fd++)
        CHECK(close(fd) == 0);
}

/* What a slow preparation and its creator know of each other. */
struct slow {
    _Atomic int begun, may_end;
};

static int prepare_slowly(void *arg, char *text, size_t room)
{
    struct slow *slow = *(struct slow **)arg;
    (void)text, (void)room;
    slow->begun++;
    while (!slow->may_end)
        usleep(1000);
    return 0;
}

static void on_signal(int signal)
{
    (void)signal;
}

static pid_t begin_storm(void)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    pid_t pid = fork();
    if (pid == 0)
        while (kill(getppid(), SIGUSR1) == 0)
            usleep(1000);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    return pid;
}

static void end_storm(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0)
        ;
    signal(SIGUSR1, SIG_DFL);
}

/* A family in a storm of signals, whose zygote is half-made. */
static pid_t open_half_made(struct slow **ret_slow)
{
    struct slow *slow =
        mmap(NULL, sizeof *slow, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char text[100];
    CHECK(slow != MAP_FAILED);
    CHECK(mf_open(&(struct mf_arena_options){.reserve = 64 << 20, .budget = 32 << 20}, &rt) == 0);
    CHECK(mf_queue_new(rt, 0, &words) == 0);
    signal(SIGUSR1, SIG_IGN);
    pid_t storm = begin_storm();
    for (int i = 0; i < 3 || !slow->begun; i++)
        CHECK(mf_zygote_open(rt, prepare_slowly, &slow, text, sizeof text) == MF_EINTR);
    *ret_slow = slow;
    return storm;
}

static void signals_do_not_make_a_preparation_begin_again(void)
{
    struct slow *slow;
    char text[100];
    int rc;
    pid_t storm = open_half_made(&slow);
    slow->may_end = 1;
    while ((rc = mf_zygote_open(rt, NULL, NULL, text, sizeof text)) == MF_EINTR)
        ;
    CHECK(rc == 0 && slow->begun == 1);
    end_storm(storm);
    end(start(give, 6), 6);
    CHECK(munmap(slow, sizeof *slow) == 0);
    close_family();
}

static void a_half_made_zygote_is_passed_over_and_ended(void)
{
    struct slow *slow;
    pid_t storm = open_half_made(&slow);
    end_storm(storm);
    end(start(give, 5), 5);
    close_family(); /* says that nobody is left */
    CHECK(slow->begun == 1 && munmap(slow, sizeof *slow) == 0);
}

static int middle(mf_runtime *own, void *arg)
{
    char text[100];
    const struct note *note = arg;
    rt = own;
    words = note->words;
    CHECK(mf_zygote_open(own, NULL, NULL, text, sizeof text) == 0);
    mf_process *p = start(stay, 0);
    pid_t pids[2] = {pid_of_zygote(), mf_process_pid(p)};
    CHECK(mf_queue_put(own, words, pids, sizeof pids, NULL, 0, 0) == 0);
    return stay(own, NULL);
}

static void wait_until_gone(pid_t pid)
{
    for (int i = 0; kill(pid, 0) == 0; i++) {
        CHECK(i < 10000);
        usleep(1000);
    }
}

static void all_of_them_die_with_the_creator(void)
{
    struct mf_message m;
    pid_t pids[2];
    open_family();
    mf_process *p = start(middle, 0);
    CHECK(mf__queue_get(rt, words, &m, MF_FOREVER) == 0);
    memcpy(pids, m.data, sizeof pids);
    mf__queue_delivered(rt);
    mf__message_free(rt, &m);
    mf_process_signal(p, SIGKILL);
    end(p, -SIGKILL);
    wait_until_gone(pids[0]);
    wait_until_gone(pids[1]);
    mf__death_check(rt); /* a killed creator does not free what its child had */
    close_family();
}

int main(void)
{
    RUN(its_children_are_those_of_their_creator);
    RUN(a_million_bytes_arrive);
    RUN(a_mutex_of_a_killed_child_is_free_again);
    RUN(a_child_has_what_its_creator_has_at_the_start);
    RUN(without_the_zygote_the_creator_forks);
    RUN(a_zygote_that_is_stopped_is_given_up);
    RUN(a_failed_preparation_is_told);
    RUN(files_under_the_numbers_of_the_zygote_are_the_program_s);
    RUN(signals_do_not_make_a_preparation_begin_again);
    RUN(a_half_made_zygote_is_passed_over_and_ended);
    RUN(all_of_them_die_with_the_creator);
    return 0;
}
