/*
 * fuzz_family.h - a family of processes in the middle of its work, as often as wanted.
 *
 * Built once: queues with messages of all sorts, locks, blocks, a task's record; and processes that
 * were killed in the middle of something, inside each lock of the arena too. Then the arena becomes
 * a private copy, which fuzz_family_again brings back to that moment, so that a run may do to it
 * what it likes.
 */
#ifndef MF_FUZZ_FAMILY_H
#define MF_FUZZ_FAMILY_H

#include "arena.h"
#include "object.h"
#include "task.h"

#include <stdio.h>
#include <stdlib.h>

/* Ends the program with a sentence when something promised is not so. */
#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What a small block is here: settling a death walks over all blocks that a slab has room for, so
 * slabs of the smallest ones would take most of the time. */
enum { FUZZ_BLOCK = 900 };

enum { FUZZ_VALUES = 64, FUZZ_PLACES = 8192 };

struct fuzz_family {
    mf_runtime *rt;
    struct mf_object *queue, *small_queue, *lock, *dead_lock;
    struct mf_task *task;
    uint64_t word;  /* the task's name */
    uint64_t owned; /* a block of this process */

    /* Where a hostile process may write: offsets of words of 8 bytes. All that the runtime keeps in
     * shared memory and the first words of each block; not the words of the kernel and of libc
     * (mutexes), which nobody but these can check. */
    uint32_t places[FUZZ_PLACES];
    uint32_t place_count;
    /* What it may write there that looks right: offsets of blocks and segments, handles, ... */
    uint64_t values[FUZZ_VALUES];
    uint32_t value_count;
};

struct fuzz_family *fuzz_family(void);

/* Brings the arena, and what this process keeps of it, back. */
void fuzz_family_again(struct fuzz_family *f);

/* Does the arena hold these bytes? */
bool fuzz_family_has(const struct fuzz_family *f, const void *p, size_t size);

#endif
