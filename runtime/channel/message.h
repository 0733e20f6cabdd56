/*
 * message.h - a message: bytes, and the handles of shared objects that travel in it.
 *
 * Short ones lie in a queue's descriptor; longer ones, and all that carry handles, in a block. A
 * block's payload is its handles (8 bytes each), then the bytes.
 */
#ifndef MF_MESSAGE_H
#define MF_MESSAGE_H

#include "block.h"

/* The longest message that needs no block: in any segment of a queue, and in a wide one. */
#define MF_INLINE_NARROW 48u
#define MF_INLINE 112u
/* What a descriptor can say of a message. */
#define MF_MESSAGE_MOST ((UINT64_C(1) << 40) - 1)
#define MF_HANDLES_MOST ((1u << 24) - 1)

struct mf_message {
    const uint8_t *data; /* in the block, or in `small` */
    size_t size;
    const uint64_t *handles; /* in the block */
    uint32_t handle_count;
    struct mf_block *block; /* owned by this process until mf__message_free; or NULL */
    uint8_t small[MF_INLINE];
};

/* Gives a message's block and the objects that it keeps back. Idempotent. */
void mf__message_free(mf_runtime *rt, struct mf_message *m);

/* Makes the block of a message: size bytes and n handles, which it keeps from now on. The block is
 * owned by this process; *ret_data is where the bytes go (copied when data is not NULL).
 * MF_ENOMEM; MF_ELIMIT; MF_ECLOSED when an object of handles is gone; MF_EFORKED. */
int mf__message_new(mf_runtime *rt, const void *data, size_t size, const uint64_t *handles,
                    uint32_t n, struct mf_block **ret_block, uint8_t **ret_data);

#endif
