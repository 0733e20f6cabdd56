/*
 * descendants.h - the programs that a process has started, so that they can be ended with it.
 *
 * The children of moonfork die with their parent by themselves; a program that a task started with
 * os.execute or io.popen does not. It is looked up in /proc while its parent is alive, held by a
 * pidfd (so that a pid that is reused meanwhile is not hit), and killed when the parent is gone.
 *
 * A process that runs may start another one behind the back of who looks. So each is stopped before
 * its children are looked up: what is not seen then cannot come later. Who is killed between that
 * and the signal that follows leaves one stopped, and those that it has not come to running.
 */
#ifndef MF_DESCENDANTS_H
#define MF_DESCENDANTS_H

#include <sys/types.h>

enum { MF_DESCENDANTS_MOST = 256 };

/* Zero it before use; mf__descendants_end leaves it empty. */
struct mf_descendants {
    int count;
    int pidfds[MF_DESCENDANTS_MOST];
    pid_t pids[MF_DESCENDANTS_MOST];
};

/* Notes all descendants of a process that is alive and that was sent SIGSTOP, as soon as it stands
 * still (200 ms are waited for that, and 2 s while it runs); those beyond the most are passed over.
 * A process without children costs two looks into /proc. proc(5): /proc/pid/task/tid/children. */
void mf__descendants_note(struct mf_descendants *d, pid_t pid);

/* Forgets those that were noted when there were `from` already. */
void mf__descendants_forget(struct mf_descendants *d, int from);

/* Sends SIGTERM or SIGKILL to all that were noted and are still there, and to what they have
 * started meanwhile, and forgets them. */
void mf__descendants_end(struct mf_descendants *d, int signal);

#endif
