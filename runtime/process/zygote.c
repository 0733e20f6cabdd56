/* zygote.c - the creator's side of the zygote: see zygote.h. */
#include "zygote.h"

#include "clock.h"
#include "crash.h"
#include "fd.h"
#include "fork.h"
#include "pidfd.h"
#include "sibling.h"
#include "slot.h"
#include "zygote_request.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (5 * MF_SECOND) /* a busy machine may need it */

struct mf_zygote {
    pid_t pid;
    struct mf_file pidfd, socket;
    bool is_ready;               /* prepare is done */
    struct mf_identity identity; /* when it was made */
    size_t environment_size;
    char *environment; /* the same */
    struct mf_zygote_request request;
};

/* --- birth and end ------------------------------------------------------------------------------
 */

/* A descriptor that `prepare` has left open, or -1: no child would have it. */
static int left_open(int socket)
{
    for (int fd = 3; fd < 1024; fd++)
        if (fd != socket && fcntl(fd, F_GETFD) >= 0)
            return fd;
    return -1;
}

/* What can be wrong with this zygote: -1, with the reason. */
static int examine(int socket, char *text, size_t room)
{
    struct mf_sibling sibling;
    struct stat threads;
    int fd = left_open(socket);
    if (!mf__sibling_prepare(&sibling))
        snprintf(text, room, "this kernel cannot make siblings of a process");
    else if (fd >= 0)
        snprintf(text, room,
                 "what it has loaded has left a file open (descriptor %d): no child would have it; "
                 "open it in a function that a task calls",
                 fd);
    else if (stat("/proc/self/task", &threads) == 0 && threads.st_nlink > 3)
        snprintf(text, room, "what it has loaded has started a thread, which no child would have");
    else
        return 0;
    return -1;
}

static _Noreturn void live(mf_runtime *rt, int socket, int (*prepare)(void *, char *, size_t),
                           void *arg)
{
    struct mf_zygote_greeting hello = {0};
    sigset_t all;
    if (prepare)
        hello.status = prepare(arg, hello.text, sizeof hello.text);
    fflush(NULL); /* each child would write it */
    if (hello.status == 0)
        hello.status = examine(socket, hello.text, sizeof hello.text);
    MF_CRASH("zygote.prepared");
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL); /* from now on it ends with its creator, only */
    for (int fd = 0; fd < 3; fd++)
        mf__fd_null(fd); /* the creator may close its own, and be heard */
    ssize_t n;
    while ((n = send(socket, &hello, sizeof hello, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    if (n != sizeof hello || hello.status != 0)
        _exit(0);
    mf__zygote_serve(rt, socket);
}

static void discard(struct mf_zygote *z)
{
    free(z->environment);
    free(z);
}

/* Waits for its end, which is near. */
static void bury(struct mf_zygote *z)
{
    siginfo_t info;
    mf__file_close(&z->socket);
    int pidfd = mf__file_is_open(&z->pidfd) ? z->pidfd.fd : -1;
    bool is_there = mf__pidfd_waitid(&pidfd, z->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    if (is_there && !(pidfd >= 0 && mf__pidfd_send(pidfd, SIGKILL)))
        kill(z->pid, SIGKILL); /* nobody has reaped it: it is no other process */
    mf__pidfd_waitid(&pidfd, z->pid, &info, WEXITED);
    if (pidfd >= 0)
        close(pidfd);
    discard(z);
}

/* A message, 0 at its end or at the deadline, or -1: EINTR only if the deadline is MF_FOREVER. */
static ssize_t receive(const struct mf_zygote *z, void *bytes, size_t room, int64_t deadline)
{
    struct pollfd p = {.fd = z->socket.fd, .events = POLLIN};
    for (;;) {
        int64_t left = deadline - mf__now();
        int span = deadline == MF_FOREVER ? -1 : left > 0 ? (int)(left / MF_MSEC) + 1 : 0;
        int n = poll(&p, 1, span);
        if (n > 0)
            return recv(z->socket.fd, bytes, room, 0);
        if (n < 0 && deadline == MF_FOREVER)
            return n;
        if (left <= 0) /* looked once more: it may be this process that has stood still */
            return 0;
    }
}

static bool note_environment(struct mf_zygote *z)
{
    z->environment_size = mf__environment_take(NULL, 0);
    z->environment = malloc(z->environment_size + 1);
    if (z->environment)
        mf__environment_take(z->environment, z->environment_size);
    return z->environment != NULL;
}

/* The creator's end and the zygote's. */
static bool make_socket(int ends[2])
{
    /* Room for one message, whatever the system's default. */
    int room = 2 * (sizeof(struct mf_zygote_request) + MF_ZYGOTE_PIECE);
    struct timeval patience = {.tv_sec = PATIENCE / MF_SECOND};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    for (int i = 0; i < 2; i++)
        ends[i] = mf__fd_high(ends[i]);
    if (ends[0] < 0 || ends[1] < 0) {
        close(ends[0] < 0 ? ends[1] : ends[0]);
        return false;
    }
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return true;
}

static int fork_zygote(mf_runtime *rt, struct mf_zygote *z, int (*prepare)(void *, char *, size_t),
                       void *arg)
{
    int ends[2];
    if (!make_socket(ends))
        return MF_ESYS;
    z->pid = mf__fork(&ends[1], 1, false);
    if (z->pid == 0) {
        discard(z); /* its creator's */
        live(rt, ends[1], prepare, arg);
    }
    int error = errno;
    close(ends[1]);
    z->socket = mf__file(ends[0]);
    z->pidfd = mf__file(z->pid > 0 ? mf__pidfd_open(z->pid) : -1); /* goes without */
    if (z->pid > 0)
        return 0;
    close(ends[0]);
    errno = error;
    return MF_ESYS;
}

/* From here on it is there, and prepares itself. */
static int begin(mf_runtime *rt, int (*prepare)(void *, char *, size_t), void *arg)
{
    struct mf_zygote *z = calloc(1, sizeof *z);
    if (!z || !note_environment(z)) {
        free(z);
        return MF_ENOMEM;
    }
    mf__identity_take(&z->identity);
    int rc = fork_zygote(rt, z, prepare, arg);
    if (rc < 0)
        discard(z);
    else
        rt->zygote = z;
    return rc;
}

/* Waits until it is ready. A signal leaves it half-made, for the next call: where a timer ticks, a
 * slow prepare that began again each time would never be done. */
static int await(mf_runtime *rt, char *text, size_t room)
{
    struct mf_zygote_greeting hello = {.text = "it ended before it was ready"};
    ssize_t n = receive(rt->zygote, &hello, sizeof hello, MF_FOREVER);
    int error = errno;
    if (n < 0 && error == EINTR)
        return MF_EINTR;
    rt->zygote->is_ready = n == sizeof hello && hello.status == 0;
    if (rt->zygote->is_ready)
        return 0;
    snprintf(text, room, "%s", hello.text);
    mf_zygote_close(rt);
    errno = error;
    return n >= 0 ? MF_EZYGOTE : MF_ESYS;
}

bool mf__zygote_is_there(mf_runtime *rt)
{
    if (rt->zygote && !mf__file_is_open(&rt->zygote->socket))
        mf_zygote_close(rt);
    return rt->zygote;
}

int mf_zygote_open(mf_runtime *rt, int (*prepare)(void *arg, char *text, size_t room), void *arg,
                   char *text, size_t room)
{
    int rc = 0;
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    if (!mf__zygote_is_there(rt))
        rc = begin(rt, prepare, arg);
    return rc < 0 || rt->zygote->is_ready ? rc : await(rt, text, room);
}

void mf_zygote_close(mf_runtime *rt)
{
    struct mf_zygote *z = rt->zygote;
    rt->zygote = NULL;
    if (z && mf__alive(rt) == 0)
        bury(z);
    else if (z) /* of the process that this one was forked from by other means */
        discard(z);
}

void mf__zygote_forget(mf_runtime *rt)
{
    if (rt->zygote)
        discard(rt->zygote);
    rt->zygote = NULL;
}

/* --- a request ----------------------------------------------------------------------------------
 */

struct sending {
    struct mf_zygote_request *request;
    int fds[MF_ZYGOTE_FDS];
    size_t fd_count;
    int folder; /* opened for this, or -1 */
};

static void add_fd(struct sending *s, int fd)
{
    s->fds[s->fd_count++] = fd;
}

/* False: the working folder cannot be opened, for want of descriptors, say. */
static bool add_fds(struct sending *s, const struct mf_start *start)
{
    struct mf_zygote_request *r = s->request;
    s->folder = mf__fd_high(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (s->folder < 0)
        return false;
    add_fd(s, s->folder);
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) >= 0) {
            r->standard |= (uint8_t)(1u << fd);
            add_fd(s, fd);
        }
    for (size_t i = 0; i < start->keep_fd_count; i++) {
        int fd = start->keep_fds[i], flags = fd < 3 ? -1 : fcntl(fd, F_GETFD);
        if (flags < 0)
            continue;
        r->kept[r->kept_count++] = fd << 1 | (flags & FD_CLOEXEC ? 1 : 0);
        add_fd(s, fd);
    }
    return true;
}

/* Sends a message, with descriptors or without. False: the zygote is gone, or does not read. */
static bool send_message(const struct mf_zygote *z, const struct iovec *parts, size_t n,
                         const struct sending *s)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof s->fds)] = {0};
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = n};
    if (s && s->fd_count) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(s->fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS,
                              .cmsg_len = CMSG_LEN(s->fd_count * sizeof(int))};
        memcpy(CMSG_DATA(c), s->fds, s->fd_count * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(z->socket.fd, &m, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

/* The request with what stands behind it: at once if it is little, else in pieces. */
static bool send_all(const struct mf_zygote *z, const struct sending *s, const char *behind)
{
    size_t size = mf__zygote_request_size(s->request);
    bool little = size <= MF_ZYGOTE_PIECE;
    const struct iovec first[2] = {{s->request, sizeof *s->request},
                                   {(void *)(uintptr_t)behind, size}};
    if (!send_message(z, first, little ? 2 : 1, s))
        return false;
    for (size_t at = 0; !little && at < size; at += MF_ZYGOTE_PIECE) {
        size_t n = size - at < MF_ZYGOTE_PIECE ? size - at : MF_ZYGOTE_PIECE;
        const struct iovec piece = {(void *)(uintptr_t)(behind + at), n};
        if (!send_message(z, &piece, 1, NULL))
            return false;
    }
    return true;
}

/* The data, the environment if it has changed, and the name: malloc'd; NULL: no memory. */
static char *put_behind(const struct mf_zygote *z, const struct mf_start *start,
                        struct mf_zygote_request *r)
{
    size_t environment = mf__environment_take(NULL, 0);
    r->data_size = start->data_size;
    r->name_size = start->name ? strlen(start->name) + 1 : 0;
    char *behind = malloc(r->data_size + environment + r->name_size + 1);
    if (!behind)
        return NULL;
    char *at = behind + r->data_size;
    if (r->data_size)
        memcpy(behind, start->data, r->data_size);
    mf__environment_take(at, environment);
    r->has_environment =
        environment != z->environment_size || memcmp(at, z->environment, environment) != 0;
    r->environment_size = r->has_environment ? environment : 0;
    if (r->name_size)
        memcpy(at + r->environment_size, start->name, r->name_size);
    return behind;
}

/* Is that what fork would have answered too? Else it is this zygote that is refused. */
static bool is_shortage(int error)
{
    return error == EAGAIN || error == ENOMEM;
}

enum answer { MADE, REFUSED, NOT_MADE, SILENT };

/* Of the zygote, or why it was not asked: REFUSED with errno, NOT_MADE where it cannot do it. */
static enum answer ask(struct mf_zygote *z, const struct mf_start *start,
                       struct mf_zygote_request *r)
{
    struct mf_zygote_answer answer;
    struct sending s = {.request = r};
    if (!add_fds(&s, start))
        return NOT_MADE;
    char *behind = put_behind(z, start, r);
    mf__surroundings_take(&r->around);
    bool sent = behind && send_all(z, &s, behind);
    close(s.folder);
    free(behind);
    if (!behind) {
        errno = ENOMEM;
        return REFUSED;
    }
    MF_CRASH("zygote.start.sent");
    if (!sent || receive(z, &answer, sizeof answer, mf__now() + PATIENCE) != sizeof answer)
        return SILENT;
    MF_CRASH("zygote.start.answered");
    errno = answer.error;
    return !answer.error ? MADE : is_shortage(answer.error) ? REFUSED : SILENT;
}

/* Can it make the child that a fork would make? */
static bool is_fit(const struct mf_zygote *z, const struct mf_start *start)
{
    struct mf_identity now;
    int highest = 0;
    for (size_t i = 0; i < start->keep_fd_count; i++)
        highest = start->keep_fds[i] > highest ? start->keep_fds[i] : highest;
    mf__identity_take(&now);
    return start->keep_fd_count <= MF_ZYGOTE_KEPT && highest < MF_ZYGOTE_HIGHEST &&
           mf__identity_is_same(&now, &z->identity);
}

pid_t mf__zygote_fork(mf_runtime *rt, const struct mf_start *start, uint32_t slot, uint64_t taken)
{
    struct mf_zygote *z = mf__zygote_is_there(rt) ? rt->zygote : NULL;
    if (!z || !z->is_ready || !is_fit(z, start))
        return 0;
    struct mf_zygote_request *r = &z->request;
    *r = (struct mf_zygote_request){.main = start->main,
                                    .slot = slot,
                                    .taken = taken,
                                    .cpu = sched_getcpu(),
                                    .keep_stdin = start->keep_stdin};
    fflush(NULL); /* as at a fork: what was written before comes before what the child writes */
    enum answer answer = ask(z, start, r);
    int error = errno;
    if (answer == NOT_MADE)
        return 0;
    if (answer == SILENT)
        mf_zygote_close(rt); /* from here on it makes nothing more */
    pid_t pid = atomic_load(&mf__slot_at(rt, slot)->pid);
    errno = error;
    return answer == REFUSED ? -1 : pid;
}
