/*
 * zygote.h - mf_zygote_open of moonfork.h: a start method whose cost does not grow with the
 * creator's memory: a small process, forked early, makes the children from then on. They are
 * siblings of it, children of the creator: their status, their death, and death with the parent are
 * those of children that it forked itself.
 *
 * A child gets what the creator has at the time of the start (descriptors 0 to 2 and those to be
 * kept, working folder, environment, limits, umask, signal mask, ignored signals, processors, nice
 * value, process group), but of memory only the bytes of mf_start.data, and what there was when the
 * zygote was made.
 *
 * While `prepare` runs the zygote is half-made: it belongs to the runtime already, and its creator,
 * woken by a signal, comes back for it or ends it. Starts are forks until it is ready.
 *
 * If a process dies …
 *   the zygote, half-made         mf_zygote_open says so
 *   the zygote, idle              the next start finds it dead, and forks itself, as all later ones
 *   the zygote, before its clone  the creator sees its end, no pid in the slot, and forks itself
 *   the zygote, after its clone   the kernel has put the pid into the slot before it could be
 *                                 killed: the creator finds it there; the child is as good as any
 *   the zygote, stopped           after five seconds it is killed: cases above
 *   the child, at any step        as a child that was forked
 *   the creator, at any step      the zygote and the child get SIGKILL from the kernel; a child
 *                                 that is younger sees that its parent is another, and ends
 */
#ifndef MF_ZYGOTE_H
#define MF_ZYGOTE_H

#include "process.h"

int mf_zygote_open(mf_runtime *rt, int (*prepare)(void *arg, char *text, size_t room), void *arg,
                   char *text, size_t room);
void mf_zygote_close(mf_runtime *rt);

/* Is there one, ready or half-made? One whose socket the program has closed has ended by that. */
bool mf__zygote_is_there(mf_runtime *rt);

/* In a child that was forked: the zygote is its parent's. */
void mf__zygote_forget(mf_runtime *rt);

/* The pid of a child that has the slot, and in which mf__process_run runs; 0: there is no zygote
 * that could make it, and nothing was done; -1 with errno: the system refused. */
pid_t mf__zygote_fork(mf_runtime *rt, const struct mf_start *start, uint32_t slot, uint64_t taken);

#endif
