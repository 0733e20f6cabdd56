/*
 * The identity map of one message: which object was written where. The encoder looks every table,
 * function, upvalue and long string up in it, so it is a flat hash table of C, keyed by address,
 * that is emptied by counting a generation up. May include: libc only.
 *
 * An address is valid as a key for as long as its object cannot be collected: the encoder keeps
 * what it writes reachable until the message is complete.
 */
#ifndef MF_IDENTITY_H
#define MF_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_identity_slot {
    const void *object;
    uint32_t generation;
    bool open;     /* its bytes are not complete, and it cannot be referred to before they are */
    size_t offset; /* of its tag, from the start of the message's body */
};

struct mf_identity {
    struct mf_identity_slot *slots;
    uint32_t size; /* a power of two, or 0 */
    uint32_t used; /* slots of this generation */
    uint32_t generation;
};

/*
 * The slot of `object`. *ret_new tells whether it was entered by this call; the caller then sets
 * `offset` and `open`. NULL: no memory. The slot moves with the next call.
 */
struct mf_identity_slot *mf__identity_enter(struct mf_identity *m, const void *object,
                                            bool *ret_new);

void mf__identity_clear(struct mf_identity *m); /* empties the map */

/* When it is not needed for now: a map that one huge message blew up gives its memory back. */
void mf__identity_rest(struct mf_identity *m);

/* Frees the slots and zeroes `m`. */
void mf__identity_fini(struct mf_identity *m);

#endif
