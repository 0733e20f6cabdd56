/* zygote_server.c - the life of a zygote: see zygote.h and zygote_request.h. */
#include "crash.h"
#include "fd.h"
#include "process.h"
#include "sibling.h"
#include "slot.h"
#include "zygote_request.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct server {
    mf_runtime *rt;
    int socket;
    pid_t creator;
    int cpu; /* that it has bound itself to, or -1 */
    struct mf_sibling sibling;
    struct mf_surroundings own;
    struct mf_zygote_request request;
    size_t room; /* of `behind`, which is mmapped */
    char *behind;
    int fds[MF_ZYGOTE_FDS];
    size_t fd_count;
};

/* --- receiving ----------------------------------------------------------------------------------
 */

/* The creator is gone, or says what makes no sense: there is nothing more to do. */
static void end_unless(bool fine)
{
    if (!fine)
        _exit(0);
}

static void make_room(struct server *s, size_t size)
{
    if (size == s->room)
        return;
    if (s->room)
        munmap(s->behind, s->room);
    s->behind = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    end_unless(s->behind != MAP_FAILED);
    s->room = size;
}

static void take_fds(struct server *s, struct msghdr *m)
{
    s->fd_count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        s->fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(s->fds, CMSG_DATA(c), s->fd_count * sizeof(int));
    }
}

/* The next request, with all that belongs to it. */
static void receive(struct server *s)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof s->fds)];
    struct iovec parts[2] = {{&s->request, sizeof s->request}, {s->behind, s->room}};
    struct msghdr m = {.msg_iov = parts,
                       .msg_iovlen = 2,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    ssize_t n = recvmsg(s->socket, &m, MSG_CMSG_CLOEXEC);
    end_unless(n >= (ssize_t)sizeof s->request && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)));
    take_fds(s, &m);
    size_t size = mf__zygote_request_size(&s->request);
    size_t at = (size_t)n - sizeof s->request;
    if (at < size)
        make_room(s, size);
    for (; at < size; at += (size_t)n)
        end_unless((n = recv(s->socket, s->behind + at, size - at, 0)) > 0);
}

/* --- the child ----------------------------------------------------------------------------------
 */

/* The next descriptor that was sent, in the order of sending. */
static int next_fd(const struct server *s, size_t *at)
{
    return *at < s->fd_count ? s->fds[(*at)++] : -1;
}

static void place_standard(const struct server *s, size_t *at)
{
    for (int fd = 0; fd < 3; fd++)
        if (s->request.standard & 1u << fd)
            dup2(next_fd(s, at), fd);
        else
            close(fd);
}

/* Each to its number, by way of numbers that none of them is to have. */
static void place_kept(const struct server *s, size_t *at)
{
    const struct mf_zygote_request *r = &s->request;
    int moved[MF_ZYGOTE_KEPT], numbers[MF_ZYGOTE_KEPT], highest = 3;
    for (uint32_t i = 0; i < r->kept_count; i++) {
        numbers[i] = r->kept[i] >> 1;
        highest = numbers[i] > highest ? numbers[i] : highest;
    }
    for (uint32_t i = 0; i < r->kept_count; i++)
        moved[i] = fcntl(next_fd(s, at), F_DUPFD, highest + 1);
    for (uint32_t i = 0; i < r->kept_count; i++)
        if (moved[i] < 0 || dup3(moved[i], numbers[i], r->kept[i] & 1 ? O_CLOEXEC : 0) < 0)
            _exit(127);
    mf__fd_close_all(numbers, r->kept_count);
    if (!r->keep_stdin && mf__fd_null(0) < 0)
        _exit(127);
}

/* Never returns. What stands behind the request is this process's own copy, and stays. */
static _Noreturn void be_child(const struct server *s)
{
    const struct mf_zygote_request *r = &s->request;
    size_t at = 0;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != s->creator)
        _exit(127);
    MF_CRASH("zygote.child.cloned");
    if (fchdir(next_fd(s, &at)) != 0)
        _exit(127);
    place_standard(s, &at);
    place_kept(s, &at);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    char *environment = s->behind + r->data_size;
    if (r->has_environment)
        mf__environment_apply(environment, r->environment_size);
    mf__surroundings_apply(&r->around, &s->own);
    struct mf_start start = {.main = r->main, .arg = s->behind};
    if (r->name_size)
        start.name = environment + r->environment_size;
    mf__process_run(s->rt, &start, r->slot, r->taken);
}

/* --- the loop -----------------------------------------------------------------------------------
 */

/* A child that is made where its creator runs is there sooner. */
static void follow_creator(struct server *s)
{
    cpu_set_t one;
    if (s->request.cpu < 0 || s->request.cpu == s->cpu)
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)s->request.cpu, &one);
    s->cpu = sched_setaffinity(0, sizeof one, &one) == 0 ? s->request.cpu : -1;
}

/* Room for all numbers that descriptors are to have; children get their creator's limit again. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

_Noreturn void mf__zygote_serve(mf_runtime *rt, int socket)
{
    struct server s = {.rt = rt, .socket = socket, .creator = getppid(), .cpu = -1};
    end_unless(mf__sibling_prepare(&s.sibling));
    raise_descriptors();
    mf__surroundings_take(&s.own);
    make_room(&s, MF_ZYGOTE_PIECE);
    for (;;) {
        receive(&s);
        MF_CRASH("zygote.serve.received");
        follow_creator(&s);
        pid_t pid = mf__sibling_fork(&s.sibling, &mf__slot_at(rt, s.request.slot)->pid);
        struct mf_zygote_answer answer = {.error = pid < 0 ? errno : 0};
        if (pid == 0)
            be_child(&s);
        MF_CRASH("zygote.serve.cloned");
        for (size_t i = 0; i < s.fd_count; i++)
            close(s.fds[i]);
        make_room(&s, MF_ZYGOTE_PIECE);
        end_unless(send(socket, &answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer);
    }
}
