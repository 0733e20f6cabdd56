/*
 * boss.h - the processes that have children: the parent of the family, and the one in the middle.
 *
 * Both keep a pool, producers and consumers alive, whoever kills these, and do what all do. The
 * parent makes the mesh and takes it down again: then nothing of it may be left.
 */
#ifndef BOSS_H
#define BOSS_H

/* The family's first process, in a process that was just forked. Its status is 0 when it came to an
 * orderly end. */
int parent_main(void);

#endif
