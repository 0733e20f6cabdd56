/* The growable byte buffer of the codec; see buffer.h. May include: libc only. */
#include "buffer.h"

#include <stdlib.h>

enum { SMALLEST = 256 };

bool mf__buffer_grow(mf_buffer *b, size_t more)
{
    size_t size = b->size < SMALLEST ? SMALLEST : b->size;
    uint8_t *data;

    if (more > SIZE_MAX / 2 - b->used)
        return false;
    while (size < b->used + more)
        size *= 2;
    data = realloc(b->data, size);
    if (data == NULL)
        return false;
    b->data = data;
    b->size = size;
    return true;
}

bool mf__buffer_insert(mf_buffer *b, size_t at, size_t count)
{
    if (!mf__buffer_reserve(b, count))
        return false;
    memmove(b->data + at + count, b->data + at, b->used - at);
    b->used += count;
    return true;
}

void mf__buffer_fini(mf_buffer *b)
{
    free(b->data);
    *b = (mf_buffer){0};
}
