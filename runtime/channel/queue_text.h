/*
 * queue_text.h - what a queue says of itself to people; for queue.c, whose kind offers it.
 */
#ifndef MF_QUEUE_TEXT_H
#define MF_QUEUE_TEXT_H

#include "arena.h"

bool mf__queue_describe(const mf_runtime *rt, const struct mf_object *q, struct mf_text *t);
bool mf__queue_is_stuck(const mf_runtime *rt, const struct mf_object *q, uint32_t side);

#endif
