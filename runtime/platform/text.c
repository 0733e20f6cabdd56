/* text.c - lines of text for people: see text.h. */
#include "text.h"

#include "clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct mf_text mf__text_in(char *buffer, size_t size)
{
    buffer[0] = 0;
    return (struct mf_text){buffer, size};
}

void mf__text_add(struct mf_text *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(t->at, t->left, format, list);
    va_end(list);
    if (n <= 0)
        return;
    size_t used = (size_t)n < t->left ? (size_t)n : t->left - 1;
    t->at += used;
    t->left -= used;
}

void mf__text_span(struct mf_text *t, int64_t span)
{
    if (span < 0)
        span = 0;
    if (span < MF_SECOND)
        mf__text_add(t, "%" PRId64 " ms", span / MF_MSEC);
    else if (span < 300 * MF_SECOND)
        mf__text_add(t, "%" PRId64 ".%" PRId64 " s", span / MF_SECOND,
                     span % MF_SECOND / (100 * MF_MSEC));
    else
        mf__text_add(t, "%" PRId64 " min", span / (60 * MF_SECOND));
}

void mf__text_bytes(struct mf_text *t, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    uint64_t tenths = bytes * 10 / 1024;
    if (bytes < 1024) {
        mf__text_add(t, bytes == 1 ? "%" PRIu64 " byte" : "%" PRIu64 " bytes", bytes);
        return;
    }
    for (; tenths >= 10240 && unit < 3; unit++)
        tenths /= 1024;
    mf__text_add(t, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, units[unit]);
}
