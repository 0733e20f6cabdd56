/* code.c - encoded functions, kept in the arena for the jobs that run them: see pool.h. */
#include "pool_state.h"

#include <stdlib.h>
#include <string.h>

int mf_code_new(mf_runtime *rt, uint64_t serial, const void *bytes, size_t size,
                const uint64_t *handles, uint32_t n, mf_code **ret_code)
{
    uint8_t *at;
    mf_code *code = malloc(sizeof *code);
    if (!code)
        return MF_ENOMEM;
    *code = (mf_code){.refs = 1, .serial = serial};
    int rc = mf__message_new(rt, NULL, sizeof(struct mf_code_bytes) + size, handles, n,
                             &code->block, &at);
    if (rc < 0) {
        free(code);
        return rc;
    }
    struct mf_code_bytes *c = (struct mf_code_bytes *)at;
    c->sender = (uint64_t)rt->pid;
    c->serial = serial;
    c->size = size;
    memcpy(c->bytes, bytes, size);
    *ret_code = code;
    return 0;
}

void mf_code_unref(mf_runtime *rt, mf_code *code)
{
    if (!code || --code->refs)
        return;
    if (mf__alive(rt) == 0)
        mf__block_free(rt, code->block);
    free(code);
}

uint64_t mf_code_serial(const mf_code *code)
{
    return code->serial;
}
