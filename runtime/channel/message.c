/* message.c - messages in blocks: see message.h. */
#include "message.h"

#include "object.h"

#include <string.h>

void mf__message_free(mf_runtime *rt, struct mf_message *m)
{
    if (mf__alive(rt) == 0)
        mf__block_free(rt, m->block);
    m->block = NULL;
}

int mf__message_new(mf_runtime *rt, const void *data, size_t size, const uint64_t *handles,
                    uint32_t n, struct mf_block **ret_block, uint8_t **ret_data)
{
    if (mf__alive(rt) < 0)
        return MF_EFORKED;
    if (size > MF_MESSAGE_MOST || n > MF_HANDLES_MOST)
        return MF_ELIMIT;
    struct mf_block *b = mf__block_new(rt, size + n * sizeof *handles, rt->slot);
    if (!b)
        return MF_ENOMEM;
    if (n) {
        memcpy(b->payload, handles, n * sizeof *handles);
        int rc = mf__object_keep(rt, b, (const uint64_t *)b->payload, n);
        if (rc < 0) {
            mf__block_free(rt, b);
            return rc;
        }
    }
    uint8_t *at = b->payload + n * sizeof *handles;
    if (data)
        memcpy(at, data, size);
    *ret_block = b;
    if (ret_data)
        *ret_data = at;
    return 0;
}
