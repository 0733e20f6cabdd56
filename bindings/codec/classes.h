/*
 * Classes: metatables, and tables with a field __index. One that is reachable from a loaded module
 * goes by its path there. Any other has an identity in the whole family, {owner, serial}: the
 * process that first sent it and a number there. May include: Lua, libc, the codec's headers.
 *
 * In a message a class stands as a CLASS tag with its identity; what it contains stands once per
 * message, after the body, as a message of its own, so that its bytes are the same whatever it is
 * sent with. The owner encodes it each time and counts `version` up when the bytes differ from the
 * last ones. A receiver decodes a version once and keeps its bytes: if it sends the class on, it
 * sends those, so all processes agree on what a version is. At the owner an identity is the
 * original table, whatever the version.
 */
#ifndef MF_CLASSES_H
#define MF_CLASSES_H

#include "encode.h"

struct mf_decoder;

/* Writes the class at the top, by path or identity, and pops it. */
bool mf__encode_class(struct mf_encoder *e);

/* Writes the contents of all classes that the message mentions, and the message's header. */
bool mf__encode_classes(struct mf_encoder *e);

/* Reads the classes at data..end: makes the unknown ones, fills in the decoder's table of them. */
bool mf__decode_classes(struct mf_decoder *d, const uint8_t *data, const uint8_t *end);

/* Pushes the class of a CLASS tag, whose identity it reads. */
bool mf__decode_class(struct mf_decoder *d);

#endif
