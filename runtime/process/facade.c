/* facade.c - what moonfork.h offers beyond the layers' own functions. */
#include "lock.h"
#include "object.h"
#include "process.h"
#include "queue.h"

#include <stdlib.h>
#include <string.h>

int64_t mf_deadline(double seconds)
{
    return seconds <= 0 ? 0 : mf__deadline(seconds);
}

const char *mf_deadlock_text(const mf_runtime *rt)
{
    return rt->deadlock;
}

static void drop(mf_runtime *rt, struct mf_object *o)
{
    if (o && mf__alive(rt) == 0)
        mf__object_drop(rt, o);
}

void mf_queue_free(mf_runtime *rt, mf_queue *q)
{
    drop(rt, q);
}

uint64_t mf_queue_handle(const mf_runtime *rt, const mf_queue *q)
{
    return mf__object_handle(rt, q);
}

int mf_queue_open(mf_runtime *rt, uint64_t handle, mf_queue **ret_q)
{
    return mf__object_hold(rt, handle, MF_KIND_QUEUE, ret_q);
}

int mf_queue_get(mf_runtime *rt, mf_queue *q, int64_t deadline, void **ret_data, size_t *ret_size)
{
    struct mf_message m;
    int rc = mf__queue_get(rt, q, &m, deadline);
    if (rc < 0)
        return rc;
    void *copy = malloc(m.size ? m.size : 1);
    if (copy) {
        memcpy(copy, m.data, m.size);
        *ret_data = copy;
        *ret_size = m.size;
    }
    mf__queue_delivered(rt);
    mf__message_free(rt, &m);
    return copy ? 0 : MF_ENOMEM;
}

void mf_lock_free(mf_runtime *rt, mf_lock *lock)
{
    drop(rt, lock);
}

uint64_t mf_lock_handle(const mf_runtime *rt, const mf_lock *lock)
{
    return mf__object_handle(rt, lock);
}

int mf_lock_open(mf_runtime *rt, uint64_t handle, mf_lock **ret_lock)
{
    return mf__object_hold(rt, handle, MF_KIND_LOCK, ret_lock);
}
