/*
 * descendants.h - the programs that a process has started, so that they can be ended with it.
 *
 * The children of moonfork die with their parent by themselves; a program that a task started with
 * os.execute or io.popen does not. It is looked up in /proc while its parent is alive, held by a
 * pidfd (so that a pid that is reused meanwhile is not hit), and killed when the parent is gone.
 */
#ifndef MF_DESCENDANTS_H
#define MF_DESCENDANTS_H

#include <sys/types.h>

enum { MF_DESCENDANTS_MOST = 256 };

/* Zero it before use; mf__descendants_end leaves it empty. */
struct mf_descendants {
    int count;
    int pidfds[MF_DESCENDANTS_MOST];
};

/* Notes all descendants of a process that is alive; those beyond the most are passed over. A
 * process without children costs one look into /proc for each of its threads. proc(5):
 * /proc/pid/task/tid/children. */
void mf__descendants_note(struct mf_descendants *d, pid_t pid);

/* Forgets those that were noted when there were `from` already. */
void mf__descendants_forget(struct mf_descendants *d, int from);

/* Sends a signal to all that were noted and are still there, and forgets them. */
void mf__descendants_end(struct mf_descendants *d, int signal);

#endif
