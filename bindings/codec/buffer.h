/*
 * A growable byte buffer in private memory: where the codec builds its messages. It knows nothing
 * of Lua. May include: libc only.
 *
 * A zeroed mf_buffer is an empty one. `data` belongs to the buffer and moves when it grows; it is
 * freed by mf__buffer_fini. After a fork the child has its own copy (ordinary private memory).
 */
#ifndef MF_BUFFER_H
#define MF_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct mf_buffer {
    uint8_t *data;
    size_t used; /* bytes written */
    size_t size; /* bytes allocated */
} mf_buffer;

/* Grows `b` so that `more` bytes fit behind its used ones. False: no memory, `b` is unchanged. */
bool mf__buffer_grow(mf_buffer *b, size_t more);

/* Opens a gap of `count` bytes at `at` (<= used) by moving what follows. False: no memory. */
bool mf__buffer_insert(mf_buffer *b, size_t at, size_t count);

/* Frees the bytes and zeroes `b`. */
void mf__buffer_fini(mf_buffer *b);

/* As mf__buffer_grow, without a call when there is room. */
static inline bool mf__buffer_reserve(mf_buffer *b, size_t more)
{
    return b->size - b->used >= more || mf__buffer_grow(b, more);
}

/* Appends `size` bytes. False: no memory, nothing appended. */
static inline bool mf__buffer_append(mf_buffer *b, const void *bytes, size_t size)
{
    if (!mf__buffer_reserve(b, size))
        return false;
    if (size > 0)
        memcpy(b->data + b->used, bytes, size);
    b->used += size;
    return true;
}

#endif
