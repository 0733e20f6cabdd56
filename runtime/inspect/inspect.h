/*
 * inspect.h - who waits on what, who holds which lock, what is queued: text for people who ask why
 * nothing goes on. Used by the bindings and by hosts; the public declaration is in moonfork.h.
 *
 * A dump takes no lock, waits for nothing, takes no memory and changes nothing, so it can be made
 * where everybody else hangs, and in a signal handler. The price: it reads what others are just
 * changing. It believes no number that it has not checked, and may show a state that never was,
 * of a family that goes on meanwhile; of one that hangs it is exact.
 */
#ifndef MF_INSPECT_H
#define MF_INSPECT_H

#include "arena.h"
#include "slot.h"

typedef void mf_line(void *arg, const char *text);

/* Calls line with each line of the dump, without an end of line. The text is the line's while it
 * runs. */
void mf_dump(const mf_runtime *rt, mf_line *line, void *arg);

/* --- the parts, for inspect.c --- */

struct mf_dump {
    const mf_runtime *rt;
    mf_line *line;
    void *arg;
    int64_t now;
    uint32_t slots; /* in use, or once in use */
};

#define MF_DUMP_LINE 400 /* bytes, at most */

/* What a process says that it waits for; false: for nothing. */
bool mf__dump_wait(const struct mf_dump *d, uint32_t slot, struct mf_waiting *ret_w);

void mf__dump_processes(const struct mf_dump *d);
void mf__dump_objects(const struct mf_dump *d);

#endif
