/*
 * process.h - the only fork: starting a child, waiting for it, ending it, leaving.
 *
 * A child is forked with every signal blocked and the parent's stdio flushed. Before it runs its
 * main it: dies with its parent from then on (PR_SET_PDEATHSIG), resets signal handlers, closes
 * every descriptor >= 3 but the kept ones, gets /dev/null as stdin unless asked otherwise, writes
 * stdout line by line, runs on every processor again, and enters its slot. It never returns into
 * its parent's code and ends in _exit.
 *
 * A child inherits nothing of mf_process: it has no children yet.
 *
 * The thread that starts children must outlive them: the kernel sends the parent-death signal at
 * the end of that thread.
 */
#ifndef MF_PROCESS_H
#define MF_PROCESS_H

#include "arena.h"

#include <sys/types.h>

typedef struct mf_process mf_process;

/* Prepares the family: arena_open of arena.h, and what the layers above add. The thread that calls
 * it owns the runtime. */
int mf_open(const struct mf_arena_options *options, mf_runtime **ret_rt);

/* Ends the children (see mf_process_leave) and leaves the family. NULL is fine. Frees all
 * mf_process objects of this runtime. In a process that was forked by other means it frees only
 * memory. */
void mf_close(mf_runtime *rt);

/* Starts a child. On success *ret_p is the caller's, until mf_process_free. MF_ELIMIT (slots),
 * MF_ECLOSED (the object of a handle is gone), MF_ENOMEM, MF_ESYS (fork failed: errno tells why),
 * MF_EFORKED: nothing was started. */
int mf_process_start(mf_runtime *rt, const struct mf_start *start, mf_process **ret_p);

/* The life of a child, in it. */
_Noreturn void mf__process_run(mf_runtime *rt, const struct mf_start *start, uint32_t slot,
                               uint64_t taken);

/* Waits for the child's end and reaps it. 0, MF_ETIMEOUT (deadline of clock.h; 0 does not wait) or
 * MF_EINTR. Its death is settled when 0 is returned. Again and again on an ended child: 0.
 * MF_EDEADLOCK when the deadline is MF_FOREVER and it would come to that: see deadlock.h. */
int mf_process_join(mf_runtime *rt, mf_process *p, int64_t deadline);

/* After a join: the exit status (>= 0), or -signal; MF_PROCESS_UNKNOWN when somebody else reaped it
 * and it left no word. Before: MF_PROCESS_RUNNING. */
int mf_process_status(const mf_process *p);
#define MF_PROCESS_UNKNOWN (-1000)
#define MF_PROCESS_RUNNING (-1001)

pid_t mf_process_pid(const mf_process *p);
uint32_t mf__process_slot(const mf_process *p);
bool mf_process_is_daemon(const mf_process *p);

/* Was it alive when somebody looked for the dead last? No system call. */
bool mf__process_was_alive(const mf_process *p);

/* True when it has ended, whether it was reaped or not. Never blocks, reaps nothing. */
bool mf__process_is_over(mf_process *p);

/* After a join: what the child's slot said of the task in its hands and of a block that it was
 * about to link there (pool.h); 0 for nothing. */
uint64_t mf__process_last_task(const mf_process *p);
uint64_t mf__process_last_link(const mf_process *p);

/* Sends a signal, if it is still there: never to a pid that was reused. SIGTERM and SIGKILL go to
 * the programs that it has started too, and a SIGCONT follows SIGTERM: a stopped process hears it.
 * Nothing in a process that was forked by other means: the child is its parent's. */
void mf_process_signal(mf_process *p, int signal);

/* Ends a child: SIGTERM, and SIGKILL when it lives after the grace period; then joins. The programs
 * that it has started are killed too. Bounded by grace and a second. Nothing in a process that was
 * forked by other means. */
void mf_process_end(mf_runtime *rt, mf_process *p, double grace);

/* The same for many, whose graces run side by side. */
void mf__process_end_many(mf_runtime *rt, mf_process **list, size_t n, double grace);

/* Gives the handle up; NULL is fine. A child that still runs stays a child: it is reaped at a
 * later start, or at the end. */
void mf_process_free(mf_runtime *rt, mf_process *p);

/* Calls see for each child that was not joined yet. */
void mf_process_each(mf_runtime *rt, void (*see)(mf_process *p, void *arg), void *arg);

/* The end of a program: daemons (all children when now) are ended, the others joined. MF_EINTR when
 * a signal handler ran during a join: call again, or with now. MF_EDEADLOCK: call it with now. */
int mf_process_leave(mf_runtime *rt, bool now);

/* The same, which gives up with MF_ETIMEOUT at the deadline of the joins. */
int mf__process_leave(mf_runtime *rt, bool now, int64_t deadline);

/* Ends a child's life inside main: leaves as above, flushes stdio, _exit. Never returns. */
_Noreturn void mf_process_exit(mf_runtime *rt, int status);

#endif
