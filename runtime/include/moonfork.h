/*
 * moonfork.h - families of processes with shared queues and locks, in C. It knows nothing of Lua;
 * for Lua states see moonfork_lua.h.
 *
 *     mf_runtime *rt;
 *     mf_process *child;
 *     struct mf_start start = {.main = work, .arg = &job};
 *     if (mf_open(NULL, &rt) == 0 && mf_process_start(rt, &start, &child) == 0)
 *         mf_process_join(rt, child, MF_FOREVER);
 *     mf_close(rt);
 *
 * A runtime belongs to the thread that opened it, which must outlive the children that it starts.
 * Nothing is installed, printed or reaped that is not moonfork's own. A process that was forked by
 * other means gets MF_EFORKED from what can fail.
 *
 * Functions return 0 or a negative code of moonfork_error.h; what they give is a last argument
 * ret_x, untouched on failure. A deadline is an absolute time in nanoseconds: mf_deadline makes one
 * of seconds, MF_FOREVER never comes, 0 does not wait. MF_EINTR: a signal handler ran; call again
 * with the same deadline.
 *
 * Link with libmoonfork.a (pkg-config moonfork).
 */
#ifndef MOONFORK_H
#define MOONFORK_H

#include "moonfork_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MF_VERSION "0.1.0"

#define MF_FOREVER INT64_MAX

typedef struct mf_runtime mf_runtime; /* this process's place in its family */
typedef struct mf_process mf_process; /* a child */
typedef struct mf_object mf_queue;    /* shared by the family */
typedef struct mf_object mf_lock;

/* The deadline `seconds` from now. Zero or less does not wait; NaN and infinity are MF_FOREVER. */
int64_t mf_deadline(double seconds);

/* --- the family ----------------------------------------------------------------------------------
 */

struct mf_arena_options {
    size_t reserve; /* bytes of address space, 16 MiB or more; 0: chosen */
    size_t budget;  /* bytes that may be in use; 0: half of what the machine or cgroup gives */
};

/* Makes a family, whose first process this is. options may be NULL. The runtime is the caller's
 * until mf_close. MF_ENOMEM: also for a reserve below the least; MF_ESYS: the kernel is too old. */
int mf_open(const struct mf_arena_options *options, mf_runtime **ret_rt);

/* Ends the children, leaves the family and frees the runtime with all its mf_process. NULL is
 * fine. In a process that was forked by other means it frees only memory. Blocks while children
 * end: at most the grace period (a second) and a little. The family's memory goes back to the
 * system with the last process that has it: a child of another family, started by this process in
 * the meantime, has it too, until it ends. */
void mf_close(mf_runtime *rt);

/* --- processes -----------------------------------------------------------------------------------
 */

struct mf_start {
    int (*main)(mf_runtime *rt, void *arg); /* runs in the child; its result is the exit status */
    void *arg;               /* for main; the child has the parent's memory as it is at the fork */
    const char *name;        /* copied; NULL for none */
    const uint64_t *handles; /* objects that the child holds from its first instruction on */
    uint32_t handle_count;
    const int *keep_fds; /* descriptors left open in the child; it gets 0 to 2 anyway */
    size_t keep_fd_count;
    bool keep_stdin; /* else it reads /dev/null */
    bool daemon;     /* ended, not joined, when this process leaves */
    /* Made by the zygote, if mf_zygote_open has made one and it can; forked otherwise. Then `main`
     * must have been in memory when the zygote was made, and `arg` leads nowhere: set data. */
    bool by_zygote;
    const void *data; /* not NULL: instead of arg, main gets these bytes, or a copy of them */
    size_t data_size;
};

/* Forks a child, which runs main with a runtime of its own and never returns into the caller's
 * code. *ret_p is the caller's until mf_process_free. MF_ELIMIT (2048 processes), MF_ECLOSED (the
 * object of a handle is gone), MF_ENOMEM, MF_ESYS (errno tells why), MF_EFORKED: nothing was
 * started.
 *
 * All of stdio is flushed before, by the zygote's starts too: fflush(NULL). With glibc that waits
 * for each stream that another thread uses, so for one that reads from a pipe until something
 * comes. Such a thread calls read(2), or has its stream to itself: __fsetlocking(f,
 * FSETLOCKING_BYCALLER). */
int mf_process_start(mf_runtime *rt, const struct mf_start *start, mf_process **ret_p);

/* Waits for the child's end. 0 (again and again), MF_ETIMEOUT or MF_EINTR. With MF_FOREVER also
 * MF_EDEADLOCK, a second or two later: the child waits for something that only this process, or
 * others that wait for ever, could do; mf_deadlock_text tells what. */
int mf_process_join(mf_runtime *rt, mf_process *p, int64_t deadline);

#define MF_PROCESS_UNKNOWN (-1000)
#define MF_PROCESS_RUNNING (-1001)

/* After a join: the exit status, or -signal, or MF_PROCESS_UNKNOWN when somebody else reaped the
 * child. Before: MF_PROCESS_RUNNING. */
int mf_process_status(const mf_process *p);

pid_t mf_process_pid(const mf_process *p);

/* Sends a signal, if the child is still there: never to a pid that was used again. SIGTERM is
 * followed by SIGCONT, so that a stopped child hears it. SIGTERM and SIGKILL go to the programs too
 * that the child has started (system(3), popen(3)), and to those that these have started; each
 * stands still (SIGSTOP) while its own are looked up. Nothing in a process that was forked by other
 * means. */
void mf_process_signal(mf_process *p, int signal);

/* SIGTERM, then SIGKILL when the child still lives after `grace` seconds; then joins, and kills the
 * programs of mf_process_signal: they are given no grace. Nothing in a process that was forked by
 * other means. */
void mf_process_end(mf_runtime *rt, mf_process *p, double grace);

/* Gives the handle up. NULL is fine. A child that still runs stays a child, and is reaped later. */
void mf_process_free(mf_runtime *rt, mf_process *p);

/* The end of a program: daemons (all children when `now`) are ended, the others joined. 0, or
 * MF_EINTR: call again. MF_EDEADLOCK as of mf_process_join: call again with `now`. */
int mf_process_leave(mf_runtime *rt, bool now);

/* Ends a child from inside its main: leaves, flushes stdio, _exit. */
void mf_process_exit(mf_runtime *rt, int status) __attribute__((noreturn));

/* --- the zygote ----------------------------------------------------------------------------------
 *
 * A fork takes longer the more memory the process has, and copies the locks of its other threads as
 * they are. A zygote is a small process, forked early, that makes the children from then on. They
 * are children of this process all the same, with its working folder, environment, descriptors 0 to
 * 2, limits, umask, signal mask and ignored signals as they are at the start. Users, groups,
 * capabilities, session, root folder and filters of system calls must not have changed meanwhile:
 * then, or when the zygote was killed, this process forks itself. Not seen are changes of
 * namespaces and of Landlock rules.
 */

/* Makes the zygote of this process, unless there is one: call it before there are threads, or much
 * memory. In it `prepare` (may be NULL) runs first; what it makes, all children have. It gives 0,
 * or -1 with its reason in text. Blocks until that is done. 0; MF_EZYGOTE with the reason in text:
 * prepare has failed, or has left files open or threads running, or the kernel cannot do it;
 * MF_ENOMEM, MF_ESYS, MF_EFORKED. MF_EINTR: prepare goes on meanwhile; call again with the same,
 * which waits for the rest of it (or begins anew where the program has closed its descriptors), or
 * end it by mf_zygote_close. Until it is done children are forked. */
int mf_zygote_open(mf_runtime *rt, int (*prepare)(void *arg, char *text, size_t room), void *arg,
                   char *text, size_t room);

/* Ends it, as mf_process_leave does too. Without one: nothing. */
void mf_zygote_close(mf_runtime *rt);

/* --- queues --------------------------------------------------------------------------------------
 */

/* Makes a queue, held by this process. capacity: the most messages in it, 0 for no bound but the
 * family's memory. MF_ENOMEM. */
int mf_queue_new(mf_runtime *rt, uint64_t capacity, mf_queue **ret_q);

/* This process lets go of the queue; it ends with its last holder. NULL is fine. A process holds a
 * queue once, however often it opens it: its pointers to it are the same, and all end here. */
void mf_queue_free(mf_runtime *rt, mf_queue *q);

/* The name of a queue in messages and in mf_start.handles. */
uint64_t mf_queue_handle(const mf_runtime *rt, const mf_queue *q);

/* The queue of a handle that came in a message or that this process was started with; held by this
 * process from now on. MF_ECLOSED when it is gone. */
int mf_queue_open(mf_runtime *rt, uint64_t handle, mf_queue **ret_q);

/* Puts a copy of the bytes, and keeps the objects of the n handles alive as long as they travel.
 * Waits while a bounded queue is full. data may be NULL where size is 0. 0; MF_EFULL (deadline 0),
 * MF_ETIMEOUT, MF_ECLOSED (the queue is, or the object of a handle is gone), MF_ELIMIT (2^40 bytes,
 * 2^24 handles), MF_ENOMEM, MF_EINTR: then nothing was put. */
int mf_queue_put(mf_runtime *rt, mf_queue *q, const void *data, size_t size,
                 const uint64_t *handles, uint32_t n, int64_t deadline);

/* Takes the oldest message, in memory that the caller frees with free(). For messages without
 * handles: objects that came along are dropped. 0; MF_EEMPTY (deadline 0), MF_ETIMEOUT, MF_ECLOSED
 * (closed and drained), MF_EINTR, MF_ENOMEM (the message is lost). */
int mf_queue_get(mf_runtime *rt, mf_queue *q, int64_t deadline, void **ret_data, size_t *ret_size);

/* Sleeps until the queue is not empty, or closed, and takes nothing. */
int mf_queue_wait(mf_runtime *rt, mf_queue *q, int64_t deadline);

/* No more puts; gets go on until it is drained. 0, MF_EFORKED. */
int mf_queue_close(mf_runtime *rt, mf_queue *q);

bool mf_queue_is_closed(const mf_queue *q);
uint64_t mf_queue_size(const mf_queue *q);
uint64_t mf_queue_capacity(const mf_queue *q);

struct mf_queue_stats {
    uint64_t put, got, queued, lost; /* put = got + queued + lost */
};

/* A snapshot; exact when nobody puts or gets. */
void mf_queue_stats(const mf_queue *q, struct mf_queue_stats *ret);

/* --- locks ---------------------------------------------------------------------------------------
 */

#define MF_ABANDONED 1

/* As of queues: also that a process holds a lock once, however often it opens it. */
int mf_lock_new(mf_runtime *rt, mf_lock **ret_lock);
void mf_lock_free(mf_runtime *rt, mf_lock *lock);
uint64_t mf_lock_handle(const mf_runtime *rt, const mf_lock *lock);
int mf_lock_open(mf_runtime *rt, uint64_t handle, mf_lock **ret_lock);

/* 0; MF_ABANDONED: acquired, and *ret_pid died holding it; MF_ETIMEOUT; MF_EINTR. Not recursive. */
int mf_lock_acquire(mf_runtime *rt, mf_lock *lock, int64_t deadline, int32_t *ret_pid);

/* Releases it, whoever holds it. MF_EINVAL when nobody does. */
int mf_lock_release(mf_runtime *rt, mf_lock *lock);

bool mf_lock_is_mine(const mf_runtime *rt, const mf_lock *lock);

/* --- when something hangs
 * -------------------------------------------------------------------------
 */

/* Tells, line by line, which processes there are and what each waits for, which locks are held and
 * by whom, what is queued. Each text is the callee's to read while `line` runs, and has no end of
 * line. It takes no lock and no memory, so it may be called in a signal handler, while everybody
 * else hangs, and in a family of which any process was stopped or killed anywhere. */
void mf_dump(const mf_runtime *rt, void (*line)(void *arg, const char *text), void *arg);

/* What the last MF_EDEADLOCK was about, and what to do: a sentence of the runtime's, valid until
 * the next; "" before the first. */
const char *mf_deadlock_text(const mf_runtime *rt);

#ifdef __cplusplus
}
#endif

#endif
