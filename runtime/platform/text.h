/*
 * text.h - building a line of text for people in a buffer of fixed size.
 *
 * What does not fit is cut off; there is always a zero at the end. No memory is taken and no lock,
 * so that it serves in a signal handler, and where everything else hangs. Stateless.
 */
#ifndef MF_TEXT_H
#define MF_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct mf_text {
    char *at; /* where the zero stands */
    size_t left;
};

/* A text in a buffer of at least one byte, empty. */
struct mf_text mf__text_in(char *buffer, size_t size);

/* Appends. Whole numbers and strings only: what printf does with them takes no memory. */
void mf__text_add(struct mf_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends a span of nanoseconds: "350 ms", "2.1 s", "12 min". */
void mf__text_span(struct mf_text *t, int64_t span);

/* Appends a number of bytes: "512 bytes", "1.2 MiB". */
void mf__text_bytes(struct mf_text *t, uint64_t bytes);

#endif
